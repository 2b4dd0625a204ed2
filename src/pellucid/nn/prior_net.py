"""Made-up rows for prior networks: where the law over the class probabilities is pulled flat."""

from __future__ import annotations

from typing import Any

import torch

from pellucid.nn.draws import draw_normal, draw_uniform

__all__ = ["NOISE", "made_up", "out_penalty"]

NOISE = 2.0
"""Spreads of the tokens by which half of the made-up rows are moved."""
CAP = 10.0


def made_up(tokens: torch.Tensor) -> torch.Tensor:
    """Return made-up rows (N, C, D): every column's tokens from another row; every second row moved by noise as well.

    Shuffled columns alone are no strange rows where columns are independent, noise alone leaves out the strange combinations.
    """
    order = draw_uniform(tokens.shape[:2], tokens.device).argsort(0)
    mixed = tokens.gather(0, order[..., None].expand_as(tokens))
    spread = tokens.detach().var(0, correction=0, keepdim=True).clamp(min=1e-12).sqrt()
    every_second = (torch.arange(tokens.shape[0], device=tokens.device) % 2)[:, None, None]
    return mixed + NOISE * spread * every_second * draw_normal(tokens.shape, tokens)


def out_penalty(net: Any, tokens: torch.Tensor, gamma: float) -> torch.Tensor:
    """Return gamma times KL(Dir(alpha) || Dir(1)) on made-up rows, (N,): the mean over members."""
    raw: torch.Tensor = net.outputs_from_tokens(made_up(tokens.detach()))
    alpha = raw.float().clamp(max=CAP).exp()
    o, a0 = alpha.shape[-1], alpha.sum(-1)
    inner = ((alpha - 1) * (torch.digamma(alpha) - torch.digamma(a0)[..., None])).sum(-1)
    flat = torch.lgamma(a0) - torch.lgamma(alpha).sum(-1) - torch.lgamma(a0.new_tensor(float(o))) + inner
    return gamma * flat.mean(1)
