"""A graph of rows whose reasons are alike: its weights, its communities, and where to draw it.

Letters: N rows, P players, E edges.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pellucid.protocols import FloatArray

__all__ = ["communities", "edges", "graph_of", "largest_first", "modularity", "places", "profiles"]

Ints = npt.NDArray[np.int64]


def profiles(reasons: FloatArray, direction: bool) -> FloatArray:
    """Return unit vectors (N, P) whose products are overlaps of reasons: the roots of the columns' shares, signed where asked.

    A row that nothing moves shares evenly.

    Examples
    --------
    >>> profiles(np.array([[3.0, -1.0], [0.0, 0.0]]), True).round(3).tolist()
    [[0.866, -0.5], [0.707, 0.707]]
    """
    size = np.abs(reasons)
    total = size.sum(1, keepdims=True)
    share = np.where(total > 0, size / np.where(total > 0, total, 1.0), 1 / size.shape[1])
    return np.asarray(np.sqrt(share) * (np.where(reasons < 0, -1.0, 1.0) if direction else 1.0))


def graph_of(points: FloatArray, k: int) -> FloatArray:
    """Return the weights (N, N) of the graph that joins each row to the k most alike: overlaps, halved where one row alone chose."""
    alike = points @ points.T
    np.fill_diagonal(alike, -np.inf)
    near = np.argsort(-alike, axis=1, kind="stable")[:, :k]
    weights = np.zeros_like(alike)
    rows = np.arange(len(points))[:, None]
    weights[rows, near] = np.maximum(alike[rows, near], 0.0)
    return np.asarray((weights + weights.T) / 2)


def modularity(weights: FloatArray, labels: Ints) -> float:
    """Return the share of the weight within parts less the share expected from the rows' degrees (Newman and Girvan 2004).

    Examples
    --------
    >>> two = np.kron(np.eye(2), np.ones((3, 3)) - np.eye(3))
    >>> modularity(two, np.array([0, 0, 0, 1, 1, 1]))
    0.5
    """
    member = np.eye(int(labels.max()) + 1)[labels]
    total = weights.sum()
    if total <= 0:
        return 0.0
    inside = np.einsum("ng,nm,mg->g", member, weights, member, optimize=True) / total
    return float((inside - np.square(weights.sum(1) @ member / total)).sum())


def communities(weights: FloatArray, most: int) -> list[Ints]:
    """Return cuts into 2 to ``most`` parts, (N,) each, by the leading eigenvectors of the normalised graph.

    Labels are read off by a pivoted QR decomposition (Damle, Minden and Ying 2018), which draws nothing. Cost: eigenvectors of (N, N).
    """
    from scipy.linalg import eigh, qr, svd

    n = len(weights)
    root = 1 / np.sqrt(np.maximum(weights.sum(1), 1e-12))
    vectors = eigh(weights * root[:, None] * root, subset_by_index=(max(0, n - most), n - 1))[1][:, ::-1]
    out = []
    for parts in range(2, most + 1):
        v = vectors[:, :parts]
        pivots = qr(v.T, pivoting=True, mode="economic")[2]
        u, _, w = svd(v[pivots[:parts]].T)
        out.append(np.asarray(np.abs(v @ (u @ w)).argmax(1), np.int64))
    return out


def largest_first(labels: Ints) -> Ints:
    """Return labels from 1 by size; parts that no row chose are left out."""
    names, place, count = np.unique(labels, return_inverse=True, return_counts=True)
    rank = np.empty(len(names), np.int64)
    rank[np.argsort(-count, kind="stable")] = np.arange(1, len(names) + 1)
    return np.asarray(rank[place])


def places(points: FloatArray) -> FloatArray:
    """Return where to draw the rows, (N, 2): the two leading axes of their shares, each turned so that its largest part is positive."""
    centred = points - points.mean(0)
    u, s, v = np.linalg.svd(centred, full_matrices=False)
    if len(s) < 2:
        return np.column_stack([centred[:, 0], np.zeros(len(points))])
    sign = np.sign(v[[0, 1], np.abs(v[:2]).argmax(1)])
    return np.asarray(u[:, :2] * s[:2] * np.where(sign == 0, 1.0, sign))


def edges(points: FloatArray, k: int) -> Ints:
    """Return positions (E, 2) of rows joined by their k nearest, each pair once."""
    rows, other = np.nonzero(np.triu(graph_of(points, k)))
    return np.column_stack([rows, other]).astype(np.int64)
