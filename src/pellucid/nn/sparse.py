"""Sparse alternatives to softmax: weights that sum to 1 and can be exactly 0.

Sparsemax: Martins and Astudillo 2016, arXiv:1602.02068. Entmax: Peters, Niculae and Martins 2019, arXiv:1905.05702.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import handle_torch_function, has_torch_function_unary

__all__ = [
    "Entmax15Function",
    "SparsemaxFunction",
    "entmax",
    "entmax15",
    "entmax15_back",
    "exact",
    "sparsemax",
    "sparsemax_back",
    "sparsemax_by_support",
]


class SparsemaxFunction(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(z: torch.Tensor) -> torch.Tensor:
        z = z - z.amax(-1, keepdim=True)
        total = z.sort(-1, descending=True).values.cumsum(-1)
        rank = torch.arange(1, z.shape[-1] + 1, device=z.device, dtype=z.dtype)
        # the threshold that k columns would need rises with k as long as the k-th is above it, and falls from there on
        return torch.relu(z - ((total - 1) / rank).amax(-1, keepdim=True))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, *gradient: torch.Tensor) -> torch.Tensor:
        return sparsemax_back(ctx.saved_tensors[0], gradient[0])


class Entmax15Function(torch.autograd.Function):
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
        return entmax15_back(ctx.saved_tensors[0], gradient[0])


def sparsemax(z: torch.Tensor) -> torch.Tensor:
    """Return the point of the probability simplex nearest to scores (..., D), row by row over the last axis.

    Cost: one sort of D numbers a row. Computed in float32 inside autocast. Equal scores get equal weights.

    Examples
    --------
    >>> sparsemax(torch.tensor([1.0, 0.9, -1.0])).tolist()
    [0.55..., 0.44..., 0.0]
    """
    return exact(SparsemaxFunction, z)


def entmax15(z: torch.Tensor) -> torch.Tensor:
    """Return 1.5-entmax of scores (..., D): between softmax and sparsemax, exact by one sort."""
    return exact(Entmax15Function, z)


def sparsemax_by_support(z: torch.Tensor) -> torch.Tensor:
    """Return :func:`sparsemax` of scores (..., D) without sorting, and without recording a gradient.

    Michelot 1986, doi:10.1007/BF00938486, started one below the highest score: every round drops the columns below the threshold that the
    last round's columns need, until none is dropped. At most D rounds, mostly three or four, each of some passes that run over whole
    columns where the scores lie in memory column by column. How many is read from the numbers, so not for use inside ``vmap``.
    """
    z = z - z.amax(-1, True)
    out, inside = (z + 1).relu_(), torch.empty_like(z)
    held = torch.gt(out, 0, out=inside).sum(-1, True)
    limit = (out.sum(-1, True) - 1).div_(held).sub_(1)
    for _ in range(z.shape[-1]):
        out = (z - limit).relu_()
        count = torch.gt(out, 0, out=inside).sum(-1, True)
        if torch.equal(count, held):
            break
        limit += (out.sum(-1, True) - 1).div_(count)
        held = count
    return out


def sparsemax_back(out: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Return the gradient of the scores from the weights (..., D) and their gradient."""
    return _centred_back((out > 0).to(out.dtype), gradient)


def entmax15_back(out: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Return the gradient of the scores from the weights (..., D) and their gradient."""
    return _centred_back(out.sqrt(), gradient)


def _centred_back(weight: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    mean = (gradient * weight).sum(-1, keepdim=True) / weight.sum(-1, keepdim=True)
    change: torch.Tensor = weight * (gradient - mean)
    return change


def exact(function: type[torch.autograd.Function], z: torch.Tensor) -> torch.Tensor:
    """Return the weights in the scores' precision, float32 at least. The gradient engine may take it for one operation."""
    if has_torch_function_unary(z):
        made: torch.Tensor = handle_torch_function(exact, (z,), function, z)
        return made
    with torch.autocast(z.device.type, enabled=False):
        out: torch.Tensor = function.apply(z.float() if z.dtype in (torch.bfloat16, torch.float16) else z)
    return out


def entmax(z: torch.Tensor, alpha: float = 1.5) -> torch.Tensor:
    """Return alpha-entmax of scores (..., D) for alpha 1 (softmax), 1.5 or 2 (sparsemax)."""
    forms: dict[float, Callable[[torch.Tensor], torch.Tensor]] = {1.0: lambda x: x.softmax(-1), 1.5: entmax15, 2.0: sparsemax}
    return forms[float(alpha)](z)
