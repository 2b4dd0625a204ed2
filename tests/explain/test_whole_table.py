"""SAGE, Sobol indices and Friedman's H against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.errors import RequestError
from pellucid.explain import explain
from pellucid.testing.predictors import FunctionPredictor, LinearPredictor, made_frame, made_table

WEIGHTS = np.array([1.0, -2.0, 0.0, 0.5])


def se(made):
    return (made.interval[:, 1] - made.values) / 1.96


def test_sage_of_a_linear_model_under_squared_error():
    frame = made_frame(3000, 4, ())
    table = made_table(frame)
    model = LinearPredictor(WEIGHTS, table)
    y = model.raw(table)[:, 0] + np.random.default_rng(0).normal(size=3000)
    background = table.take(slice(0, 200))
    made = explain(model, table, method="sage", y=y, background=background, random_state=0, budget=1_200_000)
    truth = np.square(WEIGHTS)  # w^2 Var x for the true model
    noise = 2 * np.abs(WEIGHTS) * np.sqrt(1 / 200)  # the background's means are off by 1 / sqrt(200)
    assert (np.abs(made.values - truth) <= 4 * se(made) + 4 * noise * np.abs(WEIGHTS)).all()
    assert made.values[2] == pytest.approx(0, abs=1e-12)
    assert made.scale == "squared error"
    assert made.top(2) == ("x2", "x1")


def test_sage_adds_up_to_the_fall_of_the_loss_and_says_whether_it_converged():
    table = made_table(made_frame(120, 3, (3,)))
    model = FunctionPredictor(lambda x: x[:, 0] * x[:, 1] + x[:, 3], table)
    y = model.raw(table)[:, 0] + 1.0
    made = explain(model, table, method="sage", y=y, random_state=0, precision=0.2, background=table.take(slice(0, 40)))
    settings = made.record.settings
    assert made.values.sum() == pytest.approx(settings["total"], abs=1e-9)
    assert settings["converged"]
    assert settings["convergence"] <= 0.2
    short = explain(model, table, method="sage", y=y, random_state=0, background=table.take(slice(0, 40)), budget=4000)
    assert not short.record.settings["converged"]
    assert short.record.n_calls <= 4000
    assert any("stopped" in c for c in short.record.caveats)
    assert short.values.sum() == pytest.approx(short.record.settings["total"], abs=1e-9)
    with pytest.raises(RequestError, match="at least"):
        explain(model, table, method="sage", y=y, background=table, budget=500)


def test_sage_of_two_players_by_brute_force():
    table = made_table(made_frame(30, 2, ()))
    model = FunctionPredictor(lambda x: x[:, 0] * x[:, 1] + x[:, 0], table)
    y = np.random.default_rng(1).normal(size=30)
    made = explain(model, table, method="sage", y=y, background=table, random_state=0, budget=30 * 60 * 4)
    x = table.frame.to_numpy()
    f = lambda a, b: a * b + a  # noqa: E731
    v = {
        "": np.square(f(x[:, 0], x[:, 1]).mean() - y).mean(),
        "1": np.square(f(x[:, :1], x[None, :, 1]).mean(1) - y).mean(),
        "2": np.square(f(x[None, :, 0], x[:, 1:]).mean(1) - y).mean(),
        "12": np.square(f(x[:, 0], x[:, 1]) - y).mean(),
    }
    truth = [(v[""] - v["1"] + v["2"] - v["12"]) / 2, (v[""] - v["2"] + v["1"] - v["12"]) / 2]
    np.testing.assert_allclose(made.values, truth, atol=1e-9)  # an order and its reverse are all orders of two


def test_sage_of_classes_speaks_of_log_loss():
    table = made_table(made_frame(200, 2, ()))
    label = np.where(table.frame.x1 > 0, "yes", "no")
    model = FunctionPredictor(lambda m: 1 / (1 + np.exp(-3 * m[:, 0])), table, outputs=("yes",), classes=("no", "yes"), scale="probability")
    made = explain(model, table, method="sage", y=label, random_state=0)
    assert made.scale == "log loss"
    assert made.interval[0, 0] > 0
    assert made.values[1] == pytest.approx(0, abs=1e-12)


@pytest.fixture(scope="module")
def ishigami():
    draw = np.random.default_rng(0)
    cells = (np.arange(20_000) + 0.5) / 20_000 * 2 * np.pi - np.pi
    table = made_table({f"x{j}": draw.permutation(cells) for j in (1, 2, 3)})
    return FunctionPredictor(lambda x: np.sin(x[:, 0]) + 7 * np.sin(x[:, 1]) ** 2 + 0.1 * x[:, 2] ** 4 * np.sin(x[:, 0]), table), table


def test_sobol_indices_of_the_ishigami_function(ishigami):
    model, table = ishigami
    made = explain(model, table, method="sobol", random_state=0)
    np.testing.assert_allclose(made.values, [0.5576, 0.4424, 0.2437], atol=0.01)
    settings = made.record.settings
    np.testing.assert_allclose(list(settings["first_order"].values()), [0.3139, 0.4424, 0.0], atol=0.01)
    assert settings["variance"] == pytest.approx(13.8446, rel=0.01)
    assert ((made.interval[:, 1] - made.interval[:, 0]) < 0.05).all()
    assert made.record.n_calls <= 4096 * 5


def test_sobol_intervals_cover_over_designs(ishigami):
    model, table = ishigami
    truth = np.array([0.5576, 0.4424, 0.2437])
    inside = []
    for seed in range(30):
        made = explain(model, table, method="sobol", options={"samples": 512}, random_state=seed)
        inside.append((made.interval[:, 0] <= truth) & (made.interval[:, 1] >= truth))
    assert np.mean(inside) >= 0.85  # 90 intervals of 95 %, correlated in threes, and of errors that err to the wide side


def test_sobol_indices_of_a_product_with_levels_and_groups():
    draw = np.random.default_rng(1)
    n = 4000
    frame = {"a": draw.normal(1, 1, n), "b": draw.normal(2, 0.5, n), "c": np.array(["u", "v"], object)[draw.integers(0, 2, n)]}
    table = made_table(frame)
    model = FunctionPredictor(lambda x: x[:, 0] * x[:, 1] * (1 + x[:, 2]), table)
    columns = [frame["a"], frame["b"], 1.0 + (frame["c"] == "v")]
    second = np.array([np.mean(np.square(c)) for c in columns])
    mean = np.array([np.mean(c) for c in columns])
    variance = second.prod() - np.square(mean).prod()
    total = np.array([(second[j] - mean[j] ** 2) * np.delete(second, j).prod() for j in range(3)]) / variance
    first = np.array([(second[j] - mean[j] ** 2) * np.square(np.delete(mean, j)).prod() for j in range(3)]) / variance
    made = explain(model, table, method="sobol", random_state=0)
    np.testing.assert_allclose(made.values, total, atol=0.02)
    np.testing.assert_allclose(list(made.record.settings["first_order"].values()), first, atol=0.02)
    grouped = explain(model, table, method="sobol", groups={"ab": ["a", "b"]}, random_state=0)
    rest = 1 - first[2]  # what the third column does not bring alone
    assert grouped.values[0] == pytest.approx(rest, abs=0.03)
    still = explain(LinearPredictor([0, 0], table.select(("a", "b"))), table.select(("a", "b")), method="sobol", random_state=0)
    assert (still.values == 0).all()
    assert "does not vary" in " ".join(still.record.caveats)


def test_interaction_strength_of_a_product_beside_columns_that_add_up():
    table = made_table(made_frame(200, 4, ()))
    model = FunctionPredictor(lambda x: x[:, 0] * x[:, 1] + 2 * x[:, 2] + x[:, 3] ** 2, table)
    made = explain(model, table, method="interaction_strength", random_state=0)
    value = made.values[..., 0]
    assert value[0, 1] > 0.8  # centred columns: nearly all of the pair's variance is the product
    assert made.top(1)[0][0] == ("x1", "x2")
    others = [value[j, k] for j in range(4) for k in range(j) if {j, k} != {0, 1}]
    np.testing.assert_allclose(others, 0, atol=1e-12)
    assert made.error.shape == (1, 6, 1)
    assert (made.error[0, :, 0] > 1e-9).sum() == 1
    whole = made.record.settings["with_any_other"]
    assert whole["x1"] > 0.01
    assert whole["x3"] == pytest.approx(0, abs=1e-12)


def test_interaction_strength_is_the_formula_by_hand():
    table = made_table(made_frame(25, 3, ()))
    model = FunctionPredictor(lambda x: np.sin(x[:, 0] + x[:, 1]) + x[:, 2], table)
    made = explain(model, table, method="interaction_strength", options={"columns": ["x1", "x2"]}, random_state=0)
    x = table.frame.to_numpy()
    one = np.sin(x[:, None, 0] + x[None, :, 1]).mean(1)
    two = np.sin(x[None, :, 0] + x[:, None, 1]).mean(1)
    both = np.sin(x[:, 0] + x[:, 1])
    one, two, both = (a - a.mean() for a in (one, two, both))
    assert made.by_set[0, 0, 0] == pytest.approx(np.square(both - one - two).sum() / np.square(both).sum())
    unit = explain(model, table, method="interaction_strength", options={"columns": ["x1", "x2"], "unit": "answer"}, random_state=0)
    assert unit.by_set[0, 0, 0] == pytest.approx(np.sqrt(np.square(both - one - two).mean()))
    assert unit.scale == "target"


def test_interaction_errors_cover_other_tables():
    """The spread over tables is what the jackknife says it is."""
    model = FunctionPredictor(lambda x: x[:, 0] * x[:, 1] + x[:, 0] + x[:, 1], made_table(made_frame(10, 2, ())))
    values, errors = [], []
    for seed in range(40):
        table = made_table(made_frame(40, 2, (), seed=seed))
        made = explain(model, table, method="interaction_strength", options={"unit": "answer"}, random_state=0)
        values.append(made.by_set[0, 0, 0])
        errors.append(made.error[0, 0, 0])
    assert 0.6 < np.mean(errors) / np.std(values, ddof=1) < 1.7  # the spread of 40 draws is known to a ninth


def test_interaction_strength_keeps_budgets():
    table = made_table(made_frame(100, 5, ()))
    model = FunctionPredictor(lambda x: x[:, 0] * x[:, 1], table)
    model.rows_asked = 0
    made = explain(model, table, method="interaction_strength", budget=8000, random_state=0)
    assert model.rows_asked <= 8000
    assert made.record.settings["rows_used"] < 50
    with pytest.raises(RequestError, match="at least"):
        explain(model, table, method="interaction_strength", budget=500, random_state=0)
    few = explain(model, table, method="interaction_strength", options={"most": 2}, random_state=0)
    assert few.sets == (("x1", "x2"),)
    assert any("1 of 10 pairs" in c for c in few.record.caveats)


def test_seconds_are_turned_into_rows():
    import time

    table = made_table(made_frame(400, 5, ()))

    def slow(x):
        time.sleep(1e-5 * len(x))
        return x.sum(1)

    model = FunctionPredictor(slow, table)
    began = time.process_time()
    made = explain(model, table, method="pdp", budget="0.2s", random_state=0)
    assert made.record.settings["rows_used"] < 400
    assert made.record.n_calls < 20_000
    assert time.process_time() - began < 5
