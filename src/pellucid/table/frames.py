"""Any frame to a pandas frame with clean names and scalar cells, and back to the caller's library."""

from __future__ import annotations

import datetime
import decimal
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pellucid.errors import ArgumentError, CellError, ColumnError, EmptyTableError, RequestError

__all__ = ["FrameLike", "from_any", "names_of_array", "refuse_doubled", "to_library", "with_columns"]

FrameLike = Any
_NESTED = (list, tuple, dict, set, frozenset, np.ndarray, pd.Series, pd.DataFrame)


def names_of_array(n: int) -> list[str]:
    """Return the names of the columns of an array, ``x0, x1, ...``, as scikit-learn gives them."""
    return [f"x{i}" for i in range(n)]


def with_columns(frame: pd.DataFrame, cells: Mapping[str, Any]) -> pd.DataFrame:
    """Return the frame with columns replaced or added, whatever they are called; the frame itself stays as it is.

    Examples
    --------
    >>> with_columns(pd.DataFrame({"self": [1]}), {"self": [2]})["self"].tolist()  # no argument of ``assign``
    [2]
    """
    if not cells:
        return frame
    found = frame.copy(deep=False)
    for name, column in cells.items():
        found[name] = column
    return found


def from_any(data: FrameLike) -> tuple[pd.DataFrame, str]:
    """Return (frame, library) for anything that holds a table.

    Parameters
    ----------
    data : pandas, polars or pyarrow frame, numpy array (2-D, or 1-D structured), list of dicts, list of rows, or dict of columns.

    Returns
    -------
    frame : pandas frame with text names and one scalar a cell. Columns that need no change share memory with ``data``.
    library : ``"pandas"``, ``"polars"``, ``"pyarrow"`` or ``"numpy"``.

    Errors
    ------
    ColumnError (duplicate names, no column, wrong number of dimensions), CellError (complex or nested cells), EmptyTableError (no row),
    ArgumentError (no table at all, or a sparse matrix).

    Examples
    --------
    >>> frame, library = from_any([[1, 2.5], [3, 4.5]])
    >>> list(frame.columns), library
    (['x0', 'x1'], 'numpy')
    """
    frame, library = _as_pandas(data)
    names = _text_names(frame.columns)
    if len(names) == 0:
        raise ColumnError(
            f"Found array with 0 feature(s) (shape={frame.shape}) while a minimum of 1 is required",
            do="give a table with at least one column",
        )
    if len(frame) == 0:
        raise EmptyTableError("the table has no rows", expected="at least 1 row", got=f"shape {frame.shape}")
    columns = [_clean(frame.iloc[:, i], name) for i, name in enumerate(names)]
    if all(new is None for new in columns):
        if names != list(frame.columns):
            frame.columns = pd.Index(names, dtype=object)  # the frame is ours: a shallow copy where the caller gave a pandas frame
        return frame, library
    made = {name: frame.iloc[:, i] if new is None else new for i, (name, new) in enumerate(zip(names, columns))}
    return pd.DataFrame(made, index=frame.index), library


def _as_pandas(data: FrameLike) -> tuple[pd.DataFrame, str]:
    if isinstance(data, pd.DataFrame):
        return data.copy(deep=False), "pandas"  # shares the cells; what the caller writes later does not show here
    if isinstance(data, pd.Series):
        return data.to_frame(name="x0" if data.name is None else data.name), "pandas"
    if isinstance(data, np.ndarray):
        return _from_array(data)
    if hasattr(data, "tocsr") and hasattr(data, "nnz"):
        raise ArgumentError("sparse matrices are not supported", expected="a dense table", got=type(data).__name__, do="pass X.toarray()")
    if isinstance(data, Mapping):
        return _from_columns(data), "pandas"
    if isinstance(data, list | tuple):
        return _from_rows(data)
    return _from_library(data)


