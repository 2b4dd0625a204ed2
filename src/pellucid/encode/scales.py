"""Ways to scale a number column: each is a rising line of straight pieces through reference points, so it has an exact inverse.

A scale reads the weighted distribution of the training values and returns reference points and where they go. What lies outside the
training range is the caller's question: see :class:`pellucid.encode.numeric.NumberEncoder` and :func:`pellucid.encode.scaling.scale`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pellucid.encode.reach import powers

__all__ = ["MOST_REFERENCES", "minmax", "quantile", "robust", "zscore"]

FloatArray = npt.NDArray[np.float64]
Points = tuple[FloatArray, FloatArray]

MOST_REFERENCES = 1000


def _line(values: FloatArray, centre: float, width: float) -> Points:
    """Return the ends of the range and their places; a column of one value goes to 0."""
    if len(values) < 2:
        return values, np.zeros(len(values))
    ends = values[[0, -1]]
    return ends, (ends - centre) / (width if width > 0 and np.isfinite(width) else float(ends[1] - ends[0]))


def minmax(values: FloatArray, mass: FloatArray) -> Points:
    """Return the smallest value at 0 and the largest at 1."""
    return _line(values, float(values[0]), float(values[-1] - values[0])) if len(values) else (values, values)


def zscore(values: FloatArray, mass: FloatArray) -> Points:
    """Return the line on which the training values have mean 0 and standard deviation 1."""
    if not len(values):
        return values, values
    p = powers(values)  # squares of 1e300 would be infinite
    near = np.ldexp(values, -p)
    mean = float((near * mass).sum())
    return _line(values, float(np.ldexp(mean, p)), float(np.ldexp(np.sqrt(((near - mean) ** 2 * mass).sum()), p)))


def robust(values: FloatArray, mass: FloatArray) -> Points:
    """Return the line with the median at 0 and the middle half of the rows one wide; where that half has no width, the range is."""
    if not len(values):
        return values, values
    place = np.cumsum(mass)
    low, middle, high = (float(values[min(int(np.searchsorted(place, q - 1e-12)), len(values) - 1)]) for q in (0.25, 0.5, 0.75))
    return _line(values, middle, high - low)


def quantile(values: FloatArray, mass: FloatArray) -> Points:
    """Return reference points and the normal quantiles of their places; the default.

    References are every value that holds a large share of the rows, and ``min(max(n // 30, 10), 1000)`` quantiles of the n other distinct
    values (the count is that of Gorishniy and others 2021, arXiv:2106.11959).
    """
    from scipy.special import ndtri

    if not len(values):
        return values, values
    middle = np.clip(np.cumsum(mass) - mass / 2, 1e-7, 1 - 1e-7)
    heavy = mass > 1 / MOST_REFERENCES
    light = np.flatnonzero(~heavy)
    picked = heavy.copy()
    picked[[0, -1]] = True
    if len(light):
        n = min(max(len(light) // 30, 10), MOST_REFERENCES)
        share = np.cumsum(mass[light])
        picked[light[np.searchsorted(share, np.linspace(0, 1, n) * share[-1]).clip(0, len(light) - 1)]] = True
    return values[picked], ndtri(middle[picked])
