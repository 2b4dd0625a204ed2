"""Composing rows for models made of trees: the answers follow from the leaves that rows come to, and the model is not asked."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pellucid.probe.composing import FramePath, Lot
from pellucid.probe.tree_leaves import Held, Leaves
from pellucid.probe.tree_sum import DEEP, TreeSum
from pellucid.protocols import FloatArray
from pellucid.table import Table

__all__ = ["TreePath"]

Ints = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
EXACT_ROWS = 2**21
"""Composed rows per explained row up to which enumeration takes no longer than sampling."""
SHARE = 8
"""Part of the memory bound that leaves of pairs may take: one in so many."""
TABLE = 64
"""All coalitions of a pair are answered where so many times the coalitions asked for would be no fewer."""
LARGEST_TABLE = 20
WORTH = 8
"""Composed rows for each pair of a row and a background row from which on their leaves are found sooner than the model answers."""


class TreePath(FramePath):
    """Models made of trees, as far as composed rows agree with what was read of them; else rows are composed as for any model."""

    _seen: tuple[FloatArray, ...] = ()

    def direct(self, table: Table) -> FloatArray:
        found = super().direct(table)
        self._seen += (found,)  # the rows, then the background rows: what the trees must answer too
        return found

    @functools.cached_property
    def _leaves(self) -> Leaves | None:
        rows, background = self.pool.take(slice(0, self._n_rows)), self.pool.take(slice(self._n_rows, len(self.pool)))
        if not len(rows) or not len(background):
            return None
        before = self.view.n_calls
        trees = TreeSum.of(self.view, rows, background, self.players, most_leaves=DEEP)
        if trees is None:
            return None
        self.checked = self.view.n_calls - before
        if self._seen and not trees.tells(self._seen[0], self._seen[-1]):
            return None
        return Leaves.of(trees, len(self.players), self.memory // SHARE)

    @property
    def plays(self) -> bool:  # type: ignore[override]
        """Whether the trees answer."""
        return self._leaves is not None

    @property
    def exact_rows(self) -> int | None:
        return None if self._leaves is None else max(1, EXACT_ROWS // self._leaves.trees.forest.n_outputs)

    @property
    def rows_at_once(self) -> int | None:
        return None if self._leaves is None else self._leaves.rows_at_once

    def matters(self, row: Ints, back: Ints) -> BoolArray | None:
        if self._leaves is None:
            return None
        out = np.empty((len(row), len(self.players)), bool)
        for some in self._leaves.groups(row):
            out[some] = self._leaves.held(row[some]).matters(row[some], back[some])
        return out

    def play(self, lots: Sequence[Lot]) -> list[FloatArray]:
        leaves = self._leaves
        assert leaves is not None
        made = [np.empty((len(lot.row), lot.local.shape[-2], len(self.view.outputs))) for lot in lots]
        ends = np.cumsum([0, *(len(lot.row) for lot in lots)])
        for some in leaves.groups(np.concatenate([lot.row for lot in lots])) if lots else ():
            for k, lot in enumerate(lots):
                mine = some[(some >= ends[k]) & (some < ends[k + 1])] - ends[k]
                if len(mine) and lot.local.shape[-2]:
                    self.view.in_time()
                    local = lot.local if lot.local.ndim == 2 else lot.local[mine]
                    made[k][mine] = self._answers(leaves.held(lot.row[mine]), Lot(lot.row[mine], lot.back[mine], lot.players[mine], local))
        return made

    def _answers(self, held: Held, lot: Lot) -> FloatArray:
        d, m = lot.players.shape[1], lot.local.shape[-2]
        if d > LARGEST_TABLE or 2**d > TABLE * m:
            return held.answers(held.sums(lot))
        every = held.answers(held.table(lot))
        at = lot.local @ (1 << np.arange(d))
        return every[:, at] if at.ndim == 1 else np.take_along_axis(every, at[:, :, None], 1)

    def compose(self, row: Ints, back: Ints, z: BoolArray) -> FloatArray:
        if len(row) < WORTH * len(np.unique(row)) * (len(self.pool) - self._n_rows) or self._leaves is None:
            return super().compose(row, back, z)
        order = np.lexsort((back, row))
        first = np.flatnonzero(np.append(True, (np.diff(row[order]) != 0) | (np.diff(back[order]) != 0)))
        count = np.diff(np.append(first, len(row)))
        met = self.matters(row[order[first]], back[order[first]])
        assert met is not None
        out = np.empty((len(row), len(self.view.outputs)))
        # pairs of about as many composed rows, and as many players who matter, are asked about together
        kinds, kind = np.unique(np.stack([np.ceil(np.log2(count)), met.sum(1)]), axis=1, return_inverse=True)
        for k in range(kinds.shape[1]):
            pairs = np.flatnonzero(kind.ravel() == k)
            pair = np.repeat(np.arange(len(pairs)), count[pairs])
            place = np.arange(len(pair)) - np.repeat(np.cumsum(count[pairs]) - count[pairs], count[pairs])
            players = np.nonzero(met[pairs])[1].reshape(len(pairs), -1)
            at, begin = order[first[pairs][pair] + place], order[first[pairs]]
            local = np.zeros((len(pairs), int(count[pairs].max()), players.shape[1]), bool)
            local[pair, place] = np.take_along_axis(z[at], players[pair], 1)
            out[at] = self.play([Lot(row[begin], back[begin], players, local)])[0][pair, place]
        return out
