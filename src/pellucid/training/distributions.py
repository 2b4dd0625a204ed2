"""Losses of heads that give a distribution for a number, or over the class probabilities, instead of one answer.

Raw outputs (N, K, O + E) hold a place for each target first, then what describes the distribution around it. Letters: L quantile levels,
M components.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from pellucid.errors import RequestError
from pellucid.training.losses import Loss

__all__ = ["HEADS", "Distribution", "Mixture", "Normal", "PriorNet", "Quantiles", "dirichlet_information", "dirichlet_kl"]

Array = npt.NDArray[Any]
LEAST = 1e-3  # sd of a standardised target below which a likelihood would reward single rows without end
CAP = 10.0  # largest log of a Dirichlet parameter: e^10 rows' worth of knowledge
LOG_2PI = math.log(2 * math.pi)
UNIT = math.log(math.expm1(1.0))  # softplus of it is 1: the spread a standardised target begins with


@dataclass(frozen=True)
class Distribution(Loss):
    """Base of the heads for numbers.

    Attributes
    ----------
    located : True; the first O outputs are places, which an additive model may start from.
    extra : E of one target. targets : O, known from the training target.
    """

    located = True
    targets: int = 1

    @property
    def extra(self) -> int:
        """Outputs a target needs beyond its place."""
        raise NotImplementedError  # each head has its own

    def fit(self, target: Array, weights: Array | None, n_classes: int) -> Self:
        from dataclasses import replace

        return replace(self, targets=int(target.shape[1]))

    def values(self, raw: torch.Tensor) -> torch.Tensor:
        return raw[..., : self.targets]

    def law(self, raw: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the members' distributions: ``weights``, ``means``, ``sds``, each (N, K, M, O), in standardised units."""
        raise NotImplementedError  # each head has its own

    def variance(self, raw: torch.Tensor) -> torch.Tensor:
        """Return the variance of each member's distribution, (N, K, O), in standardised units."""
        law = self.law(raw)
        mean = (law["weights"] * law["means"]).sum(2, keepdim=True)
        variance: torch.Tensor = (law["weights"] * (law["sds"].square() + (law["means"] - mean).square())).sum(2)
        return variance

    def summary(self, raw: torch.Tensor, scale: torch.Tensor, center: torch.Tensor) -> torch.Tensor:
        """Return what training stops on, (N, 2 O): mean and variance over the members' distributions, in the target's unit."""
        means = self.values(raw)
        mean = means.mean(1)
        variance = self.variance(raw).mean(1) + means.var(1, correction=0)
        return torch.cat([mean * scale + center, variance * scale.square()], 1)

    def score(self, truth: Array, answers: Array, weights: Array) -> float:
        mean, variance = np.split(answers, 2, axis=1)
        loss = 0.5 * (LOG_2PI + np.log(variance) + (truth - mean) ** 2 / variance)
        return float(np.average(loss.mean(1), weights=weights))

    def _rest(self, raw: torch.Tensor) -> torch.Tensor:
        """Return the outputs beyond the places, (N, K, E, O)."""
        rest: torch.Tensor = raw[..., self.targets :].unflatten(-1, (self.extra, self.targets))
        return rest


