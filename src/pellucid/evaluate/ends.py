"""The ends of a score's 95 % interval in closed form: one figure has one interval, wherever it is told.

Letters: N test rows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pellucid.intervals import Z95, area_ends, error_of_mean, widening
from pellucid.protocols import FloatArray

__all__ = ["area", "auc", "explained", "mean_loss", "root_mean_square"]


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


def area(truth: npt.NDArray[np.bool_], claims: FloatArray) -> tuple[float, float, float]:
    """Return the area under the ROC curve and its interval; NaN where one class is absent.

    The rows of the rarer class know their spread the less, the fewer they are: the error is widened like Student's t of them.

    Examples
    --------
    >>> [round(v, 2) for v in area(np.arange(20) > 9, np.arange(20.0))]
    [1.0, 0.72, 1.0]
    """
    value, error = auc(truth, claims)
    few = int(min(truth.sum(), (~truth).sum()))
    return value, *area_ends(value, error * float(np.sqrt(widening(few - 1))), few)


def mean_loss(losses: FloatArray) -> tuple[float, float, float]:
    """Return the mean of losses, none below 0, and its interval, made on the log scale: it does not reach below 0 either.

    Examples
    --------
    >>> [round(v, 2) for v in mean_loss(np.array([1.0, 2.0, 3.0]))]
    [2.0, 0.58, 6.93]
    """
    mean = float(losses.mean())
    if len(losses) < 2 or mean <= 0:
        return mean, float("nan"), float("nan")
    spread = float(np.exp(Z95 * float(error_of_mean(losses)) / mean))
    return mean, mean / spread, mean * spread


def root_mean_square(miss: FloatArray) -> tuple[float, float, float]:
    """Return the root of the mean square and its interval, made on the log scale: mean squares are skewed.

    Examples
    --------
    >>> [round(v, 2) for v in root_mean_square(np.array([1.0, -2.0, 3.0]))]
    [2.16, 0.74, 6.33]
    """
    square = float((miss**2).mean())
    if len(miss) < 2 or square <= 0:
        return float(np.sqrt(square)), float("nan"), float("nan")
    spread = float(np.exp(Z95 * float(error_of_mean(miss**2)) / square / 2))
    root = float(np.sqrt(square))
    return root, root / spread, root * spread


def explained(truth: FloatArray, miss: FloatArray) -> tuple[float, float, float]:
    """Return R2 and its interval by the delta method for a ratio of means; NaN where the truths do not vary.

    Examples
    --------
    >>> round(explained(np.array([1.0, 2.0, 3.0]), np.array([0.1, -0.1, 0.1]))[0], 3)
    0.985
    """
    centred = truth - truth.mean()
    variance = float((centred**2).mean())
    if variance <= 0 or len(truth) < 2:
        return float("nan"), float("nan"), float("nan")
    r2 = 1 - float((miss**2).mean()) / variance
    influence = (miss**2 - (1 - r2) * centred**2) / variance
    half = Z95 * float(error_of_mean(influence))
    return r2, r2 - half, min(r2 + half, 1.0)
