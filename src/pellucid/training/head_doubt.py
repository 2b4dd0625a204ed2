"""What a blended network does not know beyond its additive model: draws of its members' last layers, and of the share.

Members that learn together from the same rows agree, right or wrong: their disagreement is a small part of how far networks learned from
other rows would lie apart. Given the hidden states a member's last layer is a linear model, whose normal law around the fit is known
(MacKay 1992, doi:10.1162/neco.1992.4.3.448; last layer: Kristiadi, Hein, Hennig 2020, arXiv:2002.10118); and the share was picked by a loss
on few rows, which says how far it may be off. Answers are read at the fit; doubt asks the draws as well.
Letters: N rows, K members, H hidden width and one for the bias, O outputs, R draws, D draws for each member, W shares.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from pellucid.nn.beside import DRAWS, centred
from pellucid.nn.cells import Cells
from pellucid.nn.table_net import TableNet
from pellucid.random import stream
from pellucid.training.blending import SHARES
from pellucid.training.objectives import Objective
from pellucid.training.predict import CHUNK

__all__ = ["MOST_ROWS", "Halves", "halves", "share_draws", "share_losses", "weight_draws"]

MOST_ROWS = 5000
"""Rows at most, times outputs, that a law is read from; these then count for all."""

Ints = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]


class Halves(NamedTuple):
    """What the two halves of a blended network say of N rows.

    Attributes
    ----------
    phi : (N, K, H) what the members' head reads, a 1 for the bias last. deep, additive : (N, K, O), (N, O) raw outputs; in float64 all.
        ``additive`` is None where that half is left out, because its share is 0.
    weights : (N,), on average 1 over the rows these stand for. target : as the objective prepared it. of : how many rows these stand for.
    """

    phi: torch.Tensor
    deep: torch.Tensor
    additive: torch.Tensor | None
    weights: torch.Tensor
    target: torch.Tensor
    of: int


@torch.no_grad()
def halves(net: TableNet, cells: Cells, target: torch.Tensor, weights: F64, rows: Ints, objective: Objective) -> Halves:
    """Return what a trained network says of ``rows``, or of as many of these as ``MOST_ROWS`` allows, evenly spread."""
    place = objective.n_outputs - objective.extra
    some = rows[np.linspace(0, len(rows) - 1, min(len(rows), max(MOST_ROWS // place, 1))).astype(int)]
    found = []
    for start in range(0, len(some), 8 * CHUNK):
        part = cells.take(torch.from_numpy(some[start : start + 8 * CHUNK]))
        hidden, named = net._through(net.embedding(part), cells=part)
        hidden = hidden.float()
        deep: torch.Tensor = net.head.linear(hidden)  # type: ignore[operator]
        found.append((torch.cat([hidden, torch.ones_like(hidden[..., :1])], 2), deep[..., :place], named.get("additive")))
    phi, deep = (torch.cat(each).double() for each in zip(*((p, d) for p, d, _ in found)))
    own = [a for _, _, a in found if a is not None]
    additive = torch.cat(own).double() if own else None
    known = torch.from_numpy(weights[some] / max(float(weights[rows].mean()), 1e-12))
    return Halves(phi, deep, additive, known, target[some], len(rows))


@torch.no_grad()
def weight_draws(learned: Halves, away: Halves | None, objective: Objective, seed: int) -> torch.Tensor:
    """Return draws of how far the weights and the bias of each member's last layer may lie from the learned ones, (K, H, D * n_outputs).

    Parameters
    ----------
    learned : of the rows that the members learned from. away : of held-out rows, whose residuals are the noise of numbers; None: there
        are none, and those of the former stand for them.

    Notes
    -----
    The prior has the usual size of such weights, precision 1. # NOTE[DIFF] Its size is not learned: the evidence takes weights that stopped
    early for weights that were to be small (it tells about half of this), and held-out rows are flat in it (``training/laplace.py``). Of
    several classes what a row tells is p, as for the additive model's draws: differences between outputs then vary as the softmax has it.
    Cost: K O products (H, N) by (N, H) and as many factorisations of size H.
    """
    place, k = learned.deep.shape[2], learned.deep.shape[1]
    if objective.task == "regression":
        rest = away or learned
        off = (rest.deep.mean(1) - rest.target.double()).square() * rest.weights[:, None]
        told = (rest.weights.sum() / off.sum(0).clamp(min=1e-12)).clamp(max=1e6).expand(learned.deep.shape)
    else:
        p = learned.deep.sigmoid()
        told = p * (1 - p) if place == 1 else learned.deep.softmax(2)
    told = told * (learned.weights * learned.of / len(learned.weights))[:, None, None]
    each, width = -(-DRAWS // k), learned.phi.shape[2]
    normal = torch.from_numpy(stream(seed, "turns").standard_normal((k, place, width, each)))
    out = torch.zeros(k, width, each, objective.n_outputs)
    for member in range(k):
        phi = learned.phi[:, member]
        for o in range(place):
            law = (phi * told[:, member, o, None]).T @ phi + torch.eye(width, dtype=phi.dtype)
            factor = torch.linalg.cholesky(law)
            drawn = torch.linalg.solve_triangular(factor.T, normal[member, o], upper=True)
            if each > 1:
                drawn = (drawn - drawn.mean(1, keepdim=True)) * (each / (each - 1)) ** 0.5
            out[member, :, :, o] = drawn.float()
    return out.flatten(2)


@torch.no_grad()
def share_losses(away: Halves, objective: Objective) -> F64:
    """Return the mean loss (W,) of every share on held-out rows: squared error, or log loss of the averaged members."""
    assert away.additive is not None
    found = []
    for share in SHARES:
        raw = torch.lerp(away.deep, away.additive[:, None], share)
        if objective.task == "regression":
            loss = (raw.mean(1) - away.target.double()).square().mean(1)
        else:
            loss = -objective.answers(raw).mean(1).gather(1, away.target[:, None])[:, 0].clamp(min=1e-15).log()
        found.append(float((loss * away.weights).sum() / away.weights.sum()))
    return np.array(found)


def share_draws(losses: Sequence[F64], counts: Sequence[int], objective: Objective, members: int, seed: int) -> torch.Tensor:
    """Return draws of how far the share may lie from the one picked, (R,), from each network's :func:`share_losses` on so many rows.

    They have the variance of the share under the likelihood of the held-out rows, all shares alike before.
    """
    told = np.zeros(len(SHARES))
    for loss, n in zip(losses, counts):
        told -= 0.5 * n * np.log(np.maximum(loss, 1e-12)) if objective.task == "regression" else n * loss
    p = np.exp(told - told.max())
    p /= p.sum()
    spread = np.sqrt(max(float(p @ np.square(SHARES) - (p @ np.array(SHARES)) ** 2), 0.0))
    draws = centred(stream(seed, "sways").standard_normal((1, 1, DRAWS)), members)[0]
    return torch.from_numpy(spread * draws / draws.std()).float()
