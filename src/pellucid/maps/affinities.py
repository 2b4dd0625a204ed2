"""From distances to the probabilities by which neighbour embedding picks neighbours. Letters: N rows, M new rows."""

from __future__ import annotations

import numpy as np

from pellucid.errors import RequestError
from pellucid.protocols import FloatArray

__all__ = ["check_perplexity", "conditional"]


def check_perplexity(perplexity: float, n: int) -> float:
    """Return the perplexity, made smaller where it would not stay below a third of the N rows."""
    if not perplexity > 1:
        raise RequestError("the perplexity cannot be used", expected="a number above 1, such as 30", got=repr(perplexity))
    return float(min(perplexity, max((n - 1) / 3, 1.5)))


def conditional(square: FloatArray, perplexity: float, own: bool = True, steps: int = 100, tolerance: float = 1e-5) -> FloatArray:
    """Return p (M, N): the chance that a row picks another as its neighbour, Gaussian in the distance.

    Each row's width is found by bisection, so that two to the power of the entropy of its line is ``perplexity``.

    Parameters
    ----------
    square : (M, N) squared distances. own : True where M = N and a row does not pick itself.
    tolerance : of the entropy, in nats.

    Notes
    -----
    Hinton and Roweis 2002, Advances in Neural Information Processing Systems 15. Cost: ``steps`` passes over M N numbers at most.
    """
    d = square.copy()
    if own:
        np.fill_diagonal(d, np.inf)
    d -= d.min(1, keepdims=True)  # the same p, and no underflow
    finite = np.where(np.isfinite(d), d, 0.0)
    low, high = np.zeros(len(d)), np.full(len(d), np.inf)
    beta = 1 / np.maximum(finite.mean(1), 1e-12)
    for _ in range(steps):
        w = np.exp(-beta[:, None] * d)
        total = w.sum(1)
        entropy = np.log(total) + beta * (w * finite).sum(1) / total
        off = entropy - np.log(perplexity)
        if np.abs(off).max() < tolerance:
            break
        low, high = np.where(off > 0, beta, low), np.where(off > 0, high, beta)
        beta = np.where(np.isinf(high), beta * 2, (low + np.where(np.isinf(high), 0.0, high)) / 2)
    w = np.exp(-beta[:, None] * d)
    return np.asarray(w / w.sum(1, keepdims=True))
