"""What a regularizer may do while a network learns: mix the rows it reads, and add to the loss. Evaluation never sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import torch

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
    """Base of all regularizers: does nothing. Subclasses change one of the two methods; their arguments are the user's options.

    Random numbers come from torch's own generator, which the loop seeds anew for every step. Both methods may run inside ``vmap`` over
    networks: no in-place writes to given tensors, no ``item()``, no shapes that depend on values.
    """

    def mix(self, net: TableNet, tokens: torch.Tensor) -> Mixed | None:
        """Return the rows to learn from in place of ``tokens`` (N, C, D), or None to leave them."""
        return None

    def penalty(self, net: TableNet, trace: Trace) -> torch.Tensor | None:
        """Return what is added to each row's loss, (N,) or a scalar, or None."""
        return None
