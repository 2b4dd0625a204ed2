"""Which cells were filled, with what, by which rule, and what that did to the columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import RequestError
from pellucid.results.base import Result, RunRecord

if TYPE_CHECKING:
    from pellucid.table import Table

__all__ = ["Fills"]


@dataclass(frozen=True)
class Fills(Result):
    """A filled table, and the list of what was filled: nothing is filled in silence, and all of it can be taken back.

    Attributes
    ----------
    table : the filled table. before : the table as it was.
    rows, columns : (M,) position and column of each filled cell. old, new : (M,) what was written there, and what stands there now.
    rules : (M,) the rule of each.
    effects : one mapping per filled column: ``column``, ``rule``, ``cells``, ``share`` (of the rows), ``distance`` (of the filled column
        from its observed cells: Kolmogorov-Smirnov for numbers, total variation for levels), ``variance_ratio`` (filled over observed),
        ``correlation_change`` (largest over the other number columns, negative where it went towards 0) with ``partner``, ``distorted``
        and ``words``.
    """

    table: Table
    before: Table
    rows: npt.NDArray[np.int64]
    columns: npt.NDArray[np.object_]
    old: npt.NDArray[np.object_]
    new: npt.NDArray[np.object_]
    rules: npt.NDArray[np.object_]
    effects: tuple[Mapping[str, Any], ...]
    record: RunRecord

    def __len__(self) -> int:
        return len(self.rows)

    def to_frame(self) -> pd.DataFrame:
        """Return one line per filled cell: row, column, old, new, rule."""
        return pd.DataFrame({"row": self.rows, "column": self.columns, "old": self.old, "new": self.new, "rule": self.rules})

    def effects_frame(self) -> pd.DataFrame:
        """Return one line per filled column: what filling did to its distribution and relations."""
        return pd.DataFrame([dict(e) for e in self.effects])

    def undo(self, table: Table | None = None) -> Table:
        """Return the table as it was; of another table that holds the filled cells, these cells as they were.

        Raises
        ------
        RequestError : a cell no longer holds what was filled in.
        """
        if table is None:
            return self.before
        frame = table.frame
        changed: dict[str, Any] = {}
        for name in dict.fromkeys(self.columns.tolist()):
            at = self.rows[self.columns == name]
            if not frame[name].iloc[at].equals(self.table.frame[name].iloc[at]):
                raise RequestError("some cells do not hold what was filled in", where=f"column {name!r}", do="undo before other changes")
            was = self.before.frame[name]
            cells = frame[name].to_numpy(object, copy=True)
            cells[at] = was.iloc[at].to_numpy(object)
            changed[name] = pd.Series(cells, index=frame.index).astype(was.dtype)
        return table.with_cells(changed)

    def to_dict(self) -> dict[str, Any]:
        """Return the cells, the effects and the record as plain JSON types; the tables are left out."""
        from pellucid.results.base import plain

        return dict(plain({"cells": self.to_frame(), "effects": list(self.effects), "record": self.record}))
