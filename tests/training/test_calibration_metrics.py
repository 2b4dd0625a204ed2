"""Calibration figures against closed forms, scikit-learn and their own null."""

import numpy as np
import pytest
from sklearn import metrics

from pellucid.intervals import wilson
from pellucid.training.calibration_metrics import brier, check_calibration, ece, ece_interval, log_loss, reliability, top_events


def uniform(n, seed):
    rng = np.random.default_rng(seed)
    p = rng.random(n)
    return np.column_stack([1 - p, p]), (rng.random(n) < p).astype(int)


def test_log_loss_and_brier_are_scikit_learns():
    rng = np.random.default_rng(0)
    p, y, w = rng.dirichlet(np.ones(3), 200), rng.integers(0, 3, 200), rng.random(200)
    assert log_loss(p, y, w) == pytest.approx(metrics.log_loss(y, p, sample_weight=w, labels=[0, 1, 2]))
    assert brier(p, y) == pytest.approx(((p - np.eye(3)[y]) ** 2).sum(1).mean())


@pytest.mark.parametrize(("n", "known", "tolerance"), [(100, 0.120, 0.006), (500, 0.055, 0.003), (2000, 0.027, 0.0015)])
def test_the_null_of_the_calibration_error_is_the_known_one(n, known, tolerance):
    null = np.mean([check_calibration(*uniform(n, s), draws=20).null_mean for s in range(20)])
    assert null == pytest.approx(known, abs=tolerance)


def test_a_calibrated_model_is_called_consistent_and_an_overconfident_one_is_not():
    verdicts = [check_calibration(*uniform(500, s)).consistent for s in range(60)]
    assert sum(verdicts) >= 60 * 0.95 - 4 * np.sqrt(60 * 0.95 * 0.05)
    p, y = uniform(2000, 3)
    sharp = p**2.5 / (p**2.5).sum(1, keepdims=True)
    verdict = check_calibration(sharp, y)
    assert not verdict.consistent
    assert verdict.p_value < 0.01
    assert "not calibrated" in verdict.words


def test_wilson_is_scipys():
    from scipy.stats import binomtest

    for k, n in ((0, 10), (3, 10), (10, 10), (470, 1000)):
        low, high = wilson(k, n)
        known = binomtest(k, n).proportion_ci(method="wilson")
        assert (float(low), float(high)) == pytest.approx((known.low, known.high), abs=1e-12)


def test_curves_and_errors_are_scikit_learns_on_the_same_bins():
    from sklearn.calibration import calibration_curve

    p, y = uniform(997, 5)  # no number of bins divides the rows: edges lie between them
    curve = reliability(p[:, 1], y, bins=8)
    share, claimed = calibration_curve(y, p[:, 1], n_bins=8, strategy="quantile")
    np.testing.assert_allclose(curve.happened, share, atol=1e-12)
    np.testing.assert_allclose(curve.claimed, claimed, atol=1e-12)
    share, claimed = calibration_curve(y, p[:, 1], n_bins=15, strategy="uniform")
    count = np.histogram(p[:, 1], bins=np.linspace(0, 1, 16))[0]
    assert ece(p[:, 1], y, bins=15) == pytest.approx((count[count > 0] * np.abs(share - claimed)).sum() / 997, abs=1e-12)


def test_reliability_bins_hold_every_row_once():
    p, y = uniform(1000, 4)
    curve = reliability(p[:, 1], y)
    assert curve.count.sum() == 1000
    assert len(curve.count) == 10
    assert (np.diff(curve.claimed) > 0).all()
    assert ((curve.low <= curve.happened) & (curve.happened <= curve.high)).all()
    ties = reliability(np.full(50, 0.3), np.arange(50) < 15)
    assert ties.count.tolist() == [50]
    assert ece(np.full(50, 0.3), np.arange(50) < 15) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("sharper", "moved", "n", "least"), [(1.0, 0.0, 1000, 0.9), (1.5, 0.0, 1000, 0.8), (2.5, 0.0, 1000, 0.8), (1.0, 0.3, 1000, 0.95)]
)
def test_the_interval_of_the_calibration_error_holds_that_of_many_rows(sharper, moved, n, least):
    """A calibrated model's true error is 0: the reflected bootstrap alone held it in 4 of 10 tables. Claims that are all too low have no
    chance added to their error: less the null mean it was too small, and the interval ended below the truth."""
    rng = np.random.default_rng(3)

    def draw(rows):
        z = rng.normal(0, 1.5, rows)
        p = 1 / (1 + np.exp(-sharper * z + moved))
        return np.column_stack([1 - p, p]), (rng.random(rows) < 1 / (1 + np.exp(-z))).astype(int)

    true = 0.0 if (sharper, moved) == (1, 0) else ece(*top_events(*draw(400_000)))
    held = []
    for seed in range(60):
        p, y = draw(n)
        low, high = ece_interval(*top_events(p, y), check_calibration(p, y, draws=50, seed=seed), draws=50, seed=seed)
        held.append(low <= true <= high)
    assert np.mean(held) >= least
