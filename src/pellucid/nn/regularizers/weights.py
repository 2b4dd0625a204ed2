"""Penalties on weights: shrink all of them, make them sparse, switch whole columns off, or keep lengths as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pellucid.nn.regularizers.base import Regularizer, Trace

if TYPE_CHECKING:
    from pellucid.nn.table_net import TableNet

__all__ = ["L1", "L2", "Group", "Orthogonal"]


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


class Orthogonal(Regularizer):
    """``weight`` times the mean squared distance of the matrices' singular values' squares from 1, so that layers keep lengths.

    ``||W W' - I||^2`` of the smaller side, over that side's length, averaged over matrices: the dense form of the penalty on convolutions
    of Wang, Chen, Chakraborty, Yu 2020, arXiv:1911.12207.

    Parameters
    ----------
    weight : of the penalty. layer : as for :class:`L1`.
    """

    def __init__(self, weight: float = 1.0, layer: str = "all") -> None:
        self.weight, self.layer = weight, layer

    def penalty(self, net: TableNet, trace: Trace) -> torch.Tensor:
        matrices = _matrices(net, self.layer)
        return self.weight * sum((_distance(m) for m in matrices), trace.outputs.new_zeros(())) / max(len(matrices), 1)


def _distance(matrix: torch.Tensor) -> torch.Tensor:
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.mT
    gram = wide @ wide.mT
    return (gram - torch.eye(len(gram), dtype=gram.dtype, device=gram.device)).square().sum() / len(gram)


def _matrices(net: TableNet, layer: str) -> list[torch.Tensor]:
    held = dict(net.named_parameters())
    names = net.matrices()
    return [held[n] for n in (names[:1] if layer == "first" else names)]
