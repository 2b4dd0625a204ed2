"""Normalisation over rows: batch norm, and ghost batch norm, which takes its statistics from small groups of a batch."""

from __future__ import annotations

import torch
from torch import nn

from pellucid.errors import RequestError

__all__ = ["GhostNorm"]


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

    Notes
    -----
    # NOTE[DIFF] Rows left over are a group of their own only where they are at least half of one; else they join the last group. The
    statistics of a few rows are too rough to train on. A batch of one row, which has no variance, is normalised by the record.

    Cost: one pass forward and one back, about 8 operations a number.
    """

    mean: torch.Tensor
    var: torch.Tensor

    def __init__(self, width: int, group: int | None = None, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        if group is not None and group < 2:
            raise RequestError("a group of the norm is too small", expected="at least 2 rows", got=str(group))
        self.group, self.momentum, self.eps = group, momentum, eps
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("var", torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            if not self.training or x.shape[0] < 2:
                scale = self.weight * (self.var + self.eps).rsqrt()
                return torch.addcmul(self.bias - self.mean * scale, x, scale)
            n, size = self._groups(x.shape[0])
            if n * size == x.shape[0]:
                return self._normalise(x, n)
            # the whole groups first, as a loop would meet them
            whole = [self._normalise(x[: n * size], n)] if n else []
            return torch.cat([*whole, self._normalise(x[n * size :], 1)])

    def _groups(self, rows: int) -> tuple[int, int]:
        """Return (number, size) of the equal groups at the start of a batch; what follows is one more group."""
        size = self.group or rows
        if rows <= size:
            return 1, rows
        n, left = divmod(rows, size)
        return (n - 1 if 0 < 2 * left < size else n), size

    def _normalise(self, x: torch.Tensor, n: int) -> torch.Tensor:
        """Normalise n groups of equal size and move the running record."""
        # group i's column f as column (i, f) of one ordinary batch norm
        size = x.shape[0] // n
        grouped = x.unflatten(0, (n, size)).transpose(0, 1).flatten(1) if n > 1 else x
        weight, bias = (self.weight.repeat(n), self.bias.repeat(n)) if n > 1 else (self.weight, self.bias)
        out, mean, inverse = torch.native_batch_norm(grouped, weight, bias, None, None, True, 0.0, self.eps)
        self._record(mean.detach(), inverse.detach(), n, size)
        return out.unflatten(1, (n, -1)).transpose(0, 1).flatten(0, 1) if n > 1 else out

    @torch.no_grad()
    def _record(self, mean: torch.Tensor, inverse: torch.Tensor, n: int, size: int) -> None:
        """Move the record by n groups' means and inverse deviations, (n * F,) each."""
        var = (inverse.square().reciprocal() - self.eps).clamp(min=0) * (size / (size - 1))
        m, keep = self.momentum, (1 - self.momentum) ** n
        shares = mean.new_tensor([m * (1 - m) ** (n - 1 - i) for i in range(n)])
        # in place and without lerp: a stack of networks moves all its records at once (vmap)
        self.mean.mul_(keep).add_(shares @ mean.unflatten(0, (n, -1)))
        self.var.mul_(keep).add_(shares @ var.unflatten(0, (n, -1)))
