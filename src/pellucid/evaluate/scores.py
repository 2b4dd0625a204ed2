"""Scores with intervals: every resample of the test rows is shared by all models, so that differences are paired.

Letters: N test rows, O classes or targets, B resamples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pellucid.evaluate.ends import area, explained, mean_loss, root_mean_square
from pellucid.evaluate.figures import Figure
from pellucid.intervals import wilson
from pellucid.protocols import FloatArray
from pellucid.random import stream

__all__ = ["LOWER_IS_BETTER", "Scores", "main_metric", "roc_auc", "score"]

LOWER_IS_BETTER = frozenset({"rmse", "mae", "log_loss"})
CHUNK = 2**22
TINY = 1e-15


@dataclass(frozen=True)
class Scores:
    """The scores of one model on the test rows.

    Attributes
    ----------
    point : score by metric name.
    draws : (B,) scores on the resamples, by metric name. With one seed, resample b holds the same rows for every model.
    ends : 95 % interval by metric name, in closed form: that of a few resamples ends at 1 where few rows are all but right.
    """

    point: dict[str, float]
    draws: dict[str, FloatArray]
    ends: dict[str, tuple[float, float]] = field(default_factory=dict)

    def figure(self, metric: str) -> Figure:
        """Return a score with its interval: in closed form, or by percentiles of the resamples where there is none."""
        low, high = self.ends.get(metric) or _quantiles(self.draws[metric])
        return Figure(self.point[metric], low, high)

    def gain(self, other: Scores, metric: str) -> Figure:
        """Return how much better this model is than another, row by row on the same resamples; positive is better."""
        sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
        low, high = _quantiles(sign * (self.draws[metric] - other.draws[metric]))
        return Figure(sign * (self.point[metric] - other.point[metric]) + 0.0, low + 0.0, high + 0.0)  # no -0


def _quantiles(draws: FloatArray) -> tuple[float, float]:
    known = draws[np.isfinite(draws)]  # a resample without one of the classes has no area under the curve
    if len(known) < 0.5 * len(draws) or not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)


def main_metric(task: str, n_classes: int) -> str:
    """Return the metric models are ranked by: ``"roc_auc"`` for two classes, ``"accuracy"`` for more, ``"rmse"`` for numbers."""
    if task == "regression":
        return "rmse"
    return "roc_auc" if n_classes == 2 else "accuracy"


def _weights(n: int, n_boot: int, seed: int) -> Iterator[FloatArray]:
    """Yield how often each row is drawn, (b, N) at a time; the first line is the table itself."""
    draw = stream(seed, "bootstrap", n)
    yield np.ones((1, n))
    step = max(1, CHUNK // max(1, n))
    for s in range(0, n_boot, step):
        yield draw.multinomial(n, np.full(n, 1 / n), size=min(step, n_boot - s)).astype(np.float64)


def score(task: str, truth: npt.NDArray[np.generic], answers: FloatArray, *, n_boot: int = 1000, seed: int = 0) -> Scores:
    """Return every score of one model with its resamples.

    Parameters
    ----------
    truth : (N,) class numbers, columns of ``answers``; or (N,) numbers.
    answers : (N, O) probabilities, or (N,) numbers.
    n_boot : B. Cost: B N per metric.

    Examples
    --------
    >>> score("regression", np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 5.0])).point["rmse"].__round__(3)
    1.155
    """
    parts = [
        _regression(truth, answers, w) if task == "regression" else _classification(truth, answers, w)
        for w in _weights(len(truth), n_boot, seed)
    ]
    every = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    ends = (_number_ends if task == "regression" else _class_ends)(truth, answers)
    return Scores({k: float(v[0]) for k, v in every.items()}, {k: v[1:] for k, v in every.items()}, ends)


def _number_ends(truth: npt.NDArray[np.generic], answers: FloatArray) -> dict[str, tuple[float, float]]:
    y = np.asarray(truth, np.float64)
    miss = np.asarray(answers, np.float64).reshape(len(y)) - y
    return {"rmse": root_mean_square(miss)[1:], "mae": mean_loss(np.abs(miss))[1:], "r2": explained(y, miss)[1:]}


def _class_ends(truth: npt.NDArray[np.generic], answers: FloatArray) -> dict[str, tuple[float, float]]:
    y = np.asarray(truth, np.int64)
    n, size = answers.shape
    low, high = wilson(int((answers.argmax(1) == y).sum()), n)
    losses = -np.log(np.clip(answers[np.arange(n), y], TINY, None))
    out = {"accuracy": (float(low), float(high)), "log_loss": mean_loss(losses)[1:]}
    if size == 2:
        out["roc_auc"] = area(y == 1, answers[:, 1])[1:]
    return out


def _regression(truth: npt.NDArray[np.generic], answers: FloatArray, w: FloatArray) -> dict[str, FloatArray]:
    y = np.asarray(truth, np.float64)
    n, error = len(y), np.asarray(answers, np.float64).reshape(len(y)) - y
    squared, centred = w @ error**2, y - y.mean()
    total = w @ centred**2 - (w @ centred) ** 2 / n
    share = np.divide(squared, total, out=np.full(len(w), np.nan), where=total > 0)
    return {"rmse": np.sqrt(squared / n), "mae": w @ np.abs(error) / n, "r2": 1 - share}


def _classification(truth: npt.NDArray[np.generic], answers: FloatArray, w: FloatArray) -> dict[str, FloatArray]:
    y = np.asarray(truth, np.int64)
    n, size = answers.shape
    right = answers.argmax(1) == y
    loss = -np.log(np.clip(answers[np.arange(n), y], TINY, None))
    out = {"accuracy": w @ right / n, "log_loss": w @ loss / n}
    columns = [1] if size == 2 else range(size)
    areas = np.stack([roc_auc(y == k, answers[:, k], w) for k in columns])
    known = np.isfinite(areas)
    count = known.sum(0)
    return out | {"roc_auc": np.divide(np.where(known, areas, 0).sum(0), count, out=np.full(len(w), np.nan), where=count > 0)}


def roc_auc(positive: npt.NDArray[np.bool_], score: FloatArray, weights: FloatArray | None = None) -> FloatArray:
    """Return the area under the curve for each line of row weights (b, N); ties count half; NaN where a class is absent.

    Examples
    --------
    >>> roc_auc(np.array([False, True, True]), np.array([0.1, 0.1, 0.9])).tolist()
    [0.75]
    """
    w = np.ones((1, len(score))) if weights is None else weights
    distinct, place = np.unique(score, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(len(distinct)))
    up, down = (np.add.reduceat(w[:, order] * side[order], starts, axis=1) for side in (positive, ~positive))
    below = np.cumsum(down, axis=1) - down / 2
    pairs = up.sum(1) * down.sum(1)
    return np.asarray(np.divide((up * below).sum(1), pairs, out=np.full(len(w), np.nan), where=pairs > 0))
