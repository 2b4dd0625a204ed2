"""Cells that are probably wrong, what they should probably be, and the way there and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import RequestError
from pellucid.results.base import FloatArray, Result, RunRecord, plain

if TYPE_CHECKING:
    from pellucid.table import Table

__all__ = ["RepairTrace", "Repairs"]

SURE = 0.9
"""What is less sure is proposed and not applied unless it is asked for."""


@dataclass(frozen=True)
class Repairs(Result):
    """Proposals, one per cell. Nothing is changed until ``apply`` is called, and ``undo`` takes it back.

    Attributes
    ----------
    rows, columns : (M,) position and column of each cell. old, new : (M,) what is written there, and what it should be; None: missing.
    rules : (M,) by what rule. confidence : (M,) 0 to 1: how sure the rule is; from 0.9 on they are applied.
    reasons : (M,) in plain words.
    read_as_missing : by column the words that are already read as missing (``"?"``), with their number; no cell needs to change for them.
    """

    rows: npt.NDArray[np.int64]
    columns: npt.NDArray[np.object_]
    old: npt.NDArray[np.object_]
    new: npt.NDArray[np.object_]
    rules: npt.NDArray[np.object_]
    confidence: FloatArray
    reasons: npt.NDArray[np.object_]
    record: RunRecord
    read_as_missing: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, keep: Any) -> Repairs:
        """Return some proposals: a mask or positions."""
        fields = ("rows", "columns", "old", "new", "rules", "confidence", "reasons")
        return replace(self, **{f: getattr(self, f)[keep] for f in fields})

    def sure(self, least: float = SURE) -> Repairs:
        """Return the proposals of at least this confidence."""
        return self[self.confidence >= least]

    def apply(self, table: Table, least: float = SURE) -> Table:
        """Return the table with the proposals of at least this confidence carried out.

        Raises
        ------
        RequestError : a cell no longer holds what the proposal was made for.
        """
        return _exchanged(table, self.sure(least), "old", "new")

    def undo(self, table: Table, least: float = SURE) -> Table:
        """Return the table as it was before ``apply(table, least)``."""
        return _exchanged(table, self.sure(least), "new", "old")

    def to_frame(self) -> pd.DataFrame:
        """Return one line per proposal, surest first: row, column, old, new, rule, confidence, reason."""
        frame = pd.DataFrame({"row": self.rows, "column": self.columns, "old": self.old, "new": self.new, "rule": self.rules})
        frame = frame.assign(confidence=self.confidence, reason=self.reasons)
        return frame.sort_values(["confidence", "row", "column"], ascending=[False, True, True], kind="stable", ignore_index=True)

    def to_dict(self) -> dict[str, Any]:
        """Return the proposals and the record as plain JSON types."""
        return dict(plain({"proposals": self.to_frame(), "read_as_missing": self.read_as_missing, "record": self.record}))


def _same(cell: Any, wanted: Any) -> bool:
    blank = wanted is None or wanted is pd.NA or wanted != wanted
    if blank or cell is None or cell is pd.NA or cell != cell:
        return bool(blank and (cell is None or cell is pd.NA or cell != cell))
    return bool(cell == wanted)


def _exchanged(table: Table, repairs: Repairs, held: str, put_in: str) -> Table:
    """Return the table with the cells that hold ``held`` holding ``put_in``, each column in a dtype that can."""
    changed: dict[str, Any] = {}
    for name in dict.fromkeys(repairs.columns.tolist()):
        mine = repairs.columns == name
        rows, was, now = repairs.rows[mine], getattr(repairs, held)[mine], getattr(repairs, put_in)[mine]
        series = table.frame[name]
        cells = series.to_numpy(object, copy=True)
        wrong = [int(r) for r, w in zip(rows, was) if r >= len(cells) or not _same(cells[r], w)]
        if wrong:
            raise RequestError(
                "the cells do not hold what the proposals speak of", where=f"column {name!r}, rows {wrong[:5]}", do="propose again"
            )
        cells[rows] = now
        changed[name] = _fitting(cells, series)
    return table.with_cells(changed) if changed else table


def _fitting(cells: npt.NDArray[np.object_], like: pd.Series) -> pd.Series:
    """Return cells in the dtype of ``like`` where it can hold them without loss."""
    made = pd.Series(cells, index=like.index, name=like.name, dtype=object)
    if isinstance(like.dtype, pd.CategoricalDtype):
        new = [c for c in dict.fromkeys(made.dropna()) if c not in like.cat.categories]
        return made.astype(pd.CategoricalDtype([*like.cat.categories, *new], like.cat.ordered))
    try:
        typed = made.astype(like.dtype)
    except (TypeError, ValueError, OverflowError):
        return made.infer_objects()
    kept = typed.to_numpy(object)
    return typed if all(_same(a, b) for a, b in zip(kept, cells) if b is not None) else made.infer_objects()


@dataclass(frozen=True)
class RepairTrace(Result):
    """What repairs changed in a model's answers, on the rows they touched.

    Attributes
    ----------
    rows : (M,) positions of the touched rows. before, after : (M, O) answers, probabilities or numbers. outputs : their O names.
    changed : (M,) the decision is another one (classes), or the number differs.
    values_before, values_after : (M, C) contributions to the explained output; None where there are none. columns : their names.
    intervals : (M,) each: "low before", "high before", "low after", "high after"; empty for classes and for models that give none.
    words : what it comes to.
    """

    rows: npt.NDArray[np.int64]
    outputs: tuple[str, ...]
    before: FloatArray
    after: FloatArray
    changed: npt.NDArray[np.bool_]
    words: str
    record: RunRecord
    columns: tuple[str, ...] = ()
    values_before: FloatArray | None = None
    values_after: FloatArray | None = None
    intervals: Mapping[str, FloatArray] = field(default_factory=dict)

    def to_frame(self) -> pd.DataFrame:
        """Return one line per touched row: answers and intervals before and after, the column whose reason moved most."""
        frame: dict[str, Any] = {"row": self.rows, "changed": self.changed}
        for j, name in enumerate(self.outputs):
            frame |= {f"{name} before": self.before[:, j], f"{name} after": self.after[:, j]}
        frame |= dict(self.intervals)
        if self.values_before is not None and self.values_after is not None:
            moved = self.values_after - self.values_before
            most = np.abs(moved).argmax(axis=1) if len(moved) else np.zeros(0, np.int64)
            frame["reason moved most"] = [self.columns[j] for j in most]
            frame["moved by"] = moved[np.arange(len(moved)), most]
        return pd.DataFrame(frame)
