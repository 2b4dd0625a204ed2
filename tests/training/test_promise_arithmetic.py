"""Oracles of the arithmetic of promises: closed forms, enumeration, and published figures."""

import numpy as np
import pytest
from scipy import stats

from pellucid.errors import ArgumentError, RequestError
from pellucid.training.adaptive import adaptive_scores, own_scores
from pellucid.training.conformal import Conformal
from pellucid.training.coverage_law import least_rows
from pellucid.training.risk_control import control, upper_bound
from pellucid.training.selective import areas, best_area, curve_with_band, paired_areas, risk_curve
from pellucid.training.shifted import effective_rows, weighted_quantile
from pellucid.training.watching import band_of, mixture_wealth, wealth


def test_the_fewest_rows_are_9_19_and_99():
    assert [least_rows(level) for level in (0.9, 0.95, 0.99)] == [9, 19, 99]


def test_adaptive_scores_are_their_definition():
    rng = np.random.default_rng(0)
    p, u, y = rng.dirichlet(np.ones(5), 60), rng.random(60), rng.integers(0, 5, 60)
    got = adaptive_scores(p, u, 0.03, 1)
    for i in range(60):
        for c in range(5):
            rank = int((p[i] > p[i, c]).sum())
            assert got[i, c] == pytest.approx(p[i][p[i] > p[i, c]].sum() + u[i] * p[i, c] + 0.03 * max(rank + 1 - 1, 0))
    np.testing.assert_array_equal(own_scores(p, y, u, 0.03, 1), got[np.arange(60), y])
    assert adaptive_scores(np.full((1, 4), 0.25), 1.0)[0] == pytest.approx([0.25, 0.5, 0.75, 1.0])  # ties in the order of the classes


def test_equal_weights_give_the_plain_bound_and_unequal_ones_the_definition():
    rng = np.random.default_rng(1)
    s = np.sort(rng.random(120))
    for level in (0.5, 0.8, 0.9, 0.95, 0.99):
        plain = Conformal.fit_scores("any", s).bounds(2, level)
        np.testing.assert_array_equal(weighted_quantile(s, np.full(120, 2.5), np.full(2, 2.5), level), plain)
    w, v = rng.random(120), np.array([0.3, 50.0, np.inf])
    got = weighted_quantile(s, w, v, 0.8)
    for value, own in zip(got[:2], v):
        mass = [w[s <= t].sum() / (w.sum() + own) for t in s]
        assert value == (s[np.argmax(np.array(mass) >= 0.8)] if max(mass) >= 0.8 else np.inf)
    assert got[2] == np.inf
    assert effective_rows(np.ones(80)) == pytest.approx(80)
    with pytest.raises(RequestError, match="at least 50 effective rows"):
        weighted_quantile(s, np.r_[np.full(20, 100.0), np.full(100, 1e-6)], np.ones(1), 0.9)
    with pytest.raises(ArgumentError, match="finite weights"):
        weighted_quantile(s, np.ones(3), np.ones(1), 0.9)


def test_bands_may_shrink_and_follow_groups_and_folds():
    rng = np.random.default_rng(2)
    y = rng.normal(size=999)
    fit = Conformal.fit_scores("quantile", np.abs(y) - 5.0)  # a pair (-5, 5) that is far too wide
    low, high = fit.band([-5.0], [5.0], 0.9)
    assert high[0] == pytest.approx(1.645, abs=0.2)  # Q is negative
    assert low[0] == -high[0]
    size = rng.uniform(1, 2, (4, 3))
    f, fold, score = rng.normal(size=(4, 3)), np.arange(60) % 3, rng.random(60)
    cv = Conformal.fit_scores("normalised", score, folds=fold)
    _, high = cv.band(f, f, 0.8, size=size)
    for i in range(4):
        values = sorted(f[i, fold] + size[i, fold] * score)
        assert high[i] == pytest.approx(values[int(np.ceil(61 * 0.8)) - 1])
    with pytest.raises(RequestError, match="held out"):
        cv.band(f, f, 0.8, group="g", labels=["a"] * 4, shares={"a": 1.0})


def test_a_stated_shift_is_the_weighted_quantile_by_hand():
    labels = np.repeat(["a", "b"], [300, 100])
    score = np.r_[np.linspace(0, 1, 300), np.linspace(0, 4, 100)]
    fit = Conformal.fit_scores("absolute", score, groups={"g": labels})
    _, new = fit.shifted("g", np.array(["a", "b", "c"]), {"a": 1.0, "b": 1.0})
    assert new.tolist() == [pytest.approx(0.5 / 0.75), pytest.approx(0.5 / 0.25), np.inf]
    bound = fit.bounds(2, 0.8, group="g", labels=np.array(["a", "b"]), shares={"a": 0.5, "b": 0.5})
    order = np.argsort(score, kind="stable")
    weight = np.where(labels == "a", 2 / 3, 2.0)
    np.testing.assert_array_equal(bound, weighted_quantile(score[order], weight[order], new[:2], 0.8))
    assert bound[0] > fit.bounds(1, 0.8)[0]
    with pytest.raises(RequestError, match="levels without a held-out row: z"):
        fit.shifted("g", [], {"z": 1.0})


