"""Fill by chained equations: every column from all others, round after round, until the answers stand.

Ridge regressions on scaled numbers and indicators of levels; a level column is told by a regression on its indicators, the largest wins.
van Buuren, Groothuis-Oudshoorn 2011, doi:10.18637/jss.v045.i03.

# NOTE[DIFF] one set of regressions is kept, that of the last round, and new rows are led through it ``rounds`` times: the answer is the
# fixed point of the chain, not a replay of its history. Answers are held inside the training range, so collinear columns cannot run away.
"""

from __future__ import annotations

from typing import Self

import numpy as np

from pellucid.encode.fills.base import Columns, Fill, FloatArray, Ints, Rows, typical
from pellucid.encode.fills.indicators import indicators, places, scaled
from pellucid.encode.fills.neighbours import centre
from pellucid.random import stream

__all__ = ["Iterative"]

FIT_ROWS = 20_000
ENOUGH = 1e-3


class Iterative(Fill):
    """Ridge regressions of each column on all others, at most ``rounds`` times.

    Cost: rounds times T solutions of F equations on at most 20,000 rows, F the numbers and indicators of levels.
    """

    options = {"rounds": 10, "ridge": 1e-3}  # noqa: RUF012

    def fit(self, values: FloatArray, columns: Columns, targets: Ints, seed: int) -> Self:
        if len(values) > FIT_ROWS:
            values = values[np.sort(stream(seed, "fill", "rows").choice(len(values), FIT_ROWS, replace=False))]
        mean, scale = centre(values, columns)
        z = scaled(values, mean, scale)
        every = np.arange(len(columns.names))
        self.learned = {"mean": mean, "scale": scale, "start": typical(z, columns, every)}
        self.learned["low"], self.learned["high"] = (_edge(z, side) for side in (-1, 1))
        gaps = np.isnan(z)
        filled = np.where(gaps, self.learned["start"], z)
        chained = [j for j in np.argsort(gaps.sum(0), kind="stable") if gaps[:, j].any()]
        for _ in range(int(self.set["rounds"])):
            before = filled.copy()
            for j in chained:
                weights = self._regression(filled, ~gaps[:, j], columns, int(j))
                filled[gaps[:, j], j] = self._told(filled[gaps[:, j]], weights, columns, int(j))
            if len(chained) and np.abs(filled - before).max() < ENOUGH:
                break
        found = [self._regression(filled, ~gaps[:, j], columns, int(j)) for j in targets]
        self.learned["weights"] = np.hstack(found) if found else np.zeros((0, 0))
        return self

    def _regression(self, filled: FloatArray, taught: FloatArray, columns: Columns, j: int) -> FloatArray:
        """Return (F + 1, width of column j) weights of the other columns, zeros for its own."""
        x, _ = indicators(filled[taught], columns)
        own = places(columns)[j]
        y = x[:, own].copy()
        x[:, own] = 0.0
        x = np.column_stack([x, np.ones(len(x))])
        gram = x.T @ x
        gram[np.diag_indices_from(gram)] += float(self.set["ridge"]) * max(len(x), 1)
        return np.asarray(np.linalg.solve(gram, x.T @ y))

    def _told(self, filled: FloatArray, weights: FloatArray, columns: Columns, j: int) -> FloatArray:
        """Return what the other cells say of column j, (N,)."""
        x, _ = indicators(filled, columns)
        out = np.column_stack([x, np.ones(len(x))]) @ weights
        if columns.is_level[j]:
            return np.round(out, 9).argmax(1).astype(np.float64) if out.shape[1] else np.zeros(len(out))
        low, high = (float(np.asarray(self.learned[k])[j]) for k in ("low", "high"))
        return np.asarray(out[:, 0].clip(low, high))

    def fill(self, values: FloatArray, columns: Columns, targets: Ints, rows: Rows) -> FloatArray:
        mean, scale, start = (np.asarray(self.learned[k]) for k in ("mean", "scale", "start"))
        out = np.empty((len(values), len(targets)))
        out[:] = (start * scale + mean)[targets]
        at = np.flatnonzero(np.isnan(values[:, targets]).any(axis=1))
        if not len(at):
            return out
        z = scaled(values[at], mean, scale)
        gaps, filled = np.isnan(z), np.where(np.isnan(z), start, z)
        widths = [len(places(columns)[j]) for j in targets]
        size = places(columns)[-1][-1] + 2 if len(columns.names) else 1
        cut = np.split(np.asarray(self.learned["weights"]).reshape(size, -1), np.cumsum(widths)[:-1], axis=1)
        for _ in range(int(self.set["rounds"])):
            for j, weights in zip(targets, cut):
                mine = gaps[:, j]
                if mine.any():
                    filled[mine, j] = self._told(filled[mine], weights, columns, int(j))
        out[at] = (filled * scale + mean)[:, targets]
        return out


def _edge(z: FloatArray, side: int) -> FloatArray:
    """Return the smallest (-1) or largest (1) known value of each column, 0 where there is none."""
    best = np.where(np.isnan(z), -np.inf, side * z).max(0, initial=-np.inf)
    return np.where(np.isfinite(best), side * best, 0.0)
