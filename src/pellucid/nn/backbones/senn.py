"""Self-explaining network: the output is a sum of concepts times coefficients that each row chooses, held steady between near rows.

Alvarez-Melis, Jaakkola 2018, arXiv:1806.07538.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.nn import functional

from pellucid.nn.backbones.curves import Curves, directions
from pellucid.nn.backbones.mlp import linear_blocks
from pellucid.nn.cells import CellSizes
from pellucid.nn.layers import FirstStage, relu_dropout

__all__ = ["SENN"]


class SENN(nn.Module):
    """Tokens (N, C, D) to outputs (N, 1, O): ``bias + sum_c theta_c(x) h_c(x_c)``.

    One concept per column: ``h_c``, a learned read-out of the column's token (with the encoder ``plain``: its scaled number and a curve
    of it). The coefficients ``theta`` (C, O) of a row come from a perceptron on all columns.

    # NOTE[DIFF] The paper's penalty compares the Jacobian of the output with the coefficients, which takes second derivatives. Here a
    # row and its neighbour, a small step towards another row of the batch, are compared directly: the squared change of the coefficients
    # over the squared change of the concepts, which is the paper's own measure of stability. One more forward pass while training, under
    # a mask of dropout of its own: what dropout moves is charged too, most of the penalty as long as ``step`` is short.

    Cost: C * D * h + (blocks - 1) * h**2 + h * C * O multiply-adds a row, twice while training.

    Parameters
    ----------
    n_tokens, d_token, sizes, n_outputs : C, D, what the cells look like, O.
    width, blocks, dropout : of the perceptron.
    stability : weight of the penalty; 0 for none. step : length of the step towards the other row, as a share of the way.
    monotone : column index -> +1 (the output never falls along it) or -1. The perceptron does not read such columns, their
        coefficients are positive, and their concepts rise (fall); needs the encoder ``plain``.
    """

    additive = False
    stackable = True
    listed = True
    penalised = True
    members = 1
    wants = ("sizes", "n_outputs")

    signs: torch.Tensor

    def __init__(
        self, n_tokens: int, d_token: int, sizes: CellSizes, n_outputs: int, width: int = 256, blocks: int = 2, dropout: float = 0.1,
        stability: float = 1e-3, step: float = 0.1, monotone: Mapping[int, int] | Sequence[Sequence[int]] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.n_tokens, self.hidden, self.dropout, self.stability, self.step = n_tokens, width, dropout, stability, step
        self.width = n_outputs
        signs = directions(monotone, n_tokens)
        self.register_buffer("signs", signs[:, None], persistent=False)
        self.constrained = bool(signs.any())
        self.concepts = Curves(sizes, d_token, 1, signs)
        self.first = FirstStage(n_tokens, d_token, width)
        self.blocks = nn.ModuleList(linear_blocks(width, blocks - 1))
        self.last = nn.Linear(width, n_tokens * n_outputs)
        nn.init.uniform_(self.last.weight, -(width**-0.5), width**-0.5)
        nn.init.ones_(self.last.bias)  # NOTE[DIFF] coefficients start near 1, so that the model starts as an additive one
        self.bias = nn.Parameter(torch.zeros(n_outputs))

    def _coefficients(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return theta (N, C, O)."""
        if self.constrained:
            tokens = tokens * (self.signs == 0)
        x = relu_dropout(self.first(self.first.total(tokens))[:, 0], self.dropout, self.training)
        for layer in self.blocks:
            x = relu_dropout(layer(x), self.dropout, self.training)
        theta = self.last(x).unflatten(1, (self.n_tokens, self.width))
        return torch.where(self.signs == 0, theta, functional.softplus(theta)) if self.constrained else theta

    def _concepts(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return h (N, C)."""
        encoded = self.concepts.encode(tokens) if self.concepts.steps is not None else None
        values: torch.Tensor = self.concepts(tokens, encoded)
        return values[..., 0]

    def _instability(self, tokens: torch.Tensor, theta: torch.Tensor, concepts: torch.Tensor) -> torch.Tensor:
        """Return per row (N,) the squared change of the coefficients over that of the concepts, a step away."""
        near = torch.lerp(tokens, tokens.roll(1, 0), self.step).detach()
        change = (self._coefficients(near) - theta).square().sum((1, 2))
        run = (self._concepts(near) - concepts).square().sum(1).detach()
        return change / (run + 1e-3)

    def forward(self, tokens: torch.Tensor, masked: torch.Tensor | None = None) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Return (outputs (N, 1, O), penalty). Columns ``masked`` (N, C) have a token of 0 and no term in the sum."""
        tokens = tokens if masked is None else torch.where(masked[..., None], 0.0, tokens)
        theta, concepts = self._coefficients(tokens).float(), self._concepts(tokens.float())
        concepts = concepts if masked is None else concepts * ~masked
        out = self.bias + (theta * concepts[..., None]).sum(1)
        if not (self.training and self.stability > 0):
            return out[:, None], {"penalty": out.new_zeros(out.shape[0])}
        return out[:, None], {"penalty": self.stability * self._instability(tokens, theta, concepts)}

    def explained(self, tokens: torch.Tensor, masked: torch.Tensor | None = None) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Return the outputs with ``contributions`` (N, C, O) and ``bias`` (N, O), whose total they are, ``coefficients`` (N, C, O) and
        ``concepts`` (N, C), whose products the contributions are.
        """
        tokens = tokens if masked is None else torch.where(masked[..., None], 0.0, tokens)
        theta, concepts = self._coefficients(tokens).float(), self._concepts(tokens.float())
        concepts = concepts if masked is None else concepts * ~masked
        contributions = theta * concepts[..., None]
        bias = self.bias.expand(tokens.shape[0], -1)
        parts = {"contributions": contributions, "bias": bias, "coefficients": theta, "concepts": concepts}
        return (contributions.sum(1) + bias)[:, None], parts
