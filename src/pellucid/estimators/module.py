"""A fitted network as a plain torch module, from embedded cells to answers, for tools that read modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from pellucid.estimators.predictor import NetworkPredictor

__all__ = ["TokenModule"]


class TokenModule(nn.Module):
    """Tokens (N, C, D) to the outputs (N, O) that ``predict`` and ``predict_proba`` are made of, on the predictor's scale.

    Its weights are those of the fitted model, not a copy. Gradients flow to the tokens. What a tool that hooks submodules sees is what the
    network has as submodules: activations that are functions are not among them.

    Parameters
    ----------
    predictor : a fitted network as the answers see it.
    """

    def __init__(self, predictor: NetworkPredictor) -> None:
        super().__init__()
        self.net = predictor.engine.net
        self._predictor = predictor
        self.eval()

    def tokens(self, X: Any) -> torch.Tensor:
        """Return the embedded cells (N, C, D) of rows as the user writes them."""
        return self._predictor.tokens(self._predictor.read(X))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the outputs (N, O)."""
        return self._predictor.from_tokens(tokens)
