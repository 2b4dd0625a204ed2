"""Sampling many games until the rows they belong to are precise: sums of independent estimates, and the errors they show.

Where a guess of every game's values is at hand, a coarse answer plays part of the games (:mod:`pellucid.explain.partial`). What is asked
more precisely plays all games, then plays them again.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError
from pellucid.explain import games as solve
from pellucid.explain.games import Games
from pellucid.explain.partial import UNKNOWN, Guess, Known, Part
from pellucid.intervals import widening
from pellucid.probe.budget import too_small
from pellucid.protocols import FloatArray

__all__ = ["SHAPLEY", "Plan", "Sampler", "Solver", "mean_of_sums", "widening"]

FEW_GAMES = 48
"""Estimates that a row has at least before its error is judged: few games are played several times each, many games twice."""
FIRST_PAIRS = 3
"""Pairs of coalitions per player that the kernel regression begins with."""
FIRST_DOUBLINGS = 10
"""Times that number is doubled at most before the first fit, where a budget pays for it."""
LEAST_GAMES = 16
"""Games of a row from which on a part of them may do."""
QUARTERS = 4
"""Further passes are given to one game in so many at a time."""
TOLD = 16
"""Pairs of a column and a game played twice from which a row knows how far passes spread."""
HEAVY = 0.5
"""Share of the degrees of freedom that counts: what a column adds has heavy tails where columns act together (with an excess kurtosis of 4,
a variance is as uncertain as one from half the draws; Box 1954, doi:10.1214/aoms/1177728786)."""
TINY = 1e-300

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Solver:
    """How the values of one kind are found.

    Attributes
    ----------
    exact : (games, which) -> values (len(which), P, O) by enumeration. Right for any tree of columns where two players are active.
    one_pass : (games, which, number of the draw, seed) -> (unbiased estimates, half the difference of their two halves).
    pass_cost : active players d -> evaluations of one pass.
    guessed : the values of a quadratic game are half the sum of what each player adds first and last, so slopes at both ends guess them.
    """

    exact: Callable[[Games, Ints], FloatArray]
    one_pass: Callable[[Games, Ints, int, int], tuple[FloatArray, FloatArray]]
    pass_cost: Callable[[npt.ArrayLike], FloatArray]
    guessed: bool = False


SHAPLEY = Solver(solve.exact, solve.permutations, solve.permutation_cost, guessed=True)


def mean_of_sums(total: FloatArray, square: FloatArray, count: FloatArray | int) -> tuple[FloatArray, FloatArray]:
    """Return means and their standard errors from sums, sums of squares and counts of draws (from 1), widened as few draws need."""
    mean = total / count
    less = np.maximum(np.asarray(count, float) - 1, 1.0)
    return mean, np.asarray(np.sqrt(np.maximum(square / count - mean**2, 0) / less * widening(less)))


@dataclass
class Plan:
    """What one explained row may spend, and when it is done.

    ``asked``: the budget for all explained rows together, None where none was set; ``n_rows`` and ``besides`` (model rows that are not
    spent on a row alone) tell what it would have to be.
    """

    rows: float
    precision: float
    deadline: float = np.inf
    asked: int | None = None
    n_rows: int = 1
    besides: int = 0

    def refuse(self, what: str, needed: float) -> RequestError:
        """Return the error of a budget that pays fewer than ``needed`` model rows for each explained row."""
        return too_small(f"for {what}", int(np.ceil(needed)) * self.n_rows + self.besides, self.asked)

    def late(self) -> bool:
        return time.perf_counter() > self.deadline


class Sampler:
    """Sums of independent estimates per game, and what they say about the rows."""

    def __init__(
        self, games: Games, owner: Ints, weight: FloatArray, seed: int, n_rows: int, cost: float, solver: Solver = SHAPLEY, *,
        drawn: bool = False, guess: Guess | None = None, known: Known = UNKNOWN,
    ) -> None:  # fmt: skip
        self.drawn = drawn  # the games are draws of one law: how far they differ is the error of their mean
        self.games, self.owner, self.weight, self.seed, self.n_rows, self.cost = games, owner, weight, seed, n_rows, cost
        self.solver, self.share = solver, known.passes
        shape = (*games.active.shape, games.start.shape[1])
        self.sum, self.square, self.half, self.n = np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(len(owner))
        self.known = np.zeros(len(owner), bool)  # enumerated: no error
        self.spent = np.zeros(n_rows)
        self.kernel_variance: FloatArray | None = None
        self.part = None if guess is None else Part(games, guess, weight, seed, n_rows, known)
        self.besides = np.zeros((n_rows, 1, shape[2]))  # variances of the values that no pass makes smaller

    def enumerate(self, which: Ints) -> None:
        """Solve games exactly."""
        self.sum[which], self.square[which] = self.solver.exact(self.games, which), 0.0
        self.n[which], self.known[which] = 1, True
        self._spend(which, solve.exact_cost(self.games.sizes[which]))

    def _spend(self, which: Ints, cost: FloatArray) -> None:
        self.spent += np.bincount(self.owner[which], cost * self.cost, self.n_rows)

    def one_pass(self, which: Ints) -> None:
        """Add one estimate to each of some games, numbered by how many they have."""
        for step in np.unique(self.n[which]):
            mine = which[self.n[which] == step]
            estimate, half = self.solver.one_pass(self.games, mine, int(step), self.seed)
            self.sum[mine] += estimate
            self.square[mine] += estimate**2
            self.half[mine] += half**2
        self.n[which] += 1
        self._spend(which, self.solver.pass_cost(self.games.sizes[which]))

    def permute(self, which: Ints, plan: Plan, *, mixed: bool = True) -> None:
        """Sample games until the rows are precise or the plan ends; ``mixed`` enumerates where that costs no more."""
        sizes = self.games.sizes
        trivial = which[sizes[which] <= 2]  # one paired pass is exact for two players
        self.known[trivial] = True
        which = which[sizes[which] > 2]
        per_row = np.bincount(self.owner[which], minlength=self.n_rows)
        some = np.zeros(len(which), bool) if self.part is None else (per_row >= LEAST_GAMES)[self.owner[which]]
        aim = self._first_aim()
        part = which[:0] if self.part is None else np.flatnonzero(self.part.chosen(aim, self.known))
        self._affordable(np.concatenate([trivial, which[~some], part]), plan)
        self.enumerate(trivial)
        if self.part is not None and some.any():
            self._play_parts(self.part, aim, plan)
        first = np.clip(np.ceil(FEW_GAMES / np.maximum(per_row, 1)), 2, 16)[self.owner]  # two passes show their own spread
        rest = self._convert(which[~some], first, mixed, plan)
        for k in range(int(first[rest].max(initial=0))):
            turn = rest[first[rest] > k]
            self.one_pass(turn if k == 0 else self._as_many(turn, plan) if k == 1 else self._within(turn, plan))
        which = np.sort(np.concatenate([which[some], rest]))
        while not plan.late() and not self.drawn:  # the error of the draws does not fall with more orders of arrival
            quarters = [which] if self.part is None else [which[self.part.quarter(QUARTERS)[which] == k] for k in range(QUARTERS)]
            played = 0
            for quarter in quarters:  # most doubtful games first
                turn = self._still_open(quarter, plan, mixed)
                self.one_pass(turn)
                played += len(turn)
            if not played:
                break

    def _still_open(self, which: Ints, plan: Plan, mixed: bool) -> Ints:
        """Return those of some games whose rows are not yet precise and can pay for another pass; enumerates where that is cheap."""
        rows = np.unique(self.owner[which])
        if self.part is not None:
            rows = rows[~self.part.rows[rows]]
        open_rows = np.zeros(self.n_rows, bool)
        open_rows[rows] = True
        if plan.precision > 0:  # else the budget alone decides, and no error need be judged before the end
            values, variance = self._of_passes(rows)
            open_rows[rows] = ~self.done(values, variance + self.besides[rows], plan)
        which = which[open_rows[self.owner[which]] & ~self.known[which]]
        return self._within(self._convert(which, self.n + 1, mixed, plan), plan)

    def _first_aim(self) -> Ints:
        """Return how many games of each row (n,) are played before anything is judged; 0 where all are, because they are few."""
        enough = np.bincount(self.owner, ~self.known, self.n_rows) >= LEAST_GAMES
        return np.zeros(self.n_rows, np.int64) if self.part is None else self.part.first(self.known, enough)

    def _play_parts(self, part: Part, aim: Ints, plan: Plan) -> None:
        """Play ``aim`` (n,) games of each row, then more until the row is precise, the plan ends, or all have been played."""
        cost = np.where(self.known, 0.0, self.solver.pass_cost(self.games.sizes) * self.cost)
        if plan.precision <= 0:
            aim = np.where(aim > 0, part.size, 0)
        while aim.any():
            turn, again = part.play(aim, self.known, self.n, cost, plan.rows - self.spent)
            self.one_pass(turn)
            self.one_pass(again)
            if not len(turn) or plan.late() or plan.precision <= 0:  # the budget alone decides: as many games as it pays for at once
                return
            values, variance = self._of_part(part)
            aim = part.next(values, variance + self.besides, plan.precision)

    def _of_part(self, part: Part) -> tuple[FloatArray, FloatArray]:
        return part.estimate(self.known, self.n, self.sum, self.square, self.half)

    def _convert(self, which: Ints, passes: FloatArray, mixed: bool, plan: Plan) -> Ints:
        """Enumerate the games for which that costs no more than ``passes`` passes, where their rows can pay; return the others."""
        sizes = self.games.sizes[which]
        cheap = mixed & (solve.exact_cost(sizes) <= np.maximum(passes[which], 1) * self.solver.pass_cost(sizes))
        if plan.asked is not None:
            each = np.where(cheap, solve.exact_cost(sizes), self.solver.pass_cost(sizes))  # the others must be played as well
            cost = np.bincount(self.owner[which], each * self.cost, self.n_rows)
            cheap &= (self.spent + cost <= plan.rows)[self.owner[which]]
        if cheap.any():
            self.enumerate(which[cheap])
        return which[~cheap]

    def _within(self, which: Ints, plan: Plan) -> Ints:
        """Return the games of the rows that can pay for one more pass of all of them."""
        cost = np.bincount(self.owner[which], self.solver.pass_cost(self.games.sizes[which]) * self.cost, self.n_rows)
        return which[(self.spent + cost <= plan.rows)[self.owner[which]]]

    def _as_many(self, which: Ints, plan: Plan) -> Ints:
        """Return as many of some games as their rows can pay one more pass of, in an order that depends on their contents alone.

        A second pass of a part of the games shows how far the passes of all may be off.
        """
        which = which[np.lexsort((self.games.counters[which], self.owner[which]))]
        cost = self.solver.pass_cost(self.games.sizes[which]) * self.cost
        before = np.concatenate([[0.0], np.cumsum(cost)])
        starts = np.searchsorted(self.owner[which], np.arange(self.n_rows))  # owners are sorted
        paid = before[1:] - before[starts[self.owner[which]]]
        return np.sort(which[self.spent[self.owner[which]] + paid <= plan.rows])

    def _affordable(self, which: Ints, plan: Plan) -> None:
        cost = np.bincount(self.owner[which], self.solver.pass_cost(self.games.sizes[which]) * self.cost, self.n_rows) + self.spent
        if cost.max(initial=0.0) > plan.rows:
            raise plan.refuse("one pass", float(cost.max()) + 2)

    def regress(self, which: Ints, plan: Plan) -> None:
        """Fit the kernel regression, with twice the coalitions until the rows are precise or the plan ends."""
        self.kernel_variance = np.zeros_like(self.sum)
        begin = self._pairs_paid(which, plan)[self.owner[which]]
        for pairs in np.unique(begin).tolist():
            self._regress(which[begin == pairs], pairs, plan)

    def _regress(self, which: Ints, pairs: int, plan: Plan) -> None:
        """Fit the regression of games whose rows begin with so many pairs per player."""
        assert self.kernel_variance is not None
        sizes, first = self.games.sizes, True
        while len(which) and (first or not plan.late()):  # the first fit is made however late: without it there is no answer
            row_cost = self._cost_of_pairs(which, pairs)
            paid = (self.spent + row_cost <= plan.rows)[self.owner[which]]  # every fit asks its coalitions anew
            if first and plan.asked is not None and not paid.all():
                raise plan.refuse("a regression", float((self.spent + row_cost).max()) + 2)
            if not first and not paid.all():
                which = which[paid]
                continue
            first = False
            self.spent += row_cost
            self.sum[which], self.kernel_variance[which] = solve.kernel(self.games, which, pairs, self.seed)
            self.n[which] = 1
            which = which[~self.done(self.values(), self.variance(), plan)[self.owner[which]]]
            if (2.0 * pairs * sizes[which] >= solve.exact_cost(sizes[which])).all():
                break
            pairs *= 2

    def _cost_of_pairs(self, which: Ints, pairs: int) -> FloatArray:
        """Return what a regression on so many pairs per player costs each row (n,)."""
        d = self.games.sizes[which]
        return np.asarray(
            np.bincount(self.owner[which], np.minimum(2.0 * pairs * d, solve.exact_cost(d)) * self.cost, self.n_rows), np.float64
        )

    def _pairs_paid(self, which: Ints, plan: Plan) -> Ints:
        """Return with how many pairs per player each row (n,) begins: where a budget alone decides, about the most that it pays at once."""
        pairs = np.full(self.n_rows, FIRST_PAIRS, np.int64)
        if plan.asked is not None and plan.precision <= 0:
            for step in range(FIRST_DOUBLINGS):  # 3, 4, 6, 8, 12, 16, ...
                for more in (FIRST_PAIRS * 2**step, FIRST_PAIRS * 2 ** (step + 1) * 2 // 3):
                    pairs[self.spent + self._cost_of_pairs(which, more) <= plan.rows] = more
        return pairs

    def values(self) -> FloatArray:
        """Return the rows' values (n, P, O)."""
        if self.part is None or not self.part.rows.any():
            return self._by_row(self.sum, self.weight / np.maximum(self.n, 1))
        return self._both()[0]

    def _both(self) -> tuple[FloatArray, FloatArray]:
        """Return (values, variances) where part of the rows' games may still be unplayed."""
        assert self.part is not None
        values, variance = (a.copy() for a in self._of_part(self.part))
        whole = np.flatnonzero(~self.part.rows)
        values[whole], variance[whole] = self._of_passes(whole)
        return values, variance

    def variance(self) -> FloatArray:
        """Return the variances of the rows' values (n, P, O), widened so that 1.96 errors cover like a t interval.

        A column that differs in few games has few passes to learn its error from. A paired pass also shows how far its two halves disagree,
        so the spread between passes is written as a share of that disagreement, drawn towards the share of all columns of the row.
        """
        if self.drawn:
            count, alike = np.bincount(self.owner, minlength=self.n_rows)[:, None, None], np.ones(len(self.owner))
            mean = self.sum / np.maximum(self.n, 1)[:, None, None]
            square = self._by_row(mean**2, alike) - self._by_row(mean, alike) ** 2 / count
            spread = np.maximum(square, 0) / np.maximum(count - 1, 1) / count
            return np.asarray(spread * widening(np.maximum(count - 1.0, 1.0)))
        if self.part is not None and self.part.rows.any():
            return self._both()[1]
        if self.kernel_variance is not None:
            return self._by_row(self.kernel_variance, self.weight**2)
        return self._of_passes(np.arange(self.n_rows))[1]

    def _of_passes(self, rows: Ints) -> tuple[FloatArray, FloatArray]:
        """Return (values, variances), each (r, P, O), of some rows all of whose games have been played."""
        place = np.full(self.n_rows, -1)
        place[rows] = np.arange(len(rows))
        games = slice(None) if len(rows) == self.n_rows else np.flatnonzero(place[self.owner] >= 0)
        n, weight, half, total = np.maximum(self.n[games], 1), self.weight[games], self.half[games], self.sum[games]
        by_row = functools.partial(_by_owner, owner=place[self.owner[games]], n=len(rows))  # factors are one number per game
        part, twice = ~self.known[games] * weight**2 / n, n > 1
        spread = total**2
        spread *= (-1 / n)[:, None, None]
        spread += self.square[games]
        np.maximum(spread, 0, out=spread)
        squared, tells = np.square(spread), (half > 0).astype(float)

        def learned(lot: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
            """Return (variances, what the two orders let expect, the share of that in a row, degrees of freedom) of some games."""
            one, telling = lot * part / np.maximum(n - 1, 1), (lot * part > 0) * twice
            seen, expected = by_row(spread, one), by_row(half, lot * part / n * twice)
            number = np.bincount(place[self.owner[games]], telling, len(rows)).astype(float)[:, None, None]
            share = self.share.of_rows(seen, expected, number)
            passes = by_row(tells, telling * (n - 1.0))  # how many say how far passes spread
            # Satterthwaite's degrees of freedom; + 2 because the square of an estimated variance is too large on average
            freedom = seen**2 / np.maximum(by_row(squared, one**2 / (n + 1)), TINY) * HEAVY
            return self.share.mixed(seen, share * expected, passes), expected, share, freedom

        # what the other columns lend counts as well, but for orders bound to a tree, where columns are too unlike for that
        lent = self.share.passes / 2 if self.solver.guessed else 0.0
        mixed, expected, share, freedom = learned(np.ones(len(n)))
        variance = mixed * widening(np.maximum(freedom, 1.0) + lent)
        if ((part > 0) & ~twice).any():
            # one pass only: its halves' disagreement says what the column's has said in other games, and bounds what is known while there
            # are none
            told = by_row(tells, ((part > 0) & twice).astype(float)).sum(1, keepdims=True)
            if self.part is not None:
                stands = self.part.stands_for(~self.known)[games] * (n == 2)
                mixed, expected, share, freedom = learned(np.maximum(stands - 1, 0))
            own = np.where(expected > 0, mixed / np.maximum(expected, TINY), share) * widening(np.maximum(freedom, 1.0) + lent)
            sure = (told >= TOLD) | (self.share.games > 0)
            variance = variance + by_row(half, part * ~twice) * np.where(sure, own, 1.0)
        return by_row(total, weight / n), np.asarray(variance)

    def _by_row(self, values: FloatArray, factor: FloatArray) -> FloatArray:
        """Return sums over each row's games, each times its factor."""
        return _by_owner(values, factor, self.owner, self.n_rows)

    def done(self, values: FloatArray, variance: FloatArray, plan: Plan) -> npt.NDArray[np.bool_]:
        """Return which rows are precise: root mean square error at most ``precision`` times the mean absolute value, for every output."""
        error = np.sqrt(variance.mean(1))
        return np.asarray((error <= plan.precision * np.abs(values).mean(1)).all(1))


def _by_owner(values: FloatArray, factor: FloatArray, owner: Ints, n: int) -> FloatArray:
    """Return sums (n, P, O) of values (G, P, O), each times its factor (G,).

    Games of an owner stand side by side, and every owner has some.
    """
    each, shape = len(owner) // max(n, 1), values.shape[1:]
    if not n:
        return np.zeros((0, *shape))
    if each * n == len(owner) and (owner[::each] == np.arange(n)).all() and (owner[each - 1 :: each] == np.arange(n)).all():
        # as many games for each: one product, several times as fast as sums of products
        return np.asarray((factor.reshape(n, 1, each) @ values.reshape(n, each, -1)).reshape(n, *shape))
    return np.asarray(np.add.reduceat(values * factor[:, None, None], np.searchsorted(owner, np.arange(n)), axis=0))
