"""Weights with a spread: normal and independent while learning, drawn when answering.

The posterior of every weight is N(mean, sigma^2), sigma = softplus(rho); the loss is the mean negative log-likelihood plus KL / N, the
evidence lower bound per row with its sign changed. Blundell, Cornebise, Kavukcuoglu, Wierstra 2015, arXiv:1505.05424; local draws: Kingma,
Salimans, Welling 2015, arXiv:1506.02557. Letters: K members, H hidden width, O outputs, S draws.

Independent weights understate doubt where columns go together: the best independent normal has variance 1 / Lambda_ii, never more than the
true (Lambda^-1)_ii.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrize

from pellucid.errors import RequestError
from pellucid.nn.beside import DRAWS
from pellucid.nn.draws import draw_normal
from pellucid.nn.folding import InTurn
from pellucid.nn.heads import BlendHead, MemberHead
from pellucid.nn.prior_net import out_penalty

__all__ = ["DrawnHead", "GaussianWeight", "MeanFieldHead", "draw_weights", "drawn_head", "kl_normal", "mean_field", "penalty"]


def kl_normal(mean: torch.Tensor, sigma: torch.Tensor, prior: float | torch.Tensor) -> torch.Tensor:
    """Return KL(N(mean, sigma^2) || N(0, prior^2)) entry by entry, in nats.

    Examples
    --------
    >>> kl_normal(torch.tensor(1.0), torch.tensor(1.0), 1.0).item()
    0.5
    """
    ratio = (sigma / prior).square()
    return 0.5 * (ratio + (mean / prior).square() - 1 - ratio.log())


def _rho(sigma: float) -> float:
    return math.log(math.expm1(sigma))


class GaussianWeight(nn.Module):
    """A weight as a draw from its posterior while training, and as its mean afterwards (``torch.nn.utils.parametrize``).

    Parameters
    ----------
    shape : of the weight. prior : sd of its prior. start : sd of its posterior at the beginning.
    """

    def __init__(self, shape: tuple[int, ...], prior: float, start: float) -> None:
        super().__init__()
        self.prior = prior
        self.rho = nn.Parameter(torch.full(shape, _rho(min(start, prior))))

    @property
    def sigma(self) -> torch.Tensor:
        """The posterior's sd."""
        return functional.softplus(self.rho)

    def forward(self, mean: torch.Tensor) -> torch.Tensor:
        return mean + self.sigma * draw_normal(mean.shape, mean) if self.training else mean


