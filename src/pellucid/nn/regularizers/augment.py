"""New rows from old ones while learning: mixed rows, swapped columns, noise, hidden columns, and the worst small change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.special import betaincinv
from torch.func import grad

from pellucid.errors import RequestError
from pellucid.nn.cells import Cells
from pellucid.nn.regularizers.base import Mixed, Regularizer

if TYPE_CHECKING:
    from pellucid.nn.table_net import TableNet

__all__ = ["Adversarial", "CutMix", "MaskColumns", "Mixup", "Noise", "Shares"]


class Shares:
    """Draws from Beta(alpha, alpha) by a table of 4,096 quantiles: plain indexing works inside ``vmap``, torch's own sampler does not."""

    def __init__(self, alpha: float) -> None:
        if not alpha > 0:
            raise RequestError("the share of a mix cannot be drawn", expected="alpha above 0", got=str(alpha))
        self.table = torch.from_numpy(betaincinv(alpha, alpha, (np.arange(4096) + 0.5) / 4096).astype(np.float32))

    def draw(self, like: torch.Tensor) -> torch.Tensor:
        """Return one share per row of ``like``, (N,)."""
        place = (torch.rand(like.shape[0], device=like.device) * 4096).long().clamp(max=4095)
        return self.table.to(like.device)[place]


class Mixup(Regularizer):
    """Rows on the line between two rows' tokens; the loss is shared in the same proportion.

    Zhang, Cisse, Dauphin, Lopez-Paz 2018, arXiv:1710.09412.

    # NOTE[DIFF] Tokens are mixed, not cells: levels and missing cells have no numbers to mix. Each row draws its own share.

    Parameters
    ----------
    alpha : of the Beta distribution of the share; small: mostly one of the two rows.
    """

    def __init__(self, alpha: float = 0.1) -> None:
        self.shares = Shares(alpha)

    def mix(self, net: TableNet, tokens: torch.Tensor) -> Mixed:
        share, partner = self.shares.draw(tokens), _partner(tokens)
        return Mixed(torch.lerp(tokens[partner], tokens, share[:, None, None]), partner, share)


class CutMix(Regularizer):
    """Rows some of whose columns come from another row; the loss is shared by the number of columns.

    Yun, Han, Oh, Chun, Choe, Yoo 2019, arXiv:1905.04899, with columns in place of patches.

    Parameters
    ----------
    alpha : of the Beta distribution of the share of own columns.
    """

    def __init__(self, alpha: float = 0.5) -> None:
        self.shares = Shares(alpha)

    def mix(self, net: TableNet, tokens: torch.Tensor) -> Mixed:
        partner = _partner(tokens)
        own = torch.rand(tokens.shape[:2], device=tokens.device) < self.shares.draw(tokens)[:, None]
        return Mixed(torch.where(own[..., None], tokens, tokens[partner]), partner, own.float().mean(1))


