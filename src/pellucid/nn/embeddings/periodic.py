"""Sines and cosines of numbers.

Gorishniy, Rubachev, Babenko 2022, arXiv:2203.05556; the ``pbld`` form of Holzmueller, Grinsztajn, Steinwart 2024, arXiv:2407.04491.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from pellucid.errors import RequestError
from pellucid.nn.layers import uniform

__all__ = ["PBLD", "PLR", "PLRLite", "Periodic", "periodic"]

Bins = Sequence[npt.NDArray[np.floating]]


def periodic(numbers: torch.Tensor, frequencies: torch.Tensor) -> torch.Tensor:
    """Return ``[sin 2 pi c x, cos 2 pi c x]`` (N, Sn, 2k) of numbers (N, Sn) at frequencies c (k,) or (Sn, k).

    Examples
    --------
    >>> periodic(torch.tensor([[1.25]]), torch.tensor([1.0, 2.0])).round().abs()[0, 0].tolist()
    [1.0, 0.0, 0.0, 1.0]
    """
    waves: torch.Tensor = _Waves.apply(2 * math.pi * numbers[..., None] * frequencies)
    return waves


class _Waves(torch.autograd.Function):
    """Angles (..., k) to (..., 2k), sines before cosines; each is the other's derivative, so the way back computes neither again."""

    generate_vmap_rule = True

    @staticmethod
    def forward(angle: torch.Tensor) -> torch.Tensor:
        return torch.cat([angle.sin(), angle.cos()], -1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, *gradient: torch.Tensor) -> torch.Tensor:
        (sine, cosine), (to_sine, to_cosine) = ctx.saved_tensors[0].chunk(2, -1), gradient[0].chunk(2, -1)
        slope: torch.Tensor = to_sine * cosine - to_cosine * sine
        return slope


class Periodic(nn.Module):
    """Numbers (N, Sn) to vectors (N, Sn, D): the periodic encoding itself, D / 2 frequencies a column; for odd D the number comes last.

    Each column's frequencies are drawn from N(0, scale**2), cut at three times the scale. A missing number has a vector of its own.

    Parameters
    ----------
    bins : Sn arrays of edges; only their count is read.
    d_token : D, at least 2.
    scale : spread of the frequencies; the critical setting: small is safe, large over-fits.
    trainable : learn the frequencies.
    """

    frequencies: torch.Tensor

    def __init__(self, bins: Bins, d_token: int, scale: float = 0.1, trainable: bool = True) -> None:
        super().__init__()
        if d_token < 2:
            raise RequestError("the periodic encoding needs a sine and a cosine", expected="d_token of at least 2", got=str(d_token))
        self.odd = d_token % 2 == 1
        drawn = _frequencies(len(bins), d_token // 2, scale)
        if trainable:
            self.frequencies = nn.Parameter(drawn)
        else:
            self.register_buffer("frequencies", drawn)
        self.gap = nn.Parameter(uniform((len(bins), d_token), d_token**-0.5))

    def forward(self, numbers: torch.Tensor, missing: torch.Tensor) -> torch.Tensor:
        out = periodic(numbers, self.frequencies)
        if self.odd:
            out = torch.cat([out, numbers[..., None]], -1)
        return torch.where(missing[..., None], self.gap, out)


class PLR(nn.Module):
    """Numbers (N, Sn) to vectors (N, Sn, D): periodic encoding, a linear map per column, ReLU.

    Parameters
    ----------
    bins : Sn arrays of edges; only their count is read.
    d_token : D.
    n_frequencies : k, of each column.
    scale : spread of the frequencies at the start; they are learned. Measured on two tables: 0.3 serves both, 0.1 one of them.
    shared : one linear map for all columns (``plr_lite``): fewer parameters, and columns learn from each other.
    """

    def __init__(self, bins: Bins, d_token: int, n_frequencies: int = 48, scale: float = 0.3, shared: bool = False) -> None:
        super().__init__()
        n, bound = len(bins), (2 * n_frequencies) ** -0.5
        self.frequencies = nn.Parameter(_frequencies(n, n_frequencies, scale))
        self.weight = nn.Parameter(uniform((1 if shared else n, 2 * n_frequencies, d_token), bound))
        self.bias = nn.Parameter(uniform((1 if shared else n, d_token), bound))
        self.gap = nn.Parameter(uniform((n, d_token), d_token**-0.5))

    def forward(self, numbers: torch.Tensor, missing: torch.Tensor) -> torch.Tensor:
        waves = periodic(numbers, self.frequencies)
        if len(self.weight) == 1:
            out = waves @ self.weight[0] + self.bias
        else:
            out = torch.baddbmm(self.bias[:, None], waves.transpose(0, 1), self.weight).transpose(0, 1)
        return torch.where(missing[..., None], self.gap, torch.relu(out))


class PLRLite(PLR):
    """The same with one linear map for all columns."""

    def __init__(self, bins: Bins, d_token: int, n_frequencies: int = 48, scale: float = 0.3) -> None:
        super().__init__(bins, d_token, n_frequencies, scale, shared=True)


class PBLD(nn.Module):
    """Numbers (N, Sn) to vectors (N, Sn, D): the number, beside a linear map of cosines with learned frequency and phase.

    # NOTE[DIFF] The reference moves frequencies and phases at a tenth of the learning rate. Here the tensor that is learned is ten times
    # the frequency and ten times the phase, which for Adam is the same.

    Parameters
    ----------
    bins : Sn arrays of edges; only their count is read.
    d_token : D, at least 2 (4 in the reference).
    n_frequencies : k (16 in the reference).
    scale : spread of the frequencies at the start.
    """

    SLOWER = 10.0

    def __init__(self, bins: Bins, d_token: int, n_frequencies: int = 16, scale: float = 0.1) -> None:
        super().__init__()
        if d_token < 2:
            raise RequestError("this encoding holds the number and at least one wave", expected="d_token of at least 2", got=str(d_token))
        n, bound = len(bins), n_frequencies**-0.5
        self.frequencies = nn.Parameter(self.SLOWER * scale * torch.randn(n, n_frequencies))
        self.phases = nn.Parameter(self.SLOWER * uniform((n, n_frequencies), math.pi))
        self.weight = nn.Parameter(uniform((n, n_frequencies, d_token - 1), bound))
        self.bias = nn.Parameter(uniform((n, d_token - 1), bound))
        self.gap = nn.Parameter(uniform((n, d_token), d_token**-0.5))

    def forward(self, numbers: torch.Tensor, missing: torch.Tensor) -> torch.Tensor:
        angle = (2 * math.pi * numbers[..., None] * self.frequencies + self.phases) / self.SLOWER
        waves = torch.baddbmm(self.bias[:, None], angle.cos().transpose(0, 1), self.weight).transpose(0, 1)
        return torch.where(missing[..., None], self.gap, torch.cat([numbers[..., None], waves], -1))


def _frequencies(columns: int, k: int, scale: float) -> torch.Tensor:
    return nn.init.trunc_normal_(torch.empty(columns, k), std=scale, a=-3 * scale, b=3 * scale)
