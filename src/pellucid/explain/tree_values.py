"""Values of columns in models that are sums of trees: exact, in about the time of a few answers, without asking coalitions."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from pellucid.explain.question import Question
from pellucid.probe.tree_games import Weigh
from pellucid.probe.tree_sum import CHECKED, DEEP, TreeSum
from pellucid.protocols import FloatArray
from pellucid.random import integer
from pellucid.results import Explanation

__all__ = ["DEEP", "Taken", "about_scale", "of_trees", "taken"]

FIXED = ("marginal", "baseline", "missing")
"""Fills under which an absent column holds the same cells whatever else is known."""
PILOT = 16
"""Rows on which the time of all is told, where the budget is in seconds."""


class Taken(NamedTuple):
    """A sum of trees taken apart: the answers (N, O), their mean over background rows (O,), the values (N, S, O) of the sets."""

    full: FloatArray
    base: FloatArray
    values: FloatArray


def taken(question: Question, weigh: Weigh, order: int = 1, *, deep: bool = False) -> Taken | None:
    """Return the exact values of the players, and with ``order`` 2 of pairs of them, where the model is a sum of trees on the scale asked.

    None where it is none, where the trees have more than ``DEEP`` leaves on average (but ``deep``), and where the budget does not reach.
    Cost: N + B + ``CHECKED`` model rows, whatever the number of columns.
    """
    n, b, budget = len(question.table), len(question.background), question.budget
    if question.fill not in FIXED or question.drawer is not None or (budget.rows is not None and budget.rows < n + b + CHECKED):
        return None
    model, seed = question.view.trees(), integer(question.seed, "trees")
    if model is None or model.then is not None:
        return None
    trees = TreeSum.of(question.view, question.table, question.background, question.players, seed, np.inf if deep else DEEP)
    if trees is None or not trees.adds_up or (budget.seconds is not None and not _in_time(question, trees, weigh, order, budget.seconds)):
        return None
    full, empty = question.view.raw(question.table), question.view.raw(question.background)
    if not trees.tells(full, empty):
        question.view.distrusted = n + b + CHECKED
        return None
    return Taken(full, empty.mean(0), trees.values(weigh, order=order))


def _in_time(question: Question, trees: TreeSum, weigh: Weigh, order: int, seconds: float) -> bool:
    """Whether all rows can be answered in what is left of the seconds asked for, by the time that some take."""
    n, began = len(question.table), time.perf_counter()
    some = min(n, PILOT)
    trees.values(weigh, np.arange(some), order)
    now = time.perf_counter()
    return (now - began) * n / some <= question.started + seconds - now


def of_trees(question: Question, weigh: Weigh, *, complete: bool = True, deep: bool = False) -> Explanation | None:
    """Return the explanation by the values of single players; None where :func:`taken` gives none."""
    found = taken(question, weigh, deep=deep)
    if found is None:
        return None
    told = {"way": "trees", "precision": None}
    return question.answer(found.values, found.base, found.full, complete=complete, settings=told)


def about_scale(question: Question, made: Explanation) -> Explanation:
    """Return sampled values with a caveat where the model is a sum of trees on another scale, on which they would be exact."""
    sampled = made.record.settings.get("way") == "sampled" and question.fill in FIXED
    if not sampled or question.view.distrusted is not None or not getattr(question.view.inner, "sums_as_log_odds", False):
        return made
    words = "on scale='log-odds' this model is a sum of trees, whose values are exact and take far less time"
    return replace(made, record=replace(made.record, caveats=(*made.record.caveats, words)))
