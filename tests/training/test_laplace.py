"""Last-layer Laplace on linear models is exact Bayesian regression; its draws spread as its posterior."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pellucid.nn.table_net import TableNet
from pellucid.testing.checks_backbone import some_cells, some_sizes
from pellucid.training import objectives
from pellucid.training.laplace import Posterior, fit_posterior, laplace, precision_of_prior


def features(n: int, width: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 1, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_numbers_have_the_exact_posterior() -> None:
    """Lambda = tau I + X'X / s^2 and predictive variance x' Lambda^-1 x; weights count rows."""
    phi, tau, s2 = features(50), 2.5, 0.3
    posterior = fit_posterior(phi, torch.full((50, 1, 1), 1 / s2, dtype=torch.float64), torch.ones(50, dtype=torch.float64), tau)
    x = phi[:, 0]
    covariance = torch.linalg.inv(tau * torch.eye(4) + x.T @ x / s2)
    torch.testing.assert_close(posterior.covariance()[0, 0], covariance)
    torch.testing.assert_close(posterior.variance(phi)[:, 0, 0], (x @ covariance * x).sum(1))
    w = torch.randint(0, 3, (50,), generator=torch.Generator().manual_seed(1)).double()
    twice = fit_posterior(phi, torch.full((50, 1, 1), 1 / s2, dtype=torch.float64), w, tau)
    rows = torch.repeat_interleave(torch.arange(50), w.long())
    repeated = fit_posterior(
        phi[rows], torch.full((len(rows), 1, 1), 1 / s2, dtype=torch.float64), torch.ones(len(rows), dtype=torch.float64), tau
    )
    torch.testing.assert_close(twice.covariance(), repeated.covariance())


def test_two_classes_have_the_curvature_of_the_log_posterior() -> None:
    phi = features(40)
    w = torch.randn(4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    p = torch.sigmoid(phi @ w)[..., None]
    posterior = fit_posterior(phi, p * (1 - p), torch.ones(40, dtype=torch.float64), 0.7)

    def log_posterior(v: torch.Tensor) -> torch.Tensor:  # the labels add nothing to the curvature
        return -torch.nn.functional.softplus(phi[:, 0] @ v).sum() - 0.35 * v.square().sum()

    hessian = torch.autograd.functional.hessian(log_posterior, w)
    torch.testing.assert_close(posterior.covariance()[0, 0], torch.linalg.inv(-hessian))


def test_draws_come_in_pairs_and_spread_as_the_posterior() -> None:
    posterior = fit_posterior(features(30), torch.ones(30, 1, 1, dtype=torch.float64), torch.ones(30, dtype=torch.float64), 1.0)
    for n in (7, 20_000):
        moves = posterior.draws(n, torch.Generator().manual_seed(0))
        assert moves.mean(0).abs().max() < 1e-12
    covariance = moves[:10_000, 0, 0].T @ moves[:10_000, 0, 0] / 10_000
    exact = posterior.covariance()[0, 0]
    error = (exact.diagonal()[:, None] * exact.diagonal() + exact.square()).sqrt() / 100
    assert ((covariance - exact).abs() < 4.5 * error).all()


def test_the_prior_is_found_by_held_out_rows() -> None:
    """Weights drawn with precision 10 from few rows: the tau chosen lies within the grid's neighbours of it, far from its ends."""
    found = []
    for seed in range(12):
        g = torch.Generator().manual_seed(seed)
        width, s2, true = 30, 1.0, 10.0
        w = torch.randn(width, generator=g, dtype=torch.float64) / true**0.5
        phi, out = (torch.randn(n, 1, width, generator=g, dtype=torch.float64) for n in (40, 800))
        y, y_out = (f[:, 0] @ w + s2**0.5 * torch.randn(len(f), generator=g, dtype=torch.float64) for f in (phi, out))
        posterior = fit_posterior(phi, torch.ones(40, 1, 1, dtype=torch.float64) / s2, torch.ones(40, dtype=torch.float64))
        map_ = torch.linalg.solve(true * torch.eye(width) + phi[:, 0].T @ phi[:, 0] / s2, phi[:, 0].T @ y / s2)
        raw = (out[:, 0] @ map_)[:, None, None]
        found.append(precision_of_prior(posterior, out, raw, y_out[:, None], torch.ones(800, dtype=torch.float64), torch.tensor([s2])))
    assert 10**0.5 <= float(np.median(found)) <= 10**1.5


def test_where_held_out_rows_do_not_tell_the_prior_is_the_usual_one() -> None:
    """The likelihood of classes is nearly flat in tau: its best point lies anywhere on the grid, what is chosen does not."""
    found = []
    for seed in range(10):
        g = torch.Generator().manual_seed(seed)
        phi, out = (torch.randn(n, 1, 10, generator=g, dtype=torch.float64) for n in (2000, 300))
        w = torch.randn(10, generator=g, dtype=torch.float64)
        p = torch.sigmoid(phi[:, 0] @ w)
        posterior = fit_posterior(phi, (p * (1 - p))[:, None, None], torch.ones(2000, dtype=torch.float64))
        y = (torch.rand(300, generator=g, dtype=torch.float64) < torch.sigmoid(out[:, 0] @ w)).long()
        found.append(precision_of_prior(posterior, out, (out[:, 0] @ w)[:, None, None], y, torch.ones(300, dtype=torch.float64), None))
    assert 0.1 < min(found) < max(found) < 10


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_a_network_keeps_its_answer_and_gets_the_posteriors_spread(classes: int) -> None:
    n_outputs = {0: 1, 2: 1, 3: 3}[classes]
    net = TableNet(some_sizes(4), "tabm", n_outputs, d_token=8, options={"members": 2, "width": 8, "blocks": 1}, seed=0).eval()
    cells, rng = some_cells(400, 4), np.random.default_rng(0)
    target = rng.integers(0, classes, 400) if classes else rng.normal(size=(400, 1))
    objective = objectives.classification(classes) if classes else objectives.regression(target)
    rows, held = np.arange(300), np.arange(300, 400)
    made, told = laplace(net, cells, objective.prepare(target), np.ones(400), rows, held, objective, 300, 0)
    with torch.no_grad():
        own, drawn = net(cells), made(cells).unflatten(1, (2, 300))
    torch.testing.assert_close(drawn.mean(2), own, atol=1e-4, rtol=1e-4)
    if classes == 0:
        hidden = torch.cat([net.hidden(cells), torch.ones(400, 2, 1)], 2).double()
        curvature = torch.full((300, 2, 1), 1 / told["noise"][0], dtype=torch.float64)
        posterior = fit_posterior(hidden[:300], curvature, torch.ones(300, dtype=torch.float64), told["tau"])
        expected = Posterior(posterior.vectors, posterior.values, told["tau"]).variance(hidden)
        # 150 free draws: error of a spread 5.8 %, of the mean over many rows of 9 directions about 2 %
        assert float((drawn.var(2) / expected.float()).sqrt().mean()) == pytest.approx(1, abs=0.08)
