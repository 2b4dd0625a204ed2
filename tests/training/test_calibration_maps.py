"""The calibrators with more freedom: planted maps come back, scikit-learn agrees, and ``auto`` takes no more freedom than pays."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import expit, logit

from pellucid.errors import ModelFileError, PellucidWarning, RequestError
from pellucid.results import plain
from pellucid.training import calibration_maps
from pellucid.training.calibration_maps import LogAffine, Steps, fit_map
from pellucid.training.calibration_metrics import log_loss
from pellucid.training.calibrators import METHODS, Identity, Temperature, choose, from_state


def two(p1: np.ndarray) -> np.ndarray:
    return np.column_stack([1 - p1, p1])


def claims(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    """Return (true probabilities of the second class, labels, the generator)."""
    rng = np.random.default_rng(seed)
    truth = expit(rng.normal(0, 1.5, n))
    return truth, (rng.random(n) < truth).astype(int), rng


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def test_platt_finds_the_line_and_beta_the_curve_that_were_planted() -> None:
    """log-odds = a z + c, and = a ln p - b ln (1 - p) + c, from 20,000 rows: errors of the coefficients about 0.03."""
    truth, y, _ = claims(20_000)
    stated = expit((logit(truth) - 0.7) / 0.5)
    line = fit_map("platt", two(stated), y, np.full(20_000, 1 / 20_000)).line
    assert line == pytest.approx((0.5, 0.7), abs=0.06)
    p = np.random.default_rng(1).beta(0.8, 1.5, 20_000)
    other = expit(0.5 * np.log(p) - 1.6 * np.log1p(-p) + 0.3)
    y = (np.random.default_rng(2).random(20_000) < other).astype(int)
    found = fit_map("beta", two(p), y, np.full(20_000, 1 / 20_000))
    assert [found.weight[1, 1], -found.weight[1, 0], found.bias[1]] == pytest.approx([0.5, 1.6, 0.3], abs=0.12)
    assert np.abs(found.apply(two(p))[:, 1] - other).mean() < 0.01
    assert found.line is None


def test_platt_has_his_targets_and_agrees_with_scikit_learn() -> None:
    from sklearn.calibration import _sigmoid_calibration

    truth, y, _ = claims(300)
    a, b = _sigmoid_calibration(logit(truth), y)
    assert fit_map("platt", two(truth), y, np.full(300, 1 / 300)).line == pytest.approx((-a, -b), abs=1e-4)


@pytest.mark.parametrize("method", ["vector", "dirichlet"])
def test_maps_of_several_classes_find_what_was_planted(method: str) -> None:
    rng = np.random.default_rng(3)
    stated = softmax(rng.normal(0, 1.5, (8_000, 3)))
    weight = np.diag([0.5, 1.0, 1.5]) if method == "vector" else np.array([[0.7, 0.3, 0.0], [0.0, 1.0, 0.0], [-0.2, 0.0, 1.1]])
    true = softmax(np.log(stated) @ weight.T + [0.3, 0.0, -0.3])
    y = (rng.random(8_000)[:, None] > true.cumsum(1)).sum(1)
    found = fit_map(method, stated, y, np.full(8_000, 1 / 8_000))
    assert np.abs(found.apply(stated) - true).mean() < 0.015
    assert method == "dirichlet" or (found.weight[~np.eye(3, dtype=bool)] == 0).all()


def test_a_strong_penalty_would_leave_dirichlet_at_vector_scaling_and_it_is_weak_where_rows_are_many() -> None:
    from pellucid.training.calibration_maps import _dirichlet, logs_of

    rng = np.random.default_rng(4)
    stated = softmax(rng.normal(size=(2000, 3)))
    y = rng.integers(0, 3, 2000)
    weight, bias = _dirichlet(logs_of(stated), y, np.full(2000, 1 / 2000), None, 1e6)
    assert np.abs(weight[~np.eye(3, dtype=bool)]).max() < 1e-3
    assert np.abs(bias).max() < 1e-3


def test_isotonic_is_scikit_learns_clipped_away_from_certainty() -> None:
    from sklearn.isotonic import IsotonicRegression

    truth, y, _ = claims(1500)
    stated = truth**2
    found = fit_map("isotonic", two(stated), y, np.full(1500, 1 / 1500))
    theirs = IsotonicRegression(y_min=1 / 3000, y_max=1 - 1 / 3000, out_of_bounds="clip").fit(stated, y)
    new = np.linspace(0, 1, 101)
    np.testing.assert_allclose(found.apply(two(new))[:, 1], theirs.predict(new), atol=1e-6)
    out = found.apply(two(np.array([0.0, 1.0])))[:, 1]
    assert (out >= 1 / 3000 - 1e-12).all()
    assert (out <= 1 - 1 / 3000 + 1e-12).all()
    assert (np.diff(found.apply(two(new))[:, 1]) >= 0).all()


@pytest.mark.parametrize("method", [m for m in METHODS if m not in ("auto", "none")])
def test_tensors_states_and_probabilities_agree(method: str) -> None:
    truth, y, rng = claims(1500)
    p, labels = two(truth**2), y
    if method in ("vector", "dirichlet"):
        p, labels = softmax(rng.normal(size=(1500, 4))), rng.integers(0, 4, 1500)
    offset = -np.log(np.linspace(0.5, 1.5, p.shape[1]))
    for shift in (None, offset):
        found = choose(p, labels, method=method, offset=shift)
        out = found.apply(p)
        np.testing.assert_allclose(out.sum(1), 1)
        np.testing.assert_allclose(found.of_logs(torch.from_numpy(np.log(p))).exp().numpy(), out, atol=1e-9)
        again = from_state(plain(found.state()))
        np.testing.assert_allclose(again.apply(p), out)
        if found.line is not None and p.shape[1] == 2:
            a, c = found.line
            np.testing.assert_allclose(logit(out[:, 1]), a * logit(p[:, 1]) + c, atol=1e-7)


def test_auto_takes_the_simplest_that_does() -> None:
    truth, y, _ = claims(4000)
    assert isinstance(choose(two(truth), y), Identity)
    assert isinstance(choose(two(expit(2 * logit(truth))), y), Temperature)
    moved = choose(two(expit(logit(truth) + 1.0)), y)
    assert isinstance(moved, LogAffine)
    assert moved.method == "platt"
    assert moved.gain > 3 * moved.gain_error
    bent = choose(two(truth**3), y)
    assert isinstance(bent, LogAffine)
    assert bent.method in ("platt", "beta")
    stairs = np.select([truth < 0.3, truth < 0.35, truth < 0.8], [truth, 0.9, truth / 2 + 0.3], truth)
    assert isinstance(choose(two(stairs), y), Steps)
    assert isinstance(choose(two(truth**3), y, only=("temperature",)), Temperature | Identity)
    assert isinstance(choose(two(truth**3), y, method=None), Identity)


def test_the_shift_of_class_weights_is_taken_back() -> None:
    """Probabilities learned with weights (1, 9): p' is p times pi_true / pi_train, found right on rows as they are."""
    truth, y, _ = claims(5000)
    learned = two(expit(logit(truth) + np.log(9)))
    found = choose(learned, y, offset=-np.log([1 / 5, 9 / 5]))
    assert isinstance(found, LogAffine)
    assert found.method == "prior_shift"
    np.testing.assert_allclose(found.apply(learned)[:, 1], truth, atol=1e-9)
    assert log_loss(found.apply(learned), y) < log_loss(learned, y) - 0.1


