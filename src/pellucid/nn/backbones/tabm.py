"""TabM: one network that is K networks.

Gorishniy, Kotelnikov, Babenko 2024, arXiv:2410.24210. The members share their matrices and differ by cheap scales, so that an
ensemble costs little more than one network; each member has its own head, and the loss is the mean of the members' losses.
"""

from __future__ import annotations

from pellucid.nn.backbones.mlp import FlatBackbone, linear_blocks
from pellucid.nn.layers import EnsembleLinear, FirstStage

__all__ = ["TabM", "TabMMini"]


class TabM(FlatBackbone):
    """K members with own scales before and after every shared matrix.

    At the start members differ only through the first input scales r (one draw per column) and their heads.

    Parameters
    ----------
    n_tokens, d_token : C, D.
    members, width, blocks : K, h, and the number of blocks, the first stage counted in.
    dropout : share of hidden entries set to 0 while training.
    """

    def __init__(self, n_tokens: int, d_token: int, members: int = 32, width: int = 512, blocks: int = 2, dropout: float = 0.1) -> None:
        first = FirstStage(n_tokens, d_token, width, members, scale_in=True, scale_out=True)
        super().__init__(first, [EnsembleLinear(width, width, members) for _ in range(blocks - 1)], dropout)


class TabMMini(FlatBackbone):
    """K members that differ by their scales of the input and their heads alone; all between is one perceptron.

    Parameters
    ----------
    n_tokens, d_token, members, width, blocks, dropout : as for :class:`TabM`.
    """

    def __init__(self, n_tokens: int, d_token: int, members: int = 32, width: int = 512, blocks: int = 2, dropout: float = 0.1) -> None:
        super().__init__(FirstStage(n_tokens, d_token, width, members, scale_in=True), linear_blocks(width, blocks - 1), dropout)
