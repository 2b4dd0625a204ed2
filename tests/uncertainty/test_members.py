"""The two doubts against closed forms, and against noise and gaps that were planted."""

import numpy as np
import pytest
from scipy import stats

from pellucid.uncertainty.members import entropy, split_classes, split_numbers


def test_identical_members_know_and_opposed_members_do_not():
    p = np.random.default_rng(0).dirichlet(np.ones(3), 50)
    aleatoric, epistemic = split_classes(np.repeat(p[:, None], 5, axis=1))
    np.testing.assert_allclose(aleatoric, stats.entropy(p, axis=1))
    np.testing.assert_allclose(epistemic, 0, atol=1e-12)
    aleatoric, epistemic = split_classes(np.array([[[1.0, 0.0], [0.0, 1.0]]]))
    assert aleatoric[0] == 0
    assert epistemic[0] == pytest.approx(np.log(2))
    assert split_classes(p[:, None])[1] is None


def test_the_parts_add_to_the_whole_and_are_bounded():
    members = np.random.default_rng(1).dirichlet(np.ones(4), (100, 6))
    aleatoric, epistemic = split_classes(members)
    np.testing.assert_allclose(aleatoric + epistemic, entropy(members.mean(1)))
    assert (epistemic <= np.log(6)).all()
    values = np.random.default_rng(2).normal(size=(100, 6, 2))
    noise, spread = split_numbers(values, np.array([1.0, 4.0]))
    np.testing.assert_allclose(spread, values.var(axis=1))
    assert noise.shape == (100, 2)
    assert (noise[:, 1] == 4).all()
    assert split_numbers(values[:, :1], None) == (None, None)


@pytest.fixture(scope="module")
def ensemble():
    """Return an answer of eight bootstrapped quadratic models, fitted where |x1| < 1 only, with noise that grows in x2."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures

    rng = np.random.default_rng(3)
    x = np.column_stack([rng.uniform(-1, 1, 1500), rng.uniform(0, 1, 1500)])
    y = rng.random(1500) < chance(x)
    models = []
    for _ in range(8):
        rows = rng.integers(0, 1500, 1500)
        models.append(make_pipeline(PolynomialFeatures(2), LogisticRegression(C=100, max_iter=2000)).fit(x[rows], y[rows]))
    return lambda new: np.stack([m.predict_proba(new) for m in models], axis=1)


def chance(x):
    """Return P(y = 1): certain at x2 = 1, a coin at x2 = 0."""
    return 1 / (1 + np.exp(-6 * x[:, 1] * np.sign(x[:, 0]) * np.minimum(np.abs(x[:, 0]) + 0.3, 1)))


def test_noise_is_seen_as_noise_u01(ensemble):
    rng = np.random.default_rng(4)
    x = np.column_stack([rng.uniform(-1, 1, 800), rng.uniform(0, 1, 800)])
    p = chance(x)
    known = entropy(np.column_stack([p, 1 - p]))
    aleatoric, _ = split_classes(ensemble(x))
    assert np.corrcoef(aleatoric, known)[0, 1] > 0.9


def curves(n, seed, high):
    """Return ten bootstrapped polynomials fitted to n noisy points of a sine on (-1, high), and their mean squared residual."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, high, n)
    y = np.sin(3 * x) + rng.normal(0, 0.5, n)
    fits = [np.polynomial.Polynomial.fit(x[r], y[r], 6, domain=[-1, 1]) for r in (rng.integers(0, n, n) for _ in range(10))]

    def members(new):
        return np.stack([f(new) for f in fits], axis=1)[:, :, None]

    new = rng.uniform(-1, high, 2000)
    truth = np.sin(3 * new) + rng.normal(0, 0.5, 2000)
    return members, np.array([((members(new).mean(1)[:, 0] - truth) ** 2).mean()])


def test_ignorance_rises_in_a_gap_and_falls_with_more_data_while_noise_stays_u04():
    x = np.linspace(-0.95, 0.95, 400)
    gap = x > 0.5
    whole, noise = curves(400, 0, 1.0)
    holed, _ = curves(400, 0, 0.4)
    _, known = split_numbers(whole(x), noise)
    _, unknown = split_numbers(holed(x), noise)
    assert stats.mannwhitneyu(unknown[gap, 0], unknown[~gap, 0], alternative="greater").pvalue < 1e-6
    u = stats.mannwhitneyu(unknown[gap, 0], unknown[~gap, 0]).statistic / (gap.sum() * (~gap).sum())
    assert u > 0.8  # U07: disagreement tells rows that training did not cover
    assert np.median(unknown[~gap]) < 3 * np.median(known[~gap])
    more, more_noise = curves(1600, 0, 1.0)
    _, less = split_numbers(more(x), more_noise)
    assert np.median(less) < 0.5 * np.median(known)  # a quarter is expected
    assert noise[0] == pytest.approx(0.25, rel=0.15)
    assert more_noise[0] == pytest.approx(0.25, rel=0.15)
