"""How far a map is to be believed: what it keeps of neighbourhoods, of order and of distances, each figure with its standard error.

``trustworthiness`` (are neighbours on the map neighbours in the table?) and ``continuity`` (the reverse): Venna and Kaski 2001,
doi:10.1007/3-540-44668-0_68. ``kNN recall``: share of the k nearest rows that stay among the k nearest. ``triplet accuracy``: of three
random rows, does the map keep which of two lies nearer to the third (Wang and others 2021, arXiv:2012.04456)? ``distance rank
correlation``: Spearman's, over random pairs. Letters: N rows, A anchors, k neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pellucid.intervals import error_of_mean
from pellucid.maps.neighbours import nearest, places_of
from pellucid.protocols import FloatArray
from pellucid.random import stream

__all__ = ["FIGURES", "Quality", "aligned", "quality"]

K = 15
ANCHORS = 1000
SHUFFLES = 10
"""Times the rows are cut into pairs and triplets anew."""

FIGURES: Mapping[str, str] = {
    "trustworthiness": "neighbours on the map are neighbours in the data; 1 is all, about 0.5 a random map",
    "continuity": "neighbours in the data are neighbours on the map; 1 is all, about 0.5 a random map",
    "kNN recall": "share of the nearest rows that stay among the nearest on the map",
    "triplet accuracy": "which of two random rows lies nearer to a third is kept; 0.5 is guessing",
    "distance rank correlation": "Spearman's correlation of distances of random pairs; 0 is guessing",
}


@dataclass(frozen=True)
class Quality:
    """Figures of one map.

    Attributes
    ----------
    values, errors : by name of the figure; errors are standard errors over rows, pairs or triplets that share no row.
    k : neighbours asked for. kept : (N,) share of its k nearest rows that each row keeps on the map, and far : (N, k) distances to these
        rows; of the anchors alone, (A,) and (A, k), where these are all that was asked for.
    """

    values: Mapping[str, float]
    errors: Mapping[str, float]
    k: int
    kept: FloatArray
    far: FloatArray


def quality(points: FloatArray, coordinates: FloatArray, seed: int, anchors: int = ANCHORS, *, whole: bool = True) -> Quality:
    """Return the figures of a map (N, 2) of points (N, F); neighbourhoods are judged at no more than ``anchors`` random rows.

    ``whole``: how many neighbours are kept is told of every row, not of the anchors alone. Cost: N^2 F for the nearest rows (A N F for
    those of the anchors), A N (F + k) for their places.
    """
    n = len(points)
    k = max(1, min(K, (n - 1) // 2 - 1))
    some = np.sort(stream(seed, "anchors").permutation(n)[:anchors])
    asked = np.arange(n) if whole else some
    (near, far), (seen, _) = (nearest(x[asked], x, k, asked) for x in (points, coordinates))
    kept = np.asarray((near[:, :, None] == seen[:, None]).any(2).mean(1))
    at = some if whole else np.arange(len(some))
    values, errors = {}, {}
    for name, space, rows in (("trustworthiness", points, seen), ("continuity", coordinates, near)):
        beyond = np.maximum(places_of(space, some, rows[at]) - k, 0).sum(1)
        values[name], errors[name] = _mean(1 - 2 * beyond / (k * (2 * n - 3 * k - 1)))
    values["kNN recall"], errors["kNN recall"] = _mean(kept)
    hits, pairs = _order(points, coordinates, seed), _pairs(points, coordinates, seed)
    values["triplet accuracy"], errors["triplet accuracy"] = hits
    values["distance rank correlation"], errors["distance rank correlation"] = pairs
    return Quality(values, errors, k, kept, far)


def _mean(scores: FloatArray) -> tuple[float, float]:
    return float(scores.mean()), float(error_of_mean(scores))


def _lengths(x: FloatArray, a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> FloatArray:
    return np.asarray(((x[a] - x[b]) ** 2).sum(1))


def _cuts(n: int, size: int, seed: int, name: str) -> list[npt.NDArray[np.int64]]:
    """Return random cuts of the rows into groups (n // size, size) that share no row."""
    draw = stream(seed, name)
    return [draw.permutation(n)[: n // size * size].reshape(-1, size) for _ in range(SHUFFLES)]


def _order(points: FloatArray, coordinates: FloatArray, seed: int) -> tuple[float, float]:
    """Return (share of triplets whose order is kept, its standard error as if one cut alone were counted); ties count half."""
    shares = []
    for three in _cuts(len(points), 3, seed, "triplets"):
        a, b = (np.sign(_lengths(x, three[:, 0], three[:, 1]) - _lengths(x, three[:, 0], three[:, 2])) for x in (points, coordinates))
        shares.append(float(np.where(a * b == 0, 0.5, a * b > 0).mean()))
    p = float(np.mean(shares))
    return p, float(np.sqrt(max(p * (1 - p), 1e-12) / max(len(points) // 3, 1)))


def _pairs(points: FloatArray, coordinates: FloatArray, seed: int) -> tuple[float, float]:
    """Return (Spearman's correlation of distances, its standard error by Fisher's transform as if one cut alone were counted)."""
    from scipy.stats import rankdata

    cut = np.concatenate(_cuts(len(points), 2, seed, "pairs"))
    a, b = (rankdata(_lengths(x, cut[:, 0], cut[:, 1])) for x in (points, coordinates))
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0, float("nan")
    r = float(np.corrcoef(a, b)[0, 1])
    return r, float((1 - r**2) * 1.03 / np.sqrt(max(len(points) // 2 - 3, 1)))


def aligned(fixed: FloatArray, moved: FloatArray) -> tuple[FloatArray, float]:
    """Return (``moved`` (N, 2) shifted, turned, mirrored and scaled onto ``fixed`` (N, 2); disparity).

    A disparity of 0 is the same map, 1 has nothing in common.

    Gower 1975, doi:10.1007/BF02291478.

    Examples
    --------
    >>> square = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    >>> turned, apart = aligned(square, 3 * square[:, ::-1] + 7)
    >>> bool(np.allclose(turned, square)), round(apart, 6)
    (True, 0.0)
    """
    a, b = fixed - fixed.mean(0), moved - moved.mean(0)
    size_a, size_b = (max(float(np.linalg.norm(x)), 1e-300) for x in (a, b))
    u, s, vt = np.linalg.svd((b / size_b).T @ (a / size_a))
    return (b / size_b) @ (u @ vt) * (s.sum() * size_a) + fixed.mean(0), float(max(1 - s.sum() ** 2, 0.0))
