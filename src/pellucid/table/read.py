"""Files and frames to tables, and new data to the schema of old data."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from pellucid.errors import ColumnError, EmptyTableError, PellucidWarning, RequestError, SourceError, did_you_mean, near_names, quote
from pellucid.table.frames import FrameLike, from_any, names_of_array, with_columns
from pellucid.table.hints import FLAG_WORDS
from pellucid.table.infer import infer_schema, retype
from pellucid.table.parse import is_null_word
from pellucid.table.schema import Schema
from pellucid.table.source import LIKE, read_file
from pellucid.table.table import Table
from pellucid.table.types import Column, ColumnType, Role

__all__ = ["apply_schema", "iterate_parquet", "read_table"]


def read_table(
    source: str | os.PathLike[str] | FrameLike | Table,
    *,
    target: str | None = None,
    types: Mapping[str, Any] | None = None,
    missing: Mapping[str, Iterable[Any]] | Iterable[Any] | None = None,
    schema: Schema | Mapping[str, Any] | None = None,
    index: str | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    doubled: str = "refuse",
) -> Table:
    """Return the table in a file or frame, with a description of its columns.

    Parameters
    ----------
    source : path of a CSV (``.csv``, ``.tsv``, ``.txt``; also ``.gz``, ``.bz2``, ``.xz``, ``.zip``, ``.zst``), Parquet or Feather file,
        or a pandas, polars or pyarrow frame, numpy array, list of dicts or dict of columns.
    target : the column to be predicted.
    types : types that the user sets: ``{"zip": "category"}``; a list of levels sets an ordered column.
    missing : codes that mean "missing": ``{"age": [-999]}``, or a list for all columns.
    schema : a schema to apply instead of inferring one (or the same as ``types`` where it is a plain mapping).
    index : the column of row labels; it leaves the cells.
    delimiter, encoding : of a CSV file; found where not given (comma, semicolon, tab, bar; UTF-8, UTF-16, else Windows-1252).
    doubled : what is done about names that stand twice in the header of a CSV file: ``refuse`` them, or ``number`` the later (``a.1``).

    The first line of a CSV file is its header, always: whether a header is missing is not guessed. Cells are read as text, so that
    leading zeros and ``NA`` are kept until the types are known; columns of plain numbers are then stored as numbers.

    Errors
    ------
    SourceError, ColumnError, EmptyTableError, TargetError, CellError; each names the file, column or line. Cost: about 0.1 s per million
    cells.

    Examples
    --------
    >>> table = read_table({"age": [31, 45, 27], "city": ["Bern", "Rome", "Bern"]}, target="city")
    >>> len(table), table.target, table.features
    (3, 'city', ('age',))
    """
    if schema is not None and not isinstance(schema, Schema):
        types, schema = {**schema, **(types or {})}, None
    if isinstance(source, Table):
        return _retold(source, target, types, missing, schema, free=schema is None)
    is_path = isinstance(source, str | os.PathLike | bytes)
    if is_path:
        library, name = "pandas", os.fsdecode(source)
        frame = _tighten(read_file(source, delimiter=delimiter, encoding=encoding, doubled=doubled), schema)
    else:
        (frame, library), name = from_any(source), ""
    if index is not None:
        frame = _indexed(frame, index)
    if schema is None:
        schema = infer_schema(frame, target=target, types=types, missing=missing, library=library)
        frame = _plain_numbers(frame, schema) if is_path else frame
        return Table(frame, schema, library, name)
    table = _conform(frame, library, name, schema, ())
    if is_path:
        table = replace(table, frame=_plain_numbers(table.frame, table.schema))
    return _retold(table, target, types, missing, None)


def _retold(table: Table, target: str | None, types: Any, missing: Any, schema: Schema | None, free: bool = False) -> Table:
    """Return a table under changed roles, types and missing codes; ``free``: no schema says that its types must stay."""
    if schema is not None:
        table = apply_schema(table, schema)
    new = table.schema
    fresh = infer_schema(table.frame, target=target, missing=missing, library=table.library) if target is not None or missing else None
    if fresh is not None and missing:
        for name in (n for n in fresh.names if set(fresh[n].missing) - set(new[n].missing)):
            codes = tuple(dict.fromkeys((*new[name].missing, *fresh[name].missing)))
            # declared codes free a column from the type that they forced on it
            forced = free and new[name].type is infer_schema(table.frame[[name]], library=table.library)[name].type
            change = {k: getattr(fresh[name], k) for k in READ} if forced else {"levels": _without(new[name], fresh[name])}
            new = new.edit(name, missing=codes, **change)
    for name, kind in (types or {}).items():
        new = retype(new, table.frame[new[name].name], name, kind)
    if target is not None:
        new = new.with_roles(target=target)
    return table.with_schema(new)


READ = ("type", "levels", "decimal", "date_format", "suffix", "evidence")
"""What a column's cells say of it, beside what the user does."""


