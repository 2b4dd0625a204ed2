"""Selecting columns: control of false discoveries by definition, uniform p-values, bets that are fair, requests that are refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control, kstest

import pellucid as pld
from pellucid import registry
from pellucid.errors import ArgumentError, RequestError, TargetError
from pellucid.protocols import RowModel
from pellucid.select.betting import bet, payoffs, payoffs_of_draws, two_samples, witness_of_pairs
from pellucid.select.control import by_e_values, by_p_values, by_symmetry
from pellucid.select.forecast import Forecasts
from pellucid.select.irt import p_values
from pellucid.table import read_table
from pellucid.testing import checks_select, planted
from pellucid.testing.predictors import LinearPredictor, made_table, matrix
from pellucid.testing.samplers import GaussianRows, IgnoresTheRest

# ---------------------------------------------------------------- control


@pytest.mark.parametrize("control", ["bh", "by"])
def test_control_of_p_values_equals_scipy(control):
    p = np.random.default_rng(0).random(80) ** 3
    adjusted = false_discovery_control(p, method=control)
    assert (by_p_values(p, 0.1, control) == (adjusted <= 0.1)).all()
    assert by_p_values(p.reshape(8, 10), 0.1, control).shape == (8, 10)
    assert not by_p_values(np.ones(5), 0.1, control).any()


def test_control_of_e_values_by_definition():
    e = np.array([100.0, 14.0, 11.0, 2.0, 0.5])
    # m / (k level) = 50, 25, 16.7, ...: only the first is large enough
    assert by_e_values(e, 0.1).tolist() == [True, False, False, False, False]
    assert by_e_values(np.full(5, 10.0), 0.1).all()
    assert not by_e_values(np.ones(5), 0.1).any()


def test_control_by_symmetry_takes_the_smallest_threshold():
    t = np.array([5.0, 4.0, 3.0, 2.0, 1.0, -1.0, -2.5])
    best = min(z for z in np.abs(t) if (1 + (t <= -z).sum()) / max(1, (t >= z).sum()) <= 0.4)
    chosen, threshold = by_symmetry(t, 0.4)
    assert threshold == best == 3.0
    assert chosen.sum() == 3
    assert not by_symmetry(-np.abs(t), 0.4)[0].any()


# ---------------------------------------------------------------- the null


def test_p_values_are_uniform_under_exact_draws():
    """One row each of 2,000 tables; a Kolmogorov-Smirnov test on the 1 / 50 grid of p."""
    sampler = GaussianRows.equal(3, 0.6)
    table = sampler.rows(2000, 0)
    model = LinearPredictor([1.0, 2.0, -1.0], table)
    known = np.tile([False, True, True], (2000, 1))
    drawn = np.stack([model.raw(t)[:, 0] for t in sampler.sample(table, known, 49, 1)], axis=1)
    p, _ = p_values(model.raw(table)[:, 0], drawn)
    jitter = p - np.random.default_rng(0).random(2000) / 50
    assert kstest(jitter, "uniform").pvalue > 0.001


def test_saboteur_draws_that_ignore_the_rest_make_false_discoveries():
    """The check is seen to go red where the null draws are no null draws."""

    def call(here, seed):
        wrong = IgnoresTheRest(GaussianRows.equal(checks_select.COLUMNS, 0.95).covariance)
        x = wrong.rows(200, seed)
        y = matrix(x, x.columns)[:, :2].sum(1) + 0.5 * np.random.default_rng(seed).standard_normal(200)
        fitted = LinearPredictor([0.4, 0.4, 0.4, 0.4, 0.2, 0.2], x)  # what a ridge would give to columns that go together
        return pld.select(fitted, X=x, y=y, sampler=wrong, level=0.2, random_state=seed)

    with pytest.raises(AssertionError, match="are false"):
        checks_select.check_false_discoveries_stay_below_the_level(checks_select.Selector(call, False))


def test_a_bet_on_coins_is_fair():
    """Of 2,000 bets on fair payoffs at most 5 % reach 20 (Ville), and the mean wealth is 1."""
    payoff = np.random.default_rng(0).choice([-1.0, 1.0], (2000, 300))
    wealth, path = bet(payoff, 20.0)
    assert (path >= 20).any(1).mean() <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 2000)
    assert wealth.mean() == pytest.approx(1.0, abs=4 * wealth.std() / np.sqrt(2000))
    assert (path > 0).all()


def test_a_bet_on_a_biased_coin_is_won_the_sooner_the_more_biased():
    draw = np.random.default_rng(1)
    steps = []
    for bias in (0.6, 0.75, 0.95):
        _, path = bet(np.where(draw.random((50, 400)) < bias, 1.0, -1.0), 20.0)
        steps.append(np.median(np.where((path >= 20).any(1), (path >= 20).argmax(1), 400)))
    assert steps[0] > steps[1] > steps[2]


def test_witnesses_know_only_the_past():
    """Changing the last observations changes no earlier payoff."""
    x = np.random.default_rng(2).standard_normal((60, 1))
    kernel = np.exp(-((x - x.T) ** 2))
    other = kernel.copy()
    other[50:], other[:, 50:] = 0.3, 0.3
    full, cut = (payoffs(np.stack([two_samples(k, k * 0.9, k * 0.9, k)])) for k in (kernel, other))
    np.testing.assert_array_equal(full[:, :50], cut[:, :50])
    np.testing.assert_array_equal(witness_of_pairs(kernel, kernel)[:25], witness_of_pairs(other, other)[:25])


@pytest.mark.parametrize("kind", ["conditional", "marginal"])
def test_bets_find_planted_columns_and_order_them_by_strength(kind):
    draw = np.random.default_rng(3)
    x = draw.standard_normal((1000, 4))
    frame = pd.DataFrame(x, columns=list("abcd")).assign(y=2.0 * x[:, 0] + 0.8 * x[:, 1] + 0.5 * draw.standard_normal(1000))
    made = pld.select(frame, target="y", method="skit", random_state=0, options={"kind": kind})
    assert made.names == ("a", "b")
    assert made.steps[0] < made.steps[1]
    assert made.control == "e-bh"


def test_a_bet_sees_weaker_columns_beside_a_strong_one():
    """Eight columns that go together, 500 rows: 2, 1, 1 and .5 times a column, whose own part has a spread of .7, under noise of 1."""
    draw = np.random.default_rng(2000)
    x = draw.standard_normal((500, 8)) @ np.linalg.cholesky(0.5 * np.ones((8, 8)) + 0.5 * np.eye(8)).T
    frame = pd.DataFrame(x, columns=list("abcdefgh")).assign(y=x @ [2, 1, 1, 0.5, 0, 0, 0, 0] + draw.standard_normal(500))
    made = pld.select(frame, target="y", method="skit", random_state=0)
    assert {"a", "b", "c"} <= set(made.names) <= {"a", "b", "c", "d"}
    assert made.steps[0] < min(made.steps[1:3])


def test_forecasts_change_sides_with_the_cells_and_know_only_the_past():
    draw = np.random.default_rng(0)
    x, new = draw.standard_normal((2, 60, 2))
    y = x[:, :1] + 0.1 * draw.standard_normal((60, 1))
    plain = Forecasts(x @ x.T, y).gains(x @ new.T)
    last, other, goal = x.copy(), new.copy(), y.copy()
    last[59], other[59] = new[59], x[59]
    exchanged = Forecasts(last @ last.T, y).gains(last @ other.T)
    np.testing.assert_allclose(exchanged[:59], plain[:59])
    assert exchanged[59] == pytest.approx(-plain[59])
    goal[50:] = 7.0
    np.testing.assert_array_equal(Forecasts(x @ x.T, goal).gains(x @ new.T)[:50], plain[:50])


def test_steps_are_observations():
    """A pair of observations is one step of the marginal bet: with everything to be seen it wins in far fewer steps than it has rows."""
    x = np.random.default_rng(6).standard_normal(120)
    made = pld.select(pd.DataFrame({"a": x, "y": x}), target="y", method="skit", random_state=0, options={"kind": "marginal"})
    assert made.steps[0] % 2 == 0
    assert 40 < made.steps[0] <= 120  # the first 20 pairs only teach the scale
    assert f"after {made.steps[0]:.0f} observations" in made.words


def test_a_copy_adds_nothing_beyond_and_tells_something_by_itself():
    draw = np.random.default_rng(4)
    a = draw.standard_normal(800)
    frame = pd.DataFrame({"a": a, "copy": a + 0.3 * draw.standard_normal(800), "y": a + 0.2 * draw.standard_normal(800)})
    beyond, alone = (
        pld.select(frame, target="y", method="skit", random_state=0, options={"kind": kind}).names for kind in ("conditional", "marginal")
    )
    assert beyond == ("a",)
    assert alone == ("a", "copy")


def test_bets_on_single_rows_find_the_cells_that_count():
    sampler = GaussianRows.equal(4, 0.2)
    table = sampler.rows(300, 0)
    model = LinearPredictor([2.0, 0.0, 0.0, 0.0], table)
    rows = made_table({"x1": [2.5, -2.5], "x2": [2.5, 0.0], "x3": [0.0, 0.0], "x4": [0.0, -2.5]})
    made = pld.select(
        model, X=rows, background=table, method="skit", sampler=sampler, random_state=0, options={"kind": "local", "steps": 200}
    )  # fmt: skip
    assert made.chosen[:, 0].all()
    assert made.chosen.shape == (2, 4)
    assert made.of_row(0)[0] == "x1"


@pytest.mark.long
def test_few_bets_on_null_columns_are_won_in_500_tables():
    """Both nulls of whole tables at 5 %, two Monte-Carlo standard errors."""
    for kind in ("conditional", "marginal"):
        won = 0
        for seed in range(500):
            draw = np.random.default_rng(seed)
            frame = pd.DataFrame(draw.standard_normal((200, 1)), columns=["a"]).assign(y=draw.standard_normal(200))
            options = {"kind": kind, "steps": 100}
            made = pld.select(
                frame, target="y", method="skit", level=0.05, sampler=_Fresh(), random_state=seed, options=options
            )  # fmt: skip
            won += made.chosen.sum()
        assert won / 500 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 500)


class _Fresh:
    """Draws of a column that has nothing to do with the others."""

    def sample(self, table, known, n, seed):
        draw = np.random.default_rng(seed)
        return [table.with_cells({"a": draw.standard_normal(len(table))}) for _ in range(n)]


# ---------------------------------------------------------------- as it is used


def test_cells_that_raise_the_answer_do_not_hide_those_that_lower_it():
    """Two cells a row are far off, either way: asked for its own side or for what raises it, the one kind counts against the other."""
    found, false = {"away": [], "answer": [], "up": []}, []
    for seed in range(8):
        sampler, draw = GaussianRows.equal(6, 0.3), np.random.default_rng(seed)
        table, reference = sampler.rows(60, seed), sampler.rows(100, seed + 1000)
        far = draw.random((60, 6)).argsort(1) < 2
        far[30:] = False
        cells = np.where(far, draw.choice([-5.0, 5.0], (60, 6)), matrix(table, table.columns))
        (table,) = sampler.sample(made_table(dict(zip(table.columns, cells.T))), far, 1, seed)
        model = LinearPredictor([1.0] * 6, reference)
        for side, shares in found.items():
            asked = {"background": reference, "sampler": sampler, "level": 0.2, "random_state": seed, "options": {"side": side}}
            chosen = pld.select(model, X=table, method="osft", **asked).chosen
            shares.append(chosen[far].mean())
            false += [chosen[~far].sum() / max(1, chosen.sum())] if side == "away" else []
    assert np.mean(found["away"]) > 0.7
    assert max(np.mean(found["answer"]), np.mean(found["up"])) < 0.3
    assert np.mean(false) < 0.25


def test_a_bet_against_many_draws_wins_on_classes():
    """Weights 2 and 1 of a class in 200 rows: held against one drawn cell, the second was found in 13 of 100 tables."""
    found = []
    for seed in range(12):
        sampler, draw = GaussianRows.equal(5, 0.0), np.random.default_rng(seed)
        table = sampler.rows(200, seed)
        y = np.where(draw.random(200) < 1 / (1 + np.exp(-matrix(table, table.columns) @ [2, 1, 0, 0, 0])), "yes", "no")
        known = made_table({c: table.numbers(c) for c in table.columns} | {"y": y}, target="y")
        found.append(pld.select(known, method="skit", level=0.05, sampler=sampler, random_state=seed).chosen)
    share = np.mean(found, 0)
    assert share[0] == 1
    assert share[1] >= 0.4
    assert share[2:].max() <= 1 / 12


def test_payoffs_of_many_draws_are_a_fair_game():
    """Where the true cell is one of the drawn ones, no payoff can be expected, however skewed the losses."""
    draw = np.random.default_rng(0)
    losses = draw.exponential(size=(2000, 60, 5)) ** 2
    paid = payoffs_of_draws(losses[..., 1:] - losses[..., :1])[:, 20:]
    assert np.abs(paid.mean()) < 4 * paid.mean(1).std() / np.sqrt(2000)
    assert paid.min() > -2
    wealth, _ = bet(payoffs_of_draws(losses[..., 1:] - losses[..., :1]), 1e9)
    assert (wealth >= 20).mean() < 0.05


def test_a_table_needs_no_model():
    made = planted.made("plane", 800, seed=1, noise=0.5)
    chosen = pld.select(made.table, random_state=0)
    assert {"x1", "x2"} <= set(chosen.names)
    assert len(chosen.names) <= 4
    assert "boosted trees" in chosen.record.caveats[0]
    assert chosen.to_frame()["p"].between(0, 1).all()


def test_classes_levels_and_gaps():
    made = planted.made("number and level", 900, seed=2, noise=None)
    frame = made.table.frame.copy()
    frame.loc[::9, "x3"] = np.nan
    table = read_table(frame, target="y", types={"y": "category"})
    for method in registry.names("select"):
        options = {"draws": 49} if method == "conditional_randomisation" else {"draws": 19} if method == "irt" else {}
        answer = pld.select(table, method=method, random_state=0, options=options)
        assert answer.columns == table.features
        if method == "conditional_randomisation":
            assert {"x1", "c1"} <= set(answer.names)


def test_models_of_ours_and_from_elsewhere():
    from sklearn.linear_model import LogisticRegression

    draw = np.random.default_rng(5)
    frame = pd.DataFrame(draw.standard_normal((600, 4)), columns=list("abcd"))
    y = np.where(2 * frame["a"] - frame["b"] + 0.5 * draw.standard_normal(600) > 0, "yes", "no")
    model = LogisticRegression().fit(frame[:300], y[:300])
    made = pld.select(model, X=frame[300:], y=y[300:], background=frame[:300], random_state=0)
    assert set(made.names) == {"a", "b"}
    # the loss of a class against all others is the same whichever of two is named; labels are read by their canonical text
    for output in ("no", "yes"):
        named = pld.select(model, X=frame[300:], y=y[300:], background=frame[:300], output=output, random_state=0)
        assert named.statistic == pytest.approx(made.statistic)
    coded = LogisticRegression().fit(frame[:300], (y[:300] == "yes").astype(int))
    floats = pld.select(coded, X=frame[300:], y=(y[300:] == "yes").astype(float), background=frame[:300], random_state=0)
    assert floats.statistic == pytest.approx(made.statistic)
    rows = pld.select(model, X=frame[300:330], background=frame[:300], method="irt", random_state=0)
    assert rows.chosen.shape == (30, 4)
    assert rows.index.tolist() == list(range(300, 330))


def test_one_of_several_outputs_is_judged_by_its_own_truth():
    from sklearn.linear_model import LinearRegression, LogisticRegression

    draw = np.random.default_rng(6)
    frame = pd.DataFrame(draw.standard_normal((300, 3)), columns=list("abc"))
    y = np.array(["p", "q", "r"])[frame.to_numpy().argmax(1)]
    model = LogisticRegression().fit(frame, y)
    made = pld.select(model, X=frame, y=y, background=frame, output="p", random_state=0)
    assert made.statistic.argmax() == 0
    assert made.statistic.min() > 0
    both = np.column_stack([frame["a"], 2 * frame["b"]])
    numbers = LinearRegression().fit(frame, both)
    for truth in (both, both[:, 1]):
        assert pld.select(numbers, X=frame, y=truth, background=frame, output="output_1", random_state=0).names == ("b",)
    assert pld.select(numbers, X=frame, y=both, background=frame, random_state=0).names == ("a", "b")


def test_a_row_model_can_draw():
    sampler = GaussianRows.equal(3, 0.1)
    assert hasattr(RowModel, "sample")
    table = sampler.rows(100, 0)
    made = pld.select(LinearPredictor([1.0, 0.0, 0.0], table), X=table, sampler=sampler, method="irt", random_state=0)
    assert made.record.settings["sampler"] == "GaussianRows"
    assert not made.chosen[:, 1:].any()  # what the model does not read has p = 1


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"level": 0.0}, RequestError, "level"),
        ({"method": "knockoffs"}, RequestError, "unknown select method"),
        ({"options": {"drws": 3}}, RequestError, "Did you mean .draws"),
        ({"options": 3}, ArgumentError, "options"),
        ({"options": {"draws": 3}}, RequestError, "reject nothing"),
        ({"options": {"control": "none"}}, RequestError, "unknown control"),
        ({"sampler": 3}, ArgumentError, "cannot draw"),
        ({"y": np.zeros(3)}, TargetError, "different lengths"),
        ({"y": None}, RequestError, "Pass y="),
        ({"X": None}, RequestError, "Pass X="),
        ({"method": "skit", "options": {"kind": "global"}}, RequestError, "unknown kind"),
        ({"method": "skit", "options": {"steps": 3}}, RequestError, "steps"),
        ({"method": "osft", "options": {"side": "left"}}, RequestError, "unknown side"),
    ],
)
def test_wrong_requests_are_refused(options, error, match):
    table = GaussianRows.equal(3, 0.0).rows(80, 0)
    model = LinearPredictor([1.0, 0.0, 0.0], table)
    call = {"X": table, "y": np.zeros(80), "random_state": 0} | options
    with pytest.raises(error, match=match):
        pld.select(model, **call)
