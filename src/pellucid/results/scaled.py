"""What scaling and reduction did to a table, and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import RequestError
from pellucid.results.base import FloatArray, Result, RunRecord, plain

if TYPE_CHECKING:
    from pellucid.table import Table

__all__ = ["Reduction", "Scaled"]


@dataclass(frozen=True)
class Scaled(Result):
    """A table whose number columns were scaled, and the way back to their units.

    Attributes
    ----------
    table : the scaled table. columns : the S number columns.
    method, axis : how; along columns, or along each row. outside : what happens beyond the training range: ``"keep"`` or ``"clip"``.
    points : along columns, per column (values, places): the straight pieces between them are the scale.
    norms : along rows, (N,) what each row was divided by.
    """

    table: Table
    columns: tuple[str, ...]
    method: str
    axis: str
    outside: str
    record: RunRecord
    points: tuple[tuple[FloatArray, FloatArray], ...] = ()
    norms: FloatArray | None = None

    def transform(self, values: FloatArray) -> FloatArray:
        """Return numbers (N, S) in the columns' units on the learned scale; along columns only."""
        return np.column_stack([_along(v, x, z, self.outside) for v, (x, z) in zip(values.T, self._needed())])

    def inverse(self, values: FloatArray | None = None) -> FloatArray:
        """Return scaled numbers (N, S), by default the table's, in the columns' units."""
        z = np.column_stack([self.table.numbers(c) for c in self.columns]) if values is None else np.asarray(values, np.float64)
        if self.axis == "rows":
            assert self.norms is not None
            return np.asarray(z * self.norms[:, None])
        return np.column_stack([_along(v, p, x, self.outside) for v, (x, p) in zip(z.T, self._needed())])

    def _needed(self) -> tuple[tuple[FloatArray, FloatArray], ...]:
        if self.axis == "rows":
            raise RequestError("rows were scaled one by one: nothing was learned that new rows could be scaled by", do="use axis='columns'")
        return self.points

    def to_frame(self) -> pd.DataFrame:
        """Return one line per column: its range in its unit and on the scale; along rows: column, method."""
        if self.axis == "rows":
            return pd.DataFrame({"column": self.columns, "method": self.method, "axis": "rows"})
        ends = [(x[0], x[-1], z[0], z[-1]) if len(x) else (np.nan,) * 4 for x, z in self.points]
        frame = pd.DataFrame(ends, columns=["low", "high", "scaled low", "scaled high"])
        frame.insert(0, "column", self.columns)
        return frame.assign(method=self.method, outside=self.outside)

    def to_dict(self) -> dict[str, Any]:
        """Return the scales and the record as plain JSON types; the table is left out."""
        return dict(plain({"columns": self.to_frame(), "record": self.record}))


def _along(v: FloatArray, x: FloatArray, z: FloatArray, outside: str) -> FloatArray:
    """Return v on the line through (x, z), beyond its ends clipped or led on along the end pieces; NaN stays."""
    if not len(x):
        return np.full(len(v), np.nan)
    if len(x) == 1:
        return np.where(np.isnan(v), np.nan, z[0] if outside == "clip" else z[0] + (v - x[0]))
    inside = np.interp(v, x, z)
    if outside == "clip":
        return np.where(np.isnan(v), np.nan, inside)
    low, high = ((z[b] - z[a]) / (x[b] - x[a]) for a, b in ((0, 1), (-2, -1)))
    below, above = z[0] + (v - x[0]) * low, z[-1] + (v - x[-1]) * high
    return np.where(v < x[0], below, np.where(v > x[-1], above, np.where(np.isnan(v), np.nan, inside)))


@dataclass(frozen=True)
class Reduction(Result):
    """A table without what said nothing or the same twice, the reasons, and the way back.

    Attributes
    ----------
    table : what is left. before : the table as it was.
    columns : one mapping per dropped column: ``column``, ``reason``, ``kept`` (the one that says the same; empty for constants).
    rows : (M,) positions of dropped rows in ``before``. like : (M,) position of the row that each is like.
    reasons : (M,) why each row was dropped.
    """

    table: Table
    before: Table
    columns: tuple[Mapping[str, str], ...]
    rows: npt.NDArray[np.int64]
    like: npt.NDArray[np.int64]
    reasons: npt.NDArray[np.object_]
    record: RunRecord

    def to_frame(self) -> pd.DataFrame:
        """Return one line per dropped column and row: what, which, reason, kept."""
        columns = [{"what": "column", "which": c["column"], "reason": c["reason"], "kept": c["kept"]} for c in self.columns]
        rows = [{"what": "row", "which": int(r), "reason": w, "kept": int(k)} for r, k, w in zip(self.rows, self.like, self.reasons)]
        return pd.DataFrame([*columns, *rows], columns=["what", "which", "reason", "kept"])

    def restore(self) -> Table:
        """Return the table as it was."""
        return self.before

    def to_dict(self) -> dict[str, Any]:
        """Return what was dropped and the record as plain JSON types; the tables are left out."""
        return dict(plain({"dropped": self.to_frame(), "record": self.record}))