def test_the_upper_bound_is_clopper_and_pearsons():
    for k, n in ((0, 30), (3, 40), (17, 200)):
        assert upper_bound(k, n, 0.95) == pytest.approx(stats.beta.ppf(0.95, k + 1, n - k))
        assert stats.binom.cdf(k, n, upper_bound(k, n, 0.95)) == pytest.approx(0.05)
    assert upper_bound(4, 4) == 1
    assert upper_bound(0, 0) == 1


def test_a_threshold_is_found_where_the_risk_allows_it_and_none_where_not():
    rng = np.random.default_rng(3)
    doubt, grid = rng.random(5000), np.linspace(0, 1, 101)
    found = control(doubt, rng.random(5000) < doubt, grid, 0.2)  # risk at t is t / 2
    assert 0.3 < found.threshold < 0.4
    assert found.upper < 0.2
    assert "with 95 % confidence" in found.words
    none = control(doubt, np.ones(5000), grid, 0.2)
    assert none.threshold == -np.inf
    assert "no threshold" in none.words
    everyone = control(doubt, np.zeros(5000), np.append(grid, np.inf), 0.01)
    assert everyone.threshold == np.inf
    with pytest.raises(RequestError, match="between 0 and 1"):
        control(doubt, doubt > 1, grid, 20)


def test_many_rows_that_keep_a_promise_better_win_no_bet_that_it_is_broken():
    # the tail of a Beta law is below what a number holds here; taken for 1e-300 it made 20,000 rows at 95 % coverage prove less than 87 %
    hits, edge = np.tile([1.0] + [0.0] * 19, 1000), 0.13
    p = edge + np.linspace(0, 0.01, 200_001)
    ratio = np.exp(1000 * np.log(p / edge) + 19_000 * np.log((1 - p) / (1 - edge)))
    won = mixture_wealth(hits, edge)
    assert won[-1] == pytest.approx(np.trapezoid(ratio, p) / (1 - edge), rel=0.01)
    assert won.max() < 20


def test_wealth_is_the_integral_of_likelihood_ratios():
    hits, edge = np.array([1, 0, 1, 1, 0]), 0.3
    p = np.linspace(edge, 1, 200_001)
    for t in range(1, 6):
        h = hits[:t].sum()
        ratio = (p / edge) ** h * ((1 - p) / (1 - edge)) ** (t - h)
        assert mixture_wealth(hits, edge)[t - 1] == pytest.approx(np.trapezoid(ratio, p) / (1 - edge), rel=1e-4)
    both = [mixture_wealth(np.array(path), edge)[-1] for path in np.ndindex(2, 2, 2)]
    chance = [edge ** sum(path) * (1 - edge) ** (3 - sum(path)) for path in np.ndindex(2, 2, 2)]
    assert np.dot(both, chance) == pytest.approx(1)  # a fair game at the edge
    assert (mixture_wealth([1, 1], 1.0) == 1).all()
    assert band_of(500, 0.9, by_folds=True) == (pytest.approx(0.8), 1.0)
    below, above = wealth(np.zeros(100, bool), band_of(1000, 0.9))
    assert below[-1] > 1e6
    assert above[-1] < 1


def test_areas_by_enumeration_and_closed_form():
    doubt, loss = np.array([0.1, 0.5, 0.5, 0.9]), np.array([0.0, 1.0, 0.0, 1.0])
    orders = [[0, 1, 2, 3], [0, 2, 1, 3]]
    risks = [np.cumsum(loss[o]) / np.arange(1, 5) for o in orders]
    np.testing.assert_allclose(risk_curve(doubt, loss), np.mean(risks, 0))
    found = areas(doubt, loss)
    assert found.area == pytest.approx(np.mean(risks))
    assert found.joint == pytest.approx(np.mean([np.cumsum(loss[o]) for o in orders]) / 4)
    assert best_area(0.2) == pytest.approx(0.0215, abs=5e-5)
    assert areas([1, 2, 3], [3.0, 2.0, 1.0]).best == pytest.approx(np.mean([1, 1.5, 2]))
    with pytest.raises(ArgumentError, match="one number of each"):
        areas([1.0], [1.0, 2.0])


def test_bands_of_the_curve_and_paired_differences_cover():
    rng = np.random.default_rng(4)
    doubt = rng.random(800)
    loss = (rng.random(800) < doubt).astype(float)
    at, risk, low, high, ends = curve_with_band(doubt, loss, draws=100)
    assert (low <= risk + 1e-12).all()
    assert (risk <= high + 1e-12).all()
    assert at[-1] == 1
    np.testing.assert_allclose(risk[-1], loss.mean())
    assert ends[0] < 0.25 < ends[1]  # the mean of c / 2
    gap, lo, hi = paired_areas(doubt, np.zeros(800), loss, draws=100)
    assert lo < gap < hi < 0
    same = paired_areas(doubt, 3 * doubt, loss, draws=20)
    assert same == (0, 0, 0)
