"""Where an additive model begins: its curves, levels and pairs by penalised least squares, with the strength of every penalty learned.

Every term is a vector of heights, at the knots of a number or the levels of a category, with a normal prior; each step solves the
working least-squares problem of the loss (Wood 2017, Generalized Additive Models, doi:10.1201/9781315370279), and the variances of the
priors grow or shrink until what the rows say of a term agrees with what its prior expects (Harville 1977, doi:10.2307/2286796; Breslow,
Clayton 1993, doi:10.2307/2290687; the same fixed point as Wood, Fasiolo 2017, doi:10.1111/biom.12666). So a term that is not there
shrinks to nothing without a search on held-out rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Heights", "Places", "fitted_sum", "level_places", "number_places"]

F64 = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]

ROUNDS, CYCLES, UPDATES = 8, 4, 20
FIRST = 0.1
"""Prior variance of a column's term at the start, on the scale of log-odds or of the standardised target."""
TOGETHER = {True: 2.0, False: 0.3}
"""Prior variance of all pairs together, for classes and for numbers."""
TRUST, ROWS = 2.0, 1000
"""How many degrees of freedom that guess of a pair's variance counts for, up to this number of rows; with its fourth power it fades.

Few rows say too little of many weak pairs: learned alone, each variance falls to 0 (measured on german_credit)."""

DENSE_KNOTS, ROWS_AT_ONCE = 10, 2048
"""Knots for each column below which products of dense rows, so many at once, are faster than counting (measured)."""
PARTS, SLACK = (1.0, 0.5, 0.25, 0.1), 0.02
"""Parts of a step that are tried, and by what share the loss may rise: the penalties move too, so it need not fall every time."""


class Places(NamedTuple):
    """Where rows stand on a term's knots.

    Attributes
    ----------
    low, high : (N,) the knots on either side, ``low + 1`` where ``high`` has any weight. share : (N,) that weight; ``low`` has 1 - share.
    kernels : (M, M) prior covariances of the heights, each of mean variance 1 over the rows.
    """

    low: Ints
    high: Ints
    share: F64
    kernels: tuple[F64, ...]

    @property
    def size(self) -> int:
        """M."""
        return len(self.kernels[0])

    def sides(self) -> list[tuple[Ints, F64]]:
        """Return the knots on either side with their weights; of levels, which stand on one, that one."""
        both = [(self.low, 1 - self.share), (self.high, self.share)]
        return both if self.share.any() else both[:1]


@dataclass
class Heights:
    """A fitted sum.

    Attributes
    ----------
    columns, pairs : heights of the columns' terms, (M, O) each, and of the pairs', (M, M', O) each. bias : (O,).
    noise : (O,) the variance that is left of numbers; ones for classes.
    moves, pair_moves : (M + 1, O, R) draws of how far all columns' heights, and the bias, may lie from these; the same of each pair's,
        (M * M', O, R). None and empty where none were asked for.
    """

    columns: list[F64]
    pairs: list[F64]
    bias: F64
    noise: F64
    moves: F64 | None = None
    pair_moves: list[F64] = field(default_factory=list)


def number_places(numbers: F64, missing: npt.NDArray[np.bool_], edges: F64, smooth_only: bool = False) -> Places:
    """Return the places of numbers (N,) on knots (T + 1,), and a last one for missing cells.

    The kernels are a line, a walk with equal steps (Brownian in the number's rank) and free heights; or the walk alone.
    """
    t = len(edges) - 1
    at = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, t - 1)
    share = np.where(missing, 0.0, np.clip((numbers - edges[at]) / (edges[at + 1] - edges[at]), 0.0, 1.0))
    low, high = np.where(missing, t + 1, at), np.where(missing, t + 1, at + 1)
    mass = (np.bincount(low, 1 - share, t + 2) + np.bincount(high, share, t + 2))[:-1] + 1e-9
    walk = np.tril(np.ones((t + 1, t + 1)), -1)
    kinds = [walk @ walk.T] if smooth_only else [np.outer(edges, edges), walk @ walk.T, np.eye(t + 1)]
    if smooth_only and t == 1:
        kinds = [np.eye(2)]
    kernels = [np.pad(_unit(k, mass), (0, 1)) for k in kinds]
    kernels[-1][-1, -1] = 1.0
    return Places(low, high, share, tuple(kernels))


