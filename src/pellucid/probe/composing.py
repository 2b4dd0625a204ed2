"""The ways of composing rows, from the shortest a model offers to the one that serves every model.

Letters: R rows, B background rows, P players, C columns, W width of a part, O outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.execution import Threads, default_threads, limit_threads, to_numpy
from pellucid.probe.masker import Drawer, Players
from pellucid.probe.view import View
from pellucid.protocols import FloatArray
from pellucid.table import Table

if TYPE_CHECKING:
    import torch

__all__ = ["DrawnPath", "FramePath", "Lot", "Path"]

Ints = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
P = TypeVar("P")


class Lot(NamedTuple):
    """m coalitions in each of g pairs of rows, among d players that may be others in every pair.

    Attributes
    ----------
    row, back : (g,) the pairs. players : (g, d).
    local : which of them take the row's cells, (g, m, d), or (m, d) where the same in all pairs.
    half : (g,) pairs that half precision may answer; None for none.
    """

    row: Ints
    back: Ints
    players: Ints
    local: BoolArray
    half: BoolArray | None = None

    def coalitions(self, p: int, games: slice = slice(None)) -> BoolArray:
        """Return the coalitions (g, m, P) of some pairs among all P players."""
        players = self.players[games]
        local = np.broadcast_to(self.local if self.local.ndim == 2 else self.local[games], (len(players), *self.local.shape[-2:]))
        out = np.zeros((*local.shape[:2], p), bool)
        np.put_along_axis(out, np.broadcast_to(players[:, None], local.shape), local, 2)
        return out

    def padded(self, games: int) -> Lot:
        """Return the lot with its last pair repeated until it has so many."""
        at = np.minimum(np.arange(games), len(self.row) - 1)
        return Lot(self.row[at], self.back[at], self.players[at], self.local if self.local.ndim == 2 else self.local[at])

    def by_precision(self) -> Iterator[tuple[Lot, Ints | slice, bool]]:
        """Yield (lot, its places in this one, whether half precision may answer it) of at most two lots."""
        if self.half is None or self.half.all() or not self.half.any():
            yield self, slice(None), self.half is not None and bool(self.half.all())
            return
        for half in (False, True):
            some = np.flatnonzero(self.half == half)
            local = self.local if self.local.ndim == 2 else self.local[some]
            yield Lot(self.row[some], self.back[some], self.players[some], local), some, half


class Path:
    """One way of evaluating composed rows."""

    def __init__(self, view: View, rows: Table, background: Table, players: Players, memory: int) -> None:
        self.view, self.players, self.memory = view, players, memory

    def direct(self, table: Table) -> FloatArray:
        """Return the answers to rows as they are."""
        step = max(256, self.memory // (64 * 64 * len(self.view.columns)))
        out = [self.view.raw(part) for part in table.pieces(step)]
        return np.concatenate(out) if out else np.zeros((0, len(self.view.outputs)))

    _team: Threads | None = None  # kept from call to call: the memory that its threads have used is warm
    plays = False
    """Whether :meth:`play` is faster than looking up what is known."""
    checked = 0
    """Model rows that it cost to see whether a shorter way can be trusted."""
    sloped = False
    """Whether :meth:`rises` says something."""

    def compose(self, row: Ints, back: Ints, z: BoolArray) -> FloatArray:
        """Return the answers (n, O) to composed rows."""
        raise NotImplementedError  # each path defines its own

    def play(self, lots: Sequence[Lot]) -> list[FloatArray]:
        """Return the answers (g, m, O) to the coalitions of each lot."""
        raise NotImplementedError  # where ``plays``

    @property
    def exact_rows(self) -> int | None:
        """Composed rows per explained row up to which enumeration is the shorter way, where composed rows cost no model rows; else None."""
        return None

    @property
    def rows_at_once(self) -> int | None:
        """How many rows are best asked about together; None where that does not matter."""
        return None

    def matters(self, row: Ints, back: Ints) -> BoolArray | None:
        """Return (n, P): which players may change the answers of pairs of rows; None where nothing is known of that."""
        return None

    def rises(self, rows: Ints, back: Ints) -> tuple[FloatArray, FloatArray] | None:
        """Return (r, b, P, O) twice, see :meth:`CoalitionEngine.rises`."""
        return None

    def in_half(self) -> tuple[FloatArray, FloatArray] | None:
        """Return half precision's answers (R, O) to the rows and (B, O) to the background rows; None where it is not the faster one."""
        return None

    @property
    def threads(self) -> int:
        """How many threads may ask at once."""
        if not self.view.concurrent:
            return 1
        import torch

        return min(torch.get_num_threads(), default_threads())

    def _in_steps(self, n: int, step: int, answer: Callable[[slice], torch.Tensor]) -> FloatArray:
        """Return ``answer`` (m, O) to each piece of n rows, (n, O)."""
        return np.concatenate(self._side_by_side(answer, [slice(s, s + step) for s in range(0, n, step)]))

    def _side_by_side(
        self, answer: Callable[[P], torch.Tensor], pieces: Sequence[P], into: Sequence[FloatArray] | None = None
    ) -> list[FloatArray]:
        """Return ``answer`` to each piece; by several threads of one core each where the network allows it.

        That is faster than one piece after the other by all cores: the pieces are too small for cores to share every operation. With
        ``into`` each answer is written to its place there, and nothing is returned.
        """
        import torch

        nothing = np.empty(0)

        def one(k: int) -> FloatArray:
            with torch.inference_mode():  # a mode belongs to its thread
                found = to_numpy(answer(pieces[k]))
            if into is None:
                return found
            into[k][...] = found.reshape(into[k].shape)
            return nothing  # not a part of the answer: one small block kept alive for each piece would keep memory from being used again

        threads = min(self.threads, len(pieces))
        if threads < 2:
            return [one(k) for k in range(len(pieces))]
        if self._team is None or self._team.n != threads:
            self._team = Threads(threads)
        with limit_threads(1):
            return list(self._team.map(one, range(len(pieces))))


class FramePath(Path):
    """Any model: frames composed column by column, of the ``pool`` of rows and background rows."""

    def __init__(self, view: View, rows: Table, background: Table, players: Players, memory: int) -> None:
        super().__init__(view, rows, background, players, memory)
        self._schema, self._library, self._n_rows = background.schema.select(view.columns), background.library, len(rows)
        both = [rows.frame[list(view.columns)], background.frame[list(view.columns)]]
        self.pool = Table(pd.concat(both, ignore_index=True), self._schema, self._library)
        some = self.pool.frame.head(200)
        cell = max(16, int(some.memory_usage(index=False, deep=True).sum() / max(1, len(some))))
        self._step = max(1, min(200_000, memory // (4 * cell)))

    def table(self, row: Ints, back: Ints, z: BoolArray) -> Table:
        """Return the composed rows (n,)."""
        b, cells = back + self._n_rows, {}
        for j, name in enumerate(self.pool.frame.columns):
            cells[name] = self.pool.frame[name].array.take(np.where(z[:, self.players.of_column[j]], row, b))
        return Table(pd.DataFrame(cells, copy=False), self._schema, self._library)

    def compose(self, row: Ints, back: Ints, z: BoolArray) -> FloatArray:
        cuts = [slice(s, s + self._step) for s in range(0, len(row), self._step)]
        return np.concatenate([self.view.raw(self.table(row[c], back[c], z[c])) for c in cuts])


class DrawnPath(Path):
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
