"""Several importances of the same columns side by side, and how far they agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pellucid.errors import RequestError
from pellucid.results.base import FloatArray, Result, RunRecord
from pellucid.results.contributions import Importance

__all__ = ["Importances"]


@dataclass(frozen=True)
class Importances(Result):
    """Importances of one model's columns, measured in different ways.

    Attributes
    ----------
    columns : the P players: source columns, and groups of columns that say much the same.
    measures : names of the M ways. values : (P, M) each in its own unit; NaN where a way says nothing of a column.
    interval : (P, M, 2) at 95 %, NaN where unknown. units : unit of each way.
    correlation : (M, M) Spearman's rank correlation of the ways over the columns.
    chance : rank correlation that two unrelated orders of P columns exceed in 5 of 100 cases.
    groups : the groups that were made, name -> columns.
    scores : one line per table scored: rows, n, metric, value, low, high, null (what the best constant answer scores).
    words : what is to be seen, in plain words. method, record : how they were made.
    """

    columns: tuple[str, ...]
    measures: tuple[str, ...]
    values: FloatArray
    interval: FloatArray
    units: tuple[str, ...]
    correlation: FloatArray
    chance: float
    groups: Mapping[str, tuple[str, ...]]
    scores: pd.DataFrame
    words: str
    method: str
    record: RunRecord

    def __post_init__(self) -> None:
        shape = (len(self.columns), len(self.measures))
        if self.values.shape != shape or self.interval.shape != (*shape, 2) or self.correlation.shape != (shape[1], shape[1]):
            raise RequestError("the parts of the importances do not fit together", expected=f"values {shape}", got=str(self.values.shape))

    def of(self, measure: str) -> Importance:
        """Return one way alone."""
        if measure not in self.measures:
            raise RequestError(f"there is no measure {measure!r}", expected=f"one of {', '.join(self.measures)}")
        m = self.measures.index(measure)
        return Importance(self.values[:, m], self.interval[:, m], self.columns, self.units[m], measure, self.record)

    def shares(self) -> FloatArray:
        """Return (P, M): each way's values below 0 set to 0, as shares of their sum."""
        size = np.maximum(np.nan_to_num(self.values), 0.0)
        return np.asarray(size / np.where(size.sum(0) > 0, size.sum(0), 1.0))

    def agreement(self) -> pd.DataFrame:
        """Return the table of rank correlations, named by the ways."""
        return pd.DataFrame(self.correlation, index=list(self.measures), columns=list(self.measures))

    def to_frame(self) -> pd.DataFrame:
        """Return one line per column, by mean rank: column, then value, ``__low`` and ``__high`` of each way."""
        out: dict[str, object] = {"column": list(self.columns)}
        for m, name in enumerate(self.measures):
            out |= {name: self.values[:, m], f"{name}__low": self.interval[:, m, 0], f"{name}__high": self.interval[:, m, 1]}
        rank = pd.DataFrame(self.values).rank(ascending=False).mean(axis=1).to_numpy()
        return pd.DataFrame(out).iloc[np.argsort(rank, kind="stable")].reset_index(drop=True)
