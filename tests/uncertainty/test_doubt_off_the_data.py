"""Sources of doubt where there were no rows: rows moved away are told from usual ones, and a curve is doubted outside its points."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid import TabularClassifier, TabularRegressor
from pellucid.testing.strange import ranking
from pellucid.training.calibration_metrics import log_loss
from pellucid.uncertainty.members import entropy

QUICK = {"verbose": 0, "threads": 1, "random_state": 0, "backbone": "mlp", "backbone_options": {"width": 32}, "max_steps": 150}


def rows(n: int, seed: int, away: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return four numbers, each moved up or down by ``away`` standard deviations, and classes with noise."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    y = np.where(rng.random(n) < 1 / (1 + np.exp(-2 * X[:, 0] * X[:, 1] - X[:, 2])), "yes", "no")
    return X + away * rng.choice([-1, 1], X.shape), y


def told(model: TabularClassifier, **asked: str) -> float:
    """Return how often a row moved by four standard deviations is doubted more than a usual one, less four standard errors."""
    usual, far = (model.uncertainty(rows(1500, 1, away)[0], familiarity=None, **asked).epistemic for away in (0.0, 4.0))
    area, error = ranking(usual, far)
    return area - 4 * error


def test_a_prior_network_is_sharp_in_the_data_and_flat_outside_and_its_parts_add_up() -> None:
    model = TabularClassifier(**QUICK | {"max_steps": 400}, bayes="prior_net").fit(*rows(2400, 0))
    assert told(model) > 0.7
    answer = model.uncertainty(rows(300, 1)[0], familiarity=None, samples=True)
    np.testing.assert_allclose(answer.aleatoric + answer.epistemic, entropy(answer.samples.mean(1)), atol=1e-6)


def test_a_prior_network_is_flat_beyond_a_straight_line_too() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2400, 2))
    y = X[:, 0] + 0.5 * rng.normal(size=2400) > 0
    model = TabularClassifier(**QUICK | {"max_steps": 400, "backbone_options": None}, bayes="prior_net").fit(X, y)
    usual = rng.normal(size=(1000, 2))
    far = usual + 4 * rng.choice([-1, 1], usual.shape)
    area, error = ranking(*(model.uncertainty(rows, familiarity=None).epistemic for rows in (usual, far)))
    assert area - 4 * error > 0.7


def test_doubt_by_dropout_rises_on_rows_moved_away() -> None:
    model = TabularClassifier(**QUICK, dropout=0.2).fit(*rows(2400, 0))
    assert told(model, source="mc_dropout") > 0.5


@pytest.mark.long
def test_networks_lose_less_than_one_and_disagree_on_rows_moved_away() -> None:
    (X, y), (new, truth) = rows(2400, 0), rows(6000, 1)
    quick = QUICK | {"max_steps": 400}
    many = TabularClassifier(**quick, members={"networks": 5}).fit(X, y)
    place = np.searchsorted(many.classes_, truth)
    single = [TabularClassifier(**quick | {"random_state": s}).fit(X, y) for s in range(3)]
    assert log_loss(many.predict_proba(new), place) < np.mean([log_loss(m.predict_proba(new), place) for m in single])
    assert told(many) > 0.55  # where all members are sure of themselves, mutual information is small whatever they know


@pytest.mark.long
@pytest.mark.parametrize("layers", ["last", "all"])
def test_independent_normal_weights_doubt_a_curve_outside_its_points_and_promise_enough_inside(layers: str) -> None:
    rng = np.random.default_rng(0)
    x, new = rng.uniform(-2, 2, 2400), rng.uniform(-2, 2, 4000)
    y, truth = (np.sin(2 * v) + 0.2 * rng.normal(size=len(v)) for v in (x, new))
    options = {"max_steps": 400, "bayes": {"mean_field": {"layers": layers}}, "number": "plain"}
    model = TabularRegressor(**QUICK | options).fit(x[:, None], y)
    inside, right, left = (model.uncertainty(np.linspace(*ends, 40)[:, None]).epistemic for ends in ((-1.5, 1.5), (2.5, 5), (-5, -2.5)))
    assert min(right.min(), left.min()) > 2 * np.median(inside)
    answer = model.uncertainty(new[:, None], score="absolute")
    kept = ((answer.low <= truth) & (truth <= answer.high)).mean()
    n = len(model.certainty_.conformals[0])
    assert abs(kept - 0.9) < 4 * np.sqrt(0.09 * (1 / n + 1 / 4000))
    own = np.abs(truth - answer.point) < 1.645 * np.sqrt(answer.aleatoric + answer.epistemic)
    assert own.mean() > 0.88, "the network's own spread, uncalibrated, holds too few"
