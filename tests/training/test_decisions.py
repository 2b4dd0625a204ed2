"""Thresholds for stated costs: the closed-form optimum, brute force, and a change of threshold only where it pays."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.errors import RequestError
from pellucid.training import decisions
from pellucid.training.decisions import Held

FIVE = np.array([[0.0, 1.0], [5.0, 0.0]])


def held(p, truth, weights=None):
    return Held(np.column_stack([1 - p, p]), np.asarray(truth, np.int64), np.ones(len(p)) if weights is None else weights)


def drawn(n, seed, power=1.0):
    """Return (claimed probability, truth) where the true posterior is known: claimed**power, renormalised on the odds."""
    r = np.random.default_rng(seed)
    p = r.uniform(0.01, 0.99, n)
    true = 1 / (1 + ((1 - p) / p) ** power)
    return p, r.random(n) < true


def test_the_class_of_least_expected_cost_is_answered():
    p = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
    costs = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [20.0, 20.0, 0.0]])
    assert decisions.least_cost(p, costs).tolist() == [2, 2]
    assert decisions.least_cost(p, 1 - np.eye(3)).tolist() == [0, 2]


def test_the_threshold_of_the_costs_is_the_closed_form_and_agrees_with_the_expected_cost():
    assert decisions.bayes_threshold(FIVE) == pytest.approx(1 / 6)
    shifted = np.array([[-1.0, 2.0], [4.0, 0.5]])
    t = decisions.bayes_threshold(shifted)
    assert t == pytest.approx(3 / 6.5)
    p = np.linspace(0.001, 0.999, 997)
    assert np.array_equal(decisions.least_cost(np.column_stack([1 - p, p]), shifted), (p > t).astype(int))


@pytest.mark.parametrize("seed", range(5))
def test_the_best_threshold_is_that_of_brute_force(seed):
    r = np.random.default_rng(seed)
    p, truth, w = r.integers(0, 12, 60) / 12, r.integers(0, 2, 60), r.uniform(0.1, 2, 60)
    found = decisions.best_threshold(p, truth, w, FIVE, 1 / 6)
    spent = lambda t: float((w * decisions.cost_of((p > t).astype(int), truth, FIVE)).sum())  # noqa: E731
    assert spent(found) == pytest.approx(min(spent(t) for t in np.linspace(-0.1, 1.1, 481)))


def test_calibrated_probabilities_keep_the_threshold_of_the_costs():
    kept = 0
    for seed in range(40):
        threshold, from_rows, *_ = decisions.choose_threshold(held(*drawn(600, seed)), FIVE, seed)
        kept += not from_rows and threshold == pytest.approx(1 / 6)
    # the gain of a threshold that is no better must exceed one standard error: about one fit in six by chance, fewer as it costs to search
    assert kept >= 30


def test_probabilities_that_mislead_get_the_threshold_of_the_rows():
    # claimed odds are the true odds to the power 1/3: the true posterior is 1/6 where p is 1 / (1 + 5**(1/3))
    p, truth = drawn(8000, 0, 3.0)
    threshold, from_rows, spent, saved, error = decisions.choose_threshold(held(p, truth), FIVE, 0)
    assert from_rows
    assert saved > 3 * error
    assert threshold == pytest.approx(1 / (1 + 5 ** (1 / 3)), abs=0.05)
    plain = decisions.cost_of((p > 1 / 6).astype(int), np.asarray(truth, int), FIVE)
    assert plain.mean() - spent.mean() == pytest.approx(saved)


def test_the_bootstrap_has_the_standard_error_of_the_mean_and_heeds_weights():
    r = np.random.default_rng(0)
    rows, w = r.choice([0.0, 1.0, 5.0], (1000, 1), p=[0.7, 0.2, 0.1]), np.ones(1000)
    means, intervals = decisions.bootstrap(rows, w, 0)
    assert means[0] == pytest.approx(rows.mean())
    half = 1.96 * rows.std() / np.sqrt(1000)
    assert np.allclose(intervals[0], rows.mean() + np.array([-half, half]), atol=0.12 * half)
    w = np.where(rows[:, 0] == 5, 0.0, 1.0)
    assert decisions.bootstrap(rows, w, 0)[0][0] == pytest.approx(rows[w > 0].mean())


def test_many_rows_are_thinned_evenly():
    n = 3 * decisions.MOST_ROWS
    kept = decisions.thin(np.tile([0.5, 0.5], (n, 1)), np.arange(n) % 2, np.arange(n, dtype=float))
    assert len(kept) == decisions.MOST_ROWS
    assert kept.weights[0] == 0
    assert kept.weights[-1] == n - 1
    assert np.diff(kept.weights).max() <= 4


@pytest.mark.parametrize(
    ("costs", "words"),
    [
        ([[0, 1]], "cannot be used"),
        ([[0, np.nan], [1, 0]], "cannot be used"),
        ([[2, 1], [1, 0]], "must not cost more"),
        ([[1, 1], [2, 2]], "same whatever"),
        ([["a", 1], [1, 0]], "not numbers"),
    ],
)
def test_costs_that_make_no_sense_are_refused(costs, words):
    with pytest.raises(RequestError, match=words):
        decisions.check_costs(costs, 2)
