"""Weights with a spread against Bayesian linear regression, finite differences and Monte Carlo; dropout masks against their variance."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from pellucid.errors import RequestError
from pellucid.nn.bayes import DrawnHead, MeanFieldHead, draw_weights, drawn_head, kl_normal
from pellucid.nn.draws import MaskSet, seed_draws, sharing
from pellucid.nn.dropout_net import DropoutNet
from pellucid.nn.layers import dropout
from pellucid.nn.stack import StackedNet
from pellucid.nn.table_net import TableNet
from pellucid.testing.checks_backbone import some_cells, some_sizes

NOISE, TAU, N = 0.5, 1.0, 60


def regression(correlation: float = 0.8) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    x = rng.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], N)
    y = x @ [1.0, -0.5] + NOISE * rng.normal(size=N)
    return torch.from_numpy(x), torch.from_numpy(y)


def exact(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (mean, precision) of the posterior of the weights, with a constant of the same prior beside the columns."""
    phi = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1)
    precision = TAU * torch.eye(3, dtype=x.dtype) + phi.T @ phi / NOISE**2
    return torch.linalg.solve(precision, phi.T @ y / NOISE**2), precision


def head_at(mean: torch.Tensor, sigma: torch.Tensor, local: bool = True) -> MeanFieldHead:
    head = MeanFieldHead(1, 2, 1, prior_scale=np.sqrt(3) / np.sqrt(TAU), local=local)
    rho = torch.log(torch.expm1(sigma))
    with torch.no_grad():
        head.weight[0, :, 0], head.bias[0, 0] = mean[:2], mean[2]
        head.weight_rho[0, :, 0], head.bias_rho[0, 0] = rho[:2], rho[2]
    return head.train()


def example() -> tuple[torch.Tensor, torch.Tensor]:
    """Return rows whose exact posterior variances are 0.0116, where independent weights can only say 0.0066."""
    rng = np.random.default_rng(1)
    q, _ = np.linalg.qr(rng.normal(size=(N, 3)) - 0)
    q = np.linalg.qr(np.column_stack([np.ones(N), q[:, :2]]))[0][:, 1:]  # orthogonal to the constant and to each other
    r = np.sqrt(1 - 0.0066 / 0.0116)
    gram = (np.array([[1, r], [r, 1]]) / 0.0066 - TAU * np.eye(2)) * NOISE**2
    x = q @ np.linalg.cholesky(gram).T
    return torch.from_numpy(x), torch.from_numpy(x @ [1.0, -0.5] + NOISE * rng.normal(size=N))


