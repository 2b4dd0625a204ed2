"""Doubt from batch norm: the network as it stood for single batches of its training, side by side.

Atanov, Ashukha, Molchanov, Neklyudov, Vetrov 2018, arXiv:1802.04893; Teye, Azizpour, Smith 2018, arXiv:1802.06455.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from pellucid.errors import RequestError
from pellucid.nn.norms import norms_over_rows

if TYPE_CHECKING:
    from pellucid.nn.cells import Cells
    from pellucid.nn.table_net import TableNet

__all__ = ["sampled_norms", "stochastic_statistics"]


def sampled_norms(net: nn.Module) -> list[nn.Module]:
    """Return the layers whose statistics are sampled; raise where the network has none."""
    found = norms_over_rows(net)
    if not found:
        raise RequestError(
            "stochastic_bn samples the statistics of batch norm, and this network has none",
            do="choose a backbone that has, such as 'resnet', or leave bayes out",
        )
    return found


@torch.no_grad()
def stochastic_statistics(net: TableNet, cells: Cells, batches: torch.Tensor) -> list[TableNet]:
    """Return the network S times, each time with the statistics of one batch of training rows in place of its running record.

    While learning, a row's answer depended on the rows of its batch; these copies answer as if each batch stood beside the new rows, and
    what they disagree on is the doubt that this leaves. Dropout is off.

    # NOTE[DIFF] Statistics are those of real batches, where Atanov and others draw them from a normal and a log-normal law fitted to them:
    the layers' statistics of one batch belong together, and no law is assumed. Variances are the unbiased ones, as in the running record.

    Parameters
    ----------
    net : a trained network, left as it is.
    cells : (N, ...) rows it learned from.
    batches : (S, B) int64, positions among the N rows. The smaller B, the larger the doubt: take the batch of the training.

    Raises
    ------
    RequestError : the network has no batch norm.

    Notes
    -----
    Cost: one pass over B rows a sample here, S passes in every answer. Of a norm over groups the last group of the batch counts.
    """
    sampled_norms(net)
    sampled = []
    for rows in batches:
        one = copy.deepcopy(net).eval()
        layers: list[Any] = sampled_norms(one)
        held = [layer.momentum for layer in layers]
        for layer in layers:
            layer.train().momentum = 1.0  # the record becomes that of the one batch
        one(cells.take(rows))
        for layer, momentum in zip(layers, held):
            layer.momentum = momentum
        sampled.append(one.eval())
    return sampled
