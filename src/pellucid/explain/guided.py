"""Guided back-propagation: kept as a control that looks right and is not."""

from __future__ import annotations

from pellucid.execution import to_numpy
from pellucid.explain.gradient import by_player, reference_tokens
from pellucid.explain.question import Question
from pellucid.nn.gradients.relevance import guided
from pellucid.results import Explanation

__all__ = ["explain"]

CAVEAT = (
    "guided gradients may stay the same when the trained weights are replaced, so they need not explain this model: "
    "they are offered as a control, and the trial 'weight_randomisation' shows it"
)


def explain(question: Question) -> Explanation:
    """Return guided gradient times distance from the reference row (N, P, O).

    Springenberg, Dosovitskiy, Brox, Riedmiller 2014, arXiv:1412.6806: at every ReLU only positive signals go back. Adebayo and others
    2018, arXiv:1810.03292, found that the result hardly depends on the upper layers. Refused where the network has no ReLU.
    Cost: one forward pass and O passes back per row.
    """
    view = question.view
    tokens = view.tokens(question.table)
    reference, words = reference_tokens(question, tokens)
    values, gradient = guided(view.from_tokens, tokens)
    product = to_numpy((gradient * (tokens - reference)[:, None]).sum(-1))
    base = to_numpy(view.from_tokens(reference[:1]))
    answers = to_numpy(values)
    return question.answer(by_player(question.players, product), base, answers, complete=False, caveats=(CAVEAT, words))
