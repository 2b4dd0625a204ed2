"""Rows grouped by what decided them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import RequestError
from pellucid.results.base import FloatArray, Result, RunRecord

__all__ = ["Clusters"]


@dataclass(frozen=True)
class Clusters(Result):
    """Rows that were decided for the same reason, as communities of a graph of rows.

    Attributes
    ----------
    index : (N,) labels of the rows. labels : (N,) cluster of each row, from 1, the largest cluster first.
    columns : the P players. shares : (G, P) mean share of each in what decided the rows of a cluster; error : their standard errors.
    summary : one line per cluster: cluster, rows, share, decided_by, rule, precision, covers; where labels are known wrong, rate, low,
        high, null, p_value. ``rule`` tells the cluster's rows by their cells; ``precision`` and ``covers`` are its figures on held-out
        rows. ``rate`` is the share of the cluster's rows that are wrong, ``null`` that of all rows.
    modularity : of the graph cut so; null : (S,) that of graphs whose reasons were shuffled column by column.
    places : (N, 2) where to draw the rows. edges : (E, 2) positions of rows that are each other's nearest by reasons.
    wrong : (N,) which rows are wrong; None where labels are not known. wrong_words : what counts as wrong.
    words : what was found, in plain words. scale, method, record : what the shares are of, how they were made.
    """

    index: npt.NDArray[Any]
    labels: npt.NDArray[np.int64]
    columns: tuple[str, ...]
    shares: FloatArray
    error: FloatArray
    summary: pd.DataFrame
    modularity: float
    null: FloatArray
    places: FloatArray
    edges: npt.NDArray[np.int64]
    words: str
    scale: str
    method: str
    record: RunRecord
    wrong: npt.NDArray[np.bool_] | None = None
    wrong_words: str = ""

    def __post_init__(self) -> None:
        n, found = len(self.index), len(self.summary)
        shapes = (self.labels.shape, self.places.shape, self.shares.shape)
        if shapes != ((n,), (n, 2), (found, len(self.columns))):
            expected = f"labels ({n},), places ({n}, 2), shares ({found}, {len(self.columns)})"
            raise RequestError("the parts of the clusters do not fit together", expected=expected, got=str(shapes))

    def __len__(self) -> int:
        return len(self.index)

    def rows(self, cluster: int) -> npt.NDArray[np.int64]:
        """Return the positions of the rows of one cluster, from 1."""
        if not 1 <= cluster <= len(self.summary):
            raise RequestError(f"there is no cluster {cluster!r}", expected=f"1 to {len(self.summary)}")
        return np.flatnonzero(self.labels == cluster)

    def to_frame(self) -> pd.DataFrame:
        """Return one line per row: row, cluster, the cluster's reasons, and whether it is wrong where that is known."""
        told = self.summary["decided_by"].to_numpy(object)[self.labels - 1]
        frame = pd.DataFrame({"row": self.index, "cluster": self.labels, "decided_by": told})
        return frame if self.wrong is None else frame.assign(wrong=self.wrong)
