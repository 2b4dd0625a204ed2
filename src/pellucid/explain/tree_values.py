"""Values of columns in models that are sums of trees: exact, in about the time of a few answers, without asking coalitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pellucid.explain.question import Question
from pellucid.probe.tree_sum import CHECKED, TreeSum
from pellucid.random import integer
from pellucid.results import Explanation

__all__ = ["of_trees"]

FIXED = ("marginal", "baseline", "missing")
"""Fills under which an absent column holds the same cells whatever else is known."""


def of_trees(
    question: Question, weigh: Callable[[int, int], float], *, complete: bool = True, settings: Mapping[str, Any] | None = None
) -> Explanation | None:
    """Return the exact values of the players where the model is a sum of trees on the scale asked; None where it is none.

    ``weigh`` (a, d) is the value of one of ``a`` players who must join for a worth of 1 that none of ``d`` others may join. Cost: N + B +
    ``CHECKED`` model rows, whatever the number of columns.
    """
    n, b = len(question.table), len(question.background)
    if question.fill not in FIXED or question.drawer is not None:
        return None
    if question.budget.rows is not None and question.budget.rows < n + b + CHECKED:
        return None
    seed = integer(question.seed, "trees")
    trees = TreeSum.of(question.view, question.table, question.background, question.players, seed)
    if trees is None:
        return None
    full, base = question.view.raw(question.table), question.view.raw(question.background).mean(0)
    values = trees.values(weigh)
    return question.answer(values, base, full, complete=complete, settings={"way": "trees", "precision": None, **(settings or {})})
