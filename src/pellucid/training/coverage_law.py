"""How often a conformal promise is kept: the rank of the bounding score, and the law of the coverage given the held-out rows."""

from __future__ import annotations

import math
from numbers import Real

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError

__all__ = ["beta_binomial_cdf", "conformal_rank", "coverage_range", "design_effect", "least_rows", "quantile", "randomised_pit"]

FloatArray = npt.NDArray[np.float64]


def conformal_rank(n: int, level: float) -> int:
    """Return k = ceil((n + 1) * level), the rank of the score that bounds a share ``level`` of new rows; above n there is no bound.

    Examples
    --------
    >>> [conformal_rank(n, 0.9) for n in (8, 9, 100)]
    [9, 9, 91]
    """
    if not isinstance(level, Real) or not 0 < level < 1:
        raise RequestError("level is out of range", expected="a share between 0 and 1, both excluded", got=repr(level))
    return max(1, math.ceil(round((n + 1) * level, 9)))  # rounded first: 100 * 0.07 is 7.000000000000001


def quantile(sorted_scores: FloatArray, level: float) -> float:
    """Return the conformal quantile of ascending scores (n,): the k-th smallest, or infinity when k > n."""
    k = conformal_rank(len(sorted_scores), level)
    return float(sorted_scores[k - 1]) if k <= len(sorted_scores) else math.inf


def least_rows(level: float) -> int:
    """Return the fewest held-out rows with which a promise at ``level`` excludes anything.

    Examples
    --------
    >>> [least_rows(level) for level in (0.9, 0.95, 0.99)]
    [9, 19, 99]
    """
    return math.ceil(round(1 / (1 - level), 9)) - 1


def coverage_range(n_cal: int, level: float, within: float = 0.9) -> tuple[float, float]:
    """Return between which shares the true coverage lies, in a share ``within`` of all draws of n_cal held-out rows.

    The law is Beta(k, n + 1 - k).

    Examples
    --------
    >>> [round(end, 3) for end in coverage_range(1000, 0.9)]
    [0.884, 0.915]
    """
    from scipy.special import betaincinv

    k = conformal_rank(n_cal, level)
    if k > n_cal:
        return 1.0, 1.0
    tail = (1 - within) / 2
    return float(betaincinv(k, n_cal + 1 - k, tail)), float(betaincinv(k, n_cal + 1 - k, 1 - tail))


def design_effect(scores: npt.ArrayLike, groups: npt.ArrayLike, level: float = 0.9) -> float:
    """Return by how much rows of one group make the share of scores (n,) below their quantile vary more than independent rows would.

    The variance of a mean of clusters over that of as many single rows (Kish 1965), from n clusters by n / (n - 1), at least 1; rows count
    as their number over it.

    Examples
    --------
    >>> round(design_effect([1, 1, 2, 2, 3, 3, 4, 4], [0, 0, 1, 1, 2, 2, 3, 3], level=0.5), 3)  # twice 4 / 3
    2.667
    """
    given, codes = np.asarray(scores, np.float64), np.unique(np.asarray(groups).astype(str), return_inverse=True)[1].reshape(-1)
    inside = (given <= np.quantile(given, level)).astype(np.float64)
    away = inside - inside.mean()
    spread, n = float((away**2).sum()), int(codes.max(initial=0)) + 1
    if n == len(given):
        return 1.0  # every row its own group
    return max(1.0, n / max(n - 1, 1) * float((np.bincount(codes, away) ** 2).sum()) / spread) if spread > 0 else 1.0


def beta_binomial_cdf(n_cal: int, level: float, n_test: int) -> FloatArray:
    """Return P(covered <= c) for c = 0..n_test: the law of the number of covered test rows when scores have no ties.

    Given the n_cal scores the coverage is Beta(k, n_cal + 1 - k); over test rows the count is Beta-binomial.
    """
    from scipy.stats import betabinom

    k = conformal_rank(n_cal, level)
    if k > n_cal:
        return np.append(np.zeros(n_test), 1.0)
    # the probabilities summed up once: the package's own cdf sums them anew for every count
    cdf = np.minimum(np.cumsum(betabinom.pmf(np.arange(n_test + 1), n_test, k, n_cal + 1 - k)), 1.0)
    return np.asarray(cdf, np.float64)


def randomised_pit(covered: npt.ArrayLike, n_cal: int, level: float, n_test: int, rng: np.random.Generator) -> FloatArray:
    """Return uniform numbers if the counts ``covered`` (R,) follow the Beta-binomial: a draw between P(X < c) and P(X <= c) for each."""
    cdf = np.concatenate([[0.0], beta_binomial_cdf(n_cal, level, n_test)])
    c = np.asarray(covered, np.int64)
    return np.asarray(cdf[c] + rng.random(len(c)) * (cdf[c + 1] - cdf[c]))
