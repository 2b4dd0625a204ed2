"""The leaves that rows composed of two come to, and what all of them add up to for any coalition.

A composed row of a row x and a background row b comes to a leaf if the players at which b alone turns off on the way there take x's cells,
and those at which x alone does take b's. So of each row it is written down once at which players it turns off before each leaf; a pair's
leaves are those where x and b share none of them, and what the trees add up to for any coalition follows without walking down a tree, and
without asking the model. What the model makes of the sum (probabilities, calibrated ones) is then made of it.

Letters: R rows, B background rows, P players, M nodes, E leaves with one output each, H leaves of pairs, K sums of a forest, O outputs.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.probe.composing import Lot
from pellucid.probe.tree_games import MOST_PLAYERS, runs
from pellucid.probe.tree_sum import TreeSum
from pellucid.protocols import FloatArray

__all__ = ["Held", "Leaves"]

Ints = npt.NDArray[np.int64]
Bits = npt.NDArray[np.unsignedinteger[Any]]
BoolArray = npt.NDArray[np.bool_]
MATCHES = 2**22
"""Pairs of a leaf and a coalition that are compared at once."""
CHAIN = 4
"""Growing coalitions from which on it pays to look when a leaf begins and ends to count, instead of at each of them."""
AT_ONCE = 2**20
"""Leaves of pairs that are looked at at once, and sums that are held."""
LOW = 5
"""Bits of a coalition over which one product of matrices adds up."""


class Leaves:
    """At which players rows turn off alone before each leaf.

    Attributes
    ----------
    used : the players (U,) that some node asks about, which are the bits of masks. place : (P,) the bit of a player; -1 for others.
    worth, line : (2 E,) what a leaf adds, twice, and to which of two lines of each of the K sums; see :class:`Held`.
    b : (B, E) masks of the background rows.
    """

    def __init__(self, trees: TreeSum, used: Ints, n_players: int, memory: int) -> None:
        self.trees, self.used, self._memory = trees, used, memory
        self.place = np.full(n_players, -1)
        self.place[used] = np.arange(len(used))
        self.bits: np.dtype[Any] = np.dtype(f"u{_width(used)}")
        forest = trees.forest
        whose = np.where(trees.player >= 0, self.place[np.maximum(trees.player, 0)], -1)[forest.feature]
        self._bit = self.bit_of(whose)
        self._fixed = (forest.left >= 0) & (whose < 0)  # nodes at which all rows turn the same way
        leaf = np.flatnonzero((forest.left < 0) & self._open(forest.rounded(trees.x[:1])))
        tells = forest.value[leaf] != 0
        tells[:, 0] |= ~tells.any(1)  # every pair comes to some leaf, whatever it adds
        place, out = np.nonzero(tells)
        self._leaf = leaf[place]
        self.worth = np.repeat(forest.value[self._leaf, out], 2)
        self.line = np.repeat(2 * out, 2) + np.tile([0, 1], len(out))
        self.b = self._off(trees.b)
        self._held: Held | None = None

    @classmethod
    def of(cls, trees: TreeSum, n_players: int, memory: int) -> Leaves | None:
        """Return the leaves; None where too many players stand in the trees, or the background rows' masks do not fit the memory."""
        forest = trees.forest
        used = np.unique(trees.player[forest.feature[forest.left >= 0]])
        used = used[used >= 0]
        masks = _width(used) * len(forest.left) * forest.n_outputs * len(trees.b)
        return None if len(used) > MOST_PLAYERS or masks > 2 * memory else cls(trees, used, n_players, memory)

    def bit_of(self, place: Ints) -> Bits:
        """Return masks of single players by their places; 0 for places below 0."""
        one = np.left_shift(np.uint64(1), np.maximum(place, 0).astype(np.uint64))
        return np.where(place >= 0, one, np.uint64(0)).astype(self.bits)

    def _open(self, x: FloatArray) -> BoolArray:
        """Return which nodes (M,) some row can come to, as far as nodes that turn all rows the same way tell."""
        forest = self.trees.forest
        out, here = np.zeros(len(forest.left), bool), forest.root
        while len(here):
            out[here] = True
            here = here[forest.left[here] >= 0]
            left = forest.all_left(x, here)[:, 0]
            fixed = self._fixed[here]
            here = np.concatenate([forest.left[here[left | ~fixed]], forest.right[here[~left | ~fixed]]])
        return out

    def _off(self, x: FloatArray) -> Bits:
        """Return the masks (n, E) of rows of cells (n, F). Cost: n M."""
        forest = self.trees.forest
        step, out = max(1, self._memory // (self.bits.itemsize * len(forest.left))), []
        x = forest.rounded(x)
        for s in range(0, len(x), step):
            some = x[s : s + step]
            off, here = np.zeros((len(forest.left), len(some)), self.bits), forest.root
            while len(here := here[forest.left[here] >= 0]):
                left, mine, turned = forest.all_left(some, here), off[here], off[here] | self._bit[here][:, None]
                off[forest.left[here]], off[forest.right[here]] = np.where(left, mine, turned), np.where(left, turned, mine)
                here = np.concatenate([forest.left[here], forest.right[here]])
            out.append(off[self._leaf].T)
        return np.ascontiguousarray(np.concatenate(out))

    @functools.cached_property
    def rows_at_once(self) -> int:
        """How many rows' leaves fit the memory."""
        some = self._hold(np.unique(np.linspace(0, len(self.trees.x) - 1, 4).astype(np.int64)))
        return max(1, int(self._memory // ((2 * self.bits.itemsize + 4) * len(some.leaf) / len(some.rows))))

    def groups(self, row: Ints) -> list[Ints]:
        """Return the places of rows (n,), group by group of rows whose leaves are held together."""
        rows, at = np.unique(row, return_inverse=True)
        if self._held is not None and self._held.has(rows):
            return [np.arange(len(row))]
        part = at // self.rows_at_once
        return [np.flatnonzero(part == k) for k in range(int(part.max(initial=-1)) + 1)]

    def held(self, row: Ints) -> Held:
        """Return the leaves of rows, as many as fit; those found last are kept."""
        if self._held is None or not self._held.has(row):
            self._held = None
            self._held = self._hold(np.unique(row))
        return self._held

    def _hold(self, rows: Ints) -> Held:
        off, size = self._off(self.trees.x[rows]), self.b.shape[1]
        theirs, mine, leaf, count = [], [], [], []
        for mask in off:  # one row is some hundred thousand comparisons
            meets = (self.b & mask) == 0
            flat = np.flatnonzero(meets)
            count.append(np.count_nonzero(meets, axis=1))
            at = flat - np.repeat(np.arange(len(self.b)) * size, count[-1])
            theirs.append(self.b.ravel().take(flat))
            mine.append(mask.take(at))
            leaf.append(at.astype(np.int32))
        joins, stays = np.concatenate(theirs), np.concatenate(mine)
        down = np.bitwise_count(joins) < np.bitwise_count(stays)
        start = np.append(0, np.cumsum(np.concatenate(count)))
        return Held(self, rows, np.where(down, stays, joins), np.where(down, joins, stays), 2 * np.concatenate(leaf) + down, start)


@dataclass(frozen=True)
class Held:
    """The leaves that pairs of some rows and all background rows come to.

    Attributes
    ----------
    rows : (R,) rising. more, less : (H,) the players who must take the row's cells and those who must not, the larger and the smaller set.
    leaf : (H,) twice the number of the leaf, of E, and 1 where the players in ``more`` are those who must not.
    start : (R B + 1,) where the leaves of a pair begin.
    """

    leaves: Leaves
    rows: Ints
    more: Bits
    less: Bits
    leaf: npt.NDArray[np.int32]
    start: Ints

    def has(self, row: Ints) -> bool:
        """Whether these rows are among them."""
        return bool(np.isin(row, self.rows).all())

    def _pairs(self, row: Ints, back: Ints) -> Ints:
        return np.asarray(np.searchsorted(self.rows, row) * len(self.leaves.b) + back)

    @functools.cached_property
    def _met(self) -> Bits:
        """The players (R B,) who matter in each pair."""
        return np.asarray(np.bitwise_or.reduceat(self.more | self.less, self.start[:-1]))

    def matters(self, row: Ints, back: Ints) -> BoolArray:
        """Return (n, P): whether a player changes the trees' answers in pairs of rows."""
        met, used = self._met[self._pairs(row, back)], self.leaves.used
        out = np.zeros((len(row), len(self.leaves.place)), bool)
        out[:, used] = met[:, None] & self.leaves.bit_of(np.arange(len(used))) > 0
        return out

    def _of(self, row: Ints, back: Ints) -> tuple[Ints, Ints]:
        """Return (pair (h,), place among the held leaves (h,)) of the leaves of some pairs."""
        start, count = self.start[self._pairs(row, back)], self._count(row, back)
        pair = np.repeat(np.arange(len(start)), count)
        return pair, np.arange(len(pair)) + np.repeat(start - np.cumsum(count) + count, count)

    def answers(self, sums: FloatArray) -> FloatArray:
        """Return the answers (g, m, O) that sums (g, m, K) stand for."""
        then = self.leaves.trees.model.then
        sums = sums + self.leaves.trees.forest.base
        return sums if then is None else then(sums.reshape(-1, sums.shape[2])).reshape(*sums.shape[:2], -1)

    def table(self, lot: Lot) -> FloatArray:
        """Return the sums (g, 2^d, K) of all coalitions of the players of some pairs."""
        (g, d), k = lot.players.shape, self.leaves.trees.forest.n_outputs
        out = np.empty((g, 2**d, k))
        for s, e in runs(np.maximum(self._count(lot.row, lot.back), k << d), AT_ONCE):
            out[s:e] = self._table(lot.row[s:e], lot.back[s:e], self.leaves.place[lot.players[s:e]])
        return out

    def _table(self, row: Ints, back: Ints, place: Ints) -> FloatArray:
        """Return the sums (g, 2^d, K) of all coalitions of the players with bits ``place`` (g, d).

        A leaf is worth something to coalitions that hold the players A and none of the players D: that is a sum over subsets T of D, with
        alternating signs, of what all that hold A and T are worth; or, where A is the smaller one, the same the other way round.
        """
        (g, d), k = place.shape, self.leaves.trees.forest.n_outputs
        local = _Local(place, self.leaves.bits, len(self.leaves.used))
        pair, at = self._of(row, back)
        if local.misses(self._met[self._pairs(row, back)]):  # players who are not asked about stay away
            there = ~local.unknown(np.where(self.leaf[at] & 1, self.less[at], self.more[at]), pair)
            pair, at = pair[there], at[there]
        leaf, rest = self.leaf.take(at), self.less.take(at)
        places = [((pair * (2 * k) + self.leaves.line.take(leaf)) << d) + local(self.more.take(at), pair)]
        worths = [self.leaves.worth.take(leaf)]
        some = np.flatnonzero(rest)
        line, own = places[0].take(some), worths[0].take(some)
        for part, subset in _subsets(local(rest.take(some), pair.take(some))):
            places.append(line.take(part) | subset)
            worths.append(own.take(part) * np.array([1.0, -1.0]).take(np.bitwise_count(subset) & 1))
        sums = np.bincount(np.concatenate(places), np.concatenate(worths), (g * k * 2) << d)
        every = _over_subsets(np.asarray(sums, np.float64).reshape(g * k, 2, -1), d)
        return np.asarray((every[:, 0] + every[:, 1, ::-1]).reshape(g, k, -1).transpose(0, 2, 1))

    def sums(self, lot: Lot) -> FloatArray:
        """Return the sums (g, m, K) of the lot's coalitions."""
        local = np.broadcast_to(lot.local, (len(lot.row), *lot.local.shape[-2:]))
        out = np.empty((*local.shape[:2], self.leaves.trees.forest.n_outputs))
        for s, e in _chains(local):
            of = self._of_chain if e - s >= CHAIN else self._of_any
            out[:, s:e] = of(lot.row, lot.back, self.leaves.place[lot.players], local[:, s:e])
        return out

    def _of_any(self, row: Ints, back: Ints, place: Ints, local: BoolArray) -> FloatArray:
        """Return the sums (g, m, K) of coalitions ``local`` (g, m, d) of players with bits ``place`` (g, d): each leaf looks at each."""
        g, m, _ = local.shape
        bits, known = self.leaves.bit_of(place), np.zeros((g, m), self.leaves.bits)
        for j in range(bits.shape[1]):
            known |= np.where(local[..., j], bits[:, j, None], 0).astype(self.leaves.bits)
        out = np.empty((g, m, self.leaves.trees.forest.n_outputs))
        for s, e in runs(self._count(row, back) * m, MATCHES):
            pair, at = self._of(row[s:e], back[s:e])
            leaf, more, less = self.leaf[at], self.more[at], self.less[at]
            comes = (known[s:e][pair] & (more | less)[:, None]) == np.where(leaf & 1, less, more)[:, None]
            first = np.flatnonzero(np.diff(pair, prepend=-1))
            for q in range(out.shape[2]):
                worth = np.where(self.leaves.line[leaf] // 2 == q, self.leaves.worth[leaf], 0.0)
                out[s:e, :, q] = np.add.reduceat(comes * worth[:, None], first, axis=0)
        return out

    def _of_chain(self, row: Ints, back: Ints, place: Ints, local: BoolArray) -> FloatArray:
        """Return the sums (g, m, K) of growing coalitions: each leaf begins to count when the last has joined of those who must, and ends
        when the first has joined of those who must not."""
        g, m, _ = local.shape
        # the number of the first coalition that holds a player
        joined = np.full((g, 8 * max(1, -(-len(self.leaves.used) // 8)) + 1), m, np.int16)
        np.put_along_axis(joined, place, m - local.sum(1, dtype=np.int16), 1)
        out = np.empty((g, m, self.leaves.trees.forest.n_outputs))
        for s, e in runs(self._count(row, back), AT_ONCE):
            k, (pair, at) = out.shape[2], self._of(row[s:e], back[s:e])
            leaf, more, less = self.leaf.take(at), self.more.take(at), self.less.take(at)
            joins, stays = np.where(leaf & 1, less, more), np.where(leaf & 1, more, less)
            begin = _Ends(joined[s:e, :-1], np.maximum, 0)(joins, pair)
            end = np.maximum(_Ends(joined[s:e, :-1], np.minimum, m)(stays, pair), begin)
            line, worth = (pair * k + self.leaves.line.take(leaf) // 2) * (m + 1), self.leaves.worth.take(leaf)
            size = (e - s) * k * (m + 1)
            steps = np.bincount(line + begin, worth, size) - np.bincount(line + end, worth, size)
            out[s:e] = np.cumsum(steps.reshape(e - s, k, m + 1)[..., :-1], axis=2).transpose(0, 2, 1)
        return out

    def _count(self, row: Ints, back: Ints) -> Ints:
        """Return the number of leaves (g,) of pairs."""
        p = self._pairs(row, back)
        return np.asarray(self.start[p + 1] - self.start[p])


def _width(used: Ints) -> int:
    """Return the bytes of a mask of so many players."""
    return 2 if len(used) <= 16 else 4 if len(used) <= 32 else 8


class _Local:
    """Masks of all players as masks of the players of a pair, eight bits at a time.

    Parameters
    ----------
    bit : (g, d) the bit of each player of a pair in the wide masks; -1 for players without one. players : the number of bits in use.
    """

    def __init__(self, bit: Ints, bits: np.dtype[Any], players: int) -> None:
        g, d = bit.shape
        self._bytes = max(1, -(-players // 8))
        weight = np.zeros((g, 8 * self._bytes + 1))
        np.put_along_axis(weight, bit, np.broadcast_to(2.0 ** np.arange(d), bit.shape), 1)  # those without a bit fall into the last place
        held = (np.arange(256) >> np.arange(8)[:, None]) & 1
        self._table = (weight[:, :-1].reshape(g, self._bytes, 8) @ held).astype(np.int64).ravel()
        known = (weight[:, :-1] > 0).astype(np.uint64) << np.arange(8 * self._bytes, dtype=np.uint64)
        self._known = np.bitwise_or.reduce(known, axis=1).astype(bits)

    def misses(self, met: Bits) -> bool:
        """Whether somebody in the masks (g,) is not one of the pair's players."""
        return bool((met & ~self._known).any())

    def unknown(self, masks: Bits, pair: Ints) -> BoolArray:
        """Return which masks (h,) hold a player who is not one of the pair's."""
        return np.asarray((masks & ~self._known[pair]) != 0)

    def __call__(self, masks: Bits, pair: Ints) -> Ints:
        """Return the masks (h,) of the players of their pairs."""
        first = pair * (self._bytes * 256)
        out = self._table.take(first + masks.astype(np.uint8))
        for k in range(1, self._bytes):
            first += 256
            out |= self._table.take(first + (masks >> masks.dtype.type(8 * k)).astype(np.uint8))
        return out


def _subsets(masks: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Yield (places, subsets) until every subset of every mask (n,) but the empty one has come once."""
    at = np.flatnonzero(masks)
    subset = masks[at]
    while len(at):
        yield at, subset
        subset = (subset - 1) & masks[at]
        at, subset = at[subset > 0], subset[subset > 0]


def _over_subsets(values: FloatArray, d: int) -> FloatArray:
    """Return for every coalition the sum over all its subsets, (..., 2^d); ``values`` is written over."""
    low = min(d, LOW)
    inside = np.arange(2**low)
    holds = ((inside[:, None] & inside) == inside[:, None]).astype(np.float64)  # (subset, coalition)
    # game by game, not in one product: of small ones the cores do not each take a part, which costs more than it saves
    out = (values.reshape(-1, 2 ** (d - low), 2**low) @ holds).reshape(*values.shape[:-1], -1)
    for j in range(low, d):
        half = out.reshape(-1, 2, 2**j)
        half[:, 1] += half[:, 0]
    return np.asarray(out)


class _Ends:
    """The largest, or the smallest, of the numbers of the players in a mask, eight bits at a time.

    Parameters
    ----------
    numbers : (g, bits) of each player of a pair. of : ``np.maximum`` or ``np.minimum``. nobody : what stands for an empty mask.
    """

    def __init__(self, numbers: npt.NDArray[np.int16], of: np.ufunc, nobody: int) -> None:
        self._of, self._bytes = of, numbers.shape[1] // 8
        table = np.full((len(numbers), self._bytes, 256), nobody, np.int16)
        for j in range(8):
            half = table[..., : 2**j]
            table[..., 2**j : 2 ** (j + 1)] = of(half, numbers[:, j::8, None])
        self._table = table.ravel()

    def __call__(self, masks: Bits, pair: Ints) -> npt.NDArray[np.int16]:
        """Return the end (h,) of each mask of a pair."""
        first = pair * (self._bytes * 256)
        out = self._table.take(first + masks.astype(np.uint8))
        for k in range(1, self._bytes):
            first += 256
            self._of(out, self._table.take(first + (masks >> masks.dtype.type(8 * k)).astype(np.uint8)), out=out)
        return np.asarray(out)


def _chains(local: BoolArray) -> list[tuple[int, int]]:
    """Return (start, end) of the longest runs of coalitions (g, m, d) that grow in every pair: each holds those before it."""
    breaks = np.flatnonzero((local[:, :-1] & ~local[:, 1:]).any((0, 2))) + 1
    return list(zip([0, *breaks.tolist()], [*breaks.tolist(), local.shape[1]]))
