"""Bets against a null hypothesis: wealth that can only grow by much if the null is false.

Each step pays 1 + v k with a payoff k in [-1, 1] that is symmetric about 0 under the null, and a bet v fixed beforehand. The wealth is
then a fair game: it reaches 1 / level with a chance of at most ``level`` (Ville). Stopped at any time it is an e-value.

Source: Shafer 2021, doi:10.1111/rssa.12647; bets by online Newton steps: Cutkosky and Orabona 2018, arXiv:1802.06293; payoffs from witness
functions: Podkopaev, Bloebaum, Kasiviswanathan and Ramdas 2023, arXiv:2212.07383. Letters: V tests, T steps.
"""

from __future__ import annotations

import numpy as np

from pellucid.protocols import FloatArray

__all__ = ["bandwidth", "bet", "kernel", "payoffs", "payoffs_of_draws", "square_distances", "two_samples", "witness_of_pairs"]

STEP = 2 / (2 - np.log(3))
WARM = 20
"""Steps that only teach the witness its scale; nothing is bet on them."""


def bet(payoff: FloatArray, stop: float) -> tuple[FloatArray, FloatArray]:
    """Return (final wealth (V,), wealth after each step (V, T)) of tests with payoffs (V, T); a wealth that reached ``stop`` is kept.

    Examples
    --------
    >>> wealth, path = bet(np.ones((1, 40)), 20.0)
    >>> bool(wealth[0] >= 20), bool(path[0, 0] == 1)
    (True, True)
    """
    v, t = payoff.shape
    wealth, share, total = np.ones(v), np.zeros(v), np.ones(v)
    path = np.empty((v, t))
    for s in range(t):
        going = wealth < stop
        k = np.where(going, payoff[:, s], 0.0)
        wealth = wealth * (1 + share * k)
        slope = k / (1 + share * k)
        total = total + slope**2
        share = np.clip(share + STEP * slope / total, 0.0, 0.5)
        path[:, s] = wealth
    return wealth, path


def payoffs(difference: FloatArray) -> FloatArray:
    """Return tanh of the witness differences (V, T) over their root mean square so far; 0 while warming up.

    # NOTE[DIFF] the plain tanh of kernel differences is near 0, and bets are bounded by one half, so that wealth can hardly grow. A scale
    that is known before the step keeps the payoff symmetric under the null.
    """
    t = difference.shape[1]
    before = np.cumsum(difference**2, axis=1) - difference**2
    count = np.maximum(np.arange(t) - 1, 1)
    scale = np.sqrt(before / count)
    out = np.tanh(np.divide(difference, scale, out=np.zeros_like(difference), where=scale > 0))
    out[:, :WARM] = 0.0
    return np.asarray(out)


def payoffs_of_draws(gains: FloatArray) -> FloatArray:
    """Return payoffs (V, T) of gains (V, T, S) of the true cell over S cells drawn anew; 0 while warming up.

    Each of the S + 1 cells of a step is scored by how far its loss lies below their mean, through tanh over the root mean square of all
    scores so far; the payoff is the score of the true cell less the mean of all. Under the null the true cell is any of them, so that no
    payoff can be expected, and none is below -2: half of the wealth can be bet. With one draw it is :func:`payoffs` of half the gains. A
    true cell held against many shows up to twice as much as one held against another: the mean of many is nearly the law, one is noise.

    Examples
    --------
    >>> gains = np.random.default_rng(0).standard_normal((1, 60, 1))
    >>> bool(np.allclose(payoffs_of_draws(gains), payoffs(gains[..., 0])))
    True
    """
    t, draws = gains.shape[1:]
    mean = gains.sum(2, keepdims=True) / (draws + 1)
    below = np.concatenate([mean, mean - gains], 2)  # how far below their mean the losses lie, the true cell's first
    square = (below**2).mean(2)
    before = np.cumsum(square, axis=1) - square
    scale = np.sqrt(before / np.maximum(np.arange(t) - 1, 1))[..., None]
    score = np.tanh(np.divide(below, scale, out=np.zeros_like(below), where=scale > 0))
    out = score[..., 0] - score.mean(2)
    out[:, :WARM] = 0.0
    return np.asarray(out)


def square_distances(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return squared distances (n, m) between points (n, W) and (m, W)."""
    return np.asarray(np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1)[None, :] - 2 * a @ b.T, 0.0))


def kernel(squares: FloatArray) -> FloatArray:
    """Return exp(-d^2 / (2 h^2)), h the median distance among the first points: the past of every bet.

    Examples
    --------
    >>> kernel(np.array([[0.0, 4.0], [4.0, 0.0]])).round(4).tolist()
    [[1.0, 0.6065], [0.6065, 1.0]]
    """
    return np.asarray(np.exp(-squares / (2 * bandwidth(squares))))


def bandwidth(squares: FloatArray) -> float:
    """Return the median of the squared distances above 0 among the first points.

    Examples
    --------
    >>> bandwidth(np.array([[0.0, 4.0], [4.0, 0.0]]))
    4.0
    """
    first = squares[:WARM, :WARM]
    inside = first[~np.eye(len(first), first.shape[1], dtype=bool)]
    known = inside[inside > 0]
    return float(np.median(known)) if len(known) else 1.0


def _before(k: FloatArray) -> FloatArray:
    """Return for each step t the mean of k[i, t] over the past i < t, (T,)."""
    t = np.arange(len(k))
    return np.asarray(np.triu(k, 1).sum(0) / np.maximum(t, 1))


def two_samples(true_true: FloatArray, true_null: FloatArray, null_true: FloatArray, null_null: FloatArray) -> FloatArray:
    """Return the witness differences (T,) for a pair of points per step, one true and one drawn under the null.

    Parameters
    ----------
    true_true, true_null, null_true, null_null : (T, T) kernels of past (rows) and present (columns) points of both kinds.

    Notes
    -----
    The witness is the mean kernel to the true points of the past less that to the drawn ones; the difference is its value at the true point
    less that at the drawn one. Exchanging the two points of a step turns its sign.
    """
    return np.asarray((_before(true_true) - _before(null_true)) - (_before(true_null) - _before(null_null)))


def witness_of_pairs(ky: FloatArray, kx: FloatArray) -> FloatArray:
    """Return the witness differences (T // 2,) of dependence for pairs of observations against their exchanged pairing.

    Parameters
    ----------
    ky, kx : (T, T) kernels of the response and of the column. Step s sees observations 2 s and 2 s + 1 and knows those before.
    """
    t = len(ky) // 2
    out = np.zeros(t)
    for s in range(1, t):
        past, a, b = slice(0, 2 * s), 2 * s, 2 * s + 1
        y, x = ky[past][:, [a, b]], kx[past][:, [a, b]]
        together = y.T @ x / (2 * s) - np.outer(y.mean(0), x.mean(0))  # [i, j]: response of i with the column of j
        out[s] = together[0, 0] + together[1, 1] - together[0, 1] - together[1, 0]
    return out
