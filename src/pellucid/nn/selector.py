"""Networks that choose columns row by row, and draws of a choice that gradients can pass.

Letters: N rows, P players, F flat width.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import nn

__all__ = ["gumbel", "most_likely", "perceptron", "subset", "union_of_draws"]


def perceptron(sizes: Sequence[int], *, silent: bool = False) -> nn.Sequential:
    """Return a network of dense layers with GELU between them; ``silent``: its answer begins at 0 whatever the row."""
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), nn.GELU()]
    last = layers[-2]
    if silent and isinstance(last, nn.Linear):
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    return nn.Sequential(*layers[:-1])


def gumbel(shape: Sequence[int], generator: torch.Generator) -> torch.Tensor:
    """Return draws of the standard Gumbel law."""
    return -torch.empty(tuple(shape)).exponential_(generator=generator).clamp(min=1e-20).log()


def union_of_draws(logits: torch.Tensor, k: int, temperature: float, generator: torch.Generator) -> torch.Tensor:
    """Return soft choices (N, P): the largest share of each player over k softened draws with replacement (L2X)."""
    noise = gumbel((k, *logits.shape), generator)
    return ((logits + noise) / temperature).softmax(-1).amax(0)


def subset(logits: torch.Tensor, k: int, temperature: float, generator: torch.Generator) -> torch.Tensor:
    """Return choices (N, P) of exactly k players without replacement; gradients are those of k softmaxes, each without those before.

    Xie and Ermon 2019, arXiv:1901.10517; the choice itself is hard, its gradient that of the soft one.
    """
    keys = logits + gumbel(logits.shape, generator)
    left, soft = keys, torch.zeros_like(keys)
    for _ in range(k):
        share = (left / temperature).softmax(-1)
        soft = soft + share
        left = left + torch.log1p(-share.clamp(max=1 - 1e-6))
    return most_likely(keys, k) + soft - soft.detach()


def most_likely(logits: torch.Tensor, k: int) -> torch.Tensor:
    """Return 1 for the k largest of each row (N, P), the first among equals, and 0 for the others."""
    order = torch.sort(logits.detach(), dim=-1, descending=True, stable=True).indices[..., :k]
    return torch.zeros_like(logits).scatter(-1, order, 1.0)
