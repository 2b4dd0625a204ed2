"""Heads that give a distribution, and proper scores, against closed forms, torch's own laws and numerical integrals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from pellucid.errors import RequestError
from pellucid.training import objectives, scoring
from pellucid.training.distributions import HEADS, Mixture, Normal, PriorNet, Quantiles, dirichlet_information, dirichlet_kl

RAW = torch.Generator().manual_seed(0)


def raw(head, n: int = 7, k: int = 2, o: int = 2) -> torch.Tensor:
    return torch.randn(n, k, o * (1 + head.extra), generator=RAW, dtype=torch.float64)


def fitted(kind, **options):
    return kind(**options).fit(np.zeros((5, 2)), None, 0)


def test_the_normal_loss_is_the_likelihood_and_its_weights_do_not_move_the_mean_of_equal_rows() -> None:
    head, target = fitted(Normal, beta=0.0), torch.randn(7, 2, generator=RAW, dtype=torch.float64)
    given = raw(head)
    law = head.law(given)
    own = -torch.distributions.Normal(law["means"][:, :, 0], law["sds"][:, :, 0]).log_prob(target[:, None]).mean((1, 2))
    torch.testing.assert_close(head.rows(given, target), own)
    half = fitted(Normal)
    weighted = -torch.distributions.Normal(law["means"][:, :, 0], law["sds"][:, :, 0]).log_prob(target[:, None]) * law["sds"][:, :, 0]
    torch.testing.assert_close(half.rows(given, target), weighted.mean((1, 2)))
    given.requires_grad_(True)
    half.rows(given, target).sum().backward()
    assert given.grad is not None
    slope = (given.detach()[..., :2] - target[:, None]) / law["sds"][:, :, 0] / 4  # sd^(2 beta) / sd^2, mean over 2 members and 2 targets
    torch.testing.assert_close(given.grad[..., :2], slope)


def test_the_mixture_loss_is_torchs_own_and_the_place_is_its_mean() -> None:
    head = fitted(Mixture, components=3)
    given, target = raw(head), torch.randn(7, 2, generator=RAW, dtype=torch.float64)
    law = {k: v.movedim(2, -1) for k, v in head.law(given).items()}
    torchs = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(law["weights"]), torch.distributions.Normal(law["means"], law["sds"])
    )
    torch.testing.assert_close(head.rows(given, target), -torchs.log_prob(target[:, None].expand(-1, 2, -1)).mean((1, 2)))
    torch.testing.assert_close(head.values(given), torchs.mean)
    torch.testing.assert_close(head.variance(given), torchs.variance)


def test_quantiles_never_cross_and_have_the_variance_of_their_broken_line() -> None:
    head = fitted(Quantiles)
    given = 5 * raw(head, n=200)
    q = head.quantiles(given)
    assert (q.diff(dim=2) >= 0).all()
    torch.testing.assert_close(q[:, :, list(head.levels).index(0.5)], head.values(given))
    u = np.linspace(0, 1, 200_001)
    line = np.interp(u, head.levels, q[3, 1, :, 0].numpy())
    assert head.variance(given)[3, 1, 0].item() == pytest.approx(line.var(), rel=1e-3)
    target = torch.randn(200, 2, generator=RAW, dtype=torch.float64)
    by_hand = np.mean(
        [scoring.pinball(target[:, j].numpy(), q[:, k, :, j].numpy(), np.asarray(head.levels)).mean(1) for j in (0, 1) for k in (0, 1)], 0
    )
    np.testing.assert_allclose(head.rows(given, target).numpy(), by_hand)
    with pytest.raises(RequestError, match=r"0\.5 among them"):
        Quantiles(levels=(0.1, 0.9))


@pytest.mark.parametrize("name", sorted(HEADS))
def test_what_training_stops_on_is_in_the_targets_unit(name: str) -> None:
    """An objective of targets scaled by 100: variances by 10,000, and the state comes back."""
    target = np.random.default_rng(0).normal(5, 100, (500, 1))
    objective = objectives.regression(target).with_loss(HEADS[name](), target)
    assert objective.n_answers == 1
    assert objective.n_outputs == 1 + objective.named.extra
    given = torch.randn(4, 3, objective.n_outputs, generator=RAW)
    own = objective.own_doubt(given.double())
    assert own.shape == (4, 3, 1)
    torch.testing.assert_close(own, objective.named.variance(given.double()) * float(objective.scale[0]) ** 2)
    again = objectives.Objective.from_state(objective.state())
    assert again.named == objective.named
    torch.testing.assert_close(again.answers(given), objective.answers(given))
    assert np.isfinite(objective.metric()(np.zeros((4, 1)), objective.stopping(given).numpy(), np.ones(4)))


def test_dirichlet_forms_are_the_printed_figure_torchs_and_monte_carlo() -> None:
    alpha = torch.tensor([2.0, 3.0, 5.0], dtype=torch.float64)
    assert dirichlet_information(alpha).item() == pytest.approx(0.0924, abs=5e-5)
    law = torch.distributions.Dirichlet(alpha)
    torch.manual_seed(0)
    p = law.sample((400_000,))
    inner = -(p * p.clamp(min=1e-300).log()).sum(1)
    mean = alpha / alpha.sum()
    carlo = -(mean * mean.log()).sum() - inner.mean()
    assert dirichlet_information(alpha).item() == pytest.approx(carlo.item(), abs=4 * inner.std().item() / 400_000**0.5)
    other = torch.tensor([1.0, 4.0, 0.5], dtype=torch.float64)
    torchs = torch.distributions.kl_divergence(law, torch.distributions.Dirichlet(other))
    torch.testing.assert_close(dirichlet_kl(alpha, other), torchs)
    assert dirichlet_kl(alpha, alpha).abs().item() < 1e-12


def test_the_prior_network_learns_the_law_it_is_pulled_to() -> None:
    loss = PriorNet(precision=20.0)
    given = torch.zeros(1, 1, 3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([given], lr=0.05)
    for _ in range(600):
        optimizer.zero_grad()
        loss.rows(given, torch.tensor([1])).sum().backward()
        optimizer.step()
    torch.testing.assert_close(given.detach().exp()[0, 0], torch.tensor([1.0, 21.0, 1.0], dtype=torch.float64), rtol=1e-2, atol=1e-2)


def test_scores_of_normal_laws_are_their_integrals() -> None:
    rng = np.random.default_rng(0)
    y, m, s = rng.normal(size=5), rng.normal(size=5), rng.uniform(0.3, 2, 5)
    np.testing.assert_allclose(scoring.nll_normal(y, m, s), -stats.norm(m, s).logpdf(y))
    for yi, mi, si in zip(y, m, s):
        left = integrate.quad(lambda t, mi=mi, si=si: stats.norm(mi, si).cdf(t) ** 2, -30, yi)[0]
        right = integrate.quad(lambda t, mi=mi, si=si: stats.norm(mi, si).sf(t) ** 2, yi, 30)[0]
        assert float(scoring.crps_normal(yi, mi, si)) == pytest.approx(left + right, abs=1e-7)
    np.testing.assert_allclose(scoring.crps_mixture(y, np.ones((5, 1)), m[:, None], s[:, None]), scoring.crps_normal(y, m, s), atol=1e-12)
    weights = rng.dirichlet(np.ones(3), 5)
    means, sds = rng.normal(size=(5, 3)), rng.uniform(0.3, 1, (5, 3))
    which = np.array([rng.choice(3, 4000, p=w) for w in weights])
    samples = np.take_along_axis(means, which, 1) + np.take_along_axis(sds, which, 1) * rng.normal(size=(5, 4000))
    np.testing.assert_allclose(scoring.crps_mixture(y, weights, means, sds), scoring.crps_samples(y, samples), atol=0.05)
    q = stats.norm(0, 1).ppf(np.linspace(0.001, 0.999, 999))
    at = scoring.crps_quantiles(np.array([0.7]), q[None], np.linspace(0.001, 0.999, 999))
    assert at[0] == pytest.approx(float(scoring.crps_normal(0.7, 0, 1)), abs=2e-3)
    few = rng.normal(size=(3, 9))
    pairs = np.abs(few[:, :, None] - few[:, None]).mean((1, 2))
    np.testing.assert_allclose(scoring.crps_samples(np.zeros(3), few), np.abs(few).mean(1) - pairs / 2)
    assert scoring.winkler(np.array([0.0, 3.0]), np.array([-1.0, -1.0]), np.array([1.0, 1.0]), 0.9).tolist() == pytest.approx([2.0, 42.0])


def test_the_right_law_is_called_calibrated_and_a_narrow_one_is_not() -> None:
    y = np.random.default_rng(0).normal(size=2000)
    assert scoring.check_pit(stats.norm.cdf(y)).consistent
    assert not scoring.check_pit(stats.norm.cdf(y / 0.7)).consistent
    rejected = sum(
        not scoring.check_pit(stats.norm.cdf(np.random.default_rng(s).normal(size=200)), draws=100).consistent for s in range(60)
    )
    assert rejected <= 3 + 3 * (60 * 0.05 * 0.95) ** 0.5
