"""What is won by keeping silent: the error among the answers given, as fewer and fewer are given.

Rows are sorted by doubt; the risk at coverage c is the mean loss of the share c with the least doubt. Rows of equal doubt count as their
mean, as over all orders among them.

Source: El-Yaniv and Wiener 2010 (JMLR 11); area and its excess: Geifman, Uziel and El-Yaniv 2019, arXiv:1805.08206; the area of the joint
risk: Traub et al. 2024, arXiv:2407.01032. Letters: N rows, B bootstrap draws, G points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pellucid.errors import ArgumentError
from pellucid.random import stream

__all__ = ["Areas", "areas", "best_area", "curve_with_band", "paired_areas", "risk_curve"]

FloatArray = npt.NDArray[np.float64]
DRAWS = 200
POINTS = 100


@dataclass(frozen=True)
class Areas:
    """Areas under a risk-coverage curve.

    Attributes
    ----------
    area : mean risk over all coverages (AURC). best : the area if the loss itself were the doubt. excess : area - best (E-AURC).
    joint : mean over coverages of the loss that is both answered and suffered (AUGRC). overall : risk when everything is answered, which
        is also the area of a doubt drawn at random.
    """

    area: float
    best: float
    excess: float
    joint: float
    overall: float


def _checked(doubt: npt.ArrayLike, loss: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    d, e = np.asarray(doubt, np.float64), np.asarray(loss, np.float64)
    if d.ndim != 1 or d.shape != e.shape or not len(d) or np.isnan(d).any() or not np.isfinite(e).all():
        raise ArgumentError("doubt and loss cannot be used", expected="one number of each for every row", got=f"{d.shape} and {e.shape}")
    return d, e


def _blocks(doubt: FloatArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the order of the rows by doubt, and where each block of equal doubts starts in it."""
    order = np.argsort(doubt, kind="stable")
    return order, np.flatnonzero(np.diff(doubt[order], prepend=-np.inf) > 0)


def _suffered(doubt: FloatArray, loss: FloatArray) -> FloatArray:
    """Return the expected loss summed over the first 1, 2, ... N rows, (N,)."""
    order, start = _blocks(doubt)
    size = np.diff(np.append(start, len(doubt)))
    mean = np.add.reduceat(loss[order], start) / size
    return np.cumsum(np.repeat(mean, size))


def risk_curve(doubt: npt.ArrayLike, loss: npt.ArrayLike) -> FloatArray:
    """Return the risk when the 1, 2, ... N rows of least doubt are answered, (N,).

    Examples
    --------
    >>> risk_curve([0.1, 0.5, 0.5], [0.0, 1.0, 0.0]).round(3).tolist()
    [0.0, 0.25, 0.333]
    """
    d, e = _checked(doubt, loss)
    return np.asarray(_suffered(d, e) / np.arange(1, len(d) + 1))


def best_area(error: float) -> float:
    """Return the least possible area for a share ``error`` of wrong answers on very many rows: e + (1 - e) ln(1 - e).

    Examples
    --------
    >>> round(best_area(0.2), 4)
    0.0215
    """
    return error + (1 - error) * float(np.log1p(-error)) if error < 1 else 1.0


def areas(doubt: npt.ArrayLike, loss: npt.ArrayLike) -> Areas:
    """Return the areas of a doubt (N,) for losses (N,): 0 and 1 for classes, any size of error for numbers."""
    d, e = _checked(doubt, loss)
    n = np.arange(1, len(d) + 1)
    suffered = _suffered(d, e)
    area, best = float((suffered / n).mean()), float((np.cumsum(np.sort(e)) / n).mean())
    return Areas(area, best, area - best, float(suffered.mean() / len(d)), float(e.mean()))


def _weighted_curve(
    order: npt.NDArray[np.int64], start: npt.NDArray[np.int64], loss: FloatArray, weights: FloatArray, at: FloatArray
) -> FloatArray:
    """Return the risk at the coverages ``at`` (G,) of rows that count ``weights`` times."""
    w = weights[order]
    size = np.concatenate([[0.0], np.cumsum(np.add.reduceat(w, start))])
    suffered = np.concatenate([[0.0], np.cumsum(np.add.reduceat(w * loss[order], start))])
    return np.asarray(np.interp(at * size[-1], size, suffered) / (at * size[-1]))


def _draws(n: int, seed: int, draws: int) -> FloatArray:
    return stream(seed, "risk-coverage").multinomial(n, np.full(n, 1 / n), size=draws).astype(np.float64)


def curve_with_band(
    doubt: npt.ArrayLike, loss: npt.ArrayLike, *, seed: int = 0, draws: int = DRAWS, points: int = POINTS
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, tuple[float, float]]:
    """Return (coverage (G,), risk (G,), its 95 % band low and high (G,), 95 % interval of the area), from a bootstrap over rows.

    Cost: B sorts are spared, the rows are only counted anew: O(B N).
    """
    d, e = _checked(doubt, loss)
    n, (order, start) = len(d), _blocks(d)
    at = np.unique(np.ceil(np.linspace(1 / points, 1, points) * n)) / n
    fine = np.arange(1, n + 1) / n
    curves, area = [], []
    for weights in _draws(n, seed, draws):
        whole = _weighted_curve(order, start, e, weights, fine)
        curves.append(np.interp(at, fine, whole))
        area.append(whole.mean())
    low, high = np.percentile(curves, [2.5, 97.5], axis=0)
    ends = np.percentile(area, [2.5, 97.5])
    return at, np.interp(at, fine, risk_curve(d, e)), low, high, (float(ends[0]), float(ends[1]))


def paired_areas(
    first: npt.ArrayLike, second: npt.ArrayLike, loss: npt.ArrayLike, *, other_loss: npt.ArrayLike | None = None, seed: int = 0,
    draws: int = DRAWS,
) -> tuple[float, float, float]:  # fmt: skip
    """Return (area of the first doubt less that of the second, 95 % interval of the difference), the same rows drawn for both."""
    (a, e), (b, f) = _checked(first, loss), _checked(second, loss if other_loss is None else other_loss)
    fine = np.arange(1, len(a) + 1) / len(a)
    one, two = _blocks(a), _blocks(b)
    gaps = [_weighted_curve(*one, e, w, fine).mean() - _weighted_curve(*two, f, w, fine).mean() for w in _draws(len(a), seed, draws)]
    low, high = np.percentile(gaps, [2.5, 97.5])
    return areas(a, e).area - areas(b, f).area, float(low), float(high)
