"""Scores equal scikit-learn's; intervals cover; differences are paired."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from sklearn import metrics

from pellucid.evaluate.ends import area, mean_loss
from pellucid.evaluate.scores import main_metric, roc_auc, score


def test_scores_equal_scikit_learn():
    draw = np.random.default_rng(0)
    y, z = draw.normal(size=60), draw.normal(size=60)
    point = score("regression", y, z, n_boot=2).point
    assert point["rmse"] == pytest.approx(metrics.root_mean_squared_error(y, z))
    assert point["mae"] == pytest.approx(metrics.mean_absolute_error(y, z))
    assert point["r2"] == pytest.approx(metrics.r2_score(y, z))
    for size in (2, 4):
        truth, p = draw.integers(0, size, 80), draw.dirichlet(np.ones(size), 80).round(2)
        p /= p.sum(1, keepdims=True)
        point = score("classification", truth, p, n_boot=2).point
        assert point["accuracy"] == pytest.approx(metrics.accuracy_score(truth, p.argmax(1)))
        assert point["log_loss"] == pytest.approx(metrics.log_loss(truth, np.clip(p, 1e-15, 1)), rel=1e-6)
        expected = metrics.roc_auc_score(truth, p[:, 1]) if size == 2 else metrics.roc_auc_score(truth, p, multi_class="ovr")
        assert point["roc_auc"] == pytest.approx(expected)


def test_weighted_area_equals_that_of_the_repeated_table():
    draw = np.random.default_rng(1)
    y, s = draw.random(50) < 0.4, draw.normal(size=50).round(1)
    w = draw.multinomial(50, np.full(50, 0.02), size=3)
    expected = [metrics.roc_auc_score(np.repeat(y, k), np.repeat(s, k)) for k in w]
    np.testing.assert_allclose(roc_auc(y, s, w.astype(float)), expected)
    assert np.isnan(roc_auc(np.ones(5, bool), s[:5])).all()


def test_intervals_cover_the_true_area_and_paired_ones_are_narrower():
    draw = np.random.default_rng(2)
    inside, truth = 0, 0.8413 - 0.0  # P(N(sqrt 2, 2) > 0) = Phi(1)
    for k in range(200):
        y = draw.random(150) < 0.5
        s = draw.normal(size=150) + np.sqrt(2) * y
        p = 1 / (1 + np.exp(-s))
        f = score("classification", y.astype(int), np.column_stack([1 - p, p]), n_boot=200, seed=k).figure("roc_auc")
        inside += f.low <= truth <= f.high
    assert inside / 200 >= 0.93 - 3 * np.sqrt(0.93 * 0.07 / 200)
    one, two = (score("regression", np.zeros(200), draw.normal(size=200) if k else np.ones(200), n_boot=100) for k in (1, 1))
    same = one.gain(one, "rmse")
    assert tuple(same) == (0, 0, 0)
    assert one.gain(two, "rmse").value == pytest.approx(two.point["rmse"] - one.point["rmse"])


def test_the_same_seed_shares_resamples_between_models():
    y = np.arange(40.0)
    a, b = score("regression", y, y + 1, seed=5), score("regression", y, y + 1, seed=5)
    np.testing.assert_array_equal(a.draws["r2"], b.draws["r2"])
    assert not np.array_equal(a.draws["r2"], score("regression", y, y + 1, seed=6).draws["r2"])


def test_main_metric_by_task():
    assert [main_metric("regression", 0), main_metric("classification", 2), main_metric("classification", 3)] == [
        "rmse",
        "roc_auc",
        "accuracy",
    ]


def test_one_figure_has_one_interval_in_the_comparison_and_on_the_page():
    """The page tells the same score twice, by a comparison and by itself; a resample of 69 rows ends at 1 where one is wrong."""
    from pellucid.cli.measures import class_scores, number_scores

    draw = np.random.default_rng(0)
    truth = np.arange(60) % 2
    claims = np.clip(0.5 + 0.3 * (truth - 0.5) + 0.2 * draw.normal(size=60), 0.01, 0.99)
    both = np.column_stack([1 - claims, claims])
    pairs = [(class_scores(truth, both, ("a", "b"), np.array([0.5, 0.5])), score("classification", truth, both, n_boot=5))]
    values = draw.normal(size=60)
    answers = values + draw.normal(size=60)
    pairs.append((number_scores(values, answers, 0.0, "m"), score("regression", values, answers, n_boot=5)))
    for told, made in pairs:
        for line in told:
            own = made.figure(line.metric)
            assert np.allclose([line.value, line.low, line.high], [own.value, own.low, own.high]), line.metric


def test_classes_that_come_apart_in_few_rows_are_not_certain_to():
    truth = np.arange(20) % 2
    own = score("classification", truth, np.column_stack([1 - 0.9 * truth, 0.9 * truth]), n_boot=5).figure("roc_auc")
    assert own.value == own.high == 1
    assert own.low < 0.8


@pytest.mark.parametrize(("few", "many", "apart"), [(5, 40, 1.0), (10, 10, 2.0), (10, 100, 2.0)])
def test_the_interval_of_an_area_covers_where_one_class_has_few_rows(few, many, apart):
    draw, truth = np.random.default_rng(0), np.arange(few + many) < few
    ends = np.array([area(truth, draw.normal(size=few + many) + apart * truth)[1:] for _ in range(300)])
    whole = norm.cdf(apart / np.sqrt(2))  # of two normal laws that lie apart by so many standard deviations
    assert ((ends[:, 0] <= whole) & (whole <= ends[:, 1])).mean() >= 0.92


def test_means_of_few_losses_are_told_with_intervals_that_cover():
    draw = np.random.default_rng(0).normal(size=(1000, 6))
    low, high = np.array([mean_loss(np.abs(few))[1:] for few in draw]).T
    assert ((low <= np.sqrt(2 / np.pi)) & (np.sqrt(2 / np.pi) <= high)).mean() >= 0.93
