"""Why a row resembles the known rows named for it, column by column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import RequestError
from pellucid.results.base import FloatArray, Result, RunRecord

__all__ = ["Resemblance"]


@dataclass(frozen=True)
class Resemblance(Result):
    """What makes rows resemble known rows: how far the similarity falls when a column's cell is replaced.

    Attributes
    ----------
    index : (N,) labels of the explained rows. positions : (N, k) places of the named rows in ``known``, the most similar first.
    data : (N, C) the explained cells as the user wrote them. known : the known rows.
    columns : the P players. similarity : (N, k) from 0 to 1. falls : (N, k, P) mean fall of the similarity when the player's cells are
        those of other rows; below 0 where it rises. error : (N, k, P) standard error over those rows.
    checked : share of the pairs whose column named first, found with half of the other rows, lowers the similarity most with the other
        half too, with its 95 % interval; 1 / P by chance.
    scale, method, record : what similarity is, how they were made.
    """

    index: npt.NDArray[Any]
    positions: npt.NDArray[np.int64]
    data: pd.DataFrame
    known: pd.DataFrame
    columns: tuple[str, ...]
    similarity: FloatArray
    falls: FloatArray
    error: FloatArray
    checked: tuple[float, float, float]
    scale: str
    method: str
    record: RunRecord

    def __post_init__(self) -> None:
        shape = (*self.positions.shape, len(self.columns))
        if self.falls.shape != shape or self.error.shape != shape or self.similarity.shape != shape[:2] or len(self.index) != shape[0]:
            raise RequestError("the parts of the resemblance do not fit together", expected=f"falls {shape}", got=str(self.falls.shape))

    def __len__(self) -> int:
        return len(self.index)

    def top(self, row: int = 0, rank: int = 0, k: int = 3) -> list[tuple[str, Any, Any, float]]:
        """Return the k columns that make a row resemble one named row: (column, its cell, the known row's cell, fall)."""
        order = np.argsort(-self.falls[row, rank], kind="stable")[:k]
        return [(self.columns[j], *self._cells(row, rank, self.columns[j]), float(self.falls[row, rank, j])) for j in order]

    def _cells(self, row: int, rank: int, column: str) -> tuple[Any, Any]:
        """Return the two cells of a column; None for groups of columns."""
        if column not in self.data.columns:
            return None, None
        both = (self.data[column].iloc[row], self.known[column].iloc[self.positions[row, rank]])
        one, two = (v.item() if isinstance(v, np.generic) else v for v in both)
        return one, two

    def to_frame(self) -> pd.DataFrame:
        """Return one line per row, named row and column: row, rank, known, similarity, column, cell, known_cell, fall, error."""
        n, k, p = self.falls.shape
        labels = np.asarray(self.known.index)[self.positions]
        pairs = [self._cells(i, r, c) for i in range(n) for r in range(k) for c in self.columns]
        return pd.DataFrame(
            {
                "row": np.repeat(self.index, k * p),
                "rank": np.tile(np.repeat(np.arange(1, k + 1), p), n),
                "known": np.repeat(labels.reshape(-1), p),
                "similarity": np.repeat(self.similarity.reshape(-1), p),
                "column": np.tile(np.asarray(self.columns, object), n * k),
                "cell": pd.Series([c for c, _ in pairs], dtype=object),
                "known_cell": pd.Series([c for _, c in pairs], dtype=object),
                "fall": self.falls.reshape(-1),
                "error": self.error.reshape(-1),
            }
        )