def _without(old: Column, fresh: Column) -> tuple[str, ...]:
    return tuple(level for level in old.levels if level not in fresh.missing)


def _indexed(frame: pd.DataFrame, index: str) -> pd.DataFrame:
    if index not in frame.columns:
        raise ColumnError(
            f"there is no column {index!r} for the row labels",
            expected=f"one of {quote(frame.columns, 12)}",
            do=did_you_mean(index, frame.columns),
        )
    if len(frame.columns) == 1:
        raise ColumnError("the row labels are the only column", do="leave out index=")
    return frame.set_index(index)


# --- text of a file to numbers -------------------------------------------------------------------------------------------------------


def _tighten(frame: pd.DataFrame, schema: Schema | None) -> pd.DataFrame:
    """Return the frame with text columns that are plain numerals throughout as numbers; leading zeros and long digits stay text."""
    wanted = [
        n
        for n in frame.columns
        if schema is None or (n in schema and not schema[n].type.is_level and schema[n].type is not ColumnType.TEXT)
    ]
    made = {n: new for n in wanted if not pd.api.types.is_numeric_dtype(frame[n].dtype) and (new := _as_number(frame[n])) is not None}
    return pd.DataFrame({n: made.get(n, frame[n]) for n in frame.columns}, index=frame.index) if made else frame


def _as_number(series: pd.Series) -> pd.Series | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    if series.dtype != object and not isinstance(series.dtype, pd.StringDtype):
        return None
    try:
        text = pa.array(series, pa.string(), from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError):
        return None
    text = text.combine_chunks() if isinstance(text, pa.ChunkedArray) else text
    some = text.drop_null()[:50]
    if len(some) == 0:
        return None
    try:
        pc.cast(pc.utf8_trim_whitespace(some), pa.float64())  # a look at the first cells spares most text columns the whole pass
        text = pc.utf8_trim_whitespace(text)
        numbers = _cast(text)
    except pa.ArrowInvalid:
        return None
    if pc.any(pc.match_substring_regex(text, r"^[+-]?0[0-9xX]|^[+-]?[0-9]{16,}$")).as_py():
        return None
    return pd.Series(numbers.to_numpy(zero_copy_only=False), index=series.index, name=series.name)


