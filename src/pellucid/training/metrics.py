"""Scores on which training stops: of the averaged ensemble, never of single members."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import ArgumentError, RequestError, did_you_mean

__all__ = ["METRICS", "Metric", "metric"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Metric:
    """A score of answers against the truth, lower is better.

    Attributes
    ----------
    name : what history and progress call it.
    function : ``(truth, answers, weights) -> float`` with answers (N, O') and truth (N,) codes or (N, O) values.
    sign : -1 where the user's own metric grows with quality; ``shown`` gives it back in the user's direction.
    """

    name: str
    function: Callable[[Array, Array, Array], float]
    sign: float = 1.0

    def __call__(self, truth: Array, answers: Array, weights: Array) -> float:
        score = self.sign * float(self.function(truth, answers, weights))
        # a score that cannot be computed must never look like the best one
        return score if np.isfinite(score) else float("inf")

    def shown(self, score: float) -> float:
        """Return the score in the direction in which users know it."""
        return self.sign * score


def _log_loss(truth: Array, answers: Array, weights: Array) -> float:
    picked = np.take_along_axis(answers, truth.astype(np.int64)[:, None], 1)[:, 0]
    return float(np.average(-np.log(np.clip(picked, 1e-15, None)), weights=weights))


def _rmse(truth: Array, answers: Array, weights: Array) -> float:
    return float(np.sqrt(np.average(((answers - truth) ** 2).mean(1), weights=weights)))


def _mae(truth: Array, answers: Array, weights: Array) -> float:
    return float(np.average(np.abs(answers - truth).mean(1), weights=weights))


def _scaled_mse(truth: Array, answers: Array, weights: Array) -> float:
    """Mean over targets of the squared error over the target's variance: 1 - R2, so that no target's unit rules the others."""
    center = np.average(truth, 0, weights)
    variance = np.average((truth - center) ** 2, 0, weights)
    return float((np.average((answers - truth) ** 2, 0, weights) / np.where(variance > 0, variance, 1)).mean())


def _accuracy(truth: Array, answers: Array, weights: Array) -> float:
    return float(np.average(answers.argmax(1) == truth, weights=weights))


def _roc_auc(truth: Array, answers: Array, weights: Array) -> float:
    from sklearn.metrics import roc_auc_score

    if len(np.unique(truth)) < answers.shape[1]:
        return float("nan")
    if answers.shape[1] == 2:
        return float(roc_auc_score(truth, answers[:, 1], sample_weight=weights))
    return float(roc_auc_score(truth, answers, sample_weight=weights, multi_class="ovr"))


METRICS: dict[str, tuple[str, Metric]] = {
    "log_loss": ("classification", Metric("log_loss", _log_loss)),
    "accuracy": ("classification", Metric("accuracy", _accuracy, -1.0)),
    "roc_auc": ("classification", Metric("roc_auc", _roc_auc, -1.0)),
    "rmse": ("regression", Metric("rmse", _rmse)),
    "mae": ("regression", Metric("mae", _mae)),
    "r2": ("regression", Metric("r2", lambda t, a, w: 1 - _scaled_mse(t, a, w), -1.0)),
}
"""Named metrics, each with the task it belongs to."""


def metric(wanted: Any, task: str, n_answers: int = 1) -> Metric:
    """Return the metric on which to stop.

    Parameters
    ----------
    wanted : None (log loss, or root mean squared error; R2 for several targets), a name of ``METRICS``, or a callable
        ``(y_true, y_pred) -> float`` that grows with quality; y_pred holds probabilities (N, O') or values (N,) or (N, O).
    task : ``"classification"`` or ``"regression"``.
    n_answers : O'.
    """
    if wanted is None:
        wanted = "log_loss" if task == "classification" else "rmse" if n_answers == 1 else "r2"
    if isinstance(wanted, Metric):
        return wanted
    if isinstance(wanted, str):
        allowed = [n for n, (of, _) in METRICS.items() if of == task]
        if wanted not in allowed:
            raise RequestError(
                f"unknown metric {wanted!r} for {task}",
                expected=f"one of {', '.join(allowed)}, or a callable",
                do=did_you_mean(wanted, allowed),
            )
        return METRICS[wanted][1]
    if not callable(wanted):
        raise ArgumentError("metric cannot be used", expected="a name or a callable (y_true, y_pred) -> float", got=type(wanted).__name__)

    def users(truth: Array, answers: Array, weights: Array) -> float:
        one = task == "regression" and answers.shape[1] == 1
        return float(wanted(truth[:, 0], answers[:, 0]) if one else wanted(truth, answers))

    return Metric(getattr(wanted, "__name__", "metric"), users, -1.0)
