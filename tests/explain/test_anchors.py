"""Anchors: planted rules are found and no more, precision is that of the rule as stated, on fresh draws."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pellucid.errors import RequestError
from pellucid.explain import explain
from pellucid.explain.anchors import kl_bounds
from pellucid.testing.predictors import FunctionPredictor, LinearPredictor, made_frame, made_table

YES = {"outputs": ("yes",), "classes": ("no", "yes"), "scale": "probability"}


@pytest.fixture(scope="module")
def planted():
    """Yes where x1 is above its median and c1 is level 1."""
    frame = made_frame(900, 3, (3,), seed=4)
    frame["x1"] -= frame.x1[:800].median()
    table = made_table(frame)
    kept, rows = table.take(slice(0, 800)), table.take(slice(800, 900))
    return FunctionPredictor(lambda x: 0.9 * ((x[:, 0] > 0) & (x[:, 3] == 1)), kept, **YES), rows, kept


def test_a_conjunction_is_anchored_by_its_two_conditions(planted):
    model, rows, kept = planted
    yes = model.raw(rows)[:, 0] > 0.5
    made = explain(model, rows.take(np.flatnonzero(yes)[:8]), background=kept, method="anchors", random_state=0)
    for rule in made.rules:
        assert sorted(rule.columns) == ["c1", "x1"], rule
        assert "c1 is level 1" in rule.conditions
        bound = next(c for c in rule.conditions if c.startswith("x1"))
        assert bound.startswith("x1 > ")
        assert abs(float(bound.split()[2])) < 0.03
        assert rule.outcome == "yes"
        assert rule.precision >= 0.95
        assert rule.interval[0] > 0.95
        assert rule.coverage == pytest.approx(1 / 6, abs=0.06)  # on 400 rows: three errors of a share
    assert made.fidelity > 0.95


def test_the_other_answer_needs_one_condition(planted):
    model, rows, kept = planted
    no = np.flatnonzero((rows.numbers("x1") < -0.1) & (rows.texts("c1") == "level 1"))[:4]
    made = explain(model, rows.take(no), background=kept, method="anchors", random_state=0)
    for rule in made.rules:
        assert rule.columns == ("x1",)
        assert rule.outcome == "no"
        assert rule.precision > 0.95


def test_a_constant_model_needs_no_condition():
    table = made_table(made_frame(150, 3, ()))
    made = explain(LinearPredictor([0, 0, 0], table), table.take(slice(0, 5)), background=table, method="anchors", random_state=0)
    for rule in made.rules:
        assert rule.conditions == ()
        assert rule.precision == 1
        assert rule.coverage == 1
    assert list(made.to_frame()["rule"]) == ["always"] * 5


def test_precision_is_that_of_the_stated_rule_by_brute_force(planted):
    """Every pair of a row under the rule and another row, among the rows the search has not seen, within the stated interval."""
    _, rows, kept = planted
    noisy = FunctionPredictor(lambda x: 1 / (1 + np.exp(-2 * (x[:, 0] + x[:, 1]))), kept, **YES)
    made = explain(noisy, rows.take(slice(0, 12)), background=kept, method="anchors", options={"precision": 0.8}, random_state=0)
    inside = []
    for rule, row in zip(made.rules, rows.take(slice(0, 12)).frame.to_dict("records")):
        held = np.ones(len(kept), bool)
        for text in rule.conditions:
            name, sign, value = text.split(" ")[:3]
            cells = kept.frame[name]
            held &= (
                (cells == text.split(" is ")[1]) if sign == "is" else (cells <= float(value)) if sign == "<=" else (cells > float(value))
            )
        first = kept.frame.x1[held] if "x1" in rule.columns else kept.frame.x1
        second = kept.frame.x2[held] if "x2" in rule.columns else kept.frame.x2
        if {"x1", "x2"} <= set(rule.columns):
            total = (kept.frame.x1 + kept.frame.x2)[held].to_numpy()
        else:
            total = (first.to_numpy()[:, None] + second.to_numpy()[None]).ravel()
        share = ((total > 0) == (row["x1"] + row["x2"] > 0)).mean()
        low, high = rule.interval
        inside.append(low - 0.05 <= share <= high + 0.05)  # the draws use 400 of the 800 rows: a share is off by up to 0.05
    assert np.mean(inside) >= 0.9


def test_rules_of_numbers_dates_and_missing_cells():
    frame = pd.DataFrame({"a": np.r_[np.full(100, np.nan), np.linspace(0, 1, 100)], "b": np.tile([0.0, 1.0], 100)})
    table = made_table(frame)
    model = FunctionPredictor(lambda x: x[:, 1], table)
    model.raw = lambda t: (np.where(t.missing("a"), 10.0, 0.0) + 0.1 * t.numbers("b"))[:, None]
    made = explain(model, table.take([0, 150]), background=table, method="anchors", random_state=0)
    assert made.rules[0].conditions == ("a is missing",)
    assert made.rules[0].outcome.startswith("10 ±")
    assert made.rules[1].columns == ("a",)
    assert "tolerance" in made.record.settings


def test_bounds_solve_their_equation():
    share, level = np.array([0.0, 0.3, 0.9, 1.0]), np.array([0.1, 0.05, 0.02, 0.3])
    low, high = kl_bounds(share, level)
    assert (low <= share).all()
    assert (high >= share).all()
    p, q = 0.3, high[1]
    assert p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)) == pytest.approx(0.05, rel=1e-6)
    assert low[3] == pytest.approx(np.exp(-0.3), abs=1e-6)


def test_budgets_groups_and_bad_requests(planted):
    model, rows, kept = planted
    model.rows_asked = 0
    made = explain(model, rows.take(slice(0, 6)), background=kept, method="anchors", budget=6000, random_state=0)
    assert model.rows_asked <= 6000
    assert made.record.n_calls == model.rows_asked
    with pytest.raises(RequestError, match="at least"):
        explain(model, rows.take(slice(0, 6)), background=kept, method="anchors", budget=1000)
    with pytest.raises(RequestError, match="beam"):
        explain(model, rows, background=kept, method="anchors", options={"beam": 0})
    few = explain(model, rows.take(slice(0, 2)), background=kept.take(slice(0, 40)), method="anchors", random_state=0)
    assert any("few rows" in c for c in few.record.caveats)
    grouped = explain(model, rows.take(slice(0, 3)), background=kept, method="anchors", groups={"both": ["x1", "c1"]}, random_state=0)
    assert len(grouped.rules) == 3