def level_places(codes: Ints, size: int) -> Places:
    """Return the places of codes (N,) below ``size``; the prior says that levels are alike, how much so is learned."""
    return Places(codes, codes, np.zeros(len(codes)), (np.eye(size),))


def _unit(kernel: F64, mass: F64) -> F64:
    """Return the kernel of the same heights less their mean over the rows, of mean variance 1."""
    share = mass / mass.sum()
    mean = kernel @ share
    centred = kernel - mean[:, None] - mean + share @ mean
    return np.asarray(centred / max(float(np.diag(centred) @ share), 1e-9))


def fitted_sum(
    columns: Sequence[Places], coarse: Sequence[Places], pairs: Sequence[tuple[int, int]], answers: F64, weights: F64 | None, classes: bool,
    go_on: Callable[[], bool] = lambda: True, draws: tuple[int, np.random.Generator] | None = None,
) -> Heights:  # fmt: skip
    """Return the fitted heights.

    Parameters
    ----------
    columns, coarse : places on the knots of the columns' own terms, and on those of their pairs. pairs : indexes into ``coarse``.
    answers : (N, O): 0 and 1 for classes (one column for two classes), or standardised values. weights : (N,) or None.
    go_on : asked before every solve but the very first, and before the draws of each output; where it says no, the sum stays as it is
        then, an output without a solve at its base rate or mean, and there are no draws.
    draws : how many draws of the heights to make, and of what; asked for or not, the heights are the same.

    Cost: a solve of all columns' heights together (``ROUNDS + CYCLES`` times) and of each pair's (``CYCLES`` times), for each of O; draws
    cost one such solve and ``CYCLES`` of each pair's. What rows tell of the columns, X'WX, is counted once for numbers, and for classes
    before each solve. Memory: 60 bytes a row and column, and three matrices of all heights squared.

    # NOTE[DIFF] The variances of the priors are taken as found.
    """
    fit = _Fit(columns, answers, np.ones(len(answers)) if weights is None else weights / weights.mean(), classes)
    for k in range(answers.shape[1]):
        for turn in range(ROUNDS if answers.shape[1] == 1 else 2):
            if k == turn == 0 or go_on():
                fit.columns_of(k)
    for _ in range(ROUNDS - 2 if answers.shape[1] > 1 else 0):
        for k in range(answers.shape[1]):
            if go_on():
                fit.columns_of(k)
    fit.add(coarse, pairs)
    for _ in range(CYCLES if pairs else 0):
        for k in range(answers.shape[1]):
            fit.pairs_of(k, go_on)
            if go_on():
                fit.columns_of(k)
    shapes = [(coarse[i].size, coarse[j].size, -1) for i, j in pairs]
    heights = [np.stack([fit.pairs[k][p].heights for k in range(answers.shape[1])], -1).reshape(s) for p, s in enumerate(shapes)]
    found = Heights(np.split(fit.heights, fit.starts[1:-1]), heights, fit.bias, fit.noise)
    each = [fit.moves_of(k, *draws) for k in range(answers.shape[1]) if go_on()] if draws is not None else []
    if draws is not None and len(each) == answers.shape[1]:
        found.moves, found.pair_moves = np.stack([m for m, _ in each], 1), [np.stack(m, 1) for m in zip(*(p for _, p in each))]
    return found


@dataclass
class _Pair:
    """What is known of one pair and one output: prior variance, heights and the term of every row."""

    tau: float
    heights: F64
    term: F64
    freedom: float = 0.0


