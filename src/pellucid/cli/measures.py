"""Figures on test rows, each with its interval and with what an answer that knows nothing would score.

Letters: N rows, O classes or targets.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.report.facts import Score
from pellucid.training.calibration_metrics import wilson

__all__ = ["auc", "class_scores", "group_scores", "number_scores", "unscored"]

FloatArray = npt.NDArray[np.float64]
Z95 = 1.959963984540054
FEWEST = 50
"""Rows below which a group's score is not told: its interval would span half the scale."""


def auc(truth: npt.NDArray[np.bool_], claims: FloatArray) -> tuple[float, float]:
    """Return the area under the ROC curve and its standard error; NaN where one class is absent.

    DeLong, DeLong, Clarke-Pearson 1988, doi:10.2307/2531595, by midranks (Sun, Xu 2014, doi:10.1109/LSP.2014.2337313). Cost: 3 sorts.

    Examples
    --------
    >>> auc(np.array([False, False, True, True]), np.array([0.1, 0.4, 0.35, 0.8]))[0]
    0.75
    """
    from scipy.stats import rankdata

    up, down = claims[truth], claims[~truth]
    m, n = len(up), len(down)
    if not (m and n):
        return float("nan"), float("nan")
    ranks = rankdata(np.concatenate([up, down]))
    of_up = (ranks[:m] - rankdata(up)) / n
    of_down = 1 - (ranks[m:] - rankdata(down)) / m
    variance = (of_up.var(ddof=1) / m if m > 1 else np.nan) + (of_down.var(ddof=1) / n if n > 1 else np.nan)
    return float(of_up.mean()), float(np.sqrt(variance))


def _mean(losses: FloatArray) -> tuple[float, float, float]:
    """Return the mean of losses, none below 0, and its 95 % interval, made on the log scale: it does not reach below 0 either."""
    mean = float(losses.mean())
    if len(losses) < 2 or mean <= 0:
        return mean, float("nan"), float("nan")
    spread = float(np.exp(Z95 * losses.std(ddof=1) / np.sqrt(len(losses)) / mean))
    return mean, mean / spread, mean * spread


def _root_mean_square(miss: FloatArray) -> tuple[float, float, float]:
    """Return the root of the mean square and its 95 % interval, made on the log scale: mean squares are skewed."""
    square = float((miss**2).mean())
    if len(miss) < 2 or square <= 0:
        return float(np.sqrt(square)), float("nan"), float("nan")
    spread = float(np.exp(Z95 * (miss**2).std(ddof=1) / np.sqrt(len(miss)) / square / 2))
    root = float(np.sqrt(square))
    return root, root / spread, root * spread


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
    mean, least, most = _mean(-np.log(floor))
    words = "always answering the training shares"
    loss = Score("log_loss", mean, least, most, null=float(blind), null_words=words, higher_is_better=False, unit="nats", n=n)
    if len(classes) != 2:
        return right, loss
    area, error = auc(truth == 1, probabilities[:, 1])
    ranked = Score("roc_auc", area, max(area - Z95 * error, 0), min(area + Z95 * error, 1), null=0.5, null_words="ranking at random", n=n)
    if not np.isfinite(area):
        return right, loss
    return ranked, right, loss


def number_scores(truth: FloatArray, answers: FloatArray, mean: float, unit: str) -> tuple[Score, ...]:
    """Return root mean squared error, mean absolute error and R2. truth, answers (N,) in the target's unit; mean of training rows."""
    n, miss = len(truth), answers - truth
    blind = truth - mean
    always = "always answering the training mean"
    nulls = float(np.sqrt((blind**2).mean())), float(np.abs(blind).mean())
    rmse, mae = (
        Score(metric, *figures, null=null, null_words=always, higher_is_better=False, unit=unit, n=n)
        for metric, figures, null in zip(("rmse", "mae"), (_root_mean_square(miss), _mean(np.abs(miss))), nulls)
    )
    variance = float(((truth - truth.mean()) ** 2).mean())
    if variance <= 0 or n < 2:
        return rmse, mae
    # the variance of a ratio of means, by the delta method
    r2 = 1 - float((miss**2).mean()) / variance
    influence = (miss**2 - (1 - r2) * (truth - truth.mean()) ** 2) / variance
    half = Z95 * float(influence.std(ddof=1)) / np.sqrt(n)
    return rmse, mae, Score("r2", r2, r2 - half, min(r2 + half, 1.0), null=0.0, null_words=always, n=n)


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
            area, error = auc(truth[rows] == 1, answers[rows, 1])
            ends = max(area - Z95 * error, 0), min(area + Z95 * error, 1)
            if np.isfinite(area):
                out.append(Score("roc_auc", area, *ends, null=0.5, null_words="ranking at random", n=n, of=of))
        elif metric == "accuracy":
            hits = int((answers[rows].argmax(1) == truth[rows]).sum())
            low, high = (float(v) for v in wilson(hits, n))
            share = float(np.bincount(truth[rows], minlength=answers.shape[1]).max() / n)
            out.append(
                Score("accuracy", hits / n, low, high, null=share, null_words="always answering the group's commonest class", n=n, of=of)
            )
        else:
            root = _root_mean_square(answers[rows] - truth[rows])
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
