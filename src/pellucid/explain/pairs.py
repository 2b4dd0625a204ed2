"""Games between two rows each, and what games between background rows tell of all others: how far off passes and guesses are.

A row that plays each of its games once cannot know how far its values may be off: the two orders of a pass differ mostly by what pairs of
columns do together, which cancels in their mean, and the rest is a share of that difference which columns differ in. A row that plays few
of its games cannot know either how far off the guesses of the others are. The network shows both in games between background rows, so that
no row depends on the others that are explained with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pellucid.explain import games as solve
from pellucid.explain.games import Games
from pellucid.explain.partial import TINY, UNKNOWN, Known, Share, guess_of
from pellucid.probe.coalition import CoalitionEngine
from pellucid.probe.composing import Lot
from pellucid.probe.hashing import mix, name_hashes
from pellucid.protocols import FloatArray
from pellucid.random import integer

if TYPE_CHECKING:
    from pellucid.explain.question import Question
    from pellucid.explain.sampling import Solver

__all__ = ["known_between", "pair_games", "playing"]

PAIRS = 64
"""Pairs of background rows that are played, twice each."""
LEAST = 16
"""Background rows, and pairs of them that differ in three columns, from which on anything is learned."""
PRIOR = 4.0
"""Pairs that the share of a column is drawn towards the share of all columns by."""
GAMES, PASSES = 26.0, 13.0
"""What is learned here counts as much as so many games of a row, and the share of a row as much as so many passes of a column."""

TOGETHER = 8
"""Pairs of rows whose slopes are multiplied at a time."""

Ints = npt.NDArray[np.int64]


def pair_games(engine: CoalitionEngine, row: Ints, back: Ints, players: npt.NDArray[np.uint64]) -> Games:
    """Return one game per pair of a row (n,) and a background row (n,)."""
    return Games(
        engine.active(row, back),
        engine.empty[back],
        engine.full[row],
        lambda g, z: engine.evaluate(row[g], back[g], z),
        engine.row_keys[row] ^ mix(engine.back_keys[back]),
        players,
        playing(engine, row, back),
    )


def playing(
    engine: CoalitionEngine, row: Ints, back: Ints, half: npt.NDArray[np.bool_] | None = None
) -> Callable[[list[solve.Asked]], list[FloatArray]]:
    """Return what plays the games of pairs (n,), those marked in half precision."""

    def play(asked: list[solve.Asked]) -> list[FloatArray]:
        return engine.play([Lot(row[g], back[g], players, local, None if half is None else half[g]) for g, players, local in asked])

    return play


def known_between(question: Question, back: Ints, solver: Solver, most: float, fewer: bool = False) -> Known:
    """Return what games between some of the background rows ``back`` (B,) tell; nothing where that may cost above ``most`` model rows.

    ``fewer`` : with less to spend fewer games are played, ``LEAST`` at least.

    Cost: two passes of ``PAIRS`` games, 4 (d - 1) model rows each, and each of the rows four times, for answers and slopes at both ends.
    """
    players, rows = len(question.players.names), question.background.take(back[:PAIRS])
    pairs = int(min(PAIRS, max(0.0, most - 4 * len(rows)) // (2 * float(solver.pass_cost(players)))))
    if len(rows) < LEAST or pairs < (LEAST if fewer else PAIRS):
        return UNKNOWN
    engine = replace(question, table=rows).engine(rows)
    one, other = (side[:pairs] for side in _pairs(engine.row_keys))
    games = pair_games(engine, one, other, name_hashes(question.players.names))
    which = np.flatnonzero(games.sizes > 2)
    ends = _rises(engine, one, other)
    nothing = replace(UNKNOWN, cost=4.0 * len(rows))
    if len(which) < LEAST or ends is None:
        return nothing
    guess = guess_of(games, *ends)
    seed = integer(question.seed, "pairs")
    (first, half), (second, half_too) = (solver.one_pass(games, which, step, seed) for step in range(2))
    passes = _share(np.square(first - second) / 2, (np.square(half) + np.square(half_too)) / 2)
    told = ~guess.open[which]
    guesses = _share(np.square((first + second) / 2 - guess.values[which])[told], np.square(guess.doubt[which])[told])
    cost = nothing.cost + 2 * float(solver.pass_cost(games.sizes[which]).sum())
    return replace(UNKNOWN, cost=cost) if passes is None or guesses is None else Known(passes, guesses, cost)


def _rises(engine: CoalitionEngine, one: Ints, other: Ints) -> tuple[FloatArray, FloatArray] | None:
    """Return what :meth:`CoalitionEngine.rises` says of each pair of rows (n,), (n, P, O) twice.

    It says so of some rows by some others; pairs that stand side by side share rows, so that few of these are not asked for.
    """
    made = []
    for some in np.array_split(np.arange(len(one)), -(-len(one) // TOGETHER)):
        back, at = np.unique(other[some], return_inverse=True)
        found = engine.rises(one[some], back)
        if found is None:
            return None
        made.append([e[np.arange(len(some)), at] for e in found])
    at_row, at_back = (np.concatenate(side) for side in zip(*made))
    return at_row, at_back


def _share(seen: FloatArray, expected: FloatArray) -> Share | None:
    """Return the share (P, O) of ``expected`` (G, P, O) that ``seen`` is, by column; None where nothing is seen."""
    number, total = (expected > 0).sum(0), np.maximum(expected.sum(0), TINY)
    overall = seen.sum((0, 1)) / np.maximum(expected.sum((0, 1)), TINY)
    share = (number * seen.sum(0) / total + PRIOR * overall) / (number + PRIOR)
    return Share(share, GAMES, PASSES) if np.isfinite(share).all() and (overall > 0).all() else None


def _pairs(keys: npt.NDArray[np.uint64]) -> tuple[Ints, Ints]:
    """Return ``PAIRS`` pairs of different rows by their contents (n,), or all there are."""
    order, n = np.argsort(keys, kind="stable"), len(keys)
    steps = -(-PAIRS // n)
    one = np.tile(np.arange(n), steps)
    other = (one + np.repeat(np.arange(1, steps + 1), n)) % n
    return order[one[:PAIRS]], order[other[:PAIRS]]
