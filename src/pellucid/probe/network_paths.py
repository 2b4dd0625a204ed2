"""Composing rows for networks: their cells enter as parts, made once per row.

Letters: R rows, B background rows, P players, C columns, W width of a part, O outputs.
"""

from __future__ import annotations

import copy
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pellucid.execution import to_numpy
from pellucid.probe.composing import Lot, Path
from pellucid.probe.coupling import Coupling, rises
from pellucid.probe.half import pays
from pellucid.probe.masker import Players
from pellucid.probe.view import View
from pellucid.protocols import FloatArray
from pellucid.table import Table

if TYPE_CHECKING:
    import torch

__all__ = ["PartPath", "SumPath"]

Ints = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
CACHE = 2**20  # of activations at a time, half of a core's cache
HALF_WIDTH = 64  # of tokens, from which on a processor gains by half precision
SEGMENT = 32  # composed rows of one pair evaluated side by side in the additive path
FEW = 4  # composed rows of one pair from which on its parts are made where none are kept
UNKEPT = 1024  # composed rows evaluated side by side where their parts are made for them alone


class NetPath(Path):
    """What networks of both kinds share: lots played piece by piece, and slopes."""

    plays = sloped = True
    _step: int
    _half_step: int
    _most_games = 1 << 30  # pairs of rows in one piece
    _half_gains = True  # whether products are most of the network's time
    _slopes_of_back: torch.Tensor | None = None
    _slopes_of_pairs: torch.Tensor | None = None

    def __init__(
        self, view: View, rows: Table, background: Table, players: Players, memory: int, by: Players | None = None
    ) -> None:  # fmt: skip
        """``by``: the players whose parts are added up; None keeps those of the columns."""
        super().__init__(view, rows, background, players, memory)
        self._once = threading.Lock()  # several threads may ask; what serves all of them is made by one
        self._rows = _Pool(view, rows, by, memory)
        self._back = self._rows if background is rows else _Pool(view, background, by, memory)
        self._pairs = self._back.pairs

    def play(self, lots: Sequence[Lot]) -> list[FloatArray]:
        steps = {False: self._step, True: self._half_step}
        made = [np.empty((len(lot.row), lot.local.shape[-2], len(self.view.outputs))) for lot in lots]
        pieces, into, apart, too_many = [], [], [], 0
        for out, lot in zip(made, lots):
            for real, places, half in lot.by_precision():
                full = real.padded(_round_size(len(real.row), out.shape[1], self._half_step)) if half else real
                whole = isinstance(places, slice) and len(full.row) == len(out)  # a part filled up may be as long, in other places
                values = out if whole else np.empty((len(full.row), *out.shape[1:]))
                for games, some in _cuts(len(full.row), out.shape[1], steps[half], self._most_games):
                    pieces.append((full, games, some, half))
                    into.append(values[games, some])
                if not whole:
                    apart.append((out, places, values[: len(real.row)]))
                too_many += (len(full.row) - len(real.row)) * out.shape[1]
        self._side_by_side(lambda p: self.view.from_parts(self._composed(*p), half=p[3]), pieces, into)
        for out, places, values in apart:
            out[places] = values
        self.view.uncount(too_many)
        return made

    def in_half(self) -> tuple[FloatArray, FloatArray] | None:
        if not self._half_gains or not pays(self._back.device) or self._back.dtype.itemsize != 4:
            return None
        try:
            return self._whole_in_half(self._rows), self._whole_in_half(self._back)
        except RuntimeError:  # networks of others may mix precisions in ways that fail: they are asked in full precision
            return None

    def _whole_in_half(self, pool: _Pool) -> FloatArray:
        """Return half precision's answers (n, O) to the rows of a pool."""

        def answer(cut: slice) -> torch.Tensor:
            return self.view.from_parts(self._whole(pool.halved, np.arange(len(pool))[cut]), half=True)

        return self._in_steps(len(pool), self._step, answer) if len(pool) else np.zeros((0, len(self.view.outputs)))

    def _composed(self, lot: Lot, games: slice, some: slice, half: bool) -> torch.Tensor:
        """Return what the network reads of some coalitions ``some`` of the pairs ``games`` of a lot."""
        raise NotImplementedError  # each kind its own

    def _pools(self, half: bool) -> tuple[_Pool, _Pool]:
        return (self._rows.halved, self._back.halved) if half else (self._rows, self._back)

    def _slopes(self, points: torch.Tensor, ask: Callable[[torch.Tensor], torch.Tensor] | None = None) -> torch.Tensor | None:
        """Return the gradients (n, O, ...) of the outputs by what the network reads (n, ...); None where it has none.

        ``ask`` : from what is read to outputs; the entrance of parts where none is given.
        """
        import torch

        out, step = [], min(1024, max(1, self.memory // (256 * max(1, points[:1].numel()))))
        for some in points.split(step):
            with torch.inference_mode(False), torch.enable_grad():
                x = some.clone().requires_grad_()
                answers = (ask or self.view.from_parts)(x)
                if not answers.requires_grad:
                    return None
                o = range(answers.shape[1])
                found = [torch.autograd.grad(answers[:, k].sum(), x, retain_graph=k < o[-1], allow_unused=True)[0] for k in o]
                out.append(torch.stack([torch.zeros_like(x) if g is None else g for g in found], 1))
        return torch.cat(out)

    def rises(self, rows: Ints, back: Ints) -> tuple[FloatArray, FloatArray] | None:
        import torch

        with torch.inference_mode():
            if not self._slopes_known():
                return None
            (slopes, mine), (of_back, theirs) = self._slopes_at(self._rows, rows), self._slopes_at(self._back, back)
            made = tuple(np.empty((len(rows), len(back), len(self.players), len(self.view.outputs))) for _ in range(2))
            for r in self._some_parts(len(rows)):
                own = self._rows.take(rows[r])
                for b in self._some_parts(len(back)):
                    found = self._products(slopes[r], of_back[b], own, self._back.take(back[b]))
                    for out, values in zip(made, found):
                        out[r, b] = to_numpy(values)
            if self._pairs is not None:
                assert mine is not None
                assert theirs is not None
                more = rises(mine, theirs, self._rows.bases(rows), self._back.bases(back), self._pairs.players, len(self.players))
                made[0][:], made[1][:] = made[0] + to_numpy(more[0]), made[1] + to_numpy(more[1])
        return made[0], made[1]

    def _slopes_known(self) -> bool:
        """Find the slopes at all background rows, once; False where the network has none."""
        with self._once:
            if self._slopes_of_back is None:
                every = np.arange(len(self._back))
                self._slopes_of_back = self._slopes(self._whole(self._back, every))
                self._slopes_of_pairs = self._by_bases(self._slopes_of_back, self._back, every)
            return self._slopes_of_back is not None

    def _slopes_at(self, pool: _Pool, rows: Ints) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the slopes at some rows of a pool, (n, O, ...), and those by what pairs of columns read; known where rows lend cells."""
        import torch

        if pool is self._back:
            at, known = torch.as_tensor(rows, device=pool.device), (self._slopes_of_back, self._slopes_of_pairs)
            slopes, by_bases = (None if k is None else k[at] for k in known)
        else:
            slopes = self._slopes(self._whole(pool, rows))
            by_bases = self._by_bases(slopes, pool, rows)
        assert slopes is not None
        return slopes, by_bases

    def _by_bases(self, slopes: torch.Tensor | None, pool: _Pool, rows: Ints) -> torch.Tensor | None:
        """Return the slopes (n, O, P', V) of the outputs by what pairs of columns read of some rows; None where no columns are coupled."""
        return None if slopes is None or self._pairs is None else self._pairs.slopes(slopes, pool.bases(rows))

    def _some_parts(self, n: int) -> list[slice]:
        """Return n rows in pieces whose parts stay within the memory bound."""
        step = max(1, self.memory // (16 * max(1, self._back.size)))
        return [slice(s, min(s + step, n)) for s in range(0, n, step)]

    def _by_column(
        self, at_row: torch.Tensor, at_back: torch.Tensor, own: torch.Tensor, other: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return slopes by columns' vectors (r, O, C, D), (b, O, C, D) times differences of these vectors, (r, b, P, O) twice."""
        import torch

        alone = len(self.players) == own.shape[1]
        of = None if alone else torch.as_tensor(self.players.of_column, device=own.device)
        return rises(at_row, at_back, own, other, of, len(self.players))

    def _whole(self, pool: _Pool, rows: Ints) -> torch.Tensor:
        """Return what the network reads of whole rows."""
        return pool.take(rows)

    def _products(
        self, at_row: torch.Tensor, at_back: torch.Tensor, own: torch.Tensor, other: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return slopes times differences of parts, (r, b, P, O) twice."""
        raise NotImplementedError  # each kind its own


def _cuts(games: int, coalitions: int, step: int, most: int) -> Iterator[tuple[slice, slice]]:
    """Yield (pairs, coalitions) of about ``step`` composed rows each, of ``most`` pairs."""
    per, width = max(1, min(most, step // max(1, coalitions))), min(step, max(1, coalitions))
    for g in range(0, games, per):
        for m in range(0, coalitions, width):
            yield slice(g, g + per), slice(m, m + width)


def _round_size(games: int, coalitions: int, step: int) -> int:
    """Return a number of pairs, not below ``games``, that gives pieces of few different sizes.

    A processor's library writes code anew for each size of a product in half precision, which takes longer than most products, and keeps
    it. So pieces are whole ones, eighths of one, or of 1, 2, 4 and so on pairs where they are smaller.
    """
    per = max(1, step // max(1, coalitions))
    eighth, rest = max(1, per // 8), games % per
    size = -(-rest // eighth) * eighth if rest > eighth else 1 << max(0, rest - 1).bit_length() if rest else 0
    return games - rest + min(size, per)


class _Pool:
    """Parts of a table's rows by player, (P, W) each: kept where they fit the memory bound, else made from the tokens when asked for."""

    _last: tuple[np.int64, torch.Tensor] | None = None  # the row whose parts were made last, alone

    def __init__(self, view: View, table: Table, players: Players | None, memory: int) -> None:
        import torch

        self._view, self._players, self._memory = view, players, memory
        with torch.inference_mode():
            tokens = [view.tokens(part) for part in table.pieces(1024)]
            self._tokens = torch.cat(tokens) if tokens else torch.zeros(0, len(view.columns), 1)
            one = self._made(self._tokens[:1])
            self.width, self.size, self.dtype, self.device = one.shape[-1], one[:1].numel(), one.dtype, one.device
            self.pairs = None if players is None else Coupling.of(view, players, self.device)
            self._keep()

    def _keep(self) -> None:
        """Make all parts where they fit, and their sums."""
        import torch

        fits = self.dtype.itemsize * self.size * len(self) <= self._memory // 4
        kept = torch.cat([self._make(t) for t in self._tokens.split(self._piece)]) if fits and len(self) else None
        self._parts, self._sums = kept, None if kept is None else kept.sum(1)

    @property
    def _piece(self) -> int:
        """Rows whose parts are made at a time."""
        return max(1, self._memory // (16 * max(1, self.size)))

    @functools.cached_property
    def _bases(self) -> torch.Tensor:
        import torch

        assert self.pairs is not None
        return torch.cat([self.pairs.network.bases(t) for t in self._tokens.split(1024)])

    def bases(self, rows: Ints) -> torch.Tensor:
        """Return what pairs of columns read of some rows, (n, P', V)."""
        import torch

        return self._bases.index_select(0, torch.as_tensor(rows, device=self.device))

    @functools.cached_property
    def halved(self) -> _Pool:
        """The same parts in half precision."""
        import torch

        out = copy.copy(self)
        out.dtype, out._last = torch.bfloat16, None
        with torch.inference_mode():
            if self._parts is None:
                out._keep()  # half as large, they may fit
            else:
                assert self._sums is not None
                out._parts, out._sums = self._parts.to(out.dtype), self._sums.to(out.dtype)
        return out

    def __len__(self) -> int:
        return len(self._tokens)

    @property
    def kept(self) -> bool:
        """Whether the parts lie in memory."""
        return self._parts is not None

    @property
    def parts(self) -> torch.Tensor:
        """The parts (n, P, W) of all rows, where they are kept."""
        assert self._parts is not None
        return self._parts

    def _make(self, tokens: torch.Tensor) -> torch.Tensor:
        return self._made(tokens).to(self.dtype)

    def _made(self, tokens: torch.Tensor) -> torch.Tensor:
        import torch

        parts = self._view.parts(tokens)
        if self._players is None or len(self._players) == parts.shape[1]:
            return parts
        out = parts.new_zeros(len(parts), len(self._players), parts.shape[2])
        return out.index_add_(1, torch.as_tensor(self._players.of_column, device=parts.device), parts)

    def tokens(self, rows: Ints) -> torch.Tensor:
        """Return the tokens of some rows, (n, C, D)."""
        import torch

        return self._tokens.index_select(0, torch.as_tensor(rows, device=self.device))

    def take(self, rows: Ints) -> torch.Tensor:
        """Return the parts of some rows, (n, P, W)."""
        import torch

        if self._parts is not None:  # index_select, not brackets: it copies whole rows, ten times faster
            return self._parts.index_select(0, torch.as_tensor(rows, device=self.device))
        few, back = np.unique(rows, return_inverse=True)
        last, made = self._last if self._last is not None else (None, None)
        if made is None or len(few) != 1 or few[0] != last:
            made = self._make(self.tokens(few))
        if len(few) == 1:  # an explained row plays one game after the other
            self._last = few[0], made
        return made if len(rows) == 1 else made.index_select(0, torch.as_tensor(back, device=self.device))

    def some(self, rows: Ints, players: Ints) -> torch.Tensor:
        """Return the parts (n, d, W) of some rows (n,), of the players (n, d) alone."""
        import torch

        if self._parts is None:
            at = torch.as_tensor(players, device=self.device)[..., None].expand(-1, -1, self.width)
            return torch.gather(self.take(rows), 1, at)
        at = torch.as_tensor((rows[:, None] * self._parts.shape[1] + players).ravel(), device=self.device)
        return self._parts.flatten(0, 1).index_select(0, at).view(*players.shape, -1)

    def sums(self, rows: Ints) -> torch.Tensor:
        """Return what the network reads of some rows: the sums of their parts and the terms of their pairs, (n, W)."""
        sums = self.sums_of_parts(rows)
        return sums if self.pairs is None else self.pairs.into(sums, self.pairs.terms(self.bases(rows)))

    def sums_of_parts(self, rows: Ints) -> torch.Tensor:
        """Return the sums of all parts of some rows, (n, W)."""
        import torch

        if self._sums is None and self.dtype.itemsize * self.width * len(self) <= self._memory // 8:
            self._sums = self._summed(self._tokens)  # far smaller than the parts, and asked for again with every game
        if self._sums is not None:
            return self._sums.index_select(0, torch.as_tensor(rows, device=self.device))
        few, back = np.unique(rows, return_inverse=True)
        return self._summed(self.tokens(few)).index_select(0, torch.as_tensor(back, device=self.device))

    def _summed(self, tokens: torch.Tensor) -> torch.Tensor:
        import torch

        return torch.cat([self._make(t).sum(1) for t in tokens.split(self._piece)])


class PartPath(NetPath):
    """Token networks: cached parts, gathered."""

    def __init__(self, view: View, rows: Table, background: Table, players: Players, memory: int) -> None:
        super().__init__(view, rows, background, players, memory)
        # a block of attention holds about twelve copies of its tokens; one copy should stay near the cache
        tokens = self._back.tokens(np.zeros(min(1, len(self._back)), np.int64))
        size = 4 * max(1, tokens.numel())
        self._step = max(1, min(2048, memory // (12 * size), max(64, 2 * CACHE // size)))
        self._half_step = self._step
        # of narrow tokens attention's copies, softmax and norms take as long as its products
        self._half_gains = self._back.device.type != "cpu" or tokens.shape[-1] >= HALF_WIDTH

    def compose(self, row: Ints, back: Ints, z: BoolArray) -> FloatArray:

        def answer(cut: slice) -> torch.Tensor:
            own, of_row = np.unique(row[cut], return_inverse=True)
            other, of_back = np.unique(back[cut], return_inverse=True)
            return self.view.from_parts(self._gathered(z[cut], self._rows.take(own), of_row, self._back.take(other), of_back))

        return self._in_steps(len(row), self._step, answer)

    def _composed(self, lot: Lot, games: slice, some: slice, half: bool) -> torch.Tensor:
        z = lot.coalitions(len(self.players), games)[:, some]
        (g, m), (rows, back) = z.shape[:2], self._pools(half)
        pair = np.repeat(np.arange(g), m)
        return self._gathered(z.reshape(g * m, -1), rows.take(lot.row[games]), pair, back.take(lot.back[games]), pair)

    def _gathered(self, z: BoolArray, own: torch.Tensor, of_row: Ints, other: torch.Tensor, of_back: Ints) -> torch.Tensor:
        """Return composed rows (n, C, W): of row ``own[of_row]`` where a column's player is in z (n, P), else of row ``other[of_back]``.

        Whole parts are copied, which is many times as fast as choosing number by number.
        """
        import torch

        line = np.where(z[:, self.players.of_column], of_row[:, None], len(own) + of_back[:, None]) * own.shape[1]
        line += np.arange(own.shape[1])
        at = torch.as_tensor(line.ravel(), device=own.device)
        return torch.cat([own, other]).flatten(0, 1).index_select(0, at).view(*line.shape, -1)

    def _products(
        self, at_row: torch.Tensor, at_back: torch.Tensor, own: torch.Tensor, other: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return self._by_column(at_row, at_back, own, other)


class _Bank:
    """What pairs of rows read of additive networks in half precision, as rows of one matrix: parts of the rows, of the background rows,
    and these rows' sums.

    A pair's are copied at once and never subtracted: H = [Z, -Z, 1] [A_x; A_b; H_b] is one product, in units that are half empty without
    it. The mean part of a player is taken off both sides' parts, which changes no difference of the two and leaves less to round.
    """

    def __init__(self, own: _Pool, other: _Pool) -> None:
        import torch

        mine, theirs = own.parts, other.parts
        middle = theirs.mean(0)
        pieces = [(mine - middle).flatten(0, 1), (theirs - middle).flatten(0, 1), other.sums(np.arange(len(other)))]
        self._matrix = torch.cat(pieces).to(torch.bfloat16)
        self.dtype, self.device = self._matrix.dtype, self._matrix.device
        self._players, self._other, self._sums = mine.shape[1], len(pieces[0]), len(pieces[0]) + len(pieces[1])

    def composed(self, row: Ints, back: Ints, players: Ints, z: torch.Tensor) -> torch.Tensor:
        """Return the sums (g m, W) of coalitions z (g, m, d) or (m, d) of the players (g, d) in pairs of rows (g,)."""
        import torch

        d = players.shape[1]
        at = np.empty((len(row), 2 * d + 1), np.int64)
        np.add(row[:, None] * self._players, players, out=at[:, :d])
        np.add(back[:, None] * self._players + self._other, players, out=at[:, d:-1])
        np.add(back, self._sums, out=at[:, -1])
        read = self._matrix.index_select(0, torch.as_tensor(at.ravel(), device=self.device)).view(*at.shape, -1)
        taken = torch.cat([z, -z, z.new_ones(*z.shape[:-1], 1)], -1)
        return torch.bmm(taken.expand(len(row), -1, -1), read).flatten(0, 1)


class SumPath(NetPath):
    """Additive networks: H = H_b + Z (A_x - A_b), one small matrix product per pair of rows."""

    _kept: _Bank | None = None

    def __init__(self, view: View, rows: Table, background: Table, players: Players, memory: int) -> None:
        super().__init__(view, rows, background, players, memory, by=players)
        width = self._back.width
        # a few activations of the width of a part, small enough for the processor's cache
        self._step = max(SEGMENT, min(4096, memory // (4 * 8 * width), CACHE // (4 * width)))
        self._half_step = 8 * self._step  # products are so fast in it that calling them counts more than the cache
        self._single_step = self._step
        self._by_tokens = view.linear_parts and not self._rows.kept and not self._back.kept
        if not (self._rows.kept and self._back.kept):  # a pair's parts are made for it: for many coalitions at once
            self._step = max(self._step, min(UNKEPT, memory // (4 * 8 * width)))
            self._half_step = max(self._half_step, self._step)
            self._most_games = max(1, memory // (32 * self._back.size))

    def rises(self, rows: Ints, back: Ints) -> tuple[FloatArray, FloatArray] | None:
        if not self._by_tokens:
            return super().rises(rows, back)
        import torch

        with torch.inference_mode():  # parts are products of tokens: the same slopes, on far narrower vectors
            own, ask = self._rows.tokens(rows), self.view.from_tokens
            with self._once:
                if self._slopes_of_back is None:
                    self._slopes_of_back = self._slopes(self._back.tokens(np.arange(len(self._back))), ask)
            if (known := self._slopes_of_back) is None:
                return None
            of_back = known[torch.as_tensor(back, device=self._back.device)]
            alone = self._rows is self._back
            slopes = known[torch.as_tensor(rows, device=self._back.device)] if alone else self._slopes(own, ask)
            assert slopes is not None
            made = self._by_column(slopes, of_back, own, self._back.tokens(back))
        return to_numpy(made[0]), to_numpy(made[1])

    def compose(self, row: Ints, back: Ints, z: BoolArray) -> FloatArray:
        order = np.lexsort((back, row))
        kept, new = self._rows.kept and self._back.kept, self._new_pairs(row[order], back[order])
        whole = self._parts_cost_more(row, int(new.sum()))
        steps = self._cut(new, self._single_step if kept or whole else self._step, len(row) if kept or whole else self._most_games)

        def answer(cut: slice) -> torch.Tensor:
            at = order[cut]
            if whole:
                return self.view.from_tokens(self._mixed(z[at], self._rows.tokens(row[at]), self._back.tokens(back[at])))
            return self.view.from_parts(self._hidden(row[at], back[at], z[at]))

        out = np.empty((len(row), len(self.view.outputs)))
        out[order] = np.concatenate(self._side_by_side(answer, steps))
        return out

    def _mixed(self, z: BoolArray, own: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """Return composed rows (n, C, D): those of ``own`` where a column's player is in z (n, P), else those of ``other``."""
        import torch

        return torch.where(torch.as_tensor(z[:, self.players.of_column], device=own.device)[:, :, None], own, other)

    @staticmethod
    def _new_pairs(row: Ints, back: Ints) -> BoolArray:
        """Return where in sorted pairs (n,) another one begins."""
        return np.append(True, (np.diff(row) != 0) | (np.diff(back) != 0))

    @staticmethod
    def _cut(new: BoolArray, step: int, most: int) -> list[slice]:
        """Return pieces of at most ``step`` composed rows and about ``most`` pairs, which begin where ``new`` (n,)."""
        key = np.arange(len(new)) // step, (np.cumsum(new) - 1) // most
        starts = np.flatnonzero(np.append(True, (np.diff(key[0]) != 0) | (np.diff(key[1]) != 0)))
        return [slice(int(a), int(b)) for a, b in zip(starts, np.append(starts[1:], len(new)))]

    def _parts_cost_more(self, row: Ints, pairs: int) -> bool:
        """Tell whether parts would be made for so few composed rows that it costs more than to enter these rows' own tokens.

        Parts are many times as wide as tokens. Where they do not fit the memory they are made for each lot of pairs.
        """
        return not (self._rows.kept or self._back.kept) and len(row) < FEW * pairs

    def _hidden(self, row: Ints, back: Ints, z: BoolArray) -> torch.Tensor:
        """Return the sums of parts (n, W); the rows come sorted by pair, and segments of one pair share a matrix product."""
        import torch

        n, change = len(row), np.flatnonzero((np.diff(row) != 0) | (np.diff(back) != 0)) + 1
        sizes = z.sum(1)
        near = bool(sizes.max() > z.shape[1] - sizes.min())  # nearer to the row than to the background row
        few = z.shape[1] - sizes.min() if near else sizes.max()
        # reading the parts that change costs less than a product with all parts of a pair, unless many rows share it
        if n * few <= z.shape[1] * (1 + len(change)) and self._rows.kept and self._back.kept:
            pools = (self._rows, row), (self._back, back)
            sums = self._changed(*pools, ~z) if near else self._changed(*pools[::-1], z)
            return self._paired(sums, row, back, z)
        starts = np.concatenate([[0], change])
        place = np.arange(n) - np.repeat(starts, np.diff(np.append(starts, n)))  # number of the row within its pair
        long = min(SEGMENT if self._rows.kept and self._back.kept else self._step, int(place.max()) + 1)
        head = np.flatnonzero(place % long == 0)
        segment = np.repeat(np.arange(len(head)), np.diff(np.append(head, n)))
        padded = torch.zeros(len(head), long, z.shape[1], dtype=self._back.dtype)
        padded[segment, place % long] = torch.as_tensor(z, dtype=padded.dtype)
        device, alone = self._back.device, row[0] == row[-1]  # sorted: then all are the same row, which need not be copied
        own, other = self._rows.take(row[:1] if alone else row[head]), self._back.take(back[head])
        hidden = torch.bmm(padded.to(device), own - other).add_(other.sum(1, keepdim=True)).flatten(0, 1)
        if len(hidden) != n:
            hidden = hidden.index_select(0, torch.as_tensor(segment * long + place % long, device=device))
        return self._paired(hidden, row, back, z)

    def _paired(self, sums: torch.Tensor, row: Ints, back: Ints, z: BoolArray) -> torch.Tensor:
        """Return the sums (n, W) of composed rows' parts with the terms of their pairs, in place."""
        import torch

        if self._pairs is None:
            return sums
        known = torch.as_tensor(z[:, self.players.of_column], device=sums.device)[:, self._pairs.columns, None]
        return self._pairs.into(sums, self._pairs.terms(torch.where(known, self._rows.bases(row), self._back.bases(back))))

    def _changed(self, start: tuple[_Pool, Ints], other: tuple[_Pool, Ints], few: BoolArray) -> torch.Tensor:
        """Return the sums of parts (n, W) of rows whose ``few`` players (n, P) have the cells of ``other`` rows."""
        import torch

        most = int(few.sum(1).max())
        players = np.argsort(~few, axis=1, kind="stable")[:, :most]
        (mine, row), (theirs, lent) = start, other
        change = theirs.some(lent, players).sub_(mine.some(row, players))
        if (taken := np.take_along_axis(few, players, 1)).all():
            return mine.sums_of_parts(row).add_(change.sum(1))
        return mine.sums_of_parts(row).add_(change.mul_(torch.as_tensor(taken, device=change.device)[..., None]).sum(1))

    def _composed(self, lot: Lot, games: slice, some: slice, half: bool) -> torch.Tensor:
        import torch

        row, back, players = lot.row[games], lot.back[games], lot.players[games]
        local = lot.local[some] if lot.local.ndim == 2 else lot.local[games, some]
        if half and (bank := self._bank()) is not None:
            sums = bank.composed(row, back, players, torch.as_tensor(local, dtype=bank.dtype, device=bank.device))
            return self._with_gains(sums, lot, games, some)
        own, other = self._pools(half)
        # differences first: what does not differ adds exactly nothing
        change, start = own.some(row, players).sub_(other.some(back, players)), other.sums(back)
        z = torch.as_tensor(local, dtype=change.dtype, device=change.device)
        sums = torch.baddbmm(start[:, None], z.expand(len(row), -1, -1), change).flatten(0, 1)
        return self._with_gains(sums, lot, games, some)

    def _with_gains(self, sums: torch.Tensor, lot: Lot, games: slice, some: slice) -> torch.Tensor:
        """Return the sums (g m, W) of composed rows with what the terms of pairs gain over those of the background rows, in place."""
        import torch

        if self._pairs is None:
            return sums
        gains = self._pairs.gains(self._rows.bases(lot.row[games]), self._back.bases(lot.back[games]))
        here = lot.coalitions(len(self.players), games)[:, some]
        taken = self._pairs.taken(torch.as_tensor(here, dtype=gains.dtype, device=gains.device))
        return self._pairs.into(sums, torch.bmm(taken, gains).flatten(0, 1))

    def _bank(self) -> _Bank | None:
        if not self._rows.kept or not self._back.kept:
            return None
        with self._once:
            if self._kept is None:
                self._kept = _Bank(self._rows, self._back)
        return self._kept

    def _whole(self, pool: _Pool, rows: Ints) -> torch.Tensor:
        return pool.sums(rows)

    def _products(
        self, at_row: torch.Tensor, at_back: torch.Tensor, own: torch.Tensor, other: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        (r, o, _), b, p = at_row.shape, len(other), own.shape[1]
        by_row = (own @ at_row.mT)[:, None] - (at_row.flatten(0, 1) @ other.flatten(0, 1).mT).view(r, o, b, p).permute(0, 2, 3, 1)
        by_back = (own.flatten(0, 1) @ at_back.flatten(0, 1).mT).view(r, p, b, o).permute(0, 2, 1, 3) - (other @ at_back.mT)
        return by_row, by_back
