"""Deliberately wrong sources of doubt, on which the common checks must go red."""

from __future__ import annotations

from typing import Any

import torch

from pellucid.nn.dropout_net import DropoutNet
from pellucid.nn.stack import StackedNet
from pellucid.training.distributions import Normal
from pellucid.training.laplace import Posterior, fit_posterior
from pellucid.training.schedules import warm_cosine

__all__ = ["DOUBTS"]


class MaskForEveryRow(DropoutNet):
    """Every row under masks of its own: the draws are no functions."""

    def forward(self, cells: Any) -> torch.Tensor:
        own: Any = self.net
        out = torch.cat([own.train()(cells) for _ in range(self.draws)], 1)
        own.eval()
        return out


def forgets_the_prior(phi: torch.Tensor, curvature: torch.Tensor, weights: torch.Tensor, tau: float = 1.0) -> Posterior:
    """Return the posterior of a prior that is flat."""
    return fit_posterior(phi, curvature, weights, 1e-9)


def forgets_the_log(mean: torch.Tensor, sigma: torch.Tensor, prior: float) -> torch.Tensor:
    """Return a divergence without the logarithm of the spreads' ratio."""
    return 0.5 * ((sigma / prior) ** 2 + (mean / prior) ** 2 - 1)


def one_network_thrice(nets: Any) -> StackedNet:
    """Return a stack of copies of the first network."""
    return StackedNet([nets[0]] * len(nets))


def falls_once(step: int, steps: int, warmup: int, cycles: int) -> float:
    """Return a rate that falls once."""
    return warm_cosine(step, steps, warmup)


def says_all_is_open(alpha: torch.Tensor) -> torch.Tensor:
    """Return the entropy of the mean instead of what is open."""
    p = alpha / alpha.sum(-1, keepdim=True)
    return -(p * p.log()).sum(-1)


class KnowsNoSpread(Normal):
    """A head that learns its place by squared error alone."""

    def rows(self, raw: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return (self.values(raw) - target[:, None]).square().mean((1, 2))


DOUBTS: dict[str, Any] = {
    "a_draw_is_one_function": MaskForEveryRow,
    "the_posterior_is_that_of_regression": forgets_the_prior,
    "the_divergence_is_that_of_draws": forgets_the_log,
    "networks_side_by_side_are_apart": one_network_thrice,
    "the_rates_fall_as_often_as_asked": falls_once,
    "the_open_information_is_the_laws": says_all_is_open,
    "a_head_finds_mean_and_spread": KnowsNoSpread,
}
"""By check, the source on which it must go red."""
