"""Figures with intervals, on whole arrays: rank agreement, means over rows and repetitions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pellucid.explain.decisions import beta_interval
from pellucid.protocols import FloatArray
from pellucid.random import stream

__all__ = [
    "ALIKE", "SAME", "Figure", "above", "agreement", "bootstrap_mean", "by_size", "in_rows", "judge", "mean_figure", "rank_correlation",
    "share_of", "top_kept",
]  # fmt: skip

ALIKE = 0.5
"""Rank agreement from which two explanations count as alike (the limit of the published sanity checks)."""
SAME = 0.9
"""Rank agreement of sizes from which they count as unmoved, whatever the directions do."""


class Figure(NamedTuple):
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f}, 95 % interval {self.low:.2f} to {self.high:.2f}"


def rank_correlation(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return Spearman's rank correlation along the last axis, ties averaged; NaN where one side is constant or too little is left.

    Places where both sides are exactly 0 are left out: a cell that equals its reference has no contribution under any model, and such
    zeros would make any two explanations alike.

    Examples
    --------
    >>> rank_correlation(np.array([[1.0, 2.0, 3.0]]), np.array([[10.0, 30.0, 20.0]])).round(3).tolist()
    [0.5]
    """
    from scipy.stats import rankdata

    a, b = np.broadcast_arrays(a, b)
    counted = (a != 0) | (b != 0)
    x, y = (_centred(rankdata(np.where(counted, v, np.nan), axis=-1, nan_policy="omit")) for v in (a, b))
    size = np.sqrt((x**2).sum(-1) * (y**2).sum(-1))
    return np.asarray(np.divide((x * y).sum(-1), size, out=np.full(size.shape, np.nan), where=size > 0))


def _centred(ranks: FloatArray) -> FloatArray:
    """Return ranks minus their mean over the last axis; 0 where NaN."""
    return np.nan_to_num(ranks - _mean(ranks, -1)[..., None])


def mean_figure(values: FloatArray, low: float = -1.0, high: float = 1.0) -> Figure:
    """Return the mean of (S, N) figures, S repetitions on the same N rows; the interval counts the scatter of both. NaN is left out.

    The two half-widths are added as squares: t with S - 1 degrees for repetitions, with N - 1 for rows.
    """
    from scipy.stats import t

    if np.isnan(values).all():
        return Figure(np.nan, np.nan, np.nan)
    s, n = values.shape
    per_row = _mean(values, 0)
    rows = t.ppf(0.975, n - 1) * np.nanstd(per_row, ddof=1) / np.sqrt(n) if n > 1 else 0.0
    means = _mean(values, 1)
    repeats = t.ppf(0.975, s - 1) * np.nanstd(means, ddof=1) / np.sqrt(s) if s > 1 else 0.0
    # rows and repetitions overlap a little; adding both can only widen the interval
    half = float(np.hypot(rows, repeats))
    centre = float(np.nanmean(values))
    return Figure(centre, max(low, centre - half), min(high, centre + half))


def _mean(values: FloatArray, axis: int) -> FloatArray:
    count = (~np.isnan(values)).sum(axis)
    return np.asarray(np.divide(np.nansum(values, axis), count, out=np.full(count.shape, np.nan), where=count > 0))


def agreement(original: FloatArray, others: FloatArray, *, signed: bool) -> FloatArray:
    """Return the rank agreement (S, N) over the P columns of an explanation (N, P, O) with S others (S, N, P, O), averaged over outputs."""
    one, many = (original, others) if signed else (np.abs(original), np.abs(others))
    return _mean(rank_correlation(np.moveaxis(one, 1, -1)[None], np.moveaxis(many, 2, -1)), -1)


def judge(sizes: Figure, signed: Figure) -> str:
    """Return "changed", "alike" or "open" (the interval lies on both sides of the limit) for an explanation under another model.

    # NOTE[DIFF] the published checks look at the order of the sizes alone. On tables, sizes are partly given by the cells: a cell far from
    the others has a large value under any model, so that exact Shapley values of two unrelated models can agree above 0.5. Where the sizes
    are alike but not the same, and the directions are not alike, the explanation has changed.
    """
    if sizes.high < ALIKE or (signed.high < ALIKE and sizes.high < SAME):
        return "changed"
    return "alike" if sizes.value >= ALIKE and (signed.value >= ALIKE or sizes.value >= SAME) else "open"


def by_size(scores: FloatArray, seed: int) -> npt.NDArray[np.int64]:
    """Return the players of each row (N, P), the largest score first; ties in an order of chance.

    An explanation that gives all columns the same value must not gain by the order in which the table holds them.
    """
    return np.lexsort((stream(seed, "ties").random(scores.shape), -scores), axis=1)


def top_kept(original: FloatArray, others: FloatArray) -> FloatArray:
    """Return (S, N): share of outputs whose largest column by absolute value is the same in (N, P, O) and in each of (S, N, P, O)."""
    return np.asarray((np.abs(original).argmax(1)[None] == np.abs(others).argmax(2)).mean(-1))


def in_rows(share: Figure, what: str) -> str:
    """Return a share of rows with its interval and what happens in them, as the beginning of a sentence.

    Examples
    --------
    >>> in_rows(Figure(0.03, 0.01, 0.08), "the answer turns over")
    'in 3.0 % of the rows (95 % interval 1.0 to 8.0 %) the answer turns over'
    """
    return f"in {100 * share.value:.1f} % of the rows (95 % interval {100 * share.low:.1f} to {100 * share.high:.1f} %) {what}"


def share_of(hits: npt.NDArray[np.bool_]) -> Figure:
    """Return the share of (N,) rows that were hit, with its exact 95 % interval: of no hits too, where resampling would show no doubt.

    Examples
    --------
    >>> str(share_of(np.zeros(60, bool)))
    '0.00, 95 % interval 0.00 to 0.06'
    """
    return Figure(float(hits.mean()), *beta_interval(int(hits.sum()), len(hits)))


def above(share: Figure, limit: float) -> bool | None:
    """Return whether a share lies above ``limit``; None where its interval holds the limit, so that neither is known.

    Of shares with exact intervals (:func:`share_of`) either answer is wrong in at most 2.5 % of the draws of rows.

    Examples
    --------
    >>> [above(share_of(np.arange(200) < k), 0.05) for k in (3, 10, 20)]
    [False, None, True]
    """
    return True if share.low > limit else False if share.high <= limit else None


def bootstrap_mean(values: FloatArray, draw: np.random.Generator, n_boot: int = 2000) -> Figure:
    """Return the mean of (N,) values with its 95 % bootstrap interval; differences per row make it a paired one.

    Percentiles, widened to the t of so many rows.
    """
    from scipy.stats import t

    weights = draw.multinomial(len(values), np.full(len(values), 1 / len(values)), size=n_boot)
    means: npt.NDArray[np.float64] = weights @ values / len(values)
    low, high = np.quantile(means, [0.025, 0.975])
    centre, n = float(np.mean(values)), len(values)
    # resampled means of few rows scatter less than means do: of 8 rows, such an interval holds the truth in 88 % of the cases
    wide = float(t.ppf(0.975, n - 1)) / 1.96 * np.sqrt(n / (n - 1)) if n > 1 else 1.0
    low, high = centre + (low - centre) * wide, centre + (high - centre) * wide
    return Figure(centre, max(float(low), float(np.min(values))), min(float(high), float(np.max(values))))