@dataclass(frozen=True)
class Normal(Distribution):
    """A mean and a spread for every row: negative log-likelihood of the normal law, each row's weighed by its own sd^(2 beta).

    Nix, Weigend 1994, doi:10.1109/ICNN.1994.374138; weights: Seitzer, Tavakoli, Antic, Martius 2022, arXiv:2203.09168. With ``beta=0``
    it is the plain likelihood, which leaves rows that are hard at first to their noise; 0.5 is half way to squared error.
    """

    name = "normal"
    options = ("beta",)
    beta: float = 0.5

    @property
    def extra(self) -> int:
        return 1

    def _sd(self, raw: torch.Tensor) -> torch.Tensor:
        return functional.softplus(self._rest(raw) + UNIT) + LEAST

    def law(self, raw: torch.Tensor) -> dict[str, torch.Tensor]:
        sd = self._sd(raw)
        return {"weights": torch.ones_like(sd), "means": self.values(raw)[:, :, None], "sds": sd}

    def rows(self, raw: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        sd = self._sd(raw)[:, :, 0]
        loss = 0.5 * (LOG_2PI + 2 * sd.log() + ((target[:, None] - self.values(raw)) / sd).square())
        return (loss * sd.detach() ** (2 * self.beta)).mean((1, 2)) if self.beta else loss.mean((1, 2))


@dataclass(frozen=True)
class Quantiles(Distribution):
    """Several quantiles of every row by the pinball loss: the median, and positive steps away from it, so that they never cross.

    Koenker, Bassett 1978, doi:10.2307/1913643. The answer is the median. Members' quantiles are averaged.

    Parameters
    ----------
    levels : rising, 0.5 among them.
    """

    name = "quantiles"
    options = ("levels",)
    levels: tuple[float, ...] = (0.025, 0.05, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.95, 0.975)

    def __post_init__(self) -> None:
        given = [float(v) for v in self.levels]
        if sorted(set(given)) != given or 0.5 not in given or not 0 < given[0] < given[-1] < 1 or len(given) < 3:
            raise RequestError(
                "these quantiles cannot be learned", expected="rising levels between 0 and 1, 0.5 among them", got=repr(self.levels)
            )

    @property
    def extra(self) -> int:
        return len(self.levels) - 1

    @property
    def _middle(self) -> int:
        return list(self.levels).index(0.5)

    def quantiles(self, raw: torch.Tensor) -> torch.Tensor:
        """Return the quantiles (N, K, L, O), rising along L, in standardised units."""
        middle, steps = self.values(raw)[:, :, None], functional.softplus(self._rest(raw))
        below, above = steps[:, :, : self._middle], steps[:, :, self._middle :]
        return torch.cat([middle - below.cumsum(2).flip(2), middle, middle + above.cumsum(2)], 2)

    def rows(self, raw: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        short = target[:, None, None] - self.quantiles(raw)
        level = raw.new_tensor(self.levels)[:, None]
        return torch.maximum(level * short, (level - 1) * short).mean((1, 2, 3))

    def variance(self, raw: torch.Tensor) -> torch.Tensor:
        """Return the variance of the broken line through the quantiles, level beyond the outer ones."""
        q = self.quantiles(raw)
        edges = [0.0, *self.levels, 1.0]
        share = raw.new_tensor(np.diff(edges).tolist())[:, None]
        q = torch.cat([q[:, :, :1], q, q[:, :, -1:]], 2)
        a, b = q[:, :, :-1], q[:, :, 1:]
        mean = (share * (a + b) / 2).sum(2)
        return ((share * (a * a + a * b + b * b) / 3).sum(2) - mean.square()).clamp(min=LEAST**2)

    def law(self, raw: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"levels": raw.new_tensor(self.levels), "quantiles": self.quantiles(raw)}

    def summary(self, raw: torch.Tensor, scale: torch.Tensor, center: torch.Tensor) -> torch.Tensor:
        return (self.quantiles(raw).mean(1) * scale + center).flatten(1)

    def score(self, truth: Array, answers: Array, weights: Array) -> float:
        short = truth[:, None] - answers.reshape(len(truth), len(self.levels), -1)
        level = np.asarray(self.levels)[:, None]
        return float(np.average(np.maximum(level * short, (level - 1) * short).mean((1, 2)), weights=weights))


@dataclass(frozen=True)
class Mixture(Distribution):
    """A mixture of normal laws for every row, by its negative log-likelihood: for targets with several likely values.

    Bishop 1994, Mixture density networks, Aston University NCRG/94/004. The place is the mixture's mean.

    Parameters
    ----------
    components : M.
    """

    name = "mixture"
    options = ("components",)
    components: int = 3

    @property
    def extra(self) -> int:
        return 3 * self.components

    def law(self, raw: torch.Tensor) -> dict[str, torch.Tensor]:
        logit, shift, spread = self._rest(raw).chunk(3, 2)
        # components begin apart, or they would learn the same
        apart = torch.linspace(-1, 1, self.components, dtype=raw.dtype, device=raw.device)[:, None] if self.components > 1 else 0.0
        weights, shift = logit.softmax(2), shift + apart
        means = self.values(raw)[:, :, None] + shift - (weights * shift).sum(2, keepdim=True)
        return {"weights": weights, "means": means, "sds": functional.softplus(spread + UNIT) + LEAST}

    def rows(self, raw: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        law = self.law(raw)
        z = (target[:, None, None] - law["means"]) / law["sds"]
        logp = law["weights"].clamp(min=1e-12).log() - law["sds"].log() - 0.5 * (z.square() + LOG_2PI)
        return -logp.logsumexp(2).mean((1, 2))


@dataclass(frozen=True)
class PriorNet(Loss):
    """A Dirichlet law over the class probabilities: reverse KL to one that is sharp at the row's class.

    Malinin, Gales 2018, arXiv:1802.10501; reverse: 2019, arXiv:1905.13472. alpha = exp(raw), at most e^10. Made-up rows, on which the law
    is pulled flat, are added while learning (``nn/prior_net.py``): what the law says far from the data depends on how they were made.

    Parameters
    ----------
    precision : of the sharp law: its parameter of the row's class is 1 + precision, 1 elsewhere.
    """

    name = "prior_net"
    task = "classification"
    options = ("precision",)
    precision: float = 100.0

    def values(self, raw: torch.Tensor) -> torch.Tensor:
        return raw.clamp(max=CAP)

    def rows(self, raw: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        alpha = self.values(raw).exp()
        goal = 1 + self.precision * functional.one_hot(target, raw.shape[2]).to(raw.dtype)
        return dirichlet_kl(alpha, goal[:, None]).mean(1)

    def score(self, truth: Array, answers: Array, weights: Array) -> float:
        picked = np.take_along_axis(answers, truth.astype(np.int64)[:, None], 1)[:, 0]
        return float(np.average(-np.log(np.clip(picked, 1e-15, None)), weights=weights))


def dirichlet_kl(alpha: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
    """Return KL(Dir(alpha) || Dir(beta)) over the last axis, in nats."""
    alpha, beta = torch.broadcast_tensors(alpha, beta)
    a0, b0 = alpha.sum(-1), beta.sum(-1)
    inner = ((alpha - beta) * (torch.digamma(alpha) - torch.digamma(a0)[..., None])).sum(-1)
    return torch.lgamma(a0) - torch.lgamma(alpha).sum(-1) - torch.lgamma(b0) + torch.lgamma(beta).sum(-1) + inner


def dirichlet_information(alpha: torch.Tensor) -> torch.Tensor:
    """Return the mutual information of the class and its probabilities under Dir(alpha) (..., O), in nats: doubt of the law itself.

    Examples
    --------
    >>> round(dirichlet_information(torch.tensor([2.0, 3.0, 5.0], dtype=torch.float64)).item(), 4)
    0.0924
    """
    a0 = alpha.sum(-1, keepdim=True)
    p = alpha / a0
    return -(p * (p.log() - torch.digamma(alpha + 1) + torch.digamma(a0 + 1))).sum(-1).clamp(max=0.0)


HEADS: dict[str, type[Distribution]] = {"normal": Normal, "quantile": Quantiles, "mixture": Mixture}
"""What ``head=`` may name for numbers."""
