"""The gradient engine: derivatives of outputs with respect to tokens, and their average along a path.

Everything that differentiates a network for an answer goes through here. It sees a function from tokens (N, C, D) to outputs (N, O) whose
rows do not depend on each other, and nothing else; so one backward pass of the sum over rows gives every row's own gradient.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

__all__ = ["doubts", "integrated", "nodes", "token_gradients"]

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


def doubts(n: int) -> torch.Tensor:
    """Return weights (n,) whose sum over the values at ``nodes(n)`` is of the size of that rule's error.

    They give 0 for polynomials below degree n - 1, which fixes them but for a factor. The factor: for a step at a random place, as a kink
    of a network leaves in its gradient, the mean square is that of the error.

    Examples
    --------
    >>> place, _ = nodes(4)
    >>> round(float((doubts(4) * place**2).sum()), 12), abs(float((doubts(4) * (place > 0.5)).sum())) > 0.01
    (0.0, True)
    """
    place, weight = (a.numpy() for a in nodes(n))
    alone = 1 / (place[:, None] - place + np.eye(n)).prod(1)
    alone = alone / np.abs(alone).max()
    # a step between two nodes: the rule says ``above``, the truth is 1 - place, so the error runs evenly from ``low`` to ``high``
    ends = np.concatenate([[0.0], place, [1.0]])
    above, told = (np.append(a[::-1].cumsum()[::-1], 0.0) for a in (weight, alone))
    low, high = above - 1 + ends[:-1], above - 1 + ends[1:]
    square = ((high**3 - low**3) / 3).sum() / (np.square(told) * np.diff(ends)).sum()
    return torch.as_tensor(alone * np.sqrt(square))


def integrated(
    function: Function, tokens: torch.Tensor, reference: torch.Tensor, n: int, batch: int = BATCH
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return integrated gradients summed over the token width and what their nodes disagree by, (N, O, C) both.

    Sundararajan, Taly and Yan (2017, arXiv:1703.01365), in the space of tokens, where categories have a path too: straight from
    ``reference`` to ``tokens``. The second is the sum of :func:`doubts`: of the size of the error.

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
    weights = torch.stack([weight, doubts(n).to(tokens)])
    step = max(1, batch // n)
    out = []
    for end, start in zip(tokens.split(step), reference.split(step)):
        change = end - start
        path = start[:, None] + place[None, :, None, None] * change[:, None]
        _, gradient = token_gradients(function, path.flatten(0, 1), batch)
        each = (gradient.unflatten(0, (len(end), n)) * change[:, None, None]).sum(-1)
        out.append(torch.einsum("inoc,kn->kioc", each, weights))
    value, doubt = torch.cat(out, 1)
    return value, doubt
