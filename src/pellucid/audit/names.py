"""Names that are none: a file without a line of names, whose first row was read as one, or with a title above its names."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.audit.view import View, listed
from pellucid.results import Finding
from pellucid.table import ColumnType
from pellucid.table.parse import to_numbers, to_seconds

__all__ = ["first_row_as_names", "title_as_names"]

LINES = 10
"""Names are looked for so many lines further down."""


def first_row_as_names(view: View) -> Iterator[Finding]:
    """Tell where every column's name could be one of its own cells, and not by numbers such as years alone."""
    told = {n: _fits(view, n) for n in view.table.columns}
    names = [n for n, fits in told.items() if fits is not None]
    sure = [n for n in names if told[n] == "sure"]
    if len(names) < 2 or not sure or not all(told[n] for n in names):
        return
    words = f"the names {listed(names)} read like cells of their own columns: it seems that the first row was taken for a line of names"
    remedy = "write a line of names above the first row, which is lost as long as it serves for names"
    yield view.finding("values: names", "high", names, words, remedy, figures={"sure": sure})


def title_as_names(view: View) -> Iterator[Finding]:
    """Tell where most columns have no name and an early row holds words in every one of them: a title, or merged cells, above the names."""
    columns = view.table.columns
    nameless = [n for n in columns if n.startswith("Unnamed: ")]
    if len(nameless) < 2 or 2 * len(nameless) < len(columns):
        return
    top = view.table.frame[list(columns)].iloc[:LINES].astype(object)
    words = [
        [str(v) for v in row if isinstance(v, str) and v.strip() and to_numbers(pd.Series([v], dtype=object))[1][0]] for row in top.values
    ]
    at = max(range(len(words)), key=lambda r: len(words[r]), default=0)
    text = f"{len(nameless)} of {len(columns)} columns have no name: the first line is a title, or its cells were merged"
    text += f"; row {at} reads like the names: {listed(words[at])}" if words and len(words[at]) >= max(2, 0.5 * len(columns)) else ""
    remedy = (
        "leave one line of names above the first row of the file, and read it again: as it is, names are cells and numbers are not read"
    )
    yield view.finding(
        "values: no names", "high", nameless, text, remedy, rows=np.arange(at + 1), figures={"names": words[at] if words else []}
    )


def _like_cells(x: npt.NDArray[np.float64]) -> str:
    """Return ``"sure"``, but ``""`` for a fraction over whole numbers: an edge of a class, with counts below it."""
    known = x[np.isfinite(x)]
    return "" if len(known) and bool((known == np.round(known)).all()) else "sure"


def _fits(view: View, name: str) -> str | None:
    """Return ``"sure"`` or ``"maybe"`` where a name could be a cell of its column, ``""`` where not, None where any text could."""
    kind = view.kind(name)
    column = view.table.schema[name]
    if kind.is_level:
        return "sure" if name in column.levels else ""
    text = pd.Series([name], dtype=object)
    if kind is ColumnType.DATE:
        form = column.date_format
        return "" if form is None or form.startswith("epoch") or to_seconds(text, form)[1].any() else "sure"
    if kind is ColumnType.NUMBER:
        value, bad = to_numbers(text, column.decimal)
        # whole numbers are years, bins or places more often than cells
        return "" if bad.any() or value[0] != value[0] else "maybe" if value[0] == np.round(value[0]) else _like_cells(view.numbers(name))
    return None
