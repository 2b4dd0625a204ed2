"""Common checks of regularizers, run on a small network. A subject is the name under which a regularizer is registered, with options."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from pellucid import registry
from pellucid.nn.table_net import TableNet
from pellucid.registry import Entry
from pellucid.testing import checks_backbone
from pellucid.testing.checks import Check

__all__ = ["CHECKS", "Regularized", "subject"]


@dataclass(frozen=True)
class Regularized:
    """A regularizer under check, by the factory that its options go to."""

    factory: Any
    options: dict[str, Any] = field(default_factory=dict)

    def net(self, backbone: str = "mlp") -> TableNet:
        """Return an untrained network that learns under it."""
        net = TableNet(checks_backbone.some_sizes(5), backbone, 2, d_token=8, seed=0).train()
        net.regularizers, net.plain = [self.factory(**self.options)], False
        return net


def subject(entry: Entry) -> Regularized:
    """Return the entry as the checks call it."""
    return Regularized(registry.resolve(entry))


def check_it_does_something_and_stays_finite(regularized: Regularized) -> None:
    """While learning it mixes rows or costs something, and everything is finite."""
    for backbone in ("mlp", "ft_transformer"):
        learned = regularized.net(backbone).learn(checks_backbone.some_cells(16, 5))
        assert all(torch.isfinite(t).all() for t in learned), "what the loss reads is not finite"
        assert learned.penalty.shape == learned.share.shape == learned.partner.shape == (16,), "one value per row is expected"
        plain = regularized.net(backbone).eval()(checks_backbone.some_cells(16, 5))
        apart = float((plain - regularized.net(backbone).eval().learn(checks_backbone.some_cells(16, 5)).outputs).detach().abs().max())
        cost, mixed = float(learned.penalty.detach().abs().sum()), float((1 - learned.share).abs().sum())
        assert cost > 0 or apart > 0 or mixed > 0, "it does nothing: no cost, no mixed rows, the same outputs"


def check_evaluation_never_sees_it(regularized: Regularized) -> None:
    """The outputs of a network in evaluation are those of the network without it, after it was learned under too."""
    cells, net = checks_backbone.some_cells(16, 5), regularized.net()
    bare = TableNet(checks_backbone.some_sizes(5), "mlp", 2, d_token=8, seed=0).eval()
    net.learn(cells)
    assert all(module.training for module in net.modules()), "after it the network no longer trains: dropout is off"
    with torch.no_grad():
        assert torch.equal(net.eval()(cells), bare(cells)), "it changes what the network answers"


def check_its_penalty_can_be_learned_away(regularized: Regularized) -> None:
    """A penalty has a gradient, and steps against it lower it."""
    net, cells = regularized.net(), checks_backbone.some_cells(64, 5)
    torch.manual_seed(0)
    first = net.learn(cells).penalty.mean()
    if not first.requires_grad:
        return  # it mixes rows and costs nothing
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05 / max(float(first.detach()), 1e-6) ** 0.5)
    for _ in range(20):
        torch.manual_seed(0)
        optimizer.zero_grad()
        net.learn(cells).penalty.mean().backward()
        optimizer.step()
    torch.manual_seed(0)
    assert float(net.learn(cells).penalty.mean().detach()) < float(first.detach()), "steps against its gradient do not lower it"


CHECKS: tuple[Check, ...] = (
    Check(check_it_does_something_and_stays_finite, lambda e: True),
    Check(check_evaluation_never_sees_it, lambda e: True),
    Check(check_its_penalty_can_be_learned_away, lambda e: True),
)