def test_what_cannot_be_done_is_named() -> None:
    p = np.full((30, 3), 1 / 3)
    with pytest.raises(RequestError, match="for two classes"):
        choose(p, np.repeat([0, 1, 2], 10), method="platt")
    with pytest.raises(RequestError, match="without rows"):
        choose(np.zeros((0, 2)), np.zeros(0, int), method="beta")
    with pytest.raises(ModelFileError):
        from_state({"method": "isotonic"})


def test_a_class_that_no_row_is_of_keeps_a_chance() -> None:
    """300 rows of three classes, none of the third: ``auto`` takes no map that needs rows of each class, and none says never."""
    rng = np.random.default_rng(3)
    z = rng.normal(0, 1.3, (300, 3)) - [0, 0, 2]
    y = z[:, :2].argmax(1)
    stated = softmax(2 * z)
    assert choose(stated, y).method != "dirichlet"
    told = choose(stated, y, method="dirichlet").apply(stated)[:, 2]
    assert told.mean() > 0.1 / len(y)


def test_vector_scaling_is_the_least_loss_of_a_diagonal_matrix_of_many_classes():
    draw = np.random.default_rng(0)
    logs = calibration_maps.log_softmax(draw.normal(size=(900, 30)))
    labels = (1.5 * logs + draw.gumbel(size=logs.shape)).argmax(1)
    weights = np.full(900, 1 / 900)
    weight, bias = calibration_maps._vector(logs, labels, weights, None)
    assert not weight[~np.eye(30, dtype=bool)].any()
    # by the whole matrix: nothing along its diagonal or its shifts is left to gain but the pull of one row towards the identity
    _, rest = calibration_maps._log_loss(logs @ weight.T + bias, labels, weights)
    pulled = np.r_[np.diag(rest.T @ logs) + (np.diag(weight) - 1) / 900, rest.sum(0) + bias / 900]
    assert np.abs(pulled).max() < 1e-4


