"""Cells as written, to canonical form: numbers, seconds, levels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import CellError, quote
from pellucid.export import level_text
from pellucid.table.types import Column, Role

__all__ = ["level_text", "levels", "numbers", "seconds", "written_numbers"]


def _where(bad: npt.NDArray[np.bool_], column: Column, source: str) -> str:
    at = np.flatnonzero(bad)
    rows = ", ".join(map(str, at[:5])) + (f" and {len(at) - 5} more" if len(at) > 5 else "")
    return f"column {column.name!r}, row{'s' if len(at) > 1 else ''} {rows}" + (f" of {source}" if source else "")


def _masked(series: pd.Series, column: Column) -> pd.Series:
    """Return the series with the declared missing codes emptied."""
    if not column.missing:
        return series
    codes, uniques = pd.factorize(series, use_na_sentinel=True)
    gone = np.array([level_text(u) in column.missing for u in uniques] + [False])
    return series.mask(gone[codes]) if gone.any() else series


def numbers(series: pd.Series, column: Column, source: str = "") -> npt.NDArray[np.float64]:
    """Return float64 with NaN for missing cells."""
    series = _masked(series, column)
    if series.dtype.kind in "iufb":
        out = series.to_numpy(np.float64)
    else:
        out = _parse(series, column, source)
    if np.isinf(out).any():
        raise CellError(
            "infinite values cannot be used", where=_where(np.isinf(out), column, source), do="replace them by missing cells or by a number"
        )
    return out


def _parse(series: pd.Series, column: Column, source: str) -> npt.NDArray[np.float64]:
    from pellucid.table.parse import to_numbers

    out, bad = to_numbers(series, column.decimal, column.suffix)
    if bad.any():
        raise CellError(
            "cells of a number column are not numbers",
            expected=f"numbers in {column.suffix.strip()}" if column.suffix else "numbers",
            got=quote(series[bad].unique().tolist()),
            where=_where(bad, column, source),
            do=_how_to_number(series[bad], column),
        )
    return out


def _how_to_number(cells: pd.Series, column: Column) -> str:
    """Return what to do about cells that are no numbers: the other decimal mark is the likeliest cause where it reads them all."""
    from pellucid.table.parse import to_numbers

    other = "." if column.decimal == "," else ","
    if not to_numbers(cells, other, column.suffix)[1].any():
        return f"write them with the decimal mark {column.decimal!r}, as in the table that was learned from; here it is {other!r}"
    if column.role is Role.TARGET:
        return "correct the cells; or predict classes, with TabularClassifier (--task classification)"
    before = f"declare missing={{{column.name!r}: [...]}} (--missing) or set types={{{column.name!r}: 'category'}} (--type)"
    return f"correct the cells; or, before fitting, {before}"


def seconds(series: pd.Series, column: Column, source: str = "") -> npt.NDArray[np.float64]:
    """Return float64 seconds since 1970-01-01 UTC with NaN for missing cells."""
    from pellucid.table.parse import to_seconds

    masked = _masked(series, column)
    out, bad = to_seconds(masked, column.date_format)
    if bad.any():
        raise CellError(
            "cells of a date column are not dates",
            expected=f"dates of the form {column.date_format}" if column.date_format else "dates",
            got=quote(masked[bad].unique().tolist()),
            where=_where(bad, column, source),
            do="correct the cells or set another type",
        )
    return out


def levels(series: pd.Series, column: Column) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Return (codes, texts): codes (N,) into the sorted distinct canonical texts, -1 for missing cells."""
    series = _masked(series, column)
    codes, uniques = pd.factorize(series, use_na_sentinel=True)
    texts = [level_text(u) for u in uniques]
    blank = {i for i, t in enumerate(texts) if t == ""}
    distinct = sorted({t for t in texts if t != ""})
    at = {t: i for i, t in enumerate(distinct)}
    remap = np.array([-1 if i in blank else at[t] for i, t in enumerate(texts)] + [-1], np.int64)
    return remap[codes], tuple(distinct)


def written_numbers(cells: pd.Series) -> pd.Series:
    """Return cells as numbers, NaN where they are none: also those that were written as text, with a decimal comma, a currency or a unit.

    For cells without a schema, as a result holds them. Cost: a parse per distinct text.

    Examples
    --------
    >>> written_numbers(pd.Series(["1,5 km", "12,25 km", None])).tolist(), written_numbers(pd.Series(["a", "b"])).tolist()
    ([1.5, 12.25, nan], [nan, nan])
    """
    from pellucid.table.parse import decide_decimal, to_numbers
    from pellucid.table.units import common_unit, without_unit

    plain = pd.to_numeric(cells, errors="coerce")
    if not (cells.dtype == object or isinstance(cells.dtype, pd.StringDtype)) or plain.notna().sum() == cells.notna().sum():
        return plain
    texts = pd.Series([c if isinstance(c, str) else None for c in cells], dtype=object)
    count = texts.value_counts()
    suffix = common_unit(count.index.tolist(), np.asarray(count, np.int64))
    mark = decide_decimal(pd.Series([without_unit(t, suffix) for t in count.index], dtype=object)) or "."
    read = pd.Series(to_numbers(texts, mark, suffix)[0], index=cells.index)
    return read if read.notna().sum() > plain.notna().sum() else plain
