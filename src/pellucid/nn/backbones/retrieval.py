"""A small network that looks up the nearest training rows before it answers.

After Gorishniy, Rubachev, Kartashev, Shlenskii, Kotelnikov, Babenko 2023, "TabR", arXiv:2307.14338.
"""

from __future__ import annotations

import torch
from torch import nn

from pellucid.nn.backbones.mlp import linear_blocks
from pellucid.nn.backbones.prototype import RowEncoder, distances, masked_out
from pellucid.nn.bank import Memory
from pellucid.nn.layers import dropout, uniform

__all__ = ["Retrieval"]


class Retrieval(nn.Module):
    """Tokens (N, C, D) and kept rows to hidden states (N, H): the row's own vector plus what its nearest kept rows say.

    Row and kept rows have vectors f. The k nearest get weights ``softmax(-|f - f_i|^2 / sqrt(E))``, and each says
    ``W a_i + T(f - f_i)``: its answer, and what the difference to it means. Put other rows in place of the kept ones, and the model answers
    by those without being trained again. In training a row never sees itself.

    Parts: ``"weights"`` (N, P), 0 for rows that were not retrieved; they sum to 1.

    Parameters
    ----------
    n_tokens, d_token, n_outputs : C, D, O.
    width, blocks, dropout : H = E, the blocks before the look-up, and the dropout of the layers.
    neighbours : k.
    kept : most rows that are kept. sampled : rows that one step of training reads.

    Cost: the network, and P * E + 4 * k * E multiply-adds a row.

    # NOTE[DIFF] A step of training searches a sample of the kept rows, not all of them; one network encodes rows and kept rows, and there
    # is no normalisation between the layers.
    """

    wants = ("n_outputs",)
    remembers = True
    balanced = False
    stackable = True
    jumps = "it jumps where the nearest rows of a row change; its slopes hold while a row keeps its neighbours"

    def __init__(
        self, n_tokens: int, d_token: int, n_outputs: int, width: int = 96, blocks: int = 1, dropout: float = 0.1, neighbours: int = 48,
        kept: int = 20_000, sampled: int = 2000,
    ) -> None:  # fmt: skip
        super().__init__()
        self.members, self.width, self.n_outputs, self.neighbours, self.dropout = 1, width, n_outputs, neighbours, dropout
        self.most, self.sampled = kept, sampled
        self.encoder = RowEncoder(n_tokens, d_token, 2 * width, blocks, width, dropout)
        self.answer = nn.Linear(n_outputs, width)
        self.difference = nn.Linear(width, 2 * width)
        self.said = nn.Parameter(uniform((2 * width, width), (2 * width) ** -0.5))
        self.norm = nn.LayerNorm(width)
        self.up, self.down = linear_blocks(width, 2)

    def remember(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the vectors (P, E) of kept rows; in full precision, as those that they are compared with."""
        with torch.autocast(tokens.device.type, enabled=False):
            return self.encoder(tokens.float())  # type: ignore[no-any-return]

    def forward(
        self, tokens: torch.Tensor, masked: torch.Tensor | None = None, *, memory: Memory, same: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return (hidden (N, H), parts); ``same`` (N, P) rows are not retrieved."""
        with torch.autocast(tokens.device.type, enabled=False):
            f = self.encoder(tokens.float(), masked)
            at, weights = self._nearest(f, memory, same)
            x = f + self._context(f, memory, at, weights)
            hidden = x + self.down(self._drop(torch.relu(self.up(self.norm(x)))))
            return hidden, {"weights": torch.zeros(f.shape[0], len(memory.answers), device=f.device).scatter(1, at, weights.detach())}

    def _nearest(self, f: torch.Tensor, memory: Memory, same: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (places (N, k), weights (N, k)) of the nearest kept rows."""
        near = masked_out(-distances(f, memory.encoded).square() / self.width**0.5, same)
        at = near.detach().topk(min(self.neighbours, near.shape[1]), sorted=False).indices
        return at, near.gather(1, at).softmax(1)

    def _context(self, f: torch.Tensor, memory: Memory, at: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Return what the nearest rows say, (N, E)."""
        weights = self._drop(weights)[:, None]
        answers = memory.answers[:, -self.n_outputs :]  # of two classes one is told by the other
        # the map of a difference is the difference of maps, and the maps behind a weighted sum act on the sum: once a row each,
        # not once a neighbour
        own, theirs = self.difference(f), nn.functional.linear(memory.encoded, self.difference.weight)
        means = torch.relu(own[:, None] - nn.functional.embedding(at, theirs))
        total: torch.Tensor = self.answer((weights @ answers[at])[:, 0]) + (weights @ means)[:, 0] @ self.said
        return total

    def _drop(self, x: torch.Tensor) -> torch.Tensor:
        return dropout(x, self.dropout, self.training)