def test_the_dirichlet_map_is_the_least_penalised_loss_in_few_rounds() -> None:
    """1,500 rows of 12 classes whose logarithms go together: no slope is left, in a quarter of the rounds of plain steps."""
    draw = np.random.default_rng(1)
    logs = calibration_maps.log_softmax(draw.normal(0, 1.5, (1500, 12)))
    labels = (0.7 * logs + 0.1 * logs @ draw.normal(size=(12, 12)) + draw.gumbel(size=logs.shape)).argmax(1)
    weights, asked = np.full(1500, 1 / 1500), []
    weight, bias = calibration_maps._dirichlet(logs, labels, weights, lambda: not asked.append(1), 0.01)
    assert len(asked) < 80
    _, rest = calibration_maps._log_loss(logs @ weight.T + bias, labels, weights)
    off = ~np.eye(12, dtype=bool)
    slope = rest.T @ logs + 2 * 0.01 / off.sum() * np.where(off, weight, 0) + (weight - np.eye(12)) / 1500
    assert np.abs(slope).max() < 1e-4
    assert np.abs(rest.sum(0) + (2 * 0.01 / 12 + 1 / 1500) * bias).max() < 1e-4


def test_a_clock_leaves_maps_out_and_they_are_named() -> None:
    """Logarithms in another order: only the freest map helps, and it is what there was no time for."""
    draw = np.random.default_rng(2)
    stated = softmax(draw.normal(0, 1.5, (900, 4)))
    labels = (np.log(stated)[:, [1, 0, 3, 2]] + draw.gumbel(size=stated.shape)).argmax(1)
    found, left = choose(stated, labels, go_on=lambda: True), list[str]()
    assert found.method == "dirichlet"
    assert from_state(plain(found.state())).strength == found.strength
    asked = iter([True] * 40 + [False] * 10)  # no evaluation after the first that is refused, but for those of the next map
    assert choose(stated, labels, go_on=lambda: next(asked, False), untried=left).state()["method"] != "dirichlet"
    assert left[-1] == "dirichlet"
    told = list[str]()
    with pytest.warns(PellucidWarning, match="left no time for calibration='dirichlet': a temperature stands in"):
        named = choose(stated, labels, go_on=lambda: False, method="dirichlet", untried=told)
    assert (named.state()["method"], told) == ("temperature", ["dirichlet"]), "a clock is kept where a map is asked for by name too"
    assert choose(stated, labels, go_on=lambda: True, method="dirichlet").state()["method"] == "dirichlet"
