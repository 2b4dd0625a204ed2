"""The coalition engine: what does the model answer when some columns take this row's cells, and the others another row's?

One engine for every method that removes columns. It evaluates (row, background row, coalition) triples; it never evaluates the same
composed row twice while the memory bound holds it, counts the rows it sends to the model, and takes the shortest way the model offers:

* additive networks: the first layer's input is a sum of one part per column, so a composed row costs a few vector sums, not an encoding;
* models made of trees: what a pair's composed rows add up to is read off the leaves they come to, and the model is not asked;
* token networks: cached parts are gathered with ``where``;
* everything else: frames are composed column by column with ``take``, which keeps every dtype.

Two ways in: :meth:`CoalitionEngine.evaluate` for any triples, whose answers are kept and found again, and :meth:`CoalitionEngine.play` for
many coalitions of each pair of rows. Networks answer the latter without any look-up: so few composed rows meet again there that finding
them costs more than they do.

With a row model the "background rows" are numbered draws: (row, draw, coalition) is the row with its absent players' cells drawn given the
present ones, by the random numbers of that draw. Every method that asks for pairs of rows then works on conditional games unchanged.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import RequestError
from pellucid.probe.composing import DrawnPath, FramePath, Lot, Path
from pellucid.probe.hashing import cell_hashes, mix
from pellucid.probe.masker import Drawer, Players
from pellucid.probe.network_paths import PartPath, SumPath
from pellucid.probe.tree_path import TreePath
from pellucid.probe.view import View
from pellucid.protocols import FloatArray
from pellucid.table import Table

__all__ = ["FORESEEN", "CoalitionEngine", "Lot"]

Ints = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
MEMORY = 256 * 2**20
PILOT = 256
"""Composed rows on which a model is timed before many are asked for within seconds."""
FORESEEN = 40 * PILOT
"""Composed rows from which on they are many."""


class CoalitionEngine:
    """Evaluates composed rows of R explained rows and B background rows.

    Parameters
    ----------
    view : the predictor, with the outputs asked for.
    rows, background : tables of the predictor's columns.
    players : the P players.
    memory : most bytes of intermediate values.
    drawer : draws the cells of absent players; the background are then its draws with nothing known.
    trees : whether a model made of trees may be read instead of asked, which costs ``CHECKED`` model rows once.

    Attributes
    ----------
    full : (R, O) the model's answers to the rows; empty : (B, O) to the background rows. Both by a direct call.
    row_keys, back_keys : (R,) and (B,) hashes of the rows' contents.
    """

    def __init__(
        self,
        view: View,
        rows: Table,
        background: Table,
        players: Players,
        memory: int = MEMORY,
        drawer: Drawer | None = None,
        trees: bool = True,
    ) -> None:
        self.view, self.players, self._memory, self.drawn = view, players, memory, drawer is not None
        own = not getattr(view.inner, "foreign", False)
        columns = tuple(view.columns)
        row_hash = cell_hashes(rows, columns, canonical=own)
        alone = background is rows  # rows that lend each other cells: all is made of them once
        back_hash = row_hash if alone else cell_hashes(background, columns, canonical=own)
        self.row_keys, self.back_keys = (h.sum(1, dtype=np.uint64) for h in (row_hash, back_hash))
        self._row_hash, self._back_hash = players.sum_over_columns(row_hash), players.sum_over_columns(back_hash)
        self._row_cells, self._back_cells = row_hash, back_hash
        self._start = self._back_hash.sum(1, dtype=np.uint64)
        if drawer is None:
            self._path: Path = _path_of(view, rows, background, players, memory, trees)
        else:  # a draw has no cells of its own: what is known, and its number, make the composed row
            self._start = mix(np.arange(1, len(background) + 1, dtype=np.uint64))
            self._back_hash = np.zeros_like(self._back_hash)
            self._path = DrawnPath(view, rows, background, players, memory, drawer)
            self.back_keys = self._start
        self.full = self._path.direct(rows)
        self.empty = self.full if alone and drawer is None else self._path.direct(background)
        self._keys, self._values = np.zeros(0, np.uint64), np.zeros((0, self.full.shape[1]))
        self.forget()

    @property
    def n_outputs(self) -> int:
        """O."""
        return int(self.full.shape[1])

    @property
    def threads(self) -> int:
        """How many threads may play (:meth:`play`) at once; 1 where answers are looked up, or the model takes one question at a time."""
        return self._path.threads if self._path.plays else 1

    def differ(self, row: Ints, back: Ints) -> BoolArray:
        """Return (n, P): whether a player's cells differ between the rows of each pair.

        A player that does not differ has left the game of that pair: its contribution is exactly 0.
        """
        if self.drawn:  # under another coalition a draw may hold other cells
            return np.ones((len(row), len(self.players)), bool)
        return self.players.any_over_columns(self._row_cells[row] != self._back_cells[back])

    def evaluate(self, row: Ints, back: Ints, z: BoolArray) -> FloatArray:
        """Return the answers (n, O) to n composed rows: players in ``z`` (n, P) take row ``row``'s cells, the others row ``back``'s.

        Equal composed rows are evaluated once, whichever pair they come from.
        """
        if len(row) == 0:
            return np.zeros((0, self.n_outputs))
        if len(row) >= FORESEEN and np.isfinite(self.view.until):
            self.foresee(len(row), lambda some: self._evaluate(row[some], back[some], z[some]))
        return self._evaluate(row, back, z)

    def _evaluate(self, row: Ints, back: Ints, z: BoolArray) -> FloatArray:
        keys = self._start[back]
        for p in range(z.shape[1]):  # player by player keeps the intermediate values small
            keys += np.where(z[:, p], self._row_hash[row, p] - self._back_hash[back, p], np.uint64(0))
        codes, distinct = pd.factorize(keys)
        first = np.empty(len(distinct), np.int64)
        first[codes[::-1]] = np.arange(len(codes))[::-1]
        return self._lookup(np.asarray(distinct), row[first], back[first], z[first])[codes]

    def foresee(self, n: int, ask: Callable[[Ints], Any]) -> None:
        """Refuse ``n`` composed rows that cannot be answered in what is left of the seconds asked for, before they are begun; see
        :meth:`foretold`."""
        needed, left = self.foretold(n, ask, self.view.until)
        if needed > left:
            raise RequestError(
                "the time budget does not reach for an answer",
                expected=f"about {needed:.0f} s for {n:,} composed rows of {len(self.players)} columns",
                got=f"{max(left, 0.0):.1f} s at the most",
                do="raise budget=, explain fewer rows at a time, pass fewer rows as background=, or put columns into groups=",
            )

    def foretold(self, n: int, ask: Callable[[Ints], Any], until: float) -> tuple[float, float]:
        """Return (the seconds that ``n`` composed rows will take at least, those left ``until`` then). ``ask`` asks for some of them.

        Their pace is what more of them take longer than fewer: what a call costs by itself is left out, so that nothing is refused which
        might be in time. Cost: 6 to 10 times ``PILOT`` composed rows.
        """
        draw = np.random.default_rng(0)

        def timed(size: int) -> float:
            some = np.sort(draw.integers(0, n, size))
            began = time.perf_counter()
            ask(some)
            return time.perf_counter() - began

        timed(PILOT)  # the first call may load and compile
        few, needed, left = timed(PILOT), np.inf, 0.0
        for _ in range(2):  # a machine that was busy for a moment refuses nothing
            needed = min(needed, (timed(4 * PILOT) - few) / (3 * PILOT) * n)
            if needed <= (left := until - time.perf_counter()):
                break
        return needed, left

    def play(self, lots: Sequence[Lot]) -> list[FloatArray]:
        """Return the answers (g, m, O) to the coalitions of each lot.

        Models are asked at once, for all lots together: many take as long for a few rows as for hundreds. Of networks nothing is kept,
        others go by :meth:`evaluate`.
        """
        if self._path.plays:
            return self._path.play(lots)
        if not lots:
            return []
        asked = [lot.coalitions(len(self.players)) for lot in lots]
        row, back = (np.concatenate([np.repeat(getattr(lot, side), z.shape[1]) for lot, z in zip(lots, asked)]) for side in ("row", "back"))
        values = self.evaluate(row, back, np.concatenate([z.reshape(-1, z.shape[2]) for z in asked]))
        ends = np.cumsum([z.shape[0] * z.shape[1] for z in asked])[:-1]
        return [v.reshape(*z.shape[:2], self.n_outputs) for v, z in zip(np.split(values, ends), asked)]

    def rises(self, rows: Ints, back: Ints) -> tuple[FloatArray, FloatArray] | None:
        """Return what each player would add if the network were a plane: by its slopes at the rows, and by those at background rows.

        Each (r, b, P, O), for all pairs of ``rows`` (r,) and ``back`` (b,). None where the model shows no slopes. Their mean is the Shapley
        value wherever the network is quadratic between the two. Cost: one pass with gradient per row and output, and one per background row
        once; the r b pairs cost a product of matrices.
        """
        return None if self.drawn else self._path.rises(rows, back)

    @property
    def slopes(self) -> bool:
        """Whether the model shows slopes, so that :meth:`rises` says something."""
        return self._path.sloped and not self.drawn

    @property
    def checked(self) -> int:
        """Model rows that it cost to see whether a shorter way can be trusted."""
        return self._path.checked + (self.view.distrusted or 0)

    @property
    def exact_rows(self) -> int | None:
        """Composed rows per explained row up to which enumeration is the shorter way, where they cost no model rows; else None."""
        return self._path.exact_rows

    @property
    def rows_at_once(self) -> int | None:
        """How many rows are best asked about together; None where that does not matter."""
        return self._path.rows_at_once

    def active(self, row: Ints, back: Ints) -> BoolArray:
        """Return (n, P): which players may change the answer between the rows of each pair: those that differ and, in trees, are met."""
        differ, matters = self.differ(row, back), self._path.matters(row, back)
        return differ if matters is None else differ & matters

    @functools.cached_property
    def rounding(self) -> tuple[FloatArray, FloatArray] | None:
        """How far off half precision answers the rows (R, O) and the background rows (B, O); None where it is not the faster one, or fails.

        Cost: one pass in half precision over both.
        """
        found = None if self.drawn else self._path.in_half()
        if found is None:
            return None
        off = found[0] - self.full, found[1] - self.empty
        return off if all(np.isfinite(o).all() for o in off) else None

    def _lookup(self, keys: npt.NDArray[np.uint64], row: Ints, back: Ints, z: BoolArray) -> FloatArray:
        at = np.searchsorted(self._keys, keys)
        known = at < len(self._keys)
        known[known] = self._keys[at[known]] == keys[known]
        out = np.empty((len(keys), self.n_outputs))
        out[known] = self._values[at[known]]
        new = np.flatnonzero(~known)
        if len(new):
            out[new] = self._path.compose(row[new], back[new], z[new])
            self._store(keys[new], out[new])
        return out

    def _store(self, keys: npt.NDArray[np.uint64], values: FloatArray) -> None:
        most = self._memory // (4 * 8 * (1 + values.shape[1]))
        if len(self._keys) + len(keys) > most:
            self.forget()
        if len(keys) > most:
            return
        keys, values = np.concatenate([self._keys, keys]), np.concatenate([self._values, values])
        order = np.argsort(keys)
        self._keys, self._values = keys[order], values[order]

    def forget(self) -> None:
        """Empty the cache, but for the rows that were evaluated directly."""
        rows = (self.row_keys[:0], self.full[:0]) if self.drawn else (self.row_keys, self.full)
        self._keys, at = np.unique(np.concatenate([rows[0], self.back_keys]), return_index=True)
        self._values = np.concatenate([rows[1], self.empty])[at]

    def mean_over_background(self, row: Ints, z: BoolArray, weights: FloatArray | None = None) -> FloatArray:
        """Return v(S) (n, O) for n pairs of a row and a coalition: the mean over background rows.

        Or with ``weights`` (n, B), or (n, K, B) of K means that share what is evaluated: then (n, K O), mean by mean.
        """
        size, means = len(self.empty), 1 if weights is None or weights.ndim == 2 else weights.shape[1]
        out = np.empty((len(row), means * self.n_outputs))
        if weights is None and len(row) * size >= FORESEEN and np.isfinite(self.view.until):
            self.foresee(len(row) * size, lambda some: self._evaluate(row[some // size], some % size, z[some // size]))
        step = max(1, self._memory // (size * (z.shape[1] + 8 * means * self.n_outputs + 64)))
        for s in range(0, len(row), step):
            r, m = row[s : s + step], z[s : s + step]
            if weights is None:
                values = self._evaluate(np.repeat(r, size), np.tile(np.arange(size), len(r)), np.repeat(m, size, axis=0))
                out[s : s + step] = values.reshape(len(r), size, -1).mean(1)
            else:
                w = weights[s : s + step].reshape(len(r), means, size)
                i, b = np.nonzero(w.any(1))  # pair by pair, and each has a background row
                terms = w[i, :, b][:, :, None] * self.evaluate(r[i], b, m[i])[:, None]
                out[s : s + step] = np.add.reduceat(terms.reshape(len(i), -1), np.searchsorted(i, np.arange(len(r))), axis=0)
        return out


def _path_of(view: View, rows: Table, background: Table, players: Players, memory: int, trees: bool) -> Path:
    if not view.differentiable:
        return (TreePath if trees and view.trees() is not None else FramePath)(view, rows, background, players, memory)
    return (SumPath if view.additive else PartPath)(view, rows, background, players, memory)
