"""Sampling many games until the rows they belong to are precise: sums of independent estimates, and the errors they show."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError
from pellucid.explain import games as solve
from pellucid.explain.games import Games
from pellucid.protocols import FloatArray

__all__ = ["SHAPLEY", "Plan", "Sampler", "Solver", "widening"]

FEW_GAMES = 48
"""Estimates that a row has at least before its error is judged: few games are played several times each, many games twice."""
FIRST_PAIRS = 3
"""Pairs of coalitions per player that the kernel regression begins with."""
PRIOR = 4.0
"""Passes that the share of a column's disagreement is drawn towards the share of all columns by."""
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
    """

    exact: Callable[[Games, Ints], FloatArray]
    one_pass: Callable[[Games, Ints, int, int], tuple[FloatArray, FloatArray]]
    pass_cost: Callable[[npt.ArrayLike], FloatArray]


SHAPLEY = Solver(solve.exact, solve.permutations, solve.permutation_cost)


@dataclass
class Plan:
    """What one explained row may spend, and when it is done."""

    rows: float
    precision: float
    deadline: float = np.inf

    def late(self) -> bool:
        return time.perf_counter() > self.deadline


class Sampler:
    """Sums of independent estimates per game, and what they say about the rows."""

    def __init__(
        self, games: Games, owner: Ints, weight: FloatArray, seed: int, n_rows: int, cost: float, solver: Solver = SHAPLEY, *,
        drawn: bool = False,
    ) -> None:  # fmt: skip
        self.drawn = drawn  # the games are draws of one law: how far they differ is the error of their mean
        self.games, self.owner, self.weight, self.seed, self.n_rows, self.cost = games, owner, weight, seed, n_rows, cost
        self.solver = solver
        shape = (*games.active.shape, games.start.shape[1])
        self.sum, self.square, self.half, self.n = np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(len(owner))
        self.known = np.zeros(len(owner), bool)  # enumerated: no error
        self.spent = np.zeros(n_rows)
        self.kernel_variance: FloatArray | None = None

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
        self.enumerate(trivial)
        which = which[sizes[which] > 2]
        per_row = np.bincount(self.owner[which], minlength=self.n_rows)
        first = np.clip(np.ceil(FEW_GAMES / np.maximum(per_row, 1)), 2, 16)[self.owner]  # two passes show their own spread
        which = self._convert(which, first, mixed)
        self._affordable(which, plan)
        for k in range(int(first[which].max(initial=0))):
            turn = which[first[which] > k]
            self.one_pass(turn if k == 0 else self._within(turn, plan))
        while not plan.late() and not self.drawn:  # the error of the draws does not fall with more orders of arrival
            values, variance = self.values(), self.variance()
            open_rows = ~self.done(values, variance, plan)
            which = which[open_rows[self.owner[which]] & ~self.known[which]]
            which = self._convert(which, self.n + 1, mixed)
            turn = self._within(which, plan)
            if not len(turn):
                break
            self.one_pass(turn)

    def _convert(self, which: Ints, passes: FloatArray, mixed: bool) -> Ints:
        """Enumerate the games for which that costs no more than ``passes`` passes; return the others."""
        sizes = self.games.sizes[which]
        cheap = mixed & (solve.exact_cost(sizes) <= np.maximum(passes[which], 1) * self.solver.pass_cost(sizes))
        if cheap.any():
            self.enumerate(which[cheap])
        return which[~cheap]

    def _within(self, which: Ints, plan: Plan) -> Ints:
        """Return the games of the rows that can pay for one more pass of all of them."""
        cost = np.bincount(self.owner[which], self.solver.pass_cost(self.games.sizes[which]) * self.cost, self.n_rows)
        return which[(self.spent + cost <= plan.rows)[self.owner[which]]]

    def _affordable(self, which: Ints, plan: Plan) -> None:
        cost = np.bincount(self.owner[which], self.solver.pass_cost(self.games.sizes[which]) * self.cost, self.n_rows) + self.spent
        if cost.max(initial=0.0) > plan.rows:
            raise RequestError(
                "the budget is too small for one pass",
                expected=f"at least {int(np.ceil(cost.max())) + 2} model rows per explained row",
                got=f"{int(plan.rows)}",
                do="raise budget=, or pass fewer rows as background=",
            )

    def regress(self, which: Ints, plan: Plan, *, mixed: bool = False) -> None:
        """Fit the kernel regression, with twice the coalitions until the rows are precise or the plan ends."""
        self.kernel_variance = np.zeros_like(self.sum)
        pairs, sizes = FIRST_PAIRS, self.games.sizes
        while len(which) and (pairs == FIRST_PAIRS or not plan.late()):  # the first fit is made however late: without it there is no answer
            cost = np.minimum(2.0 * pairs * sizes[which], solve.exact_cost(sizes[which]))
            row_cost = np.bincount(self.owner[which], cost * self.cost, self.n_rows)
            if (row_cost > plan.rows).any():
                if pairs == FIRST_PAIRS:
                    raise RequestError(
                        "the budget is too small for a regression",
                        expected=f"at least {int(np.ceil(row_cost.max())) + 2} model rows per explained row",
                        got=f"{int(plan.rows)}",
                        do="raise budget=, or pass fewer rows as background=",
                    )
                which = which[(row_cost <= plan.rows)[self.owner[which]]]
                continue
            self.sum[which], self.kernel_variance[which] = solve.kernel(self.games, which, pairs, self.seed)
            self.n[which] = 1
            which = which[~self.done(self.values(), self.variance(), plan)[self.owner[which]]]
            if (2.0 * pairs * sizes[which] >= solve.exact_cost(sizes[which])).all():
                break
            pairs *= 2

    def values(self) -> FloatArray:
        """Return the rows' values (n, P, O)."""
        mean = self.sum / np.maximum(self.n, 1)[:, None, None]
        return self._by_row(mean * self.weight[:, None, None])

    def variance(self) -> FloatArray:
        """Return the variances of the rows' values (n, P, O), widened so that 1.96 errors cover like a t interval.

        A column that differs in few games has few passes to learn its error from. A paired pass also shows how far its two halves disagree,
        so the spread between passes is written as a share of that disagreement, drawn towards the share of all columns of the row.
        """
        if self.drawn:
            count = np.bincount(self.owner, minlength=self.n_rows)[:, None, None]
            mean = self.sum / np.maximum(self.n, 1)[:, None, None]
            square = self._by_row(mean**2) - self._by_row(mean) ** 2 / count
            spread = np.maximum(square, 0) / np.maximum(count - 1, 1) / count
            return np.asarray(spread * widening(np.maximum(count - 1.0, 1.0)))
        if self.kernel_variance is not None:
            return self._by_row(self.kernel_variance * self.weight[:, None, None] ** 2)
        n = np.maximum(self.n, 1)[:, None, None]
        part = (~self.known * self.weight**2)[:, None, None] / n
        spread = np.maximum(self.square - self.sum**2 / n, 0) / np.maximum(n - 1, 1) * part
        doubt = self.half / n * part * (n > 1)
        seen, expected = self._by_row(spread), self._by_row(doubt)
        overall = seen.sum(1, keepdims=True) / np.maximum(expected.sum(1, keepdims=True), TINY)
        passes = np.maximum(self._by_row((doubt > 0) * (n - 1)), 1)  # how many say how far passes spread
        prior = PRIOR / (passes + PRIOR)
        mixed = (1 - prior) * seen + prior * overall * expected
        # Satterthwaite's degrees of freedom; + 2 because the square of an estimated variance is too large on average
        freedom = seen**2 / np.maximum(self._by_row(spread**2 / (n + 1)), TINY) * HEAVY
        single = self._by_row(np.where(n > 1, 0.0, self.half * part))  # one pass only: its halves' disagreement bounds what is known
        return np.asarray(mixed * widening(np.maximum(freedom, 1.0)) + single)

    def _by_row(self, values: FloatArray) -> FloatArray:
        """Return sums over each row's games; games of a row stand side by side."""
        starts = np.searchsorted(self.owner, np.arange(self.n_rows))
        return np.asarray(np.add.reduceat(values, starts, axis=0))

    def done(self, values: FloatArray, variance: FloatArray, plan: Plan) -> npt.NDArray[np.bool_]:
        """Return which rows are precise: root mean square error at most ``precision`` times the mean absolute value, for every output."""
        error = np.sqrt(variance.mean(1))
        return np.asarray((error <= plan.precision * np.abs(values).mean(1)).all(1))


def widening(freedom: FloatArray) -> FloatArray:
    """Return the factor by which variances from few degrees of freedom are widened: (t quantile / normal quantile)^2."""
    from scipy.special import stdtrit

    return np.asarray(np.square(stdtrit(freedom, 0.975) / 1.959964))
