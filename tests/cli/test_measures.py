"""Scores with intervals and nulls, against scikit-learn, closed forms and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from pellucid.cli.gather import calibration, coverage, missing_pattern, set_size
from pellucid.cli.measures import class_scores, group_scores, number_scores, unscored
from pellucid.evaluate.ends import auc
from pellucid.results import Prediction, RunRecord
from pellucid.table import read_table


def test_auc_is_scikit_learns():
    rng = np.random.default_rng(0)
    truth, claims = rng.random(300) < 0.3, rng.integers(0, 20, 300) / 20  # with ties
    assert auc(truth, claims)[0] == pytest.approx(metrics.roc_auc_score(truth, claims), abs=1e-12)


def test_the_error_of_auc_is_that_of_repeated_draws():
    rng = np.random.default_rng(1)
    areas, errors = [], []
    for _ in range(400):
        truth = rng.random(200) < 0.4
        area, error = auc(truth, rng.normal(truth * 1.0, 1))
        areas.append(area)
        errors.append(error)
    assert np.mean(errors) == pytest.approx(np.std(areas), rel=0.15)  # the spread of 400 draws is known to 3.5 %


def test_auc_of_one_class_is_unknown():
    assert np.isnan(auc(np.ones(3, bool), np.arange(3.0))).all()


def test_class_scores_are_scikit_learns():
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 3, 500)
    p = rng.dirichlet(np.ones(3), 500)
    right, loss = class_scores(truth, p, ("a", "b", "c"), np.array([0.2, 0.5, 0.3]))
    assert right.value == metrics.accuracy_score(truth, p.argmax(1))
    assert loss.value == pytest.approx(metrics.log_loss(truth, p))
    assert right.null == pytest.approx((truth == 1).mean())
    assert right.low < right.value < right.high


def test_two_classes_are_judged_by_their_order_first():
    rng = np.random.default_rng(3)
    truth = (rng.random(2000) < 0.1).astype(int)
    p = rng.random(2000)
    scores = class_scores(truth, np.column_stack([1 - p, p]), ("no", "yes"), np.array([0.9, 0.1]))
    assert [s.metric for s in scores] == ["roc_auc", "accuracy", "log_loss"]
    assert scores[0].low < 0.5 < scores[0].high


def test_number_scores_are_scikit_learns():
    rng = np.random.default_rng(4)
    truth = rng.normal(size=400)
    answers = truth + rng.normal(0, 0.5, 400)
    rmse, mae, r2 = number_scores(truth, answers, float(truth.mean()), "CHF")
    assert rmse.value == pytest.approx(metrics.root_mean_squared_error(truth, answers))
    assert mae.value == pytest.approx(metrics.mean_absolute_error(truth, answers))
    assert r2.value == pytest.approx(metrics.r2_score(truth, answers))
    assert rmse.unit == "CHF"


def test_intervals_hold_the_true_figure_at_their_rate():
    rng = np.random.default_rng(5)
    held = np.zeros(3)
    for _ in range(400):
        truth = rng.normal(size=300)
        answers = truth + rng.normal(0, 0.5, 300)
        scores = number_scores(truth, answers, 0.0, "")
        held += [s.low <= t <= s.high for s, t in zip(scores, (0.5, 0.5 * np.sqrt(2 / np.pi), 0.75))]
    assert (held / 400 > 0.917).all()  # 95 % less three standard errors of 400 draws
    assert (held / 400 < 0.983).all()


def test_groups_of_few_rows_are_left_out():
    truth, answers = np.zeros(120), np.zeros(120)
    codes = np.repeat([0, 1], [100, 20])
    made = group_scores("city", codes, ("Bern", "Rome"), truth, answers, metric="rmse", unit="")
    assert [s.of for s in made] == ["city = Bern"]


def test_missing_patterns_are_counted():
    frame = {"a": [1, None, None, 4, 5], "b": ["x", None, None, "y", None], "c": [1.5, 2.5, 3.5, 4.5, 5.5]}
    made = missing_pattern(read_table(frame))
    assert made.columns == ("a", "b")
    assert sorted(zip(map(tuple, made.patterns.tolist()), made.counts.tolist())) == [
        ((False, False), 2),
        ((False, True), 1),
        ((True, True), 2),
    ]
    assert missing_pattern(read_table({"a": [1, 2, 3]})) is None


def test_a_calibrated_model_lies_within_its_band():
    rng = np.random.default_rng(6)
    claims = rng.beta(2, 3, 4000)
    labels = (rng.random(4000) < claims).astype(int)
    made = calibration(np.column_stack([1 - claims, claims]), labels, ("no", "yes"), None, 0)
    assert made.error <= made.null_error_high
    assert ((made.observed >= made.null_low) & (made.observed <= made.null_high)).mean() >= 0.8
    assert made.output == "yes"


def test_an_overconfident_model_does_not():
    rng = np.random.default_rng(7)
    claims = np.clip(rng.beta(2, 2, 4000), 0.02, 0.98)
    labels = (rng.random(4000) < 0.5).astype(int)
    made = calibration(np.column_stack([1 - claims, claims]), labels, ("no", "yes"), None, 0)
    assert made.error > made.null_error_high
    assert made.error_low > made.null_error


def test_coverage_and_size_are_counted():
    record = RunRecord("conformal")
    numbers = Prediction(np.zeros(4), 0.9, record, low=np.array([0, 0, 0, 0.0]), high=np.array([1, 1, 1, 3.0]))
    assert coverage(numbers, np.array([0.5, 2, 1, 0])).value == 0.75
    assert set_size(numbers, "CHF").value == 1.5
    classes = Prediction(np.array(["a", "b"]), 0.9, record, set=(("a",), ("a", "b")))
    assert coverage(classes, np.array(["b", "b"])).value == 0.5
    assert set_size(classes, "").value == 1.5


def test_intervals_of_losses_stay_above_zero_and_cover():
    """Few rows and one great loss: a loss below 0 there is none."""
    from pellucid.evaluate.ends import mean_loss

    mean, low, high = mean_loss(np.array([0.01] * 40 + [3.0]))
    assert 0 < low < mean < high
    draws = np.random.default_rng(0).exponential(1.0, (2000, 60))
    covered = np.mean([low <= 1 <= high for _, low, high in map(mean_loss, draws)])
    assert abs(covered - 0.95) < 0.02 + 4 * (0.95 * 0.05 / 2000) ** 0.5  # the spread of 60 skewed losses is itself a guess


def test_levels_without_a_score_are_named_with_their_rows():
    codes = np.repeat([0, 1, 2], [60, 12, 60])
    truth = np.concatenate([np.arange(72) % 2, np.ones(60, int)])
    words = unscored("city", codes, ("Bern", "Rome", "Oslo", "Paris"), truth, metric="roc_auc")
    assert words == ("fewer than 50 test rows: 'city' = 'Rome' (12)", "test rows of one class only: 'city' = 'Oslo' (60)")
    assert unscored("city", codes, ("Bern", "Rome", "Oslo", "Paris"), truth, metric="accuracy") == words[:1]
