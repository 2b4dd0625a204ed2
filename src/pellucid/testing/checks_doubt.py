"""Common checks of the sources of doubt: each part against a form it must equal, whatever the network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pellucid.registry import Entry
from pellucid.testing.checks import Check

__all__ = ["CHECKS"]


def _nets(n: int, dropout: float = 0.3) -> list[Any]:
    from pellucid.nn.table_net import TableNet
    from pellucid.testing.checks_backbone import some_sizes

    options = {"width": 16, "blocks": 2, "dropout": dropout}
    return [TableNet(some_sizes(4), "mlp", 1, d_token=8, options=options, seed=s).eval() for s in range(n)]


def check_a_draw_is_one_function(drawn: Callable[..., Any]) -> None:
    """A draw of dropout answers a row alike whatever its batch, the same seed draws the same, and draws differ."""
    import torch

    from pellucid.testing.checks_backbone import some_cells

    cells, net = some_cells(12, 4), _nets(1)[0]
    with torch.no_grad():
        one, two = (drawn(net, 5, 0).eval() for _ in range(2))
        whole = one(cells)
        part, again = one(cells.take(slice(4, 7))), two(cells)
    assert torch.allclose(part, whole[4:7], atol=1e-6), "a row's draw depends on the rows beside it"
    assert torch.equal(again, whole), "the same seed gives other draws"
    assert float(whole.std(1).min()) > 0, "the draws of a network with dropout do not differ"


def check_the_posterior_is_that_of_regression(fit: Callable[..., Any]) -> None:
    """On a linear model with known noise the covariance is (tau I + X'X / s^2)^-1."""
    import torch

    phi = torch.randn(40, 1, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    got = fit(phi, torch.full((40, 1, 1), 4.0, dtype=torch.float64), torch.ones(40, dtype=torch.float64), 1.5).covariance()[0, 0]
    exact = torch.linalg.inv(1.5 * torch.eye(3) + 4 * phi[:, 0].T @ phi[:, 0])
    off = float(((got - exact).abs() / exact.abs().max()).max())
    assert off < 1e-8, f"the covariance is off that of Bayesian regression by {off:.2g} of it"


def check_the_divergence_is_that_of_draws(kl: Callable[..., Any]) -> None:
    """KL of two normal laws equals the mean of log q - log p over draws within 1 %, and is 0 for equal ones."""
    import torch

    mean, sigma, prior = torch.tensor(0.7), torch.tensor(0.4), 1.2
    draw = mean + sigma * torch.randn(400_000, generator=torch.Generator().manual_seed(0))
    carlo = float((-0.5 * ((draw - mean) / sigma) ** 2 - sigma.log() + 0.5 * (draw / prior) ** 2 + np.log(prior)).mean())
    assert abs(float(kl(mean, sigma, prior)) / carlo - 1) < 0.01, "the divergence is not that of draws"
    assert abs(float(kl(torch.tensor(0.0), torch.tensor(1.2), prior))) < 1e-6, "equal laws have a divergence"


def check_networks_side_by_side_are_apart(stack: Callable[..., Any]) -> None:
    """What networks answer in a stack is what each answers alone, first one first."""
    import torch

    from pellucid.testing.checks_backbone import some_cells

    cells, nets = some_cells(9, 4), _nets(3)
    with torch.no_grad():
        together, alone = stack(nets).eval()(cells), torch.cat([net(cells) for net in nets], 1)
    assert torch.allclose(together, alone, atol=1e-5), "a network in a stack does not answer as it does alone"


def check_the_rates_fall_as_often_as_asked(rate: Callable[..., float]) -> None:
    """Over 100 steps and 4 cycles the factor comes near 0 four times, at the end of each quarter, and is 1 in between."""
    rates = np.array([rate(step, 100, 2, 4) for step in range(100)]).reshape(4, 25)
    assert (rates[:, -1] < 0.05).all(), "the rates are not low at the end of each cycle"
    assert np.allclose(rates.max(1), 1.0), "the rates do not rise again"


def check_the_open_information_is_the_laws(information: Callable[..., Any]) -> None:
    """Of Dir(2, 3, 5) 0.0924 nats are open; of a law a thousand times as sharp next to nothing."""
    import torch

    alpha = torch.tensor([2.0, 3.0, 5.0], dtype=torch.float64)
    assert abs(float(information(alpha)) - 0.0924) < 1e-4, "the information that a Dirichlet law leaves open is wrong"
    assert float(information(1000 * alpha)) < 1e-3, "a sharp law leaves something open"


def check_a_head_finds_mean_and_spread(kind: Callable[..., Any]) -> None:
    """Fitted to 4,000 draws of N(1, 0.5^2), a head's answer comes to 1 and its variance to 0.25."""
    import torch

    head = kind().fit(np.zeros((4, 1)), None, 0)
    target = 1 + 0.5 * torch.randn(4000, 1, generator=torch.Generator().manual_seed(0))
    raw = torch.zeros(1, 1, 1 + head.extra, requires_grad=True)
    optimizer = torch.optim.Adam([raw], lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        head.rows(raw.expand(len(target), -1, -1), target).mean().backward()
        optimizer.step()
    with torch.no_grad():
        mean, variance = float(head.values(raw)), float(head.variance(raw))
    assert abs(mean - 1) < 0.05, f"the head answers {mean:.3f} where 1 is true"
    assert abs(variance / 0.25 - 1) < 0.2, f"the head's variance is {variance:.3f} where 0.25 is true"


def _is(*names: str) -> Callable[[Entry], bool]:
    return lambda entry: entry.name in names


CHECKS: tuple[Check, ...] = (
    Check(check_a_draw_is_one_function, _is("mc_dropout")),
    Check(check_the_posterior_is_that_of_regression, _is("laplace")),
    Check(check_the_divergence_is_that_of_draws, _is("mean_field")),
    Check(check_networks_side_by_side_are_apart, _is("networks")),
    Check(check_the_rates_fall_as_often_as_asked, _is("snapshots")),
    Check(check_the_open_information_is_the_laws, _is("prior_net")),
    Check(check_a_head_finds_mean_and_spread, _is("normal_head", "quantile_head", "mixture_head")),
)
