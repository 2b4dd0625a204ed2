"""Is a step between the largest numbers wider than their tail has steps by itself? A null value for "apart from all others".

In a power law of index a the k-th largest and the next lie a factor r apart, k log r being exponential with mean 1 / a and independent of
all others (Renyi 1953, doi:10.1007/BF02127580). The mean of the next m of them is Hill's estimate of 1 / a (1975,
doi:10.1214/aos/1176343247). Of these the widest is left out, as one more cell may stand apart: the sum of the rest is one of independent
exponentials with means i / (i + 1), i = 1 .. m - 1, times 1 / a, so that the step exceeds t times that sum with chance
prod 1 / (1 + t i / (i + 1)), however heavy the tail. Lighter tails have narrower steps: for them the chance is an upper limit.
"""

from __future__ import annotations

import numpy as np

from pellucid.audit.view import FloatArray, IntArray

__all__ = ["step_chance", "widest_step_chance"]

TAIL, LEAST = 0.01, 20
"""The tail is told from so large a part of the numbers that follow the step, and from so many at least."""


def step_chance(sizes: FloatArray, named: int, steps: int = 1) -> float:
    """Return the chance of a step as wide as that below the ``named`` largest of positive ``sizes`` (n,), chosen among ``steps`` of them.

    0 where fewer than 3 sizes follow the step.

    Examples
    --------
    >>> tail = 1 / np.linspace(0.01, 1, 99)  # a power law of index 1
    >>> step_chance(np.append(tail, 150.0), 1) > 0.3, step_chance(np.append(tail, 1e9), 1) < 1e-3
    (True, True)
    """
    return float(min(1.0, steps * _chances(sizes, named, np.array([named]))[0]))


def widest_step_chance(sizes: FloatArray, named: int, least: int, most: int) -> float:
    """Return the chance that any step below the ``least`` to ``most`` largest is as wide as that below the ``named`` largest."""
    return float(min(1.0, _chances(sizes, named, np.arange(least, most + 1)).sum()))


def _chances(sizes: FloatArray, named: int, places: IntArray) -> FloatArray:
    """Return for each of ``places`` the chance of a step below so many of the largest as wide as that below ``named`` of them."""
    far = np.sort(sizes)[::-1]
    tail = far[named : named + max(LEAST, int(TAIL * len(far)))]
    tail = tail[tail > 0]
    if len(tail) < 3:
        return np.zeros(len(places))
    weights = np.arange(named + 1, named + len(tail))
    steps = weights * np.log(tail[:-1] / tail[1:])
    fall = max(float(steps.sum() - steps.max()), 1e-9)
    times = places * float(np.log(max(far[named - 1] / tail[0], 1.0))) / fall
    kept = np.arange(1, len(steps)) / np.arange(2, len(steps) + 1)
    return np.asarray(np.exp(-np.log1p(times[:, None] * kept).sum(1)))
