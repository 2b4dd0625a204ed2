"""Learning from rows without answers: the network fills in cells that were hidden from it, before it sees a target."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from pellucid import random
from pellucid.errors import RequestError
from pellucid.nn.cells import Cells, CellSizes
from pellucid.nn.draws import seed_step
from pellucid.nn.layers import uniform
from pellucid.nn.stack import StackedNet
from pellucid.nn.table_net import TableNet
from pellucid.training.batches import Batches
from pellucid.training.optim import Optimizers
from pellucid.training.recipe import TrainSettings
from pellucid.training.schedules import warm_cosine

__all__ = ["Decoder", "Pretraining", "pretrain"]

MOST_LEVELS = 256  # a column with more is hidden like any other, but not filled in
JUDGED = 2048  # rows on which the result is measured
PASSES = 4  # over all rows, at least: with many rows without an answer, half of a short fit's steps see few of them and gain nothing


@dataclass(frozen=True)
class Pretraining:
    """What is asked for.

    Attributes
    ----------
    sizes : what the cells look like.
    unlabelled : rows without an answer, encoded as the training rows, or None.
    steps : number of steps; None takes half of the fit's, and at least as many as four passes over all rows need.
    rate : share of the cells of a row that are hidden.
    """

    sizes: CellSizes
    unlabelled: Cells | None = None
    steps: int | None = None
    rate: float = 0.25

    def told(self) -> list[Any]:
        """Return what tells this from another pretraining of the same table: plain numbers, sums for the rows."""
        rows = [] if self.unlabelled is None else [self.unlabelled.n_rows, *(float(t.double().sum()) for t in self.unlabelled)]
        return [self.steps, self.rate, rows]


class Decoder(nn.Module):
    """Hidden states (N, K, H) to the scaled numbers (N, K, Sn) and the logits of the levels (N, K, Sl, L): one linear map.

    Parameters
    ----------
    width : H. sizes : what the cells look like; code slots of more than 256 levels have no output.
    """

    def __init__(self, width: int, sizes: CellSizes) -> None:
        super().__init__()
        self.slots = [j for j, size in enumerate(sizes.cardinalities) if size <= MOST_LEVELS]
        self.n_numbers, cardinalities = len(sizes.bins), [sizes.cardinalities[j] for j in self.slots]
        self.widest = max(cardinalities, default=0)
        n = self.n_numbers + len(self.slots) * self.widest
        self.weight, self.bias = nn.Parameter(uniform((n, width), width**-0.5)), nn.Parameter(torch.zeros(n))
        absent = torch.arange(self.widest) >= torch.tensor(cardinalities, dtype=torch.int64)[:, None]
        # missing and unseen are no levels, and neither is what fills up the shorter columns
        self.register_buffer("closed", absent | (torch.arange(self.widest) < 2), persistent=False)
        self.register_buffer("unit", torch.tensor(cardinalities).clamp(min=3).sub(2).float().log().clamp(min=0.5), persistent=False)

    closed: torch.Tensor
    unit: torch.Tensor

    def forward(self, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        out = nn.functional.linear(hidden, self.weight, self.bias)
        levels = out[..., self.n_numbers :].unflatten(-1, (len(self.slots), self.widest)) if self.slots else out[..., :0, None]
        return out[..., : self.n_numbers], levels.masked_fill(self.closed, -torch.inf) if self.slots else levels

    def errors(self, hidden: torch.Tensor, cells: Cells, shown: Cells) -> tuple[torch.Tensor, torch.Tensor]:
        """Return errors of hidden cells (N, Sn + Sl), the mean over members, and which cells they are.

        Numbers: squared error of the scaled value. Levels: cross entropy over the logarithm of the number of levels.
        """
        numbers, levels = self(hidden)
        error = (numbers - cells.numbers[:, None]).square().mean(1)
        asked = shown.missing & ~cells.missing
        if not self.slots:
            return error, asked
        codes, seen = cells.codes[:, self.slots], shown.codes[:, self.slots]
        known = (codes >= 2) & (seen == 0)
        at = codes.clamp(min=2)[:, None, :, None].expand(-1, levels.shape[1], -1, 1)
        surprise = (levels.logsumexp(-1) - levels.gather(-1, at)[..., 0]).mean(1) / self.unit
        return torch.cat([error, surprise], 1), torch.cat([asked, known], 1)

    def trivial(self, cells: Cells, shown: Cells) -> torch.Tensor:
        """Return the error of who knows each column's mean and level shares and nothing else, a scalar."""
        known = (~cells.missing).double()
        mean = (cells.numbers * known).sum(0) / known.sum(0).clamp(min=1)
        error, asked = (cells.numbers - mean).square(), shown.missing & ~cells.missing
        if self.slots:
            codes = cells.codes[:, self.slots]
            share = nn.functional.one_hot(codes, int(max(self.widest, int(codes.max()) + 1))).double().mul((codes >= 2)[..., None]).sum(0)
            share = share / share.sum(1, keepdim=True).clamp(min=1)
            surprise = -share.gather(1, codes.T).T.clamp(min=1e-12).log() / self.unit
            error = torch.cat([error, surprise], 1)
            asked = torch.cat([asked, (codes >= 2) & (shown.codes[:, self.slots] == 0)], 1)
        return torch.as_tensor((error * asked).sum() / asked.sum().clamp(min=1))


