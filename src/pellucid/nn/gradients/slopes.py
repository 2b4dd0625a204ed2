"""The gradient engine: derivatives of outputs with respect to tokens, and their average along a path.

Everything that differentiates a network for an answer goes through here. It sees a function from tokens (N, C, D) to outputs (N, O) whose
rows do not depend on each other, and nothing else; so one backward pass of the sum over rows gives every row's own gradient.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

__all__ = ["integrated", "nodes", "token_gradients"]

Function = Callable[[torch.Tensor], torch.Tensor]
BATCH = 1024


def token_gradients(function: Function, tokens: torch.Tensor, batch: int = BATCH) -> tuple[torch.Tensor, torch.Tensor]:
    """Return outputs (N, O) and gradients (N, O, C, D) of every output with respect to the tokens.

    Parameters
    ----------
    function : tokens (N, C, D) -> outputs (N, O), differentiable, rows independent.
    tokens : (N, C, D).
    batch : rows at a time.

    Notes
    -----
    Cost: one forward and O backward passes.

    Examples
    --------
    >>> value, slope = token_gradients(lambda t: (t * t).sum((1, 2))[:, None], torch.tensor([[[1.0, 2.0]]]))
    >>> value.tolist(), slope.tolist()
    ([[5.0]], [[[[2.0, 4.0]]]])
    """
    values, gradients = [], []
    for part in tokens.split(batch):
        # a tensor made in inference mode cannot be differentiated, a copy made outside of it can
        with torch.inference_mode(False), torch.enable_grad():
            leaf = part.detach().clone().requires_grad_(True)
            out = function(leaf)
            rows = [torch.autograd.grad(out[:, o].sum(), leaf, retain_graph=o + 1 < out.shape[1])[0] for o in range(out.shape[1])]
        values.append(out.detach())
        gradients.append(torch.stack(rows, 1))
    return torch.cat(values), torch.cat(gradients)


def nodes(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the n Gauss-Legendre nodes on [0, 1] and their weights: exact for polynomials up to degree 2 n - 1."""
    place, weight = np.polynomial.legendre.leggauss(n)
    return torch.as_tensor((place + 1) / 2), torch.as_tensor(weight / 2)


def integrated(function: Function, tokens: torch.Tensor, reference: torch.Tensor, n: int, batch: int = BATCH) -> torch.Tensor:
    """Return integrated gradients summed over the token width, (N, O, C), along the straight path from ``reference`` to ``tokens``.

    Sundararajan, Taly and Yan (2017, arXiv:1703.01365), in the space of tokens, where categories have a path too.

    Parameters
    ----------
    function : tokens (N, C, D) -> outputs (N, O).
    tokens, reference : (N, C, D) both.
    n : Gauss-Legendre nodes.

    Notes
    -----
    Cost: n forward and n O backward passes per row.
    """
    place, weight = (a.to(tokens) for a in nodes(n))
    step = max(1, batch // n)
    out = []
    for end, start in zip(tokens.split(step), reference.split(step)):
        change = end - start
        path = start[:, None] + place[None, :, None, None] * change[:, None]
        _, gradient = token_gradients(function, path.flatten(0, 1), batch)
        mean = (gradient.unflatten(0, (len(end), n)) * weight[None, :, None, None, None]).sum(1)
        out.append((mean * change[:, None]).sum(-1))
    return torch.cat(out)
