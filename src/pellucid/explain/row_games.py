"""The games behind the rows: one for each pair of a row and a background row, or one per row where the fill follows the coalition.

The value of an absent column is averaged over B background rows, and every value here is linear in the game: so every pair of a row and a
background row is a small game of its own, played only by the columns in which the two rows differ. Small games are enumerated, large ones
sampled, each with draws of its own; errors of different pairs are independent and average out.
"""

from __future__ import annotations

import functools
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from pellucid.errors import PellucidWarning, RequestError
from pellucid.execution import Threads, few_threads, limit_threads
from pellucid.explain import games as solve
from pellucid.explain.games import Games
from pellucid.explain.pairs import known_between, pair_games, playing
from pellucid.explain.partial import FIRST, UNKNOWN, Guess, Known, guess_of
from pellucid.explain.question import Question
from pellucid.explain.sampling import Plan, Sampler, Solver, widening
from pellucid.probe.budget import too_small
from pellucid.probe.composing import Lot
from pellucid.probe.hashing import mix, name_hashes
from pellucid.probe.masker import Neighbours
from pellucid.protocols import FloatArray
from pellucid.random import integer
from pellucid.results import Explanation
from pellucid.results.text import percent

__all__ = ["BLOCK", "EXACT_ROWS", "LARGEST", "MOST_ROWS", "PRECISION", "RowGames", "afford", "answer", "jackknife"]

EXACT_ROWS = 4096
"""Model rows per explained row up to which enumeration is chosen without being asked for."""
MOST_ROWS = 20_000
"""Model rows per explained row at which sampling ends where neither budget nor precision was given; 50 times as many where one was."""
PRECISION = 0.02
WIDE = 72e6
"""Model rows times columns that an explained row costs at most by itself, where guesses of its games allow for fewer: a composed row
takes the longer the more columns there are. Tables of up to 600 columns play each of 100 games twice."""
KNOWN_ROWS = 100_000
"""Model rows that games between background rows may take where nothing was asked for."""
SECONDS_SHARE = 0.2
"""The same, as a share of a budget of seconds."""
LONG = 60.0
"""Seconds from which on a wait is told beforehand."""
LITTLE = 0.05
"""Share of a budget that games between background rows may take."""
HALF_SHARE = 0.25
"""Share of the error asked for that rounding to half precision may have: it adds 3 % to the whole."""
UNEQUAL = 4.0
"""Most that one background row may weigh, in mean weights, for a part of them to stand for all."""
LARGEST = 20
"""Most players of one enumerated game: 2^20 evaluations."""
BLOCK = 512
HALVES = 10
"""Random halves of the background rows that are left out one at a time, to tell what other rows would change where few lend cells."""
FORETOLD = 200_000
"""Model rows from which on a wait may be worth telling."""
PILOT = 256
"""Coalitions on which a model is timed where the budget is in seconds."""
PILOT_GAMES = 16
"""Games on whose orders of arrival models made of trees are timed."""
OF_TREES = 16
"""One composed row in so many of those that enumeration may take is what sampling may take, where they cost no model rows."""

Ints = npt.NDArray[np.int64]
T = TypeVar("T")


