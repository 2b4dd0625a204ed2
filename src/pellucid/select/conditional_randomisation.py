"""Conditional randomisation with held-out losses: does the model need this column once it has the others?

The column is drawn anew S times given the others. Under the null the true cells are one more draw, so that the rank of their loss among the
drawn ones is uniform: p = (1 + #{drawn loss <= true loss}) / (S + 1).

Source: Candes, Fan, Janson and Lv 2018, "Panning for Gold", arXiv:1610.02351; with one model on held-out rows: Tansey, Veitch, Zhang,
Rabadan and Blei 2022, "The Holdout Randomization Test", arXiv:1811.00645.
"""

from __future__ import annotations

import numpy as np

from pellucid.errors import RequestError
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.results import Selection
from pellucid.select.ask import Ask
from pellucid.select.control import by_p_values

__all__ = ["losses", "select"]

LEAST_DRAWS = 99
TINY = 1e-12


def select(question: Ask) -> Selection:
    """Return the columns without which the loss is larger. Cost: S P N model rows."""
    y, view = question.labels(), question.model()
    rows = np.sort(stream(question.seed, "rows").permutation(len(question.table))[: int(question.options["rows"])])
    table, goal = question.table.take(rows), y[rows]
    p = len(question.columns)
    draws = question.options["draws"] or max(LEAST_DRAWS, int(np.ceil(2 * p / question.level)))
    if draws < 1 / question.level - 1:
        raise RequestError(
            "so few draws can reject nothing", expected=f"draws of at least {int(np.ceil(1 / question.level))}", got=str(draws)
        )
    own = float(losses(view.raw(table), goal, question.classes).mean())
    values, p_values = np.empty(p), np.empty(p)
    for j in range(p):
        other = np.array([losses(raw, goal, question.classes).mean() for raw in question.answers(j, draws, table)])
        values[j] = other.mean() - own
        p_values[j] = (1 + (other <= own + TINY * abs(own)).sum()) / (draws + 1)
    chosen = by_p_values(p_values, question.level, question.options["control"])
    return question.answer(chosen, values, question.options["control"], _words(question, chosen), p_values=p_values)


def losses(raw: FloatArray, y: FloatArray, classes: int) -> FloatArray:
    """Return the loss of each row (N,): squared errors of numbers, outputs together, minus log probabilities of classes.

    Examples
    --------
    >>> losses(np.array([[0.5], [0.9]]), np.array([1.0, 1.0]), 2).round(3).tolist()
    [0.693, 0.105]
    """
    if not classes:
        return np.asarray(((raw - y.reshape(len(y), -1)) ** 2).sum(1))
    if raw.shape[1] == 1:
        right = np.where(y == 1, raw[:, 0], 1 - raw[:, 0])
    else:
        right = raw[np.arange(len(y)), y.astype(int)]
    if raw.min() < -1e-9 or raw.max() > 1 + 1e-9:  # scores, not probabilities
        raise RequestError("losses of classes are taken of probabilities", do="pass a model that answers with probabilities")
    return np.asarray(-np.log(np.clip(right, TINY, None)))


def _words(question: Ask, chosen: np.ndarray) -> str:
    names = [c for c, here in zip(question.columns, chosen) if here]
    if not names:
        return f"No column is shown to add anything to the others (at most {100 * question.level:g} % false discoveries)."
    return (
        f"{len(names)} of {len(question.columns)} columns add to what the others say: {', '.join(names)}. "
        f"On average at most {100 * question.level:g} % of such choices are false."
    )
