"""Shapley values from plain random orders, each played against one random background row: the textbook estimator."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pellucid.explain import games as solve
from pellucid.explain.games import Games
from pellucid.explain.question import Question
from pellucid.explain.row_games import MOST_ROWS, RowGames, afford
from pellucid.intervals import widening
from pellucid.probe.hashing import mix, uniforms
from pellucid.protocols import FloatArray
from pellucid.random import integer
from pellucid.results import Explanation

__all__ = ["explain", "orders"]

BATCH = 32
"""Orders per row and turn."""

Ints = npt.NDArray[np.int64]


def explain(question: Question) -> Explanation:
    """Return the mean of what each column adds in random orders, one background row each, with standard errors, until precise.

    Strumbelj and Kononenko 2014, doi:10.1007/s10115-013-0679-x; Castro, Gomez and Tejada 2009, doi:10.1016/j.cor.2008.04.004. The sum meets
    the prediction within its own error only, because the background rows are drawn: the gap is stated. Cost P - 1 model rows an order.
    Under the conditional fill a coalition is worth the mean over the rows most like this one, each of which costs a model row.
    """
    rows = RowGames(question)
    n, p, o = len(question.table), len(question.players), rows.engine.n_outputs
    each = max(1, p - 1) * rows.cost
    afford(question, rows, 2.0 * each, "two orders a row")
    total, square, count = np.zeros((n, p, len(rows.nobody))), np.zeros((n, p, o)), np.zeros(n)
    seed, most = integer(question.seed, "shapley_sampling"), max(2, int(rows.budget(MOST_ROWS) / each))
    open_rows, done = np.arange(n), 0
    while len(open_rows) and done < most:
        size = min(BATCH, most - done)
        for block in np.array_split(open_rows, max(1, len(open_rows) // 256)):
            made = _turn(rows, block, done, size, seed)
            total[block] += made.sum(1)
            square[block] += np.square(made[..., :o]).sum(1)
        done += size
        count[open_rows] = done
        if rows.late():
            break
        open_rows = open_rows[~_precise(total[..., :o], square, count, rows.precision)[open_rows]]
    _, drawn = _mean(total[..., :o], square, count)
    values, error = rows.told(total / count[:, None, None], drawn**2)
    short = ~_precise(total[..., :o], square, count, rows.precision) & (rows.precision > 0)
    caveats = [f"{int(short.sum())} of {n} rows stopped at the budget before the asked precision"] if short.any() else []
    settings = {"way": "sampled", "orders": int(count.max()), "precision": rows.precision or None}
    caveats += rows.about_errors + rows.lateness()
    return question.answer(values, rows.base, rows.engine.full, error=error, settings=settings, caveats=caveats)


def _mean(total: FloatArray, square: FloatArray, count: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return (means, standard errors) (N, P, O), widened so that 1.96 errors cover like a t interval."""
    n = count[:, None, None]
    mean = total / n
    variance = np.maximum(square / n - mean**2, 0) / np.maximum(n - 1, 1)
    return mean, np.sqrt(variance * widening(np.maximum(n - 1, 1.0)))


def _precise(total: FloatArray, square: FloatArray, count: FloatArray, precision: float) -> npt.NDArray[np.bool_]:
    mean, error = _mean(total, square, count)
    return np.asarray((np.sqrt(np.square(error).mean(1)) <= precision * np.abs(mean).mean(1)).all(1))


def _turn(rows: RowGames, block: Ints, done: int, size: int, seed: int) -> FloatArray:
    """Return what each player adds in ``size`` orders of each row, (n, size, P, K O)."""
    engine = rows.engine
    row = np.repeat(block, size)
    number = np.tile(np.arange(done, done + size), len(block)).astype(np.uint64)
    counters = mix(engine.row_keys[row] ^ mix(number + np.uint64(1)))
    if rows.neighbours is None:
        u = uniforms(seed, counters, np.zeros(1, np.uint64), 0)[:, 0] / 2.0**64
        back = rows.back[np.searchsorted(np.cumsum(rows.share), u).clip(max=len(rows.back) - 1)]
        games = Games(
            engine.differ(row, back), engine.empty[back], engine.full[row], lambda g, z: engine.evaluate(row[g], back[g], z), counters,
            rows.players,
        )  # fmt: skip
    else:
        everyone, start = np.ones((len(row), len(rows.players)), bool), np.broadcast_to(rows.nobody, (len(row), len(rows.nobody)))
        games = Games(everyone, start, rows.everybody[row], lambda g, z: rows.values(row[g], z), counters, rows.players)
    return orders(games, seed).reshape(len(block), size, len(rows.players), -1)


def orders(games: Games, seed: int) -> FloatArray:
    """Return what each player adds in one random order of each game, (G, P, O). Cost d - 1 evaluations each."""
    out = np.zeros((*games.active.shape, games.start.shape[1]))
    for d, g, players in solve.by_size(games, np.arange(len(games.active)), lambda d: d):
        draws = np.take_along_axis(uniforms(seed, games.counters[g], games.players, 1), players, 1)
        rank = np.argsort(np.argsort(draws, axis=1), axis=1)
        local = rank[:, None] < np.arange(1, d)[:, None]
        inner = solve.ask(games, g, solve.coalitions(games, players, local))
        rise = np.diff(np.concatenate([games.start[g][:, None], inner, games.end[g][:, None]], axis=1), axis=1)
        out[g[:, None], players] = np.take_along_axis(rise, rank[:, :, None], 1)
    return out
