"""Backbones that read all tokens of a row side by side: the multi-layer perceptron, and what it shares with TabM."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import nn
from torch._C._functorch import is_functorch_wrapped_tensor

from pellucid.nn.folding import InTurn, in_turn, unwatched
from pellucid.nn.layers import EnsembleLinear, FirstStage, only_answers, relu_dropout

__all__ = ["MLP", "FlatBackbone", "linear_blocks"]

Parts = Mapping[str, torch.Tensor]


class FlatBackbone(nn.Module):
    """A backbone whose first stage is a sum over columns: tokens (N, C, D) to hidden states (N, K, H).

    Attributes
    ----------
    additive : True; what follows the first stage reads only the sum of the columns' parts. linear_parts : True;
        these are linear in the tokens.
    members, width : K, H.
    """

    additive = True
    linear_parts = True
    stackable = True

    def __init__(self, first: FirstStage, blocks: Iterable[nn.Module], dropout: float) -> None:
        super().__init__()
        self.first, self.blocks, self.dropout = first, nn.ModuleList(blocks), dropout
        self.members, self.width = first.members, first.width

    def parts(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the columns' parts of the stacked first pre-activations, (N, C, K * h)."""
        return self.first.parts(tokens)

    def from_sum(self, total: torch.Tensor) -> tuple[torch.Tensor, Parts]:
        """Return (hidden (N, K, H), named parts) from the summed parts (N, K * h)."""
        x = total.unflatten(1, (self.members, self.width))
        return self._past_first(relu_dropout(x, self.dropout, self.training)), {}

    def _past_first(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.blocks:
            x = self._act(layer, x)
        return x

    def _act(self, layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
        if isinstance(layer, FirstStage | EnsembleLinear) and not layer._forward_hooks:  # who listens wants what is before the ReLU
            return layer.activated(x, self.dropout)
        if not layer._forward_hooks and only_answers(self, x):
            return torch.relu_(layer(x))  # fresh from a layer, and nobody else reads it
        if isinstance(layer, nn.Linear) and x.shape[1] == 1 and self._in_a_stack(layer):
            # of networks stacked side by side (N, 1, H) would become one product per row, the matrix copied N times
            return torch.relu(layer(x.squeeze(1))).unsqueeze(1)
        return relu_dropout(layer(x), self.dropout, self.training)

    def _in_a_stack(self, layer: nn.Linear) -> bool:
        """Return whether networks answer side by side, and nobody listens to the layer."""
        return not self.training and not layer._forward_hooks and is_functorch_wrapped_tensor(layer.weight)

    @property
    def _plain(self) -> bool:
        """Whether a ReLU and the blocks are all that comes after the first stage."""
        return type(self).from_sum is FlatBackbone.from_sum

    def _at_once(self, tokens: torch.Tensor) -> bool:
        """Return whether the first stage may be one product with a matrix made for it, which pays where rows are many."""
        if not only_answers(self, tokens) or is_functorch_wrapped_tensor(self.first.weight):  # first: a graph must not ask for the rows
            return False
        return self._plain and not self.first._forward_hooks and len(tokens) > self.width

    def in_turn(self, given: torch.Tensor, summed: bool = False) -> tuple[InTurn, Parts] | None:
        """Return (the members' hidden states one after the other, named parts) where nothing but answers is wanted, else None.

        ``given``: tokens (N, C, D), or with ``summed`` the summed parts (N, K * h).
        """
        own = self._plain and given.device.type == "cpu"  # accelerators want all members at once
        if not own or not only_answers(self, given) or not unwatched(self):
            return None
        return in_turn([self.first, *self.blocks], given.flatten(1), self.members, self.first.kind(), summed), {}

    def forward(self, tokens: torch.Tensor, masked: torch.Tensor | None = None) -> tuple[torch.Tensor, Parts]:
        """Return (hidden (N, K, H), named parts). Columns ``masked`` (N, C) have no influence: their parts are 0."""
        if masked is not None:
            tokens = torch.where(masked[..., None], 0.0, tokens)
        if self._at_once(tokens):
            return self._past_first(self.first.answered(tokens)), {}
        total = self.first.total(tokens)
        if self._plain:
            return self._past_first(self._act(self.first, total)), {}
        return self.from_sum(self.first(total).flatten(1))


class MLP(FlatBackbone):
    """Blocks of linear map, ReLU and dropout (Gorishniy and others 2021, arXiv:2106.11959).

    Parameters
    ----------
    n_tokens, d_token : C, D.
    width, blocks : h, and the number of blocks, the first stage counted in.
    dropout : share of hidden entries set to 0 while training.
    """

    def __init__(self, n_tokens: int, d_token: int, width: int = 256, blocks: int = 3, dropout: float = 0.1) -> None:
        super().__init__(FirstStage(n_tokens, d_token, width), linear_blocks(width, blocks - 1), dropout)


def linear_blocks(width: int, n: int) -> list[nn.Module]:
    """Return ``n`` square linear layers, weights and biases from U(-1/sqrt(h), 1/sqrt(h))."""
    layers = [nn.Linear(width, width) for _ in range(n)]
    for value in (v for layer in layers for v in layer.parameters()):
        nn.init.uniform_(value, -(width**-0.5), width**-0.5)
    return list(layers)