class MeanFieldHead(MemberHead):
    """A linear head (N, K, H) to (N, K, O) whose weights and biases have a spread.

    Parameters
    ----------
    members, width, n_outputs : K, H, O.
    prior_scale : sd of the prior times sqrt(H + 1): of an output where the hidden entries have size 1.
    start : sd of every posterior at the beginning, at most the prior's.
    local : draw the outputs, each row its own, instead of the weights: less noise in the gradient, the same mean.
    """

    local: bool

    def __init__(
        self, members: int, width: int, n_outputs: int, shared: bool = False, *,
        prior_scale: float = 1.0, start: float = 0.05, local: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(members, width, n_outputs, shared)
        self.spread_by(prior_scale, start, local)

    def spread_by(self, prior_scale: float, start: float, local: bool) -> None:
        """Give the weights their spread; see the class."""
        self.prior, self.local = prior_scale / math.sqrt(self.weight.shape[1] + 1), local
        self.weight_rho = nn.Parameter(torch.full_like(self.weight.detach(), _rho(min(start, self.prior))))
        self.bias_rho = nn.Parameter(torch.full_like(self.bias.detach(), _rho(min(start, self.prior))))

    def linear(self, hidden: torch.Tensor | InTurn) -> torch.Tensor:
        if not self.training or isinstance(hidden, InTurn):
            return super().linear(hidden)
        with torch.autocast(hidden.device.type, enabled=False):
            hidden = hidden.float()
            sigma, of_bias = functional.softplus(self.weight_rho), functional.softplus(self.bias_rho)
            if self.local:
                spread = torch.einsum("nkh,kho->nko", hidden.square(), sigma.square().expand(hidden.shape[1], -1, -1)) + of_bias.square()
                return super().linear(hidden) + spread.clamp(min=1e-16).sqrt() * draw_normal(spread.shape, spread)
            weight = self.weight + sigma * draw_normal(sigma.shape, sigma)
            bias = self.bias + of_bias * draw_normal(of_bias.shape, of_bias)
            return torch.einsum("nkh,kho->nko", hidden, weight.expand(hidden.shape[1], -1, -1)) + bias

    def kl(self) -> torch.Tensor:
        """Return the divergence from the prior, in nats, the mean over members: each is a model of its own."""
        pairs = ((self.weight, self.weight_rho), (self.bias, self.bias_rho))
        total = sum(kl_normal(mean, functional.softplus(rho), self.prior).sum() for mean, rho in pairs)
        return torch.as_tensor(total) / self.weight.shape[0]

    def drawn(self, draws: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Return S draws of weights (S, K, H, O) and biases (S, K, O)."""

        def draw(mean: torch.Tensor, rho: torch.Tensor) -> torch.Tensor:
            return mean + functional.softplus(rho) * torch.randn((draws, *mean.shape), generator=generator)

        with torch.no_grad():
            return draw(self.weight, self.weight_rho), draw(self.bias, self.bias_rho)


class _MeanFieldBlend(BlendHead, MeanFieldHead):
    """A blended head whose linear part has a spread."""

    def __init__(self, members: int, width: int, n_outputs: int) -> None:
        BlendHead.__init__(self, members, width, n_outputs)


class DrawnHead(MemberHead):
    """S draws of a linear head side by side: (N, K, H) to (N, K * S, O), member 0's draws first; one product for all.

    Parameters
    ----------
    members, width, n_outputs, draws : K, H, O, S.
    """

    def __init__(self, members: int, width: int, n_outputs: int, draws: int = 1) -> None:
        super().__init__(members, width, n_outputs * draws)
        self.draws = draws

    def linear(self, hidden: torch.Tensor | InTurn) -> torch.Tensor:
        every: torch.Tensor = super().linear(hidden).unflatten(-1, (self.draws, -1))
        return every.flatten(1, 2)

    @torch.no_grad()
    def put(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        """Take weights (S, K, H, O) and biases (S, K, O)."""
        self.weight.copy_(weight.permute(1, 2, 0, 3).flatten(2))
        self.bias.copy_(bias.permute(1, 0, 2).flatten(1))


class _DrawnBlend(BlendHead, DrawnHead):
    """Draws of a blended head."""

    def __init__(self, members: int, width: int, n_outputs: int, draws: int = 1) -> None:
        DrawnHead.__init__(self, members, width, n_outputs, draws)
        self.register_buffer("share", torch.zeros(()))
        self.register_buffer("turns", torch.zeros(0))  # its members are such draws themselves
        self.register_buffer("sways", torch.zeros(DRAWS))


def _linear_head(net: Any, what: str) -> MemberHead:
    if not isinstance(net.head, MemberHead):
        raise RequestError(
            f"{what} draws the weights of the last layer, and this network's answer is a sum without one",
            do="choose a backbone with a linear head, such as 'mlp' or 'tabm'",
        )
    return net.head


def drawn_head(net: Any, draws: int) -> Any:
    """Put a head for S draws in the place of a network's linear one, in place, its weights still to come; returns the network."""
    old = _linear_head(net, "this")
    members, width, n_outputs = net.n_members, old.weight.shape[1], old.weight.shape[2]
    made: DrawnHead = (_DrawnBlend if isinstance(old, BlendHead) else DrawnHead)(members, width, n_outputs, draws)
    if isinstance(made, _DrawnBlend) and isinstance(old, BlendHead):
        made.share.copy_(old.share)
        made.sways.copy_(old.sways)
    net.head, net.n_members = made, members * draws
    net._arguments |= {"bayes": None, "drawn": draws}
    return net


def mean_field(net: Any, options: Mapping[str, Any]) -> None:
    """Give a network's weights a spread, in place: those of the head, or with ``layers="all"`` those of the backbone's matrices as well.

    Parameters
    ----------
    options : ``layers`` ("last" or "all"), ``prior_scale``, ``start``, ``local`` (see :class:`MeanFieldHead`; of matrices the weights are
        drawn). ``rows``: N of KL / N; ``warmup``: share of the fit over which the KL rises to its full weight.
    """
    if options.get("method", "mean_field") != "mean_field":
        return
    scale, start = float(options.get("prior_scale", 1.0)), float(options.get("start", 0.05))
    old = net.head
    if isinstance(old, MemberHead):
        shape = (old.weight.shape[0], old.weight.shape[1], old.weight.shape[2])
        made = _MeanFieldBlend(*shape) if isinstance(old, BlendHead) else MeanFieldHead(*shape)
        made.load_state_dict(old.state_dict(), strict=False)
        made.spread_by(scale, start, bool(options.get("local", True)))
        net.head = made
    elif options.get("layers", "last") == "last":
        _linear_head(net, "mean_field")
    if options.get("layers", "last") == "all":
        for name in net.matrices():
            owner, _, leaf = name.rpartition(".")
            module = net.get_submodule(owner)
            value = getattr(module, leaf)
            prior = scale / math.sqrt(value.shape[-1])
            parametrize.register_parametrization(module, leaf, GaussianWeight(tuple(value.shape), prior, start))


def _gaussians(net: nn.Module) -> list[tuple[str, Any, GaussianWeight]]:
    """Return (name of the weight, its list of parametrizations, its spread) of every matrix with a spread."""
    found = []
    for name, module in net.named_modules():
        if isinstance(module, parametrize.ParametrizationList) and isinstance(module[0], GaussianWeight):
            found.append((name.replace("parametrizations.", ""), module, module[0]))
    return found


def penalty(net: Any, options: Mapping[str, Any], done: float, tokens: torch.Tensor) -> torch.Tensor:
    """Return what is added to the mean negative log-likelihood of a batch: KL / N times its warm-up, a scalar, or the made-up rows' part
    (N,).

    Parameters
    ----------
    done : share of the planned steps that are done. tokens : (N, C, D), the batch as it was read.
    """
    if options.get("method") == "prior_net":
        return out_penalty(net, tokens, float(options["gamma"]))
    total = net.head.kl() if isinstance(net.head, MeanFieldHead) else 0.0
    total = total + sum(kl_normal(holder.original, spread.sigma, spread.prior).sum() for _, holder, spread in _gaussians(net))
    warmup = float(options.get("warmup", 1 / 3))
    return torch.as_tensor(total) / float(options["rows"]) * (min(1.0, done / warmup) if warmup > 0 else 1.0)


@torch.no_grad()
def draw_weights(net: Any, draws: int, seed: int) -> list[Any]:
    """Return networks of plain weights drawn from the posterior: one with S heads where only the head has a spread, else S networks.

    Cost: one pass of the backbone and S heads per answer, or S passes.
    """
    generator = torch.Generator().manual_seed(seed)
    gaussians = _gaussians(net)
    plain = {n: v for n, v in net.state_dict().items() if "_rho" not in n and "parametrizations." not in n}
    if isinstance(net.head, MeanFieldHead) and not gaussians:
        made = net.fresh(0, bayes=None)
        made.load_state_dict(plain)
        head = drawn_head(made, draws).head
        head.put(*net.head.drawn(draws, generator))
        return [made.eval()]
    out = []
    for _ in range(draws):
        state = dict(plain)
        for name, holder, spread in gaussians:
            state[name] = holder.original + spread.sigma * torch.randn(holder.original.shape, generator=generator)
        if isinstance(net.head, MeanFieldHead):
            weight, bias = net.head.drawn(1, generator)
            state |= {"head.weight": weight[0], "head.bias": bias[0]}
        one = net.fresh(0, bayes=None)
        one.load_state_dict(copy.copy(state))
        out.append(one.eval())
    return out
