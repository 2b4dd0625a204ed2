"""Conformal intervals and sets: closed forms, nesting, groups, folds, and coverage against its Beta law."""

import numpy as np
import pytest
from scipy import stats

from pellucid.errors import ArgumentError, ModelFileError, RequestError
from pellucid.results import plain
from pellucid.training.conformal import Conformal, beta_binomial_cdf, conformal_rank, coverage_range, quantile, randomised_pit


def test_the_smallest_tables_that_bound_anything():
    assert [conformal_rank(n, level) > n for n, level in ((8, 0.9), (9, 0.9), (18, 0.95), (19, 0.95), (98, 0.99), (99, 0.99))] == [
        True,
        False,
    ] * 3
    assert conformal_rank(99, 0.07) == 7
    assert quantile(np.arange(8.0), 0.9) == np.inf
    low, high = Conformal.fit_split(np.arange(5.0), np.zeros(5)).interval(np.zeros(2), 0.9)
    assert np.isinf(low).all()
    assert np.isinf(high).all()


def test_gaussian_noise_gives_z_sigma():
    rng = np.random.default_rng(0)
    n, sigma, level = 40_000, 3.0, 0.9
    c = Conformal.fit_split(rng.normal(0, sigma, n), np.zeros(n))
    low, high = c.interval(np.array([10.0]), level)
    z = stats.norm.ppf(0.95)
    error = np.sqrt(level * (1 - level) / n) / (2 * stats.norm.pdf(z)) * sigma  # standard error of a sample quantile
    assert (high[0] - low[0]) / 2 == pytest.approx(z * sigma, abs=4 * error)
    assert (high[0] + low[0]) / 2 == pytest.approx(10)


def test_normalised_intervals_follow_the_spread():
    rng = np.random.default_rng(1)
    s = rng.uniform(0.5, 4, 20_000)
    y = rng.normal(0, s)
    c = Conformal.fit_split(y, np.zeros(20_000), spread=s)
    _, high = c.interval(np.zeros(2), 0.9, spread=np.array([1.0, 3.0]))
    assert high[1] / high[0] == pytest.approx(3)
    assert high[0] == pytest.approx(stats.norm.ppf(0.95), abs=0.06)
    with pytest.raises(ArgumentError, match="positive"):
        c.interval(np.zeros(2), 0.9)


def test_intervals_and_sets_are_nested_in_the_level():
    rng = np.random.default_rng(2)
    numbers = Conformal.fit_folds(rng.normal(size=60), np.zeros(60), np.arange(60) % 5)
    p = rng.dirichlet(np.ones(4), 300)
    y = (rng.random(300)[:, None] > p.cumsum(1)).sum(1)
    classes = Conformal.fit_split(y, p)
    answers = rng.normal(size=(7, 5))
    before = None
    for level in (0.5, 0.8, 0.9, 0.99, 0.999):
        low, high = numbers.interval(answers, level)
        now = (-low, high, classes.sets(p, level).astype(float))
        assert before is None or all((b <= a).all() for a, b in zip(now, before))
        before = now
    assert classes.sets(p, 0.999).all()  # too few rows: nothing is excluded


def test_a_set_can_be_empty():
    c = Conformal.fit_split(np.zeros(99, int), np.tile([0.99, 0.01], (99, 1)))
    assert c.sets([[0.5, 0.5], [0.995, 0.005]], 0.9).tolist() == [[False, False], [True, False]]


def test_cv_plus_is_its_definition():
    rng = np.random.default_rng(3)
    n, k_folds, level = 50, 5, 0.8
    fold, y, oof, answers = rng.integers(0, k_folds, n), rng.normal(size=n), rng.normal(size=n), rng.normal(size=(4, k_folds))
    low, high = Conformal.fit_folds(y, oof, fold).interval(answers, level)
    residual = np.abs(y - oof)
    for i in range(4):
        up, down = np.sort(answers[i, fold] + residual), np.sort(answers[i, fold] - residual)
        assert high[i] == up[int(np.ceil(level * (n + 1))) - 1]
        assert low[i] == down[int(np.floor(round((1 - level) * (n + 1), 9))) - 1]


def test_cv_plus_sets_are_their_definition():
    rng = np.random.default_rng(4)
    n, level = 40, 0.8
    fold, y, oof = rng.integers(0, 3, n), rng.integers(0, 3, n), rng.dirichlet(np.ones(3), n)
    answers = rng.dirichlet(np.ones(3), (5, 3))
    got = Conformal.fit_folds(y, oof, fold).sets(answers, level)
    score = 1 - oof[np.arange(n), y]
    for i in range(5):
        for label in range(3):
            assert got[i, label] == ((score < 1 - answers[i, fold, label]).sum() < (1 - (1 - level)) * (n + 1) - 1e-9)


def test_identical_fold_models_give_the_split_answer():
    rng = np.random.default_rng(5)
    y, fold = rng.normal(size=200), np.arange(200) % 5
    c = Conformal.fit_folds(y, np.zeros(200), fold)
    np.testing.assert_allclose(
        c.interval(np.ones((3, 5)), 0.9), Conformal.fit_split(y, np.zeros(200)).interval(np.ones(3), 0.9), atol=1e-12
    )