@dataclass
class _Fit:
    """The state of a fit: bias (O,), heights (M, O) of all columns, their terms' sum (N, O), and the pairs of each output.

    ``x`` (N, M), sparse, is the design of all columns; ``blocks`` says where each column stands in it.
    """

    places: Sequence[Places]
    answers: F64
    weights: F64
    classes: bool
    pairs: list[list[_Pair]] = field(default_factory=list)
    chosen: Sequence[tuple[int, int]] = ()

    def __post_init__(self) -> None:
        n, o = self.answers.shape
        self.starts = np.cumsum([0, *(p.size for p in self.places)])
        self.heights, self.tau = np.zeros((self.starts[-1], o)), [[np.full(len(p.kernels), FIRST) for p in self.places] for _ in range(o)]
        at = np.stack([(s + side).astype(np.int32) for p, s in zip(self.places, self.starts) for side in (p.low, p.high)], 1)
        self.x = _design(at, np.stack([v for p in self.places for v in (1 - p.share, p.share)], 1), int(self.starts[-1]))
        self.blocks = [slice(a, b) for a, b in pairwise(self.starts)]
        self.constant: tuple[F64, F64] | None = None
        self.own, self.both = np.zeros((n, o)), np.zeros((n, o))
        mean = np.clip(np.average(self.answers, 0, self.weights), 1e-4, None if not self.classes else 1 - 1e-4)
        self.bias = np.average(self.answers, 0, self.weights)
        if self.classes:
            self.bias = np.log(mean / (1 - mean)) if o == 1 else np.log(mean)
        self.noise, self.freedom = np.ones(o), np.zeros(o)

    def working(self, k: int) -> tuple[F64, F64]:
        """Return the weights (N,) of the least-squares problem of output ``k``, and its answers (N,)."""
        raw = self.bias + self.own + self.both
        if not self.classes:
            return self.weights / self.noise[k], self.answers[:, k]
        if raw.shape[1] == 1:
            p = _logistic(raw[:, 0])
        else:
            p = np.exp(raw - raw.max(1, keepdims=True))
            p = p[:, k] / p.sum(1)
        curvature = np.maximum(p * (1 - p), 1e-3)
        return self.weights * curvature, raw[:, k] + (self.answers[:, k] - p) / curvature

    def part_of(self, k: int, change: F64) -> float:
        """Return how much of a change (N,) of one output's sum to take: all of it, or less where all of it would fit worse.

        Least squares stand for the logistic loss near the present sum alone. Where a class is rare, or nearly separate, a whole step can
        lead far beyond, and the next one further.
        """
        if not self.classes:
            return 1.0
        raw = self.bias + self.own + self.both
        before = self._loss(raw)
        for part in PARTS:
            moved = raw.copy()
            moved[:, k] += part * change
            if self._loss(moved) <= (1 + SLACK) * before:
                return part
        return 0.0

    def _loss(self, raw: F64) -> float:
        """Return the mean logistic loss of sums (N, O)."""
        if raw.shape[1] == 1:
            losses = np.logaddexp(0.0, raw[:, 0]) - self.answers[:, 0] * raw[:, 0]
        else:
            top = raw.max(1)
            losses = top + np.log(np.exp(raw - top[:, None]).sum(1)) - (self.answers * raw).sum(1)
        return float(self.weights @ losses) / len(losses)

    def columns_of(self, k: int) -> None:
        """Solve for bias and columns of one output, then move the variances of their priors."""
        weight, wanted = self.working(k)
        wanted = wanted - self.both[:, k]
        total = float(weight.sum())
        mean = float(weight @ wanted) / total  # the bias has no prior: it is solved for first
        kernels = self.priors(k)
        if len(weight) < self.starts[-1]:
            mass = self.x.T @ weight
            away = self.x.toarray() - mass / total
            pull, told = _solved_by_rows(away * np.sqrt(weight)[:, None], (wanted - mean) * np.sqrt(weight), kernels, self.blocks)
            heights = np.concatenate([kernel @ pull[block] for kernel, block in zip(kernels, self.blocks)])
            of = [(pull[block], own, place.kernels) for block, own, place in zip(self.blocks, told, self.places)]
        else:
            gram, mass = self.told_by_rows(k, weight)
            solver = _Solver(gram, kernels, self.blocks)
            pull, heights = solver.solve(self.x.T @ (weight * (wanted - mean)))
            of = [(*part, solver.seen(i, place.kernels)) for i, (part, place) in enumerate(zip(solver.told(pull), self.places))]
        self._move(k, heights, mean - float(mass @ heights) / total)
        self.freedom[k] = 0.0
        for (pulled, own, seen), tau in zip(of, self.tau[k]):
            for i, kernel in enumerate(seen):
                found, expected = float(pulled @ kernel @ pulled), max(float((own * kernel).sum()), 1e-12)
                self.freedom[k] += tau[i] * expected
                tau[i] = np.clip(tau[i] * np.clip(found / expected, 0.05, 20), 1e-6, 1e3)
        self._measure_noise(k)

    def priors(self, k: int) -> list[F64]:
        """Return the prior covariance (M', M') of each column's heights, of one output."""
        return [np.tensordot(tau, np.stack(place.kernels), 1) for tau, place in zip(self.tau[k], self.places)]

    def told_by_rows(self, k: int, weight: F64) -> tuple[F64, F64]:
        """Return X'WX (M, M), less what the bias takes of it, and X'W1 (M,), of weights (N,) of output ``k``.

        Of numbers the weights are the rows' own, over the noise: their matrix is made once.
        """
        if self.classes:
            return _centred_gram(self.places, self.starts, weight)
        if self.constant is None:
            self.constant = _centred_gram(self.places, self.starts, self.weights)
        return self.constant[0] / self.noise[k], self.constant[1] / self.noise[k]

    def moves_of(self, k: int, n: int, draw: np.random.Generator) -> tuple[F64, list[F64]]:
        """Return n draws of how far heights and bias (M + 1, n), and those of each pair, lie from the solution, given the variances.

        Heights are drawn from the prior and answers around them, and the terms solved for as they were for the true answers; what that
        misses of the drawn heights is a draw of the posterior (Matheron's rule; Wilson and others 2021, arXiv:2011.04026), so that no
        covariance is made or factored.
        """
        kernels = self.priors(k)
        weight, x = self._information(k), self.x
        gram, mass = self.told_by_rows(k, weight)
        total, solver = float(weight.sum()), _Solver(gram, kernels, self.blocks)
        before = np.concatenate([_normal(kernel, n, draw) for kernel in kernels])
        pairs = [_PairDraws(self, pair, *at, weight, n, draw) for pair, at in zip(self.pairs[k] if self.chosen else (), self.chosen)]
        noise = np.sqrt(weight)[:, None] * draw.standard_normal((len(weight), n))
        drawn = x @ before + sum((p.x @ p.before for p in pairs), 0.0)
        own, both = np.zeros_like(drawn), np.zeros_like(drawn)
        for turn in range(1 + CYCLES if pairs else 1):
            for pair in pairs if turn else ():
                both += pair.change(weight[:, None] * (drawn - own - both) + noise)
            left = weight[:, None] * (drawn - both) + noise
            whole = left.sum(0)
            heights = solver.solve(x.T @ left - np.outer(mass, whole) / total)[1]
            bias = (whole - mass @ heights) / total
            own = x @ heights + bias
        return np.concatenate([before - heights, -bias[None]]), [p.before - p.heights for p in pairs]

    def _information(self, k: int) -> F64:
        """Return what each row (N,) tells of its sum: the weight of the last solve.

        Of several classes p and not p (1 - p): the inverse of diag(p) is a generalised one of diag(p) - pp', which the softmax has, so that
        differences between outputs drawn apart vary as those of outputs drawn together.
        """
        if not self.classes or self.answers.shape[1] == 1:
            return self.working(k)[0]
        raw = self.bias + self.own + self.both
        p = np.exp(raw - raw.max(1, keepdims=True))
        return np.asarray(self.weights * np.maximum(p[:, k] / p.sum(1), 1e-3))

    def _move(self, k: int, heights: F64, bias: float) -> None:
        """Go to new heights (M,) and bias of one output, or part of the way."""
        own = self.x @ heights
        part = self.part_of(k, own + bias - self.own[:, k] - self.bias[k])
        self.heights[:, k] += part * (heights - self.heights[:, k])
        self.own[:, k] += part * (own - self.own[:, k])
        self.bias[k] += part * (bias - self.bias[k])

    def _measure_noise(self, k: int) -> None:
        if not self.classes:
            left = self.answers[:, k] - self.bias[k] - self.own[:, k] - self.both[:, k]
            free = len(left) - self.freedom[k] - sum(p.freedom for p in (self.pairs[k] if self.pairs else ()))
            self.noise[k] = max(float(self.weights @ left**2) / max(free, 0.1 * len(left)), 1e-6)

    def add(self, coarse: Sequence[Places], pairs: Sequence[tuple[int, int]]) -> None:
        """Give every output its pairs, all 0."""
        self.coarse, self.chosen, n = coarse, pairs, len(self.answers)
        self.guess = TOGETHER[self.classes] / max(len(pairs), 1)
        self.roots = [u * np.sqrt(np.maximum(v, 0.0)) for v, u in (np.linalg.eigh(p.kernels[0]) for p in coarse)]
        sizes = [coarse[i].size * coarse[j].size for i, j in pairs]
        self.pairs = [[_Pair(self.guess, np.zeros(s), np.zeros(n)) for s in sizes] for _ in range(self.answers.shape[1])]

    def table_of(self, i: int, j: int) -> tuple[Ints, F64, F64]:
        """Return where rows stand on a pair's table, with what weights (N, E) each, and the prior's factor (M * M', R)."""
        a, b = self.coarse[i], self.coarse[j]
        sides = [(x * b.size + y, v * w) for x, v in a.sides() for y, w in b.sides()]
        at, value = (np.stack(columns, 1) for columns in zip(*sides))
        mass = np.bincount(at.ravel(), value.ravel(), a.size * b.size)
        return at, value, _factor(self.roots[i], self.roots[j], mass)

    def pairs_of(self, k: int, go_on: Callable[[], bool] = lambda: True) -> None:
        """Solve for each pair of one output in turn, with the variance of its prior that fits best given all other terms."""
        trust = TRUST * min(1.0, (ROWS / len(self.answers)) ** 4)
        for pair, (i, j) in zip(self.pairs[k], self.chosen):
            if not go_on():
                return
            at, value, factor = self.table_of(i, j)
            weight, wanted = self.working(k)
            others = self.bias[k] + self.own[:, k] + self.both[:, k] - pair.term
            gram, right = _small_gram(at, value, weight, wanted - others, len(factor))
            told, turn = np.linalg.eigh(factor.T @ gram @ factor)
            told, pull = np.maximum(told, 0.0), turn.T @ (factor.T @ right)
            for _ in range(UPDATES):
                found, pair.freedom = float(((pull / (1 / pair.tau + told)) ** 2).sum()), float((told / (1 / pair.tau + told)).sum())
                pair.tau = float(np.clip((found + trust * self.guess) / (pair.freedom + trust + 1e-12), 1e-8, 1e3))
            heights = factor @ (turn @ (pull / (1 / pair.tau + told)))
            change = (heights[at] * value).sum(1) - pair.term
            part = self.part_of(k, change)
            pair.heights = pair.heights + part * (heights - pair.heights)
            pair.term = pair.term + part * change
            self.both[:, k] += part * change


