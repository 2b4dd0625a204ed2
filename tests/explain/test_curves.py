"""Curves along columns: pdp, ice and ale against closed forms, in the user's own cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pellucid.errors import RequestError
from pellucid.explain import explain
from pellucid.explain.grid import places
from pellucid.table import Column, ColumnType, Schema, Table
from pellucid.testing.predictors import FunctionPredictor, LinearPredictor, TinyNetwork, made_frame, made_table

RHO = 0.6


@pytest.fixture(scope="module")
def pair():
    """f = x1 x2 on normal columns of unit variance and correlation RHO."""
    draw = np.random.default_rng(0)
    one, two = draw.normal(size=(2, 6000))
    table = made_table({"x1": one, "x2": RHO * one + np.sqrt(1 - RHO**2) * two})
    return FunctionPredictor(lambda x: x[:, 0] * x[:, 1], table), table


def test_partial_dependence_of_a_product_is_the_mean_of_the_other(pair):
    model, table = pair
    made = explain(model, table, method="pdp", options={"rows": 6000}, random_state=0)
    at = made.points["x1"].astype(float)
    np.testing.assert_allclose(made.values["x1"][:, 0], at * table.numbers("x2").mean(), atol=1e-12)
    assert (
        np.abs(made.values["x1"][:, 0]) <= 4 * (made.interval["x1"][:, 0, 1] - made.values["x1"][:, 0]) / 1.96 + 1e-12
    ).all()  # truth: 0


def test_accumulated_effects_of_a_product_of_correlated_columns_are_a_parabola(pair):
    model, table = pair
    made = explain(model, table, method="ale", options={"rows": 6000}, random_state=0)
    at, values = made.points["x1"].astype(float), made.values["x1"][:, 0]
    truth = RHO * (at**2 - 1) / 2
    error = (made.interval["x1"][:, 0, 1] - values) / 1.96
    assert (error > 0).all()
    assert np.abs(values - truth).max() < 0.12  # steps of a twentieth of the rows: bias below the square of their width
    assert np.abs(values - truth).max() > 0  # an estimate, not the formula
    inner = np.abs(at) < 1.2
    assert (np.abs(values - truth)[inner] <= 4 * error[inner] + 0.02).all()


def test_the_intervals_of_accumulated_effects_cover():
    draw = np.random.default_rng(1)
    inside = []
    for _ in range(40):
        x = draw.normal(size=(300, 2))
        table = made_table({"a": np.repeat([0.0, 1.0, 2.0], 100), "b": x[:300, 0]})
        model = FunctionPredictor(lambda m: m[:, 0] * m[:, 1], table)  # each step changes the answer by b: mean 0 over rows
        made = explain(model, table, method="ale", options={"columns": "a", "points": 3}, random_state=0)
        low, high = made.interval["a"][:, 0].T
        inside.append(((low <= 0) & (high >= 0)).mean())
    assert 0.88 <= np.mean(inside) <= 1.0  # 40 draws of a 95 % interval: below 0.88 in under 3 % of the cases


def test_the_intervals_of_accumulated_effects_cover_where_rows_are_few():
    inside = []
    for seed in range(150):
        one, two = np.random.default_rng(seed).normal(size=(2, 20))
        table = made_table({"x1": one, "x2": two})
        model = FunctionPredictor(lambda x: x[:, 0] * x[:, 1], table)
        made = explain(model, table, method="ale", options={"columns": ["x1"]}, random_state=0)
        inside.append((made.interval["x1"][:, 0, 0] <= 0) & (made.interval["x1"][:, 0, 1] >= 0))  # truth: flat, x2 has mean 0
    assert np.mean(inside) >= 0.93


def test_additive_models_give_their_own_terms_whatever_the_method():
    frame = made_frame(400, 2, (4,), seed=2)
    table = made_table(frame)
    model = FunctionPredictor(lambda x: 3 * x[:, 0] + np.sin(x[:, 1]) + x[:, 2] ** 2, table)
    for method in ("pdp", "ale"):
        made = explain(model, table, method=method, random_state=0)
        for name, term in (("x1", lambda v: 3 * v), ("x2", np.sin)):
            shape = term(made.points[name].astype(float))
            got = made.values[name][:, 0]
            np.testing.assert_allclose(got - got.mean(), shape - shape.mean(), atol=1e-9)
        levels = np.array([table.schema["c1"].levels.index(c) for c in made.points["c1"]])
        got = made.values["c1"][:, 0]
        np.testing.assert_allclose(got - got[0], levels.astype(float) ** 2 - levels[0] ** 2, atol=1e-9)
        assert made.share["c1"].sum() == pytest.approx(1)
    share = made.share["c1"]
    assert share @ made.values["c1"][:, 0] == pytest.approx(0, abs=1e-9)  # centred over the rows


def test_single_row_curves_and_centring():
    table = made_table(made_frame(80, 2, ()))
    model = FunctionPredictor(lambda x: x[:, 0] * x[:, 1], table)
    made = explain(model, table, method="ice", options={"rows": 30, "columns": ["x1"]}, random_state=0)
    rows = np.array(made.record.settings["row_labels"])
    at = made.points["x1"].astype(float)
    np.testing.assert_allclose(made.lines["x1"][:, :, 0], table.numbers("x2")[rows][:, None] * at, atol=1e-12)
    np.testing.assert_allclose(made.values["x1"], made.lines["x1"].mean(0))
    centred = explain(model, table, method="ice", options={"rows": 30, "centred": True}, random_state=0)
    assert (centred.lines["x1"][:, 0] == 0).all()
    assert np.abs(centred.lines["x1"][:, -1]).max() > 0


def test_places_are_cells_as_written_with_dates_levels_and_missing():
    draw = np.random.default_rng(0)
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(draw.integers(0, 400, 200), unit="D")
    grade = np.array(["low", "mid", "high"], object)[draw.integers(0, 3, 200)]
    frame = pd.DataFrame({"day": days, "grade": grade, "n": draw.integers(0, 5, 200)})
    frame.loc[:19, "grade"] = None
    schema = Schema(
        (
            Column("day", ColumnType.DATE),
            Column("grade", ColumnType.ORDERED, levels=("low", "mid", "high")),
            Column("n", ColumnType.NUMBER),
        )
    )
    table = Table(frame, schema)
    model = FunctionPredictor(lambda x: x[:, 0], table, columns=("day", "grade", "n"))

    def answer(t):
        seconds = (t.seconds("day") - t.seconds("day").min()) / 86400 * 0 + t.seconds("day") / 86400
        grade = np.array([{"low": 0.0, "mid": 1.0, "high": 5.0, None: -2.0}[g] for g in t.texts("grade")])
        return (seconds + grade + t.numbers("n"))[:, None]

    model.raw = answer
    for method in ("pdp", "ale"):
        made = explain(model, table, method=method, random_state=0)
        assert isinstance(made.points["day"][0], pd.Timestamp)
        assert list(made.points["grade"]) == ["low", "mid", "high", None]
        assert list(made.points["n"]) == [0, 1, 2, 3, 4]
        grade = made.values["grade"][:, 0]
        np.testing.assert_allclose(np.diff(grade[:3]), [1, 4], atol=1e-8)
        assert made.share["grade"][3] == pytest.approx(0.1)
        days = np.array([t.timestamp() / 86400 for t in made.points["day"]])
        np.testing.assert_allclose(made.values["day"][:, 0] - made.values["day"][0, 0], days - days[0], atol=1e-6)
        frame = made.to_frame()
        assert set(frame["column"]) == {"day", "grade", "n"}
    mean = np.mean([{"low": 0.0, "mid": 1.0, "high": 5.0}[g] for g in grade_known(table)])
    assert grade[3] == pytest.approx(-2 - mean)  # emptied, against the mean of the others


def grade_known(table):
    return [g for g in table.texts("grade") if g is not None]


def test_nothing_is_drawn_outside_the_inner_range():
    values = np.append(np.linspace(0, 1, 999), 1000.0)
    table = made_table({"a": values})
    made = places(table, "a", 20)
    assert max(made.cells) < 1.01
    assert made.share.sum() == pytest.approx(1)


def test_networks_on_tokens_agree_with_rows_composed_by_hand():
    table = made_table(made_frame(60, 3, (3,), missing=0.1))
    net = TinyNetwork(table, seed=1)
    made = explain(net, table, method="pdp", random_state=0)
    for name in ("x2", "c1"):
        for g, cell in enumerate(made.points[name]):
            cells = pd.Series([cell] * 60, dtype=table.frame[name].dtype)
            by_hand = net.raw(table.with_cells({name: cells.to_numpy()})).mean(0)
            np.testing.assert_allclose(made.values[name][g], by_hand, atol=1e-9)


def test_settings_and_budgets_are_kept_or_refused():
    table = made_table(made_frame(200, 3, ()))
    model = LinearPredictor([1, 2, 3], table)
    for method in ("pdp", "ice", "ale"):
        model.rows_asked = 0
        made = explain(model, table, method=method, budget=1500, random_state=0)
        assert model.rows_asked <= 1500
        assert made.record.n_calls == model.rows_asked
        with pytest.raises(RequestError, match="at least"):
            explain(model, table, method=method, budget=20, random_state=0)
        with pytest.raises(RequestError, match="x1"):
            explain(model, table, method=method, options={"columns": ["x9"]})
        with pytest.raises(RequestError, match="points"):
            explain(model, table, method=method, options={"points": 1})
        with pytest.raises(RequestError, match="single columns"):
            explain(model, table, method=method, groups={"g": ["x1", "x2"]})