def _cast(text: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return pc.cast(text, pa.int64())
    except pa.ArrowInvalid:
        return pc.cast(text, pa.float64())


def _plain_numbers(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Return the frame with number columns whose only words are missing codes as numbers; cells written in another way stay as they are."""
    import pyarrow as pa

    made: dict[str, pd.Series] = {}
    for column in schema:
        if (
            column.type is not ColumnType.NUMBER
            or column.decimal != "."
            or column.name not in frame
            or frame[column.name].dtype.kind in "iufbM"
        ):
            continue
        series = frame[column.name]
        codes, uniques = pd.factorize(series, use_na_sentinel=True)
        texts = [str(u).strip() for u in uniques]
        try:
            numerals = pa.array([None if is_null_word(t) or t in column.missing else t for t in texts], pa.string())
            values = numerals.cast(pa.float64()).to_numpy(zero_copy_only=False)
        except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError):
            continue
        made[column.name] = pd.Series(np.append(values, np.nan)[codes], index=series.index)
    return with_columns(frame, made)


# --- new data ------------------------------------------------------------------------------------------------------------------------


def apply_schema(frame: FrameLike | Table, schema: Schema, *, ignore: Iterable[str] = ()) -> Table:
    """Return new data under the schema of old data: its columns in its order, further columns dropped.

    Parameters
    ----------
    frame : any frame or table. Columns are matched by name; those of an array by position.
    ignore : columns that the result leaves out, and that no message calls new (a target at prediction).

    Columns that no model reads (identifiers, constants, target, weight, ...) may be absent; they are then left out of the result's schema.
    Whether number columns hold numbers shows when they are read (:meth:`Table.numbers`).

    Errors
    ------
    ColumnError for an input column that is absent.

    Examples
    --------
    >>> old = read_table({"age": [31, 45], "city": ["Bern", "Rome"]})
    >>> apply_schema({"city": ["Oslo"], "age": [50], "new": [0]}, old.schema).columns
    ('age', 'city')
    """
    if isinstance(frame, Table):
        return _conform(frame.frame, frame.library, frame.source, schema, ignore)
    cells, library = from_any(frame)
    return _conform(cells, library, "", schema, ignore)


def _conform(frame: pd.DataFrame, library: str, source: str, schema: Schema, ignore: Iterable[str]) -> Table:
    gone = {n for n in ignore if n not in schema or not schema[n].is_usable}  # labels may bear the name of a column that is read
    columns = [c for c in schema if c.name not in gone]
    frame = _by_position(frame, library, [c.name for c in columns], schema)
    have = set(frame.columns)
    absent = [c.name for c in columns if c.name not in have and c.is_usable]
    if absent:
        extra = [n for n in frame.columns if n not in schema and n not in gone]
        raise ColumnError(
            f"the column {absent[0]!r} is missing" if len(absent) == 1 else f"{len(absent)} columns are missing: {quote(absent)}",
            where=source or None,
            expected="every column that the model reads",
            got=f"new columns {quote(extra)}" if extra else None,
            do=_how_to_add(absent, extra),
        )
    kept = [c for c in columns if c.name in have]
    cells = frame[[c.name for c in kept]]
    flags = {
        c.name: _named_flags(cells[c.name], c) for c in kept if c.type is ColumnType.BOOLEAN and c.levels and _is_flag(cells[c.name], c)
    }
    return Table(with_columns(cells, flags), replace(schema, columns=tuple(kept)), library, source)


def _how_to_add(absent: list[str], extra: list[str]) -> str:
    """Return what to do about absent columns: where a new one has nearly the name of one, it is most likely that one."""
    for name in absent:
        if near := near_names(name, extra, 1, LIKE):
            return f"rename {near[0]!r} to {name!r} if that is the one, or add the column; its cells may be empty"
    return "add the column; its cells may be empty" if len(absent) == 1 else "add the columns; their cells may be empty"


def _by_position(frame: pd.DataFrame, library: str, names: list[str], schema: Schema) -> pd.DataFrame:
    """Name the columns of an array by position, and those of a frame where the schema came from an array."""
    given = list(frame.columns)
    unnamed_schema = list(schema.names) == names_of_array(len(schema)) or names == names_of_array(len(names))
    if library != "numpy" and not (unnamed_schema and not set(given) & set(names)):
        return frame
    if set(names) <= set(given) and unnamed_schema:
        return frame
    usable = [n for n in names if schema[n].role is Role.FEATURE]
    wanted = names if len(given) == len(names) else usable
    if len(given) != len(wanted):
        raise ColumnError(
            "the number of columns does not fit",
            expected=f"{len(wanted)} columns",
            got=str(len(given)),
            do=f"give the columns {quote(wanted, 8)}",
        )
    if not unnamed_schema or library != "numpy":
        warnings.warn(
            "columns are matched by position, because either the old or the new data have no column names", PellucidWarning, stacklevel=4
        )
    return frame.set_axis(wanted, axis=1)


def _is_flag(series: pd.Series, column: Column) -> bool:
    """Tell whether cells are true and false, or 0 and 1 where the column calls them by words of that sense."""
    if series.dtype.kind == "b":
        return not {"True", "False"} & set(column.levels) and len(column.levels) == 2
    words = tuple(level.casefold() for level in column.levels)
    return series.dtype.kind in "iuf" and words in FLAG_WORDS and bool(series.dropna().isin((0, 1)).all())


def _named_flags(series: pd.Series, column: Column) -> pd.Series:
    """Return true and false as the levels by which the column calls them."""
    low, high = column.levels  # booleans keep the negative level first
    return pd.Series(np.where(series.to_numpy(bool, na_value=False), high, low), index=series.index).where(series.notna().to_numpy())


def iterate_parquet(path: str | os.PathLike[str], batch_rows: int = 65_536, *, schema: Schema | None = None) -> Iterator[Table]:
    """Yield a Parquet file as tables of at most ``batch_rows`` rows, so that memory holds one at a time.

    The schema is inferred from the first batch where none is given, and applied to all others.
    """
    import pyarrow as pa
    import pyarrow.parquet

    if batch_rows < 1:
        raise RequestError("batch_rows is too small", expected="at least 1", got=str(batch_rows))
    try:
        file = pyarrow.parquet.ParquetFile(os.fspath(path))
    except (pa.ArrowException, OSError) as error:
        raise SourceError("the Parquet file cannot be read", where=os.fsdecode(path), got=str(error).splitlines()[0][:120]) from error
    with file:
        if file.metadata.num_rows == 0:
            raise EmptyTableError("the file has no rows", where=os.fsdecode(path))
        start = 0
        for batch in file.iter_batches(batch_size=batch_rows):
            frame = from_any(pa.Table.from_batches([batch]))[0]
            frame.index = pd.RangeIndex(start, start + len(frame))
            start += len(frame)
            schema = infer_schema(frame, library="pandas") if schema is None else schema
            yield replace(_conform(frame, "pandas", os.fsdecode(path), schema, ()))