def _from_array(data: np.ndarray) -> tuple[pd.DataFrame, str]:
    if data.dtype.names:
        return _from_columns({n: data[n] for n in data.dtype.names}), "pandas"
    if np.iscomplexobj(data):
        raise CellError("Complex data not supported", got=f"an array of {data.dtype}", do="pass real and imaginary parts as two columns")
    if data.ndim != 2:
        kind = {0: "scalar array", 1: "1D array"}.get(data.ndim, f"{data.ndim}D array")
        raise ColumnError(
            f"Expected 2D array, got {kind} instead",
            expected="shape (rows, columns)",
            got=f"shape {data.shape}",
            do="Reshape your data: array.reshape(-1, 1) for one column, array.reshape(1, -1) for one row",
        )
    return pd.DataFrame(data, columns=pd.Index(names_of_array(data.shape[1]), dtype=object), copy=False), "numpy"


def _from_columns(data: Mapping[Any, Any]) -> pd.DataFrame:
    try:
        if data and all(np.ndim(v) == 0 for v in data.values()):
            raise ColumnError(
                "these are cells, not columns", expected="a list of cells for every column", got=f"one value of {next(iter(data))!r}",
                do="pass a list with one such mapping per row",
            )  # fmt: skip
        return pd.DataFrame({name: _one_column(name, values) for name, values in data.items()})
    except (ValueError, TypeError) as error:
        if isinstance(error, ColumnError | CellError):
            raise
        raise ColumnError("the columns do not form a table", expected="columns of equal length", got=str(error)) from error


def _one_column(name: Any, values: Any) -> Any:
    if isinstance(values, np.ndarray) and values.ndim > 1:
        raise CellError(
            "cells hold arrays", where=f"column {str(name)!r}", expected="one value a cell", do="give each part a column of its own"
        )
    if isinstance(values, list | tuple) and any(isinstance(v, _NESTED) for v in values):
        raise CellError(
            "cells are nested", where=f"column {str(name)!r}", expected="one value a cell", do="give each part a column of its own"
        )
    return values


def _from_rows(data: Sequence[Any]) -> tuple[pd.DataFrame, str]:
    if len(data) == 0:
        raise EmptyTableError("the table has no rows", expected="at least 1 row", got="an empty list")
    if all(isinstance(row, Mapping) for row in data):
        return pd.DataFrame.from_records(list(data)), "pandas"
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise ColumnError("the rows do not form a table", expected="rows of equal length", got=str(error)) from error
    if array.ndim == 2 and array.dtype.kind in "USO":  # numpy would have turned numbers beside text into text
        return pd.DataFrame([list(r) for r in data], columns=pd.Index(names_of_array(array.shape[1]), dtype=object)), "numpy"
    return _from_array(array)


def _from_library(data: FrameLike) -> tuple[pd.DataFrame, str]:
    import narwhals as nw

    try:
        wrapped: Any = nw.from_native(data, allow_series=True)
    except TypeError:
        if hasattr(data, "__array__"):
            return _from_array(np.asarray(data))
        raise ArgumentError(
            "this is no table",
            expected="a pandas, polars or pyarrow frame, a 2-D array, a list of dicts or a dict of columns",
            got=type(data).__name__,
        ) from None
    if isinstance(wrapped, nw.LazyFrame):
        wrapped = wrapped.collect()
    if isinstance(wrapped, nw.Series):
        wrapped = wrapped.alias(wrapped.name or "x0").to_frame()
    nested = [name for name, dtype in wrapped.schema.items() if dtype.is_nested()]
    if nested:
        raise _nested(nested[0])
    library = str(wrapped.implementation.value)
    if library == "pandas":
        return wrapped.to_pandas(), library
    try:
        return wrapped.to_pandas(), library if library in ("polars", "pyarrow") else "pandas"
    except (ValueError, TypeError, NotImplementedError, OverflowError) as error:
        raise CellError("the frame cannot be read", got=f"{library}: {error}") from error


def _text_names(columns: pd.Index) -> list[str]:
    names = ["_".join(map(str, c)) if isinstance(c, tuple) else str(c) for c in columns]
    refuse_doubled(names, do="rename them, or keep the first of each: frame.loc[:, ~frame.columns.duplicated()]")
    return names