def expected_loss(mean: torch.Tensor, sigma: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return E[-ln p(y | x, w)] of all rows under independent normal weights, in closed form."""
    phi = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1)
    off = (y - phi @ mean).square() + phi.square() @ sigma.square()
    return (0.5 * np.log(2 * np.pi * NOISE**2) + off / (2 * NOISE**2)).sum()


def elbo(mean: torch.Tensor, sigma: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return -expected_loss(mean, sigma, x, y) - kl_normal(mean, sigma, TAU**-0.5).sum()


def test_kl_is_that_of_monte_carlo_within_one_percent() -> None:
    mean, sigma, prior = torch.tensor([0.4, -1.0]), torch.tensor([0.3, 0.7]), 1.3
    draw = mean + sigma * torch.randn(2_000_000, 2, generator=torch.Generator().manual_seed(0))
    log_q = -0.5 * ((draw - mean) / sigma).square() - sigma.log()
    log_p = -0.5 * (draw / prior).square() - np.log(prior)
    assert kl_normal(mean, sigma, prior).sum().item() == pytest.approx((log_q - log_p).sum(1).mean().item(), rel=0.01)


def test_the_best_independent_normal_has_the_exact_mean_and_understates_the_variance() -> None:
    """Training the head by its own penalty and local draws comes to mean m and variance 1 / Lambda_ii: 0.0066 where 0.0116 is true."""
    x, y = example()
    mean, precision = exact(x, y)
    own, full = 1 / precision.diagonal(), torch.linalg.inv(precision).diagonal()
    torch.testing.assert_close(own[:2], torch.full((2,), 0.0066, dtype=own.dtype))
    torch.testing.assert_close(full[:2], torch.full((2,), 0.0116, dtype=own.dtype))
    head = head_at(torch.zeros(3).double(), torch.full((3,), 0.2).double())
    optimizer = torch.optim.Adam(head.parameters(), lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 700, eta_min=1e-3)
    seed_draws(0)
    hidden, goal = x[:, None].float().repeat(16, 1, 1), y.float().repeat(16)  # sixteen draws a row
    kept = []
    for step in range(800):
        loss = (head(hidden)[:, 0, 0] - goal).square().mean() / (2 * NOISE**2) + head.kl() / N
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step < 700:
            schedule.step()
        else:
            means, rho = (torch.cat([a.flatten(), b.flatten()]) for a, b in ((head.weight, head.bias), (head.weight_rho, head.bias_rho)))
            kept.append(torch.cat([means, functional.softplus(rho).square()]).detach())
    found = torch.stack(kept).mean(0).double()
    torch.testing.assert_close(found[:3], mean, atol=0.02, rtol=0)
    torch.testing.assert_close(found[3:], own, rtol=0.06, atol=0)
    assert (found[3:5] < 0.65 * full[:2]).all(), "two columns that go together: their true doubt is larger"


def test_the_lower_bound_is_below_the_evidence_and_near_it_where_columns_are_independent() -> None:
    for correlation, near in ((0.0, 0.1), (0.8, 0.7)):
        x, y = regression(correlation)
        mean, precision = exact(x, y)
        phi = torch.cat([x, torch.ones(N, 1, dtype=x.dtype)], 1)
        covariance = NOISE**2 * torch.eye(N, dtype=x.dtype) + phi @ phi.T / TAU
        evidence = torch.distributions.MultivariateNormal(torch.zeros(N, dtype=x.dtype), covariance).log_prob(y)
        bound = elbo(mean, precision.diagonal().rsqrt(), x, y)
        assert bound < evidence
        assert evidence - bound < near


@pytest.mark.parametrize("local", [True, False])
def test_gradients_of_draws_are_those_of_the_expected_loss(local: bool) -> None:
    """Mean over draws of the gradient against finite differences of the closed form, within four standard errors."""
    x, y = regression()
    mean, sigma = torch.tensor([0.8, -0.3, 0.1]).double(), torch.tensor([0.2, 0.3, 0.25]).double()
    draws = gradients(x, y, mean, sigma, local, 400)
    step = 1e-5
    exact_slope = []
    for i in range(3):
        move = torch.zeros(3).double()
        move[i] = step
        exact_slope.append((expected_loss(mean + move, sigma, x, y) - expected_loss(mean - move, sigma, x, y)) / (2 * step))
    for i in range(3):
        move = torch.zeros(3).double()
        move[i] = step
        exact_slope.append((expected_loss(mean, sigma + move, x, y) - expected_loss(mean, sigma - move, x, y)) / (2 * step))
    error = draws.std(0) / len(draws) ** 0.5
    off = (draws.mean(0) - torch.stack(exact_slope)).abs()
    assert (off < 4 * error + 1e-3).all(), off / error


def gradients(x: torch.Tensor, y: torch.Tensor, mean: torch.Tensor, sigma: torch.Tensor, local: bool, n: int) -> torch.Tensor:
    """Return n gradients (n, 6) of the drawn loss in the means and in sigma."""
    head = head_at(mean, sigma, local)
    seed_draws(1)
    out = []
    slope = torch.sigmoid(torch.cat([head.weight_rho.flatten(), head.bias_rho.flatten()])).detach()  # d sigma / d rho
    for _ in range(n):
        loss = (head(x[:, None].float())[:, 0, 0] - y.float()).square().sum() / (2 * NOISE**2)
        found = torch.autograd.grad(loss, [head.weight, head.bias, head.weight_rho, head.bias_rho])
        flat = torch.cat([g.flatten() for g in found])
        out.append(torch.cat([flat[:3], flat[3:] / slope]))
    return torch.stack(out)


def test_local_draws_have_less_noise_in_the_gradient() -> None:
    x, y = regression()
    mean, sigma = torch.tensor([0.8, -0.3, 0.1]).double(), torch.tensor([0.2, 0.3, 0.25]).double()
    own, weights = (gradients(x, y, mean, sigma, local, 400).var(0) for local in (True, False))
    assert (own[:3] < 0.5 * weights[:3]).all()


@pytest.mark.parametrize("layers", ["last", "all"])
def test_drawn_networks_spread_as_their_weights_do(layers: str) -> None:
    options = {"layers": layers, "prior_scale": 1.0, "start": 0.05, "local": True, "rows": 100}
    net = TableNet(some_sizes(4), "mlp", 1, d_token=8, options={"width": 16, "blocks": 2, "dropout": 0.0}, bayes=options, seed=0).eval()
    cells = some_cells(64, 4)
    drawn = draw_weights(net, 400, 0)
    assert len(drawn) == (1 if layers == "last" else 400)
    with torch.no_grad():
        answers = drawn[0](cells)[..., 0] if layers == "last" else torch.stack([one(cells)[:, 0, 0] for one in drawn[:100]], 1)
        own, hidden = net(cells)[:, 0, 0], net.hidden(cells)[:, 0]
    assert answers.shape == (64, 400 if layers == "last" else 100)
    spread = answers.std(1)
    assert (answers.mean(1) - own).abs().mean() < spread.mean() * (0.2 if layers == "last" else 0.5)
    if layers == "last":
        sigma, of_bias = functional.softplus(net.head.weight_rho)[0, :, 0], functional.softplus(net.head.bias_rho)[0, 0]
        expected = (hidden.square() @ sigma.square() + of_bias.square()).sqrt()
        torch.testing.assert_close(spread, expected, rtol=0.2, atol=0)  # 400 draws: error of a spread 3.5 %
    assert net.train().learn(cells).penalty.isfinite().all()


def test_a_drawn_head_is_its_heads_one_by_one_and_comes_back_from_state() -> None:
    net = TableNet(some_sizes(4), "tabm", 2, d_token=8, options={"members": 3, "width": 16}, seed=0).eval()
    cells, s = some_cells(10, 4), 5
    weight, bias = torch.randn(s, 3, 16, 2), torch.randn(s, 3, 2)
    hidden = net.hidden(cells)
    expected = torch.einsum("nkh,skho->nkso", hidden, weight) + bias.permute(1, 0, 2)
    drawn_head(net, s).head.put(weight, bias)
    assert isinstance(net.head, DrawnHead)
    assert net.n_members == 15
    torch.testing.assert_close(net(cells), expected.flatten(1, 2))
    again = net.fresh(3)
    again.load_state_dict(net.state_dict())
    torch.testing.assert_close(again.eval()(cells), net(cells))
    both = StackedNet([net, again]).eval()
    assert both(cells).shape == (10, 30, 2)


def test_variance_of_dropped_inputs_is_the_closed_form() -> None:
    """f = sum w x m / (1 - p): variance sum w^2 x^2 p / (1 - p); 0 at p = 0; all rows share the mask."""
    w, x = torch.tensor([1.0, -2.0, 0.5, 3.0]), torch.tensor([[1.0, 0.5, -1.0, 0.25], [0.0, 1.0, 2.0, -1.0]])
    for p in (0.1, 0.5):
        answers = []
        for s in range(4000):
            with sharing(MaskSet(s)):
                answers.append((w * dropout(x, p, training=False)).sum(1))
        found = torch.stack(answers)
        closed = (w.square() * x.square()).sum(1) * p / (1 - p)
        torch.testing.assert_close(found.var(0), closed, rtol=0.12, atol=0)  # error of a variance of 4,000: 2 % to 4 % with heavy tails
    with sharing(MaskSet(0)):
        assert torch.equal(dropout(x, 0.0, training=False), x)
        one = dropout(torch.ones(5, 7), 0.5, training=False)
        assert (one == one[0]).all()
    assert torch.equal(dropout(x, 0.5, training=False), x), "outside, evaluation drops nothing"


@pytest.mark.parametrize("stacked", [False, True])
def test_the_same_seed_gives_the_same_masks_whatever_the_batch(stacked: bool) -> None:
    options = {"width": 16, "blocks": 1, "dropout": 0.3}
    nets = [TableNet(some_sizes(4), "resnet", 1, d_token=8, options=options, seed=s).eval() for s in range(2)]
    net = StackedNet(nets).eval() if stacked else nets[0]
    cells = some_cells(20, 4)
    with torch.no_grad():
        once, again, other = (DropoutNet(net, 6, seed).eval() for seed in (0, 0, 1))
        whole = once(cells)
        assert whole.shape == (20, 12 if stacked else 6, 1)
        torch.testing.assert_close(again(cells), whole)
        torch.testing.assert_close(once(cells.take(slice(3, 9))), whole[3:9])
        assert not torch.allclose(other(cells), whole)
        assert (whole[:, :6].std(1) > 0).all()
        parts = once.parts(once.tokens(cells))
        torch.testing.assert_close(once.outputs_from_parts(parts), whole, atol=1e-4, rtol=1e-4)


def test_a_network_without_dropout_is_refused() -> None:
    net = TableNet(some_sizes(4), "mlp", 1, d_token=8, options={"width": 16, "dropout": 0.0}, seed=0)
    with pytest.raises(RequestError, match="trained with dropout"):
        DropoutNet(net, 4, 0)
