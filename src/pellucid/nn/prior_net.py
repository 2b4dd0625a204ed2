"""Made-up rows for prior networks: where the law over the class probabilities is pulled flat."""

from __future__ import annotations

from typing import Any

import torch

from pellucid.nn.draws import draw_uniform

__all__ = ["REACH", "made_up", "out_penalty"]

REACH = 3.0
"""How far made-up cells lie beyond a real one, at most: in distances between two real ones."""
CAP = 10.0


def made_up(tokens: torch.Tensor) -> torch.Tensor:
    """Return made-up rows (N, C, D): every column's token is another row's, moved on by 1 to ``REACH`` times the way to it from a third's.

    So cells leave the data along the lines on which real cells lie, where a cell far out comes to lie too; noise in any direction of the
    tokens does not go there. Shuffled columns alone are no strange rows where columns are independent.
    """
    first, second = (_shuffled(tokens) for _ in range(2))
    way = 1 + (REACH - 1) * draw_uniform((len(tokens), 1), tokens.device)[..., None]
    return first + way * (first - second)


def _shuffled(tokens: torch.Tensor) -> torch.Tensor:
    order = draw_uniform(tokens.shape[:2], tokens.device).argsort(0)
    return tokens.gather(0, order[..., None].expand_as(tokens))


def out_penalty(net: Any, tokens: torch.Tensor, gamma: float) -> torch.Tensor:
    """Return gamma times KL(Dir(alpha) || Dir(1)) on made-up rows, (N,): the mean over members."""
    raw: torch.Tensor = net.outputs_from_tokens(made_up(tokens.detach()))
    alpha = raw.float().clamp(max=CAP).exp()
    o, a0 = alpha.shape[-1], alpha.sum(-1)
    inner = ((alpha - 1) * (torch.digamma(alpha) - torch.digamma(a0)[..., None])).sum(-1)
    flat = torch.lgamma(a0) - torch.lgamma(alpha).sum(-1) - torch.lgamma(a0.new_tensor(float(o))) + inner
    return gamma * flat.mean(1)
