"""A small network for each column of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from pellucid.nn.layers import uniform

__all__ = ["ColumnMLP"]


class ColumnMLP(nn.Module):
    """Numbers (N, Sn) to vectors (N, Sn, D): every column has a network of its own, one number to D, all columns at once.

    The first layer's kinks start at places drawn from the usual range of the scaled numbers: kinks that lie outside the data would never
    be moved by a gradient.

    Parameters
    ----------
    bins : Sn arrays of edges; only their count is read.
    d_token : D.
    hidden : width of the layers between.
    layers : of linear maps, at least 2.
    """

    def __init__(self, bins: Sequence[npt.NDArray[np.floating]], d_token: int, hidden: int = 16, layers: int = 2) -> None:
        super().__init__()
        n = len(bins)
        self.first = nn.Parameter(uniform((n, hidden), 1.0))
        self.shift = nn.Parameter(-self.first.detach() * uniform((n, hidden), 2.0))
        widths = [hidden] * (max(layers, 2) - 1) + [d_token]
        pairs = list(pairwise(widths))
        self.weights = nn.ParameterList(uniform((n, a, b), a**-0.5) for a, b in pairs)
        self.biases = nn.ParameterList(uniform((n, b), a**-0.5) for a, b in pairs)
        self.gap = nn.Parameter(uniform((n, d_token), d_token**-0.5))

    def forward(self, numbers: torch.Tensor, missing: torch.Tensor) -> torch.Tensor:
        x = torch.addcmul(self.shift, self.first, numbers[..., None]).transpose(0, 1)
        for weight, bias in zip(self.weights, self.biases):
            x = torch.baddbmm(bias[:, None], torch.relu(x), weight)
        return torch.where(missing[..., None], self.gap, x.transpose(0, 1))
