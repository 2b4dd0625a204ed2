"""Learning a table without a target: random cells of every row are hidden and told from the rest."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from pellucid import random
from pellucid.nn.masked_autoencoder import Bottleneck, MaskedAutoencoder
from pellucid.training.schedules import warm_cosine

__all__ = ["MaskedSettings", "RowCells", "fit_bottleneck", "fit_masked"]

JUDGED = 2048  # held-out rows on which the state to keep is chosen
SCORES = 12  # times a fit is judged
PLACE = 10.0  # weight of a squared distance on the normal scale, beside nats, when the code of whole rows is learned


class RowCells(NamedTuple):
    """Coded rows as tensors: state, lo, hi (N, C) int64 and share (N, C) float32; see ``encode.codebook.CodedCells``."""

    state: torch.Tensor
    lo: torch.Tensor
    hi: torch.Tensor
    share: torch.Tensor

    def take(self, rows: torch.Tensor | slice) -> RowCells:
        """Return some rows."""
        return RowCells(*(t[rows] for t in self))

    def swapped(self, other: RowCells, where: torch.Tensor) -> RowCells:
        """Return the rows with the cells ``where`` (N, C) taken from ``other``."""
        return RowCells(*(torch.where(where, b, a) for a, b in zip(self, other)))


@dataclass(frozen=True)
class MaskedSettings:
    """How a masked autoencoder learns.

    Attributes
    ----------
    steps, batch, lr, weight_decay : of AdamW under a warm half cosine.
    noise : most of the shown cells that are exchanged for those of other rows, in the half of the batches in which the network is told
        that cells may be wrong; the share is drawn anew for each row.
    """

    steps: int = 1500
    batch: int = 512
    lr: float = 3e-3
    weight_decay: float = 0.02
    noise: float = 0.3


def fit_masked(
    net: MaskedAutoencoder, cells: RowCells, train: npt.NDArray[np.int64], stop: npt.NDArray[np.int64], settings: MaskedSettings,
    seed: int, deadline: float = np.inf, progress: Any = None,
) -> dict[str, Any]:  # fmt: skip
    """Train in place, and keep the state that is best on the rows ``stop``; returns what came of it.

    Every row of a batch shows a number of cells drawn evenly from 0 to C - 1, so that every pattern is learned; the loss is the mean
    surprise of its hidden cells (Uria, Murray and Larochelle 2014, arXiv:1310.1757).

    Parameters
    ----------
    cells : all rows. train, stop : rows learned from, and rows judged on; without the latter the last state is kept.
    deadline : ``time.monotonic()`` at which it must have ended.

    Returns
    -------
    ``steps``, ``seconds``, ``loss`` on the stop rows with half of the cells hidden, ``trivial``: that of the columns' own shares.
    """
    started = time.monotonic()
    generator = torch.Generator().manual_seed(random.integer(seed, "masking"))
    decayed = [
        p for name, p in net.named_parameters() if name in ("entry.slots", "out") or (name.startswith(("up", "down")) and p.ndim > 1)
    ]
    others = [p for p in net.parameters() if all(p is not d for d in decayed)]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}], lr=settings.lr, fused=True
    )
    batch, best, kept = min(settings.batch, len(train)), np.inf, None
    rows = torch.as_tensor(train)
    judged, every = _judge(net, cells, stop, seed), max(1, settings.steps // SCORES)
    trivial = judged()
    order, place, step = rows[torch.randperm(len(rows), generator=generator)], 0, 0
    net.train()
    while step < settings.steps and time.monotonic() < deadline:
        if place + batch > len(order):
            order, place = rows[torch.randperm(len(rows), generator=generator)], 0
        loss = _loss(net, cells.take(order[place : place + batch]), settings.noise, generator)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * warm_cosine(step, settings.steps, max(1, settings.steps // 20))
        optimizer.step()
        place, step = place + batch, step + 1
        if step % every == 0 or step == settings.steps:
            score = judged()
            if score < best and len(stop):
                best, kept = score, copy.deepcopy(net.state_dict())
            if progress is not None:
                pace = (time.monotonic() - started) / step
                progress(step, settings.steps, float(loss.detach()), score, pace * (settings.steps - step))
    if kept is not None:
        net.load_state_dict(kept)
    net.eval()
    return {"steps": step, "loss": judged(), "trivial": trivial, "seconds": time.monotonic() - started}


def fit_bottleneck(
    net: MaskedAutoencoder, head: Bottleneck, cells: RowCells, seed: int, steps: int = 300, batch: int = 512, deadline: float = np.inf
) -> None:
    """Train the code of whole rows in place: two numbers from which all cells are told as well as two numbers can.

    # NOTE[DIFF] beside the surprise of each state, the squared distance of a number from where it is told counts: with the surprise alone
    a near miss costs as much as a far one, and the code folds a curved sheet over.
    """
    generator = torch.Generator().manual_seed(random.integer(seed, "bottleneck"))
    with torch.no_grad():
        shown = torch.ones(1, cells.state.shape[1], dtype=torch.bool)
        chunks = [cells.take(slice(s, s + 4096)) for s in range(0, len(cells.state), 4096)]
        hidden = torch.cat([net.hidden(net.enter(c.lo, c.hi, c.share, shown)) for c in chunks])
        base = net.exit()[1]
    optimizer = torch.optim.AdamW(head.parameters(), lr=5e-3, weight_decay=1e-3, fused=True)
    for step in range(steps):
        if time.monotonic() > deadline:
            break
        rows = torch.randint(0, len(hidden), (min(batch, len(hidden)),), generator=generator)
        logits = (head(hidden[rows]) + base).masked_fill(net.closed, -60.0)
        state = cells.state[rows]
        optimizer.zero_grad()
        lost = net.surprise(logits, state) + PLACE * net.misplaced(logits, state)
        _mean(lost, state >= 0).backward()
        for group in optimizer.param_groups:
            group["lr"] = 5e-3 * warm_cosine(step, steps, max(1, steps // 20))
        optimizer.step()
    head.eval()


def _loss(net: MaskedAutoencoder, cells: RowCells, noise: float, generator: torch.Generator) -> torch.Tensor:
    n, c = cells.state.shape
    draw = torch.rand(n, c, generator=generator)
    shown = draw.argsort(1).argsort(1) < torch.randint(0, c, (n, 1), generator=generator)
    doubt = (torch.rand(n, 1, generator=generator) < 0.5) & (noise > 0)
    wrong = (torch.rand(n, c, generator=generator) < noise * torch.rand(n, 1, generator=generator)) & doubt
    other = torch.randint(0, n, (n, c), generator=generator)
    borrowed = RowCells(*(t.gather(0, other) for t in cells))
    seen = cells.swapped(borrowed, wrong & shown)
    hidden = net.hidden(net.enter(seen.lo, seen.hi, seen.share, shown), doubt.float())
    return _mean(net.surprise(net.logits(hidden), cells.state), ~shown & (cells.state >= 0))


def _mean(values: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    return torch.where(where, values, 0.0).sum() / where.sum().clamp(min=1)


def _judge(net: MaskedAutoencoder, cells: RowCells, stop: npt.NDArray[np.int64], seed: int) -> Any:
    """Return a function that gives the loss on the stop rows, always with the same cells hidden; NaN where there are no such rows."""
    rows = torch.as_tensor(stop[:JUDGED])
    judged = cells.take(rows)
    generator = torch.Generator().manual_seed(random.integer(seed, "judged"))
    shown = torch.rand(judged.state.shape, generator=generator) < 0.5

    @torch.no_grad()
    def judge() -> float:
        if not len(rows):
            return float("nan")
        was = net.training
        net.eval()
        logits = net.logits(net.hidden(net.enter(judged.lo, judged.hi, judged.share, shown)))
        net.train(was)
        return float(_mean(net.surprise(logits, judged.state), ~shown & (judged.state >= 0)))

    return judge
