"""Cells written back into a column: in the dtype it has where that can hold them, as numbers and dates are written in it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.table import Column

__all__ = ["as_written", "joining", "put"]

Ints = npt.NDArray[np.int64]


def joining(cells: list[Any], like: pd.Series) -> pd.Series:
    """Return cells as a series of the dtype of ``like`` where that dtype can hold them."""
    dtype = like.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        kinds = {type(c) for c in dtype.categories}
        if kinds and not any(issubclass(k, str) for k in kinds):
            by_text = {str(c): c for c in dtype.categories}
            cells = [c if c is None else by_text.get(str(c), c) for c in cells]
        more = pd.Index([c for c in dict.fromkeys(cells) if c is not None and c not in dtype.categories], dtype=object)
        categories = dtype.categories.append(more) if len(more) else dtype.categories
        return pd.Series(pd.Categorical(cells, categories, ordered=dtype.ordered))
    if isinstance(dtype, np.dtype) and dtype.kind == "b":
        return pd.Series([None if c is None else str(c) in ("True", "1", "1.0") for c in cells], dtype=object if None in cells else bool)
    if pd.api.types.is_datetime64_any_dtype(dtype):
        moments = pd.to_datetime(pd.Series(cells, dtype=object), utc=getattr(dtype, "tz", None) is not None)
        return moments.astype(dtype)
    try:
        if dtype.kind in "iuf" and not str(dtype).startswith("decimal"):
            # whole-number columns of Arrow and sparse frames would take 3.7 as 3: joined to plain numbers they become fractions
            return pd.Series(pd.to_numeric(pd.Series(cells, dtype=object)))
        return pd.Series(cells, dtype=object if isinstance(dtype, np.dtype) else dtype)
    except (TypeError, ValueError):  # a word among numbers, or among yes and no
        return pd.Series(cells, dtype=object)


def put(old: pd.Series, rows: Ints, new: pd.Series) -> pd.Series:
    """Return ``old`` with the cells at ``rows`` replaced, in a dtype that holds both."""
    if isinstance(old.dtype, np.dtype) and old.dtype == new.dtype:
        values = old.to_numpy(copy=True)
        values[rows] = new.to_numpy()
        return pd.Series(values, index=old.index, name=old.name)
    if isinstance(old.dtype, pd.CategoricalDtype) and old.dtype != new.dtype:
        old = old.cat.set_categories(new.cat.categories)
    both = pd.concat([old, new], ignore_index=True)
    at = np.arange(len(old))
    at[rows] = len(old) + np.arange(len(rows))
    return pd.Series(both.array.take(at), index=old.index, name=old.name)


def as_written(values: npt.NDArray[np.float64], column: Column, like: pd.Series, date: bool) -> list[Any]:
    """Return numbers, or seconds since 1970 (``date``), as cells that read back as them in a column written as ``like``."""
    texts = like.dtype == object or isinstance(like.dtype, pd.StringDtype)
    if not date:
        return (
            [_number_text(v, column.decimal) + column.suffix for v in values]
            if texts
            else [int(v) if v == round(v) and abs(v) < 2**53 else float(v) for v in values]
        )
    if column.date_format in ("epoch_s", "epoch_ms"):
        factor = 1000 if column.date_format == "epoch_ms" else 1
        return [str(round(v * factor)) if texts else round(v * factor) for v in values]
    moments = [datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=float(v)) for v in values]
    if texts and column.date_format:
        iso = column.date_format == "ISO8601"
        return [m.replace(tzinfo=None).isoformat() if iso else m.strftime(column.date_format) for m in moments]
    return [pd.Timestamp(m) if getattr(like.dtype, "tz", None) is not None else pd.Timestamp(m).tz_localize(None) for m in moments]


def _number_text(value: float, decimal: str) -> str:
    text = str(int(value)) if value == round(value) and abs(value) < 2**53 else repr(float(value))
    return text.replace(".", decimal)
