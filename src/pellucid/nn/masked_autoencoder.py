"""A network for rows with any cells hidden: the probabilities of every hidden cell's states, given the cells that are shown.

A cell enters as a mix of two rows of one matrix (its two slots), a hidden cell as nothing; so the first layer's input is a sum over the
shown cells, and showing one more costs one addition. Letters: N rows, C columns, H hidden, S states of all columns side by side, K slots.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

ROUGH = 0.3
"""How fast the free part of ordered columns is learned beside their straight part: few rows then give smooth laws."""

__all__ = ["Bottleneck", "CellEntrance", "MaskedAutoencoder", "RowNetwork", "RowSizes"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RowSizes:
    """What the network must know of the columns.

    Attributes
    ----------
    slots, states : (C,) how many each column has.
    slot_z, state_z : (K,) and (S,) places on a normal scale, 0 where there is no order.
    counts : (S,) how often each state was met; a state never met is never given.
    """

    slots: tuple[int, ...]
    states: tuple[int, ...]
    slot_z: Array
    state_z: Array
    counts: Array

    @property
    def n_columns(self) -> int:
        """C."""
        return len(self.slots)


class CellEntrance(nn.Module):
    """Shown cells (N, C) to the sum of their vectors (N, H): a cell is a mix of two slots; ordered columns also have a straight part.

    Parameters
    ----------
    slots : (C,) how many each column has. slot_z : (K,) their places on a normal scale, 0 where there is no order. width : H.
    """

    def __init__(self, slots: Sequence[int], slot_z: Array, width: int) -> None:
        super().__init__()
        c, k = len(slots), sum(slots)
        ordered = torch.as_tensor(np.asarray(slot_z) != 0)[:, None]
        self.slots = nn.Parameter(torch.randn(k, width) * (0.5 * c**-0.5) * ~ordered)
        self.slopes = nn.Parameter(torch.randn(c, width) * (0.7 * c**-0.5))
        self.there = nn.Parameter(torch.randn(c, width) * c**-0.5)  # that a cell is shown at all
        keep = {"persistent": False}
        self.register_buffer("slot_z", torch.as_tensor(slot_z, dtype=torch.float32)[:, None], **keep)
        self.register_buffer("pace", torch.where(ordered, ROUGH, 1.0), **keep)
        self.register_buffer("column", torch.as_tensor(np.repeat(np.arange(c), slots)), **keep)
        self.register_buffer("start", torch.as_tensor(np.cumsum([0, *slots])[:-1]), **keep)

    slot_z: torch.Tensor
    pace: torch.Tensor
    column: torch.Tensor
    start: torch.Tensor

    def matrix(self) -> torch.Tensor:
        """Return the vectors of all slots (K, H)."""
        return self.slots * self.pace + self.there[self.column] + self.slot_z * self.slopes[self.column]

    def mixed(self, lo: torch.Tensor, hi: torch.Tensor, share: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
        """Return the weights of all slots (N, K) from slots within their columns (N, C), shares and flags (N, C)."""
        weight = shown.float()
        mixed = torch.zeros(lo.shape[0], self.slots.shape[0], device=lo.device)
        mixed.scatter_(1, self.start + lo, (1 - share) * weight)
        return mixed.scatter_add_(1, self.start + hi, share * weight)


class RowNetwork(nn.Module):
    """Whole rows (N, C cells) to outputs (N, P, O): one straight term per slot for its own player, and a network over all cells.

    Parameters
    ----------
    slots, slot_z : as :class:`CellEntrance` has them. players : (C,) the player of each column. outputs : O. width, depth : of the network.
    """

    def __init__(self, slots: Sequence[int], slot_z: Array, players: Sequence[int], outputs: int, width: int = 192, depth: int = 2) -> None:
        super().__init__()
        self.n_players, self.n_outputs = max(players) + 1, outputs
        self.entrance = CellEntrance(slots, slot_z, width)
        self.bias = nn.Parameter(torch.randn(width) * 0.3)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.head = nn.Linear(width, self.n_players * outputs)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.alone = nn.Parameter(torch.zeros(sum(slots), outputs))
        self.slope = nn.Parameter(torch.zeros(len(slots), outputs))
        own = nn.functional.one_hot(torch.as_tensor(np.asarray(players))[self.entrance.column], self.n_players).float()
        self.register_buffer("own", own, persistent=False)

    own: torch.Tensor

    def features(self, lo: torch.Tensor, hi: torch.Tensor, share: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the last hidden state (N, H) and the weights of all slots (N, K)."""
        mixed = self.entrance.mixed(lo, hi, share, torch.ones(1, lo.shape[1], dtype=torch.bool, device=lo.device))
        x = nn.functional.gelu(mixed @ self.entrance.matrix() + self.bias)
        for layer in self.layers:
            x = x + nn.functional.gelu(layer(x))
        return x, mixed

    def answer(self, hidden: torch.Tensor, mixed: torch.Tensor) -> torch.Tensor:
        """Return the outputs (N, P, O) of what :meth:`features` gave."""
        alone = self.alone * self.entrance.pace + self.entrance.slot_z * self.slope[self.entrance.column]
        straight = (self.own[:, :, None] * alone[:, None]).flatten(1)
        out: torch.Tensor = (self.head(hidden) + mixed @ straight).unflatten(1, (self.n_players, self.n_outputs))
        return out

    def forward(self, lo: torch.Tensor, hi: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
        return self.answer(*self.features(lo, hi, share))


class MaskedAutoencoder(nn.Module):
    """Shown cells to the logits of every state; residual blocks between a sum over cells and one linear map.

    The idea of learning one network for every pattern of hidden cells is that of Germain and others 2015 (arXiv:1502.03509) and Uria,
    Murray and Larochelle 2014 (arXiv:1310.1757, random orders). The logits begin at the logarithm of the column's own shares, and have
    a straight and a quadratic part along ordered states, so that few rows are enough for smooth laws.

    Parameters
    ----------
    sizes : of the columns. width, depth : H and the number of residual blocks. dropout : share of hidden units left out in training.
    """

    def __init__(self, sizes: RowSizes, width: int = 128, depth: int = 2, dropout: float = 0.0) -> None:
        super().__init__()
        c, s = sizes.n_columns, sum(sizes.states)
        self.sizes, self.width, self.dropout = sizes, width, dropout
        self.entry = CellEntrance(sizes.slots, sizes.slot_z, width)
        self.bias = nn.Parameter(torch.randn(width) * 0.3)
        self.doubt = nn.Parameter(torch.zeros(width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth))
        self.up = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.down = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.out = nn.Parameter(torch.zeros(s, width))
        self.curves = nn.Parameter(torch.zeros(c, 2, width))
        column_of_state = np.repeat(np.arange(c), sizes.states)
        shares = np.add.reduceat(sizes.counts, np.cumsum([0, *sizes.states[:-1]]))[column_of_state]
        logs = np.log(np.maximum(sizes.counts, 0.5) / np.maximum(shares, 1.0))
        logs[(sizes.counts <= 0) & (shares > 0)] = -torch.inf  # a state that was never met has no probability
        self.base = nn.Parameter(torch.as_tensor(np.where(np.isfinite(logs), logs, 0.0), dtype=torch.float32))
        keep = {"persistent": False}
        self.register_buffer("closed", torch.as_tensor(~np.isfinite(logs)), **keep)
        z = torch.as_tensor(sizes.state_z, dtype=torch.float32)
        self.register_buffer("state_z", torch.stack([z, z.square() - 1], 1).where(z[:, None] != 0, torch.zeros(1)), **keep)
        self.register_buffer("of_state", torch.as_tensor(column_of_state), **keep)
        self.register_buffer("state_start", torch.as_tensor(np.cumsum([0, *sizes.states])[:-1]), **keep)
        self.register_buffer("sums", nn.functional.one_hot(self.of_state, c).float(), **keep)

    closed: torch.Tensor
    state_z: torch.Tensor
    of_state: torch.Tensor
    state_start: torch.Tensor
    sums: torch.Tensor

    # ------------------------------------------------------------------ in

    def entrance(self) -> torch.Tensor:
        """Return the vectors of all slots (K, H)."""
        return self.entry.matrix()

    def enter(self, lo: torch.Tensor, hi: torch.Tensor, share: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
        """Return the sum over the shown cells, (N, H), from slots within their columns (N, C), shares and flags (N, C)."""
        return self.entry.mixed(lo, hi, share, shown) @ self.entrance()

    def hidden(self, total: torch.Tensor, doubt: torch.Tensor | float = 0.0) -> torch.Tensor:
        """Return the hidden state (N, H) of sums (N, H). ``doubt`` (N, 1) or a number: 1 where shown cells may be wrong."""
        x = total + self.bias + doubt * self.doubt
        for norm, up, down in zip(self.norms, self.up, self.down):
            inner = nn.functional.dropout(nn.functional.gelu(up(norm(x))), self.dropout, self.training)
            x = x + down(inner)
        return x

    # ------------------------------------------------------------------ out

    def exit(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the matrix (S, H) and the bias (S,) of the logits."""
        curves = (self.curves[self.of_state] * self.state_z[:, :, None]).sum(1)
        steady = torch.where(self.state_z[:, :1] != 0, ROUGH, 1.0)
        return self.out * steady + curves, self.base.masked_fill(self.closed, -60.0)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the logits of all states (N, S), before they are normalised column by column."""
        matrix, bias = self.exit()
        return nn.functional.linear(hidden, matrix, bias).masked_fill(self.closed, -60.0)

    def normalisers(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the log-sum-exp of each column's logits, (N, C)."""
        top = logits.detach().amax(1, keepdim=True)
        return ((logits - top).clamp(min=-80).exp() @ self.sums).log() + top

    def surprise(self, logits: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        """Return -log p (N, C) of states (N, C); states below 0 give 0."""
        at = (self.state_start + state.clamp(min=0)).clamp(max=logits.shape[1] - 1)
        return (self.normalisers(logits) - logits.gather(1, at)).masked_fill(state < 0, 0.0)

    def misplaced(self, logits: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        """Return squared distances (N, C) on the normal scale from the mean place that the logits give to that of the states (N, C).

        0 in columns without order, and where the state is below 0.
        """
        z = self.state_z[:, 0]
        weight = (logits - logits.detach().amax(1, keepdim=True)).clamp(min=-80).exp()
        mean = (weight @ (self.sums * z[:, None])) / (weight @ self.sums)
        at = (self.state_start + state.clamp(min=0)).clamp(max=logits.shape[1] - 1)
        return (mean - z[at]).square().masked_fill(state < 0, 0.0)

    def columns(self) -> Sequence[slice]:
        """Return where each column's states lie."""
        starts = [*self.state_start.tolist(), int(self.out.shape[0])]
        return [slice(a, b) for a, b in itertools.pairwise(starts)]


class Bottleneck(nn.Module):
    """Hidden states of whole rows (N, H) to W numbers, and from those to the logits of every state.

    Parameters
    ----------
    width : H. states : S. code : W. inner : hidden units on the way to the code and back.
    """

    def __init__(self, width: int, states: int, code: int = 2, inner: int = 64) -> None:
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, code))
        self.decode = nn.Sequential(nn.Linear(code, inner), nn.GELU(), nn.Linear(inner, inner), nn.GELU(), nn.Linear(inner, states))
        for weight in self.decode[-1].parameters():
            nn.init.zeros_(weight)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.decode(self.encode(hidden))  # type: ignore[no-any-return]
