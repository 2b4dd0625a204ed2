"""The games of a sum of trees, solved leaf by leaf without asking the model.

A composed row of a row x and a background row b comes to a leaf if every player on the way there takes the cells that lead to it. Let X be
the players at which x alone turns off, and B those at which b alone does. Where X and B share a player no composed row comes to the leaf;
otherwise those come there that take B's players from x and X's from b. That is a game with one value, whose solution is known for every
rule that weighs coalitions by their size alone; a tree is the sum of its leaves' games, and a forest the sum of its trees.

Rows that turn off alike at a leaf share the answer, so that the cost grows with the number of rows and the number of background rows,
not with their product. The same observation stands behind the fast solutions of Zern, Broelemann and Kasneci 2023 (Interventional SHAP
values and interaction values for piecewise linear regression trees, AAAI 37) and Nadel and Wettenstein 2025 (arXiv:2511.09376).

Letters: N rows, B background rows, F cells, M nodes, P players, O outputs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.probe.hashing import mix
from pellucid.protocols import FloatArray
from pellucid.trees import Forest

__all__ = ["MOST_PLAYERS", "Weigh", "runs", "solve"]

Ints = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint64]
MOST_PLAYERS = 62
"""Most players in the nodes of one tree: the bits of a whole number."""
PAIRS = 2**22
"""Pairs of a row and a node, or of two ways of turning off, that are held at once."""
ODD = np.uint64(0x9E3779B97F4A7C15)
ROWS = 8192
"""Rows that are answered at once."""
LARGE = 1500
"""Mean leaves of a tree above which each row goes down alone: few of the background rows then stay on its way."""
ALIVE = 12
"""About how many nodes of one level of a tree the composed rows of one row come to."""


Weigh = Callable[[int, int, int, int], float]
"""(t, u, a, d) -> the value of a set of t players, u of them among the ``d`` that stay away and the others among the ``a`` that must join,
in the game that is worth 1 where all of the ``a`` have joined and none of the ``d``."""


def solve(
    forest: Forest,
    player: Ints,
    x: FloatArray,
    b: FloatArray,
    share: FloatArray,
    weigh: Weigh,
    order: int = 1,
    players: int | None = None,
) -> FloatArray:
    """Return the values (N, S, O) of the players, and with ``order`` 2 then of all pairs of them, mean over background rows.

    Parameters
    ----------
    player : (F,) the player of each cell; -1 for cells that are the same in all rows.
    x, b : (N, F) and (B, F) cells. share : (B,) weights of the background rows, sum 1.
    players : P where some have no cell; None counts those that have one.

    Cost: about N + B times the number of leaves that some composed row comes to; no call of the model.
    """
    x, b = forest.rounded(x), forest.rounded(b)
    number = _numbers(int(player.max(initial=-1)) + 1 if players is None else players, order)
    out = np.zeros((len(x), int(number.max(initial=-1)) + 1, forest.n_outputs))
    size = min(len(x), ROWS if forest.mean_leaves <= LARGE else 1)
    most = PAIRS if order == 1 else PAIRS // 8  # pairs of players need more memory
    for part in forest.parts(max(1, int(most / (max(ALIVE, forest.mean_leaves / 2) * max(size, len(b))))), most):
        grove = Grove.of(part, player)
        if grove.width == 0:
            continue  # no cell that these trees look at differs: all rows come to the same leaves
        tables = _tables(weigh, grove.width, order)
        for t in range(0, len(x), size):
            ways, others = grove.reached(x[t : t + size], b)
            if len(ways.node):
                out[t : t + size] += _values(grove, ways, others, share, tables, number, out[t : t + size].shape)
    return out


def _numbers(players: int, order: int) -> Ints:
    """Return (P, P) the place of each set of two players among all sets, small ones first; on the diagonal that of the player alone."""
    number = np.diag(np.arange(players))
    if order > 1:
        one, two = np.triu_indices(players, 1)
        number[one, two] = number[two, one] = players + np.arange(len(one))
    return number


def _tables(weigh: Weigh, most: int, order: int) -> dict[tuple[int, int], FloatArray]:
    """Return by (t, u) the values (a, d) of sets of t players, u of whom stay away; 0 where there are no such sets."""
    out = {}
    for t in range(1, order + 1):
        for u in range(t + 1):
            table = np.zeros((most + 1, most + 1))
            for a in range(t - u, most + 1):
                table[a, u : most + 1 - a] = [weigh(t, u, a, d) for d in range(u, most + 1 - a)]
            out[t, u] = table
    return out


@dataclass(frozen=True)
class Grove:
    """Some trees whose players are bits, each tree's counted for itself.

    Attributes
    ----------
    forest : the trees. tree : (M,) the tree of a node. bit : (M,) the player of an inner node; 0 where no rows differ in its cell.
    players : (T, width) which they are, -1 where a tree has fewer.
    """

    forest: Forest
    tree: Ints
    bit: Bits
    players: Ints

    @property
    def width(self) -> int:
        """Most players of one tree."""
        return int(self.players.shape[1])

    @classmethod
    def of(cls, forest: Forest, player: Ints) -> Grove:
        """Return the trees with their players, ``player`` (F,) of each cell."""
        tree = forest.tree
        nodes = np.flatnonzero((forest.left >= 0) & (player[forest.feature] >= 0))
        met, place = np.unique(np.stack([tree[nodes], player[forest.feature[nodes]]], 1), axis=0, return_inverse=True)
        local = np.arange(len(met)) - np.searchsorted(met[:, 0], met[:, 0])
        players = np.full((len(forest.root), int(local.max(initial=-1)) + 1), -1)
        players[met[:, 0], local] = met[:, 1]
        bit = np.zeros(len(forest.left), np.uint64)
        bit[nodes] = np.left_shift(np.uint64(1), local[place.ravel()].astype(np.uint64))
        return cls(forest, tree, bit, players)

    def reached(self, x: FloatArray, b: FloatArray) -> tuple[Ways, Ways]:
        """Return where rows and where background rows turn off alone on the way to each leaf that a composed row may come to.

        Both go down together, level by level; whoever turns off where all others still there turn off too takes part no longer.
        """
        ends: tuple[list[Ways], list[Ways]] = ([], [])
        sides = [Ways.at_roots(self.forest, len(x)), Ways.at_roots(self.forest, len(b))]
        common = [(np.empty(len(self.tree), np.uint64), np.zeros(len(self.tree), bool)) for _ in sides]
        while len(sides[0].node) and len(sides[1].node):
            for side, mine in zip(sides, common):
                side.mark(*mine)
            sides = [side.take(side.meets(*common[1 - k])) for k, side in enumerate(sides)]
            for k, side in enumerate(sides):
                leaf = self.forest.left[side.node] < 0
                ends[k].append(side.take(leaf))
                sides[k] = side.take(~leaf).onwards(self, (x, b)[k])
        return tuple(Ways(*(np.concatenate(e) for e in zip(*found))) for found in ends)  # type: ignore[return-value]


class Ways(NamedTuple):
    """Rows on their way down.

    Attributes
    ----------
    node : (K,) where they are, equal ones in one run. row : (K,). off : (K,) the players at which they turned off alone.
    """

    node: Ints
    row: Ints
    off: Bits

    @classmethod
    def at_roots(cls, forest: Forest, n: int) -> Ways:
        """Return ``n`` rows at each root."""
        roots = forest.root
        return cls(np.repeat(roots, n), np.tile(np.arange(n), len(roots)), np.zeros(n * len(roots), np.uint64))

    def take(self, which: npt.NDArray[np.bool_]) -> Ways:
        """Return some of them."""
        return Ways(self.node[which], self.row[which], self.off[which])

    def mark(self, off: Bits, there: npt.NDArray[np.bool_]) -> None:
        """Write down by node the players at which all rows that are there turned off, and that some are there.

        A node is met on one level only, so that what stands there of other levels does no harm.
        """
        if len(self.node):
            first = np.flatnonzero(np.diff(self.node, prepend=-1))
            off[self.node[first]], there[self.node[first]] = np.bitwise_and.reduceat(self.off, first), True

    def alike(self) -> tuple[Ints, Ints, Bits]:
        """Return the kind (K,) of each, and the kinds' nodes and players: of one kind are those that are alike in both."""
        kind, keys = pd.factorize(mix(self.node.astype(np.uint64)) + self.off * ODD)
        first = np.empty(len(keys), np.int64)
        first[kind[::-1]] = np.arange(len(kind))[::-1]
        return kind, self.node[first], self.off[first]

    def meets(self, off: Bits, there: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Return which of them meet somebody of the other side that did not turn off where they did."""
        return np.asarray(there[self.node] & ((self.off & off[self.node]) == 0))

    def onwards(self, grove: Grove, x: FloatArray) -> Ways:
        """Return the rows (of the cells ``x``) one level down: on their own side of the node, and on the other one having turned off."""
        left = grove.forest.goes_left(x, self.row, self.node)
        turned = self.off | grove.bit[self.node]
        alone = grove.bit[self.node] > 0  # where no player stands behind a node nobody turns off
        out = []
        for child, own in ((grove.forest.left, left), (grove.forest.right, ~left)):
            goes = own | alone
            out.append((child[self.node[goes]], self.row[goes], np.where(own, self.off, turned)[goes]))
        return Ways(*(np.concatenate(o) for o in zip(*out)))


def _values(
    grove: Grove,
    ways: Ways,
    others: Ways,
    share: FloatArray,
    tables: dict[tuple[int, int], FloatArray],
    number: Ints,
    shape: tuple[int, ...],
) -> FloatArray:
    """Return the values (n, S, O) of the leaves that rows come to; rows that turn off alike at a leaf share theirs."""
    kind, leaf, mine = ways.alike()
    pairs = np.triu_indices(grove.width, 1) if (2, 0) in tables else (np.zeros(0, np.int64),) * 2
    each = np.zeros((len(leaf), grove.width + len(pairs[0])))
    other, leaf_b, theirs = others.alike()
    order = np.argsort(leaf_b, kind="stable")
    weight, theirs = np.bincount(other, share[others.row])[order], theirs[order]
    start, end = (np.searchsorted(leaf_b[order], leaf, side=side) for side in ("left", "right"))
    count = end - start
    for s, e in runs(count, PAIRS):
        i = np.repeat(np.arange(s, e), count[s:e])
        k = np.arange(len(i)) - np.repeat(np.cumsum(count[s:e]) - count[s:e], count[s:e]) + np.repeat(start[s:e], count[s:e])
        meets = (mine[i] & theirs[k]) == 0
        met = _Met(i[meets] - s, theirs[k[meets]], mine[s:e], weight[k[meets]], tables)
        each[s:e, : grove.width] = met.alone(grove.width)
        if len(pairs[0]):
            each[s:e, grove.width :] = met.together(grove.width)
    members = [np.concatenate([np.arange(grove.width), side]) for side in pairs]  # a player alone stands on the diagonal
    return _spread(each, members, number, grove, leaf, kind, ways.row, shape)


class _Met:
    """Pairs (k,) of a way of turning off of the rows, one of n, and one of the background rows, which share no player.

    Those of ``theirs`` must join, those of the row's own way ``mine`` (n,) must not.
    """

    def __init__(self, at: Ints, theirs: Bits, mine: Bits, weight: FloatArray, tables: dict[tuple[int, int], FloatArray]) -> None:
        self.at, self.theirs, self.mine, self._weight, self._tables = at, theirs, mine, weight, tables
        self._a, self._d = np.bitwise_count(theirs), np.bitwise_count(mine[at])

    def _weighed(self, t: int, u: int) -> FloatArray:
        return np.asarray(self._weight * self._tables[t, u][self._a, self._d])

    def _sum(self, values: FloatArray, which: Ints | slice = slice(None)) -> FloatArray:
        return np.asarray(np.bincount(self.at[which], values[which], len(self.mine)), np.float64)

    def _holds(self, j: int) -> npt.NDArray[np.bool_]:
        return np.asarray((self.mine & np.uint64(1 << j)) > 0)

    def alone(self, width: int) -> FloatArray:
        """Return the values (n, width) of single players."""
        joins, stays = self._weighed(1, 0), self._sum(self._weighed(1, 1))
        out = [self._sum(joins, np.flatnonzero(self.theirs & np.uint64(1 << j))) + self._holds(j) * stays for j in range(width)]
        return np.stack(out, 1)

    def together(self, width: int) -> FloatArray:
        """Return the values (n, width (width - 1) / 2) of pairs of players."""
        join, part, stay = (self._weighed(2, u) for u in range(3))
        away, out = self._sum(stay), []
        has = [np.flatnonzero(self.theirs & np.uint64(1 << j)) for j in range(width)]
        one = [self._sum(part, at) for at in has]
        for j, k in itertools.combinations(range(width), 2):
            both = has[j][(self.theirs[has[j]] & np.uint64(1 << k)) > 0]
            mine, yours = self._holds(j), self._holds(k)
            out.append(self._sum(join, both) + one[j] * yours + one[k] * mine + away * (mine & yours))
        return np.stack(out, 1)


def runs(count: Ints, most: int) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of runs of counts that add up to about ``most``."""
    total, s = np.cumsum(count), 0
    while s < len(count):
        e = max(s + 1, int(np.searchsorted(total, (total[s - 1] if s else 0) + most, side="right")))
        yield s, e
        s = e


def _spread(
    each: FloatArray, members: list[Ints], number: Ints, grove: Grove, leaf: Ints, kind: Ints, row: Ints, shape: tuple[int, ...]
) -> FloatArray:
    """Return the sum (n, S, O) over the leaves each row comes to of their sets' values (K, sets of a tree) times the leaf's answer."""
    from scipy.sparse import csr_array

    n, p, o = shape
    k, j = np.nonzero(each)
    one, two = (grove.players[grove.tree[leaf[k]], side[j]] for side in members)
    rows = csr_array((np.ones(len(row)), (row, kind)), shape=(n, len(leaf)))
    out = np.empty(shape)
    for q in range(o):
        worth = csr_array((each[k, j] * grove.forest.value[leaf[k], q], (k, number[one, two])), shape=(len(leaf), p))
        out[..., q] = (rows @ worth).toarray()
    return out