def refuse_doubled(names: Sequence[str], *, do: str, where: str | None = None) -> None:
    """Raise where a name occurs more than once, saying in which columns.

    Examples
    --------
    >>> refuse_doubled(["a", "b", "a"], do="rename one")
    Traceback (most recent call last):
        ...
    pellucid.errors.ColumnError: column names are not unique; got 'a' in columns 1 and 3. Rename one.
    """
    double = [n for n, k in Counter(names).items() if k > 1]
    if double:
        places = {n: [str(i) for i, name in enumerate(names, 1) if name == n] for n in double[:3]}
        told = [f"{n!r} in columns {', '.join(at[:-1])} and {at[-1]}" for n, at in places.items()]
        more = f" and {len(double) - 3} more names" if len(double) > 3 else ""
        raise ColumnError("column names are not unique", where=where, got=f"{'; '.join(told)}{more}", do=do)


def _nested(name: str) -> CellError:
    return CellError(
        "cells are nested",
        where=f"column {name!r}",
        expected="one value a cell",
        got="lists, dicts or arrays",
        do="give each part a column of its own",
    )


def _clean(series: pd.Series, name: str) -> pd.Series | None:
    """Return the column with scalar, typed cells, or None where it is fine as it is."""
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _clean_levels(series, name)
    if isinstance(dtype, pd.ArrowDtype):
        return _clean_arrow(series, name)
    if isinstance(dtype, pd.SparseDtype):
        dense = series.astype(dtype.subtype)
        again = _clean(dense, name)
        return dense if again is None else again
    if isinstance(dtype, pd.PeriodDtype):
        return pd.Series(series.dt.to_timestamp())
    if isinstance(dtype, pd.IntervalDtype):
        return series.astype(object).map(str, na_action="ignore")
    if dtype.kind == "c":
        raise CellError("Complex data not supported", where=f"column {name!r}", do="give real and imaginary parts a column each")
    if dtype.kind == "m":
        return pd.Series(series.dt.total_seconds())
    if dtype.kind in "SV":
        return _clean_objects(series.astype(object), name)
    if dtype == np.dtype(np.float16):
        return series.astype(np.float32)
    return _clean_objects(series, name) if pd.api.types.is_object_dtype(dtype) else None


def _clean_levels(series: pd.Series, name: str) -> pd.Series | None:
    if any(isinstance(v, _NESTED) for v in series.cat.categories):
        raise _nested(name)
    kept = series.cat.remove_unused_categories()
    if isinstance(kept.cat.categories, pd.IntervalIndex):
        return kept.cat.rename_categories([str(v) for v in kept.cat.categories])
    return None if len(kept.cat.categories) == len(series.cat.categories) else kept


