"""Sampled interactions of any index: a fitted game whose index is known, corrected by random coalitions, with standard errors.

A polynomial of second order is fitted to the values of some coalitions by least squares; its index follows in closed form. What it
misses is estimated without bias from other coalitions, each weighted as the index weights it. The two halves of the coalitions change
places (cross-fitting), so the estimate is unbiased whatever the fit is worth, and its error is seen in the spread of the corrections.
Source of the weighting: Fumagalli et al. 2023, arXiv:2303.01179; of correcting a regression: Witter, Liu and Musco 2025, arXiv:2506.11849.

# NOTE[DIFF] Coalitions come in pairs of complements and in fixed numbers per size; each is played against few background rows (one where
the budget is small), because more coalitions always tell more than more background rows of one coalition.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from math import comb

import numpy as np
import numpy.typing as npt

from pellucid.explain.indices import coalition_weights, monomial_weights, sets_up_to
from pellucid.explain.row_games import RowGames
from pellucid.intervals import widening
from pellucid.probe.budget import FEWER_ROWS, too_small
from pellucid.protocols import FloatArray
from pellucid.random import stream

__all__ = ["MOST_ROWS", "SetSampler"]

MOST_ROWS = 50_000
"""Model rows per explained row at which sampling ends where neither budget nor precision was given."""
CELLS = 2**22
"""Most numbers of one matrix of sets and coalitions."""
BLOCK = 2**23
"""Numbers of that matrix that are laid out at a time."""
LEAST_PAIRS = 8
"""Pairs of coalitions per size, so that each half shows its spread."""

BoolArray = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Design:
    """Coalitions, and how each counts.

    Attributes
    ----------
    z : (M, P): first nobody and everybody, then all coalitions of the enumerated sizes, then n pairs of a coalition and its complement.
    known : number of coalitions before the pairs.
    stratum : (n,) smaller size of each pair; half : (n,) which half it belongs to.
    back : (n, r) the background rows of each pair.
    """

    z: BoolArray
    known: int
    stratum: Ints
    half: Ints
    back: Ints


class SetSampler:
    """Estimates the values of sets for rows whose games are too large to enumerate.

    Parameters
    ----------
    rows, which : the games, and the rows meant (n,).
    sets : (S, P). index, order : which index.
    """

    def __init__(self, rows: RowGames, which: Ints, sets: BoolArray, index: str, order: int) -> None:
        self.rows, self.which, self.index, self.order = rows, which, index, order
        self.p, self.n_coalitions, self._short = sets.shape[1], 0, 0
        self.sets = np.concatenate([np.zeros((1, self.p), bool), sets])  # the empty set: the constant of the index
        weights = coalition_weights(index, order, self.p)
        self.table = np.zeros((order + 1, self.p + 1, order + 1))  # share of a size's coalitions, times their number
        for t, per_size in weights.items():
            for s, line in enumerate(per_size):
                self.table[t, s, : len(line)] = [float(w * comb(self.p, s)) for w in line]
        self.back_cost = rows.back_cost
        self._plan()

    def _plan(self) -> None:
        """Choose the sizes that are enumerated, the fitted polynomial, and the most coalitions and background rows."""
        budget, p = self.rows.timed(MOST_ROWS), self.p
        needed = [s for s in range(1, p) if self.table[:, s].any()]
        self.enumerated: list[int] = []
        spent = 0.0
        for s in sorted(needed, key=lambda s: (min(s, p - s), s)):
            cost = comb(p, s) * self.back_cost
            if spent + cost > budget / 2:
                break
            self.enumerated.append(s)
            spent += cost
        self.strata = sorted({min(s, p - s) for s in needed if s not in self.enumerated})
        least = 2 * max(LEAST_PAIRS * len(self.strata), p + 1) if self.strata else 0
        one = self.rows.cost if self.rows.neighbours is not None else 1.0
        left = budget - spent
        if least * one > left:
            n, extra = len(self.rows.q.table), len(self.rows.engine.empty)
            need, do = int(np.ceil(2 * least * one)) * n + n + extra, f"{FEWER_ROWS}, or put columns into groups="
            raise too_small("to sample interactions", need, self.rows.q.budget.rows, do)
        quadratic = 1 + p + p * (p - 1) // 2
        self.most = int(min(left / one, max(CELLS // len(self.sets), 4 * quadratic, least)))
        degree = 2 if self.most >= 3 * quadratic else 1
        self.monomials = np.concatenate([np.zeros((1, p), bool), sets_up_to(p, degree)])
        self.least = min(self.most, max(least, 3 * len(self.monomials)))
        if self.most < 2 * self.least:  # a second fit would hardly be larger than the first
            self.least = self.most
        self.backs = int(np.clip(left // max(1, self.most), 1, len(self.rows.engine.empty)))

    def solve(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return (constants (n, O), values (n, S, O), variances (n, S, O)) of the rows."""
        n, o = len(self.which), self.rows.engine.n_outputs
        values, variance = np.zeros((n, len(self.sets), len(self.rows.nobody))), np.zeros((n, len(self.sets), o))
        open_rows, size = np.arange(n), self.least
        while True:
            design = self._design(size)
            values[open_rows], variance[open_rows] = self._estimate(design, open_rows)
            self.n_coalitions = len(design.z)
            error, scale = np.sqrt(variance[:, 1:].mean(1)), np.sqrt(np.square(values[:, 1:, :o]).mean(1))
            precise = (error <= self.rows.precision * scale).all(1)
            open_rows = np.flatnonzero(~precise)
            if not len(open_rows) or size >= self.most or self.rows.late():
                break
            size = min(2 * size, self.most)
        self._short = len(open_rows) if self.rows.precision else 0
        values, error = self.rows.told(values, variance)
        assert error is not None
        self.constant_error = float(error[:, 0].max(initial=0.0))
        return values[:, 0], values[:, 1:], error[:, 1:] ** 2

    def caveats(self) -> list[str]:
        """Return what the reader should know."""
        return [f"{self._short} rows stopped at the budget before the asked precision"] if self._short else []

    # ------------------------------------------------------------ coalitions

    def _design(self, size: int) -> Design:
        """Return about ``size`` coalitions; a larger design begins with those of a smaller one, which need not be evaluated again."""
        p, seed = self.p, self.rows.q.seed
        fixed = [np.zeros((1, p), bool), np.ones((1, p), bool)]
        for s in self.enumerated:
            chosen = np.array(list(itertools.combinations(range(p), s)))
            z = np.zeros((len(chosen), p), bool)
            np.put_along_axis(z, chosen, True, 1)
            fixed.append(z)
        share = np.array([1 / (s * (p - s)) for s in self.strata])
        pairs, stratum, half, back = [], [], [], []
        for s, part in zip(self.strata, share / share.sum() if len(share) else share):
            n = max(LEAST_PAIRS, int(part * (size // 2 - LEAST_PAIRS * len(self.strata))) + LEAST_PAIRS)
            rank = stream(seed, "sets", s).random((n, p)).argsort(1).argsort(1)
            order = stream(seed, "sets", s, "background").random((n, len(self.rows.engine.empty))).argsort(1)
            pairs.append(rank < s)
            back.append(order[:, : self.backs])
            stratum.append(np.full(n, s))
            half.append(np.arange(n) % 2)
        drawn = np.concatenate(pairs) if pairs else np.zeros((0, p), bool)
        both = np.stack([drawn, ~drawn], 1).reshape(-1, p)
        known = np.concatenate(fixed)
        join = lambda parts: np.concatenate(parts) if parts else np.zeros(0, np.int64)  # noqa: E731
        backs = np.concatenate(back) if back else np.zeros((0, self.backs), np.int64)
        return Design(np.concatenate([known, both]), len(known), join(stratum), join(half), backs)

    def _values(self, design: Design, row: int) -> FloatArray:
        """Return what is known of v (M, K O) for one row."""
        engine, m = self.rows.engine, design.known
        ends = np.stack([self.rows.nobody, self.rows.everybody[row]])
        fixed = self.rows.values(np.full(m - 2, row), design.z[2:m])
        z = design.z[m:]
        if not len(z):
            return np.concatenate([ends, fixed])
        if self.rows.neighbours is not None:
            drawn = self.rows.values(np.full(len(z), row), z)
        else:
            back = np.repeat(design.back, 2, axis=0)  # both of a pair meet the same background rows
            r = back.shape[1]
            v = engine.evaluate(np.full(back.size, row), back.ravel(), np.repeat(z, r, axis=0)).reshape(len(z), r, -1).mean(1)
            # the more is absent, the more the answer follows the background row's own: known, and its mean is the base
            drawn = v - (1 - z.mean(1))[:, None] * (engine.empty[back].mean(1) - self.rows.base)
        return np.concatenate([ends, fixed, drawn])

    # ------------------------------------------------------------ estimates

    def _weights(self, design: Design, sets: BoolArray) -> FloatArray:
        """Return (S, M): how much each coalition's value counts for each of some sets (S, P); for pairs, times their number."""
        inside = sets.astype(np.float64) @ design.z.T
        size = design.z.sum(1)
        weights = self.table[sets.sum(1)[:, None], size[None, :], np.minimum(inside, self.order).astype(np.int64)]
        count = np.array([comb(self.p, s) for s in range(self.p + 1)], float)
        weights[:, : design.known] /= count[size[: design.known]]
        weights[:, design.known :] *= np.where(2 * size[design.known :] == self.p, 0.5, 1.0)  # both of the pair have the same size
        # of a pair with one enumerated size, the other alone is sampled
        weights[:, design.known :] *= ~np.isin(size[design.known :], self.enumerated)
        return np.asarray(weights)

    def _estimate(self, design: Design, places: Ints) -> tuple[FloatArray, FloatArray]:
        """Return (values (n, S, K O), variances of what is sampled (n, S, O)) of some rows."""
        v = np.stack([self._values(design, int(r)) for r in self.which[places]])  # (n, M, K O)
        n, m, o = v.shape
        own = np.arange(n * o) % o < self.rows.engine.n_outputs
        flat = v.transpose(1, 0, 2).reshape(m, n * o)
        terms = (design.z.astype(np.float64) @ self.monomials.T) == self.monomials.sum(1)  # (M, R): the monomials of each coalition
        k, halves = design.known, (0, 1) if len(design.stratum) else (0,)
        fits = []
        for half in halves:
            others = np.flatnonzero(design.half != half)
            fit = np.concatenate([np.arange(k), k + 2 * others, k + 2 * others + 1])
            beta = _least_squares(terms[fit], flat[fit])
            fits.append((np.flatnonzero(design.half == half), beta, flat - terms @ beta))
        value, variance = np.zeros((len(self.sets), n * o)), np.zeros((len(self.sets), own.sum()))
        step = max(1, BLOCK // m)
        for s in range(0, len(self.sets), step):
            block = slice(s, s + step)
            weights = self._weights(design, self.sets[block])
            known = monomial_weights(self.index, self.order, self.p, self.sets[block], self.monomials)
            for mine, beta, residual in fits:
                part, spread = self._correct(design, weights, residual, mine, own)
                value[block] += (known @ beta + weights[:, :k] @ residual[:k] + part) / len(halves)
                variance[block] += spread / len(halves) ** 2
        out, doubt = (a.reshape(len(self.sets), n, -1).transpose(1, 0, 2) for a in (value, variance))
        return self._idle(out, doubt, places)

    def _correct(
        self, design: Design, weights: FloatArray, residual: FloatArray, mine: Ints, own: BoolArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return the sampled corrections (S, n K O) of one half and the variances of ``own`` of them, for sets of ``weights`` (S, M)."""
        k, total, spread = design.known, np.zeros((len(weights), residual.shape[1])), np.zeros((len(weights), own.sum()))
        for s in self.strata:
            at = mine[design.stratum[mine] == s]
            one, two = k + 2 * at, k + 2 * at + 1
            total += (weights[:, one] @ residual[one] + weights[:, two] @ residual[two]) / len(at)
            for c, column in enumerate(np.flatnonzero(own)):
                made = weights[:, one] * residual[one, column] + weights[:, two] * residual[two, column]
                spread[:, c] += made.var(1, ddof=1) / len(at) * widening(np.array(len(at) - 1.0))
        return total, spread

    def _idle(self, values: FloatArray, variance: FloatArray, places: Ints) -> tuple[FloatArray, FloatArray]:
        """Set what holds a column that never differs to exactly 0; joint values are arrivals, to which idle columns may belong."""
        if self.index == "joint":
            return values, variance
        engine, b = self.rows.engine, len(self.rows.engine.empty)
        row = np.repeat(self.which[places], b)
        same = ~engine.differ(row, np.tile(np.arange(b), len(places))).reshape(len(places), b, -1)
        gone = self.sets.astype(float) @ same.all(1).T.astype(float) > 0  # (S, n)
        return np.where(gone.T[..., None], 0.0, values), np.where(gone.T[..., None], 0.0, variance)


def _least_squares(x: BoolArray, y: FloatArray) -> FloatArray:
    """Return the coefficients (R, n O) of the fit that meets nobody and everybody, the first two lines, about exactly."""
    weight = np.ones(len(x))
    weight[:2] = 100.0
    single = x.astype(np.float32)  # counts of coalitions are whole numbers, which single precision holds exactly
    gram = (single.T @ single).astype(np.float64)
    ends = x[:2].astype(np.float64)
    gram += 99.0 * ends.T @ ends
    gram[np.diag_indices_from(gram)] += 1e-8 * np.trace(gram) / len(gram)
    return np.asarray(np.linalg.solve(gram, x.T.astype(np.float64) @ (y * weight[:, None])))