class _PairDraws:
    """A pair's heights drawn from their prior, ``before`` (M * M', n), and what the rows make of them, ``heights``."""

    def __init__(self, fit: _Fit, pair: _Pair, i: int, j: int, weight: F64, n: int, draw: np.random.Generator) -> None:
        at, value, factor = fit.table_of(i, j)
        self.x = _design(at, value, len(factor))
        self.gram = _small_gram(at, value, weight, np.zeros_like(weight), len(factor))[0]
        told, turn = np.linalg.eigh(factor.T @ self.gram @ factor)
        self.root, self.shrink = factor @ turn, 1 / (1 / pair.tau + np.maximum(told, 0.0))[:, None]
        self.before = np.sqrt(pair.tau) * (factor @ draw.standard_normal((factor.shape[1], n)))
        self.heights = np.zeros_like(self.before)

    def change(self, left: F64) -> F64:
        """Solve for what is left of the weighted answers (N, n) by all terms; returns how the pair's term (N, n) changes."""
        heights = self.root @ (self.shrink * (self.root.T @ (self.x.T @ left + self.gram @ self.heights)))
        moved, self.heights = heights - self.heights, heights
        return np.asarray(self.x @ moved)


def _normal(kernel: F64, n: int, draw: np.random.Generator) -> F64:
    """Return n draws (M, n) of a normal law with this covariance."""
    values, vectors = np.linalg.eigh(kernel)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ draw.standard_normal((len(values), n)))


