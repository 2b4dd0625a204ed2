"""Joint Shapley values: what a set of columns adds when it arrives together."""

from __future__ import annotations

from pellucid.explain.interactions import interactions
from pellucid.explain.question import Question
from pellucid.results import Interactions

__all__ = ["explain"]


def explain(question: Question) -> Interactions:
    """Return one value per row and set of at most ``options["order"]`` columns; all of them add up to the prediction.

    Harris, Pymar and Rowat 2022, arXiv:2107.11357. A set's value is its arrival, not a synergy: it has the size of contributions, and does
    not belong on one scale with indices of interaction. A set keeps a value where some of its columns are idle. Order 1 gives Shapley
    values. Cost as :func:`pellucid.explain.interactions.explain`.
    """
    return interactions(question, "joint", question.options["order"])
