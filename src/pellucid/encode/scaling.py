"""Scale the number columns of a table, column by column or row by row, with the way back."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from pellucid import registry
from pellucid.errors import ColumnError, RequestError
from pellucid.results import RunRecord, Scaled
from pellucid.table import ColumnType, Table, read_table

__all__ = ["scale"]

NORMS = ("l1", "l2")


def scale(
    table: Any, method: str | None = None, *, axis: str = "columns", columns: Any = None, outside: str = "keep", fit_on: Any = None
) -> Scaled:
    """Scale numbers. Our models scale for themselves (``scale=`` of the estimators); this is for the table on its own.

    Parameters
    ----------
    table : Table, frame or path; its number columns that a model would read are scaled, other cells stay.
    method : along columns a registered scale (``pellucid.methods("scale")``; default ``"quantile"``); along rows ``"l2"`` (default) or
        ``"l1"``: every row is divided by the length of its numbers, missing ones left out; a row of zeros stays.
    axis : ``"columns"``, or ``"rows"`` for shares of a whole: it ties the columns to each other, so that no column can be explained alone.
    columns : the number columns to scale; None: all.
    outside : numbers beyond the range that was learned go on along the last straight piece (``"keep"``), or stop at the end (``"clip"``:
        these have no way back).
    fit_on : the rows that scales are learned from: a table, or positions in ``table`` or a mask of its rows; None: all rows.

    Returns
    -------
    Scaled : ``.table``, ``transform`` for new numbers, ``inverse``. A column of one value goes to 0 and comes back.

    Examples
    --------
    >>> import pandas as pd
    >>> made = scale(pd.DataFrame({"age": [20.0, 30.0, 60.0]}), "minmax")
    >>> made.table.frame["age"].tolist(), made.inverse()[:, 0].tolist()
    ([0.0, 0.25, 1.0], [20.0, 30.0, 60.0])
    """
    began = time.perf_counter()
    table = table if isinstance(table, Table) else read_table(table)
    numbers = [c for c in table.features if table.schema[c].type is ColumnType.NUMBER]
    wanted = tuple(numbers if columns is None else [columns] if isinstance(columns, str) else columns)
    if not wanted or (wrong := [c for c in wanted if c not in table.columns or table.schema[c].type is not ColumnType.NUMBER]):
        raise ColumnError("only columns of numbers can be scaled", expected="a number column", got=repr(wrong[0] if wanted else "none"))
    if axis not in ("columns", "rows") or outside not in ("keep", "clip"):
        raise RequestError(
            "scaling cannot be done so", expected="axis 'columns' or 'rows', outside 'keep' or 'clip'", got=f"{axis}, {outside}"
        )
    values = np.column_stack([table.numbers(c) for c in wanted])
    name = method or ("l2" if axis == "rows" else "quantile")
    record = RunRecord("scale", {"method": name, "axis": axis, "outside": outside}, None, table.fingerprint(), time.perf_counter() - began)
    if axis == "rows":
        if name not in NORMS:
            raise RequestError("rows cannot be scaled so", expected=" or ".join(NORMS), got=repr(name))
        norms = np.nansum(np.abs(values), 1) if name == "l1" else np.sqrt(np.nansum(values**2, 1))
        norms = np.where(norms > 0, norms, 1.0)
        return Scaled(_with(table, wanted, values / norms[:, None]), wanted, name, axis, outside, record, norms=norms)
    rows = table if fit_on is None else fit_on if isinstance(fit_on, Table) else table.take(np.asarray(fit_on))
    points = _points(name, rows, wanted)
    made = Scaled(table, wanted, name, axis, outside, record, points)
    return Scaled(_with(table, wanted, made.transform(values)), wanted, name, axis, outside, record, points)


def _points(name: str, rows: Table, wanted: tuple[str, ...]) -> tuple[Any, ...]:
    """Return the reference points of each column, learned from the training rows."""
    rule = registry.resolve(registry.get("scale", name))
    out = []
    for column in map(rows.numbers, wanted):
        found, count = np.unique(column[~np.isnan(column)], return_counts=True)
        out.append(rule(found, count / max(int(count.sum()), 1)))
    return tuple(out)


def _with(table: Table, names: tuple[str, ...], values: Any) -> Table:
    """Return the table with numbers in place of whole columns; their units are gone, and with them the codes for missing cells."""
    schema = table.schema
    for c in names:
        schema = schema.edit(c, unit="", missing=(), decimal=".", suffix="")
    return table.with_cells(dict(zip(names, values.T))).with_schema(schema)