def _clean_arrow(series: pd.Series, name: str) -> pd.Series | None:
    import pyarrow as pa

    kind = getattr(series.dtype, "pyarrow_dtype", None)
    if pa.types.is_nested(kind):
        raise _nested(name)
    if pa.types.is_dictionary(kind):
        return series.astype("category")
    if pa.types.is_duration(kind):
        return pd.Series(series.dt.total_seconds().astype(np.float64))
    if pa.types.is_date(kind):
        return series.astype("datetime64[s]")
    if pa.types.is_decimal(kind):
        return series.astype("double[pyarrow]").astype(np.float64)
    if pa.types.is_time(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_null(kind):
        again = series.astype(object)
        cleaned = _clean_objects(again, name)
        return again if cleaned is None else cleaned
    return None


def _clean_objects(series: pd.Series, name: str) -> pd.Series | None:
    """Return a column of Python objects with a proper type where all cells share one."""
    cells = list(series.array)
    kinds: set[type] = set(map(type, cells))
    if any(issubclass(k, _NESTED) for k in kinds):
        raise _nested(name)
    if any(issubclass(k, complex | np.complexfloating) for k in kinds):
        raise CellError("Complex data not supported", where=f"column {name!r}", do="give real and imaginary parts a column each")
    strange = sorted(k.__name__ for k in kinds if not issubclass(k, Hashable))
    if strange:
        raise CellError("cells cannot be used", where=f"column {name!r}", expected="numbers, text, dates or empty cells", got=strange[0])
    if kinds <= {str, type(None)}:
        return None
    if decimal.Decimal in kinds:  # a decimal NaN is no empty cell to pandas, and cannot even be compared
        cells = [None if isinstance(v, decimal.Decimal) and v.is_nan() else v for v in cells]
    present = [v for v in cells if not _is_empty(v)]
    changed = decimal.Decimal in kinds
    kinds = set(map(type, present))
    if not kinds:
        return pd.Series(np.full(len(cells), np.nan), index=series.index)
    made = None if all(issubclass(k, str) for k in kinds) else _of_kind(cells, present, kinds)
    if made is None:
        return pd.Series(cells, index=series.index, dtype=object) if changed else None
    return made.set_axis(series.index) if isinstance(made, pd.Series) else pd.Series(made, index=series.index)


def _is_empty(value: Any) -> bool:
    if value is None or value is pd.NA or value is pd.NaT:
        return True
    if isinstance(value, float | np.floating):
        return bool(value != value)
    return (isinstance(value, decimal.Decimal) and value.is_nan()) or (
        isinstance(value, np.datetime64 | np.timedelta64) and bool(np.isnat(value))
    )


def _of_kind(cells: list[Any], present: list[Any], kinds: set[type]) -> Any:
    """Return the cells in a type that holds them all, or None where they are fine as they are."""

    def every(*wanted: type) -> bool:
        return all(issubclass(k, wanted) for k in kinds)

    def mapped(change: Callable[[Any], Any], empty: Any = None) -> pd.Series:
        # built as objects: letting pandas guess the type would fail on text that is no valid UTF-8
        return pd.Series([empty if _is_empty(v) else change(v) for v in cells], dtype=object)

    if every(bool, np.bool_):
        return pd.Series([bool(v) for v in cells]) if len(present) == len(cells) else mapped(bool)
    if every(int, float, np.integer, np.floating, decimal.Decimal):
        if any(isinstance(v, int | np.integer) and abs(int(v)) >= 2**63 for v in present):
            return mapped(str)  # integers beyond 64 bits are names, not quantities
        if len(present) == len(cells) and every(int, np.integer):
            return np.array([int(v) for v in cells], np.int64)
        return mapped(float, np.nan).astype(np.float64)
    if every(datetime.timedelta, np.timedelta64):
        return mapped(
            lambda v: v.total_seconds() if isinstance(v, datetime.timedelta) else float(v / np.timedelta64(1, "s")), np.nan
        ).astype(np.float64)
    if every(datetime.time):
        return mapped(lambda t: t.hour * 3600 + t.minute * 60 + t.second + t.microsecond / 1e6, np.nan).astype(np.float64)
    if every(datetime.date, np.datetime64):
        return _dates(mapped(lambda v: v))
    # true becomes text beside others, because Python holds it equal to 1
    plain = (str, int, float, np.integer, np.floating)
    if all(issubclass(k, plain) and not issubclass(k, bool) for k in kinds):
        return None
    return mapped(
        lambda v: (
            v if isinstance(v, plain) and not isinstance(v, bool) else v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v)
        )
    )


def _dates(series: pd.Series) -> pd.Series:
    try:
        return pd.to_datetime(series)
    except (ValueError, TypeError, OverflowError):  # mixed time zones, or years that this pandas cannot hold: read from text later
        return pd.Series([None if v is None else str(v) if isinstance(v, np.datetime64) else v.isoformat() for v in series], dtype=object)


def to_library(frame: pd.DataFrame, library: str) -> Any:
    """Return a pandas frame as a frame of ``library``: ``"pandas"``, ``"polars"``, ``"pyarrow"`` or ``"numpy"`` (a 2-D array).

    Examples
    --------
    >>> to_library(pd.DataFrame({"a": [1, 2]}), "numpy").tolist()
    [[1], [2]]
    """
    if library == "pandas":
        return frame
    if library == "numpy":
        return frame.to_numpy()
    if library == "pyarrow":
        import pyarrow as pa

        return pa.Table.from_pandas(_uniform(frame), preserve_index=False)
    if library == "polars":
        import polars as pl

        return pl.from_pandas(_uniform(frame))
    raise RequestError(f"unknown library {library!r}", expected="pandas, polars, pyarrow or numpy")


def _uniform(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with mixed object columns as text, which Arrow needs."""
    mixed = [
        n
        for n in frame.columns
        if frame[n].dtype == object and pd.api.types.infer_dtype(frame[n], skipna=True) not in ("string", "boolean", "empty")
    ]
    made = {n: pd.Series([None if _is_empty(v) else str(v) for v in frame[n]], index=frame.index, dtype=object) for n in mixed}
    return with_columns(frame, made)
