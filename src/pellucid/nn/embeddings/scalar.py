"""Numbers as they are: once, or repeated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.functional import pad

__all__ = ["Flagged", "Plain", "Stack"]


class Plain(nn.Module):
    """Numbers (N, Sn) to vectors (N, Sn, D): the scaled number, then D - 1 zeros.

    For backbones that read one number per column (``takes="scalars"``) D is 1 and nothing is padded. A missing number is replaced by a
    number that is learned, one per column; at the start it is 0, the middle of the scaled training values.

    Parameters
    ----------
    bins : Sn arrays of edges; only their count is read.
    d_token : D.
    """

    def __init__(self, bins: Sequence[npt.NDArray[np.floating]], d_token: int) -> None:
        super().__init__()
        self.d_token = d_token
        self.gap = nn.Parameter(torch.zeros(len(bins)))

    def forward(self, numbers: torch.Tensor, missing: torch.Tensor) -> torch.Tensor:
        x = torch.where(missing, self.gap, numbers)[..., None]
        return x if self.d_token == 1 else pad(x, (0, self.d_token - 1))


class Flagged(Plain):
    """Numbers (N, Sn) to vectors (N, Sn, D): the scaled number, 1 where it is missing, then D - 2 zeros; with D = 1 as :class:`Plain`.

    A sum of curves can so give missing cells a height of their own, which no number has.

    Examples
    --------
    >>> Flagged([np.array([0.0, 1.0])], 3)(torch.tensor([[3.75]]), torch.tensor([[False]]))[0, 0].tolist()
    [3.75, 0.0, 0.0]
    """

    marks = True

    def forward(self, numbers: torch.Tensor, missing: torch.Tensor) -> torch.Tensor:
        x = torch.where(missing, self.gap, numbers)
        if self.d_token == 1:
            return x[..., None]
        return pad(torch.stack([x, missing.to(x.dtype)], -1), (0, self.d_token - 2))


class Stack(Plain):
    """Numbers (N, Sn) to vectors (N, Sn, D): the scaled number D times. It tells a network nothing that the number does not.

    The control in comparisons of encoders: a gain of another encoder that is also seen here is a gain of width alone.

    Examples
    --------
    >>> Stack([np.array([0.0, 1.0])], 3)(torch.tensor([[3.75]]), torch.tensor([[False]]))[0, 0].tolist()
    [3.75, 3.75, 3.75]
    """

    def forward(self, numbers: torch.Tensor, missing: torch.Tensor) -> torch.Tensor:
        return torch.where(missing, self.gap, numbers)[..., None].expand(-1, -1, self.d_token)
