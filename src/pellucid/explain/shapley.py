"""Shapley values of columns: exact where the evaluations fit the budget, else sampled with standard errors and automatic stopping.

The games themselves, one for each pair of a row and a background row, are made in :mod:`pellucid.explain.row_games`.
"""

from __future__ import annotations

import math

from pellucid.explain.question import Question
from pellucid.explain.row_games import answer
from pellucid.explain.sampling import SHAPLEY
from pellucid.explain.tree_values import about_scale, of_trees
from pellucid.results import Explanation

__all__ = ["explain", "explain_exact", "explain_kernel", "explain_permutation"]


def explain(question: Question) -> Explanation:
    """Return Shapley values, by the cheapest of enumeration and paired permutations that reaches the precision within the budget.

    Of sums of trees they are exact and ask no coalition (:mod:`pellucid.explain.tree_values`). Cost otherwise: at most ``EXACT_ROWS`` or
    the budget where exact; else about 2 d B model rows per pass, d = columns in which two rows differ.
    Source: Shapley 1953; Strumbelj and Kononenko 2014, doi:10.1007/s10115-013-0679-x; Lundberg and Lee 2017, arXiv:1705.07874.
    """
    return of_trees(question, share) or about_scale(question, answer(question, SHAPLEY))


def share(t: int, away: int, joins: int, stays: int) -> float:
    """Return the Shapley value of one player in the game of ``joins`` players who must all be there for a worth of 1, while none of
    ``stays`` others may; ``away`` where it is one of the latter (``t`` is 1: one player).

    It is the chance that, of all of them in a random order, this one comes when its own side is complete, or still is.

    Examples
    --------
    >>> share(1, 0, 1, 0), share(1, 0, 2, 0), share(1, 0, 1, 1), share(1, 1, 1, 1)
    (1.0, 0.5, 0.5, -0.5)
    """
    own, other = (stays, joins) if away else (joins, stays)
    return (-1.0 if away else 1.0) / (own * math.comb(own + other, own))


def explain_exact(question: Question) -> Explanation:
    """Return exact Shapley values.

    Cost: the sum over background rows of 2^d model rows, d = columns in which the rows differ; of sums of trees none for coalitions.
    """
    return of_trees(question, share, deep=True) or answer(question, SHAPLEY, "exact")


def explain_permutation(question: Question) -> Explanation:
    """Return Shapley values from paired random permutations, one of its own for each pair of rows. Cost 2 (d - 1) B per pass."""
    return answer(question, SHAPLEY, "passes")


def explain_kernel(question: Question) -> Explanation:
    """Return Shapley values by weighted regression on paired coalitions. Cost 6 d B, doubled until precise."""
    return answer(question, SHAPLEY, "kernel")
