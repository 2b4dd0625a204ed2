"""What a column is called, told to its token; and the place of a column that has one.

The idea that the name tells 20 (an age) from 20 (a score) and lets columns of one kind share weights: Wang, Sun 2022, arXiv:2205.09328.
Sinusoidal places: Vaswani and others 2017, arXiv:1706.03762.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from pellucid.errors import RequestError

__all__ = ["NAMED", "ColumnIdentity", "Positions", "sinusoids"]

NAMED = ("names", "shuffled", "words")
"""Identities that need vectors for the columns' names: the names themselves, or a control of theirs."""


class ColumnIdentity(nn.Module):
    """Tokens (N, C, D) to ``LayerNorm(token) * (1 + gamma(n)) + beta(n)`` with the columns' name vectors n (C, V).

    ``gamma`` and ``beta`` are linear maps without bias that start at zero. The name vectors are not learned. With random vectors in
    place of the names' this is the control: what it gains as well is no gain from the meaning of the names.

    Parameters
    ----------
    names : (C, V).
    d_token : D.
    """

    names: torch.Tensor

    def __init__(self, names: torch.Tensor, d_token: int) -> None:
        super().__init__()
        self.register_buffer("names", names, persistent=False)
        self.norm = nn.LayerNorm(d_token, elementwise_affine=False)
        self.scale = nn.Parameter(torch.zeros(names.shape[1], d_token))
        self.shift = nn.Parameter(torch.zeros(names.shape[1], d_token))

    @staticmethod
    def control(columns: int, width: int = 128) -> torch.Tensor:
        """Return random vectors (C, V) of the names' length, the same ones always."""
        drawn = torch.randn(columns, width, generator=torch.Generator().manual_seed(columns))
        return nn.functional.normalize(drawn, dim=1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return torch.addcmul(self.names @ self.shift, self.norm(tokens), 1 + self.names @ self.scale)


class Positions(nn.Module):
    """Tokens (N, C, D) with the sinusoidal encoding of their place added to the columns that have one.

    Off unless asked for: the order of columns has no meaning, but that of twelve monthly figures has.

    Parameters
    ----------
    columns : C. d_token : D.
    ordered : the ordered columns' indices, first to last.
    """

    places: torch.Tensor

    def __init__(self, columns: int, d_token: int, ordered: Sequence[int]) -> None:
        super().__init__()
        if len(set(ordered)) < len(ordered) or not all(0 <= j < columns for j in ordered):
            raise RequestError("the ordered columns cannot be used", expected="different columns of the table", got=str(list(ordered)))
        places = torch.zeros(columns, d_token)
        places[list(ordered)] = sinusoids(len(ordered), d_token)
        self.register_buffer("places", places, persistent=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens + self.places


def sinusoids(n: int, d_token: int) -> torch.Tensor:
    """Return the encodings (n, D) of places 0 .. n - 1: ``sin(p w_i), cos(p w_i)`` in turn, wavelengths 2 pi to 20000 pi.

    The product of two places' encodings depends on their distance k alone: the sum of ``cos(w_i k)``.
    """
    rates = torch.exp(-math.log(10000.0) * torch.arange(0, d_token, 2, dtype=torch.float64) / d_token)
    angle = torch.arange(n, dtype=torch.float64)[:, None] * rates
    return torch.stack([angle.sin(), angle.cos()], 2).flatten(1)[:, :d_token].float()
