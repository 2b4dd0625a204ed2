"""Deliberately wrong promises and measures, one fault each: on each of them the check of the same subject must go red."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pellucid.protocols import FloatArray
from pellucid.training.density import Mahalanobis
from pellucid.training.risk_control import Control
from pellucid.training.selective import Areas
from pellucid.training.watching import wealth

__all__ = ["PROMISES"]


def _trusts_the_sizes(truth: FloatArray, size: FloatArray, new: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
    """Takes the told sizes for standard deviations and asks no held-out row."""
    return -1.645 * new, 1.645 * new


def _one_width(truth: FloatArray, size: FloatArray, new: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
    """Gives every row the same width."""
    half = np.full(len(new), np.sort(np.abs(truth))[int(np.ceil((len(truth) + 1) * level)) - 1])
    return -half, half


def _takes_all_in(p: FloatArray, y: FloatArray, u: FloatArray, new: FloatArray, v: FloatArray, level: float) -> FloatArray:
    """Takes classes in until the stated mass is reached, as if probabilities needed no held-out rows, the last one whole."""
    order = np.argsort(-new, axis=1)
    before = np.cumsum(np.take_along_axis(new, order, 1), 1) - np.take_along_axis(new, order, 1)
    out = np.zeros(new.shape)
    np.put_along_axis(out, order, (before < level).astype(float), 1)
    return out


def _ignores_weights(scores: FloatArray, weights: FloatArray, new: FloatArray, level: float) -> FloatArray:
    """Gives every row the plain quantile."""
    return np.full(len(new), scores[int(np.ceil((len(scores) + 1) * level)) - 1])


def _takes_the_largest_that_looks_good(doubt: FloatArray, wrong: Any, grid: FloatArray, risk: float) -> Control:
    """Takes the largest threshold whose observed risk is below the limit."""
    good = [t for t in grid if (doubt <= t).any() and np.mean(wrong[doubt <= t]) <= risk]
    return Control(max(good, default=-np.inf), risk, 0.95, 0, 0, 0.0, len(doubt))


def _forgets_the_held_out_rows(n_held: int, level: float, n: int) -> tuple[float, float]:
    """Gives the binomial range, as if the coverage were exactly the level."""
    half = 1.96 * np.sqrt(level * (1 - level) / n)
    return level - half, level + half


def _stakes_too_early(covered: Any, band: tuple[float, float]) -> tuple[FloatArray, FloatArray]:
    """Bets against the middle of the band instead of its edge."""
    middle = sum(band) / 2
    return wealth(covered, (middle, middle))


def _counts_ties_in_the_order_given(doubt: FloatArray, loss: FloatArray) -> Areas:
    order = np.argsort(doubt, kind="stable")
    n = np.arange(1, len(loss) + 1)
    area, best = float((np.cumsum(loss[order]) / n).mean()), float((np.cumsum(np.sort(loss)) / n).mean())
    return Areas(area, best, area - best, float(np.cumsum(loss[order]).mean() / len(loss)), float(loss.mean()))


class _Backwards(Mahalanobis):
    """Calls what is near strange."""

    def of(self, z: FloatArray) -> FloatArray:
        """Return minus the distance."""
        return -super().of(z)


class _CountsLetters:
    """Knows letters, but not what follows what."""

    @classmethod
    def fit(cls, texts: list[str]) -> _CountsLetters:
        """Return the model."""
        return cls()

    def surprise(self, texts: list[str]) -> FloatArray:
        """Return the share of distinct letters."""
        return np.array([len(set(t)) / max(len(t), 1) for t in texts])


def _averages(tail: FloatArray) -> FloatArray:
    """Lets one rare cell drown among the others."""
    return np.asarray(tail.mean(1))


def _takes_the_most_doubtful(doubt: FloatArray, rows: FloatArray, n_numbers: int, n: int) -> tuple[Any, FloatArray]:
    """Asks for copies of one row, one after the other."""
    return np.argsort(-doubt, kind="stable")[:n], np.full(n, np.inf)


PROMISES: dict[str, Callable[..., Any] | type] = {
    "uneven_intervals_cover": _trusts_the_sizes,
    "intervals_follow_the_size_of_the_errors": _one_width,
    "adaptive_sets_cover": _takes_all_in,
    "a_stated_shift_is_paid_for": _ignores_weights,
    "the_risk_stays_below_the_limit": _takes_the_largest_that_looks_good,
    "shares_lie_where_they_are_expected": _forgets_the_held_out_rows,
    "bets_are_fair_and_notice_a_break": _stakes_too_early,
    "areas_have_their_closed_forms": _counts_ties_in_the_order_given,
    "rows_far_out_are_strange": _Backwards,
    "shuffled_letters_surprise": _CountsLetters,
    "a_rare_cell_makes_a_row_strange": _averages,
    "doubtful_rows_are_chosen_apart": _takes_the_most_doubtful,
}
"""By check, the double on which it must go red."""
