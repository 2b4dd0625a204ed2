"""ARM-Net: neurons that are products of columns with learned powers, formed anew for every row by sparse gates.

Cai, Zheng, Chen, Jagadish, Ooi, Zhang 2021, arXiv:2107.01830.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import nn

from pellucid.nn.backbones.mlp import MLP
from pellucid.nn.layers import relu_dropout
from pellucid.nn.sparse import entmax

__all__ = ["ARMNet", "ExponentialNeurons"]

LIMIT = 10.0  # of the exponent: beyond it exp leaves what float32 sums can hold beside other numbers
HIDDEN = -1e4  # score of a hidden column: far below all others, and its square still fits the arithmetic of entmax


class ExponentialNeurons(nn.Module):
    """Tokens (N, C, D) to products of their exponentials with learned powers, (N, P, D), P = heads * neurons.

    ``y_p = exp(sum_c w_pc e_c) = product of exp(e_c) ** w_pc`` with powers ``w = gate * v``: the gates are alpha-entmax over the columns
    of ``q_p W_k e_c / sqrt(D)`` and differ by row, the values v do not. The exponent is clamped to +-10.

    A product needs positive factors. The mapping is the exponential: a token is read as the logarithm of its column's factor, so every
    token is allowed. (The reference asks for numbers in (0, 1] and multiplies them with a vector; it exponentiates the same way.)

    Parameters
    ----------
    n_tokens, d_token : C, D. heads, neurons : K heads with a matrix W of their own, o neurons each. alpha : 1, 1.5 or 2.

    Cost: K C D**2 + 2 P C D multiply-adds and P sorts of C numbers a row.
    """

    def __init__(self, n_tokens: int, d_token: int, heads: int = 1, neurons: int = 32, alpha: float = 1.5) -> None:
        super().__init__()
        self.heads, self.neurons, self.alpha = heads, neurons, alpha
        self.keys = nn.Linear(d_token, heads * d_token, bias=False)
        self.query = nn.Parameter(torch.empty(heads, neurons, d_token))
        self.values = nn.Parameter(torch.empty(heads * neurons, n_tokens))
        for weights in (self.keys.weight, self.query, self.values):
            nn.init.xavier_uniform_(weights, gain=2**0.5)

    def gates(self, tokens: torch.Tensor, masked: torch.Tensor | None = None) -> torch.Tensor:
        """Return the gates (N, P, C): not negative, mostly 0, sum 1 over the columns."""
        keys = self.keys(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        scores = (self.query @ keys.mT * tokens.shape[-1] ** -0.5).flatten(1, 2)
        return entmax(scores if masked is None else scores.masked_fill(masked[:, None], HIDDEN), self.alpha)

    def forward(self, tokens: torch.Tensor, masked: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return (products (N, P, D), gates (N, P, C), powers (N, P, C)), in float32; ``masked`` tokens must hold 0."""
        with torch.autocast(tokens.device.type, enabled=False):
            gates = self.gates(tokens.float(), masked)
            powers = gates * self.values
            return (powers @ tokens.float()).clamp(-LIMIT, LIMIT).exp(), gates, powers


class ARMNet(nn.Module):
    """Exponential neurons, normalised over the batch, then a perceptron: (N, C, D) to hidden states (N, 1, H).

    Parameters
    ----------
    n_tokens, d_token : C, D.
    heads, neurons, alpha : of the exponential neurons; one head is the authors' advice.
    width, blocks, dropout : of the perceptron on top.
    deep : width of a perceptron beside it on the same tokens, whose answer is added (the paper's ARM-Net+); 0 for none.

    Parts
    -----
    ``gates`` (N, P, C): which columns form each product in this row. ``powers`` (N, P, C): with which power, sign included.

    # NOTE[DIFF] The perceptron on top has no batch normalisation of its own, and the one beside it shares the tokens; the linear head
    # adds the two answers in place of two learned weights.
    """

    additive = False
    stackable = False  # batch normalisation keeps running statistics
    members = 1

    def __init__(
        self, n_tokens: int, d_token: int, heads: int = 1, neurons: int = 32, alpha: float = 1.5, width: int = 256, blocks: int = 2,
        dropout: float = 0.1, deep: int = 256,
    ) -> None:  # fmt: skip
        super().__init__()
        self.products = ExponentialNeurons(n_tokens, d_token, heads, neurons, alpha)
        self.norm = nn.BatchNorm1d(heads * neurons)
        sizes = [heads * neurons * d_token, *[width] * blocks]
        self.mlp = nn.ModuleList(nn.Linear(n_in, n_out) for n_in, n_out in pairwise(sizes))
        self.deep = MLP(n_tokens, d_token, deep, blocks, dropout) if deep else None
        self.dropout, self.width = dropout, sizes[-1] + deep

    def forward(self, tokens: torch.Tensor, masked: torch.Tensor | None = None) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Return (hidden (N, 1, H), parts). Columns ``masked`` (N, C) have exactly no influence."""
        tokens = tokens if masked is None else torch.where(masked[..., None], 0.0, tokens)
        y, gates, powers = self.products(tokens, masked)
        # one row of one entry has no spread to normalise by
        alone = self.training and y.shape[0] * y.shape[2] == 1
        h = (y if alone else self.norm(y)).flatten(1)
        for layer in self.mlp:
            h = relu_dropout(layer(h), self.dropout, self.training)
        hidden = h[:, None]
        if self.deep is not None:
            hidden = torch.cat([hidden, self.deep(tokens)[0]], -1)
        return hidden, {"gates": gates, "powers": powers}
