"""Fill from the most alike rows: the mean of the k nearest for numbers, their most frequent level for levels.

Squared distance: the sum over columns of the squared difference in standard deviations, or of 1 where levels differ. Troyanskaya and
others 2001, doi:10.1093/bioinformatics/17.6.520; Gower 1971, doi:10.2307/2528823.

# NOTE[DIFF] a column that one of two rows lacks counts what it would on average (2 for numbers, the chance of different levels). The usual
rule scales up the shared columns instead, which takes rows that share but one equal level for identical.
"""

from __future__ import annotations

from typing import Self

import numpy as np

from pellucid.encode.fills.base import Columns, Fill, FloatArray, Ints, Rows, typical
from pellucid.encode.reach import powers
from pellucid.random import stream

__all__ = ["Nearest", "centre", "distances"]

MOST_DONORS = 2000
CHUNK = 512


class Nearest(Fill):
    """The k nearest of at most 2,000 training rows that have the cell; ties go to the earlier row.

    Cost: rows with a gap times 2,000 times the width of the levels' indicators.
    """

    options = {"k": 5}  # noqa: RUF012

    def fit(self, values: FloatArray, columns: Columns, targets: Ints, seed: int) -> Self:
        rows = np.arange(len(values))
        if len(rows) > MOST_DONORS:
            rows = np.sort(stream(seed, "fill", "donors").choice(rows, MOST_DONORS, replace=False))
        mean, scale = centre(values, columns)
        self.learned = {"donors": values[rows], "mean": mean, "scale": scale, "typical": typical(values, columns, targets)}
        self.learned["usual"] = np.array([_apart(v) if is_level else 2.0 for v, is_level in zip(values.T, columns.is_level)])
        return self

    def fill(self, values: FloatArray, columns: Columns, targets: Ints, rows: Rows) -> FloatArray:
        donors, mean, scale, usual = (np.asarray(self.learned[k]) for k in ("donors", "mean", "scale", "usual"))
        donors = donors.reshape(-1, len(columns.names))
        out = np.broadcast_to(np.asarray(self.learned["typical"]), (len(values), len(targets))).copy()
        gaps = np.flatnonzero(np.isnan(values[:, targets]).any(axis=1))
        for start in range(0, len(gaps), CHUNK):
            at = gaps[start : start + CHUNK]
            far = distances((values[at] - mean) / scale, (donors - mean) / scale, columns, usual)
            for t, j in enumerate(targets):
                mine = np.flatnonzero(np.isnan(values[at, j]))
                if len(mine):
                    out[at[mine], t] = self._vote(far[mine], donors[:, j], bool(columns.is_level[j]), out[at[mine], t])
        return out

    def _vote(self, far: FloatArray, cells: FloatArray, is_level: bool, otherwise: FloatArray) -> FloatArray:
        """Return (n,) the answer of the nearest donors that have the cell."""
        has = np.flatnonzero(~np.isnan(cells))
        if not len(has):
            return otherwise
        k = min(int(self.set["k"]), len(has))
        near = np.argsort(far[:, has], axis=1, kind="stable")[:, :k]
        known = np.isfinite(np.take_along_axis(far[:, has], near, 1))
        picked = cells[has][near]
        if is_level:
            votes = (picked[:, :, None] == np.arange(cells[has].max() + 1)) & known[:, :, None]
            found = votes.sum(1).argmax(1).astype(np.float64)
        else:
            found = np.where(known, picked, 0.0).sum(1) / np.maximum(known.sum(1), 1)
        return np.where(known.any(1), found, otherwise)


def centre(values: FloatArray, columns: Columns) -> tuple[FloatArray, FloatArray]:
    """Return (mean, standard deviation), each (C,): 0 and 1 for levels and for columns that do not vary."""
    known = ~np.isnan(values)
    count = np.maximum(known.sum(0), 1)
    power = powers(values)  # squares of 1e300 would be infinite
    values = np.ldexp(values, -power)
    mean = np.where(known, values, 0.0).sum(0) / count
    spread = np.sqrt((np.where(known, values - mean, 0.0) ** 2).sum(0) / count)
    mean, spread = np.ldexp(mean, power), np.ldexp(spread, power)
    return np.where(columns.is_level, 0.0, mean), np.where(columns.is_level | ~(spread > 0), 1.0, spread)


def _apart(values: FloatArray) -> float:
    """Return the chance that two rows have different levels."""
    share = np.unique(values[~np.isnan(values)], return_counts=True)[1] / max(int((~np.isnan(values)).sum()), 1)
    return float(1 - (share**2).sum())


def distances(x: FloatArray, y: FloatArray, columns: Columns, usual: FloatArray) -> FloatArray:
    """Return squared distances (N, M) of scaled rows (N, C) and (M, C); ``usual`` (C,) where a column is lacking.

    Infinite where no column is shared.
    """
    has_x, has_y = (~np.isnan(x)).astype(float), (~np.isnan(y)).astype(float)
    number = ~columns.is_level
    a, b, ma, mb = np.nan_to_num(x[:, number]), np.nan_to_num(y[:, number]), has_x[:, number], has_y[:, number]
    total = (a**2) @ mb.T - 2 * a @ b.T + ma @ (b**2).T
    for j in np.flatnonzero(columns.is_level):
        total += has_x[:, j, None] * has_y[None, :, j] * (x[:, j, None] != y[None, :, j])
    total = np.maximum(total, 0.0) + usual.sum() - (has_x * usual) @ has_y.T
    return np.where(has_x @ has_y.T > 0, np.round(total, 9), np.inf)
