"""TabNet taught by the table alone: cells are hidden, and a decoder must tell them from the others.

Arik and Pfister 2021, arXiv:1908.07442, section on self-supervised learning.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from pellucid.errors import RequestError
from pellucid.nn.backbones.tabnet import FeatureTransformer, TabNet, gated_weight
from pellucid.nn.cells import Cells
from pellucid.nn.table_net import TableNet

__all__ = ["Pretrained", "TabNetPretrainer", "pretrain_tabnet"]


class TabNetPretrainer(nn.Module):
    """Tokens (N, C, D) to a guess of all tokens from those that are not hidden.

    The encoder's steps run on the features of the seen cells; a hidden column's prior is 0, so that no mask chooses it. Each step's
    decision goes through layers of its own, the results are added up and mapped to the tokens.

    Parameters
    ----------
    encoder : trained in place.
    share : of the cells that are hidden.
    n_shared, n_own, group, momentum : of the decoder's layers, as for :class:`TabNet`.

    Notes
    -----
    # NOTE[DIFF] Cells are hidden after the first norm, as in the paper's formula; hidden before it, as in the reference implementation,
    they would spoil the norm's record for the training that follows. The last map starts at 0, so that the first guess is the mean.
    """

    def __init__(
        self, encoder: TabNet, share: float = 0.3, n_shared: int = 1, n_own: int = 1, group: int = 128, momentum: float = 0.05
    ) -> None:
        super().__init__()
        if not 0 < share < 1:
            raise RequestError("the share of hidden cells cannot be used", expected="a number between 0 and 1", got=str(share))
        self.encoder, self.share = encoder, share
        n_d, flat = encoder.n_d, encoder.n_tokens * encoder.d_token
        self.shared = nn.ModuleList(nn.Linear(n_d, 2 * n_d, bias=False) for _ in range(n_shared))
        for layer in self.shared:
            layer.weight.data = gated_weight(n_d, n_d)
        self.steps = nn.ModuleList(FeatureTransformer(n_d, n_d, n_shared, n_own, group, momentum) for _ in range(encoder.n_steps))
        self.out = nn.Linear(n_d, flat, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(self, tokens: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """Return a guess of the tokens (N, C, D) where the columns ``hidden`` (N, C) are not shown."""
        done = self.encoder.decide(self.encoder.features(tokens, hidden), (~hidden).to(tokens.dtype))
        total = torch.stack([step(decision, self.shared) for step, decision in zip(self.steps, done.decisions)]).sum(0)
        return self.out(total).view(tokens.shape)  # type: ignore[no-any-return]

    def hide(self, n_rows: int, generator: torch.Generator | None = None) -> torch.Tensor:
        """Return which cells to hide, (N, C) bool."""
        return torch.rand(n_rows, self.encoder.n_tokens, generator=generator) < self.share

    def loss(self, tokens: torch.Tensor, hidden: torch.Tensor, center: torch.Tensor, spread: torch.Tensor) -> torch.Tensor:
        """Return the mean squared error on the hidden cells in units of each entry's spread; 1 is what guessing the mean scores.

        Parameters
        ----------
        tokens, hidden : (N, C, D), (N, C). center, spread : (C, D), mean and standard deviation of the entries; spread 0 for constants.
        """
        scale = torch.where(spread > 1e-6, spread, 1.0)
        error = (self(tokens, hidden) - (tokens - center) / scale).square()
        counts = hidden[..., None] & (spread > 1e-6)
        mean: torch.Tensor = (error * counts).sum() / counts.sum().clamp(min=1)
        return mean


class Pretrained(NamedTuple):
    """The pretrainer with its decoder, and the loss before and after (1 is what guessing the mean scores)."""

    pretrainer: TabNetPretrainer
    before: float
    after: float


def pretrain_tabnet(
    net: TableNet, cells: Cells, steps: int = 500, seed: int = 0, *, batch: int = 256, lr: float = 2e-2, share: float = 0.3
) -> Pretrained:
    """Train the TabNet inside ``net``, in place, to tell hidden cells of the rows from the seen ones. No target is needed.

    Parameters
    ----------
    net : a network whose backbone is a :class:`TabNet`. Its embedding is not trained: what is to be guessed must stand still.
    cells : (N, ...) encoded rows.
    steps, batch, lr : of Adam; the rate falls to 0 along a line.
    seed : of the decoder's weights, the batches and the hidden cells.
    share : of the cells that are hidden.

    Returns
    -------
    Pretrained, whose losses were taken on all rows with the same hidden cells.
    """
    if not isinstance(net.backbone, TabNet):
        raise RequestError("only a TabNet is pretrained in this way", expected="backbone='tabnet'", got=type(net.backbone).__name__)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = TabNetPretrainer(net.backbone, share)
        mode = net.training
        with torch.no_grad():
            tokens = net.eval().tokens(cells).detach()
        spread, center = torch.std_mean(tokens, 0, correction=0)
        test = model.hide(len(tokens), torch.Generator().manual_seed(seed))
        before = _score(model, tokens, test, center, spread)
        optimizer = torch.optim.Adam(model.parameters(), lr)
        model.train()
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = lr * (1 - step / steps)
            rows = torch.randint(len(tokens), (min(batch, len(tokens)),))
            optimizer.zero_grad()
            model.loss(tokens[rows], model.hide(len(rows)), center, spread).backward()
            optimizer.step()
        after = _score(model, tokens, test, center, spread)
    net.train(mode)
    return Pretrained(model.eval(), before, after)


@torch.no_grad()
def _score(model: TabNetPretrainer, tokens: torch.Tensor, hidden: torch.Tensor, center: torch.Tensor, spread: torch.Tensor) -> float:
    model.eval()
    return float(model.loss(tokens, hidden, center, spread))
