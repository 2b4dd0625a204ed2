"""How far off is an answer here? A small forest learns the size of the errors, and their quantiles, from rows with honest errors.

It gives two things that conformal prediction turns into promises: a spread s(x) for normalised intervals, and a pair of quantiles for
conformalised quantile regression. It is kept as plain arrays. Letters: n rows, F features, T trees, J nodes, N new rows, K fold models.

Source: quantiles of the leaves of a forest: Meinshausen 2006 (JMLR 7). # NOTE[DIFF] the leaves' quantiles are averaged over trees, instead
of the quantile of rows weighted by how often they share a leaf: the arrays stay small, and what is lost conformal prediction puts right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import ModelFileError
from pellucid.table import Table
from pellucid.training.coverage_law import quantile
from pellucid.training.familiarity import RowSpace

__all__ = ["LocalError", "ResidualForest", "features_of"]

FloatArray = npt.NDArray[np.float64]
TREES = 40
PAIR = (0.05, 0.95)
MOST = 4000
FEWEST = 60
MISSING = -9.0
GAIN = 0.98
"""Typical width, as a share of the constant one, below which normalised intervals are the default."""
DOUBT = 0.5
"""What the square root of the rows is divided into: how far below the truth a share told by so few rows may well lie."""


@dataclass(frozen=True)
class ResidualForest:
    """A forest as arrays.

    Attributes
    ----------
    feature, left, right : (T, J) nodes; ``feature`` is -1 in leaves. threshold : (T, J) float32.
    values : (T, J, 3) of leaves: mean size of the errors, their 5 % and 95 % quantile.
    floor : smallest spread that is told.
    width : geometric mean of the width of normalised intervals at 90 % as a share of the constant width, on rows that a tree was not
        grown on, and what chance may have taken off it beyond a fiftieth. A plain mean would be ruled by the few rows that lie many
        errors off: one of them among 800 hides that all others could be told twice as sharply.
    """

    feature: npt.NDArray[np.int32]
    threshold: npt.NDArray[np.float32]
    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    values: FloatArray
    floor: float
    width: float

    @classmethod
    def fit(cls, x: FloatArray, residual: FloatArray, seed: int) -> ResidualForest:
        """Return the forest of features (n, F) and signed errors (n,), in the target's unit. Cost: T sorts of n rows in F / 3 columns."""
        from sklearn.ensemble import RandomForestRegressor

        dense, size = _dense(x), np.abs(residual)
        leaf = int(np.clip(len(x) // 60, 10, 40))
        forest = RandomForestRegressor(TREES, min_samples_leaf=leaf, max_features=0.7, oob_score=False, random_state=seed, n_jobs=1)
        forest.fit(dense, size)
        trees = [t.tree_ for t in forest.estimators_]
        most = max(t.node_count for t in trees)

        def stacked(name: str, kind: Any, fill: float) -> npt.NDArray[Any]:
            out = np.full((len(trees), most), fill, kind)
            for row, tree in zip(out, trees):
                row[: tree.node_count] = getattr(tree, name)
            return out

        left = stacked("children_left", np.int32, -1)
        feature = np.where(left < 0, -1, stacked("feature", np.int32, -1)).astype(np.int32)
        at = np.stack([t.apply(dense) for t in trees])
        values = np.stack([_leaf_values(a, residual, most) for a in at])
        floor = 0.02 * float(size.mean()) + 1e-12 * (1 + float(size.max(initial=0.0)))
        width = _width(forest.estimators_samples_, at, size, floor)
        right = stacked("children_right", np.int32, -1)
        return cls(feature, stacked("threshold", np.float32, 0.0), left, right, values, floor, width)

    def answers(self, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return (spread, low, high), each (N,): the size of the error to expect, and 5 % and 95 % quantiles of the signed one."""
        dense, tree = _dense(x), np.arange(len(self.feature))
        rows, node = np.arange(len(x))[:, None], np.zeros((len(x), len(tree)), np.int32)
        while (inner := self.feature[tree, node] >= 0).any():
            goes_left = dense[rows, self.feature[tree, node].clip(0)] <= self.threshold[tree, node]
            node = np.where(inner, np.where(goes_left, self.left[tree, node], self.right[tree, node]), node)
        found = self.values[tree, node].mean(axis=1)
        return np.maximum(found[:, 0], self.floor), np.minimum(found[:, 1], found[:, 2]), np.maximum(found[:, 1], found[:, 2])


def _dense(x: FloatArray) -> npt.NDArray[np.float32]:
    """Return features as float32, as the forest compares them, missing ones far below all others."""
    return np.clip(np.where(np.isnan(x), MISSING, x), -1e30, 1e30).astype(np.float32)


def _leaf_values(at: npt.NDArray[np.int64], residual: FloatArray, nodes: int) -> FloatArray:
    """Return (nodes, 3): mean size of the errors in each leaf, and their quantiles; zeros for inner nodes."""
    order = np.lexsort((residual, at))
    leaf, start, count = np.unique(at[order], return_index=True, return_counts=True)
    out = np.zeros((nodes, 3))
    out[leaf, 0] = np.add.reduceat(np.abs(residual[order]), start) / count
    for j, share in enumerate(PAIR, 1):
        place = share * (count - 1)
        below = start + np.floor(place).astype(np.int64)
        above = np.minimum(below + 1, start + count - 1)
        out[leaf, j] = residual[order][below] + (place - np.floor(place)) * (residual[order][above] - residual[order][below])
    return out


def _width(samples: Sequence[Any], at: npt.NDArray[np.int64], size: FloatArray, floor: float) -> float:
    """Return the typical width of normalised intervals at 90 % over the constant width, each row's spread told by trees not grown on it."""
    told, times = np.zeros(len(size)), np.zeros(len(size))
    for chosen, leaf in zip(samples, at):
        count = np.bincount(chosen, minlength=len(size))
        weight, total = np.bincount(leaf, count), np.bincount(leaf, count * size)
        out = count == 0
        told[out] += total[leaf[out]] / weight[leaf[out]]
        times += out
    known = times > 0
    spread = np.maximum(told[known] / times[known], floor)
    constant = quantile(np.sort(size[known]), 0.9)
    typical = np.exp(np.log(spread).mean())
    chance = max(0.0, DOUBT / len(spread) ** 0.5 - (1 - GAIN))
    return float(quantile(np.sort(size[known] / spread), 0.9) * typical / constant + chance) if 0 < constant < np.inf else 1.0


def features_of(cells: FloatArray, members: FloatArray) -> FloatArray:
    """Return what the forest of one target reads: cells (N, C) of a row space, the answer, and how far members (N, k) disagree."""
    parts = [cells, members.mean(axis=1, keepdims=True)]
    if members.shape[1] > 1:
        parts.append(np.log(members.std(axis=1, keepdims=True) + 1e-12))
    return np.concatenate(parts, axis=1)


@dataclass(frozen=True)
class LocalError:
    """Forests for each target, one in all or one for each fold model.

    Attributes
    ----------
    space : how rows become numbers. forests : (targets, 1 or K); forest k of several did not learn from the rows of fold k.
    """

    space: RowSpace
    forests: tuple[tuple[ResidualForest, ...], ...]

    @classmethod
    def fit(cls, table: Table, members: FloatArray, truth: FloatArray, folds: npt.NDArray[np.int64] | None, seed: int) -> LocalError | None:
        """Return the fit on rows that the answering model did not learn from; None where there are too few of them.

        Parameters
        ----------
        members : (n, k, O) their answers. truth : (n, O). folds : (n,) or None; with folds, one forest for each, of the other folds' rows.
        """
        parts = [None] if folds is None else list(range(int(folds.max(initial=0)) + 1))
        chosen = [_some(np.ones(len(table), bool) if k is None or folds is None else folds != k) for k in parts]
        if min(map(len, chosen), default=0) < FEWEST or not table.features:
            return None
        space = RowSpace.fit(table)
        cells, forests = space.encode(table), []
        for j in range(truth.shape[1]):
            x, residual = features_of(cells, members[:, :, j]), truth[:, j] - members[:, :, j].mean(1)
            forests.append(tuple(ResidualForest.fit(x[rows], residual[rows], seed % 2**31) for rows in chosen))
        return cls(space, tuple(forests))

    @property
    def width(self) -> float:
        """Typical width of normalised intervals over the constant one, over forests and targets; the rule of the default reads it."""
        return float(np.mean([f.width for forests in self.forests for f in forests]))

    def answers(self, table: Table, members: FloatArray, target: int, folds: npt.NDArray[np.int64] | None = None) -> FloatArray:
        """Return (spread, low, high) of the error of one target.

        Parameters
        ----------
        members : (N, k), or (N, K, k), those of fold models.
        folds : (N,), each row's fold: its own forest answers. None: all of them do.

        Returns
        -------
        (3, N) for one forest or with ``folds``; else (3, N, K).
        """
        forests, cells = self.forests[target], self.space.encode(table)
        several = members if members.ndim == 3 else np.repeat(members[:, None], len(forests), axis=1)
        if folds is not None:
            out = np.empty((3, len(table)))
            for k, forest in enumerate(forests):
                rows = np.flatnonzero(folds == k)
                if len(rows):
                    out[:, rows] = forest.answers(features_of(cells[rows], several[rows, k]))
            return out
        every = np.stack([np.stack(f.answers(features_of(cells, several[:, k]))) for k, f in enumerate(forests)], axis=2)
        return every[:, :, 0] if len(forests) == 1 else every

    def state(self) -> dict[str, Any]:
        """Return what :meth:`from_state` needs: text and arrays."""
        return {"space": self.space.state(), "forests": [[dict(vars(f)) for f in forests] for forests in self.forests]}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> LocalError:
        """Return the fit that :meth:`state` described (arrays or lists)."""
        try:
            forests = tuple(tuple(_forest(f) for f in one) for one in state["forests"])
            return cls(RowSpace.from_state(state["space"]), forests)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError("the saved sizes of errors cannot be read", got=f"{type(error).__name__}: {error}") from error


def _forest(state: Mapping[str, Any]) -> ResidualForest:
    kinds: dict[str, Any] = {"feature": np.int32, "left": np.int32, "right": np.int32, "threshold": np.float32, "values": np.float64}
    arrays: dict[str, Any] = {k: np.asarray(state[k], kind) for k, kind in kinds.items()}
    return ResidualForest(**arrays, floor=float(state["floor"]), width=float(state["width"]))


def _some(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return the positions of at most ``MOST`` rows, evenly spread."""
    rows = np.flatnonzero(mask)
    return rows if len(rows) <= MOST else rows[np.linspace(0, len(rows) - 1, MOST).round().astype(np.int64)]
