"""Columns as they are: two on the axes, and up to three more as colour, size and shape. Letters: N rows."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import ColumnError, RequestError, did_you_mean, quote
from pellucid.maps.ask import Ask
from pellucid.results import RunRecord, Scatter
from pellucid.table import ColumnType, Table

__all__ = ["find"]

CHANNELS = ("x", "y", "colour", "size", "shape")
MOST_SHAPES = 6
NUMBERS = (ColumnType.NUMBER, ColumnType.DATE)


def find(ask: Ask) -> Scatter:
    """Return the cells of the columns asked for; rows without x or y are left out and counted. Cost: one pass.

    ``size`` takes a number or a date, ``shape`` a column of up to six levels; every channel takes a column of its own. Without x and y
    the first two numbers of the table are drawn, coloured by the target.
    """
    began = time.perf_counter()
    table = ask.full
    given = {c: str(ask.options[c]) for c in CHANNELS if ask.options[c] is not None} or _usual(table)
    if not {"x", "y"} <= set(given):
        raise RequestError("a scatter needs two columns", expected="x and y", got=quote(given), do="options={'x': ..., 'y': ...}")
    unknown = [c for c in given.values() if c not in table.columns]
    if unknown:
        raise ColumnError(
            "columns of the scatter are not in the table", expected=f"some of {quote(table.columns, 12)}", got=quote(unknown),
            do=did_you_mean(unknown[0], table.columns),
        )  # fmt: skip
    _check(table, given)
    gone = {c: table.missing(c) for c in given.values()}
    left_out = gone[given["x"]] | gone[given["y"]]
    kept = np.flatnonzero(~left_out)
    columns = list(given.values())
    data = pd.DataFrame({c: _cells(table, c)[kept] for c in columns}, index=table.frame.index[kept])
    record = RunRecord(ask.method, dict(ask.settings), ask.seed, table.fingerprint(), time.perf_counter() - began, caveats=ask.caveats)
    schema = table.schema
    return Scatter(
        data, given, {c: str(schema[c].type) for c in columns}, {c: schema[c].unit for c in columns if schema[c].unit},
        int(ask.settings["of_rows"]),
        {c: int(m.sum()) for c, m in gone.items()}, int(left_out.sum()),
        np.asarray(data.index), ask.method, record,
    )  # fmt: skip


def _cells(table: Table, name: str) -> npt.NDArray[Any]:
    """Return a column's cells (N,) as what is drawn: numbers, moments, or texts with None where missing."""
    kind = table.schema[name].type
    if kind is ColumnType.NUMBER:
        return table.numbers(name)
    if kind is ColumnType.DATE:
        return pd.to_datetime(table.seconds(name), unit="s").to_numpy()
    return table.texts(name)


def _usual(table: Table) -> dict[str, str]:
    """Return the first two numbers (else the first two columns), coloured by the target."""
    features = sorted(table.features, key=lambda c: table.schema[c].type not in NUMBERS)
    if len(features) < 2:
        raise RequestError("a scatter needs two columns", got=f"{len(features)} usable column", do="options={'x': ..., 'y': ...}")
    return dict(zip(("x", "y"), features)) | ({} if table.target is None else {"colour": table.target})


def _check(table: Table, given: dict[str, str]) -> None:
    if len(set(given.values())) < len(given):
        raise RequestError("a column is asked for twice", expected="a column of its own for each channel", got=quote(given.values()))
    for channel, column in given.items():
        kind = table.schema[column].type
        if channel == "size" and kind not in NUMBERS:
            raise RequestError(
                f"{column!r} cannot be shown as a size", expected="a number or a date", got=str(kind), do="show it as colour"
            )
        if channel == "shape" and (kind in NUMBERS or len(np.unique(table.levels(column)[0])) > MOST_SHAPES + 1):
            raise RequestError(
                f"{column!r} cannot be shown as shapes", expected=f"up to {MOST_SHAPES} levels", got=str(kind), do="show it as colour"
            )