def hide(cells: Cells, sizes: CellSizes, rate: float) -> Cells:
    """Return the cells with a share ``rate`` of the columns of each row shown as missing."""
    return cells.without(torch.rand(cells.n_rows, sizes.n_columns, device=cells.numbers.device) < rate, sizes)


def pretrain(
    net: TableNet | StackedNet, cells: Cells, parts: Sequence[npt.NDArray[np.int64]], given: Pretraining, settings: TrainSettings,
    seed: int, steps: int, deadline: float = np.inf,
) -> dict[str, Any]:  # fmt: skip
    """Teach a network, or every network of a stack on rows of its own, to fill in hidden cells; returns what came of it.

    Parameters
    ----------
    net : changed in place; its head is left as it is.
    cells : (N, ...) on the network's device.
    parts : training rows of each network; nothing else of ``cells`` is read.
    given : what is asked for. settings : learning rates and batch. seed : of batches, hidden cells and dropout.
    steps : least number of steps where ``given`` names none.
    deadline : ``time.monotonic()`` at which it must have ended.

    Returns
    -------
    ``steps``, ``seconds``, ``loss`` and ``trivial``: the error on hidden cells of rows it learned from, and that of the columns' means and
    level shares. Below ``trivial``, the columns tell something of each other.
    """
    started = time.monotonic()
    n = cells.n_rows
    every = cells
    extra = np.zeros(0, np.int64)
    if given.unlabelled is not None:
        every = Cells(*(torch.cat([a, b.to(a.device)]) for a, b in zip(cells, given.unlabelled)))
        extra = np.arange(n, every.n_rows)
    found = []
    for g, rows in enumerate(parts):
        one = net.single(g) if isinstance(net, StackedNet) else net
        until = started + (deadline - started) * (g + 1) / len(parts)
        found.append(_one(one, every, np.concatenate([rows, extra]), given, settings, random.integer(seed, "pretrain", g), steps, until))
        if isinstance(net, StackedNet):
            _put(net, g, one)
    summed = {k: [f[k] for f in found] for k in ("steps", "loss", "trivial")}
    return {**summed, "unlabelled": len(extra), "seconds": time.monotonic() - started}


def _one(
    net: TableNet, cells: Cells, rows: npt.NDArray[np.int64], given: Pretraining, settings: TrainSettings, seed: int, steps: int,
    deadline: float,
) -> dict[str, Any]:  # fmt: skip
    device = cells.numbers.device
    torch.default_generator.manual_seed(random.integer(seed, "decoder"))
    shape = net.eval().hidden(cells.take(torch.as_tensor(rows[:2], device=device))).shape
    if not list(net.head.parameters()):
        raise RequestError("this backbone cannot be pretrained: its output is its last state", do="pass pretrain=False")
    decoder = Decoder(shape[2], given.sizes).to(device)
    named = {**dict(net.named_parameters()), "head.decoder.weight": decoder.weight, "head.decoder.bias": decoder.bias}
    optimizers = Optimizers(
        named, net.matrices(), lr=settings.lr, weight_decay=settings.weight_decay, muon_lr=settings.muon_lr, muon_decay=settings.muon_decay
    )  # fmt: skip
    batches = Batches([rows], settings.batch, seed)
    planned = given.steps or max(steps, PASSES * -(-len(rows) // settings.batch))
    warmup, step = max(1, round(settings.warmup * planned)), 0
    net.train()
    while step < planned and time.monotonic() < deadline:
        seed_step(random.integer(seed, "step", step), device)
        batch = cells.take(torch.from_numpy(batches.rows(step)[0][0]).to(device))
        _loss(net, decoder, batch, hide(batch, given.sizes, given.rate)).backward()
        optimizers.step(warm_cosine(step, planned, warmup))
        step += 1
    return {"steps": step, **_judge(net.eval(), decoder, cells.take(torch.as_tensor(rows[:JUDGED], device=device)), given, seed)}


def _loss(net: TableNet, decoder: Decoder, cells: Cells, shown: Cells) -> torch.Tensor:
    error, asked = decoder.errors(net.hidden(shown).float(), cells, shown)
    return torch.where(asked, error, 0.0).sum() / asked.sum().clamp(min=1)


@torch.no_grad()
def _judge(net: TableNet, decoder: Decoder, cells: Cells, given: Pretraining, seed: int) -> dict[str, float]:
    torch.default_generator.manual_seed(random.integer(seed, "judge"))
    shown = hide(cells, given.sizes, given.rate)
    return {"loss": float(_loss(net, decoder, cells, shown)), "trivial": float(decoder.trivial(cells, shown))}


@torch.no_grad()
def _put(stack: StackedNet, g: int, one: TableNet) -> None:
    """Write network ``g`` of a stack."""
    own = one.state_dict()
    for name, value in stack.net.state_dict().items():
        value[g].copy_(own[name])
