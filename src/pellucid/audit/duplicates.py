"""Copies of rows: what they are worth, whether they contradict each other, and whether they stand on both sides of the split."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.audit.view import IntArray, View, share
from pellucid.results import Finding
from pellucid.results.text import percent
from pellucid.table import by_chance, pairs_by_chance

__all__ = ["find", "parts_of"]

FINE = 0.99
"""Share of different cells from which on it is told of a single column that a few repeat."""
TOGETHER = 3.0
"""So many times as many pairs as independent columns would bring together are no sign yet that a thing was recorded twice."""
HANDFUL = 6
"""So many rows with a copy are no grave matter, however short the table."""


def find(view: View) -> list[Finding]:
    """Return exact copies, contradicting copies, and copies across the parts of the plan."""
    names = tuple(n for n in view.features if n != view.table.target)
    if not names or len(view) < 2:
        return []
    inputs = view.row_codes(names)
    whole = inputs if view.target is None else view.row_codes((*names, view.target.name))
    counts = [np.bincount(view.codes(name) + 1) for name in (names if view.target is None else (*names, view.target.name))]
    chance = by_chance(whole, counts)
    return [*_copies(view, counts, whole, chance), *_conflicts(view, inputs, chance), *_across(view, inputs)]


def _copies(view: View, counts: list[IntArray], whole: IntArray, chance: bool) -> Iterator[Finding]:
    count = np.bincount(whole)
    rows = np.flatnonzero(count[whole] > 1)
    if not len(rows) or (len(counts) == 1 and len(count) < FINE * len(whole)):  # of one column alone: that its values repeat
        return
    extra, pairs = len(whole) - len(count), float((count * (count - 1.0)).sum() / 2)
    expected = pairs_by_chance(len(view), counts)
    kinds = " (identifiers left aside)" if view.table.schema.identifiers else ""
    words = f"{share(len(rows), len(view))} have an exact copy{kinds}; {extra:,} would go if each were kept once"
    if len(counts) > 1:
        words += f"; about {pairs:,.0f} pairs, where {expected:,.1f} would meet by chance" + (": few columns, few values" if chance else "")
    # one column's cells repeat as often as they repeat; columns that go together meet more often than these chances say
    usual = len(counts) == 1 or pairs <= TOGETHER * expected + 3 * expected**0.5
    grave = not chance and not usual and len(rows) > max(0.01 * len(view), HANDFUL)
    remedy = (
        "none: so few different rows are possible that equal ones meet by chance"
        if chance  # what the split goes by
        else "find out whether they are the same thing recorded twice; the split keeps copies in one part, as any of yours should"
    )
    figures = {"rows": len(rows), "extra": extra, "pairs": pairs, "pairs by chance": expected}
    yield view.finding("duplicates: exact copies", "medium" if grave else "low", (), words, remedy, rows=rows, figures=figures)


def _conflicts(view: View, inputs: IntArray, chance: bool) -> Iterator[Finding]:
    """Tell rows with the same inputs and different targets, and what no model can get over."""
    target = view.target
    if target is None:
        return
    rows = np.flatnonzero(target.present)
    codes = np.unique(inputs[rows], return_inverse=True)[1].reshape(-1)
    n, groups = len(rows), int(codes.max()) + 1 if len(rows) else 0
    if groups == n:
        return
    if not target.is_classes:
        yield from _spread(view, codes, target.values[rows], rows)
        return
    o = len(target.labels)
    cells, count = np.unique(codes * o + target.codes[rows], return_counts=True)
    best = np.zeros(groups, np.int64)
    np.maximum.at(best, cells // o, count)
    mixed = np.bincount(cells // o, minlength=groups) > 1
    concerned = rows[mixed[codes]]
    if len(concerned):
        reachable = float(best.sum() / n)
        errors = n - int(best.sum())
        words = f"{share(len(concerned), n)} have the same inputs as another row but another '{target.name}'; "
        words += f"any model is wrong in at least {errors:,} row{'s' if errors > 1 else ''}"
        words += f" (best accuracy {percent(reachable)})" if reachable < 0.9995 else ""
        remedy = "look at some of them: wrong labels, or a column that would tell them apart is missing"
        if chance:  # then it is what the columns leave open, as in any table
            remedy = "few different rows are possible, and these columns leave the rest open: look for a column that tells more"
        severity = "low" if chance or reachable >= 0.99 else "high" if reachable < 0.9 else "medium"
        yield view.finding(
            "duplicates: contradicting labels",
            severity,
            (target.name,),
            words,
            remedy,
            rows=concerned,
            figures={"best accuracy": reachable},
        )


def _spread(view: View, codes: IntArray, y: npt.NDArray[np.float64], rows: IntArray) -> Iterator[Finding]:
    count = np.bincount(codes)
    mean = np.bincount(codes, weights=y) / count
    off = y - mean[codes]
    differ = np.bincount(codes, weights=off**2) > 1e-18 * max(float(y.var()), 1e-300) * count
    concerned = rows[(differ & (count > 1))[codes]]
    if not len(concerned):
        return
    twins = (count > 1)[codes]
    within = float((off[twins] ** 2).sum() / max(int((count[count > 1] - 1).sum()), 1))
    unit = view.target.unit if view.target else ""
    unit = f" {unit}" if unit else ""
    words = f"{share(len(concerned), len(y))} have the same inputs as another row but another target; "
    words += f"among copies the target's standard deviation is {within**0.5:.4g}{unit}, over all rows {y.std():.4g}{unit}"
    remedy = "this much of the target cannot be told from these columns"
    severity = "medium" if len(concerned) > 0.05 * len(y) else "low"
    name = (view.target.name,) if view.target else ()
    yield view.finding(
        "duplicates: contradicting targets", severity, name, words, remedy, rows=concerned, figures={"sd among copies": within**0.5}
    )


def parts_of(plan: Any) -> dict[str, IntArray]:
    """Return the parts of a split plan, positions by name; a mapping is taken as it is."""
    if plan is None:
        return {}
    if isinstance(plan, dict):
        return {str(k): np.asarray(v, np.int64) for k, v in plan.items()}
    named = {k: getattr(plan, k, None) for k in ("train", "stop", "certify")}
    return {k: np.asarray(v, np.int64) for k, v in named.items() if v is not None and len(v)}


def _across(view: View, inputs: IntArray) -> Iterator[Finding]:
    parts = {k: v[v < len(view)] for k, v in parts_of(view.plan).items()}
    learned = parts.get("train", np.zeros(0, np.int64))
    for name, rows in parts.items():
        if name == "train" or not len(learned):
            continue
        both = rows[np.isin(inputs[rows], inputs[learned])]
        if len(both):
            words = f"{share(len(both), len(rows))} of the part '{name}' have the same inputs as a row of the part 'train'; "
            words += "figures measured there flatter the model"
            remedy = "keep copies in one part (the built-in plan does), or drop them"
            severity = "high" if len(both) > 0.01 * len(rows) else "medium"
            yield view.finding(
                "duplicates: across splits", severity, (), words, remedy, rows=both, figures={"part": name, "share": len(both) / len(rows)}
            )
