"""Samplers with known laws: exact draws to test the tests with, and draws that are wrong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.table import Table
from pellucid.testing.predictors import made_table, matrix

__all__ = ["GaussianRows", "IgnoresTheRest"]


class GaussianRows:
    """Rows of a normal distribution whose conditional draws are exact: the oracle of every sampler.

    Parameters
    ----------
    covariance : (C, C); the mean is 0 and the columns are called x1, x2, ...

    Examples
    --------
    >>> GaussianRows(np.eye(2)).rows(3, seed=0).columns
    ('x1', 'x2')
    """

    def __init__(self, covariance: FloatArray) -> None:
        self.covariance = np.asarray(covariance, np.float64)
        self.columns = tuple(f"x{j + 1}" for j in range(len(covariance)))

    @classmethod
    def equal(cls, columns: int, correlation: float) -> GaussianRows:
        """Return columns of variance 1 that are all equally correlated."""
        return cls(np.full((columns, columns), correlation) + (1 - correlation) * np.eye(columns))

    def rows(self, n: int, seed: int) -> Table:
        """Return n rows."""
        x = stream(seed, "gaussian rows").multivariate_normal(np.zeros(len(self.columns)), self.covariance, n)
        return made_table(dict(zip(self.columns, x.T)))

    def moments(self, known: npt.NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
        """Return (weights (U, K), covariance (U, U)) of the unknown columns given the known ones (C,)."""
        s = self.covariance
        weights = s[np.ix_(~known, known)] @ np.linalg.inv(s[np.ix_(known, known)]) if known.any() else np.zeros((int((~known).sum()), 0))
        return weights, s[np.ix_(~known, ~known)] - weights @ s[np.ix_(known, ~known)]

    def sample(self, table: Table, known: npt.NDArray[np.bool_], n: int, seed: int) -> Sequence[Table]:
        """Return n tables with the unknown cells drawn from their exact conditional distribution."""
        x, draw = matrix(table, self.columns), stream(seed, "gaussian draws")
        out = np.repeat(x[None], n, axis=0)
        same = len(known) > 0 and bool((known == known[0]).all())  # the usual case: the same cells are known in every row
        patterns, which = (known[:1], np.zeros(len(known), int)) if same else np.unique(known, axis=0, return_inverse=True)
        for k, pattern in enumerate(patterns):
            at = np.flatnonzero(which.reshape(-1) == k)
            if pattern.all():
                continue
            weights, covariance = self.moments(pattern)
            noise = draw.multivariate_normal(np.zeros(len(covariance)), covariance, (n, len(at)))
            out[np.ix_(np.arange(n), at, np.flatnonzero(~pattern))] = x[np.ix_(at, np.flatnonzero(pattern))] @ weights.T + noise
        return [table.with_cells(dict(zip(self.columns, cells.T))) for cells in out]


class IgnoresTheRest(GaussianRows):
    """Draws as if the columns had nothing to do with each other: null draws that are no null draws."""

    def moments(self, known: npt.NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
        """Return no weights, and the covariance of the unknown columns alone."""
        return np.zeros((int((~known).sum()), int(known.sum()))), self.covariance[np.ix_(~known, ~known)]
