"""Rows made of two rows: HidMix and FeatMix of ExcelFormer (Chen, Yan, Chen, Wu 2023, arXiv:2301.02819)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from pellucid.errors import RequestError
from pellucid.nn.regularizers.base import Mixed, Regularizer

if TYPE_CHECKING:
    from pellucid.nn.table_net import TableNet

__all__ = ["FeatMix", "HidMix"]


class HidMix(Regularizer):
    """Each entry of the tokens comes from the row itself or from another row, the same entries for all columns.

    With a share s ~ Beta(beta, beta) for each row, an entry is kept with chance s, and the row's own answer weighs s in the loss.

    Parameters
    ----------
    beta : of the shares; .5 draws mostly shares near 0 or 1.
    """

    def __init__(self, beta: float = 0.5) -> None:
        if not beta > 0:
            raise RequestError("beta must be positive", got=str(beta))
        self.beta = beta

    def draw(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return for each row the other row in the batch (N,), and the share (N,)."""
        n = tokens.shape[0]
        # a Dirichlet of two parts is the Beta; this form has a batching rule
        share = torch._sample_dirichlet(torch.full((n, 2), self.beta, device=tokens.device))[:, 0]
        return torch.randperm(n, device=tokens.device), share

    def mix(self, net: TableNet, tokens: torch.Tensor) -> Mixed:
        partner, share = self.draw(tokens)
        kept = torch.rand(tokens.shape[0], 1, tokens.shape[2], device=tokens.device) < share[:, None, None]
        return Mixed(torch.where(kept, tokens, tokens[partner]), partner, share)


class FeatMix(HidMix):
    """Each column comes from the row itself or from another row; the answers weigh by the information of the columns kept.

    Parameters
    ----------
    beta : of the share of columns kept, drawn from Beta(beta, beta).
    information : of each column about the target, not negative; None weighs the columns alike.
    """

    def __init__(self, beta: float = 0.5, information: Sequence[float] | None = None) -> None:
        super().__init__(beta)
        if information is not None and (min(information) < 0 or not sum(information) > 0):
            information = None  # nothing is known of any column
        self.information = information

    def mix(self, net: TableNet, tokens: torch.Tensor) -> Mixed:
        partner, share = self.draw(tokens)
        kept = torch.rand(tokens.shape[:2], device=tokens.device) < share[:, None]
        weights = tokens.new_ones(tokens.shape[1]) if self.information is None else tokens.new_tensor(self.information)
        own = (kept * (weights / weights.sum())).sum(1)
        return Mixed(torch.where(kept[..., None], tokens, tokens[partner]), partner, own)
