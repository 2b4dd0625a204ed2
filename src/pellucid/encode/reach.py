"""Numbers brought where arithmetic can use them: squares that neither overflow nor vanish, no column of gaps alone.

Letters: N rows, C columns.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["powers", "within_reach", "without_empty"]

FloatArray = npt.NDArray[np.float64]


def powers(x: FloatArray) -> npt.NDArray[np.int64]:
    """Return for each column of ``x`` (N, C), or for the one that ``x`` (N,) is, the p for which its largest number lies below 2**p.

    To multiply by 2**-p (``np.ldexp(x, -p)``) rounds nothing. Columns of zeros and missing cells: 0.

    Examples
    --------
    >>> powers(np.array([[1e300, 3.0], [-2.0, np.nan]])).tolist()
    [997, 2]
    """
    return np.asarray(np.frexp(np.nanmax(np.abs(x), axis=0, initial=0.0))[1], np.int64)


def within_reach(x: FloatArray) -> FloatArray:
    """Return ``x`` (N, C) with each column beyond 1e15 or below 1e-15 multiplied by a power of two; others stay.

    Examples
    --------
    >>> within_reach(np.array([[1e300, 2.0], [-3e300, 3.0]]))[:, 1].tolist()
    [2.0, 3.0]
    >>> bool(np.isfinite(within_reach(np.array([[1e300], [-3e300]])) ** 2).all())
    True
    """
    p = powers(x)
    return np.asarray(np.ldexp(x, np.where(np.abs(p) > 50, -p, 0)))


def without_empty(x: FloatArray) -> FloatArray:
    """Return ``x`` (N, C) with columns that are missing in all N rows as zeros, for trees to learn from.

    Histogram trees refuse a column without one number. No tree can split such a column, filled or not, so it stays without a say: it
    arises where a sparse column's few cells all lie in the rows that are held out.

    Examples
    --------
    >>> without_empty(np.array([[1.0, np.nan], [np.nan, np.nan]])).tolist()
    [[1.0, 0.0], [nan, 0.0]]
    """
    empty = np.isnan(x).all(0)
    return np.where(empty, 0.0, x) if empty.any() else x
