"""Figures on test rows, each with its interval and with what an answer that knows nothing would score.

Letters: N rows, O classes or targets.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.evaluate.ends import area, explained, mean_loss, root_mean_square
from pellucid.intervals import wilson
from pellucid.report.facts import Score

__all__ = ["class_scores", "group_scores", "number_scores", "unscored"]

FloatArray = npt.NDArray[np.float64]
FEWEST = 50
"""Rows below which a group's score is not told: its interval would span half the scale."""


def class_scores(
    truth: npt.NDArray[np.int64], probabilities: FloatArray, classes: tuple[Any, ...], shares: FloatArray
) -> tuple[Score, ...]:
    """Return ROC AUC (two classes), accuracy and log loss.

    truth (N,) class numbers, probabilities (N, O), shares (O,) of the classes among the training rows. The main score comes first,
    the one that models are ranked by: ROC AUC for two classes, accuracy for more.
    """
    n, common = len(truth), int(shares.argmax())
    hits = int((probabilities.argmax(1) == truth).sum())
    low, high = (float(v) for v in wilson(hits, n))
    dumb = float((truth == common).mean())
    right = Score("accuracy", hits / n, low, high, null=dumb, null_words=f"always answering {str(classes[common])!r}", n=n)
    floor = np.clip(probabilities[np.arange(n), truth], 1e-15, None)
    blind = -np.log(np.clip(shares[truth], 1e-15, None)).mean()
    mean, least, most = mean_loss(-np.log(floor))
    words = "always answering the training shares"
    loss = Score("log_loss", mean, least, most, null=float(blind), null_words=words, higher_is_better=False, unit="nats", n=n)
    if len(classes) != 2:
        return right, loss
    ranked = area(truth == 1, probabilities[:, 1])
    if not np.isfinite(ranked[0]):
        return right, loss
    return Score("roc_auc", *ranked, null=0.5, null_words="ranking at random", n=n), right, loss


def number_scores(truth: FloatArray, answers: FloatArray, mean: float, unit: str) -> tuple[Score, ...]:
    """Return root mean squared error, mean absolute error and R2. truth, answers (N,) in the target's unit; mean of training rows."""
    n, miss = len(truth), answers - truth
    blind = truth - mean
    always = "always answering the training mean"
    nulls = float(np.sqrt((blind**2).mean())), float(np.abs(blind).mean())
    rmse, mae = (
        Score(metric, *figures, null=null, null_words=always, higher_is_better=False, unit=unit, n=n)
        for metric, figures, null in zip(("rmse", "mae"), (root_mean_square(miss), mean_loss(np.abs(miss))), nulls)
    )
    share, low, high = explained(truth, miss)
    if not np.isfinite(share):
        return rmse, mae
    return rmse, mae, Score("r2", share, low, high, null=0.0, null_words=always, n=n)


def group_scores(
    name: str,
    codes: npt.NDArray[np.int64],
    levels: tuple[str, ...],
    truth: npt.NDArray[Any],
    answers: FloatArray,
    *,
    metric: str,
    unit: str,
) -> tuple[Score, ...]:
    """Return ``metric`` (accuracy, roc_auc or rmse) within each level of a column; levels of fewer than ``FEWEST`` rows are left out.

    :func:`unscored` says which ones.
    """
    out = []
    for k, level in enumerate(levels):
        rows = codes == k
        n = int(rows.sum())
        if n < FEWEST:
            continue
        of = f"{name} = {level}"
        if metric == "roc_auc":
            ranked = area(truth[rows] == 1, answers[rows, 1])
            if np.isfinite(ranked[0]):
                out.append(Score("roc_auc", *ranked, null=0.5, null_words="ranking at random", n=n, of=of))
        elif metric == "accuracy":
            hits = int((answers[rows].argmax(1) == truth[rows]).sum())
            low, high = (float(v) for v in wilson(hits, n))
            share = float(np.bincount(truth[rows], minlength=answers.shape[1]).max() / n)
            out.append(
                Score("accuracy", hits / n, low, high, null=share, null_words="always answering the group's commonest class", n=n, of=of)
            )
        else:
            root = root_mean_square(answers[rows] - truth[rows])
            null = float(truth[rows].std())
            words = "always answering the group's mean"
            out.append(Score("rmse", *root, null=null, null_words=words, higher_is_better=False, unit=unit, n=n, of=of))
    return tuple(out)


def unscored(name: str, codes: npt.NDArray[np.int64], levels: tuple[str, ...], truth: npt.NDArray[Any], *, metric: str) -> tuple[str, ...]:
    """Return in words the levels that :func:`group_scores` leaves out: too few rows, or rows of one class where classes are ranked."""
    few, alone = [], []
    for k, level in enumerate(levels):
        rows = codes == k
        n = int(rows.sum())
        if 0 < n < FEWEST:
            few.append(f"'{name}' = '{level}' ({n})")
        elif n and metric == "roc_auc" and len(np.unique(truth[rows])) < 2:
            alone.append(f"'{name}' = '{level}' ({n})")
    told = (few, f"fewer than {FEWEST} test rows"), (alone, "test rows of one class only")
    return tuple(f"{why}: {', '.join(which)}" for which, why in told if which)