class RowGames:
    """The games of a question's rows.

    Attributes
    ----------
    engine : evaluates coalitions. base : (O,) the mean answer to the background rows.
    precision : standard error to reach, as a share of the mean absolute value; 0 where the budget alone decides.
    cost : mean number of background rows behind one value of one game.
    left_out : (K, B), which background rows are left out: none, and under the conditional fill then each of some halves in turn. All
        outputs of games are K x O there, choice by choice: :meth:`told` reads them.
    nobody, everybody : (K O,) and (R, K O), what nobody and everybody is worth in each.
    """

    def __init__(self, question: Question) -> None:
        self.q, self.engine = question, question.engine()
        self.precision = question.precision or (0.0 if question.budget.rows or question.budget.seconds else PRECISION)
        self.players = name_hashes(question.players.names)
        # copies of a background row play the same game: it is played once, with their weight
        _, self.back, copies = np.unique(self.engine.back_keys, return_index=True, return_counts=True)
        self.share = copies / copies.sum()
        self.base = self.share @ self.engine.empty[self.back]
        self.neighbours = Neighbours(question.table, question.background, question.players) if question.fill == "conditional" else None
        self.left_out = _left_out(self.engine.back_keys, 0 if self.neighbours is None else HALVES)
        others = self.left_out[1:]
        means = ~others @ self.engine.empty / (~others).sum(1, keepdims=True)
        self.nobody = np.concatenate([self.base, means.ravel()])
        self.everybody = np.tile(self.engine.full, len(self.left_out))
        self.cost = 1.0 if self.neighbours is None else self._neighbour_cost(self.left_out)
        self.deadline = question.started + (question.budget.seconds or np.inf)
        self._known: Known | None = None
        self._lock = threading.Lock()

    def _neighbour_cost(self, left_out: npt.NDArray[np.bool_]) -> float:
        """Return the mean number of background rows behind one coalition value, and the same without some, under the conditional fill."""
        assert self.neighbours is not None
        g = np.random.default_rng(0)
        rows = g.integers(0, len(self.q.table), 64)
        z = g.random((64, len(self.q.players))) < 0.5
        return float((self.neighbours.weights_without(rows, z, left_out) > 0).any(1).sum(1).mean())

    @property
    def free(self) -> int:
        """Composed rows per explained row that may be enumerated because they cost no model rows; 0 where they do."""
        return 0 if self.neighbours is not None else self.engine.exact_rows or 0

    @property
    def back_cost(self) -> float:
        """Mean number of background rows behind one value of a coalition."""
        return float(len(self.engine.empty)) if self.neighbours is None else self.cost

    def blocks(self) -> list[Ints]:
        """Return the rows in blocks of about one size, whose intermediate values stay small; two at least where rows are many."""
        n, size = len(self.q.table), max(1, len(self.engine.empty) * len(self.q.players) * self.engine.n_outputs)
        at_once = self.engine.rows_at_once if self.neighbours is None else None
        most = max(1, min(BLOCK, 2**22 // size, at_once or BLOCK))
        count = 2 * -(-n // (2 * most)) if n >= BLOCK // 2 else -(-n // most)
        return np.array_split(np.arange(n), max(1, count))

    def by_block(self, solve: Callable[[Ints], T]) -> Iterator[T]:
        """Yield ``solve`` of each block.

        Several blocks at a time where the model answers several threads and none has to wait: half of the time of coarse answers goes into
        choosing games and judging errors, which a block does by itself. Otherwise the cores share what the model is asked for a block.
        """
        blocks, threads = self.blocks(), self.engine.threads if self.neighbours is None else 1
        if threads > 1 and len(blocks) >= threads:
            _ = self.engine.rounding  # measured once for all
            with limit_threads(1):
                yield from Threads(threads).map(solve, blocks)
            return
        for block in blocks:
            self.engine.forget()
            with few_threads(0, "blas") if self.free else nullcontext():  # where trees answer, products are many and small
                found = solve(block)
            yield found

    def games(self, rows: Ints) -> tuple[Games, Ints, FloatArray]:
        """Return (games, the place in ``rows`` each belongs to, weights)."""
        engine = self.engine
        if self.neighbours is not None:
            return self._one_per_row(rows)
        back, row = np.tile(self.back, len(rows)), np.repeat(rows, len(self.back))
        games = pair_games(engine, row, back, self.players)
        return games, np.repeat(np.arange(len(rows)), len(self.back)), np.tile(self.share, len(rows))

    def guess(self, rows: Ints, games: Games) -> Guess | None:
        """Return what the games' values will be about, by the slopes of a network at both ends; None for other models."""
        ends = self.engine.rises(rows, self.back) if self.neighbours is None else None
        if ends is None:
            return None
        return guess_of(games, *(e.reshape(len(games.active), *e.shape[2:]) for e in ends))

    def known(self, solver: Solver) -> Known:
        """Return what games between background rows tell of all others; played once, and not where a budget would feel it."""
        with self._lock:
            if self._known is None:
                asked, seconds = self.q.budget.rows, self.q.budget.seconds
                most = KNOWN_ROWS if asked is None and self.q.precision is None else np.inf if asked is None else LITTLE * asked
                if seconds is not None:
                    most = SECONDS_SHARE * (self.deadline - time.perf_counter()) / self.pace
                self._known = known_between(self.q, self.back, solver, most, fewer=asked is None)
            return self._known

    def worth(self, budget: float, passes: float, part: float) -> float:
        """Return the model rows that one row may cost by itself where no budget of rows was set.

        Parameters
        ----------
        budget : what it may cost however few it needs. passes : what two passes of all its games cost. part : what the fewest games cost
            that say something about the others; 0 where all have to be played.
        """
        if part and self.q.budget.seconds is not None:
            return max(min(budget, self.paid()), part)
        if not part or self.q.precision is not None:
            return max(budget, passes)
        return max(budget, min(passes, max(WIDE / len(self.q.players), part)))

    def _enough_seconds(self, least: float) -> None:
        """Refuse a budget of seconds within which even ``least`` model rows, those without which there is no answer, cannot be asked."""
        if least < FORETOLD:
            return
        left = self.q.view.until - time.perf_counter()
        if (needed := least * self.pace) > left:
            raise RequestError(
                "the time budget does not reach for an answer",
                expected=f"about {needed:.0f} s for {len(self.q.table)} rows of {len(self.q.players)} columns",
                got=f"{self.q.budget.seconds:g} s",
                do="explain fewer rows, put columns into groups=, or ask a network for method='expected_gradients'",
            )

    @functools.cached_property
    def pace(self) -> float:
        """Seconds that a composed row takes where many of one game are asked at once, measured on some random ones."""
        n, p, began = PILOT, len(self.q.players), 0.0
        lot = Lot(np.zeros(1, np.int64), self.back[:1], np.arange(p)[None], np.random.default_rng(0).random((n, p)) < 0.5)
        if self.free:  # trees look at orders of arrival, and at many pairs at once
            back = self.back[:PILOT_GAMES]
            n, games = p * len(back), np.tile(np.arange(p), (len(back), 1))
            lot = Lot(np.zeros(len(back), np.int64), back, games, np.tri(p, dtype=bool))
        for _ in range(2):  # the first call may load and compile
            began = time.perf_counter()
            asked = self.engine.view.n_calls
            self.engine.play([lot])
            self.engine.view.uncount(self.engine.view.n_calls - asked)
            self.engine.forget()
        return max(time.perf_counter() - began, 1e-9) / n

    def paid(self) -> float:
        """Return the model rows that each explained row may cost in what is left of the seconds asked for."""
        return max(0.0, 0.9 * (self.deadline - time.perf_counter()) / self.pace / len(self.q.table))

    def foretell(self, solver: Solver) -> None:
        """Warn of a long wait before it begins: how long, and what makes it shorter. Refuse seconds that give no answer at all."""
        n, p, games = len(self.q.table), len(self.q.players), len(self.back)
        if self.q.budget.rows is not None or p <= LARGEST:
            return
        each = float(solver.pass_cost(p)) * self.cost
        part = 2 * FIRST * each if solver.guessed and self.engine.slopes and games >= 2 * FIRST and self.neighbours is None else 0.0
        if self.q.budget.seconds is not None:
            self._enough_seconds(n * (part or 2 * games * each))
            return
        rows = n * self.worth(self.budget(), 2 * games * each, part)
        if rows < FORETOLD or (seconds := rows * self.pace) < LONG:
            return
        words = f"{n} row{'s' * (n != 1)} of {p} columns cost up to {rows:,.0f} model rows, about {_minutes(seconds)} at the pace seen here"
        do = "budget='60s' ends sooner and states the larger errors" if part else "fewer rows as background= cost less in proportion"
        warnings.warn(f"{words}. Explain fewer rows, or set a limit: {do}", PellucidWarning, stacklevel=2)

    def rounding(self, rows: Ints, games: Games, guess: Guess) -> tuple[npt.NDArray[np.bool_], FloatArray]:
        """Return which of some rows half precision may answer (n,), and the variances (n, O) that it adds to each of their values.

        It is measured at the rows and the background rows themselves, whose exact answers are known: a row's values add up to the
        difference of two such answers, so what rounding adds to it is shared among the columns like errors of their own. What rounding
        adds at random to single coalitions is in the errors of the sampling already. Where these variances are not far below those that
        will do, the row is answered in full precision.
        """
        off = self.engine.rounding
        if off is None:
            return np.zeros(len(rows), bool), np.zeros((len(rows), self.engine.n_outputs))
        size = (len(rows), len(self.back))
        squared = np.square(off[0][rows]) + self.share @ np.square(off[1][self.back])
        variance = squared / np.maximum(games.sizes.reshape(size).mean(1), 1)[:, None]
        about = np.abs(np.einsum("b,rbpo->rpo", self.share, guess.values.reshape(*size, *guess.values.shape[1:]))).mean(1)
        wanted = self.precision or PRECISION * np.sqrt(EXACT_ROWS / max(self.budget(), 1.0))
        return (np.sqrt(variance) <= HALF_SHARE * wanted * about).all(1), variance

    def _one_per_row(self, rows: Ints) -> tuple[Games, Ints, FloatArray]:
        """One game per row: under the conditional fill the weights of background rows depend on the coalition.

        Its outputs are those of K games side by side, one for each choice of background rows that are left out.
        """
        engine, neighbours = self.engine, self.neighbours
        assert neighbours is not None
        size = len(engine.empty)
        active = engine.differ(np.repeat(rows, size), np.tile(np.arange(size), len(rows)))
        active = np.asarray(active.reshape(len(rows), size, -1).any(1))
        games = Games(
            active,
            np.broadcast_to(self.nobody, (len(rows), len(self.nobody))),
            self.everybody[rows],
            lambda g, z: self.values(rows[g], z),
            engine.row_keys[rows],
            self.players,
        )
        return games, np.arange(len(rows)), np.ones(len(rows))

    def values(self, row: Ints, z: npt.NDArray[np.bool_]) -> FloatArray:
        """Return v (n, K O) of n pairs of a row and a coalition (n, P), under the question's fill. Cost at most n B model rows."""
        if self.neighbours is None:
            return self.engine.mean_over_background(row, z)
        keys = z.astype(np.uint64) @ self.players + mix(row.astype(np.uint64))  # random coalitions of few columns come again and again
        _, first, same = np.unique(keys, return_index=True, return_inverse=True)
        row, z = row[first], z[first]
        return self.engine.mean_over_background(row, z, self.neighbours.weights_without(row, z, self.left_out))[same]

    def told(self, values: FloatArray, variance: FloatArray | None = None) -> tuple[FloatArray, FloatArray | None]:
        """Return (values (..., O), their standard errors or None where nothing is left to chance) of answers (..., K O).

        ``variance`` (..., O): of what was sampled. Under the conditional fill what other background rows would change is added to it.
        """
        if len(self.left_out) == 1:
            return values, None if variance is None else np.sqrt(variance)
        values, spread = jackknife(values, self.left_out, self.engine.n_outputs)
        return values, np.sqrt(spread if variance is None else spread + variance)

    @property
    def about_errors(self) -> list[str]:
        """The caveat that says what errors count, where that is more than sampling."""
        return ["errors count what other background rows would change"] if len(self.left_out) > 1 else []

    def budget(self, most: float = MOST_ROWS) -> float:
        """Return the model rows one explained row may cost; ``most`` where nothing was asked for."""
        asked, n = self.q.budget.rows, len(self.q.table)
        if asked is None:
            return 50.0 * MOST_ROWS if self.q.precision or self.q.budget.seconds else max(most, self.free / OF_TREES)
        return max(0.0, (asked - n - len(self.engine.empty) - self.engine.checked) / n)

    def timed(self, most: float) -> float:
        """Return the model rows one explained row may cost: as :meth:`budget`, of seconds what the model's pace allows, ``most`` at most.

        The pace is that of some random coalitions; a quarter of the seconds is kept back.
        """
        if self.q.budget.seconds is None:
            return self.budget(most)
        draw, n, began = np.random.default_rng(0), len(self.q.table), np.inf
        for _ in range(2):  # the first call may load and compile
            began = time.perf_counter()
            row, back = draw.integers(0, n, PILOT), draw.integers(0, len(self.engine.empty), PILOT)
            self.engine.evaluate(row, back, draw.random((PILOT, len(self.q.players))) < 0.5)
        now = time.perf_counter()
        return float(min(most, max(0.0, 0.75 * (self.deadline - now) / n / max((now - began) / PILOT, 1e-9))))

    def late(self) -> bool:
        """Return whether the seconds asked for are over."""
        return time.perf_counter() > self.deadline

    def shortfall(self, short: int, error: FloatArray, values: FloatArray) -> str:
        """Return the caveat about rows that ended before their precision."""
        n, q = len(self.q.table), self.q
        if q.precision is not None or q.budget.rows is not None or q.budget.seconds is not None:
            return f"{short} of {n} rows stopped at the budget before the asked precision"
        seen = float(np.sqrt(np.square(error).mean()) / max(np.abs(values).mean(), 1e-300))
        words = f"{short} of {n} rows have errors above {percent(self.precision)} of a value's mean size ({percent(seen)} over all rows)"
        return f"{words}: more columns than that precision is affordable for; precision={self.precision:g} asks for it all the same"

    def lateness(self) -> list[str]:
        """Return the caveat about seconds: every row needs its first passes, so they are a wish where rows are many."""
        late = time.perf_counter() - self.deadline
        return [f"the time budget was passed by {late:.1f} s, because every row needs its first passes"] if late >= 0.05 else []


def _left_out(keys: npt.NDArray[np.uint64], n: int) -> npt.NDArray[np.bool_]:
    """Return which background rows (K, B) are left out: none first, then each of ``n`` random halves, drawn by the rows' contents."""
    drawn = [np.argsort(np.argsort(mix(keys + np.uint64(k + 1)), kind="stable")) < len(keys) // 2 for k in range(n if len(keys) > 1 else 0)]
    return np.array([np.zeros(len(keys), bool), *drawn])


def jackknife(values: FloatArray, left_out: npt.NDArray[np.bool_], n_outputs: int) -> tuple[FloatArray, FloatArray]:
    """Return (values (..., O), their variances) from those of all background rows and of all but each half, (..., K O).

    The delete-d jackknife (Shao and Wu 1989, doi:10.1214/aos/1176347263): leaving out single rows, or few, says next to nothing of values
    that hang on the nearest row alone; without a half it is the second, the third or a later one in turn.
    """
    each = values.reshape(*values.shape[:-1], -1, n_outputs)
    halves, gone = len(left_out) - 1, int(left_out[-1].sum())
    if not halves:
        return each[..., 0, :], np.zeros_like(each[..., 0, :])
    off = np.square(each[..., 1:, :] - each[..., :1, :]).mean(-2)
    return each[..., 0, :], np.asarray(off * ((left_out.shape[1] - gone) / gone) * widening(np.array(float(halves))))


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.0f} hours"


def afford(question: Question, rows: RowGames, per_row: float, what: str) -> None:
    """Refuse a budget of rows below ``per_row`` per explained row."""
    if question.budget.rows is not None and per_row > rows.budget():
        n = len(question.table)
        raise too_small(f"for {what}", int(np.ceil(per_row)) * n + n + len(rows.engine.empty), question.budget.rows)


def answer(
    question: Question,
    solver: Solver,
    way: str = "auto",
    *,
    complete: bool = True,
    settings: Mapping[str, Any] | None = None,
    rows: RowGames | None = None,
) -> Explanation:
    """Return the values of the players by one solver, exact or sampled until precise.

    Parameters
    ----------
    way : ``"auto"`` (the cheaper of enumeration and passes), ``"exact"``, ``"passes"`` or ``"kernel"`` (Shapley values only).
    complete : whether the values add up to the prediction, so that the gap is stated.
    rows : the question's games, where they have been begun: rows and background rows are then not asked again.

    Under the conditional fill errors count what other background rows would change, by leaving halves of them out: more background rows
    make those smaller, enumeration does not. It asks about a third more model rows than without.
    """
    rows = RowGames(question) if rows is None else rows
    if way != "exact":
        rows.foretell(solver)
    n, p, o = len(question.table), len(question.players), rows.engine.n_outputs
    values, variance, short, sampled = np.zeros((n, p, o)), np.zeros((n, p, o)), np.zeros(n, bool), False
    for block, found in zip(rows.blocks(), rows.by_block(lambda block: _solve(rows, block, solver, way))):
        values[block], variance[block], short[block], any_sampled = found
        sampled |= any_sampled
    caveats = [rows.shortfall(int(short.sum()), np.sqrt(variance), values)] if short.any() else []
    told = {"way": "sampled" if sampled else "exact", "precision": (rows.precision or None) if sampled else None, **(settings or {})}
    stated = sampled or len(rows.left_out) > 1
    return question.answer(
        values, rows.base, rows.engine.full, error=np.sqrt(variance) if stated else None, complete=complete, settings=told,
        caveats=caveats + rows.about_errors + rows.lateness(),
    )  # fmt: skip


def _solve(rows: RowGames, block: Ints, solver: Solver, way: str) -> tuple[FloatArray, FloatArray, npt.NDArray[np.bool_], bool]:
    """Return (values (n, P, O), their variances, which rows ended before the precision, whether any was sampled) of a block of rows."""
    games, owner, weight = rows.games(block)
    total = np.bincount(owner, solve.exact_cost(games.sizes) * rows.cost, len(block)).astype(float)
    budget = rows.budget()
    # a coarser question is worth fewer model rows: errors fall with the root of their number
    worth = EXACT_ROWS * min(1.0, (PRECISION / (rows.precision or PRECISION)) ** 2)
    is_exact = total <= min(budget, worth) if rows.q.budget.rows is None else total <= budget
    if rows.free:
        is_exact = total <= rows.free
    if way == "exact":
        _check_exact(rows, games, total)
        rows.q.view.until = min(rows.q.view.until, rows.deadline)  # there is no half of an exact answer
        is_exact = np.ones(len(block), bool)
    if way in ("passes", "kernel"):
        is_exact = np.zeros(len(block), bool)
    some = way == "auto" and solver.guessed and not is_exact.all() and rows.share.max() * len(rows.share) <= UNEQUAL
    guess = rows.guess(block, games) if some else None
    known = UNKNOWN if guess is None else rows.known(solver)
    n, besides = len(rows.q.table), len(rows.q.table) + len(rows.engine.empty) + rows.engine.checked
    if guess is not None and rows.q.budget.rows is not None:
        # every row and background row is asked once more for its slopes, and for what half precision adds where the machine has it: set
        # aside on every machine, so that one budget plays the same games on all
        more = n + len(rows.back) + n + len(rows.engine.empty) + int(known.cost)
        budget, besides = max(0.0, budget - more / n), besides + more
        is_exact &= total <= budget  # what is set aside pays for no enumeration
    half, rounding = np.zeros(len(block), bool), np.zeros((len(block), games.start.shape[1]))
    if guess is not None:
        half, rounding = rows.rounding(block, games, guess)
        half &= ~is_exact
        games = replace(games, play=playing(rows.engine, block[owner], np.tile(rows.back, len(block)), half[owner]))
    sampler = Sampler(
        games,
        owner,
        weight,
        integer(rows.q.seed, "shapley"),
        len(block),
        rows.cost,
        solver,
        drawn=rows.engine.drawn,
        guess=guess,
        known=known,
    )
    sampler.enumerate(np.flatnonzero(is_exact[owner]))
    left = np.flatnonzero(~is_exact[owner])
    sampler.besides[:] = np.where(half[:, None], rounding, 0.0)[:, None]
    plan = Plan(budget, rows.precision, rows.deadline, rows.q.budget.rows, n, besides)
    if rows.q.budget.rows is None and len(left):  # two passes show an error: they are never refused where no budget was set
        first = np.bincount(owner[left], solver.pass_cost(games.sizes[left]) * rows.cost, len(block))
        most = float(solver.pass_cost(games.sizes[left].max())) * rows.cost
        plan.rows = rows.worth(budget, 2 * float(first.max()), 0.0 if guess is None else 2 * FIRST * most)
    if len(left) and way == "kernel":
        sampler.regress(left, plan)
    elif len(left):
        sampler.permute(left, plan, mixed=way == "auto")
    values, variance = sampler.values(), sampler.variance() + sampler.besides
    spread = np.zeros_like(variance)
    if rows.neighbours is not None:
        variance = variance[..., : rows.engine.n_outputs]
        values, spread = jackknife(values, rows.left_out, rows.engine.n_outputs)
    drawn = rows.engine.drawn  # then the error of the draws stays, however many orders are played
    wanted = rows.q.precision is not None if drawn else rows.precision > 0
    short = (drawn | ~is_exact) & ~sampler.done(values, variance, plan) & wanted
    return values, variance + spread, short, drawn or bool(len(left))


def _check_exact(rows: RowGames, games: Games, total: FloatArray) -> None:
    largest = int(games.sizes.max(initial=0))
    name = rows.q.method.removesuffix("_exact")
    if largest > LARGEST:
        raise RequestError(
            "exact values are out of reach",
            expected=f"at most {LARGEST} columns that differ",
            got=str(largest),
            do=f"use method={name!r}, or put columns into groups=",
        )
    if rows.q.budget.rows is not None and total.max() > rows.budget():
        raise RequestError(
            "exact values do not fit the budget",
            expected=f"at least {int(total.max() + 1) * len(rows.q.table) + len(rows.engine.empty)} model rows",
            got=str(rows.q.budget.rows),
            do=f"use method={name!r}, fewer background rows or a larger budget",
        )