class MaskColumns(Regularizer):
    """Rows without some of their columns, so that a row with columns removed is nothing new to the trained network.

    Removal tests then need no retraining. Madsen, Reddy, Chandar 2024, arXiv:2310.07819.

    Parameters
    ----------
    rate : largest share of hidden columns; each hidden row draws its own share from 0 to ``rate``.
    fill : what stands in a hidden column, as the tests will remove: ``"missing"`` (the cell is shown as missing), ``"rows"`` (the token of
        another row's cell) or ``"zero"``.
    share : of the rows that are hidden at all; the others are learned from as they are.

    Notes
    -----
    ``"missing"`` says which columns are hidden, so a whole row can be answered as well as without it. ``"rows"`` does not: the network must
    doubt every cell, and pays for it in accuracy.
    """

    def __init__(self, rate: float = 0.5, fill: str = "missing", share: float = 0.5) -> None:
        if fill not in ("missing", "rows", "zero") or not 0 < rate <= 1 or not 0 < share <= 1:
            raise RequestError(
                "columns cannot be masked so", expected="rate and share above 0 and at most 1, fill 'missing', 'rows' or 'zero'"
            )
        self.rate, self.fill, self.share = rate, fill, share

    def _drawn(self, n: int, columns: int, device: torch.device) -> torch.Tensor:
        """Return which columns of n rows are hidden, (N, C)."""
        rate = self.rate * torch.rand(n, 1, device=device) * (torch.rand(n, 1, device=device) < self.share)
        return torch.rand(n, columns, device=device) < rate

    def change(self, net: TableNet, cells: Cells, target: torch.Tensor | None) -> Cells:
        if self.fill != "missing":
            return cells
        return cells.without(self._drawn(cells.n_rows, net.n_columns, cells.numbers.device), net.sizes)

    def mix(self, net: TableNet, tokens: torch.Tensor) -> torch.Tensor | None:
        if self.fill == "missing":
            return None
        n, columns, _ = tokens.shape
        hidden = self._drawn(n, columns, tokens.device)
        if self.fill == "zero":
            return torch.where(hidden[..., None], 0.0, tokens)
        # every cell from a row of its own: two removed columns of a row do not come together
        at = (torch.rand(n, columns, device=tokens.device) * n).long().clamp(max=n - 1)
        return torch.where(hidden[..., None], tokens[at, torch.arange(columns, device=tokens.device)], tokens)


class Noise(Regularizer):
    """Gaussian noise on the scaled numbers that are present (Bishop 1995, doi:10.1162/neco.1995.7.1.108).

    Parameters
    ----------
    spread : standard deviation; a scaled number has about 1.
    """

    def __init__(self, spread: float = 0.1) -> None:
        self.spread = spread

    def change(self, net: TableNet, cells: Cells, target: torch.Tensor | None) -> Cells:
        noise = self.spread * torch.randn(cells.numbers.shape, device=cells.numbers.device)
        return cells._replace(numbers=torch.where(cells.missing, cells.numbers, cells.numbers + noise))


class Adversarial(Regularizer):
    """Rows whose numbers were moved a little in the direction in which the loss grows fastest: one step along the gradient's signs.

    Goodfellow, Shlens, Szegedy 2015, arXiv:1412.6572.

    # NOTE[DIFF] A share of the rows is moved, where the source adds the loss of moved copies: one batch, half the cost. Where no target is
    # known, rows are moved in the direction in which the outputs grow.

    Parameters
    ----------
    size : how far a scaled number may move. share : of the rows that are moved.

    Notes
    -----
    Cost: one more forward and backward pass.
    """

    def __init__(self, size: float = 0.05, share: float = 0.5) -> None:
        if not 0 < share <= 1:
            raise RequestError("adversarial cannot move this share of the rows", expected="above 0 and at most 1", got=str(share))
        self.size, self.share = size, share

    def change(self, net: TableNet, cells: Cells, target: torch.Tensor | None) -> Cells:
        step = self.size * self.slopes(net, cells, target).sign()
        moved = torch.rand(cells.numbers.shape[0], 1, device=step.device) < self.share
        return cells._replace(numbers=torch.where(moved & ~cells.missing, cells.numbers + step, cells.numbers))

    @staticmethod
    def slopes(net: TableNet, cells: Cells, target: torch.Tensor | None) -> torch.Tensor:
        """Return the gradient of each row's loss with respect to its numbers, (N, Sn), dropout off."""
        losses = net.losses
        with torch.no_grad():
            remembered = net._remembered(cells)  # as while learning: no row is among the kept rows that it is answered by

        def loss(numbers: torch.Tensor) -> torch.Tensor:
            tokens = net.embedding(cells._replace(numbers=numbers))
            outputs = net._read(*net._run(net.backbone(tokens, **remembered)))
            return outputs.sum() if losses is None or target is None else losses(outputs.float(), target).sum()

        was = net.training
        net.eval()
        try:
            slopes: torch.Tensor = grad(loss)(cells.numbers).detach()
            return slopes
        finally:
            net.train(was)


def _partner(tokens: torch.Tensor) -> torch.Tensor:
    """Return another row of the batch for each row, (N,)."""
    return torch.rand(tokens.shape[0], device=tokens.device).argsort()
