"""Penalties on weights: shrink all of them, make them sparse, or switch whole columns off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pellucid.nn.regularizers.base import Regularizer, Trace

if TYPE_CHECKING:
    from pellucid.nn.table_net import TableNet

__all__ = ["L1", "L2", "Group"]


class L1(Regularizer):
    """``weight`` times the sum of absolute values of the backbone's matrices (Tibshirani 1996, doi:10.1111/j.2517-6161.1996.tb02080.x).

    Parameters
    ----------
    weight : of the penalty. layer : ``"first"`` for the matrix that reads the tokens alone, ``"all"`` for every matrix of the backbone.
    """

    def __init__(self, weight: float = 1e-4, layer: str = "first") -> None:
        self.weight, self.layer = weight, layer

    def penalty(self, net: TableNet, trace: Trace) -> torch.Tensor:
        return self.weight * sum((m.abs().sum() for m in _matrices(net, self.layer)), trace.outputs.new_zeros(()))


class L2(L1):
    """``weight`` times the sum of squares of the backbone's matrices (Hoerl and Kennard 1970, doi:10.1080/00401706.1970.10488634)."""

    def penalty(self, net: TableNet, trace: Trace) -> torch.Tensor:
        return self.weight * sum((m.square().sum() for m in _matrices(net, self.layer)), trace.outputs.new_zeros(()))


class Group(Regularizer):
    """Group lasso over columns: ``weight`` times the sum over columns of the root mean square of the column's tokens in the batch, times
    sqrt(D) (Yuan and Lin 2006, doi:10.1111/j.1467-9868.2005.00532.x).

    # NOTE[DIFF] The group is what the column sends on, not one weight matrix: it works for every encoding and every backbone.
    """

    def __init__(self, weight: float = 1e-3) -> None:
        self.weight = weight

    def penalty(self, net: TableNet, trace: Trace) -> torch.Tensor:
        size = (trace.tokens.square().sum(2).mean(0) + 1e-12).sqrt()
        return self.weight * size.sum()


def _matrices(net: TableNet, layer: str) -> list[torch.Tensor]:
    held = dict(net.named_parameters())
    names = net.matrices()
    return [held[n] for n in (names[:1] if layer == "first" else names)]