def _logistic(x: F64) -> F64:
    """Return 1 / (1 + exp(-x)), without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def _factor(a: F64, b: F64, mass: F64) -> F64:
    """Return F (M * M', R) with F F' the product of two kernels, of mean variance 1, from their roots; tiny directions are left out."""
    size = np.outer((a**2).sum(0), (b**2).sum(0)).ravel()
    keep = np.flatnonzero(size > 2e-3 * size.max())
    out = (a[:, None, keep // b.shape[1]] * b[None, :, keep % b.shape[1]]).reshape(len(mass), len(keep))
    return np.asarray(out * np.sqrt(mass.sum() / max(float((out**2).sum(1) @ mass), 1e-9)))


class _Solver:
    """The equations of all columns' heights: with A = X'WX and K = LL' their prior, which is 0 between columns, B = I + L'AL = CC'.

    Cost: 2/3 M**3 multiply-adds for M heights, half of it for :meth:`told`; two matrices of M x M.
    """

    def __init__(self, gram: F64, kernels: Sequence[F64], blocks: Sequence[slice]) -> None:
        from scipy.linalg import cholesky

        self.roots, self.backs = zip(*map(_root, kernels))
        self.rows, ends = blocks, np.cumsum([0, *(r.shape[1] for r in self.roots)])
        self.blocks = [slice(a, b) for a, b in pairwise(ends)]
        half = np.empty((len(gram), ends[-1]))
        for root, row, block in zip(self.roots, blocks, self.blocks):
            half[:, block] = gram[:, row] @ root
        both = np.empty((ends[-1], ends[-1]), order="F")
        for root, row, block in zip(self.roots, blocks, self.blocks):
            both[block] = root.T @ half[row]
        both[np.diag_indices(len(both))] += 1.0
        self.lower = cholesky(both, lower=True, overwrite_a=True, check_finite=False)

    def solve(self, right: F64) -> tuple[F64, F64]:
        """Return B^-1 L'b (R,) or (R, n) of ``right`` b, and the heights (M,) or (M, n), L times that: K (I + AK)^-1 b."""
        from scipy.linalg import cho_solve

        pulled = np.concatenate([root.T @ right[row] for root, row in zip(self.roots, self.rows)])
        pulled = cho_solve((self.lower, True), pulled, check_finite=False)
        return pulled, np.concatenate([root @ pulled[block] for root, block in zip(self.roots, self.blocks)])

    def told(self, pulled: F64) -> list[tuple[F64, F64]]:
        """Return of each column what its heights are pulled by, and how much the rows tell of it, I - B^-1; uses the factor up."""
        from scipy.linalg import lapack

        inverse, failed = lapack.dtrtri(self.lower, lower=1, overwrite_c=1)
        assert not failed
        each = [inverse[block.start :, block] for block in self.blocks]
        return [(pulled[block], np.eye(part.shape[1]) - part.T @ part) for block, part in zip(self.blocks, each)]

    def seen(self, column: int, kernels: Sequence[F64]) -> tuple[F64, ...]:
        """Return a column's kernels as its entries of :meth:`told` stand to them."""
        back = self.backs[column]
        return tuple(back.T @ kernel @ back for kernel in kernels)


def _root(kernel: F64) -> tuple[F64, F64]:
    """Return L (M, R) with LL' the kernel, and its inverse on their range, transposed, (M, R)."""
    values, vectors = np.linalg.eigh(kernel)
    keep = values > 1e-14 * values[-1]
    values, vectors = np.sqrt(values[keep]), vectors[:, keep]
    return vectors * values, vectors / values


def _centred_gram(places: Sequence[Places], starts: Ints, weight: F64) -> tuple[F64, F64]:
    """Return X'WX - mm' / sum(w) (M, M) and m = X'W1 (M,) of all columns' places and weights (N,).

    Two columns share as many cells as their knots have pairs, into which rows are counted with four moments of their shares; where knots
    are few for each column, products of dense blocks of rows are faster. Cost: 2 N C**2 additions, or N M**2 / 2 multiply-adds; N x C
    floats of memory, besides M x M.
    """
    size = int(starts[-1])
    gram = np.zeros((size, size))
    if size < DENSE_KNOTS * len(places):
        _add_dense(gram, places, starts, weight)
    else:
        _add_counted(gram, places, starts, weight)
    sides = [[np.bincount(at, weight * share, p.size) for at, share in p.sides()] for p in places]
    mass = np.concatenate([np.sum(s, 0) for s in sides])
    gram -= np.outer(mass, mass) / weight.sum()
    return gram, mass


def _add_dense(gram: F64, places: Sequence[Places], starts: Ints, weight: F64) -> None:
    """Add X'WX (M, M), by blocks of rows."""
    for first in range(0, len(weight), ROWS_AT_ONCE):
        some = slice(first, first + ROWS_AT_ONCE)
        root, at = np.sqrt(weight[some]), np.arange(len(weight[some]))
        x = np.zeros((len(root), len(gram)))
        for p, s in zip(places, starts):
            x[at, s + p.low[some]] += root * (1 - p.share[some])
            x[at, s + p.high[some]] += root * p.share[some]
        gram += x.T @ x


def _add_counted(gram: F64, places: Sequence[Places], starts: Ints, weight: F64) -> None:
    """Add X'WX (M, M), block by block, from sums over the cells of two columns' lower knots."""
    shares = [p.share if p.share.any() else None for p in places]
    scaled = [None if s is None else weight * s for s in shares]
    for i, a in enumerate(places):
        for j in range(i, len(places)):
            b = places[j]
            block = gram[starts[i] : starts[i + 1], starts[j] : starts[j + 1]]
            _add_block(block, a.low * b.size + b.low, weight, scaled[i], scaled[j], shares[i])
            if j > i:
                gram[starts[j] : starts[j + 1], starts[i] : starts[i + 1]] = block.T


def _add_block(block: F64, cells: Ints, weight: F64, left: F64 | None, right: F64 | None, share: F64 | None) -> None:
    """Add what two columns share, (M, M'), of rows in the ``cells`` (N,) of their lower knots.

    ``left``, ``right`` (N,): the weights times each column's shares, None where it has none; ``share``: the first column's.

    A share moves weight from a cell's lower knot to the one above, which is the next.
    """

    def summed(value: F64) -> F64:
        return np.bincount(cells, value, block.size).reshape(block.shape)

    block += summed(weight)
    if left is not None:
        up = summed(left)
        block -= up
        block[1:] += up[:-1]
    if right is not None:
        across = summed(right)
        block -= across
        block[:, 1:] += across[:, :-1]
    if share is not None and right is not None:
        both = summed(share * right)
        block += both
        block[1:] -= both[:-1]
        block[:, 1:] -= both[:, :-1]
        block[1:, 1:] += both[:-1, :-1]


def _design(at: Ints, value: F64, size: int) -> Any:
    """Return the sparse X (N, M) with ``value`` (N, E) in the columns ``at`` (N, E)."""
    from scipy.sparse import csr_array

    n, e = at.shape
    return csr_array((value.ravel(), at.ravel(), np.arange(0, n * e + 1, e)), shape=(n, size))


def _small_gram(at: Ints, value: F64, weight: F64, wanted: F64, size: int) -> tuple[F64, F64]:
    """Return X'WX (M, M) and X'Wz (M,) of few entries a row, ``value`` (N, E) in the columns ``at`` (N, E), and few columns M."""
    scaled = value * weight[:, None]
    right = np.bincount(at.ravel(), (scaled * wanted[:, None]).ravel(), size)
    both = at[:, :, None] * size + at[:, None, :]
    gram = np.bincount(both.ravel(), (scaled[:, :, None] * value[:, None, :]).ravel(), size * size)
    return gram.reshape(size, size), right


def _solved_by_rows(x: F64, wanted: F64, kernels: Sequence[F64], blocks: Sequence[slice]) -> tuple[F64, list[F64]]:
    """Return (I + AK)^-1 of X'z (M,), what heights of prior K are pulled by, and that of A = X'X, what rows tell of each column: x (N, M).

    For fewer rows N than heights M:

    (I + X'X K)^-1 X' = X' (I + X K X')^-1, a solve of N in place of one of M. Cost: 2 N**2 M + N**3 multiply-adds, not 3 M**3.
    """
    spread = np.eye(len(x))
    for block, kernel in zip(blocks, kernels):
        spread += x[:, block] @ kernel @ x[:, block].T
    both = np.linalg.solve(spread, np.column_stack([wanted, x]))
    pull = x.T @ both[:, 0]
    return pull, [x[:, block].T @ both[:, 1:][:, block] for block in blocks]
