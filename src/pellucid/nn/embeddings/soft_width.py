"""How many dimensions each column deserves, learned by soft gates.

The search is that of Cheng, Shen, Huang 2020, "Differentiable neural input search", arXiv:2006.04466; the gates are those of Louizos,
Welling, Kingma 2018, arXiv:1712.01312.
"""

from __future__ import annotations

import math

import torch
from torch import nn

__all__ = ["SoftWidth"]

RATE = 20.0
START = 2.0  # log-odds of an open gate
HEAT, LOW, HIGH = 2 / 3, -0.1, 1.1  # the stretched gates' temperature and ends


class SoftWidth(nn.Module):
    """Tokens (N, C, D) times gates in [0, 1], one per column and dimension; a gate can be exactly 0.

    While training a gate is drawn for each row, so that no weight behind it can make up for a gate that is half shut. A price on open
    gates is part of the loss: a dimension that is worth less is shut.

    # NOTE[DIFF] The paper has gates for blocks of levels by frequency, moved on validation batches by turns with the weights. Here they
    # belong to columns (their widths are then a statement about columns) and move with the weights, at a rate of their own;
    # what the validation batches did there, the price does here.

    Parameters
    ----------
    columns, d_token : C, D.
    price : added to each row's loss, times the mean share of open gates.
    rate : how many times as fast as a weight a gate's log-odds move, under Adam. At 20 the way from open to shut takes about as many
        steps as an embedding's way from its start to zero.
    """

    closed: torch.Tensor

    def __init__(self, columns: int, d_token: int, price: float = 0.1, rate: float = RATE) -> None:
        super().__init__()
        self.price, self.rate = price, rate
        self.theta = nn.Parameter(torch.full((columns, d_token), START / rate))
        self.register_buffer("closed", torch.zeros(columns, d_token))

    def gates(self) -> torch.Tensor:
        """Return the gates (C, D) as evaluation uses them."""
        return self._stretched(torch.sigmoid(self.theta * self.rate))

    def penalty(self) -> torch.Tensor:
        """Return the price of the gates that are open: of the probability that a drawn one is not 0."""
        is_open = torch.sigmoid(self.theta * self.rate - HEAT * math.log(-LOW / HIGH)) * (1 - self.closed)
        return self.price * is_open.mean()

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return tokens * self.gates()
        drawn = torch.rand_like(tokens).clamp(1e-6, 1 - 1e-6)
        return tokens * self._stretched(torch.sigmoid((torch.logit(drawn) + self.theta * self.rate) / HEAT))

    def _stretched(self, share: torch.Tensor) -> torch.Tensor:
        return torch.clamp(share * (HIGH - LOW) + LOW, 0.0, 1.0) * (1 - self.closed)

    def widths(self) -> torch.Tensor:
        """Return how many dimensions each column keeps, (C,)."""
        return (self.gates() > 0).sum(1)

    @torch.no_grad()
    def prune(self) -> torch.Tensor:
        """Shut for good what is shut, in place; returns which dimensions are left (C, D)."""
        kept = self.gates() > 0
        self.closed.copy_((~kept).float())
        return kept
