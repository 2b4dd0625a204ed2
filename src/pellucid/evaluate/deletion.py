"""Deletion and insertion: do the columns named first move the answer first?

Columns are removed (and, from nothing, put back) in the order the explanation gives, against random orders on the same rows. An absent
column takes the cells of background rows. Area under the curve over the share of columns: deletion should be small, insertion large.

Source: Petsiuk, Das and Saenko 2018, "RISE", arXiv:1806.07421; Samek et al. 2017, doi:10.1109/TNNLS.2016.2599820.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from pellucid.evaluate.case import LEAST_ROWS, Case, NotTestable
from pellucid.evaluate.figures import Figure, bootstrap_mean
from pellucid.probe.coalition import CoalitionEngine
from pellucid.probe.masker import Players
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.results import Trial

__all__ = ["run"]

NAME = "deletion"
ORDERS = 20
Ints = npt.NDArray[np.int64]


def run(case: Case) -> Trial:
    """Return the trial. Cost: about 21 P B model rows for each of at most 30 rows, B = 32 background rows."""
    case.needs_columns(2)
    if case.background is None:
        raise NotTestable("the model kept no rows to fill removed columns with; give background=")
    if case.left() <= 0:
        raise NotTestable("no time is left; give a larger budget=")
    draw = stream(case.seed, "orders")
    rows = np.sort(draw.permutation(len(case.table))[:30])
    game = _Game(case, rows)
    started = time.perf_counter()
    # two chains: the removal of the order is the insertion of its reverse
    insertion, deletion = game.areas(game.order), game.areas(game.order[:, ::-1])
    seconds = time.perf_counter() - started
    keep = slice(0, _affordable(len(rows), seconds / 2 * ORDERS, case.left()))
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
        raise NotTestable(f"the time is short: the random orders would take about {seconds:.0f} s; give a larger budget=")
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


class _Game:
    """Answers of the explained output to rows of which some columns are absent."""

    def __init__(self, case: Case, rows: Ints) -> None:
        table = case.table.take(rows)
        self.engine = CoalitionEngine(case.view(), table, case.background, Players.of(case.predictor.columns, case.settings.get("groups")))  # type: ignore[arg-type]
        full, empty = self.engine.full, self.engine.empty.mean(0)
        values = np.broadcast_to(case.own(rows), (len(rows), *case.values.shape[1:]))
        if len(self.engine.players) != values.shape[1] or full.shape[1] != values.shape[2]:
            raise NotTestable("the explanation speaks of other columns or outputs than the model")
        self.rows = np.arange(len(rows))
        # several classes: the one the model chose; one output: towards the side on which the answer lies
        self.output = full.argmax(1) if case.predictor.task == "classification" else np.abs(full - empty).argmax(1)
        mine = values[self.rows, :, self.output]
        self.full = full[self.rows, self.output]
        distance = self.full - empty[self.output]
        self.unsigned = case.unsigned
        self.side = (
            np.ones(len(rows)) if full.shape[1] > 1 and case.predictor.task == "classification" else np.where(distance < 0, -1.0, 1.0)
        )
        score = mine if self.unsigned else mine * self.side[:, None]
        self.order = np.argsort(-score, axis=1, kind="stable")
        self.unit = float(np.abs(distance).mean())
        if not self.unit > 0:
            raise NotTestable("the model gives the same answer to every row")

    def areas(self, order: Ints) -> FloatArray:
        """Return (n,) areas under the answer while the columns of the first n rows enter in ``order`` (n, P), by trapezoids."""
        n, p = order.shape
        rank = np.argsort(order, axis=1)
        present = rank[:, None, :] < np.arange(p + 1)[None, :, None]  # (n, P + 1, P)
        answers = self.engine.mean_over_background(np.repeat(np.arange(n), p + 1), present.reshape(-1, p)).reshape(n, p + 1, -1)
        curve = np.take_along_axis(answers, self.output[:n, None, None], 2)[..., 0]
        # sizes without direction promise that the answer moves, not where to
        curve = -np.abs(curve - self.full[:n, None]) if self.unsigned else curve * self.side[:n, None]
        return np.asarray((curve[:, 1:] + curve[:, :-1]).mean(1) / 2)
