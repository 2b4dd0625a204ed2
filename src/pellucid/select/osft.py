"""One-shot feature test: one draw per cell, and the symmetry of chance.

How far the answer lies from what is usual, less how far the answer with the cell drawn anew does, is symmetric about 0 where the cell is
like any other given the rest. Differences far above 0 are chosen, and those as far below say how many of them are false.

Source: Burns, Thomason and Tansey 2020, "Interpreting Black Box Models via Hypothesis Testing", arXiv:1904.00045.

# NOTE[DIFF] the paper asks which cells raise the answer (``side="up"``). Asked so, cells that lower it are as far below 0 as those that
raise it are above: they count as false discoveries to come, and hide the others. ``side="away"`` asks which cells move the answer away
from what the rest of the row suggests, either way: the middle is the mean over a few more draws, the same for a cell and its draw, so that
the symmetry stays. ``side="answer"`` asks which cells push it further to the side on which it lies, that of the mean of both answers
against the usual one; cells that push back hide others there too. Differences in log-odds are more powerful than in probabilities.
"""

from __future__ import annotations

import numpy as np

from pellucid.errors import RequestError
from pellucid.protocols import FloatArray
from pellucid.results import Selection
from pellucid.select.ask import Ask
from pellucid.select.control import by_symmetry

__all__ = ["select"]

SIDES = ("away", "answer", "up", "down")
CENTRE = 8
"""Draws that tell what the rest of the row suggests."""
PUSHES = {
    "away": "moves the answer away from what the rest of the row suggests, further than chance would",
    "answer": "pushes the answer further to its side than chance would",
    "up": "raises the answer further than chance would",
    "down": "lowers the answer further than chance would",
}


def select(question: Ask) -> Selection:
    """Return, per row, the columns whose cells move the answer. Cost: 9 P model rows per row; of the other sides P and the background's."""
    side = question.options["side"]
    if side not in SIDES:
        raise RequestError(f"unknown side {side!r}", expected=f"one of {', '.join(map(repr, SIDES))}")
    view = question.model()
    raw = view.raw(question.table)
    followed, n = question.chosen_output(raw), np.arange(len(raw))
    own = raw[n, followed]
    middle = np.median(view.raw(question.kept), axis=0)[followed] if side == "answer" else np.zeros(len(n))
    t = np.empty((len(n), len(question.columns)))
    for j in range(len(question.columns)):
        other, *more = question.answers(j, 1 + CENTRE * (side == "away"))[:, n, followed]
        t[:, j] = _further(own, other, np.mean(more, axis=0) if more else middle, side)
    chosen, threshold = by_symmetry(t, question.level)
    words = (
        f"In {int(chosen.any(1).sum())} of {len(n)} rows some cell {PUSHES[side]} ({int(chosen.sum())} cells, by "
        f"{threshold:.3g} or more; on average at most {100 * question.level:g} % of them are false)."
        if chosen.any()
        else f"In no row is it shown that some cell {PUSHES[side]} (at most {100 * question.level:g} % false discoveries)."
    )
    return question.answer(chosen, t, "symmetry", words, rows=True)


def _further(own: FloatArray, other: FloatArray, middle: FloatArray, side: str) -> FloatArray:
    """Return how much further the answers (N,) lie than those with the cell drawn anew; exchanging the two turns the sign.

    Examples
    --------
    >>> own, other, middle = np.array([3.0, -3.0]), np.array([1.0, 1.0]), np.zeros(2)
    >>> {side: _further(own, other, middle, side).tolist() for side in ("away", "answer", "up")}
    {'away': [2.0, 2.0], 'answer': [2.0, 4.0], 'up': [2.0, -4.0]}
    """
    if side == "away":
        return np.asarray(np.abs(own - middle) - np.abs(other - middle))
    sign = {"up": 1.0, "down": -1.0}.get(side) or np.where((own + other) / 2 >= middle, 1.0, -1.0)
    return np.asarray(sign * (own - other))
