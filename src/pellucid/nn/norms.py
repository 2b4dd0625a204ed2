"""Normalisation over rows: batch norm, and ghost batch norm, which takes its statistics from small groups of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pellucid.errors import RequestError

__all__ = ["Blocks", "GhostNorm", "move_records", "norms_over_rows"]

Blocks = tuple[tuple[int, int, int], ...]
"""Runs of groups of one size: (first row, number of groups, rows of a group)."""


class GhostNorm(nn.Module):
    """Rows (N, F) scaled by mean and variance: of their group of rows while training, of the running record afterwards.

    Ioffe and Szegedy 2015, arXiv:1502.03167; groups: Hoffer, Hubara, Soudry 2017, arXiv:1705.08741. All whole groups are normalised by
    one call. The running record is moved once, to where a loop that met the groups in turn would have left it:
    ``r <- (1 - m)^n r + sum_i m (1 - m)^(n - 1 - i) s_i``.

    Parameters
    ----------
    width : F.
    group : rows of a group; None: the whole batch is one, which is plain batch norm.
    momentum : m, the share by which one group moves the record.
    eps : added to the variance.
    pace : factor of the scale's weights. They start at 1 / pace, so that optimizers which move every number alike move the scale at
        this pace.

    Notes
    -----
    # NOTE[DIFF] Rows left over are a group of their own only where they are at least half of one; else they join the last group. The
    statistics of a few rows are too rough to train on. A batch of one row, which has no variance, is normalised by the record.

    Cost: one pass forward and one back, about 8 operations a number.
    """

    mean: torch.Tensor
    var: torch.Tensor

    def __init__(self, width: int, group: int | None = None, momentum: float = 0.1, eps: float = 1e-5, pace: float = 1.0) -> None:
        super().__init__()
        if group is not None and group < 2:
            raise RequestError("a group of the norm is too small", expected="at least 2 rows", got=str(group))
        self.group, self.momentum, self.eps, self.pace = group, momentum, eps, pace
        self.weight = nn.Parameter(torch.full((width,), 1 / pace))
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("var", torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            if self.by_record(x.shape[0]):
                scale = self.scale() * (self.var + self.eps).rsqrt()
                return torch.addcmul(self.bias - self.mean * scale, x, scale)
            blocks = self.blocks(len(x))
            done = [self._normalise(x[start : start + n * size] if len(blocks) > 1 else x, n) for start, n, size in blocks]
            return done[0] if len(done) == 1 else torch.cat(done)

    def scale(self) -> torch.Tensor:
        """Return what the normalised columns are multiplied by, (F,)."""
        return self.weight if self.pace == 1 else self.weight * self.pace

    def by_record(self, rows: int) -> bool:
        """Tell whether a batch is normalised by the record."""
        return not self.training or rows < 2

    def blocks(self, rows: int) -> Blocks:
        """Return how the rows of a batch are grouped, whole groups first, as a loop would meet them."""
        size = self.group or rows
        if rows <= size:
            return ((0, 1, rows),)
        n, left = divmod(rows, size)
        n -= 0 < 2 * left < max(size, 3)  # one row alone has no variance
        whole: Blocks = ((0, n, size),) if n else ()
        return (*whole, (n * size, 1, rows - n * size)) if rows > n * size else whole

    def _normalise(self, x: torch.Tensor, n: int) -> torch.Tensor:
        """Normalise n groups of equal size and move the running record."""
        # group i's column f as column (i, f) of one ordinary batch norm
        size = x.shape[0] // n
        grouped = x.unflatten(0, (n, size)).transpose(0, 1).flatten(1) if n > 1 else x
        weight, bias = (self.scale().repeat(n), self.bias.repeat(n)) if n > 1 else (self.scale(), self.bias)
        out, mean, inverse = torch.native_batch_norm(grouped, weight, bias, None, None, True, 0.0, self.eps)
        with torch.no_grad():
            var = (inverse.square().reciprocal() - self.eps).clamp(min=0)
            keep, of_means, of_vars = _shares((size,) * n, self.momentum, mean.device)
            # in place and without lerp: a stack of networks moves all its records at once (vmap)
            self.mean.mul_(keep).add_(of_means @ mean.unflatten(0, (n, -1)))
            self.var.mul_(keep).add_(of_vars @ var.unflatten(0, (n, -1)))
        return out.unflatten(1, (n, -1)).transpose(0, 1).flatten(0, 1) if n > 1 else out


def norms_over_rows(net: nn.Module) -> list[nn.Module]:
    """Return the layers of a network that take statistics over the rows of a batch."""
    return [m for m in net.modules() if isinstance(m, GhostNorm | _BatchNorm)]


@torch.no_grad()
def move_records(norms: Sequence[GhostNorm], statistics: Sequence[tuple[torch.Tensor, torch.Tensor]], sizes: tuple[int, ...]) -> None:
    """Move the records of norms by groups of these sizes, met in turn: (means, variances) for each norm, (F, n) each.

    Norms that are alike are moved together.
    """
    alike: dict[tuple[int, float], list[int]] = {}
    for i, (norm, (mean, _)) in enumerate(zip(norms, statistics)):
        alike.setdefault((len(mean), norm.momentum), []).append(i)
    for (width, momentum), at in alike.items():
        keep, *shares = _shares(sizes, momentum, statistics[at[0]][0].device)
        moves = [(torch.cat([statistics[i][j] for i in at]) @ share).split(width) for j, share in enumerate(shares)]
        records = [*(norms[i].mean for i in at), *(norms[i].var for i in at)]
        torch._foreach_mul_(records, keep)
        torch._foreach_add_(records, [*moves[0], *moves[1]])


@lru_cache(maxsize=64)
def _shares(sizes: tuple[int, ...], momentum: float, device: torch.device) -> tuple[float, torch.Tensor, torch.Tensor]:
    """Return the record's own share and those of the groups, for means and for variances, which are made unbiased (n / (n - 1))."""
    shares = [momentum * (1 - momentum) ** i for i in reversed(range(len(sizes)))]
    with torch.inference_mode(False):
        of_vars = torch.tensor([share * size / (size - 1) for share, size in zip(shares, sizes)], device=device)
        return (1 - momentum) ** len(sizes), torch.tensor(shares, device=device), of_vars
