"""Layer-wise relevance propagation: the answer itself, shared out layer by layer down to the columns."""

from __future__ import annotations

import numpy as np

from pellucid.execution import to_numpy
from pellucid.explain.gradient import by_player
from pellucid.explain.question import Question
from pellucid.nn.gradients.relevance import relevance
from pellucid.results import Explanation
from pellucid.results.text import percent

__all__ = ["explain"]


def explain(question: Question) -> Explanation:
    """Return each column's share of the answer (N, P, O); the base is what biases and other constants keep: base and shares are
    the answer.

    Bach, Binder, Montavon, Klauschen, Mueller, Samek 2015, doi:10.1371/journal.pone.0130140. Options: ``rule`` (``"epsilon"`` or
    ``"gamma"``), ``epsilon``, ``gamma``. There is no reference row: a column at its usual cell has a share too.
    Cost: one forward pass and O passes back per row.
    """
    options = question.options
    tokens = question.view.tokens(question.table)
    shares, output = relevance(question.view.from_tokens, tokens, options["rule"], float(options["epsilon"]), float(options["gamma"]))
    values = by_player(question.players, to_numpy(shares))
    answers = to_numpy(output)
    base = answers - values.sum(1)
    kept = float(np.abs(base).mean() / max(float(np.abs(answers).mean()), 1e-300))
    words = (
        "shares are of the answer itself, not of a difference; the base of a row is what the network adds whatever the cells are: its "
        "biases, the means of its normalisations, the target's mean, and what the averaging of members' probabilities adds "
        f"({percent(kept, 0)} of the answer on average)"
    )
    return question.answer(values, base, answers, complete=False, settings=dict(options), caveats=(words,))
