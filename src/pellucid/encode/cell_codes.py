"""The codes of one column: its cells as a finite set of states, and states back as cells.

Numbers and dates are cut into intervals beside the values that hold many rows; levels have a state each while they are frequent; near texts
share one. Letters: N rows, S states.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.encode.text import hashed
from pellucid.encode.written import joining
from pellucid.random import stream
from pellucid.table import ColumnType, Table

__all__ = ["GRID", "MOST_LEVELS", "MOST_TEXTS", "Codes", "LevelCodes", "NumberCodes", "TextCodes", "codes_for"]

FloatArray = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MOST_STATES = 40
"""Most intervals of a number column, beside the values that hold many rows."""
MOST_LEVELS = 256
"""Levels of a category column with a state of their own; rarer ones share one."""
MOST_TEXTS = 64
"""Distinct texts up to which a text column is read as levels; beyond, near texts share a state."""
GRID = 8
"""Training quantiles kept within a state: the shape in which its numbers are drawn."""
POOL = 64
"""Cells kept per state of texts, and of levels that share one."""
WRITTEN = 2000
"""Cells kept of a column of dates, or of numbers that are written as text."""
TAIL = 1.3
"""The ends of a column are cut finer than its middle by this factor on the normal scale: a cell there says more."""


Column = tuple[Ints, Ints, Ints, FloatArray, FloatArray]


@dataclass(frozen=True)
class _Codes:
    """What the codes of every column have.

    Attributes
    ----------
    name : of the column. counts : (S,) training cells of each state.
    lo, hi : (S,) slots of each state. slot_z : place of each slot on a normal scale, 0 where the column has no order.
    state_z : (S,) the same for the states.
    """

    name: str
    counts: FloatArray
    lo: Ints
    hi: Ints
    slot_z: FloatArray
    state_z: FloatArray

    @property
    def rare(self) -> float:
        """Nats of a cell that training, for all its rows, did not have."""
        return float(np.log(self.counts.sum() + 1))


@dataclass(frozen=True)
class NumberCodes(_Codes):
    """Numbers and dates: values that hold many rows are states, the others are cut into intervals.

    Attributes
    ----------
    atoms : (A,) increasing values with a state each. grid : (I, GRID + 1) training quantiles of each interval.
    atom_state, cut_state : (A,) and (I,) their states, in the order of their values.
    whole : all training numbers were whole, so drawn ones are.
    date : seconds since 1970 instead of numbers.
    written_at, written : values and the cells they were written as, where a number is no cell.
    """

    atoms: FloatArray = field(default_factory=lambda: np.zeros(0))
    grid: FloatArray = field(default_factory=lambda: np.zeros((0, GRID + 1)))
    atom_state: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    cut_state: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    whole: bool = False
    date: bool = False
    written_at: FloatArray = field(default_factory=lambda: np.zeros(0))
    written: tuple[Any, ...] = ()

    @classmethod
    def fit(cls, table: Table, name: str, seed: int) -> NumberCodes:
        """Learn the states of a column."""
        date = table.schema[name].type is ColumnType.DATE
        values = table.seconds(name) if date else table.numbers(name)
        known = np.sort(values[~np.isnan(values)])
        most = int(np.clip(len(known) // 20, 4, MOST_STATES))
        distinct, mass = np.unique(known, return_counts=True)
        heavy = mass * most >= len(known) if len(distinct) > most else np.ones(len(distinct), bool)
        atoms, light = distinct[heavy], known[~np.isin(known, distinct[heavy])]
        grid = _grid(light, max(1, round(most * len(light) / max(len(known), 1)))) if len(light) else np.zeros((0, GRID + 1))
        middle = np.concatenate([atoms, grid[:, GRID // 2]])
        place = np.argsort(np.argsort(middle, kind="stable"), kind="stable") + 1
        a, i = len(atoms), len(grid)
        lo, hi = np.zeros(1 + a + i, np.int64), np.zeros(1 + a + i, np.int64)
        lo[place[:a]] = hi[place[:a]] = 2 + np.arange(a)
        lo[place[a:]], hi[place[a:]] = 2 + a + np.arange(i), 3 + a + np.arange(i)
        ends = np.concatenate([[0.0, 0.0], atoms, grid[:, 0], grid[-1:, -1]])
        slot_z = np.where(np.arange(len(ends)) < 2, 0.0, _normal_place(known, ends))
        made = cls(
            name, np.zeros(1 + a + i), lo, hi, slot_z, np.append(0.0, _normal_place(known, np.sort(middle))), atoms, grid,
            place[:a], place[a:], bool((known == np.round(known)).all()) and not date, date,
        )  # fmt: skip
        counts = np.bincount(made.read(table)[0].clip(0), minlength=1 + a + i).astype(float)
        return replace(made, counts=counts, **_written(table, name, values, seed))

    def read(self, table: Table) -> Column:
        """Return (state, lo, hi, share, beyond), each (N,)."""
        values = table.seconds(self.name) if self.date else table.numbers(self.name)
        missing = np.isnan(values)
        v = np.where(missing, 0.0, values)
        state, share = self._interval(v) if len(self.grid) else self._between(v)
        lo, hi = self.lo[state], self.hi[state]
        if not len(self.grid) and len(self.atoms) > 1:  # between two values: read as a mix of both
            left = np.clip(np.searchsorted(self.atoms, v, side="right") - 1, 0, len(self.atoms) - 2)
            lo, hi = 2 + left, 3 + left
        if len(self.atoms):
            at = np.minimum(np.searchsorted(self.atoms, v), len(self.atoms) - 1)
            hit = self.atoms[at] == v
            state, share = np.where(hit, self.atom_state[at], state), np.where(hit, 0.0, share)
            lo, hi = np.where(hit, 2 + at, lo), np.where(hit, 2 + at, hi)
        gone = missing if len(self.counts) > 1 else np.ones_like(missing)  # a column without a value has nothing but gaps
        state, lo, hi = (np.where(gone, 0, a) for a in (state, lo, hi))
        return state, lo, hi, np.where(gone, 0.0, share), np.where(missing, 0.0, self._beyond(v))

    def _interval(self, v: FloatArray) -> tuple[Ints, FloatArray]:
        """Return (state, share of the way through it) of numbers among the intervals."""
        cut = np.clip(np.searchsorted(self.grid[:, 0], v, side="right") - 1, 0, len(self.grid) - 1)
        inner = self.grid[cut]
        k = np.clip((inner <= v[:, None]).sum(1) - 1, 0, GRID - 1)
        left, right = np.take_along_axis(inner, k[:, None], 1)[:, 0], np.take_along_axis(inner, k[:, None] + 1, 1)[:, 0]
        part = np.divide(v - left, right - left, out=np.zeros_like(v), where=right > left)
        return self.cut_state[cut], np.clip((k + part) / GRID, 0.0, 1.0)

    def _between(self, v: FloatArray) -> tuple[Ints, FloatArray]:
        """Return (nearest state, share of the way to the next value) where every value is a state."""
        if len(self.atoms) < 2:
            return np.full(len(v), min(1, len(self.counts) - 1), np.int64), np.zeros(len(v))
        left = np.clip(np.searchsorted(self.atoms, v, side="right") - 1, 0, len(self.atoms) - 2)
        share = np.clip((v - self.atoms[left]) / (self.atoms[left + 1] - self.atoms[left]), 0.0, 1.0)
        return self.atom_state[left + (share > 0.5)], share

    @property
    def low(self) -> float:
        """The smallest training value."""
        return float(min([*self.atoms[:1], *self.grid[:1, 0]], default=np.nan))

    @property
    def high(self) -> float:
        """The largest training value."""
        return float(max([*self.atoms[-1:], *self.grid[-1:, -1]], default=np.nan))

    def _beyond(self, v: FloatArray) -> FloatArray:
        """Return nats outside the training range: one in n + 1 values lies there, and ever fewer with the distance."""
        if not len(self.atoms) + len(self.grid):
            return np.zeros_like(v)
        low, high = self.low, self.high
        far = np.maximum(np.maximum(v - high, low - v), 0.0) / ((high - low) or max(abs(high), 1.0))
        return np.where(far > 0, self.rare + np.log1p(far), 0.0)

    def values(self, state: Ints, share: FloatArray) -> FloatArray:
        """Return numbers (N,) of states, ``share`` of the way through them; NaN where missing."""
        table = np.full((len(self.counts), GRID + 1), np.nan)
        table[self.atom_state], table[self.cut_state] = self.atoms[:, None], self.grid
        k = np.minimum((share * GRID).astype(np.int64), GRID - 1)
        left, right = table[state, k], table[state, k + 1]
        out = left + (share * GRID - k) * (right - left)
        return np.asarray(np.round(out) if self.whole else out)

    def cells(self, state: Ints, share: FloatArray, like: pd.Series) -> pd.Series:
        """Return drawn cells as a series that joins ``like``: numbers where it holds numbers, else as they were written."""
        values = self.values(state, share)
        if isinstance(like.dtype, np.dtype) and like.dtype.kind in "iuf" and not self.date:
            blank = np.isnan(values)
            return pd.Series(values if blank.any() or like.dtype.kind == "f" else values.astype(like.dtype))
        if not len(self.written_at):
            return joining([None if np.isnan(v) else float(v) for v in values], like)
        right = np.clip(np.searchsorted(self.written_at, values), 1, max(len(self.written_at) - 1, 1))
        right = np.minimum(right, len(self.written_at) - 1)
        nearer = np.abs(self.written_at[right - 1] - values) <= np.abs(self.written_at[right] - values)
        cells = [*self.written, None]
        return joining([cells[i] for i in np.where(np.isnan(values), len(self.written), np.where(nearer, right - 1, right))], like)

    def typical(self, weights: FloatArray) -> tuple[Ints, FloatArray]:
        """Return (state, share) of the median under probabilities (N, S) of the states; missing only where it is more likely than not."""
        value = weights[:, 1:]
        total = np.maximum(value.sum(1, keepdims=True), 1e-300)
        cumulated = np.cumsum(value, 1) / total
        state = np.minimum((cumulated < 0.5).sum(1), value.shape[1] - 1)
        before = np.where(state > 0, np.take_along_axis(cumulated, np.maximum(state - 1, 0)[:, None], 1)[:, 0], 0.0)
        step = np.take_along_axis(value / total, state[:, None], 1)[:, 0]
        share = np.clip((0.5 - before) / np.maximum(step, 1e-12), 0.0, 1.0)
        return np.where(weights[:, 0] > 0.5, 0, state + 1), share


@dataclass(frozen=True)
class LevelCodes(_Codes):
    """Levels: a state each; beyond ``MOST_LEVELS`` the rare ones share the last one.

    Attributes
    ----------
    levels : canonical texts, those with a state first. pools : per value state, the cells it is drawn from.
    """

    levels: tuple[str, ...] = ()
    pools: tuple[tuple[Any, ...], ...] = ()

    @classmethod
    def fit(cls, table: Table, name: str, seed: int) -> LevelCodes:
        """Learn the levels of a column; an ordered one keeps its order."""
        codes, texts = table.levels(name)
        present = np.bincount(codes[codes >= 0], minlength=len(texts))
        declared = {t: i for i, t in enumerate(table.schema[name].levels)}
        ordered = table.schema[name].type in (ColumnType.ORDERED, ColumnType.BOOLEAN)
        rank = np.array([declared.get(t, len(declared)) for t in texts], np.int64)
        order = np.lexsort((np.arange(len(texts)), rank)) if ordered else np.lexsort((np.arange(len(texts)), -present))
        order = order[present[order] > 0]
        levels, own = tuple(texts[i] for i in order), min(len(order), MOST_LEVELS)
        n_states = 1 + own + (len(order) > own)
        slots = np.arange(n_states) + 1
        slots[0] = 0
        state_z = np.append(0.0, _normal_steps(present[order])) if ordered and len(order) == own else np.zeros(n_states)
        made = cls(name, np.zeros(n_states), slots, slots, np.insert(state_z, 1, 0.0), state_z, levels)
        state = made.read(table)[0]
        pools = _pools(table.frame[name], state, n_states, 1 if own == len(order) else POOL, seed)
        return replace(made, counts=np.bincount(state, minlength=n_states).astype(float), pools=pools)

    def read(self, table: Table) -> Column:
        """Return (state, lo, hi, share, beyond), each (N,)."""
        codes, texts = table.levels(self.name)
        last = len(self.counts) - 1
        at = {level: min(i + 1, last) for i, level in enumerate(self.levels)}
        state = np.array([at.get(t, -1) for t in texts] + [0], np.int64)[codes]
        slot = np.where(state < 0, 1, self.lo[state.clip(0)])
        pooled = np.log(max(len(self.levels) - last + 1, 1)) if len(self.levels) > last else 0.0
        beyond = np.where(state < 0, self.rare, np.where(state == last, pooled, 0.0))
        return state, slot, slot, np.zeros(len(state)), beyond

    def cells(self, state: Ints, share: FloatArray, like: pd.Series) -> pd.Series:
        """Return drawn cells as a series that joins ``like``."""
        return joining(_from_pools(self.pools, state, share), like)

    def typical(self, weights: FloatArray) -> tuple[Ints, FloatArray]:
        """Return (most likely state, 0) under probabilities (N, S) of the states."""
        return weights.argmax(1), np.zeros(len(weights))


@dataclass(frozen=True)
class TextCodes(LevelCodes):
    """Many texts: near ones, by their hashed character n-grams, share a state, and cells are drawn among those of the state.

    Attributes
    ----------
    centres : (S - 1, V) means of the states' vectors.
    """

    centres: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))

    @classmethod
    def fit(cls, table: Table, name: str, seed: int) -> TextCodes:
        """Learn the clusters of a column's texts."""
        from sklearn.cluster import KMeans

        _codes, texts = table.levels(name)
        vectors = hashed(np.arange(len(texts)), texts)
        rng = stream(seed, "texts", name)
        some = rng.permutation(len(texts))[:4000]
        found = KMeans(int(np.clip(len(texts) // 8, 2, MOST_STATES)), n_init=1, random_state=int(rng.integers(2**31))).fit(vectors[some])
        n_states = 1 + len(found.cluster_centers_)
        slots = np.arange(n_states) + 1
        slots[0] = 0
        made = cls(name, np.zeros(n_states), slots, slots, np.zeros(n_states + 1), np.zeros(n_states), centres=found.cluster_centers_)
        state = made.read(table)[0]
        pools = _pools(table.frame[name], state, n_states, POOL, seed)
        return replace(made, counts=np.bincount(state, minlength=n_states).astype(float), pools=pools)

    def read(self, table: Table) -> Column:
        """Return (state, lo, hi, share, beyond), each (N,); a new text is in the state it is nearest to."""
        codes, texts = table.levels(self.name)
        vectors = hashed(np.arange(len(texts)), texts).astype(np.float64)
        far = (self.centres**2).sum(1) - 2 * vectors @ self.centres.T
        state = np.append(far.argmin(1) + 1 if len(texts) else np.zeros(0, np.int64), 0)[codes]
        slot = self.lo[state]
        return state, slot, slot, np.zeros(len(state)), np.zeros(len(state))


Codes = NumberCodes | LevelCodes


def codes_for(table: Table, name: str) -> Any:
    """Return the class of codes for a column's type."""
    kind = table.schema[name].type
    if kind in (ColumnType.NUMBER, ColumnType.DATE):
        return NumberCodes
    many = len(table.levels(name)[1]) > MOST_TEXTS
    return TextCodes if kind is ColumnType.TEXT and many else LevelCodes


def _grid(light: FloatArray, intervals: int) -> FloatArray:
    """Return (I, GRID + 1): quantiles within intervals that are finer towards the ends of sorted numbers."""
    from scipy.special import ndtr, ndtri

    share = np.linspace(0, 1, intervals + 1)
    share[1:-1] = ndtr(TAIL * ndtri(share[1:-1]))
    fine = np.concatenate([np.linspace(a, b, GRID, endpoint=False) for a, b in itertools.pairwise(share)] + [[1.0]])
    points = np.quantile(light, fine)
    grid = points[np.arange(intervals)[:, None] * GRID + np.arange(GRID + 1)]
    return np.asarray(grid[(grid[:, -1] > grid[:, 0]) | (intervals == 1)])


def _normal_place(known: FloatArray, values: FloatArray) -> FloatArray:
    """Return the normal quantile of each value's place among sorted numbers."""
    from scipy.special import ndtri

    if not len(known):
        return np.zeros(len(values))
    place = (np.searchsorted(known, values, "left") + np.searchsorted(known, values, "right")) / (2 * len(known))
    return np.asarray(ndtri(np.clip(place, 0.5 / len(known), 1 - 0.5 / len(known))))


def _normal_steps(counts: npt.NDArray[Any]) -> FloatArray:
    """Return the normal quantile of the middle of each level of an order."""
    from scipy.special import ndtri

    share = counts / max(counts.sum(), 1)
    return np.asarray(ndtri(np.clip(np.cumsum(share) - share / 2, 1e-4, 1 - 1e-4)))


def _written(table: Table, name: str, values: FloatArray, seed: int) -> dict[str, Any]:
    """Return the cells of a column in which a number is no cell: some of them, with their values."""
    series = table.frame[name]
    if table.schema[name].type is not ColumnType.DATE and isinstance(series.dtype, np.dtype) and series.dtype.kind in "iuf":
        return {}
    rows = np.flatnonzero(~np.isnan(values))
    if len(rows) > WRITTEN:
        rows = stream(seed, "written", name).choice(rows, WRITTEN, replace=False)
    rows = rows[np.argsort(values[rows], kind="stable")]
    return {"written_at": values[rows], "written": tuple(_plain(v) for v in series.iloc[rows])}


def _plain(value: Any) -> Any:
    """Return a cell as what JSON can hold: text, a number or a boolean; a moment as text."""
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, str | int | float | bool) else str(value)


def _pools(series: pd.Series, state: Ints, n_states: int, most: int, seed: int) -> tuple[tuple[Any, ...], ...]:
    """Return up to ``most`` cells of each value state, drawn from the rows."""
    order = stream(seed, "pools", series.name).permutation(len(state))
    order = order[np.argsort(state[order], kind="stable")]
    starts = np.searchsorted(state[order], np.arange(1, n_states + 1))
    return tuple(tuple(_plain(v) for v in series.iloc[order[a : min(b, a + most)]]) for a, b in itertools.pairwise(starts))


def _from_pools(pools: Sequence[Sequence[Any]], state: Ints, share: FloatArray) -> list[Any]:
    flat = [None, *(cell for pool in pools for cell in pool)]
    sizes = np.array([1, *map(len, pools)])
    at = np.cumsum(sizes) - sizes
    pick = at[state] + np.minimum((share * sizes[state]).astype(np.int64), sizes[state] - 1)
    return [flat[i] for i in pick]
