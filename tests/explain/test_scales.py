"""Occlusion of branches and least squares over trees of columns; RISE; seats."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.errors import RequestError
from pellucid.explain import explain
from pellucid.testing.predictors import FunctionPredictor, LinearPredictor, made_frame, made_table


@pytest.fixture(scope="module")
def table():
    return made_table(made_frame(60, 5, ()))


TREE = [["x1", "x2"], ["x3", ["x4", "x5"]]]


def by_name(made, row=0):
    return {" ".join(s): v for s, v in zip(made.sets, made.by_set[row, :, 0])}


@pytest.mark.parametrize("fill", ["marginal", "conditional", "baseline"])
def test_a_branch_is_worth_what_its_group_is_worth_alone(table, fill):
    model = FunctionPredictor(lambda m: m[:, 0] * m[:, 1] + np.sin(m[:, 2]) * m[:, 3], table)
    rows, background = table.take(slice(0, 4)), table.take(slice(20, 40))
    made = explain(model, rows, background=background, method="occlusion_multi", fill=fill, options={"tree": TREE})
    assert [len(s) for s in made.sets] == [1, 1, 1, 1, 1, 2, 2, 3, 5]
    group = explain(model, rows, background=background, method="occlusion", fill=fill, groups={"g": ["x3", "x4", "x5"]})
    single = explain(model, rows, background=background, method="occlusion", fill=fill)
    place = {s: k for k, s in enumerate(made.sets)}
    np.testing.assert_allclose(made.by_set[:, place["x3", "x4", "x5"], 0], group.values[:, 2], atol=1e-12)
    np.testing.assert_allclose(made.by_set[:, [place[f"x{j}",] for j in range(1, 6)], 0], single.values, atol=1e-12)
    np.testing.assert_allclose(made.by_set[:, place[model.columns], 0], single.predictions - single.base_values, atol=1e-12)


def test_a_copy_hides_a_column_and_the_branch_shows_both():
    x = np.random.default_rng(0).normal(size=80)
    table = made_table({"x": x, "copy": x, "other": np.random.default_rng(1).normal(size=80)})
    model = FunctionPredictor(lambda m: np.maximum(m[:, 0], m[:, 1]), table)
    row = table.take([int(np.argmax(x))])
    made = by_name(explain(model, row, background=table, method="occlusion_multi"))
    assert abs(made["x"]) < 1e-9
    assert abs(made["copy"]) < 1e-9
    assert made["x copy"] > 1


def test_an_additive_model_has_slopes_and_no_interactions(table):
    model = LinearPredictor([1, -2, 0, 3, 0.5], table, intercept=4.0)
    made = explain(model, table.take(slice(0, 6)), background=table, method="ls_tree", options={"tree": TREE})
    np.testing.assert_allclose(made.by_set[:, :5, 0], model.truth(table.take(slice(0, 6))), atol=1e-9)
    np.testing.assert_allclose(made.by_set[:, 5:], 0, atol=1e-9)


def test_a_planted_pair_is_the_top_branch_and_a_pair_is_its_moebius_term(table):
    model = FunctionPredictor(lambda m: m[:, 0] + 3 * m[:, 3] * m[:, 4] - m[:, 2], table)
    rows, background = table.take(slice(0, 8)), table.take(slice(20, 50))
    made = explain(model, rows, background=background, method="ls_tree", options={"tree": TREE})
    assert made.top(1)[0][0] == ("x4", "x5")
    moebius = explain(model, rows, background=background, method="interactions", options={"index": "mobius"})
    place, there = made.sets.index(("x4", "x5")), moebius.sets.index(("x4", "x5"))
    np.testing.assert_allclose(made.by_set[:, place], moebius.by_set[:, there], atol=1e-9)


@pytest.mark.parametrize("method", ["occlusion_multi", "ls_tree"])
def test_a_budget_that_is_too_small_says_what_is_needed(table, method):
    model = LinearPredictor([1, 1, 1, 1, 1], table)
    ask = lambda budget: explain(model, table, background=table, method=method, budget=budget, options={"tree": TREE})  # noqa: E731
    with pytest.raises(RequestError, match=r"at least (\d+) model rows") as refused:
        ask(500)
    need = int(str(refused.value).split("at least ")[1].split(" ")[0])
    assert ask(need).record.n_calls <= need


def test_random_masks_average_to_banzhaf_values(table):
    weights = np.random.default_rng(1).normal(size=(5, 4))
    model = FunctionPredictor(lambda m: np.sin(2 * m @ weights).sum(1), table)
    rows, background = table.take(slice(0, 10)), table.take(slice(20, 40))
    truth = explain(model, rows, background=background, method="banzhaf", budget=10**6)
    assert truth.error is None
    off, error = [], []
    for seed in range(6):
        made = explain(model, rows, background=background, method="rise", options={"masks": 600}, random_state=seed)
        assert made.record.n_calls <= 600 * 10 + 30
        off.append(made.values - truth.values)
        error.append(made.error)
    off, error = np.stack(off), np.stack(error)
    # 300 values that share masks within a draw: as if 100 independent, two and a half errors of a share of 95 % are .055
    assert (np.abs(off) <= 1.96 * error).mean() > 0.895
    assert 0.75 < np.sqrt((off**2).mean() / (error**2).mean()) < 1.25


def test_four_thousand_masks_rank_ten_columns_as_shapley_does():
    table = made_table(made_frame(80, 10, ()))
    weights = np.linspace(0.1, 2.0, 10)
    model = FunctionPredictor(lambda m: np.tanh(m * weights).sum(1) + 0.5 * m[:, 8] * m[:, 9], table)
    rows, background = table.take(slice(0, 5)), table.take(slice(20, 60))
    made = explain(model, rows, background=background, method="rise", budget=25_000, random_state=0)
    truth = explain(model, rows, background=background, method="shapley", precision=0.02, random_state=0)
    from scipy.stats import spearmanr

    assert np.mean([spearmanr(a, b).statistic for a, b in zip(made.values, truth.values)]) > 0.9


def test_seats_from_shapley_values(table):
    model = LinearPredictor([1, -2, 0, 3, 0.5], table)
    made = explain(model, table, method="dhondt", random_state=0, options={"seats": 50})
    votes = explain(model, table, background=table, method="shapley", random_state=0).mean_abs()
    np.testing.assert_array_equal(made.values, votes.seats(50).values)
    assert made.values.sum() == 50
    assert made.values[2] == 0
    assert (made.scale, made.method) == ("seats", "dhondt")
    assert made.record.settings["rank_correlation"] > 0.9
