"""Permutation importance against its closed form."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.errors import RequestError, TargetError
from pellucid.explain import explain
from pellucid.testing.predictors import FunctionPredictor, LinearPredictor, made_frame, made_table


def test_a_linear_model_under_squared_error():
    frame = made_frame(4000, 4, ())
    table = made_table(frame)
    model = LinearPredictor([1, -2, 0, 0.5], table)
    y = model.raw(table)[:, 0] + np.random.default_rng(0).normal(size=4000)
    answer = explain(model, table, method="permutation_importance", y=y, random_state=0)
    truth = 2 * np.square([1, -2, 0, 0.5]) * frame.var(ddof=0).to_numpy()
    error = (answer.interval[:, 1] - answer.values) / 1.96
    assert (np.abs(answer.values - truth) <= 4 * error + 1e-12).all()
    assert answer.values[2] == 0.0
    assert answer.scale == "squared error"
    test = answer.record.settings["sign_test"]
    assert test["x2"] < 0.01 < 0.5 < test["x3"]


def test_groups_move_together():
    frame = made_frame(500, 3, ())
    frame["x2"] = frame.x1
    table = made_table(frame)
    model = FunctionPredictor(lambda m: m[:, 0] - m[:, 1] + m[:, 2], table)
    y = model.raw(table)[:, 0]
    apart = explain(model, table, method="permutation_importance", y=y, random_state=0)
    together = explain(model, table, method="permutation_importance", y=y, groups={"pair": ["x1", "x2"]}, random_state=0)
    assert apart.values[0] > 1
    assert together.columns == ("pair", "x3")
    assert together.values[0] == pytest.approx(0, abs=1e-12)


def test_classes_are_scored_by_log_loss():
    table = made_table(made_frame(300, 2, ()))
    label = np.where(table.frame.x1 > 0, "yes", "no")
    model = FunctionPredictor(lambda m: 1 / (1 + np.exp(-3 * m[:, 0])), table, outputs=("yes",), classes=("no", "yes"), scale="probability")
    answer = explain(model, table, method="permutation_importance", y=label, random_state=0)
    assert answer.scale == "log loss"
    assert answer.top(1) == ("x1",)
    assert answer.interval[0, 0] > 0
    assert answer.values[1] == 0
    with pytest.raises(TargetError, match="maybe"):
        explain(model, table, method="permutation_importance", y=["maybe"] * 300)
    with pytest.raises(TargetError, match="different lengths"):
        explain(model, table, method="permutation_importance", y=["yes"])


def test_the_target_is_found_in_the_table_or_asked_for():
    table = made_table(made_frame(50, 2, ()).assign(y=1.0), target="y")
    model = LinearPredictor([1, 1], table.select(("x1", "x2")))
    assert explain(model, table, method="permutation_importance", random_state=0).values.shape == (2,)
    with pytest.raises(RequestError, match="Pass y="):
        explain(model, table.select(("x1", "x2")), method="permutation_importance")
