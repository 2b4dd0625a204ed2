"""Is a row like the rows of training? Distances to kept training rows, ranked among held-out ones.

Arithmetic and its fitted state only; the answer in words is made in ``pellucid.uncertainty``. Letters: N rows, M kept rows, C columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import EmptyTableError, ModelFileError
from pellucid.table import ColumnType, Table

__all__ = ["Familiarity", "RowSpace", "squared_distances", "squared_gaps", "total_distances"]

FloatArray = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
NEIGHBOURS = 10
KNOTS = 65
BLOCK = 1_000_000  # pairs x columns held at once
UNSEEN = -2.0
MANY = 3
"""Columns, one of them of numbers, from which on the nearest rows are looked for by products of matrices."""
SPARE = 16
"""Rows beside the nearest that are measured one by one then."""


@dataclass(frozen=True)
class RowSpace:
    """Turns rows into numbers whose differences mean the same in every column.

    Numbers and dates go through the normal quantiles of the training rows, and on in a straight line beyond their range, so that a
    slip of units stays visible; NaN is missing. Levels become codes; -1 is missing, -2 was never seen. Text is left out.

    Attributes
    ----------
    columns : the C names; the first ``len(knots)`` are numbers and dates.
    knots : per number, (2, Q): training quantiles and their heights.
    slopes : (numbers,) heights per unit beyond the range.
    levels : per level column, the texts behind the codes.
    """

    columns: tuple[str, ...]
    knots: tuple[FloatArray, ...]
    slopes: FloatArray
    levels: tuple[tuple[str, ...], ...]

    @classmethod
    def fit(cls, table: Table) -> RowSpace:
        """Return the space of the feature columns of ``table``."""
        kind = {name: table.schema[name].type for name in table.features}
        numbers = [n for n, t in kind.items() if t in (ColumnType.NUMBER, ColumnType.DATE)]
        level = [n for n, t in kind.items() if t.is_level]
        fitted = [_fit_knots(_numbers(table, n)) for n in numbers]
        slopes = np.array([slope for _, slope in fitted])
        return cls((*numbers, *level), tuple(k for k, _ in fitted), slopes, tuple(table.levels(n)[1] for n in level))

    @property
    def n_numbers(self) -> int:
        """How many of the columns are numbers or dates."""
        return len(self.knots)

    def encode(self, table: Table) -> FloatArray:
        """Return the rows of ``table`` as (N, C)."""
        out = np.empty((len(table), len(self.columns)))
        for j, name in enumerate(self.columns[: self.n_numbers]):
            x, (at, height) = _numbers(table, name), self.knots[j]
            beyond = np.minimum(x - at[0], 0) + np.maximum(x - at[-1], 0)
            out[:, j] = np.interp(x, at, height) + beyond * self.slopes[j]
        for j, name in enumerate(self.columns[self.n_numbers :]):
            codes, texts = table.levels(name)
            known = {text: i for i, text in enumerate(self.levels[j])}
            lookup = np.array([*(known.get(t, UNSEEN) for t in texts), -1.0])
            out[:, self.n_numbers + j] = lookup[codes]
        return out

    def state(self) -> dict[str, Any]:
        """Return what :meth:`from_state` needs: text and arrays."""
        return {"columns": list(self.columns), "knots": list(self.knots), "slopes": self.slopes, "levels": [list(v) for v in self.levels]}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> RowSpace:
        """Return the space that :meth:`state` described (arrays or lists)."""
        knots = tuple(np.asarray(k, np.float64) for k in state["knots"])
        return cls(tuple(state["columns"]), knots, np.asarray(state["slopes"], np.float64), tuple(tuple(v) for v in state["levels"]))


def _numbers(table: Table, name: str) -> FloatArray:
    return table.seconds(name) if table.schema[name].type is ColumnType.DATE else table.numbers(name)


def _fit_knots(x: FloatArray) -> tuple[FloatArray, float]:
    """Return quantiles with their heights, and the slope beyond them. Values that pile up share one height, their mean.

    Heights are normal quantiles, stretched in valleys: where values are denser on both sides, the heights rise by at least one for a
    standard deviation of the numbers, or as they do on the less dense of the two sides. Ranks alone do not see an empty stretch between
    two groups of values, and would call a row in the middle of it an ordinary one. Tails stay as they are.
    """
    from scipy.special import ndtri

    x = x[np.isfinite(x)]
    if not len(x):
        return np.zeros((2, 1)), 0.0
    share = (np.arange(KNOTS) + 0.5) / KNOTS
    at, same = np.unique(np.quantile(x, np.linspace(0, 1, KNOTS)), return_inverse=True)
    height = np.bincount(same.reshape(-1), weights=ndtri(share)) / np.bincount(same.reshape(-1))
    with np.errstate(over="ignore"):  # of numbers near the end of what a float holds
        spread = float(x.std())
    if len(at) < 2 or not spread > 0:
        return np.stack([at, height]), 1.0
    slope = np.diff(height) / np.diff(at)
    sides = np.minimum(np.maximum.accumulate(slope), np.maximum.accumulate(slope[::-1])[::-1])
    risen = np.concatenate([[0.0], np.cumsum(np.maximum(slope, np.minimum(sides, 1 / spread)) * np.diff(at))])
    before, after = (np.interp(x, at, h) for h in (height, risen))
    size = float(after.std() / before.std()) if before.std() > 0 else 1.0  # two random rows stay as far apart as they were
    return np.stack([at, before.mean() + (risen - after.mean()) / size]), 1 / (spread * size)


def squared_distances(rows: FloatArray, kept: FloatArray, n_numbers: int) -> FloatArray:
    """Return per-column squared distances (N, M, C).

    Numbers: half the squared difference, so that two random rows differ by about 1. Levels: 1 where they differ. Missing and present: 1.
    """
    return squared_gaps(rows[:, None, :], kept[None, :, :], n_numbers)


def squared_gaps(one: FloatArray, two: FloatArray, n_numbers: int) -> FloatArray:
    """Return per-column squared distances (..., C) of rows that are broadcast against each other; see :func:`squared_distances`."""
    gap = one - two
    number, level = gap[..., :n_numbers], gap[..., n_numbers:]
    with np.errstate(over="ignore"):  # what is infinitely far is strange enough
        np.multiply(number, number, out=number)
    number *= 0.5
    empty = np.isnan(number)
    if empty.any():
        one_empty = np.isnan(one[..., :n_numbers]) != np.isnan(two[..., :n_numbers])
        number[empty] = one_empty[empty]
    level[...] = level != 0
    unseen = one[..., n_numbers:] == UNSEEN
    if unseen.any():
        level[...] = np.maximum(level, unseen)
    return gap


def total_distances(rows: FloatArray, kept: FloatArray, n_numbers: int) -> tuple[FloatArray, FloatArray]:
    """Return the sums (N, M) over columns of :func:`squared_distances`, and how far off (N,) the difference of two of them may be.

    Products of matrices: a tenth of the time, but what is near 0 is known to rounding of the squares alone. NaN where squares overflow.
    """
    (one, here), (two, there) = (_or_zero(side[:, :n_numbers]) for side in (rows, kept))
    with np.errstate(over="ignore", invalid="ignore"):
        mine, theirs, ones = 0.5 * one * one, 0.5 * two * two, np.ones((len(one) + len(two), 1))
        # all sums in one product: halved squares, what stands on one side alone, and the cross terms
        left = np.hstack([mine, here, one, here.sum(1)[:, None], ones[: len(one)]])
        total = left @ np.hstack([there, theirs - 2 * there, -two, ones[len(one) :], there.sum(1)[:, None]]).T
        size = mine.sum(1) + theirs.sum(1).max() + rows.shape[1]
    for j in range(n_numbers, rows.shape[1]):
        own = np.where(rows[:, j] == UNSEEN, np.nan, rows[:, j])  # like no other, not even another unseen one
        total += own[:, None] != kept[:, j]
    return total, 16 * np.finfo(float).eps * (rows.shape[1] + 1) * size


def _or_zero(numbers: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return (numbers with 0 where they are missing, 1 where they are there and 0 where not)."""
    there = ~np.isnan(numbers)
    return np.where(there, numbers, 0.0), there.astype(np.float64)


