"""Which columns count, as a test with a stated rate of false discoveries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import RequestError
from pellucid.results.base import FloatArray, Result, RunRecord

__all__ = ["Selection"]


@dataclass(frozen=True)
class Selection(Result):
    """Columns chosen by a test, for a whole table (P,) or for each row (N, P).

    Attributes
    ----------
    columns : the P columns that were tested.
    chosen : (P,) or (N, P): the null "this column adds nothing to the others" is rejected.
    statistic : same shape: the measured number; larger speaks more for the column.
    level : most false discoveries among the chosen, on average.
    control : by what they are bounded: ``"bh"``, ``"by"``, ``"symmetry"`` (one draw each) or ``"e-bh"``.
    words : what was found, in plain words.
    p_values, e_values : same shape, where the method has them.
    steps : same shape: observations a sequential test needed to reject, NaN where it did not; fewer is stronger.
    index : (N,) labels of the rows; None for a whole table.
    """

    columns: tuple[str, ...]
    chosen: npt.NDArray[np.bool_]
    statistic: FloatArray
    level: float
    control: str
    words: str
    method: str
    record: RunRecord
    p_values: FloatArray | None = None
    e_values: FloatArray | None = None
    steps: FloatArray | None = None
    index: npt.NDArray[Any] | None = None

    def __post_init__(self) -> None:
        shape = (len(self.columns),) if self.index is None else (len(self.index), len(self.columns))
        if self.chosen.shape != shape or self.statistic.shape != shape:
            raise RequestError("the parts of a selection do not fit together", expected=f"shape {shape}", got=str(self.chosen.shape))

    @property
    def names(self) -> tuple[str, ...]:
        """The chosen columns; those chosen in any row where rows were tested."""
        some = np.asarray(np.atleast_2d(self.chosen).any(axis=0))
        return tuple(c for c, here in zip(self.columns, some) if here)

    def of_row(self, row: int) -> tuple[str, ...]:
        """Return the columns chosen in the row at a position."""
        return tuple(c for c, here in zip(self.columns, np.atleast_2d(self.chosen)[row]) if here)

    def to_frame(self) -> pd.DataFrame:
        """Return one line per column, and row where rows were tested: row, column, chosen, statistic, p, e, steps."""
        n = 1 if self.index is None else len(self.index)
        frame: dict[str, Any] = {} if self.index is None else {"row": np.repeat(self.index, len(self.columns))}
        frame |= {"column": np.tile(np.asarray(self.columns, object), n), "chosen": self.chosen.reshape(-1)}
        frame["statistic"] = self.statistic.reshape(-1)
        for name, values in (("p", self.p_values), ("e", self.e_values), ("steps", self.steps)):
            if values is not None:
                frame[name] = values.reshape(-1)
        return pd.DataFrame(frame)
