"""Propose repairs of cells that are probably wrong. Nothing is changed: a proposal says what, why and how sure, and can be taken back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from pellucid.audit import repair_numbers, repair_words
from pellucid.audit.conformance import blamed, learned
from pellucid.audit.dependencies import decided, decimals
from pellucid.audit.proposals import Proposal, best, number_cells
from pellucid.audit.view import View
from pellucid.protocols import RowModel
from pellucid.results import Repairs, RunRecord
from pellucid.table import ColumnType, Table, propose_missing, read_table

__all__ = ["repair"]

ODD = 9.0
"""Nats: a cell this rare given its row is met once in 8,000."""
MOST_MISSING = 0.5


def repair(table: Any, *, row_model: RowModel | None = None, target: str | None = None, seed: int = 0) -> Repairs:
    """Propose what wrong cells should be.

    Rules: rare spellings of frequent levels, levels that a column of its name cannot have, letters of another alphabet, numbers mistyped,
    slipped decimal points and units, impossible values, broken sums, equations, ratios and dependencies between columns, codes that may
    mean missing, and with ``row_model`` cells unlike the rest of their row.

    Parameters
    ----------
    table : Table, frame or path.
    row_model : a fitted :class:`pellucid.RowModel` of the table, or of another one that is to be trusted more.
    target : name of the target column; overrides the table's own. Proposals for it are never sure enough to be applied unasked.
    seed : of the draws.

    Returns
    -------
    Repairs : ``to_frame()`` lists them; ``apply(table)`` carries out those of confidence 0.9 and more, ``undo`` takes them back.

    Notes
    -----
    Frequent levels are never merged, nor levels that differ only in digits. Cost: edit distances of rare to frequent levels, two small
    trees for each of at most 24 number columns, counts of pairs of columns; fits use at most 50,000 rows.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"town": ["Bern", "Basel", "Geneva"] * 40 + ["Genexa"], "id": range(121)})
    >>> found = repair(frame)
    >>> found.to_frame()[["row", "column", "old", "new", "rule", "confidence"]].values.tolist()
    [[120, 'town', 'Genexa', 'Geneva', 'spelling', 0.97]]
    >>> fixed = found.apply(read_table(frame))
    >>> found.undo(fixed).frame.equals(frame)
    True
    """
    began = time.perf_counter()
    table = table if isinstance(table, Table) else read_table(table)
    table = table if target is None else table.with_roles(target=target)
    view = View(table, seed=seed)
    proposals = [*repair_words.propose(view), *repair_numbers.propose(view), *_decided(view), *_conform(view), *_codes(view)]
    if row_model is not None:
        proposals += _odd(view, row_model)
    found = best(view, proposals)
    rules = sorted({p.rule for p in found})
    settings = {"rows": len(table), "sample": len(view.sample), "target": table.target, "row model": row_model is not None, "rules": rules}
    sampled = len(view.sample) < len(table)
    caveats = (f"decimal points and dependencies were looked for in {len(view.sample):,} of {len(table):,} rows",) if sampled else ()
    record = RunRecord("repair", settings, seed, view.fingerprint, time.perf_counter() - began, caveats=caveats)
    return Repairs(
        np.array([p.row for p in found], np.int64),
        _objects([p.column for p in found]),
        _objects([_plain(table.frame[p.column].iloc[p.row]) for p in found]),
        _objects([p.new for p in found]),
        _objects([p.rule for p in found]),
        np.array([p.confidence for p in found], np.float64),
        _objects([p.reason for p in found]),
        record,
        _read_as_missing(table),
    )


def _objects(values: list[Any]) -> Any:
    out = np.empty(len(values), object)
    out[:] = values
    return out


def _plain(cell: Any) -> Any:
    return cell.item() if isinstance(cell, np.generic) else cell


def _read_as_missing(table: Table) -> dict[str, dict[str, int]]:
    """Return by column the words that its description reads as missing, and how often they stand there."""
    out: dict[str, dict[str, int]] = {}
    for column in table.schema:
        if column.missing:
            count = table.frame[column.name].map(str, na_action="ignore").str.strip().value_counts()
            found = {word: int(count[word]) for word in column.missing if word in count.index}
            out |= {column.name: found} if found else {}
    return out


def _decided(view: View) -> Iterator[Proposal]:
    """Yield cells that another column decides otherwise; sure only where two columns say so."""
    said: dict[tuple[int, str], list[tuple[str, int, int, float]]] = {}
    for d in decided(view):
        for row, code, support in zip(d.rows.tolist(), d.usual.tolist(), d.support.tolist()):
            said.setdefault((row, d.of), []).append((d.by, code, support, d.holds))
    for (row, name), votes in said.items():
        codes, levels = view.levels(name)
        by, code, support, holds = max(votes, key=lambda v: v[2])
        agreed = len({c for _, c, _, _ in votes}) == 1 and len(votes) >= 2
        new = view.table.frame[name].iloc[int(np.flatnonzero(codes == code)[0])]
        cell = view.table.frame[by].iloc[row]
        why = (
            f"with {by!r} = {cell} it is {levels[code]!r} in {support:,} other rows; {by!r} decides {name!r} in {100 * holds:.2f} % of all"
        )
        sure = 0.92 if agreed and support >= 20 else 0.75 if support >= 5 else 0.6
        yield Proposal(row, name, new, "dependency", sure, why)


def _conform(view: View) -> Iterator[Proposal]:
    """Yield cells that the equations and ratios of the table determine."""
    rules = learned(view)
    for row, (name, value, sure) in blamed(view, rules).items():
        rule = next(r for r in rules if name in r.solved and row in r.rows)
        new = number_cells(view, name, np.array([round(value, decimals(view.numbers(name)))]))[0]
        yield Proposal(row, name, new, rule.kind, sure, f"{rule.words!r} holds in {100 * rule.holds:.2f} % of the rows")


def _codes(view: View) -> Iterator[Proposal]:
    """Yield cells that hold what may be a code for missing; a person must say so."""
    readable = [n for n in view.inputs if not (view.is_number(n) and view.unreadable(n).any())]
    for name, proposals in propose_missing(view.table.select(readable)).items():
        codes, texts = view.levels(name)
        for code, why in proposals:
            rows = np.flatnonzero(codes == texts.index(code)) if code in texts else np.zeros(0, np.int64)
            if len(rows) <= MOST_MISSING * len(view):
                yield from (Proposal(int(r), name, None, "code for missing", 0.7, why) for r in rows)


def _odd(view: View, model: RowModel) -> Iterator[Proposal]:
    """Yield cells unlike the rest of their row, with what the rest of the row says."""
    table = view.table.select(model.columns_)
    odd = model.score(table)["cell"]
    rows = np.flatnonzero((odd > ODD).any(axis=1))
    if not len(rows):
        return
    told = model.reconstruct(table.take(rows))  # type: ignore[attr-defined]
    for k, r in enumerate(rows):
        j = int(odd[r].argmax())
        name = model.columns_[j]
        new = told.frame[name].iloc[k]
        if view.kind(name) is ColumnType.NUMBER:
            new = number_cells(view, name, np.array([float(f"{told.numbers(name)[k]:.3g}")]))[0] if not told.missing(name)[k] else None
        why = f"a cell this unlike its row is met once in {np.exp(min(odd[r, j], 27)):,.0f}; the row says about {new}"
        yield Proposal(int(r), name, new, "unlike its row", 0.6, why)
