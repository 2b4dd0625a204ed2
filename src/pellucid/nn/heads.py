"""Hidden states to outputs."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["IdentityHead", "MemberHead"]


class MemberHead(nn.Module):
    """One linear head per member: (N, K, H) to (N, K, O).

    Parameters
    ----------
    members, width, n_outputs : K, H, O.
    shared : use one head for all members.
    """

    def __init__(self, members: int, width: int, n_outputs: int, shared: bool = False) -> None:
        super().__init__()
        own = 1 if shared else members
        bound = width**-0.5
        self.weight = nn.Parameter(torch.empty(own, width, n_outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(own, n_outputs).uniform_(-bound, bound))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        with torch.autocast(hidden.device.type, enabled=False):
            hidden = hidden.float()
            if self.weight.shape[0] == 1:
                return hidden @ self.weight[0] + self.bias
            return torch.baddbmm(self.bias[:, None], hidden.transpose(0, 1), self.weight).transpose(0, 1)


class IdentityHead(nn.Module):
    """The hidden state is the output: for models whose output is a listed sum."""

    def __init__(self, members: int, width: int, n_outputs: int, shared: bool = False) -> None:
        super().__init__()
        del members, shared
        self.width, self.n_outputs = width, n_outputs

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden.float()
