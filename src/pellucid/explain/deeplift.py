"""DeepLIFT: differences to a reference sent back through every operation of the network, so that the sum closes on any of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pellucid.errors import RequestError
from pellucid.execution import to_numpy
from pellucid.explain.gradient import by_player, reference_tokens
from pellucid.explain.question import Question
from pellucid.nn.gradients.secants import contributions
from pellucid.protocols import FloatArray
from pellucid.results import Explanation

if TYPE_CHECKING:
    import torch

__all__ = ["explain"]


def explain(question: Question) -> Explanation:
    """Return DeepLIFT's rescale contributions (N, P, O) against a reference.

    Shrikumar, Greenside, Kundaje 2017, arXiv:1704.02685, operation by operation (``nn/gradients/secants.py``). They add up to
    f(x) - f(reference) to rounding. Options: ``reference="typical"``, one row, or ``"background"``: the mean over the background rows
    (DeepSHAP: Lundberg and Lee 2017, arXiv:1705.07874). Cost: two forward passes and O passes back per row and reference.
    """
    view = question.view
    tokens = view.tokens(question.table)
    kind = question.options["reference"]
    if kind == "typical":
        reference, words = reference_tokens(question, tokens)
        share, answers, base = _arrays(contributions(view.from_tokens, tokens, reference))
    elif kind == "background":
        share, answers, base = _over_background(question, tokens)
        words = f"contributions are means over {len(question.background)} reference rows, from the background"
    else:
        raise RequestError(f"there is no reference {kind!r}", expected="'typical' or 'background'")
    return question.answer(by_player(question.players, share), base, answers, caveats=(words,))


def _over_background(question: Question, tokens: torch.Tensor) -> tuple[FloatArray, FloatArray, FloatArray]:
    rows = question.view.tokens(question.background)
    total = [_arrays(contributions(question.view.from_tokens, tokens, row.expand_as(tokens))) for row in rows]
    share, answers, base = (np.mean([t[k] for t in total], axis=0) for k in range(3))
    return share, answers, base


def _arrays(found: tuple[torch.Tensor, ...]) -> tuple[FloatArray, FloatArray, FloatArray]:
    share, answers, base = (to_numpy(t) for t in found)
    return share, answers, base
