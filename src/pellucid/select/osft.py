"""One-shot feature test: one draw per cell, and the symmetry of chance.

The answer less the answer with the cell drawn anew is symmetric about 0 where the cell is like any other given the rest. Differences far
on the right side are chosen, and those as far on the wrong side say how many of them are false.

Source: Burns, Thomason and Tansey 2020, "Interpreting Black Box Models via Hypothesis Testing", arXiv:1904.00045.

# NOTE[DIFF] the paper asks which cells raise the answer. Here ``side="answer"`` asks which cells push it further to the side on which it
lies; the side is that of the mean of both answers against the usual answer, the same for a cell and its draw, so that the symmetry stays.
Differences in log-odds are more powerful than in probabilities.
"""

from __future__ import annotations

import numpy as np

from pellucid.errors import RequestError
from pellucid.results import Selection
from pellucid.select.ask import Ask
from pellucid.select.control import by_symmetry

__all__ = ["select"]

SIDES = ("answer", "up", "down")


def select(question: Ask) -> Selection:
    """Return, per row, the columns whose cells push the answer. Cost: P model rows per row, and those of the background."""
    side = question.options["side"]
    if side not in SIDES:
        raise RequestError(f"unknown side {side!r}", expected=f"one of {', '.join(map(repr, SIDES))}")
    view = question.model()
    raw = view.raw(question.table)
    followed, n = question.chosen_output(raw), np.arange(len(raw))
    own = raw[n, followed]
    usual = view.raw(question.kept)
    middle = np.median(usual, axis=0)[followed]
    t = np.empty((len(n), len(question.columns)))
    for j in range(len(question.columns)):
        other = question.answers(j, 1)[0, n, followed]
        sign = {"up": 1.0, "down": -1.0}.get(side) or np.where((own + other) / 2 >= middle, 1.0, -1.0)
        t[:, j] = sign * (own - other)
    chosen, threshold = by_symmetry(t, question.level)
    words = (
        f"In {int(chosen.any(1).sum())} of {len(n)} rows some cell pushes the answer further than chance would "
        f"({int(chosen.sum())} cells, by "
        f"{threshold:.3g} or more; on average at most {100 * question.level:g} % of them are false)."
        if chosen.any()
        else f"No cell is shown to push the answer further than chance would (at most {100 * question.level:g} % false discoveries)."
    )
    return question.answer(chosen, t, "symmetry", words, rows=True)
