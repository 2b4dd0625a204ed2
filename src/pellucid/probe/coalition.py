"""The coalition engine: what does the model answer when some columns take this row's cells, and the others another row's?

One engine for every method that removes columns. It evaluates (row, background row, coalition) triples; it never evaluates the same
composed row twice while the memory bound holds it, counts the rows it sends to the model, and takes the shortest way the model offers:

* additive networks: the first layer's input is a sum of one part per column, so a composed row costs a few vector sums, not an encoding;
* token networks: cached parts are gathered with ``where``;
* everything else: frames are composed column by column with ``take``, which keeps every dtype.

With a row model the "background rows" are numbered draws: (row, draw, coalition) is the row with its absent players' cells drawn given the
present ones, by the random numbers of that draw. Every method that asks for pairs of rows then works on conditional games unchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.execution import Threads, default_threads, limit_threads
from pellucid.probe.hashing import cell_hashes, mix
from pellucid.probe.masker import Drawer, Players
from pellucid.probe.view import View
from pellucid.protocols import FloatArray
from pellucid.table import Table

if TYPE_CHECKING:
    import torch

__all__ = ["CoalitionEngine"]

Ints = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
MEMORY = 256 * 2**20
CACHE = 4 * 2**20
SEGMENT = 32  # composed rows of one pair evaluated side by side in the additive path


class CoalitionEngine:
    """Evaluates composed rows of R explained rows and B background rows.

    Parameters
    ----------
    view : the predictor, with the outputs asked for.
    rows, background : tables of the predictor's columns.
    players : the P players.
    memory : most bytes of intermediate values.
    drawer : draws the cells of absent players; the background are then its draws with nothing known.

    Attributes
    ----------
    full : (R, O) the model's answers to the rows; empty : (B, O) to the background rows. Both by a direct call.
    row_keys, back_keys : (R,) and (B,) hashes of the rows' contents.
    """

    def __init__(
        self, view: View, rows: Table, background: Table, players: Players, memory: int = MEMORY, drawer: Drawer | None = None
    ) -> None:
        self.view, self.players, self._memory, self.drawn = view, players, memory, drawer is not None
        own = not getattr(view.inner, "foreign", False)
        columns = tuple(view.columns)
        row_hash = cell_hashes(rows, columns, canonical=own)
        back_hash = cell_hashes(background, columns, canonical=own)
        self.row_keys, self.back_keys = (h.sum(1, dtype=np.uint64) for h in (row_hash, back_hash))
        self._row_hash, self._back_hash = players.sum_over_columns(row_hash), players.sum_over_columns(back_hash)
        self._row_cells, self._back_cells = row_hash, back_hash
        self._start = self._back_hash.sum(1, dtype=np.uint64)
        if drawer is None:
            self._path: _Path = _path(view, rows, background, players, memory)
        else:  # a draw has no cells of its own: what is known, and its number, make the composed row
            self._start = mix(np.arange(1, len(background) + 1, dtype=np.uint64))
            self._back_hash = np.zeros_like(self._back_hash)
            self._path = _DrawnPath(view, rows, background, players, memory, drawer)
            self.back_keys = self._start
        self.full, self.empty = self._path.direct(rows), self._path.direct(background)
        self._keys, self._values = np.zeros(0, np.uint64), np.zeros((0, self.full.shape[1]))
        self.forget()

    @property
    def n_outputs(self) -> int:
        """O."""
        return int(self.full.shape[1])

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
        keys = self._start[back]
        for p in range(z.shape[1]):  # player by player keeps the intermediate values small
            keys += np.where(z[:, p], self._row_hash[row, p] - self._back_hash[back, p], np.uint64(0))
        codes, distinct = pd.factorize(keys)
        first = np.empty(len(distinct), np.int64)
        first[codes[::-1]] = np.arange(len(codes))[::-1]
        return self._lookup(np.asarray(distinct), row[first], back[first], z[first])[codes]

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
        """Return v(S) (n, O) for n pairs of a row and a coalition: the mean over background rows, or with ``weights`` (n, B)."""
        size = len(self.empty)
        out = np.empty((len(row), self.n_outputs))
        step = max(1, self._memory // (size * (z.shape[1] + 8 * self.n_outputs + 64)))
        for s in range(0, len(row), step):
            r, m = row[s : s + step], z[s : s + step]
            if weights is None:
                values = self.evaluate(np.repeat(r, size), np.tile(np.arange(size), len(r)), np.repeat(m, size, axis=0))
                out[s : s + step] = values.reshape(len(r), size, -1).mean(1)
            else:
                w = weights[s : s + step]
                i, b = np.nonzero(w)
                values = self.evaluate(r[i], b, m[i]) * w[i, b][:, None]
                out[s : s + step] = 0.0
                np.add.at(out[s : s + step], i, values)
        return out


def _path(view: View, rows: Table, background: Table, players: Players, memory: int) -> _Path:
    if not view.differentiable:
        return _FramePath(view, rows, background, players, memory)
    return (_SumPath if view.additive else _PartPath)(view, rows, background, players, memory)


class _Path:
    """One way of evaluating composed rows."""

    def __init__(self, view: View, rows: Table, background: Table, players: Players, memory: int) -> None:
        self.view, self.players, self.memory = view, players, memory

    def direct(self, table: Table) -> FloatArray:
        """Return the answers to rows as they are."""
        step = max(256, self.memory // (64 * 64 * len(self.view.columns)))
        out = [self.view.raw(table.take(slice(s, s + step))) for s in range(0, len(table), step)]
        return np.concatenate(out) if out else np.zeros((0, len(self.view.outputs)))

    def compose(self, row: Ints, back: Ints, z: BoolArray) -> FloatArray:
        """Return the answers (n, O) to composed rows."""
        raise NotImplementedError  # each path defines its own

    def _in_steps(self, n: int, step: int, answer: Callable[[slice], torch.Tensor]) -> FloatArray:
        """Return ``answer`` (m, O) to each piece of n rows, (n, O); by several threads of one core each where the network allows it.

        That is faster than one piece after the other by all cores: the pieces are too small for cores to share every operation.
        """
        import torch

        def one(piece: slice) -> FloatArray:
            with torch.inference_mode():  # a mode belongs to its thread
                return np.asarray(answer(piece).double().cpu().numpy())

        pieces = [slice(s, s + step) for s in range(0, n, step)]
        threads = min(torch.get_num_threads(), default_threads(), len(pieces)) if self.view.concurrent else 1
        if threads < 2:
            return np.concatenate([one(piece) for piece in pieces])
        with limit_threads(1):
            return np.concatenate(list(Threads(threads).map(one, pieces)))


class _FramePath(_Path):
    """Any model: frames composed column by column."""

    def __init__(self, view: View, rows: Table, background: Table, players: Players, memory: int) -> None:
        super().__init__(view, rows, background, players, memory)
        self._schema, self._library, self._n_rows = background.schema.select(view.columns), background.library, len(rows)
        both = [rows.frame[list(view.columns)], background.frame[list(view.columns)]]
        self._pool = pd.concat(both, ignore_index=True)
        cell = max(16, int(self._pool.head(200).memory_usage(index=False, deep=True).sum() / max(1, min(200, len(self._pool)))))
        self._step = max(1, min(200_000, memory // (4 * cell)))

    def compose(self, row: Ints, back: Ints, z: BoolArray) -> FloatArray:
        out = []
        for s in range(0, len(row), self._step):
            r, b = row[s : s + self._step], back[s : s + self._step] + self._n_rows
            cells = {}
            for j, name in enumerate(self._pool.columns):
                at = np.where(z[s : s + self._step, self.players.of_column[j]], r, b)
                cells[name] = self._pool[name].array.take(at)
            out.append(self.view.raw(Table(pd.DataFrame(cells, copy=False), self._schema, self._library)))
        return np.concatenate(out)


class _DrawnPath(_Path):
    """Any model: the known cells of the row, the others drawn from a row model given them."""

    def __init__(self, view: View, rows: Table, background: Table, players: Players, memory: int, drawer: Drawer) -> None:
        super().__init__(view, rows, background, players, memory)
        self._rows, self._drawer = rows.select(view.columns), drawer
        self._step = max(256, min(16_384, memory // (4 * 2048)))  # a row holds about two hidden states while it is drawn

    def compose(self, row: Ints, back: Ints, z: BoolArray) -> FloatArray:
        out = []
        for s in range(0, len(row), self._step):
            cut = slice(s, s + self._step)
            known = z[cut][:, self.players.of_column]
            out.append(self.view.raw(self._drawer.fill(self._rows.take(row[cut]), known, back[cut])))
        return np.concatenate(out)


class _Pool:
    """Parts of a table's rows by player, (P, W) each: kept where they fit the memory bound, else made from the tokens when asked for."""

    def __init__(self, view: View, table: Table, players: Players | None, memory: int) -> None:
        import torch

        self._view, self._players = view, players
        with torch.inference_mode():
            tokens = [view.tokens(table.take(slice(s, s + 1024))) for s in range(0, len(table), 1024)]
            self._tokens = torch.cat(tokens) if tokens else torch.zeros(0, len(view.columns), 1)
            one = self._make(self._tokens[:1])
            self.width, self.size, self.dtype, self.device = one.shape[-1], one[:1].numel(), one.dtype, one.device
            step = max(1, memory // (16 * max(1, self.size)))
            fits = 4 * self.size * len(table) <= memory // 4
            self._parts = torch.cat([self._make(t) for t in self._tokens.split(step)]) if fits and len(table) else None

    def _make(self, tokens: torch.Tensor) -> torch.Tensor:
        import torch

        parts = self._view.parts(tokens)
        if self._players is None or len(self._players) == parts.shape[1]:
            return parts
        out = parts.new_zeros(len(parts), len(self._players), parts.shape[2])
        return out.index_add_(1, torch.as_tensor(self._players.of_column, device=parts.device), parts)

    def take(self, rows: Ints) -> torch.Tensor:
        """Return the parts of some rows, (n, P, W)."""
        import torch

        if self._parts is not None:  # index_select, not brackets: it copies whole rows, ten times faster
            return self._parts.index_select(0, torch.as_tensor(rows, device=self.device))
        few, back = np.unique(rows, return_inverse=True)
        made = self._make(self._tokens.index_select(0, torch.as_tensor(few, device=self.device)))
        return made.index_select(0, torch.as_tensor(back, device=self.device))


class _PartPath(_Path):
    """Token networks: cached parts, gathered."""

    def __init__(self, view: View, rows: Table, background: Table, players: Players, memory: int) -> None:
        super().__init__(view, rows, background, players, memory)
        self._rows, self._back = _Pool(view, rows, None, memory), _Pool(view, background, None, memory)
        # a block of attention holds about twelve copies of its tokens
        self._step = max(1, min(2048, memory // (4 * 12 * max(1, self._back.size))))

    def compose(self, row: Ints, back: Ints, z: BoolArray) -> FloatArray:
        import torch

        def answer(cut: slice) -> torch.Tensor:
            here = torch.as_tensor(z[cut][:, self.players.of_column], device=self._back.device)
            mixed = torch.where(here[:, :, None], self._rows.take(row[cut]), self._back.take(back[cut]))
            return self.view.from_parts(mixed)

        return self._in_steps(len(row), self._step, answer)


class _SumPath(_Path):
    """Additive networks: H = H_b + Z (A_x - A_b), one small matrix product per pair of rows."""

    def __init__(self, view: View, rows: Table, background: Table, players: Players, memory: int) -> None:
        super().__init__(view, rows, background, players, memory)
        self._rows, self._back = _Pool(view, rows, players, memory), _Pool(view, background, players, memory)
        width = self._back.width
        # a few activations of the width of a part, small enough for the processor's cache
        self._step = max(SEGMENT, min(4096, memory // (4 * 8 * width), CACHE // (4 * width)))

    def compose(self, row: Ints, back: Ints, z: BoolArray) -> FloatArray:
        order = np.lexsort((back, row))

        def answer(cut: slice) -> torch.Tensor:
            at = order[cut]
            return self.view.from_parts(self._hidden(row[at], back[at], z[at]))

        out = np.empty((len(row), len(self.view.outputs)))
        out[order] = self._in_steps(len(order), self._step, answer)
        return out

    def _hidden(self, row: Ints, back: Ints, z: BoolArray) -> torch.Tensor:
        """Return the sums of parts (n, W); the rows come sorted by pair, and segments of one pair share a matrix product."""
        import torch

        n, change = len(row), np.flatnonzero((np.diff(row) != 0) | (np.diff(back) != 0)) + 1
        starts = np.concatenate([[0], change])
        place = np.arange(n) - np.repeat(starts, np.diff(np.append(starts, n)))  # number of the row within its pair
        long = min(SEGMENT, int(place.max()) + 1)
        head = np.flatnonzero(place % long == 0)
        segment = np.repeat(np.arange(len(head)), np.diff(np.append(head, n)))
        padded = torch.zeros(len(head), long, z.shape[1], dtype=self._back.dtype)
        padded[segment, place % long] = torch.as_tensor(z, dtype=padded.dtype)
        device, alone = self._back.device, row[0] == row[-1]  # sorted: then all are the same row, which need not be copied
        own, other = self._rows.take(row[:1] if alone else row[head]), self._back.take(back[head])
        hidden = torch.bmm(padded.to(device), own - other).add_(other.sum(1, keepdim=True)).flatten(0, 1)
        if len(hidden) == n:
            return hidden
        return hidden.index_select(0, torch.as_tensor(segment * long + place % long, device=device))
