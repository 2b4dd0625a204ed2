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

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.probe.hashing import mix
from pellucid.protocols import FloatArray
from pellucid.trees import Forest

__all__ = ["MOST_PLAYERS", "solve"]

Ints = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint64]
MOST_PLAYERS = 62
"""Most players in the nodes of one tree: the bits of a whole number."""
PAIRS = 2**22
"""Pairs of a row and a node, or of two ways of turning off, that are held at once."""
ODD = np.uint64(0x9E3779B97F4A7C15)
ROWS = 8192
"""Rows that are answered at once."""
ALIVE = 12
"""About how many nodes of one level of a tree the composed rows of one row come to."""


def solve(forest: Forest, player: Ints, x: FloatArray, b: FloatArray, share: FloatArray, weigh: Callable[[int, int], float]) -> FloatArray:
    """Return the values (N, P, O) of the players, mean over background rows.

    Parameters
    ----------
    player : (F,) the player of each cell; -1 for cells that are the same in all rows.
    x, b : (N, F) and (B, F) cells. share : (B,) weights of the background rows, sum 1.
    weigh : (a, d) -> the value of one of ``a`` players who must join for a worth of 1 that none of ``d`` others may join.

    Cost: about N + B times the number of leaves that some composed row comes to; no call of the model.
    """
    x, b = forest.rounded(x), forest.rounded(b)
    out = np.zeros((len(x), int(player.max(initial=-1)) + 1, forest.n_outputs))
    size = min(len(x), ROWS)
    for part in forest.parts(max(1, PAIRS // (ALIVE * size)), max(1, PAIRS // len(b))):
        grove = Grove.of(part, player)
        table = _table(weigh, grove.width)
        for t in range(0, len(x), size):
            ways, others = grove.reached(x[t : t + size], b)
            if len(ways.node):
                out[t : t + size] += _values(grove, ways, others, share, table, out[t : t + size].shape)
    return out


def _table(weigh: Callable[[int, int], float], most: int) -> FloatArray:
    """Return (most + 1, most + 1) of the values of one of ``a`` players who must join where ``d`` may not; 0 where there is none."""
    return np.array([[weigh(a, d) if a else 0.0 for d in range(most + 1)] for a in range(most + 1)])


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
        tree = np.searchsorted(forest.root, np.arange(len(forest.left)), side="right") - 1
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
        while len(sides[0].node) and len(sides[1].node):
            common = [side.common(len(self.tree)) for side in sides]
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

    def common(self, size: int) -> tuple[Bits, npt.NDArray[np.bool_]]:
        """Return by node the players at which all rows that are there turned off, and whether any is there."""
        off, there = np.zeros(size, np.uint64), np.zeros(size, bool)
        if len(self.node):
            first = np.flatnonzero(np.diff(self.node, prepend=-1))
            off[self.node[first]], there[self.node[first]] = np.bitwise_and.reduceat(self.off, first), True
        return off, there

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


def _values(grove: Grove, ways: Ways, others: Ways, share: FloatArray, table: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Return the values (n, P, O) of the leaves that rows come to; rows that turn off alike at a leaf share theirs."""
    kind, leaf, mine = ways.alike()
    each = np.zeros((len(leaf), grove.width))
    other, leaf_b, theirs = others.alike()
    order = np.argsort(leaf_b, kind="stable")
    weight, theirs = np.bincount(other, share[others.row])[order], theirs[order]
    start, end = (np.searchsorted(leaf_b[order], leaf, side=side) for side in ("left", "right"))
    count = end - start
    for s, e in _runs(count, PAIRS):
        i = np.repeat(np.arange(s, e), count[s:e])
        k = np.arange(len(i)) - np.repeat(np.cumsum(count[s:e]) - count[s:e], count[s:e]) + np.repeat(start[s:e], count[s:e])
        meets = (mine[i] & theirs[k]) == 0
        i, k = i[meets], k[meets]
        a, d = np.bitwise_count(theirs[k]), np.bitwise_count(mine[i])
        joins, stays = weight[k] * table[a, d], np.bincount(i - s, weight[k] * table[d, a], e - s)
        for j in range(grove.width):
            bit = np.uint64(1 << j)
            at = np.flatnonzero(theirs[k] & bit)
            each[s:e, j] = np.bincount(i[at] - s, joins[at], e - s) - np.where(mine[s:e] & bit, stays, 0.0)
    return _spread(each, grove, leaf, kind, ways.row, shape)


def _runs(count: Ints, most: int) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of runs of counts that add up to about ``most``."""
    total, s = np.cumsum(count), 0
    while s < len(count):
        e = max(s + 1, int(np.searchsorted(total, (total[s - 1] if s else 0) + most, side="right")))
        yield s, e
        s = e


def _spread(each: FloatArray, grove: Grove, leaf: Ints, kind: Ints, row: Ints, shape: tuple[int, ...]) -> FloatArray:
    """Return the sum (n, P, O) over the leaves each row comes to of their players' values (K, width) times the leaf's answer."""
    from scipy.sparse import csr_array

    n, p, o = shape
    k, j = np.nonzero(each)
    who = grove.players[grove.tree[leaf[k]], j]
    rows = csr_array((np.ones(len(row)), (row, kind)), shape=(n, len(leaf)))
    out = np.empty(shape)
    for q in range(o):
        worth = csr_array((each[k, j] * grove.forest.value[leaf[k], q], (k, who)), shape=(len(leaf), p))
        out[..., q] = (rows @ worth).toarray()
    return out
