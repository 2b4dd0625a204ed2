"""Places along a column at which a curve is read: quantiles of numbers and dates, observed levels, and "missing" where it occurs.

Every place is a cell that was observed, as the user wrote it: dtypes, dates and names of levels stay what they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import RequestError
from pellucid.explain import asked
from pellucid.explain.question import Question
from pellucid.probe.coalition import CoalitionEngine
from pellucid.probe.masker import Players
from pellucid.protocols import FloatArray
from pellucid.results import Curve
from pellucid.table import ColumnType, Table

__all__ = ["INNER", "Places", "Sweep", "along", "curve", "grid_table", "on_line", "places"]

INNER = (0.01, 0.99)
"""Quantiles between which numbers and dates are drawn: outside of them a curve would speak of next to no rows."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Places:
    """G places along one column.

    Attributes
    ----------
    cells : (G,) as the user wrote them; None = missing. source : (G,) a row of the table that holds each. missing : whether the last place
        is the missing cell.
    values : (G,) numbers, seconds or codes of levels; NaN for missing.
    nearest : (N,) the place nearest to each row's cell, -1 where it has none. share : (G,) share of the rows there.
    is_line : True for numbers and dates. hidden : how many levels were left out because they are rare.
    """

    cells: npt.NDArray[np.object_]
    source: Ints
    values: FloatArray
    nearest: Ints
    is_line: bool
    missing: bool
    hidden: int = 0

    @property
    def share(self) -> FloatArray:
        """Share of the rows at or nearest to each place, (G,)."""
        return np.bincount(self.nearest[self.nearest >= 0], minlength=len(self.cells)) / max(1, len(self.nearest))

    @property
    def size(self) -> int:
        """Number of places that are not the missing cell."""
        return len(self.cells) - self.missing


def on_line(table: Table, name: str) -> FloatArray | None:
    """Return a number or date column as float64 with NaN where missing; None for other types."""
    kind = table.schema[name].type
    if kind is ColumnType.NUMBER:
        return table.numbers(name)
    return table.seconds(name) if kind is ColumnType.DATE else None


def places(table: Table, name: str, points: int) -> Places:
    """Return the places of a column: ``points`` quantiles of numbers and dates, at most so many levels, and the missing cell.

    A number column of no more than ``points`` distinct values gives all of them that lie within the inner range.

    Examples
    --------
    >>> import pandas as pd
    >>> from pellucid.testing.predictors import made_table
    >>> made = places(made_table(pd.DataFrame({"a": [1.0, 2.0, 2.0, None]})), "a", 20)
    >>> list(made.cells), made.share.tolist()
    ([np.float64(1.0), np.float64(2.0), None], [0.25, 0.5, 0.25])
    """
    line = on_line(table, name)
    return _levels(table, name, points) if line is None else _quantiles(table, name, line, points)


def _quantiles(table: Table, name: str, line: FloatArray, points: int) -> Places:
    order = np.argsort(line, kind="stable")[: int((~np.isnan(line)).sum())]
    known = line[order]
    if len(known) == 0:
        return _close(table, name, np.zeros(0, np.int64), line, np.full(len(line), -1), is_line=True)
    values = np.unique(known)
    if len(values) > points:
        values = np.unique(np.quantile(known, np.linspace(*INNER, points), method="inverted_cdf"))
    else:
        low, high = np.quantile(known, INNER, method="inverted_cdf")
        values = values[(values >= low) & (values <= high)]
    middle = (values[1:] + values[:-1]) / 2
    nearest = np.where(np.isnan(line), -1, np.searchsorted(middle, line))
    return _close(table, name, order[np.searchsorted(known, values)], line, nearest, is_line=True)


def _levels(table: Table, name: str, points: int) -> Places:
    codes, texts = table.levels(name)
    count = np.bincount(codes[codes >= 0], minlength=len(texts))
    shown = np.argsort(-count, kind="stable")[:points]
    if table.schema[name].type is ColumnType.ORDERED:
        rank = {t: k for k, t in enumerate(table.schema[name].levels)}
        shown = shown[np.argsort([rank.get(texts[c], len(rank)) for c in shown], kind="stable")]
    place = np.full(len(texts) + 1, -1)
    place[shown] = np.arange(len(shown))
    first = np.full(len(texts) + 1, -1)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    return _close(table, name, first[shown], codes.astype(float), place[codes], is_line=False, hidden=len(texts) - len(shown))


