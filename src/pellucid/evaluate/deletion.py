"""Deletion and insertion: do the columns named first move the answer first?

Columns are removed (and, from nothing, put back) in the order the explanation gives, against random orders on the same rows. An absent
column takes the cells of background rows. Area under the curve over the share of columns: deletion should be small, insertion large.

Source: Petsiuk, Das and Saenko 2018, "RISE", arXiv:1806.07421; Samek et al. 2017, doi:10.1109/TNNLS.2016.2599820.
"""

from __future__ import annotations

import time

import numpy as np

from pellucid.evaluate.case import LEAST_ROWS, Case, Short
from pellucid.evaluate.figures import Figure, bootstrap_mean
from pellucid.evaluate.game import Game
from pellucid.random import stream
from pellucid.results import Trial

__all__ = ["run"]

NAME = "deletion"
ORDERS = 20


def run(case: Case) -> Trial:
    """Return the trial. Cost: about 21 P B model rows for each of at most 30 rows, B = 32 background rows."""
    case.needs_columns(2)
    if case.left() <= 0:
        raise Short("none is left")
    draw = stream(case.seed, "orders")
    rows = np.sort(draw.permutation(len(case.table))[:30])
    game = Game(case, rows)
    least = min(len(rows), LEAST_ROWS)
    if (seconds := game.seconds(ORDERS, least, case.deadline)) > case.left():
        raise Short(f"the random orders would take about {seconds:.0f} s for {least} rows")
    started = time.perf_counter()
    # two chains: the removal of the order is the insertion of its reverse
    insertion, deletion = game.areas(game.order), game.areas(game.order[:, ::-1])
    seconds = time.perf_counter() - started
    keep = slice(0, case.reduced(_affordable(len(rows), seconds / 2 * ORDERS, case.left()), len(rows), "rows"))
    n, p = game.order[keep].shape
    chance = np.zeros(n)
    for _ in range(ORDERS):
        chance += game.areas(draw.permuted(np.tile(np.arange(p), (n, 1)), axis=1)) / ORDERS
    gain_in, gain_out = ((insertion[keep] - chance) / game.unit, (chance - deletion[keep]) / game.unit)
    inserted, deleted = (bootstrap_mean(g, stream(case.seed, "bootstrap")) for g in (gain_in, gain_out))
    weaker = min(inserted, deleted, key=lambda f: f.low)
    passed = weaker.low > 0
    return case.verdict(
        NAME,
        weaker,
        0.0,
        passed,
        _words(passed, inserted, deleted),
        insertion=list(inserted),
        deletion=list(deleted),
        orders=ORDERS,
        rows=n,
        unit="share of the mean distance between an answer and the answer without columns",
    )


def _affordable(n: int, seconds: float, left: float) -> int:
    """Return how many of n rows can be compared with the random orders in the time left."""
    most = n if seconds <= left else int(n * max(0.0, left) / seconds)
    if most < min(n, LEAST_ROWS):
        raise Short(f"the random orders would take about {seconds:.0f} s")
    return most


def _words(passed: bool, inserted: Figure, deleted: Figure) -> str:
    figures = f"removing: {100 * deleted.value:+.0f} %, putting back: {100 * inserted.value:+.0f} %"
    if passed:
        return (
            "Taking away the columns in the order of their contributions changes the answer faster than a random order does, "
            f"and putting them back restores it faster ({figures} of the distance to explain): "
            "the columns named first are those the model leans on."
        )
    return (
        f"The order of the contributions is not shown to be better than a random order of columns ({figures} of the distance to explain): "
        "the columns named first need not be those the model leans on."
    )
