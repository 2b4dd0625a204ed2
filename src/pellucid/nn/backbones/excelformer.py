"""ExcelFormer: a column listens only to columns at least as informative as itself, and the network starts as the identity.

Chen, Yan, Chen, Wu 2023, arXiv:2301.02819.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from pellucid.errors import RequestError
from pellucid.nn.attention import attention_weights
from pellucid.nn.backbones.layered import LayeredAttention
from pellucid.nn.layers import dropout, in_fp32

__all__ = ["ExcelFormer", "SemiPermeableBlock"]

GAIN = 0.01  # of the initial weights inside the blocks, which so start near the identity


class SemiPermeableBlock(nn.Module):
    """Attention along an order of the columns and a gated linear map, each with a residual: (N, C, D) to (N, C, D).

    Parameters
    ----------
    d_token, heads : D, number of heads.
    attention_dropout, residual_dropout : while training.
    norm_first : normalise before the attention; the first block does not.
    """

    def __init__(
        self, d_token: int, heads: int, attention_dropout: float = 0.3, residual_dropout: float = 0.0, norm_first: bool = True
    ) -> None:
        super().__init__()
        if d_token % heads:
            raise RequestError("d_token is no multiple of heads", expected=f"a multiple of {heads}", got=str(d_token))
        self.heads, self.attention_dropout, self.residual_dropout = heads, attention_dropout, residual_dropout
        self.norm_attention = nn.LayerNorm(d_token) if norm_first else nn.Identity()
        self.joint = nn.Linear(d_token, 3 * d_token)
        self.out = nn.Linear(d_token, d_token)
        self.norm_gate = nn.LayerNorm(d_token)
        self.gate = nn.Linear(d_token, 2 * d_token)
        for layer, gain in ((self.joint, GAIN), (self.out, 1.0), (self.gate, GAIN)):
            nn.init.kaiming_uniform_(layer.weight, a=5**0.5)
            layer.weight.data.mul_(gain)
            nn.init.zeros_(layer.bias)

    def forward(self, x: torch.Tensor, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (tokens, weights (N, heads, C, C)); ``hidden`` (C, C) or (N, 1, C, C) is True where row i must not hear column j."""
        parts = self.joint(in_fp32(self.norm_attention, x)).chunk(3, -1)
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in parts)
        maps = attention_weights(q, k, hidden)
        mixed = (dropout(maps, self.attention_dropout, self.training) @ v).transpose(1, 2).flatten(2)
        x = x + dropout(self.out(mixed), self.residual_dropout, self.training)
        u, v = self.gate(in_fp32(self.norm_gate, x)).chunk(2, -1)
        return x + dropout(u * torch.tanh(v), self.residual_dropout, self.training), maps


class ExcelFormer(LayeredAttention):
    """Semi-permeable attention blocks, then a learned sum over the columns: (N, C, D) to hidden states (N, 1, D).

    Parameters
    ----------
    n_tokens, d_token : C, D.
    rank : each column's place in the order of information about the target, 0 the most; None takes the declared order. Equal places
        hear each other.
    layers, heads : number of blocks, and of heads.
    attention_dropout, residual_dropout : of the blocks.

    Parts
    -----
    ``attention`` (N, L, heads, C, C) by ``explained``: influence runs from stronger to weaker columns only.

    # NOTE[DIFF] The gated token (w x + b) * tanh(v x + c) is made of the encoder's token t as t * tanh(a t + d), entry by entry: with
    # the linear encoder these are the same functions. Levels keep a vector each; the authors turn them into numbers first.
    # NOTE[DIFF] The order is exact: the forbidden weights are 0, where the paper lowers the scores by 10,000.
    """

    def __init__(
        self, n_tokens: int, d_token: int, rank: Sequence[int] | None = None, layers: int = 2, heads: int = 4,
        attention_dropout: float = 0.3, residual_dropout: float = 0.1,
    ) -> None:  # fmt: skip
        if rank is not None and len(rank) != n_tokens:
            raise RequestError("rank must name one place per column", expected=f"{n_tokens} numbers", got=str(len(rank)))
        place = torch.arange(n_tokens) if rank is None else torch.tensor([int(r) for r in rank])
        super().__init__(place[None, :] > place[:, None])
        self.width = d_token
        self.gate_scale = nn.Parameter(torch.empty(n_tokens, d_token).uniform_(-1, 1))
        self.gate_shift = nn.Parameter(torch.empty(n_tokens, d_token).uniform_(-1, 1))
        self.layers = nn.ModuleList(
            SemiPermeableBlock(d_token, heads, attention_dropout, residual_dropout, norm_first=i > 0) for i in range(layers)
        )
        self.over_columns = nn.Linear(n_tokens, 1)
        self.norm = nn.LayerNorm(d_token)
        self.slope = nn.Parameter(torch.tensor(0.25))

    def entrance(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the gated tokens (N, C, D)."""
        return tokens * torch.tanh(self.gate_scale * tokens + self.gate_shift)

    def read(self, x: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Return the learned sum over the columns, normalised and activated, (N, 1, D)."""
        joined = in_fp32(self.norm, self.over_columns(x.mT).mT)
        return torch.where(joined > 0, joined, self.slope * joined)
