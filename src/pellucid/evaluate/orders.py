"""How alike are two orders of columns? Four measures, on whole arrays (..., P); ties and zeros are treated as stated.

Letters: P columns; every other axis is carried along.
"""

from __future__ import annotations

import numpy as np

from pellucid.protocols import FloatArray

__all__ = ["kendall", "rank_biased_overlap", "sign_agreement", "top_jaccard"]


def kendall(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return Kendall's tau-b along the last axis; NaN where one side is constant. Cost: P^2 per pair of orders.

    Source: Kendall 1945, doi:10.1093/biomet/33.3.239.

    Examples
    --------
    >>> kendall(np.array([3.0, 2.0, 1.0, 1.0]), np.array([3.0, 1.0, 2.0, 0.0])).round(4).item()
    0.5477
    """
    i, j = np.triu_indices(a.shape[-1], 1)
    x, y = np.sign(a[..., i] - a[..., j]), np.sign(b[..., i] - b[..., j])
    size = np.sqrt((x != 0).sum(-1) * (y != 0).sum(-1))
    return np.asarray(np.divide((x * y).sum(-1), size, out=np.full(np.shape(size), np.nan), where=size > 0))


def _ranks(a: FloatArray) -> FloatArray:
    """Return each column's place by size, 0 the largest; ties in the order of the columns."""
    order = np.argsort(-np.abs(a), axis=-1, kind="stable")
    return np.argsort(order, axis=-1, kind="stable").astype(np.float64)


def top_jaccard(a: FloatArray, b: FloatArray, k: int) -> FloatArray:
    """Return the shared part of the k largest by absolute value: both / either. A value of 0 is never among the largest.

    Examples
    --------
    >>> top_jaccard(np.array([3.0, 2.0, 1.0]), np.array([3.0, 1.0, 2.0]), 2).item()
    0.3333333333333333
    """
    one, two = ((_ranks(v) < k) & (v != 0) for v in (a, b))
    either = (one | two).sum(-1)
    return np.asarray(np.divide((one & two).sum(-1), either, out=np.full(np.shape(either), np.nan), where=either > 0))


def rank_biased_overlap(a: FloatArray, b: FloatArray, p: float = 0.9) -> FloatArray:
    """Return the rank-biased overlap of the two orders by absolute value, extrapolated to equal orders = 1.

    Each depth d counts with weight p^(d - 1): the first places matter most. Source: Webber, Moffat and Zobel 2010,
    doi:10.1145/1852102.1852106, their extrapolated form for lists of one length, which ends in the overlap at the last depth.

    Examples
    --------
    >>> rank_biased_overlap(np.array([3.0, 2.0, 1.0]), np.array([3.0, 2.0, 1.0])).round(12).item()
    1.0
    """
    one, two = _ranks(a), _ranks(b)
    size = a.shape[-1]
    depth = np.arange(1, size + 1)
    shared = (np.maximum(one, two)[..., None] < depth).sum(-2) / depth  # (..., P): overlap at each depth
    return np.asarray((1 - p) * (shared * p ** (depth - 1)).sum(-1) + shared[..., -1] * p**size)


def sign_agreement(a: FloatArray, b: FloatArray, k: int) -> FloatArray:
    """Return the share of equal signs among the columns that are in the top k of either side.

    Examples
    --------
    >>> sign_agreement(np.array([3.0, -2.0, 0.1]), np.array([2.0, 1.0, 0.1]), 2).item()
    0.5
    """
    among = (_ranks(a) < k) | (_ranks(b) < k)
    among &= (a != 0) | (b != 0)  # zeros on both sides would make any two answers alike
    count = among.sum(-1)
    same = (among & (np.sign(a) == np.sign(b))).sum(-1)
    return np.asarray(np.divide(same, count, out=np.full(np.shape(count), np.nan), where=count > 0))