def test_groups_have_their_own_quantile_and_small_ones_fall_back():
    rng = np.random.default_rng(6)
    labels = np.repeat(["calm", "wild", "rare"], [500, 500, 5])
    y = rng.normal(0, np.repeat([1.0, 5.0, 1.0], [500, 500, 5]))
    c = Conformal.fit_split(y, np.zeros(1005), groups={"mood": labels})
    _, high = c.interval(np.zeros(4), 0.9, group="mood", labels=["calm", "wild", "rare", "never seen"])
    _, pooled = c.interval(np.zeros(1), 0.9)
    assert high[0] == pytest.approx(1.645, abs=0.25)
    assert high[1] == pytest.approx(5 * 1.645, abs=1.2)
    assert high[2] == high[3] == pooled[0]
    assert c.fallback(0.9, "mood") == ("rare",)
    with pytest.raises(RequestError, match="'height'"):
        c.interval(np.zeros(1), 0.9, group="height", labels=["a"])


def test_state_comes_back_and_bad_input_is_named():
    rng = np.random.default_rng(7)
    c = Conformal.fit_folds(rng.normal(size=30), np.zeros(30), np.arange(30) % 3, groups={"g": np.arange(30) % 2})
    for state in (c.state(), plain(c.state())):
        back = Conformal.from_state(state)
        np.testing.assert_array_equal(
            back.interval(np.ones((2, 3)), 0.7, group="g", labels=["0", "1"]),
            c.interval(np.ones((2, 3)), 0.7, group="g", labels=["0", "1"]),
        )
    with pytest.raises(ModelFileError):
        Conformal.from_state({"kind": "lac"})
    with pytest.raises(RequestError, match="between 0 and 1"):
        c.interval(np.zeros(2), 90)
    with pytest.raises(RequestError, match="interval"):
        c.sets(np.zeros((2, 2)), 0.9)
    with pytest.raises(ArgumentError, match="missing or infinite"):
        Conformal.fit_split([1.0, np.nan], [0.0, 0.0])
    assert "at least 99 are needed" in c.promise(0.99)
    assert "84.8 % and 94.5 %" in Conformal.fit_split(np.arange(100.0), np.zeros(100)).promise(0.9)


def test_the_coverage_range_is_the_published_one():
    for n, known in ((100, (0.848, 0.945)), (500, (0.877, 0.921)), (1000, (0.884, 0.915))):
        assert coverage_range(n, 0.9) == pytest.approx(known, abs=6e-4)


def coverages(n_cal, n_test, level, repeats, seed):
    rng = np.random.default_rng(seed)
    out = np.empty(repeats, int)
    for r in range(repeats):
        c = Conformal.fit_split(rng.normal(size=n_cal), np.zeros(n_cal))
        _, high = c.interval(np.zeros(1), level)
        out[r] = (np.abs(rng.normal(size=n_test)) <= high[0]).sum()
    return out


def test_coverage_follows_the_beta_binomial():
    n_cal, n_test, level = 200, 500, 0.9
    pit = randomised_pit(coverages(n_cal, n_test, level, 300, 0), n_cal, level, n_test, np.random.default_rng(1))
    assert stats.kstest(pit, "uniform").pvalue > 0.01
    # the saboteur: a tenth of the scores gives the right coverage on average, but not this law
    wrong = randomised_pit(coverages(20, n_test, level, 300, 2), n_cal, level, n_test, np.random.default_rng(1))
    assert stats.kstest(wrong, "uniform").pvalue < 1e-4
    cdf = beta_binomial_cdf(n_cal, level, n_test)
    assert cdf[-1] == pytest.approx(1)
    assert (np.diff(cdf) >= 0).all()
    assert beta_binomial_cdf(5, 0.9, 3).tolist() == [0, 0, 0, 1]


@pytest.mark.long
@pytest.mark.parametrize(("n_cal", "level"), [(50, 0.8), (200, 0.9), (1000, 0.95)])
def test_coverage_follows_the_beta_binomial_in_thousands_of_draws(n_cal, level):
    pit = randomised_pit(coverages(n_cal, 2000, level, 3000, 3), n_cal, level, 2000, np.random.default_rng(4))
    assert stats.kstest(pit, "uniform").pvalue > 0.01


@pytest.mark.long
def test_cv_plus_keeps_its_promise_on_a_linear_model():
    rng = np.random.default_rng(5)
    n, folds, level, share = 60, 5, 0.9, []
    for _ in range(300):
        x, fold = rng.normal(size=(n, 5)), np.arange(n) % folds
        y = x.sum(1) + rng.normal(size=n)
        fits = [np.linalg.lstsq(x[fold != k], y[fold != k], rcond=None)[0] for k in range(folds)]
        oof = np.array([x[i] @ fits[fold[i]] for i in range(n)])
        new = rng.normal(size=(200, 5))
        low, high = Conformal.fit_folds(y, oof, fold).interval(new @ np.array(fits).T, level)
        truth = new.sum(1) + rng.normal(size=200)
        share.append(((low <= truth) & (truth <= high)).mean())
    assert np.mean(share) >= 2 * level - 1
    assert np.mean(share) == pytest.approx(level, abs=0.03)
