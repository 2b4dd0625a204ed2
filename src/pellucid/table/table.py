"""A validated table: the user's cells beside their description.

``frame`` keeps the cells as the user wrote them; ``numbers``, ``seconds`` and ``levels`` give them in canonical form (float64 with NaN,
float64 seconds since 1970 with NaN, integer codes with -1), computed once per column.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import ColumnError, quote
from pellucid.table import cells
from pellucid.table.frames import with_columns
from pellucid.table.schema import Schema
from pellucid.table.types import ColumnType, Role

__all__ = ["Table"]


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of cells and their schema. Frozen: every change gives a new table.

    Attributes
    ----------
    frame : pandas frame of the cells as written, columns in schema order; index = row labels (0..N-1 unless the caller had others).
    schema : description of every column.
    library : the library the caller's frame came from: ``"pandas"``, ``"polars"``, ``"pyarrow"`` or ``"numpy"``; foreign models are
        called with it.
    source : file the cells came from, for messages; empty for frames.
    """

    frame: pd.DataFrame
    schema: Schema
    library: str = "pandas"
    source: str = ""
    _cache: dict[tuple[str, str], Any] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if tuple(self.frame.columns) != self.schema.names:
            raise ColumnError(
                "the frame does not have the columns of the schema",
                expected=quote(self.schema.names, 12),
                got=quote(self.frame.columns, 12),
            )

    def __len__(self) -> int:
        return len(self.frame)

    def __repr__(self) -> str:
        head = f"Table of {len(self.frame)} rows, {len(self.schema)} columns" + (f" from {self.source}" if self.source else "")
        return f"{head}\n{self.schema!r}"

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.frame)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns."""
        return self.schema.names

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the columns a model reads."""
        return self.schema.features

    @property
    def index(self) -> npt.NDArray[Any]:
        """Row labels."""
        return np.asarray(self.frame.index)

    def _cached(self, kind: str, name: str, make: Any) -> Any:
        if (kind, name) not in self._cache:
            self._cache[kind, name] = make()
        return self._cache[kind, name]

    def numbers(self, name: str) -> npt.NDArray[np.float64]:
        """Return a number column as float64, NaN where missing. Cells that are no number raise :class:`CellError`."""
        column = self.schema[name]
        return np.asarray(self._cached("numbers", name, lambda: cells.numbers(self.frame[name], column, self.source)))

    def seconds(self, name: str) -> npt.NDArray[np.float64]:
        """Return a date column as float64 seconds since 1970 (UTC), NaN where missing."""
        column = self.schema[name]
        return np.asarray(self._cached("seconds", name, lambda: cells.seconds(self.frame[name], column, self.source)))

    def levels(self, name: str) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
        """Return (codes, levels): the cells' canonical texts as codes into the distinct texts present, -1 where missing."""
        column = self.schema[name]
        codes, texts = self._cached("levels", name, lambda: cells.levels(self.frame[name], column))
        return codes, texts

    def texts(self, name: str) -> npt.NDArray[np.object_]:
        """Return the cells as canonical text, None where missing."""
        codes, levels = self.levels(name)
        return np.asarray([*levels, None], object)[codes]

    def missing(self, name: str) -> npt.NDArray[np.bool_]:
        """Return which cells are missing, (N,)."""
        kind = self.schema[name].type
        if kind is ColumnType.NUMBER:
            return np.isnan(self.numbers(name))
        if kind is ColumnType.DATE:
            return np.isnan(self.seconds(name))
        return self.levels(name)[0] < 0

    def take(self, rows: Any) -> Table:
        """Return some rows: positions, a slice or a boolean mask."""
        return replace(self, frame=self.frame.iloc[rows], _cache={})

    def pieces(self, size: int) -> list[Table]:
        """Return the rows in pieces of ``size``: the table itself where it is no longer than one, none where it is empty."""
        if 0 < len(self) <= size:
            return [self]
        return [self.take(slice(start, start + size)) for start in range(0, len(self), size)]

    def select(self, names: Iterable[str]) -> Table:
        """Return some columns, in the given order."""
        wanted = list(names)
        return replace(self, schema=self.schema.select(wanted), frame=self.frame[wanted], _cache={})

    def drop(self, names: Iterable[str]) -> Table:
        """Return the table without some columns; names that are absent are ignored."""
        gone = set(names)
        return self.select(c for c in self.columns if c not in gone)

    def with_schema(self, schema: Schema) -> Table:
        """Return the same cells under another schema of the same columns."""
        return replace(self, schema=schema, frame=self.frame[list(schema.names)], _cache={})

    def with_types(self, /, **types: str) -> Table:
        """Return the table with some columns' types set: ``with_types(zip="category")``."""
        from pellucid.table.infer import retype

        schema = self.schema
        for name, kind in types.items():
            schema = retype(schema, self.frame[schema[name].name], name, kind)
        return self.with_schema(schema)

    def with_units(self, /, **units: str) -> Table:
        """Return the table with units of numbers: ``with_units(age="years")``."""
        return self.with_schema(self.schema.with_units(**units))

    def with_roles(self, **roles: str | Sequence[str] | None) -> Table:
        """Return the table with roles: ``target``, ``weight``, ``group``, ``order``, ``ignore``, ``sensitive``."""
        return self.with_schema(self.schema.with_roles(**roles))

    def with_rules(self, /, *joint: str, **rules: Any) -> Table:
        """Return the table with rules of what a person may change; see :meth:`Schema.with_rules`."""
        return self.with_schema(self.schema.with_rules(*joint, **rules))

    def with_cells(self, cells_by_column: Mapping[str, Any]) -> Table:
        """Return the table with whole columns of cells replaced (same types)."""
        return replace(self, frame=with_columns(self.frame, cells_by_column)[list(self.columns)], _cache={})

    @property
    def target(self) -> str | None:
        """Name of the target column, or None."""
        return self.schema.role(Role.TARGET)

    def fingerprint(self) -> str:
        """Return a short hash of names, types and cells: equal tables, equal text."""
        digest = hashlib.blake2b(digest_size=8)
        digest.update(repr([(c.name, str(c.type)) for c in self.schema]).encode())
        for name in self.columns:
            if self.schema[name].type is ColumnType.NUMBER and self.frame[name].dtype.kind in "iufb":
                digest.update(np.ascontiguousarray(self.frame[name].to_numpy(np.float64)).tobytes())
            else:
                codes, levels = cells.levels(self.frame[name], self.schema[name])
                digest.update(codes.tobytes() + "\0".join(levels).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def native(self, frame: pd.DataFrame | None = None) -> Any:
        """Return the cells (or ``frame``, of the same columns) as a frame of the caller's library."""
        from pellucid.table.frames import to_library

        return to_library(self.frame if frame is None else frame, self.library)

    def _repr_html_(self) -> str:
        types = pd.DataFrame(
            [{"column": c.name, "type": str(c.type), "role": c.use, "unit": c.unit, "why": c.evidence} for c in self.schema]
        )
        return f"<p><b>Table</b>: {self.n_rows} rows, {len(self.schema)} columns</p>" + types.to_html(escape=True, index=False, border=0)