def _close(table: Table, name: str, source: Ints, line: FloatArray, nearest: Ints, *, is_line: bool, hidden: int = 0) -> Places:
    """Return the places with the missing cell as the last one, where it occurs."""
    gone = np.flatnonzero(table.missing(name))
    if len(gone):
        nearest = nearest.copy()
        nearest[gone] = len(source)
        source = np.append(source, gone[0])
    cells = np.empty(len(source), object)
    cells[:] = list(table.frame[name].array.take(source))
    values = line[source].astype(float)
    if len(gone):
        cells[-1], values[-1] = None, np.nan
    return Places(cells, source, values, nearest, is_line, bool(len(gone)), hidden)


def grid_table(table: Table, found: Mapping[str, Places]) -> Table:
    """Return a table whose row g holds, in each column of ``found``, the cell of its place g (the last one where it has fewer)."""
    size = max(len(p.source) for p in found.values())
    cells = {}
    for name in table.columns:
        source = found[name].source if name in found else np.zeros(1, np.int64)
        cells[name] = table.frame[name].array.take(source[np.minimum(np.arange(size), len(source) - 1)])
    return Table(pd.DataFrame(cells), table.schema, table.library)


@dataclass(frozen=True)
class Sweep:
    """Answers with one column's cell set to each place.

    Attributes
    ----------
    rows : positions of the n rows used, in the question's table. found : places by column. lines : answers (n, G, O) by column.
    caveats : what to say beside.
    """

    rows: Ints
    found: dict[str, Places]
    lines: dict[str, FloatArray]
    caveats: tuple[str, ...]


def along(question: Question, most: int) -> Sweep:
    """Return the answers to up to ``most`` rows with each chosen column set to each of its places. Cost n (1 + sum of G) + G model rows."""
    asked.no_groups(question)
    table = question.table.select(question.view.columns)
    names = asked.columns(question, table.columns) or table.columns
    found = {name: places(table, name, asked.whole(question, "points", 2, 500)) for name in names}
    if not any(len(p.source) for p in found.values()):
        raise RequestError("the columns hold no cells", do="choose other columns")
    widest, steps = max(len(p.source) for p in found.values()), sum(len(p.source) for p in found.values())
    n = asked.affordable(question, min(most, len(table)), 1 + steps, widest, least=2)
    rows = asked.sample(question, n)
    engine = CoalitionEngine(question.view, table.take(rows), grid_table(table, found), Players.of(table.columns))
    lines: dict[str, FloatArray] = {}
    for name, p in found.items():
        j, g = table.columns.index(name), len(p.source)
        z = np.broadcast_to(np.arange(len(table.columns)) != j, (n * g, len(table.columns)))
        lines[name] = engine.evaluate(np.repeat(np.arange(n), g), np.tile(np.arange(g), n), z).reshape(n, g, -1)
        engine.forget()
    caveats = [f"means over {n} of {len(table)} rows"] if n < len(table) else []
    caveats += [f"{p.hidden} rare levels of {c!r} are not drawn" for c, p in found.items() if p.hidden]
    return Sweep(rows, found, lines, tuple(caveats))


def curve(
    question: Question,
    found: Mapping[str, Places],
    values: Mapping[str, FloatArray],
    error: Mapping[str, FloatArray],
    settings: Mapping[str, object],
    caveats: Iterable[str],
    lines: Mapping[str, FloatArray] | None = None,
) -> Curve:
    """Return the Curve of ``values`` and standard errors (G, O) by column."""
    return Curve(
        columns=tuple(found),
        outputs=question.view.outputs,
        points={c: p.cells for c, p in found.items()},
        values=values,
        interval={c: np.stack([values[c] - 1.96 * error[c], values[c] + 1.96 * error[c]], -1) for c in found},
        share={c: p.share for c, p in found.items()},
        scale=question.view.scale,
        method=question.method,
        record=question.record(settings, tuple(caveats)),
        lines=lines or {},
    )
