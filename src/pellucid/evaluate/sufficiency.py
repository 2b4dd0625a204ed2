"""Sufficiency and comprehensiveness: is the answer kept by the columns named first alone, and lost without them?

Source: DeYoung et al. 2020, "ERASER", arXiv:1911.03429: p(x) - p(only the top k) should be small, p(x) - p(without the top k) large,
averaged over k = 1, 2, 5, 10, 20, 50 % of the columns.

# NOTE[DIFF] the paper's figures lean towards models that are sure of themselves: where the answer is far from the base, everything moves it
far. Here each row is compared with random sets of the same size on the same row, in units of the row's own distance, and the figures are
averaged over thirds of the rows by that distance, so that models of other confidence are compared at matched confidence (after "How
explainable are adversarially robust networks?": removal tests are biased by confidence).
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.evaluate.case import LEAST_ROWS, Case, Short
from pellucid.evaluate.figures import Figure, bootstrap_mean
from pellucid.evaluate.game import Game
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.results import Trial

__all__ = ["SHARES", "run", "sizes_of"]

NAME = "sufficiency"
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
SETS, ROWS = 20, 40
THIRDS = 3


def sizes_of(columns: int) -> tuple[int, ...]:
    """Return the distinct numbers of columns that are kept or removed: the shares rounded up, never all columns.

    Examples
    --------
    >>> sizes_of(4), sizes_of(30)
    ((1, 2), (1, 2, 3, 6, 15))
    """
    return tuple(sorted({min(columns - 1, int(np.ceil(s * columns - 1e-9))) for s in SHARES}))


def run(case: Case) -> Trial:
    """Return the trial. Cost: 2 (1 + 20) sets of each of up to 6 sizes, B = 32 background rows, for each of at most 40 rows."""
    case.needs_columns(2)
    rows = case.some(ROWS)
    game = Game(case, rows)
    sizes = sizes_of(game.order.shape[1])
    started = time.perf_counter()
    own = _moves(game, game.order, sizes)
    seconds = (time.perf_counter() - started) * SETS
    n = len(rows) if seconds <= case.left() else int(len(rows) * max(0.0, case.left()) / seconds)
    if n < min(len(rows), LEAST_ROWS):
        raise Short(f"the random sets would take about {seconds:.0f} s")
    case.reduced(n, len(rows), "rows")
    chance = _by_chance(game, n, sizes, stream(case.seed, "sets"))
    distance = np.abs(game.full - game.empty)[:n]
    # a row that sits on the base has no distance to lose; it counts as much as its neighbours, not infinitely
    unit = np.maximum(distance, 0.25 * game.unit)
    weight = _matched(distance)
    draw = stream(case.seed, "bootstrap")
    lost, kept = (bootstrap_mean(weight * sign * (own[k][:n] - chance[k]) / unit, draw) for k, sign in ((0, 1.0), (1, -1.0)))
    weaker = min(lost, kept, key=lambda f: f.low)
    passed = weaker.low > 0
    figures: dict[str, Any] = {name: float((own[k][:n] / unit).mean()) for k, name in enumerate(("comprehensiveness", "sufficiency_gap"))}
    return case.verdict(
        NAME, weaker, 0.0, passed, _words(passed, lost, kept), comprehensive=list(lost), sufficient=list(kept), sizes=list(sizes), rows=n,
        by_confidence=_thirds((own[0][:n] - chance[0]) / unit, distance), **figures,
        unit="share of the distance between a row's answer and the answer without columns, beyond random sets",
    )  # fmt: skip


def _moves(game: Game, order: npt.NDArray[np.int64], sizes: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
    """Return per row how far the answer moves (without the first k, with the first k alone), (n,) each, averaged over sizes."""
    n = len(order)
    first = np.argsort(order, axis=1)[:, None, :] < np.asarray(sizes)[None, :, None]  # (n, sizes, P)
    out = []
    for present in (~first, first):
        move = game.full[:n, None] - game.answers(present)
        move = np.abs(move) if game.unsigned else move * game.side[:n, None]
        out.append(np.asarray(move.mean(1)))
    return out[0], out[1]


def _by_chance(game: Game, n: int, sizes: tuple[int, ...], draw: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    p = game.order.shape[1]
    total = np.zeros((2, n))
    for _ in range(SETS):
        total += np.stack(_moves(game, draw.permuted(np.tile(np.arange(p), (n, 1)), axis=1), sizes)) / SETS
    return total[0], total[1]


def _third_of(distance: FloatArray) -> npt.NDArray[np.int64]:
    ranks = np.argsort(np.argsort(distance, kind="stable"), kind="stable")
    return np.asarray(ranks * THIRDS // max(1, len(distance)))


def _matched(distance: FloatArray) -> FloatArray:
    """Return (n,) weights of mean 1 that give each third of the rows by confidence the same say."""
    third = _third_of(distance)
    count = np.bincount(third, minlength=THIRDS)
    return np.asarray(len(distance) / (count[third] * np.count_nonzero(count)))


def _thirds(values: FloatArray, distance: FloatArray) -> list[float]:
    third = _third_of(distance)
    return [float(values[third == k].mean()) for k in range(THIRDS) if (third == k).any()]


def _words(passed: bool, lost: Figure, kept: Figure) -> str:
    figures = (
        f"without the columns named first {100 * lost.value:+.0f} % more of the answer is lost than without random ones, with them alone "
        f"{100 * kept.value:+.0f} % more of it is kept"
    )
    if passed:
        return f"The columns named first carry the answer: {figures} (rows of all degrees of confidence count alike)."
    return f"The columns named first are not shown to carry the answer better than random ones: {figures}."
