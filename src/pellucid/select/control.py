"""From many tests to few false discoveries.

Sources: Benjamini and Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x; Benjamini and Yekutieli 2001, doi:10.1214/aos/1013699998; Wang
and Ramdas 2022, arXiv:2009.02824 (e-values); the symmetric rule after Barber and Candes 2015, arXiv:1404.5609.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError
from pellucid.protocols import FloatArray

__all__ = ["by_e_values", "by_p_values", "by_symmetry"]

BoolArray = npt.NDArray[np.bool_]


def by_p_values(p: FloatArray, level: float, control: str = "bh") -> BoolArray:
    """Return the rejected hypotheses, in the shape of ``p``.

    ``"bh"``: the largest k with p_(k) <= k level / m; for independent or positively dependent tests. ``"by"``: the same with the level
    divided by 1 + 1/2 + ... + 1/m; for any dependence.

    Examples
    --------
    >>> by_p_values(np.array([0.01, 0.04, 0.03, 0.5]), 0.1).tolist()
    [True, True, True, False]
    """
    if control not in ("bh", "by"):
        raise RequestError(f"unknown control {control!r}", expected="'bh' or 'by'")
    flat = np.sort(p.reshape(-1))
    m = len(flat)
    share = level / (1 / np.arange(1, m + 1)).sum() if control == "by" else level
    under = np.flatnonzero(flat <= share * np.arange(1, m + 1) / m)
    return np.asarray(p <= flat[under[-1]]) if len(under) else np.zeros(p.shape, bool)


def by_e_values(e: FloatArray, level: float) -> BoolArray:
    """Return the rejected hypotheses: the largest k with e_[k] >= m / (k level), whatever the dependence.

    Examples
    --------
    >>> by_e_values(np.array([30.0, 25.0, 1.0]), 0.1).tolist()
    [True, True, False]
    """
    flat = np.sort(e.reshape(-1))[::-1]
    m = len(flat)
    over = np.flatnonzero(flat >= m / (level * np.arange(1, m + 1)))
    return np.asarray(e >= flat[over[-1]]) if len(over) else np.zeros(e.shape, bool)


def by_symmetry(t: FloatArray, level: float) -> tuple[BoolArray, float]:
    """Return (rejected hypotheses, threshold) for statistics that are symmetric about 0 under the null.

    Rejected are t >= z for the smallest z > 0 with (1 + #{t <= -z}) / max(1, #{t >= z}) <= level: what lies as far on the wrong side counts
    the false discoveries.

    Examples
    --------
    >>> by_symmetry(np.array([5.0, 4.0, 3.0, 6.0, 7.0, -0.5, 0.4]), 0.2)[0].tolist()
    [True, True, True, True, True, False, False]
    """
    size = np.sort(np.abs(t.reshape(-1)))
    size = np.unique(size[size > 0])
    flat = np.sort(t.reshape(-1))
    wrong = np.searchsorted(flat, -size, side="right")
    right = len(flat) - np.searchsorted(flat, size, side="left")
    good = np.flatnonzero((1 + wrong) / np.maximum(1, right) <= level)
    if not len(good):
        return np.zeros(t.shape, bool), float("inf")
    z = float(size[good[0]])
    return np.asarray(t >= z), z
