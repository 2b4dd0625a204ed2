"""ResNet for tables: blocks whose change is added to what they read.

Gorishniy, Rubachev, Khrulkov, Babenko 2021, arXiv:2106.11959.
"""

from __future__ import annotations

import torch
from torch import nn

from pellucid.nn.backbones.mlp import FlatBackbone, Parts
from pellucid.nn.layers import FirstStage, dropout, relu_dropout, uniform
from pellucid.nn.norms import GhostNorm

__all__ = ["ResNet", "ResidualBlock"]


class ResidualBlock(nn.Module):
    """``x + drop2(W2 drop1(relu(W1 norm(x))))`` on rows (N, h).

    Parameters
    ----------
    width, inner : h, and the width between the two maps.
    dropout, residual_dropout : drop1 and drop2.
    momentum : of the norm's running record.
    """

    def __init__(self, width: int, inner: int, dropout: float, residual_dropout: float, momentum: float) -> None:
        super().__init__()
        self.dropout, self.residual_dropout = dropout, residual_dropout
        self.norm = GhostNorm(width, momentum=momentum)
        self.up, self.down = nn.Linear(width, inner), nn.Linear(inner, width)
        for layer in (self.up, self.down):
            layer.weight.data = uniform(tuple(layer.weight.shape), layer.in_features**-0.5)
            layer.bias.data = uniform(tuple(layer.bias.shape), layer.in_features**-0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inside = relu_dropout(self.up(self.norm(x)), self.dropout, self.training)
        return x + dropout(self.down(inside), self.residual_dropout, self.training)


class ResNet(FlatBackbone):
    """A linear map of all tokens, residual blocks with batch norm, a last norm and ReLU: (N, C, D) to hidden states (N, 1, h).

    The first map is a sum over columns, so a column left out is a part left out. In evaluation the norms read their running record.

    Parameters
    ----------
    n_tokens, d_token : C, D.
    width, blocks : h, and the number of residual blocks.
    factor : inner width of a block over h.
    dropout, residual_dropout : within a block, and on its change.
    momentum : of the norms' running record.
    """

    def __init__(
        self, n_tokens: int, d_token: int, width: int = 192, blocks: int = 2, factor: float = 2.0, dropout: float = 0.15,
        residual_dropout: float = 0.0, momentum: float = 0.1,
    ) -> None:  # fmt: skip
        inner = max(1, round(factor * width))
        made = [ResidualBlock(width, inner, dropout, residual_dropout, momentum) for _ in range(blocks)]
        super().__init__(FirstStage(n_tokens, d_token, width), made, dropout)
        self.norm = GhostNorm(width, momentum=momentum)

    def from_sum(self, total: torch.Tensor) -> tuple[torch.Tensor, Parts]:
        """Return (hidden (N, 1, h), no parts) from the summed parts (N, h)."""
        x = total.float()
        for block in self.blocks:
            x = block(x)
        return torch.relu(self.norm(x))[:, None], {}
