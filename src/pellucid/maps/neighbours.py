"""Distances between points in blocks that fit into memory: nearest rows, and places in the order of distance.

Letters: N, M rows, F slots.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pellucid.protocols import FloatArray

__all__ = ["nearest", "places_of", "squares"]

BLOCK = 1 << 23
"""Distances held at once."""

Ints = npt.NDArray[np.int64]


def squares(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return squared distances (M, N) between points (M, F) and (N, F)."""
    out = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    return np.asarray(np.maximum(out, 0.0))


def _blocks(n: int, width: int) -> list[slice]:
    step = max(1, BLOCK // max(width, 1))
    return [slice(s, min(s + step, n)) for s in range(0, n, step)]


def nearest(a: FloatArray, b: FloatArray, k: int, own: Ints | None = None) -> tuple[Ints, FloatArray]:
    """Return (positions (M, k) of the k points of ``b`` nearest to each point of ``a``, nearest first; their distances (M, k)).

    own : (M,) position in ``b`` that is the point itself and does not count. Cost: M N F.
    """
    rows, far = np.empty((len(a), k), np.int64), np.empty((len(a), k))
    for cut in _blocks(len(a), len(b)):
        d = squares(a[cut], b)
        if own is not None:
            d[np.arange(len(d)), own[cut]] = np.inf
        some = np.argpartition(d, k - 1, axis=1)[:, :k]
        picked = np.take_along_axis(d, some, 1)
        order = np.lexsort((some, picked), axis=1)
        rows[cut] = np.take_along_axis(some, order, 1)
        far[cut] = np.sqrt(np.take_along_axis(picked, order, 1))
    return rows, far


def places_of(points: FloatArray, anchors: Ints, others: Ints) -> Ints:
    """Return at which place (A, k), from 1, the rows ``others`` (A, k) stand in the order of distance from the anchors (A,).

    Rows at equal distance share the middle of their places, so that the order of the table does not decide. Cost: A N (F + k).
    """
    from scipy.spatial.distance import cdist

    out = np.empty(others.shape, np.int64)
    for cut in _blocks(len(anchors), len(points) * others.shape[1]):
        d = cdist(points[anchors[cut]], points, "sqeuclidean")
        d[np.arange(len(d)), anchors[cut]] = np.inf
        mine = np.take_along_axis(d, others[cut], 1)[:, :, None]
        low, level = (d[:, None] < mine).sum(2), (d[:, None] == mine).sum(2)
        out[cut] = low + (level - 1) // 2 + 1
    return out
