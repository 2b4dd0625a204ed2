"""Banzhaf values, stratified and plain sampling against brute force, and the errors they state."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from test_games import brute, order_two, play, random_tables

from pellucid.errors import RequestError
from pellucid.explain import explain
from pellucid.explain.banzhaf import BANZHAF, flip_cost, flips
from pellucid.explain.games import exact
from pellucid.explain.shapley_sampling import orders
from pellucid.explain.shapley_stratified import arc_cost, arcs
from pellucid.testing.oracles import RESTAURANT_INDICES, restaurant
from pellucid.testing.predictors import FunctionPredictor, LinearPredictor, made_frame, made_table


def brute_banzhaf(table, players):
    """The definition: the mean rise over all coalitions of the others."""
    out = []
    for j in range(players):
        others = [i for i in range(players) if i != j]
        sets = [sum(1 << i for i in s) for r in range(players) for s in itertools.combinations(others, r)]
        out.append(np.mean([table[s | 1 << j] - table[s] for s in sets], axis=0))
    return np.stack(out)


@pytest.fixture(scope="module")
def rough():
    """A model with interactions of several columns, rows and background in 8 columns."""
    table = made_table(made_frame(40, 8, ()))
    weights = np.random.default_rng(1).normal(size=(8, 5))
    model = FunctionPredictor(lambda m: np.sin(2 * m @ weights).sum(1) + m[:, :4].prod(1), table)
    return model, table.take(slice(0, 10)), table.take(slice(16, 40))


def test_banzhaf_values_of_the_restaurant_and_of_random_games():
    model, row, background = restaurant()
    values = explain(model, row, background=background, method="banzhaf").values[0]
    np.testing.assert_allclose(values, list(RESTAURANT_INDICES["Banzhaf"].values()), atol=1e-9)
    tables = random_tables(3, 5, outputs=2)
    np.testing.assert_allclose(BANZHAF.exact(play(tables)[0], np.arange(3)), [brute_banzhaf(t, 5) for t in tables], atol=1e-12)


def test_banzhaf_values_are_the_slopes_of_least_squares_through_all_coalitions():
    table = random_tables(1, 5, seed=8)
    bits = (np.arange(32)[:, None] >> np.arange(5)) & 1
    slopes = np.linalg.lstsq(np.column_stack([np.ones(32), bits]), table[0, :, 0], rcond=None)[0][1:]
    np.testing.assert_allclose(BANZHAF.exact(play(table)[0], np.array([0]))[0, :, 0], slopes, atol=1e-12)


@pytest.mark.parametrize(("one_pass", "cost", "values"), [(flips, flip_cost, BANZHAF.exact), (arcs, arc_cost, exact)])
def test_one_pass_is_exact_up_to_two_interacting_players(one_pass, cost, values):
    games, calls = play(order_two(20, 6))
    made, half = one_pass(games, np.arange(20), 0, 0)
    np.testing.assert_allclose(made, values(games, np.arange(20)), atol=1e-9)
    assert calls[0] == 20 * cost(6)
    assert np.abs(half).max() > 0.01  # each half alone is not


@pytest.mark.parametrize(("one_pass", "oracle"), [(flips, brute_banzhaf), (arcs, brute)])
def test_passes_are_unbiased(one_pass, oracle):
    tables = random_tables(1, 5, seed=3)
    values, _ = one_pass(play(np.repeat(tables, 4000, axis=0))[0], np.arange(4000), 0, 0)
    error = values.std(0) / np.sqrt(4000)
    assert (np.abs(values.mean(0) - oracle(tables[0], 5)) < 4 * error).all()


def test_circles_and_orders_are_complete_and_orders_unbiased():
    tables = random_tables(1, 5, seed=4)
    games, _ = play(np.repeat(tables, 4000, axis=0))
    np.testing.assert_allclose(arcs(games, np.arange(4000), 0, 0)[0].sum(1), games.end - games.start, atol=1e-12)
    values = orders(games, 0)
    np.testing.assert_allclose(values.sum(1), games.end - games.start, atol=1e-12)
    assert (np.abs(values.mean(0) - brute(tables[0], 5)) < 4 * values.std(0) / np.sqrt(4000)).all()


def test_a_circle_leaves_less_to_chance_than_an_order():
    tables = random_tables(1, 6, seed=5)
    games, _ = play(np.repeat(tables, 1000, axis=0))
    circle, order = arcs(games, np.arange(1000), 0, 0)[0].var(0).mean(), orders(games, 0).var(0).mean()
    assert circle * 30 < order * 5  # 30 evaluations against 5: better at equal cost


@pytest.mark.parametrize(
    ("method", "exact_method"), [("banzhaf", None), ("shapley_sampling", "shapley_exact"), ("shapley_stratified", "shapley_exact")]
)
def test_stated_errors_cover(rough, method, exact_method):
    model, rows, background = rough
    if exact_method is None:
        truth = explain(model, rows, background=background, method=method, budget=10**7)
        assert truth.error is None
    else:
        truth = explain(model, rows, background=background, method=exact_method)
    budget = {"banzhaf": 14_000, "shapley_sampling": 4000, "shapley_stratified": 30_000}[method]
    off, error = [], []
    for seed in range(6):
        made = explain(model, rows, background=background, method=method, budget=budget, random_state=seed)
        assert made.record.n_calls <= budget
        assert (made.error > 0).any()
        off.append(made.values - truth.values)
        error.append(made.error)
    off, error = np.stack(off), np.stack(error)
    cover = (np.abs(off) <= 1.96 * error).mean()
    # 480 values, some tied by common draws: as if 150 independent, two and a half errors of a share of 95 % are .045
    assert cover >= 0.905
    assert 0.6 < np.sqrt((off**2).mean() / (error**2).mean()) < 1.25


@pytest.mark.parametrize("method", ["banzhaf", "shapley_sampling", "shapley_stratified"])
def test_a_smaller_precision_costs_more_and_is_reached(rough, method):
    model, rows, background = rough
    loose, tight = (explain(model, rows, background=background, method=method, precision=p, random_state=0) for p in (0.3, 0.1))
    assert loose.record.n_calls < tight.record.n_calls
    for answer, precision in ((loose, 0.3), (tight, 0.1)):
        if answer.error is not None:
            reached = np.sqrt((answer.error**2).mean(1)) / np.abs(answer.values).mean(1)
            assert (reached <= precision * (1 + 1e-9)).all()


def test_plain_sampling_states_its_gap_and_needs_two_orders(rough):
    model, rows, background = rough
    made = explain(model, rows, background=background, method="shapley_sampling", precision=0.1, random_state=0)
    np.testing.assert_allclose(made.gap, made.predictions - made.base_values - made.values.sum(1), atol=1e-9)
    with pytest.raises(RequestError, match="two orders"):
        explain(model, rows, background=background, method="shapley_sampling", budget=100)


def test_plain_sampling_follows_the_conditional_fill():
    x = np.repeat(np.random.default_rng(0).normal(size=30), 2)
    table = made_table({"x": x, "copy": x, "other": np.random.default_rng(1).normal(size=60)})
    model = LinearPredictor([1.0, 0.0, 0.5], table)
    rows = table.take(slice(0, 6))
    truth = explain(model, rows, background=table, method="shapley_exact", fill="conditional")
    made = explain(model, rows, background=table, method="shapley_sampling", fill="conditional", precision=0.05, random_state=0)
    assert (np.abs(made.values - truth.values) <= 4.5 * made.error + 1e-9).all()


def test_evaluations_per_row_are_reported(rough):
    model, rows, background = rough
    made = explain(model, rows, background=background, method="banzhaf", precision=0.2)
    assert made.record.settings["evals_per_row"] == pytest.approx(made.record.n_calls / len(rows), abs=0.1)
