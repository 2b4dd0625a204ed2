"""Temperature scaling: the known temperature comes back, and a calibrated model is left alone."""

import warnings

import numpy as np
import pytest

from pellucid.errors import ArgumentError, ModelFileError, PellucidWarning, RequestError
from pellucid.estimators.certainty import certify
from pellucid.results import plain
from pellucid.training.calibration_metrics import log_loss
from pellucid.training.calibrators import Identity, Temperature, choose, from_state, held_out


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def draw(n, classes, seed, scale=1.5):
    """Return logits and labels drawn from their softmax."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, scale, (n, classes))
    y = (rng.random(n)[:, None] > softmax(z).cumsum(1)).sum(1)
    return z, y


@pytest.mark.parametrize("classes", [2, 4])
def test_logits_times_two_and_a_half_give_that_temperature(classes):
    z, y = draw(20_000, classes, 0)
    fitted = Temperature.fit(softmax(2.5 * z), y)
    assert fitted.temperature == pytest.approx(2.5, rel=0.04)  # standard error of log T about 0.013 at this size
    np.testing.assert_allclose(fitted.apply(softmax(2.5 * z)), softmax(z * 2.5 / fitted.temperature), atol=1e-9)


def test_it_is_the_minimum_of_the_log_loss():
    z, y = draw(5_000, 3, 1)
    p = softmax(1.7 * z)
    best = Temperature.fit(p, y).temperature
    losses = [log_loss(Temperature(t).apply(p), y) for t in best * np.array([0.98, 1, 1.02])]
    assert losses[1] < min(losses[0], losses[2])


def test_weights_are_repeated_rows():
    z, y = draw(400, 3, 2)
    p, w = softmax(2 * z), np.random.default_rng(3).integers(0, 4, 400)
    repeated = Temperature.fit(np.repeat(p, w, axis=0), np.repeat(y, w))
    # the pseudo-row weighs 1 / (effective rows + 1), and weights lower the effective rows: equal to a seventh of a standard error
    assert Temperature.fit(p, y, w).temperature == pytest.approx(repeated.temperature, rel=0.01)
    assert Temperature.fit(p, y, np.full(400, 7.0)).temperature == pytest.approx(Temperature.fit(p, y).temperature, rel=1e-9)


def test_auto_leaves_a_calibrated_model_alone_in_about_95_of_100_tables():
    kept = sum(isinstance(choose(softmax(z), y), Identity) for z, y in (draw(500, 2, s) for s in range(80)))
    assert kept >= 80 * 0.954 - 4 * 1.9  # binomial: sd 1.9
    assert not all(isinstance(choose(softmax(2.5 * z), y), Identity) for z, y in (draw(500, 2, s) for s in range(5)))


def test_few_rows_are_drawn_towards_no_change_and_many_are_believed():
    rng = np.random.default_rng(0)
    far = {"plain": [], "drawn": []}
    for _ in range(60):  # calibrated models, 300 rows to judge them by
        z = rng.normal(size=300)
        y = (rng.random(300) < 1 / (1 + np.exp(-z))).astype(int)
        p = np.column_stack([1 / (1 + np.exp(z)), 1 / (1 + np.exp(-z))])
        far["plain"].append(np.log(Temperature.fit(p, y).temperature) ** 2)
        far["drawn"].append(np.log(choose(p, y, method="temperature").temperature) ** 2)
    assert np.mean(far["drawn"]) < 0.5 * np.mean(far["plain"])
    z = rng.normal(size=20_000)
    y = (rng.random(20_000) < 1 / (1 + np.exp(-z))).astype(int)
    claimed = np.column_stack([1 / (1 + np.exp(2.5 * z)), 1 / (1 + np.exp(-2.5 * z))])
    assert choose(claimed, y, method="temperature").temperature == pytest.approx(Temperature.fit(claimed, y).temperature, rel=0.002)


def test_rows_that_are_all_right_do_not_promise_certainty():
    fitted = Temperature.fit(np.tile([0.9, 0.1], (200, 1)), np.zeros(200, int))
    assert 0.9 < fitted.apply([[0.9, 0.1]])[0, 0] <= 0.999


def test_extremes_stay_finite_and_ranking_is_kept():
    p = np.array([[1.0, 0.0, 0.0], [0.2, 0.5, 0.3]])
    out = Temperature(3.0).apply(p)
    assert np.isfinite(out).all()
    np.testing.assert_allclose(out.sum(1), 1, atol=1e-12)
    assert (np.argsort(out[1]) == np.argsort(p[1])).all()
    assert Temperature.fit(np.full((10, 2), 0.5), np.zeros(10, int)).temperature == 1.0


def test_state_comes_back_and_bad_input_is_named():
    fitted = Temperature.fit(*(lambda z, y: (softmax(2 * z), y))(*draw(100, 2, 5)))
    assert from_state(plain(fitted.state())) == fitted
    assert from_state(Identity().state()) == Identity()
    assert choose(np.full((3, 2), 0.5), [0, 1, 0], method="none").temperature == 1.0
    with pytest.raises(ModelFileError):
        from_state({"method": "spline"})
    with pytest.raises(RequestError, match="one of auto"):
        choose(np.full((3, 2), 0.5), [0, 1, 0], method="spline")
    with pytest.raises(ArgumentError, match="class numbers from 0 to 1"):
        Temperature.fit(np.full((3, 2), 0.5), [0, 1, 2])
    with pytest.raises(ArgumentError, match="at least two classes"):
        Temperature.fit(np.full(3, 0.5), [0, 1, 1])


def test_a_free_map_on_few_rows_says_so():
    p = np.random.default_rng(0).random(300)
    with pytest.warns(PellucidWarning, match="300 rows: it wants 1,000"):
        choose(np.column_stack([1 - p, p]), (p > 0.5).astype(int), method="isotonic")


@pytest.mark.parametrize("method", ["vector", "isotonic", "temperature"])
def test_scores_of_calibrated_answers_promise_no_more_than_new_rows_get(method):
    """A free map fits the rows it was fitted on too well: sets by their scores held 81 to 88 % of new rows where 90 % were promised."""
    rng, covered = np.random.default_rng(0), []
    for _ in range(12):
        raw = rng.normal(size=(2200, 8))
        p = np.exp(2 * raw) / np.exp(2 * raw).sum(1, keepdims=True)
        y = (p.cumsum(1) < rng.random((2200, 1))).sum(1).clip(max=7)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = certify(p[:200], y[:200], None, task="classification", method=method, folds=None, by_folds=False, groups={})
        sets = found.conformals[0].sets_of(1 - found.calibrator.apply(p[200:]), 0.9)
        covered.append(sets[np.arange(2000), y[200:]].mean())
    assert np.mean(covered) == pytest.approx(0.9, abs=0.025)
    alone = held_out(found.calibrator, p[:200], y[:200])
    assert alone.shape == (200, 8)
    np.testing.assert_allclose(alone.sum(1), 1)
