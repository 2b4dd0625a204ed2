"""What a regularizer may do while a network learns: change what it reads, and add to the loss. Evaluation never sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import torch

from pellucid.nn.cells import Cells

if TYPE_CHECKING:
    from pellucid.nn.table_net import TableNet

__all__ = ["Learned", "Mixed", "Regularizer", "Trace"]


class Mixed(NamedTuple):
    """Rows made of two rows.

    Shape
    -----
    tokens : (N, C, D). partner : (N,) int64, each row's other row in the batch. share : (N,) weight of the row's own answer in the loss.
    """

    tokens: torch.Tensor
    partner: torch.Tensor
    share: torch.Tensor


class Trace(NamedTuple):
    """One pass through a network: tokens (N, C, D), hidden state (N, K, H), named parts, outputs (N, K, O)."""

    tokens: torch.Tensor
    hidden: torch.Tensor
    parts: Mapping[str, torch.Tensor]
    outputs: torch.Tensor


class Learned(NamedTuple):
    """What the loss reads: outputs (N, K, O), penalty (N,), partner (N,), share (N,); see :class:`Mixed`."""

    outputs: torch.Tensor
    penalty: torch.Tensor
    partner: torch.Tensor
    share: torch.Tensor


class Regularizer:
    """Base of all regularizers: does nothing. Subclasses change some of the methods; their arguments are the user's options.

    Random numbers come from torch's own generator, which the loop seeds anew for every step. All methods may run inside ``vmap`` over
    networks: no in-place writes to given tensors, no ``item()``, no shapes that depend on values, gradients by ``torch.func`` alone.

    Attributes
    ----------
    between_steps : True where it acts on the weights between two steps and none of the methods below does anything.
    """

    between_steps = False

    def change(self, net: TableNet, cells: Cells, target: torch.Tensor | None) -> Cells:
        """Return the cells to learn from in place of ``cells`` (N, ...); target (N,) or (N, O) as the loss reads it."""
        return cells

    def mix(self, net: TableNet, tokens: torch.Tensor) -> Mixed | torch.Tensor | None:
        """Return the rows to learn from in place of ``tokens`` (N, C, D): tokens where the answers stay, or None to leave them."""
        return None

    def penalty(self, net: TableNet, trace: Trace) -> torch.Tensor | None:
        """Return what is added to each row's loss, (N,) or a scalar, or None."""
        return None
