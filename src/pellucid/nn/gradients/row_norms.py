"""How far would one row alone move the weights? The norm of the gradient of each row's loss, all rows of a chunk at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch.func import functional_call, grad, vmap

from pellucid.nn.cells import Cells
from pellucid.nn.table_net import TableNet

__all__ = ["row_norms"]

CHUNK = 256

Losses = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def row_norms(net: TableNet, cells: Cells, target: torch.Tensor, losses: Losses, chunk: int = CHUNK) -> npt.NDArray[np.float64]:
    """Return the Euclidean norm (N,) of the gradient of each row's loss in all trained weights, the network in its evaluation mode.

    Rows that a network keeps and answers by stand as they are encoded: no weight is followed through them.

    Parameters
    ----------
    cells : N rows. target : (N, ...) as the loss reads it. losses : (raw outputs (n, K, O), target) -> (n,).
    chunk : rows at once. Memory: ``chunk`` times the weights. Cost: one backward pass per row, done side by side.
    """
    weights = {n: p.detach() for n, p in net.named_parameters() if p.requires_grad}
    rest = {n: b.detach() for n, b in [*net.named_buffers(), *((n, p) for n, p in net.named_parameters() if not p.requires_grad)]}

    def loss(values: dict[str, torch.Tensor], numbers: torch.Tensor, missing: torch.Tensor, codes: torch.Tensor, vectors: torch.Tensor,
             y: torch.Tensor) -> torch.Tensor:  # fmt: skip
        row = Cells(numbers[None], missing[None], codes[None], vectors[None])
        out = functional_call(net, (values, rest), (row,))
        return losses(out.float(), y[None])[0]

    each = vmap(grad(loss), in_dims=(None, 0, 0, 0, 0, 0))
    out = []
    for start in range(0, cells.n_rows, chunk):
        at = slice(start, start + chunk)
        found = each(weights, *cells.take(at), target[at])
        out.append(sum(g.reshape(len(g), -1).cpu().double().square().sum(1) for g in found.values()))  # some weights are scalars
    return np.asarray(torch.cat(out).sqrt().cpu().numpy()) if out else np.zeros(0)
