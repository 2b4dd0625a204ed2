"""What backbones of attention layers over the columns' tokens share: the way through the layers, and the maps kept on the way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import nn

__all__ = ["LayeredAttention"]


class LayeredAttention(nn.Module, ABC):
    """Layers (N, C, D) to (N, C, W), each giving its attention maps too, between an entrance and a read-out.

    A backbone gives ``layers``, whose members map tokens and hidden keys to (tokens, maps (N, heads, C, C)), and ``read``.

    Parameters
    ----------
    forbidden : (C, C), True where row i must never hear column j; None where all hear all.

    Parts
    -----
    ``attention`` (N, L, heads, C, C) by ``explained``.
    """

    additive = False
    stackable = True
    members = 1
    layers: nn.ModuleList
    forbidden: torch.Tensor | None

    def __init__(self, forbidden: torch.Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("forbidden", forbidden, persistent=False)

    def entrance(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return what the first layer reads of tokens (N, C, D)."""
        return tokens

    @abstractmethod
    def read(self, x: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Return hidden states (N, 1, H) from the last layer's tokens (N, C, W) and the ones at the entrance (N, C, D)."""

    def forward(self, tokens: torch.Tensor, masked: torch.Tensor | None = None) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Return (hidden (N, 1, H), no parts). Columns ``masked`` (N, C) have exactly no influence."""
        return self._run(tokens, masked)[0], {}

    def explained(self, tokens: torch.Tensor, masked: torch.Tensor | None = None) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Return the same hidden state and the attention maps."""
        hidden, maps = self._run(tokens, masked)
        return hidden, {"attention": torch.stack(maps, 1)} if maps else {}

    def _run(self, tokens: torch.Tensor, masked: torch.Tensor | None) -> tuple[torch.Tensor, list[torch.Tensor]]:
        hidden = self.forbidden
        if masked is not None:
            tokens = torch.where(masked[..., None], 0.0, tokens)
            keys = masked[:, None, None, :]
            hidden = keys if hidden is None else hidden | keys
        x, maps = self.entrance(tokens), []
        for layer in self.layers:
            x, weights = layer(x, hidden)
            maps.append(weights)
        if masked is not None:
            x = torch.where(masked[..., None], 0.0, x)
        return self.read(x, tokens), maps
