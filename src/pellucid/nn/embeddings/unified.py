"""Levels of all columns in one shared table that many of them hash into, for columns of very many levels.

Feature multiplexing, "unified embedding": Coleman, Kang, Fahrbach and others 2023, arXiv:2305.12102.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from pellucid.nn.embeddings.levels import UNSEEN, hide_levels
from pellucid.nn.hashing import mixed_bits
from pellucid.nn.layers import look_up, uniform

__all__ = ["UnifiedTable"]

SHARE = 0.09  # of the parameters of a full table, which the shared one may have
LEAST = 1024
FEW, CHUNKS = 50, 6  # levels below which one chunk tells them apart; chunks of any other column
START = 0.1  # size of the numbers at the start, about what one row's gradient moves them by


class UnifiedTable(nn.Module):
    """Codes (N, Sc) to embeddings (N, Sc, D) by one table (M, w) for all columns.

    A column of few levels reads one chunk of the table, any other six. Where a chunk lies is a hash of level, column and number of the
    chunk, so that two levels which share one chunk hardly ever share all. A column's chunks side by side are mapped to D by the column's
    own matrix. Missing and unseen cells have vectors of their own. The size does not depend on what levels there are:
    a code beyond those of training is read like any other.

    The numbers start small, so that a level of few rows begins near the mean of all levels: a large start is noise that its rows do not
    outweigh.

    # NOTE[DIFF] The paper concatenates the chunks, so columns differ in width; tokens have one width, hence the matrix. The example of its
    # authors reads one to three chunks of 16; with six of 4 the same numbers hold more rows, and no two levels share much. Codes are
    # hashed in place of strings: a model's codes are fixed when it is fitted.

    Parameters
    ----------
    cardinalities : Sc sizes.
    d_token : D.
    dropout : share of the levels shown as unseen while training.
    buckets : M; None for what has 9 % of a full table's parameters, and at least what keeps columns of few levels apart.
    width : w.
    chunks : chunks of every column; None for 1 below 50 levels, else 6.
    """

    salt: torch.Tensor
    used: torch.Tensor

    def __init__(
        self, cardinalities: Sequence[int], d_token: int, dropout: float = 0.02, buckets: int | None = None, width: int = 4,
        chunks: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.dropout, self.width, self.cardinalities = dropout, width, tuple(cardinalities)
        self.buckets = buckets or _buckets(sum(cardinalities), d_token, width)
        each = [chunks or (1 if size < FEW else CHUNKS) for size in cardinalities]
        most = max(each, default=1)
        slot, chunk = torch.arange(len(each))[:, None], torch.arange(most)
        self.register_buffer("salt", mixed_bits(slot * 64 + chunk + 1), persistent=False)
        self.register_buffer("used", (chunk < torch.tensor(each)[:, None]).float()[..., None], persistent=False)
        self.table = nn.Parameter(uniform((self.buckets, width), START))
        self.weight = nn.Parameter(
            uniform((len(each), most * width, d_token), 1.0) * torch.tensor([1.5 / (k * width) for k in each])[:, None, None] ** 0.5
        )
        self.special = nn.Parameter(uniform((len(each), UNSEEN + 1, d_token), d_token**-0.5))

    def places(self, codes: torch.Tensor) -> torch.Tensor:
        """Return the rows of the table (N, Sc, chunks) that codes (N, Sc) read."""
        return mixed_bits(codes[..., None] + self.salt) % self.buckets

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        if self.training and self.dropout > 0:
            codes = hide_levels(codes, self.dropout)
        read = (look_up(self.table, self.places(codes)) * self.used).flatten(2)
        out = torch.bmm(read.transpose(0, 1), self.weight).transpose(0, 1)
        slots = torch.arange(codes.shape[1], device=codes.device) * (UNSEEN + 1)
        own = look_up(self.special.flatten(0, 1), codes.clamp(max=UNSEEN) + slots)
        return torch.where((codes <= UNSEEN)[..., None], own, out)

    def collisions(self) -> list[tuple[float, float]]:
        """Return for each column the share of its levels that share one chunk at least, and all chunks, with another level of it."""
        return [self._collisions(slot, size) for slot, size in enumerate(self.cardinalities)]

    def _collisions(self, slot: int, size: int) -> tuple[float, float]:
        levels = torch.arange(2, size)
        if len(levels) < 2:
            return 0.0, 0.0
        n = int(self.used[slot].sum())
        at = self.places(levels[:, None].expand(-1, len(self.cardinalities)))[:, slot, :n]
        some = torch.stack([torch.bincount(at[:, i], minlength=self.buckets)[at[:, i]] > 1 for i in range(n)], 1).any(1)
        _, same, count = torch.unique(at, dim=0, return_inverse=True, return_counts=True)
        return float(some.float().mean()), float((count[same] > 1).float().mean())


def _buckets(levels: int, d_token: int, width: int) -> int:
    return max(int(SHARE * levels * d_token / width), min(LEAST, 1 << (2 * max(levels, 2) - 1).bit_length()))
