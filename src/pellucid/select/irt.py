"""Interpretability as randomisation tests, row by row: is the answer unusual against cells drawn anew?

For each row and column the cell is drawn S times given the rest of its row. How far the answer lies from the middle of all S + 1 answers is
the statistic; under the null "the cell is like any other given the rest" its rank is uniform. Rows and columns are tested together.

Source: Burns, Thomason and Tansey 2020, "Interpreting Black Box Models via Hypothesis Testing", arXiv:1904.00045.
"""

from __future__ import annotations

import numpy as np

from pellucid.errors import RequestError
from pellucid.protocols import FloatArray
from pellucid.results import Selection
from pellucid.select.ask import Ask
from pellucid.select.control import by_p_values

__all__ = ["p_values", "select"]


def select(question: Ask) -> Selection:
    """Return, per row, the columns whose cells move the answer away from what is usual. Cost: S P model rows per row."""
    draws = int(question.options["draws"])
    if draws < 1 / question.level - 1:
        raise RequestError(
            "so few draws can reject nothing", expected=f"draws of at least {int(np.ceil(1 / question.level))}", got=str(draws)
        )
    view = question.model()
    raw = view.raw(question.table)
    followed, n = question.chosen_output(raw), np.arange(len(raw))
    own = raw[n, followed]
    p, far = np.empty((len(n), len(question.columns))), np.empty((len(n), len(question.columns)))
    for j in range(len(question.columns)):
        drawn = question.answers(j, draws)[:, n, followed].T
        p[:, j], far[:, j] = p_values(own, drawn)
    chosen = by_p_values(p, question.level, question.options["control"])
    words = (
        f"In {int(chosen.any(1).sum())} of {len(n)} rows some cell makes the answer unusual against what the rest of the row suggests "
        f"({int(chosen.sum())} cells; on average at most {100 * question.level:g} % of them are false)."
    )
    return question.answer(chosen, far, question.options["control"], words, rows=True, p_values=p)


def p_values(own: FloatArray, drawn: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return (p, distance from the middle in standard deviations of the draws), (N,) each, from answers (N,) and drawn ones (N, S).

    The statistic treats the true answer like every drawn one, so that p is uniform under the null.

    Examples
    --------
    >>> p_values(np.array([9.0]), np.array([[1.0, 2.0, 3.0]]))[0].tolist()
    [0.25]
    """
    every = np.column_stack([own, drawn])
    size = np.abs(every - every.mean(1, keepdims=True))
    p = (size[:, 1:] >= size[:, :1] - 1e-12 * np.abs(every).max()).sum(1)
    spread = drawn.std(1)
    far = np.divide(np.abs(own - drawn.mean(1)), spread, out=np.zeros(len(own)), where=spread > 0)
    return np.asarray((1 + p) / every.shape[1]), np.asarray(far)
