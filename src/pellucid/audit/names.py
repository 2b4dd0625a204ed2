"""Column names that look like cells: a file without a line of names, whose first row was read as one."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from pellucid.audit.view import View, listed
from pellucid.results import Finding
from pellucid.table import ColumnType
from pellucid.table.parse import to_numbers, to_seconds

__all__ = ["first_row_as_names"]


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
        return "" if bad.any() or value[0] != value[0] else "maybe" if value[0] == int(value[0]) else "sure"
    return None
