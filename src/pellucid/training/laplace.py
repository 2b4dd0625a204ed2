"""Last-layer Laplace: the weights of the linear head as a normal law around where training ended.

MacKay 1992, doi:10.1162/neco.1992.4.3.448; last layer: Kristiadi, Hein, Hennig 2020, arXiv:2002.10118; Daxberger and others 2021,
arXiv:2106.14806. Letters: N rows, K members, H hidden width (1 for the bias included), O outputs, S draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pellucid.nn.bayes import drawn_head
from pellucid.nn.cells import Cells
from pellucid.nn.table_net import TableNet
from pellucid.training.objectives import Objective
from pellucid.training.predict import CHUNK

__all__ = ["TAUS", "Posterior", "fit_posterior", "laplace", "precision_of_prior"]

TAUS = tuple(float(t) for t in 10.0 ** np.arange(-3.0, 5.01, 0.5))
"""Precisions of the prior that are tried."""
USUAL = 0.5
"""How far the precision usually lies from 1, in powers of ten: networks here are trained on inputs and targets of size 1."""


@dataclass(frozen=True)
class Posterior:
    """Normal laws N(map, (tau + curvature)^-1) of a head's weights, one for each member and output.

    Attributes
    ----------
    vectors, values : eigenvectors (K, O, H, H) and eigenvalues (K, O, H) of the curvature, the sum over rows of lambda phi phi'.
    tau : precision of the prior.
    """

    vectors: torch.Tensor
    values: torch.Tensor
    tau: float = 1.0

    def covariance(self) -> torch.Tensor:
        """Return (K, O, H, H)."""
        return (self.vectors / (self.values + self.tau)[..., None, :]) @ self.vectors.mT

    def variance(self, phi: torch.Tensor, tau: float | None = None) -> torch.Tensor:
        """Return the variance of each output (N, K, O) at features (N, K, H)."""
        along = torch.einsum("nkh,koha->nkoa", phi, self.vectors)
        return (along.square() / (self.values + (self.tau if tau is None else tau))).sum(-1)

    def draws(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Return S moves of the weights away from the map, (S, K, O, H): in pairs of opposite sign, so that their mean is none."""
        half = torch.randn((-(-n // 2), *self.values.shape), generator=generator, dtype=self.values.dtype)
        half = half / (self.values + self.tau).sqrt()
        moved = torch.einsum("koha,skoa->skoh", self.vectors, half)
        every = torch.cat([moved, -moved])
        if n % 2:  # the odd one out keeps no partner
            every = every[:n] - every[:n].mean(0)
        return every


def fit_posterior(phi: torch.Tensor, curvature: torch.Tensor, weights: torch.Tensor, tau: float = 1.0) -> Posterior:
    """Return the posterior of a linear head.

    Parameters
    ----------
    phi : (N, K, H) what the head reads, a 1 for the bias included. curvature : (N, K, O) lambda of each row: p (1 - p) for classes, 1 /
        s^2 for
        numbers. weights : (N,). tau : precision of the prior.

    # NOTE[DIFF] Several classes are treated one by one: what their softmax couples is left out, which overstates doubt a little.
    """
    total = _curvature(phi, curvature, weights)
    values, vectors = torch.linalg.eigh(total)
    return Posterior(vectors, values.clamp(min=0), tau)


def _curvature(phi: torch.Tensor, curvature: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    scaled = (curvature * weights[:, None, None]).permute(1, 2, 0)  # (K, O, N)
    features = phi.permute(1, 0, 2)  # (K, N, H)
    return torch.einsum("kon,knh,kng->kohg", scaled, features, features) if phi.shape[0] * phi.shape[2] < 1 << 12 else torch.stack(
        [torch.stack([(features[k] * scaled[k, o, :, None]).mT @ features[k] for o in range(scaled.shape[1])]) for k in range(phi.shape[1])]
    )  # fmt: skip


def precision_of_prior(
    posterior: Posterior, phi: torch.Tensor, raw: torch.Tensor, target: torch.Tensor, weights: torch.Tensor, noise: torch.Tensor | None
) -> float:
    """Return the tau that held-out rows speak for: the geometric mean of ``TAUS``, weighed by the rows' likelihood and by ``USUAL``.

    The likelihood of classes is flat in tau: on adult it changed by two nats in all over five powers of ten, so that the best tau was 0.001
    in one fit and 100,000 in the next, and doubt with it. Where the rows do not tell, the usual size decides.

    Parameters
    ----------
    raw : (N, K, O) outputs at the map. target : (N,) class numbers or (N, O) standardised values. noise : (O,) variance of numbers, or
        None.
    """
    losses = [_held_loss(posterior.variance(phi, tau), raw, target, weights, noise) for tau in TAUS]
    told = -np.array(losses) * float(weights.sum()) - 0.5 * (np.log10(TAUS) / USUAL) ** 2
    share = np.exp(told - told.max())
    return float(10.0 ** (share @ np.log10(TAUS) / share.sum()))


def _held_loss(variance: torch.Tensor, raw: torch.Tensor, target: torch.Tensor, weights: torch.Tensor, noise: torch.Tensor | None) -> float:
    if noise is not None:
        total = noise + variance.mean(1) + raw.var(1, correction=0)
        loss = 0.5 * (total.log() + (target - raw.mean(1)).square() / total).mean(1)
    else:
        shrunk = raw / (1 + torch.pi / 8 * variance).sqrt()
        full = torch.cat([torch.zeros_like(shrunk), shrunk], 2) if raw.shape[2] == 1 else shrunk
        loss = -full.softmax(2).mean(1).gather(1, target[:, None])[:, 0].clamp(min=1e-12).log()
    return float((loss * weights).sum() / weights.sum())


@torch.no_grad()
def laplace(
    net: TableNet, cells: Cells, target: torch.Tensor, weights: npt.NDArray[np.float64], rows: npt.NDArray[np.int64],
    held: npt.NDArray[np.int64], objective: Objective, draws: int, seed: int,
) -> tuple[TableNet, dict[str, Any]]:  # fmt: skip
    """Return the network with S draws of its last layer, whose mean is the layer itself, and what was found (tau, noise).

    Parameters
    ----------
    net : trained, with a linear head; copied. cells, target, weights : of all rows, the target as the objective prepared it.
    rows : the rows it learned from. held : rows that it did not learn from: they give tau, and the noise of numbers by maximum likelihood
        from their residuals (not by the marginal likelihood, which runs away: it was fitted at the map). Without any, tau is 1.

    Notes
    -----
    Cost: one pass over the rows, and K O eigenvalue problems of size H. In answers S heads in place of one.
    """
    w = torch.from_numpy(np.asarray(weights, np.float64) / max(float(np.mean(weights[rows])), 1e-12))
    seen, outside = (_features(net, cells, at, objective) for at in (rows, held if len(held) else rows))
    goal = target if objective.task == "classification" else target.double()
    place = seen[1].shape[2]
    noise = None
    if objective.task == "regression":
        w_out = w[held if len(held) else rows]
        residual = (outside[1].mean(1) - goal[held if len(held) else rows]).square()
        noise = ((residual * w_out[:, None]).sum(0) / w_out.sum()).clamp(min=1e-6)
        curvature = (1 / noise).expand(*seen[1].shape)
    else:
        p = torch.sigmoid(seen[1]) if place == 1 else seen[1].softmax(2)
        curvature = p * (1 - p)
    posterior = fit_posterior(seen[0], curvature, w[rows])
    tau = precision_of_prior(posterior, outside[0], outside[1], goal[held], w[held], noise) if len(held) else 1.0
    posterior = Posterior(posterior.vectors, posterior.values, tau)
    return _drawn(net, posterior, place, draws, seed), {"tau": tau, "noise": None if noise is None else noise.tolist()}


def _features(net: TableNet, cells: Cells, rows: npt.NDArray[np.int64], objective: Objective) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what the head reads, a 1 for the bias included, (N, K, H), and the raw places (N, K, O), in float64."""
    share = float(getattr(net.head, "share", 0.0))
    found = []
    for start in range(0, len(rows), 8 * CHUNK):
        part = cells.take(torch.from_numpy(rows[start : start + 8 * CHUNK]))
        hidden, parts = net._through(net.embedding(part), cells=part)
        raw = net._read(hidden, parts)
        raw = raw[..., : raw.shape[2] - objective.extra]
        one = torch.ones_like(hidden[..., :1])
        found.append((torch.cat([hidden, one], 2).double() * (1 - share), raw.double()))
    return torch.cat([f for f, _ in found]), torch.cat([r for _, r in found])


def _drawn(net: TableNet, posterior: Posterior, place: int, draws: int, seed: int) -> TableNet:
    moves = posterior.draws(draws, torch.Generator().manual_seed(seed)).permute(0, 1, 3, 2).float()  # (S, K, H, O)
    own: Any = net.head
    weight, bias = own.weight.detach(), own.bias.detach()
    every_weight, every_bias = weight.expand(draws, *weight.shape).clone(), bias.expand(draws, *bias.shape).clone()
    every_weight[..., :place] += moves[:, :, :-1]
    every_bias[..., :place] += moves[:, :, -1]
    made = net.fresh(0)
    made.load_state_dict(net.state_dict())
    head = drawn_head(made, draws).head
    head.put(every_weight, every_bias)
    made.eval()
    return made
