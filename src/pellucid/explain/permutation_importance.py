"""Permutation importance: how much worse does the model become when a column is shuffled?"""

from __future__ import annotations

import numpy as np

from pellucid.explain.asked import affordable
from pellucid.explain.question import Question
from pellucid.intervals import Z95, widening
from pellucid.probe.coalition import CoalitionEngine
from pellucid.probe.truth import row_losses
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.results import Importance

__all__ = ["explain", "shuffling_error"]

FEW = 100
"""Rows below which the rise is so skewed that its interval covers less (linear model: of 50 rows 89 %, of 20 rows 82 %, of 10 75 %)."""
REPEATS = 5
FOLDS = 10
AT_ONCE = 2**24
"""Cells of the coalitions that are asked at once: players times rows times players."""


def explain(question: Question) -> Importance:
    """Return the mean rise of the loss when each player is shuffled, (P,), with 95 % intervals over rows.

    Breiman 2001, doi:10.1023/A:1010933404324; Fisher, Rudin and Dominici 2019, arXiv:1801.01489. The loss is proper: log loss for classes,
    squared error for numbers. ``REPEATS`` shuffles, or as many as the budget pays for, are shared by all players; a group's columns move
    together. The interval speaks of the rows given: give rows that were held out. Per player, ``record.settings["sign_test"]`` holds the
    p-value that shuffling does no harm, from a sign test over 10 disjoint parts of the rows. Cost: R (P + 1) N model rows at most.
    """
    loss, unit = row_losses(question.view, question.y, len(question.table))
    n, p = len(question.table), len(question.players)
    repeats = affordable(question, REPEATS, p * n, n, least=1)
    engine = CoalitionEngine(question.view, question.table, question.table, question.players)
    before = loss(engine.full)
    rise, lent, square = np.zeros((p, n)), np.zeros((p, n)), np.zeros(p)
    rows, together = np.arange(n), max(1, AT_ONCE // (n * p))
    draw = stream(question.seed, "permutation_importance")
    for _ in range(repeats):
        other = draw.permutation(n)
        for some in np.array_split(np.arange(p), -(-p // together)):
            # several players at a time: a wide network makes the parts of a pair of rows once for all of them
            z = np.repeat(np.arange(p) != some[:, None], n, axis=0)
            answers = engine.evaluate(np.tile(rows, len(some)), np.tile(other, len(some)), z).reshape(len(some), n, -1)
            for j, answer in zip(some, answers):
                change = loss(answer) - before
                rise[j] += change / repeats
                lent[j, other] += change / repeats
                square[j] += np.square(change).mean() / repeats
        engine.forget()
    values = rise.mean(1)
    half = Z95 * shuffling_error(rise, lent, square, repeats) * float(np.sqrt(widening(n - 1)))
    test = dict(zip(question.players.names, _sign_test(rise, draw).tolist()))
    caveats = ["use rows that were held out from training"]
    if n < FEW:
        caveats.append(f"intervals of {n} rows are too narrow where a few of them carry the rise: give {FEW} or more")
    record = question.record({"repeats": repeats, "loss": unit, "sign_test": test}, tuple(caveats))
    interval = np.column_stack([values - half, values + half])
    return Importance(values, interval, question.players.names, unit, question.method, record)


def shuffling_error(own: FloatArray, lent: FloatArray, square: FloatArray, repeats: int) -> FloatArray:
    """Return the standard error (...,) over rows of means of shuffled losses; NaN for a single row.

    Every row is met twice: with its own other cells, and by the cell it lends to another row. Both move the mean, so the spread of their
    sum counts (the projection of Hoeffding 1948, doi:10.1214/aoms/1177730196); of that, what the few partners of each row add is taken off.

    Parameters
    ----------
    own, lent : (..., n) mean change over ``repeats`` of each row, and of the row that took each row's cell.
    square : (...,) mean squared change.
    """
    n = own.shape[-1]
    if n < 2:
        return np.full(own.shape[:-1], np.nan)
    chance = np.maximum(square - np.square(own.mean(-1)), 0) / repeats
    spread = (own + lent).var(-1, ddof=1) - chance
    return np.asarray(np.sqrt(np.maximum(spread, chance / 2) / n))


def _sign_test(rise: FloatArray, draw: np.random.Generator) -> FloatArray:
    """Return p-values (P,): how often would so many of the row parts be harmed if shuffling did no harm?"""
    from scipy.stats import binomtest

    parts = np.array_split(draw.permutation(rise.shape[1]), min(FOLDS, rise.shape[1]))
    harmed = np.stack([rise[:, k].mean(1) for k in parts])
    return np.array([binomtest(int((h > 0).sum()), max(1, int((h != 0).sum())), alternative="greater").pvalue for h in harmed.T])
