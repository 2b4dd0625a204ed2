"""What a model's answers are judged by: the truth of the rows in the form of the outputs asked for, and the losses of answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import RequestError, TargetError, quote
from pellucid.probe.view import View
from pellucid.protocols import FloatArray
from pellucid.table.cells import level_text

__all__ = ["known_truth", "row_losses"]

TINY = 1e-12


def row_losses(view: View, y: Any, n: int) -> tuple[Any, str]:
    """Return (function from answers (N, O) to losses (N,), name of the loss); the function's second argument picks rows.

    Of one class that is asked about, the loss is that of this class against all others; of one of several numbers, its own.
    """
    truth = known_truth(view, y, n)
    if view.task != "classification":
        return (lambda out, rows=slice(None): np.square(out - truth[rows]).sum(1)), "squared error"
    if view.scale != "probability":
        raise RequestError("the log loss needs probabilities", expected="scale='probability'", got=repr(view.scale))
    return (lambda out, rows=slice(None): _log_loss(out, truth[rows])), "log loss"


def known_truth(view: View, y: Any, n: int) -> npt.NDArray[Any]:
    """Return what a view's answers are judged by: numbers (N, O), or class numbers (N,), 1 for the one class that is asked about."""
    if y is None:
        raise RequestError("this method compares with the truth", do="pass y=, or rows that hold the target column")
    labels, size = np.asarray(y), len(view.inner.outputs)
    if len(labels) != n:
        raise TargetError("X and y have different lengths", expected=f"{n} labels", got=str(len(labels)))
    weights = view.combine(np.eye(size))  # of the model's outputs in those asked for
    if np.abs(weights).sum(0).max() > 1:
        raise RequestError("losses are taken of answers, not of the difference of two", do="leave versus= out")
    if view.task != "classification":
        truth = _numbers(labels)
        if truth.shape[1] not in (size, weights.shape[1]):
            raise TargetError("y has another number of targets than the model", expected=f"{size} columns", got=str(truth.shape[1]))
        return truth @ weights if truth.shape[1] == size else truth
    codes = _codes(view, labels)
    if weights.shape[1] > 1:
        return codes
    own = codes == (np.argmax(weights) if size > 1 else 1)
    return np.asarray(own == (weights[:, 0].sum() > 0), np.int64)  # of two classes the first has the second's output turned round


def _numbers(labels: npt.NDArray[Any]) -> FloatArray:
    try:
        truth = labels.astype(float).reshape(len(labels), -1)
    except (TypeError, ValueError) as error:
        raise TargetError("labels that are no numbers", expected="numbers, as the model answers", got=quote(labels.ravel()[:3])) from error
    if not np.isfinite(truth).all():
        rows = np.flatnonzero(~np.isfinite(truth).all(1))
        raise TargetError("labels are missing or infinite", where=f"rows {quote(rows[:5])}", do="leave these rows out")
    return truth


def _codes(view: View, labels: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    known = {level_text(c): k for k, c in enumerate(view.classes)}
    labels = labels.ravel() if labels.ndim == 2 and labels.shape[1] == 1 else labels
    codes = np.array([known.get(level_text(v), -1) for v in pd.Series(labels).tolist()], np.int64)
    if (codes < 0).any():
        raise TargetError(
            "labels that the model does not know", expected=quote(view.classes), got=quote(dict.fromkeys(labels[codes < 0].tolist()))
        )
    return codes


def _log_loss(probabilities: FloatArray, codes: npt.NDArray[np.int64]) -> FloatArray:
    if probabilities.shape[1] == 1:
        probabilities = np.column_stack([1 - probabilities[:, 0], probabilities[:, 0]])
    return np.asarray(-np.log(np.clip(probabilities[np.arange(len(codes)), codes], TINY, 1)))
