"""Numbers to scaled numbers and bins, fitted on training rows only.

Everything here reads the weighted distribution of a column (distinct values and their weights), so that a table with whole-number
weights gives what the repeated table gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid import registry
from pellucid.encode.scales import quantile
from pellucid.errors import DataError

__all__ = ["NumberEncoder"]

F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]

TREE_ROWS = 100_000
BLOCK = 1 << 17
"""Numbers scaled at once: the dozen arrays of a step then stay in the processor's cache, and memory does not grow with the table."""
SEARCHED = 4
"""Rows a column from which searching column by column is faster than all columns in one search without branches."""


class NumberEncoder:
    """Robust scaling to a normal shape, and bins for piecewise-linear embeddings.

    A number is mapped to the normal quantile of its place among the training values, by straight lines between reference points
    (:func:`pellucid.encode.scales.quantile`), or by the scale that was asked for. Outside the training range the map goes on rising
    towards a bound one unit away. In range the map has an exact inverse.

    Parameters
    ----------
    n_bins : most bins per column.
    kind : ``"quantile"`` (equal shares of the rows), ``"tree"`` (leaves of one decision tree per column on the target; follows the
        target where values pile up) or ``"both"`` (the edges of both; ``n_bins`` of each).
    min_leaf : fewest rows in a leaf of the tree.
    scale : a registered scale (``"quantile"``, ``"zscore"``, ``"minmax"``, ``"robust"``) for all slots, or one for each of the Sn.

    Attributes
    ----------
    bins : Sn arrays (T_j + 1,) float32 of increasing edges on the scaled numbers.
    plain : columns whose bins no tree placed for want of time.
    low, high : (Sn,) float64, the training range in original units; NaN for a column without values.

    Examples
    --------
    >>> encoder = NumberEncoder().fit(np.array([[1.0], [2.0], [3.0], [np.nan]]))
    >>> scaled, missing = encoder.transform(np.array([[2.0], [np.nan]]))
    >>> scaled[:, 0].tolist(), missing[:, 0].tolist()
    ([0.0, 0.0], [False, True])
    """

    def __init__(self, n_bins: int = 48, kind: str = "quantile", min_leaf: int = 3, scale: str | Sequence[str] = "quantile") -> None:
        self.n_bins, self.kind, self.min_leaf, self.scale = n_bins, kind, min_leaf, scale
        self.bins: tuple[F32, ...] = ()
        self.plain = 0
        self._set_references([], [])

    def fit(
        self, numbers: F64, target: npt.NDArray[Any] | None = None, weights: F64 | None = None, task: str = "regression", seed: int = 0,
        go_on: Callable[[], bool] | None = None,
    ) -> NumberEncoder:  # fmt: skip
        """Fit on training rows; returns the encoder. Cost: one sort, and one tree of one column, per column.

        Parameters
        ----------
        numbers : (N, Sn), NaN for missing cells.
        target : (N,) class codes or (N,) or (N, O) values; needed for tree bins, quantile bins are used without.
        weights : (N,) not negative; rows of weight 0 do not count.
        task : ``"classification"`` or ``"regression"``.
        seed : of the sample of rows on which trees of very long columns are fitted.
        go_on : tells before each tree whether there is time for it; the columns without one get quantile bins and are counted in
            ``plain``. None where nothing limits the fit.
        """
        numbers = np.asarray(numbers, np.float64)
        weight = np.ones(len(numbers)) if weights is None else np.asarray(weights, np.float64)
        if numbers.ndim != 2 or weight.shape != numbers.shape[:1]:
            got = f"{numbers.shape} and {weight.shape}"
            raise DataError("numbers and weights do not fit", expected="shapes (N, Sn) and (N,)", got=got)
        if not (kept := weight > 0).all():
            numbers, weight, target = numbers[kept], weight[kept], None if target is None else np.asarray(target)[kept]
        self.plain = 0
        answers = None if target is None or self.kind == "quantile" else _answers(np.asarray(target), weight, task)
        rng = np.random.default_rng(seed)
        # one column after the other: the distinct values of all of them at once would be several times the table
        scales = [self.scale] * numbers.shape[1] if isinstance(self.scale, str) else self.scale
        fitted = []
        for column, name in zip(numbers.T, scales):
            timely = answers is None or go_on is None or go_on()
            self.plain += not timely
            fitted.append(self._fit_column(column, weight, answers if timely else None, rng, name))
        self._set_references([x for x, _, _ in fitted], [z for _, z, _ in fitted])
        self.bins = tuple(bins for _, _, bins in fitted)
        return self

    def _fit_column(self, column: F64, weight: F64, answers: F64 | None, rng: np.random.Generator, scale: str) -> tuple[F64, F64, F32]:
        """Return one column's reference points, their normal quantiles, and its bins."""
        values, mass, place = _distribution(column, weight)
        x, z = quantile(values, mass) if scale == "quantile" else registry.resolve(registry.get("scale", scale))(values, mass)
        # the distinct values as the network will see them
        scaled = np.interp(values, x, z).astype(np.float32).astype(np.float64) if len(values) else values
        edges = [] if answers is not None and self.kind == "tree" else [_quantile_edges(scaled, mass, self.n_bins)]
        if answers is not None and len(values) > 1:
            means = _mean_by(place, weight, answers, len(values))
            edges.append(_tree_edges(scaled, mass, means, self.n_bins, self.min_leaf / _size(weight), rng))
        return x, z, _as_edges(scaled, edges)

    def transform(self, numbers: F64) -> tuple[F32, Bool]:
        """Return (scaled (N, Sn) float32 with 0 for missing cells, missing (N, Sn) bool)."""
        numbers = np.asarray(numbers, np.float64)
        out = np.empty(numbers.shape, np.float32)
        rows = max(1, BLOCK // max(numbers.shape[1], 1))
        for block in (slice(start, start + rows) for start in range(0, len(numbers), rows)):
            out[block] = self._scaled(numbers[block])
        return out, np.isnan(numbers)

    def _scaled(self, numbers: F64) -> F64:
        missing = np.isnan(numbers)
        x = np.where(missing, 0.0, numbers)
        z = self._inside(x)
        above, below = x > self._high, x < self._low
        if above.any() or below.any():
            with np.errstate(over="ignore"):  # an infinite distance ends at the end of the scale, or at 0 where the range is infinite too
                far = np.where(above, x - self._high, np.where(below, self._low - x, 0.0)) / self._unit
            step = 1 - 1 / (1 + far)
            z = np.where(above, self._z_high + step, np.where(below, self._z_low - step, z))
        return np.where(missing, 0.0, z)

    def inverse(self, scaled: npt.NDArray[np.floating]) -> F64:
        """Return original units (N, Sn); exact to float32 rounding of the scaled number in the training range."""
        z = np.asarray(scaled, np.float64)
        inside = _interpolate(np.clip(z, self._z_low, self._z_high), self._z, self._x)
        with np.errstate(divide="ignore"):
            far = 1 / (1 - np.clip(np.maximum(z - self._z_high, self._z_low - z), 0.0, 1 - 1e-7)) - 1
        return np.where(z > self._z_high, self._high + far * self._unit, np.where(z < self._z_low, self._low - far * self._unit, inside))

    def out_of_range(self, numbers: F64) -> Bool:
        """Return (N, Sn): the cell holds a number outside the training range (any number, where training had none)."""
        numbers = np.asarray(numbers, np.float64)
        known = ~np.isnan(numbers)
        return np.asarray(known & ((numbers < self._low) | (numbers > self._high) | self._empty), np.bool_)

    @property
    def low(self) -> F64:
        return np.where(self._empty, np.nan, self._low)

    @property
    def high(self) -> F64:
        return np.where(self._empty, np.nan, self._high)

    def state(self) -> dict[str, Any]:
        """Return the fitted state as numbers and lists of arrays."""
        references, scaled = ([v[:n].copy() for v, n in zip(side.T, self._count)] for side in (self._x, self._z))
        fitted = {"bins": list(self.bins), "references": references, "scaled": scaled}
        scale = self.scale if isinstance(self.scale, str) else list(self.scale)
        return {"n_bins": self.n_bins, "kind": self.kind, "min_leaf": self.min_leaf, "scale": scale, **fitted}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> NumberEncoder:
        """Return the encoder that gave this state."""
        encoder = cls(int(state["n_bins"]), str(state["kind"]), int(state["min_leaf"]), state.get("scale", "quantile"))
        encoder.bins = tuple(np.asarray(b, np.float32) for b in state["bins"])
        encoder._set_references(
            [np.asarray(x, np.float64) for x in state["references"]], [np.asarray(z, np.float64) for z in state["scaled"]]
        )
        return encoder

    def _set_references(self, x: Sequence[F64], z: Sequence[F64]) -> None:
        """Keep the reference points as (R, Sn) arrays, padded by repeating a column's last point."""
        self._count = [len(v) for v in x]
        longest = max([*self._count, 1])
        self._empty = np.array([n == 0 for n in self._count], bool)
        self._x, self._z = (np.stack([_padded(v, longest) for v in side], 1) if side else np.zeros((1, 0)) for side in (x, z))
        self._low, self._high, self._z_low, self._z_high = self._x[0], self._x[-1], self._z[0], self._z[-1]
        with np.errstate(over="ignore"):  # of numbers near the end of what float64 holds the range is infinite: nothing lies far outside
            spread = self._high - self._low
        self._unit = np.where(spread > 0, spread, np.maximum(np.abs(self._high), 1.0))

    def _inside(self, x: F64) -> F64:
        return _interpolate(np.clip(x, self._low, self._high), self._x, self._z)


def _padded(values: F64, n: int) -> F64:
    return np.asarray(np.r_[values, np.full(n - len(values), values[-1] if len(values) else 0.0)], np.float64)


def _interpolate(x: F64, knots: F64, values: F64) -> F64:
    """Return piecewise-linear interpolation of x (N, S) between knots (R, S), all columns at once."""
    at = _searched(x, knots)
    right = np.minimum(at + 1, len(knots) - 1)
    x0, x1, v0, v1 = (np.take_along_axis(a, i, 0) for a, i in ((knots, at), (knots, right), (values, at), (values, right)))
    # halves keep the width finite for columns that span more than the largest float
    width = x1 / 2 - x0 / 2
    share = np.divide(x / 2 - x0 / 2, width, out=np.zeros_like(x), where=width > 0)
    return np.asarray(v0 * (1 - share) + v1 * share)


def _searched(x: F64, knots: F64) -> npt.NDArray[np.int64]:
    """Return the place (N, S) of the last knot (R, S) not above x, 0 where all are: column by column, or for few rows all at once."""
    if len(x) > SEARCHED * x.shape[1]:
        each = [np.searchsorted(k, v, side="right") for k, v in zip(np.ascontiguousarray(knots.T), x.T)]
        return np.maximum(np.stack(each, 1) - 1, 0) if each else np.zeros(x.shape, np.int64)
    at = np.zeros(x.shape, np.int64)
    for step in (1 << b for b in reversed(range(max(len(knots) - 1, 1).bit_length()))):
        ahead = np.minimum(at + step, len(knots) - 1)
        at = np.where(np.take_along_axis(knots, ahead, 0) <= x, ahead, at)
    return at


def _size(weight: F64) -> float:
    """Return how many rows the weights stand for: whole-number weights are repetitions; other weights only compare rows."""
    return float(weight.sum()) if (weight == np.round(weight)).all() else float(len(weight))


def _distribution(column: F64, weight: F64) -> tuple[F64, F64, npt.NDArray[np.int64]]:
    """Return (distinct values, their shares, place (N,) of each row among them, -1 where missing)."""
    known = ~np.isnan(column)
    values, at = np.unique(column[known], return_inverse=True)
    mass = np.bincount(at, weight[known], len(values))
    place = np.full(len(column), -1)
    place[known] = at
    return values, mass / max(float(mass.sum()), np.finfo(np.float64).tiny), place


def _quantile_edges(scaled: F64, mass: F64, n_bins: int) -> F64:
    """Return distinct values at equal shares of the rows."""
    if not len(scaled):
        return scaled
    share = np.cumsum(mass)
    at = np.searchsorted(share, np.linspace(0, 1, n_bins + 1) - 1e-12)
    return np.asarray(scaled[at.clip(0, len(scaled) - 1)])


def _tree_edges(scaled: F64, mass: F64, answers: F64, n_bins: int, min_share: float, rng: np.random.Generator) -> F64:
    """Return the thresholds of a tree of one column.

    The tree reads distinct values with their mean answers; mean squared error then gives the splits of the full table, and on
    one-hot answers those of the Gini index.
    """
    from sklearn.tree import DecisionTreeRegressor

    if len(scaled) > TREE_ROWS:
        some = np.sort(rng.choice(len(scaled), TREE_ROWS, replace=False))
        scaled, mass, answers = scaled[some], mass[some], answers[some]
    tree = DecisionTreeRegressor(
        max_leaf_nodes=max(n_bins, 2), min_weight_fraction_leaf=min(min_share * (1 - 1e-9), 0.5), min_impurity_decrease=0.0, random_state=0
    )
    tree.fit(scaled[:, None], answers, sample_weight=mass)
    inner = tree.tree_.children_left >= 0
    return np.asarray(tree.tree_.threshold[inner], np.float64)


def _answers(target: npt.NDArray[Any], weight: F64, task: str) -> F64:
    """Return (N, O): one-hot classes (one column for two), or standardised values."""
    if task == "classification":
        codes = np.unique(target, return_inverse=True)[1].ravel()
        hot = np.eye(int(codes.max(initial=0)) + 1)[codes]
        return hot[:, 1:] if hot.shape[1] == 2 else hot
    values = np.asarray(target, np.float64).reshape(len(target), -1)
    center = np.average(values, 0, weight)
    spread = np.sqrt(np.average((values - center) ** 2, 0, weight))
    return (values - center) / np.where(spread > 0, spread, 1)


def _mean_by(place: npt.NDArray[np.int64], weight: F64, answers: F64, n: int) -> F64:
    known = place >= 0
    at, w = place[known], weight[known]
    total = np.stack([np.bincount(at, w * a, n) for a in answers[known].T], 1)
    return np.asarray(total / np.bincount(at, w, n)[:, None])


def _as_edges(scaled: F64, parts: Sequence[F64]) -> F32:
    """Return increasing float32 edges with the ends of the column; one bin around a column without resolution."""
    if not len(scaled):
        return np.array([-1.0, 1.0], np.float32)
    edges = np.unique(np.concatenate([scaled[[0, -1]], *parts]).clip(scaled[0], scaled[-1]).astype(np.float32))
    # bins below float32 resolution would divide by rounding error
    keep = np.r_[True, np.diff(edges) > 1e-6]
    edges = edges[keep]
    return edges if len(edges) > 1 else np.array([edges[0] - 1, edges[0] + 1], np.float32)
