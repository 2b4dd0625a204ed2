"""Shapley values of columns: exact where the evaluations fit the budget, else sampled with standard errors and automatic stopping.

The value of an absent column is averaged over B background rows, and the Shapley value is linear in the game: so every pair of a row
and a background row is a small game of its own, played only by the columns in which the two rows differ. Small games are enumerated, large
ones sampled, each with permutations of its own; errors of different pairs are independent and average out.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError
from pellucid.explain import games as solve
from pellucid.explain.games import Games
from pellucid.explain.question import Question
from pellucid.explain.sampling import Plan, Sampler
from pellucid.probe.coalition import CoalitionEngine
from pellucid.probe.hashing import mix, name_hashes
from pellucid.probe.masker import Neighbours
from pellucid.protocols import FloatArray
from pellucid.random import integer
from pellucid.results import Explanation

__all__ = ["explain", "explain_exact", "explain_kernel", "explain_permutation"]

EXACT_ROWS = 4096
"""Model rows per explained row up to which enumeration is chosen without being asked for."""
MOST_ROWS = 20_000
"""Model rows per explained row at which sampling ends where neither budget nor precision was given; 50 times as many where one was."""
PRECISION = 0.02
LARGEST = 20
"""Most players of one enumerated game: 2^20 evaluations."""
BLOCK = 64

Ints = npt.NDArray[np.int64]


def explain(question: Question) -> Explanation:
    """Return Shapley values, by the cheapest of enumeration and paired permutations that reaches the precision within the budget.

    Cost: at most ``EXACT_ROWS`` or the budget where exact; else about 2 d B model rows per pass, d = columns in which two rows differ.
    Source: Shapley 1953; Strumbelj and Kononenko 2014, doi:10.1007/s10115-013-0679-x; Lundberg and Lee 2017, arXiv:1705.07874.
    """
    return _run(question, "auto")


def explain_exact(question: Question) -> Explanation:
    """Return exact Shapley values. Cost: the sum over background rows of 2^d, d = columns in which the rows differ."""
    return _run(question, "exact")


def explain_permutation(question: Question) -> Explanation:
    """Return Shapley values from paired random permutations, one of its own for each pair of rows. Cost 2 (d - 1) B per pass."""
    return _run(question, "permutation")


def explain_kernel(question: Question) -> Explanation:
    """Return Shapley values by weighted regression on paired coalitions. Cost 6 d B, doubled until precise."""
    return _run(question, "kernel")


def _run(question: Question, way: str) -> Explanation:
    engine = question.engine()
    block = _Block(question, engine, way)
    n, p, o = len(question.table), len(question.players), engine.n_outputs
    values, variance = np.zeros((n, p, o)), np.zeros((n, p, o))
    short = np.zeros(n, bool)
    size = max(1, min(BLOCK, 2**22 // max(1, len(engine.empty) * p * o)))
    for s in range(0, n, size):
        rows = np.arange(s, min(n, s + size))
        engine.forget()
        values[rows], variance[rows], short[rows] = block.solve(rows)
    sampled = bool((variance > 0).any()) or block.sampled
    caveats = [f"{int(short.sum())} of {n} rows stopped at the budget before the asked precision"] if short.any() else []
    late = time.perf_counter() - block.deadline
    if late > 0:  # every row needs its first passes, so seconds are a wish where rows are many
        caveats.append(f"the time budget was passed by {late:.1f} s, because every row needs its first passes")
    settings = {"way": "sampled" if sampled else "exact", "precision": (block.precision or None) if sampled else None}
    return question.answer(
        values, block.base, engine.full, error=np.sqrt(variance) if sampled else None, settings=settings, caveats=caveats
    )


class _Block:
    """Solves the games of a block of rows, and adds them up to the rows' values."""

    def __init__(self, question: Question, engine: CoalitionEngine, way: str) -> None:
        self.q, self.engine, self.way, self.sampled = question, engine, way, False
        self.precision = question.precision or (0.0 if question.budget.rows or question.budget.seconds else PRECISION)
        self.seed = integer(question.seed, "shapley")
        self.players = name_hashes(question.players.names)
        # copies of a background row play the same game: it is played once, with their weight
        _, self.back, copies = np.unique(engine.back_keys, return_index=True, return_counts=True)
        self.share = copies / copies.sum()
        self.base = self.share @ engine.empty[self.back]
        self.neighbours = Neighbours(question.table, question.background, question.players) if question.fill == "conditional" else None
        self.cost = 1.0 if self.neighbours is None else self._neighbour_cost()
        self.deadline = question.started + (question.budget.seconds or np.inf)

    def _neighbour_cost(self) -> float:
        """Return the mean number of background rows behind one coalition value under the conditional fill."""
        assert self.neighbours is not None
        g = np.random.default_rng(0)
        rows = g.integers(0, len(self.q.table), 64)
        z = g.random((64, len(self.q.players))) < 0.5
        return float((self.neighbours.weights(rows, z) > 0).sum(1).mean())

    def games(self, rows: Ints) -> tuple[Games, Ints, FloatArray]:
        """Return (games, the place in ``rows`` each belongs to, weights)."""
        engine = self.engine
        if self.neighbours is not None:
            return self._row_games(rows)
        back, row = np.tile(self.back, len(rows)), np.repeat(rows, len(self.back))
        games = Games(
            engine.differ(row, back),
            engine.empty[back],
            engine.full[row],
            lambda g, z: engine.evaluate(row[g], back[g], z),
            engine.row_keys[row] ^ mix(engine.back_keys[back]),
            self.players,
        )
        return games, np.repeat(np.arange(len(rows)), len(self.back)), np.tile(self.share, len(rows))

    def _row_games(self, rows: Ints) -> tuple[Games, Ints, FloatArray]:
        """One game per row: under the conditional fill the weights of background rows depend on the coalition."""
        engine, neighbours = self.engine, self.neighbours
        assert neighbours is not None
        size = len(engine.empty)
        active = engine.differ(np.repeat(rows, size), np.tile(np.arange(size), len(rows)))
        active = np.asarray(active.reshape(len(rows), size, -1).any(1))
        start = np.broadcast_to(self.base, (len(rows), engine.n_outputs))
        games = Games(
            active,
            start,
            engine.full[rows],
            lambda g, z: engine.mean_over_background(rows[g], z, neighbours.weights(rows[g], z)),
            engine.row_keys[rows],
            self.players,
        )
        return games, np.arange(len(rows)), np.ones(len(rows))

    def solve(self, rows: Ints) -> tuple[FloatArray, FloatArray, npt.NDArray[np.bool_]]:
        """Return (values (n, P, O), their variances, which rows ended before the precision)."""
        games, owner, weight = self.games(rows)
        engine = self.engine
        total = np.bincount(owner, solve.exact_cost(games.sizes) * self.cost, len(rows)).astype(float)
        budget = self._budget()
        is_exact = total <= min(budget, EXACT_ROWS) if self.q.budget.rows is None else total <= budget
        if self.way == "exact":
            self._check_exact(games, total)
            is_exact = np.ones(len(rows), bool)
        if self.way in ("permutation", "kernel"):
            is_exact = np.zeros(len(rows), bool)
        sampler = Sampler(games, owner, weight, self.seed, len(rows), self.cost, drawn=engine.drawn)
        sampler.enumerate(np.flatnonzero(is_exact[owner]))
        left = np.flatnonzero(~is_exact[owner])
        plan = Plan(budget, self.precision, self.deadline)
        if len(left):
            self.sampled = True
            (sampler.regress if self.way == "kernel" else sampler.permute)(left, plan, mixed=self.way == "auto")
        values, variance = sampler.values(), sampler.variance()
        wanted = self.q.precision is not None if engine.drawn else self.precision > 0
        missed = ~sampler.done(values, variance, plan) & (engine.drawn | ~is_exact)
        return values, variance, missed & wanted

    def _budget(self) -> float:
        """Return the model rows one explained row may cost."""
        asked, n = self.q.budget.rows, len(self.q.table)
        if asked is None:
            return 50.0 * MOST_ROWS if self.q.precision or self.q.budget.seconds else MOST_ROWS
        return max(0.0, (asked - n - len(self.engine.empty)) / n)

    def _check_exact(self, games: Games, total: FloatArray) -> None:
        largest = int(games.sizes.max(initial=0))
        if largest > LARGEST:
            raise RequestError(
                "exact Shapley values are out of reach",
                expected=f"at most {LARGEST} columns that differ",
                got=str(largest),
                do="use method='shapley', or put columns into groups=",
            )
        if self.q.budget.rows is not None and total.max() > self._budget():
            raise RequestError(
                "exact Shapley values do not fit the budget",
                expected=f"at least {int(total.max() + 1) * len(self.q.table) + len(self.engine.empty)} model rows",
                got=str(self.q.budget.rows),
                do="use method='shapley', fewer background rows or a larger budget",
            )
