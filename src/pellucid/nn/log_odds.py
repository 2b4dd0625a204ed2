"""Log-odds of each of several classes against all the others."""

from __future__ import annotations

import torch
from torch.overrides import has_torch_function_unary

__all__ = ["log_odds"]


def log_odds(logp: torch.Tensor) -> torch.Tensor:
    """Return ``log p - log(1 - p)`` of log-probabilities (N, O) of three or more classes, differentiable, exact at both ends.

    What the others of a class hold is the whole less its share, but for the likeliest one: there that difference is what rounding leaves
    once p is near 1, so its others are added up. Cost: a few passes over N * O numbers, where others of each class would be N * O**2.

    Examples
    --------
    >>> log_odds(torch.tensor([[0.5, 0.25, 0.25]]).log()).exp()
    tensor([[1.0000, 0.3333, 0.3333]])
    """
    if has_torch_function_unary(logp):
        # a pass is being recorded: its rules follow one operation at a time, and which class is likeliest is not one that can be followed
        n = logp.shape[1]
        others = logp[:, None, :].expand(-1, n, -1).masked_fill(torch.eye(n, dtype=torch.bool, device=logp.device), -torch.inf)
        return logp - torch.logsumexp(others, -1)
    likeliest = torch.zeros_like(logp, dtype=torch.bool).scatter_(1, logp.argmax(1, keepdim=True), True)
    rest = logp.masked_fill(likeliest, -torch.inf)
    whole = torch.logsumexp(logp, 1, keepdim=True)
    others = whole + torch.log1p(-torch.exp(rest - whole))  # shares of one half at most
    return logp - torch.where(likeliest, torch.logsumexp(rest, 1, keepdim=True), others)
