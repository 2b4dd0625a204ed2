"""Intervals of shares and of means."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Z95", "area_ends", "error_of_mean", "widening", "wilson"]

FloatArray = npt.NDArray[np.float64]
Z95 = 1.959963984540054
"""Standard errors on either side of a 95 % interval."""


def error_of_mean(values: npt.ArrayLike) -> FloatArray:
    """Return the standard errors of the means over axis 0 of values (n, ...); NaN where n is below 2.

    Of few values the spread itself is known badly: the errors are widened so that 1.96 of them cover like Student's t interval.

    Examples
    --------
    >>> float(error_of_mean([1.0, 2.0, 3.0]).round(3)), round(3**-0.5, 3)
    (1.267, 0.577)
    """
    each = np.asarray(values, np.float64)
    n = len(each)
    if n < 2:
        return np.full(each.shape[1:], np.nan)
    return np.asarray(each.std(0, ddof=1) * np.sqrt(widening(n - 1) / n))


def widening(freedom: npt.ArrayLike) -> FloatArray:
    """Return the factor by which variances from few degrees of freedom are widened: (t quantile / normal quantile)^2; NaN for none.

    Examples
    --------
    >>> widening([2, 10, 1000]).round(2).tolist()
    [4.82, 1.29, 1.0]
    """
    from scipy.special import stdtrit

    free = np.asarray(freedom, np.float64)
    return np.asarray(np.where(free > 0, np.square(stdtrit(np.maximum(free, 1e-9), 0.975) / Z95), np.nan))


def area_ends(value: float, error: float, few: int) -> tuple[float, float]:
    """Return the ends of the 95 % interval of an area under the ROC curve; ``few`` rows are of the rarer class.

    The standard error is laid off on the scale of log-odds: near the ends of 0 and 1 what is found of few rows is skewed (Pepe 2003,
    The Statistical Evaluation of Medical Tests, 5.2.5). Classes that come apart without one exception have no spread to show, which makes
    nothing certain: the interval is then Wilson's of as many hits as the rarer class has rows.

    Examples
    --------
    >>> [round(end, 2) for end in area_ends(0.9, 0.05, 20)], [round(end, 2) for end in area_ends(1.0, 0.0, 10)]
    ([0.75, 0.96], [0.72, 1.0])
    """
    if value in (0.0, 1.0):
        low, high = wilson(round(value) * few, few)
        return float(low), float(high)
    half = np.minimum(Z95 * error / (value * (1 - value)), 500.0)  # of log-odds: beyond is 0 and 1
    odds = value / (1 - value) * np.exp([-half, half])
    return float(odds[0] / (1 + odds[0])), float(1 - 1 / (1 + odds[1]))


def wilson(successes: npt.ArrayLike, n: npt.ArrayLike, z: float = Z95) -> tuple[FloatArray, FloatArray]:
    """Return the ends of Wilson's interval of a share (95 %); 0 and 1 where there are no rows.

    Wilson 1927, doi:10.1080/01621459.1927.10502953.

    Examples
    --------
    >>> low, high = wilson(0, 10)
    >>> float(low), round(float(high), 3)
    (0.0, 0.278)
    """
    k, m = np.asarray(successes, np.float64), np.asarray(n, np.float64)
    safe = np.maximum(m, 1)
    p = k / safe
    centre = (p + z**2 / (2 * safe)) / (1 + z**2 / safe)
    half = z / (1 + z**2 / safe) * np.sqrt(p * (1 - p) / safe + z**2 / (4 * safe**2))
    low, high = np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)
    low, high = np.where(k == 0, 0.0, low), np.where(k == m, 1.0, high)  # exact ends, not rounding noise
    return np.where(m > 0, low, 0.0), np.where(m > 0, high, 1.0)
