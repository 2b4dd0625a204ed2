"""AutoInt: attention layers that form combinations of columns, all of which the answer reads.

Song, Shi, Xiao and others 2018, arXiv:1810.11921.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from pellucid.errors import RequestError
from pellucid.nn.attention import attention_weights
from pellucid.nn.backbones.layered import LayeredAttention
from pellucid.nn.backbones.mlp import MLP
from pellucid.nn.layers import dropout

__all__ = ["AutoInt", "InteractionLayer"]


class InteractionLayer(nn.Module):
    """One order of combinations more: tokens (N, C, D) to (N, C, W).

    Each head mixes the columns' values by scaled dot products; the heads stand side by side (no output map), a projection of the
    input is added, then ReLU and normalisation. Queries, keys, values and the projection pass a ReLU, as in the authors' code.

    Parameters
    ----------
    n_in, width, heads : D, W, number of heads. dropout : share of the attention weights set to 0 while training.
    """

    def __init__(self, n_in: int, width: int, heads: int = 2, dropout: float = 0.0) -> None:
        super().__init__()
        if width % heads:
            raise RequestError("attention_width is no multiple of heads", expected=f"a multiple of {heads}", got=str(width))
        self.heads, self.dropout = heads, dropout
        self.joint = nn.Linear(n_in, 4 * width)  # queries, keys, values and the projection are one product
        self.norm = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor, hidden: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (tokens (N, C, W), weights (N, heads, C, C)); keys ``hidden`` (N, 1, 1, C) are not listened to."""
        q, k, v, kept = torch.relu(self.joint(x)).chunk(4, -1)
        q, k, v = (t.reshape(*t.shape[:2], self.heads, -1).transpose(1, 2) for t in (q, k, v))
        maps = attention_weights(q, k, hidden)
        mixed = (dropout(maps, self.dropout, self.training) @ v).transpose(1, 2).flatten(2)
        with torch.autocast(x.device.type, enabled=False):
            return self.norm(torch.relu(mixed.float() + kept.float())), maps


class AutoInt(LayeredAttention):
    """Interaction layers over the columns' tokens; all tokens side by side are the hidden state (N, 1, C * W).

    Parameters
    ----------
    n_tokens, d_token : C, D.
    layers : number of layers; layer l reaches combinations of 2**l columns. heads, attention_width : heads and W of each.
    deep : width of a perceptron beside the attention, whose answer is added (the paper's AutoInt+); 0 for none.
    deep_blocks, dropout : of that perceptron. attention_dropout : of the weights.

    Parts
    -----
    ``attention`` (N, L, heads, C, C) by ``explained``: which pairs of columns combine.

    # NOTE[DIFF] Tokens come from the encoders; the paper's are a number times a vector of its column, without a shift.
    # NOTE[DIFF] The perceptron reads the same tokens and meets the attention in the linear head, which adds their two answers.
    """

    def __init__(
        self, n_tokens: int, d_token: int, layers: int = 2, heads: int = 2, attention_width: int = 32, deep: int = 256,
        deep_blocks: int = 2, dropout: float = 0.1, attention_dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        widths = [d_token, *[attention_width] * layers]
        self.layers = nn.ModuleList(InteractionLayer(n_in, n_out, heads, attention_dropout) for n_in, n_out in pairwise(widths))
        self.deep = MLP(n_tokens, d_token, deep, deep_blocks, dropout) if deep else None
        self.width = n_tokens * widths[-1] + deep

    def read(self, x: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Return the last tokens side by side, and the perceptron's hidden state beside them."""
        hidden = x.flatten(1)[:, None]
        return hidden if self.deep is None else torch.cat([hidden, self.deep(tokens)[0]], -1)
