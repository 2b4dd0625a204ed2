"""Levels one-hot: one place for each level, nothing to learn."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from pellucid.errors import RequestError
from pellucid.nn.embeddings.levels import UNSEEN, hide_levels

__all__ = ["OneHot"]


class OneHot(nn.Module):
    """Codes (N, Sc) to vectors (N, Sc, D): a 1 at the level's place, zeros elsewhere.

    A missing cell has the first place. A level that training did not show is all zeros, or has a place of its own. So each block sums to
    1, or to 0 for an unseen level. D must hold the widest column; the recipe widens the tokens where it does not.

    Parameters
    ----------
    cardinalities : Sc sizes, the slots for missing and unseen counted in.
    d_token : D.
    dropout : share of the levels shown as unseen while training.
    unseen : ``"zeros"`` or ``"own"``.
    """

    place: torch.Tensor

    def __init__(self, cardinalities: Sequence[int], d_token: int, dropout: float = 0.02, unseen: str = "zeros") -> None:
        super().__init__()
        if unseen not in ("zeros", "own"):
            raise RequestError(f"unknown form {unseen!r} of an unseen level", expected="'zeros' or 'own'")
        if (needed := self.least_width(cardinalities) + (unseen == "own")) > d_token:
            raise RequestError(
                "the tokens are too narrow for one-hot levels",
                expected=f"d_token of at least {needed}",
                got=str(d_token),
                do="use category='lookup', or 'unified' for columns of many levels",
            )
        self.dropout = dropout
        # row c is the vector of code c
        rows = torch.zeros(max(cardinalities), d_token)
        rows[0, 0] = 1.0
        rows[2:, 1 : len(rows) - 1] = torch.eye(max(len(rows) - 2, 0))
        if unseen == "own":
            rows[UNSEEN, d_token - 1] = 1.0
        self.register_buffer("place", rows, persistent=False)

    @staticmethod
    def least_width(cardinalities: Sequence[int]) -> int:
        """Return the narrowest token that holds the widest column."""
        return max(cardinalities, default=2) - 1

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        if self.training and self.dropout > 0:
            codes = hide_levels(codes, self.dropout)
        return nn.functional.embedding(codes, self.place)
