"""Cells to states and back: every column as a finite set of states, from which cells in the user's own form can be drawn again.

A row model learns the probability of each state; a state leads back to a cell: a level as it was written, a number between the two ends of
its state in the shape of the training numbers, a date or a text among training cells of its state. Missing is a state of its own (0).

For a network each cell also has a place: two slots of its column and a weight between them (``lo``, ``hi``, ``share``), so that numbers are
read in full precision and not as bins. Slot 0 of a column is "missing", slot 1 "never seen". Letters: N rows, C columns, S states of one
column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.encode.cell_codes import GRID, Codes, LevelCodes, NumberCodes, TextCodes, codes_for
from pellucid.encode.written import put
from pellucid.errors import ColumnError, ModelFileError, quote
from pellucid.table import Table
from pellucid.table.frames import with_columns

__all__ = ["Codebook", "CodedCells"]

FloatArray = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CodedCells:
    """Cells as states and places.

    Attributes
    ----------
    state : (N, C) int64, -1 for a level that training did not have.
    lo, hi : (N, C) int64, slots within the column. share : (N, C) float32, weight of ``hi``.
    beyond : (N, C) float32, nats by which the cell is less likely than its state: outside the training range, or never seen.
    """

    state: Ints
    lo: Ints
    hi: Ints
    share: npt.NDArray[np.float32]
    beyond: npt.NDArray[np.float32]

    def take(self, rows: Any) -> CodedCells:
        """Return some rows."""
        return CodedCells(self.state[rows], self.lo[rows], self.hi[rows], self.share[rows], self.beyond[rows])


class Codebook:
    """The codes of all columns of a table, side by side.

    Parameters
    ----------
    columns : one :class:`NumberCodes`, :class:`LevelCodes` or :class:`TextCodes` per column.

    Attributes
    ----------
    names : the C columns. slot_start, state_start : (C + 1,) where each column's slots and states begin when all are laid side by side.

    Examples
    --------
    >>> from pellucid.table import read_table
    >>> table = read_table(pd.DataFrame({"size": [1.0, 2.5, 4.0] * 9, "kind": ["a", "b", None] * 9}))
    >>> book = Codebook.fit(table, ("size", "kind"))
    >>> book.read(table).state[:3].tolist()
    [[1, 1], [2, 2], [3, 0]]
    """

    def __init__(self, columns: Sequence[Codes]) -> None:
        self.columns = tuple(columns)
        self.names = tuple(c.name for c in columns)
        self.slot_start = np.cumsum([0, *(len(c.slot_z) for c in columns)])
        self.state_start = np.cumsum([0, *(len(c.counts) for c in columns)])

    @classmethod
    def fit(cls, table: Table, names: Sequence[str], seed: int = 0) -> Codebook:
        """Learn the states of some columns from the training rows."""
        return cls([codes_for(table, name).fit(table, name, seed) for name in names])

    def read(self, table: Table) -> CodedCells:
        """Return the cells of a table of these columns. Cells that cannot be read raise :class:`~pellucid.errors.CellError`."""
        absent = [c for c in self.names if c not in table.columns]
        if absent:
            raise ColumnError("columns are not in the data", expected=quote(self.names, 12), got=f"no {quote(absent)}")
        parts = [codes.read(table) for codes in self.columns]
        state, lo, hi = (np.stack([p[k] for p in parts], 1).astype(np.int64) for k in range(3))
        share, beyond = (np.stack([p[k] for p in parts], 1).astype(np.float32) for k in (3, 4))
        return CodedCells(state, lo, hi, share, beyond)

    def write(self, frame: pd.DataFrame, drawn: npt.NDArray[np.bool_], state: Ints, share: FloatArray) -> pd.DataFrame:
        """Return ``frame`` (N rows) with the cells ``drawn`` (N, C) replaced by what their states (N, C) and shares lead back to."""
        changed: dict[str, pd.Series] = {}
        for j, codes in enumerate(self.columns):
            rows = np.flatnonzero(drawn[:, j])
            if not len(rows):
                continue
            old = frame[codes.name]
            new = codes.cells(state[rows, j], share[rows, j], old)
            changed[codes.name] = put(old, rows, new)
        return with_columns(frame, changed)

    def state(self) -> dict[str, Any]:
        """Return what :meth:`from_state` needs: plain JSON types and arrays."""
        kinds = {NumberCodes: "number", LevelCodes: "level", TextCodes: "text"}
        return {"columns": [{"kind": kinds[type(c)], **dict(vars(c).items())} for c in self.columns]}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Codebook:
        """Return the codebook that :meth:`state` described."""
        kinds: dict[str, Any] = {"number": NumberCodes, "level": LevelCodes, "text": TextCodes}
        ints = ("lo", "hi", "atom_state", "cut_state")
        try:
            columns = []
            for saved in state["columns"]:
                fields: dict[str, Any] = {}
                for key, value in saved.items():
                    if key in ("written", "levels", "pools"):
                        fields[key] = tuple(tuple(v) if isinstance(v, list | tuple) else v for v in value)
                    elif isinstance(value, list | np.ndarray):
                        fields[key] = np.asarray(value, np.int64 if key in ints else np.float64)
                    elif key != "kind":
                        fields[key] = value
                if "grid" in fields:
                    fields["grid"] = fields["grid"].reshape(-1, GRID + 1)
                columns.append(kinds[saved["kind"]](**fields))
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError("the codes cannot be read", got=f"{type(error).__name__}: {error}", do="save the model again") from error
        return cls(columns)
