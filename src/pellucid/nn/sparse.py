"""Sparse alternatives to softmax: weights that sum to 1 and can be exactly 0.

Sparsemax: Martins and Astudillo 2016, arXiv:1602.02068. Entmax: Peters, Niculae and Martins 2019, arXiv:1905.05702.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

__all__ = ["entmax", "entmax15", "sparsemax"]


class _Sparsemax(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(z: torch.Tensor) -> torch.Tensor:
        z = z - z.amax(-1, keepdim=True)
        ordered = z.sort(-1, descending=True).values
        rank = torch.arange(1, z.shape[-1] + 1, device=z.device, dtype=z.dtype)
        total = ordered.cumsum(-1) - 1
        size = (rank * ordered > total).sum(-1, keepdim=True)
        return torch.relu(z - total.gather(-1, size - 1) / size)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, *gradient: torch.Tensor) -> torch.Tensor:
        (out,) = ctx.saved_tensors
        inside = (out > 0).to(out.dtype)
        mean = (gradient[0] * inside).sum(-1, keepdim=True) / inside.sum(-1, keepdim=True)
        change: torch.Tensor = inside * (gradient[0] - mean)
        return change


class _Entmax15(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(z: torch.Tensor) -> torch.Tensor:
        z = (z - z.amax(-1, keepdim=True)) / 2
        ordered = z.sort(-1, descending=True).values
        rank = torch.arange(1, z.shape[-1] + 1, device=z.device, dtype=z.dtype)
        mean = ordered.cumsum(-1) / rank
        spread = rank * (ordered.square().cumsum(-1) / rank - mean.square())
        limit = mean - ((1 - spread) / rank).clamp(min=0).sqrt()
        size = (limit <= ordered).sum(-1, keepdim=True)
        return torch.relu(z - limit.gather(-1, size - 1)).square()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, *gradient: torch.Tensor) -> torch.Tensor:
        (out,) = ctx.saved_tensors
        root = out.sqrt()
        mean = (gradient[0] * root).sum(-1, keepdim=True) / root.sum(-1, keepdim=True)
        change: torch.Tensor = root * (gradient[0] - mean)
        return change


def sparsemax(z: torch.Tensor) -> torch.Tensor:
    """Return the point of the probability simplex nearest to scores (..., D), row by row over the last axis.

    Cost: one sort of D numbers a row. Computed in float32 inside autocast. Equal scores get equal weights.

    Examples
    --------
    >>> sparsemax(torch.tensor([1.0, 0.9, -1.0])).tolist()
    [0.55..., 0.44..., 0.0]
    """
    return _exact(_Sparsemax, z)


def entmax15(z: torch.Tensor) -> torch.Tensor:
    """Return 1.5-entmax of scores (..., D): between softmax and sparsemax, exact by one sort."""
    return _exact(_Entmax15, z)


def _exact(function: type[torch.autograd.Function], z: torch.Tensor) -> torch.Tensor:
    with torch.autocast(z.device.type, enabled=False):
        out: torch.Tensor = function.apply(z.float() if z.dtype in (torch.bfloat16, torch.float16) else z)
    return out


def entmax(z: torch.Tensor, alpha: float = 1.5) -> torch.Tensor:
    """Return alpha-entmax of scores (..., D) for alpha 1 (softmax), 1.5 or 2 (sparsemax)."""
    forms: dict[float, Callable[[torch.Tensor], torch.Tensor]] = {1.0: lambda x: x.softmax(-1), 1.5: entmax15, 2.0: sparsemax}
    return forms[float(alpha)](z)