@dataclass(frozen=True)
class Familiarity:
    """Distance to the nearest kept training rows, as a percentile among rows the network never learned from.

    Attributes
    ----------
    space : how rows become numbers.
    kept : (M, C) kept training rows.
    reference : (R,) ascending distances of held-out training rows.
    usual : (C,) mean distance of those rows in each column.
    neighbours : how many nearest rows are averaged.

    Notes
    -----
    Sun, Ming, Zhu, Li 2022, arXiv:2204.06507, on the columns themselves instead of hidden features. Cost: N x M x C differences, in chunks.
    """

    space: RowSpace
    kept: FloatArray
    reference: FloatArray
    usual: FloatArray
    neighbours: int = NEIGHBOURS

    @classmethod
    def fit(cls, kept: Table, held_out: Table | None = None, *, neighbours: int = NEIGHBOURS) -> Familiarity:
        """Return the fit on kept training rows; without ``held_out`` rows each kept row is compared with all others.

        Rows of ``held_out`` must not be among the kept ones. About 1,000 kept rows are enough; memory does not grow with N.
        """
        if len(kept) < 3:
            raise EmptyTableError("familiarity needs training rows to compare with", expected="at least 3", got=str(len(kept)))
        space = RowSpace.fit(kept)
        at = space.encode(kept)
        k = min(neighbours, len(kept) - 1)
        bare = cls(space, at, np.zeros(0), np.zeros(at.shape[1]), k)
        scores, parts = bare._measure(at, True) if held_out is None else bare._measure(space.encode(held_out), False)
        return cls(space, at, np.sort(scores), parts.mean(axis=0), k)

    @property
    def columns(self) -> tuple[str, ...]:
        """The C columns that are compared."""
        return self.space.columns

    def _measure(self, rows: FloatArray, themselves: bool) -> tuple[FloatArray, FloatArray]:
        """Return (distance (N,), its parts (N, C)): means over the nearest kept rows; ``themselves``: row i is kept row i, not counted."""
        n, (m, c) = len(rows), self.kept.shape
        parts, left, own = np.empty((n, c)), np.arange(n), np.arange(n) if themselves else np.full(n, -1)
        if c >= MANY and self.space.n_numbers and m > self.neighbours + SPARE:
            left = self._by_products(rows, own, parts)
        step = max(1, BLOCK // max(1, m * c))
        for start in range(0, len(left), step):
            at = left[start : start + step]
            parts[at] = self._nearest(rows[at], self.kept[None], np.arange(m) == own[at, None])
        return parts.sum(axis=1), parts

    def _by_products(self, rows: FloatArray, own: Ints, parts: FloatArray) -> Ints:
        """Write the ``parts`` of rows whose nearest kept rows are found by products of matrices; return the places of all others."""
        left, few = [], self.neighbours + SPARE
        step = max(1, BLOCK // max(len(self.kept), few * rows.shape[1]))
        for start in range(0, len(rows), step):
            at = np.arange(start, min(len(rows), start + step))
            total, off = total_distances(rows[at], self.kept, self.space.n_numbers)
            total[own[at, None] == np.arange(len(self.kept))] = np.inf
            near = np.sort(np.argpartition(total, few - 1, axis=1)[:, :few], axis=1)
            found = np.sort(np.take_along_axis(total, near, axis=1), axis=1)
            with np.errstate(invalid="ignore"):  # false where squares overflow
                clear = found[:, -1] - found[:, self.neighbours - 1] > off  # no row beyond them can be one of the nearest
            sure, near = at[clear], near[clear]
            parts[sure] = self._nearest(rows[sure], self.kept[near], near == own[sure, None])
            left.append(at[~clear])
        return np.concatenate(left) if left else np.zeros(0, np.int64)

    def _nearest(self, rows: FloatArray, lent: FloatArray, themselves: npt.NDArray[np.bool_]) -> FloatArray:
        """Return the mean parts (n, C) over the nearest of the kept rows ``lent`` (n or 1, S, C), but for those marked (n, S)."""
        each = squared_gaps(rows[:, None, :], lent, self.space.n_numbers)
        total = each.sum(axis=2)
        total[themselves] = np.inf
        nearest = np.argpartition(total, self.neighbours - 1, axis=1)[:, : self.neighbours]
        return np.asarray(np.take_along_axis(each, nearest[:, :, None], axis=1).mean(axis=1))

    def distance(self, table: Table) -> tuple[FloatArray, FloatArray]:
        """Return (distance to the nearest kept rows (N,), its parts by column (N, C))."""
        return self._measure(self.space.encode(table), False)

    def score(self, table: Table) -> tuple[FloatArray, FloatArray]:
        """Return (percentile (N,), excess (N, C)) of the rows of ``table``.

        Percentile: 100 x the share of held-out rows at least as far from their neighbours, the row itself counted with them; a row like
        those of training is below p % in p of 100 cases. Excess: how much farther than usual each column is.
        """
        distance, parts = self.distance(table)
        farther = len(self.reference) - np.searchsorted(self.reference, distance * (1 - 1e-12), side="left")
        return 100 * (1 + farther) / (1 + len(self.reference)), parts - self.usual

    def state(self) -> dict[str, Any]:
        """Return what :meth:`from_state` needs: text and arrays. It holds the kept rows."""
        arrays = {"kept": self.kept, "reference": self.reference, "usual": self.usual}
        return {"space": self.space.state(), "neighbours": self.neighbours, **arrays}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Familiarity:
        """Return the fit that :meth:`state` described (arrays or lists; None is NaN)."""
        try:
            space = RowSpace.from_state(state["space"])
            kept, reference, usual = (np.asarray(state[k], np.float64) for k in ("kept", "reference", "usual"))
            return cls(space, kept.reshape(len(kept), len(space.columns)), reference, usual, int(state["neighbours"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError("the saved familiarity cannot be read", got=f"{type(error).__name__}: {error}") from error


def odd_columns(excess: FloatArray, columns: Sequence[str]) -> tuple[str, ...]:
    """Return the name of the column that is farthest beyond its usual distance, for each row of ``excess`` (N, C)."""
    return tuple(columns[j] for j in excess.argmax(axis=1)) if excess.shape[1] else ("",) * len(excess)
