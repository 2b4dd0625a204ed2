"""Importance as a parliament: seats for columns, or for groups of columns that stand together."""

from __future__ import annotations

from dataclasses import replace

from pellucid.explain.question import Question
from pellucid.explain.row_games import answer
from pellucid.explain.sampling import SHAPLEY
from pellucid.results import Importance

__all__ = ["explain"]

PRECISION = 0.05
"""Standard error of a row's values as a share of their mean size. Votes are means over rows and are rounded to seats: no more is seen."""


def explain(question: Question) -> Importance:
    """Return seats by the D'Hondt rule, votes being the mean absolute Shapley values over the rows. Cost: that of the Shapley values.

    A way to show importance, not another measure of it: Donmez 2024, arXiv:2411.05196; the rule is D'Hondt's of 1882. Columns of
    ``groups=`` stand for election together. The rows are compared with ``background=``, without it with each other.
    Where neither ``precision`` nor ``budget`` is given, the values of a row are taken to 5 % instead of 2 %.
    ``options``: the number of ``seats``, and the ``threshold``, the least share of the votes that counts.
    ``Importance.seats`` and ``Explanation.seats`` do the same with any other method's votes.
    """
    if question.precision is None and question.budget.rows is None and question.budget.seconds is None:
        question = replace(question, precision=PRECISION)
    votes = answer(question, SHAPLEY).mean_abs()
    made = votes.seats(question.options["seats"], threshold=question.options["threshold"])
    told = {"votes": dict(zip(votes.columns, votes.values.tolist())), "rank_correlation": made.record.settings["rank_correlation"]}
    caveats = ("seats show the votes rounded to the size of the house", *votes.record.caveats)
    return replace(made, method=question.method, record=question.record(told, caveats))
