"""Levels by one look-up table: every level of every column has a row of its own (Guo and Berkhahn 2016, arXiv:1604.06737)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import nn

from pellucid.nn.draws import draw_uniform
from pellucid.nn.layers import look_up, uniform

__all__ = ["UNSEEN", "LevelTable", "hide_levels"]

UNSEEN = 1  # the slot of a level that training did not show; 0 is a missing cell (nn/cells.py)


def hide_levels(codes: torch.Tensor, share: float) -> torch.Tensor:
    """Return the codes with a share of the known levels shown as unseen."""
    hidden = draw_uniform(codes.shape, codes.device) < share
    return torch.where(hidden & (codes > UNSEEN), UNSEEN, codes)


class LevelTable(nn.Module):
    """Codes (N, Sc) to embeddings (N, Sc, D) by one table with an offset per slot.

    While training, a fraction ``dropout`` of the codes is shown as unseen, which is what trains the unseen vectors.
    """

    offsets: torch.Tensor

    def __init__(self, cardinalities: Sequence[int], d_token: int, dropout: float = 0.02) -> None:
        super().__init__()
        self.dropout = dropout
        self.register_buffer("offsets", torch.tensor([0, *accumulate(cardinalities)][:-1], dtype=torch.int64), persistent=False)
        self.table = nn.Parameter(uniform((sum(cardinalities), d_token), d_token**-0.5))

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        if self.training and self.dropout > 0:
            codes = hide_levels(codes, self.dropout)
        return look_up(self.table, codes + self.offsets)
