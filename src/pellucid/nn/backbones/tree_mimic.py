"""Tree-mimic: dense layers that imitate a decision tree, whose regions are boxes with soft walls.

Masks choose the column of each cut, a linear map and ReLU say how far a row lies outside, and regions are added up: the construction
that motivates TabNet (Arik and Pfister 2021, arXiv:1908.07442, figure 3).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

from pellucid.errors import RequestError
from pellucid.nn.sparse import entmax15, sparsemax

__all__ = ["TreeMimic"]

MASKS = {"sparsemax": sparsemax, "entmax": entmax15}


class TreeMimic(nn.Module):
    """Tokens (N, C, D) to memberships of regions (N, 1, R).

    Cut q of region r reads ``z = sum_c m_c (v . token_c)`` by a sparse mask m over columns and lies ``relu(C (z + b))`` outside. The row
    belongs to the region by ``relu(1 - sum_q outside_q)``: 1 where all cuts hold, 0 from 1/C beyond a wall on. A linear head adds the
    regions up, as a tree adds its leaves.

    # NOTE[DIFF] The figure adds the cuts' ReLUs and leaves their conjunction to the next layer; here a second ReLU makes it, so that one
    unit is one region and its weight in the head is the region's whole effect.

    Parameters
    ----------
    n_tokens, d_token : C, D.
    regions, cuts : R, and cuts of each region.
    sharpness : C, at the start; every region learns its own from there.
    lambda_sparse : weight of the masks' mean entropy in the loss.
    mask : ``"entmax"`` (1.5), or ``"sparsemax"``.

    Notes
    -----
    Cost: R * cuts * C * D multiply-adds a row, and one sort of C numbers a cut.
    """

    additive = False
    stackable = True
    penalised = True
    members = 1

    def __init__(
        self, n_tokens: int, d_token: int, regions: int = 256, cuts: int = 3, sharpness: float = 1.0, lambda_sparse: float = 1e-3,
        mask: str = "entmax",
    ) -> None:  # fmt: skip
        super().__init__()
        if mask not in MASKS:
            raise RequestError(f"unknown mask {mask!r}", expected=f"one of {', '.join(MASKS)}")
        if sharpness <= 0:
            raise RequestError("the walls of regions need a sharpness", expected="a positive number", got=str(sharpness))
        self.width, self.regions, self.cuts = regions, regions, cuts
        self.lambda_sparse, self.mask = lambda_sparse, mask
        self.choice = nn.Parameter(torch.randn(regions, cuts, n_tokens))
        # unit vectors of both signs: half of the cuts are upper walls, half are lower ones
        self.direction = nn.Parameter(functional.normalize(torch.randn(regions, cuts, d_token), dim=-1))
        self.bias = nn.Parameter(torch.empty(regions, cuts).uniform_(-1.5, 0.5))
        # a multiple of C that starts near 1; the spread lets walls of all kinds compete
        self.log_sharpness = nn.Parameter(torch.log(torch.tensor(float(sharpness))) + 0.3 * torch.randn(regions))

    def masks(self) -> torch.Tensor:
        """Return the masks (R, cuts, C): by which columns each cut is made; they sum to 1."""
        return MASKS[self.mask](self.choice)

    def rules(self) -> dict[str, torch.Tensor]:
        """Return what the regions are: ``masks`` (R, cuts, C), ``direction`` (R, cuts, D), ``bias`` (R, cuts), ``sharpness`` (R,).

        A cut holds where ``sum_c mask_c (direction . token_c) + bias <= 0``.
        """
        held = {"masks": self.masks(), "direction": self.direction, "bias": self.bias, "sharpness": self.log_sharpness.exp()}
        return {name: value.detach() for name, value in held.items()}

    def _outside(self, tokens: torch.Tensor, masked: torch.Tensor | None, masks: torch.Tensor) -> torch.Tensor:
        """Return how far rows lie outside of each cut, (N, R, cuts), in widths of its wall."""
        if masked is not None:
            tokens = torch.where(masked[..., None], 0.0, tokens)
        matrix = (masks[..., None] * self.direction[..., None, :]).flatten(2).flatten(0, 1)
        z = functional.linear(tokens.flatten(1), matrix, self.bias.flatten()).unflatten(1, (self.regions, self.cuts))
        return torch.relu(self.log_sharpness.exp()[:, None] * z.float())

    def forward(self, tokens: torch.Tensor, masked: torch.Tensor | None = None) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Return (memberships (N, 1, R), ``penalty`` (N,)). Columns ``masked`` (N, C) have exactly no influence."""
        masks = self.masks()
        member = torch.relu(1 - self._outside(tokens, masked, masks).sum(2))
        entropy = -(masks * torch.log(masks + 1e-15)).sum(2).mean()
        return member[:, None], {"penalty": (self.lambda_sparse * entropy).expand(tokens.shape[0])}

    def explained(self, tokens: torch.Tensor, masked: torch.Tensor | None = None) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Return the same memberships with ``regions`` (N, R), and ``outside`` (N, R, cuts): which cuts keep a row out."""
        outside = self._outside(tokens, masked, self.masks())
        member = torch.relu(1 - outside.sum(2))
        return member[:, None], {"regions": member, "outside": outside}
