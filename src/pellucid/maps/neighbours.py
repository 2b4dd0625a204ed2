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
FLAT = 4
"""Slots up to which a tree is faster than all distances."""

Ints = npt.NDArray[np.int64]


def squares(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return squared distances (M, N) between points (M, F) and (N, F)."""
    out = np.asarray(a @ (-2 * b).T)
    out += (a**2).sum(1)[:, None]
    out += (b**2).sum(1)[None]
    return np.maximum(out, 0.0, out=out)


def _blocks(n: int, width: int) -> list[slice]:
    step = max(1, BLOCK // max(width, 1))
    return [slice(s, min(s + step, n)) for s in range(0, n, step)]


def nearest(a: FloatArray, b: FloatArray, k: int, own: Ints | None = None) -> tuple[Ints, FloatArray]:
    """Return (positions (M, k) of the k points of ``b`` nearest to each point of ``a``, nearest first; their distances (M, k)).

    own : (M,) position in ``b`` that is the point itself and does not count. Cost: M N F; on a plane M log N.
    """
    if b.shape[1] <= FLAT and own is not None:
        return _on_plane(a, b, k, own)
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


def _on_plane(a: FloatArray, b: FloatArray, k: int, own: Ints) -> tuple[Ints, FloatArray]:
    """Return the same as :func:`nearest` where points have few slots, by a tree."""
    from scipy.spatial import cKDTree

    far, rows = cKDTree(b).query(a, k + 1)
    far = np.where(rows == own[:, None], np.inf, far)
    order = np.lexsort((rows, far), axis=1)[:, :k]  # the point itself stands last; where it was not met, the farthest does
    return np.take_along_axis(rows, order, 1).astype(np.int64), np.take_along_axis(far, order, 1)


def places_of(points: FloatArray, anchors: Ints, others: Ints) -> Ints:
    """Return at which place (A, k), from 1, the rows ``others`` (A, k) stand in the order of distance from the anchors (A,).

    Rows at equal distance share the middle of their places, so that the order of the table does not decide. Cost: A N (F + log N).
    """
    from scipy.spatial.distance import cdist

    out = np.empty(others.shape, np.int64)
    for cut in _blocks(len(anchors), len(points)):
        d = cdist(points[anchors[cut]], points, "sqeuclidean")
        d[np.arange(len(d)), anchors[cut]] = np.inf
        mine = np.take_along_axis(d, others[cut], 1)
        d.sort(axis=1)
        # one search in a sorted line for each of at most 1,000 anchors: comparing all pairs takes a hundred times as long
        low, high = (np.stack([np.searchsorted(line, m, side) for line, m in zip(d, mine)]) for side in ("left", "right"))
        out[cut] = low + (high - low - 1) // 2 + 1
    return out
