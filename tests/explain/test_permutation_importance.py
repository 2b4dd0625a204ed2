"""Permutation importance against its closed form."""

from __future__ import annotations

import numpy as np
import pandas as pd
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


def softmax_of_three():
    def three(m):
        e = np.exp(3 * m)
        return e / e.sum(1, keepdims=True)

    table = made_table(made_frame(300, 3, ()))
    return FunctionPredictor(three, table, outputs=("p", "q", "r"), classes=("p", "q", "r"), scale="probability"), table


def test_one_class_is_judged_against_all_others():
    """The loss of output 'q' is that of P(q) for the labels "q or not"; of two classes either one has the same loss."""
    model, table = softmax_of_three()
    label = np.array(["p", "q", "r"])[np.argmax(table.frame.to_numpy(), 1)]
    made = explain(model, table, method="permutation_importance", y=label, output="q", random_state=0)
    alone = FunctionPredictor(
        lambda m: model.raw(made_table(pd.DataFrame(m, columns=table.columns)))[:, 1], table, outputs=("q",), classes=("not", "q"),
        scale="probability",
    )  # fmt: skip
    truth = explain(alone, table, method="permutation_importance", y=np.where(label == "q", "q", "not"), random_state=0)
    assert made.values == pytest.approx(truth.values, rel=1e-9)
    turned = explain(alone, table, method="permutation_importance", y=np.where(label == "q", "q", "not"), output="not", random_state=0)
    assert turned.values == pytest.approx(truth.values, rel=1e-9)
    assert turned.values.min() > 0
    with pytest.raises(RequestError, match="difference of two"):
        explain(model, table, method="permutation_importance", y=label, output="q", versus="p")


def test_one_number_of_several_is_judged_by_its_own_truth():
    table = made_table(made_frame(200, 2, ()))
    model = FunctionPredictor(lambda m: np.column_stack([m[:, 0], 5 * m[:, 1]]), table, outputs=("first", "second"))
    both = model.raw(table)
    for y in (both, both[:, 1]):
        made = explain(model, table, method="permutation_importance", y=y, output="second", random_state=0)
        assert made.values[0] == 0
        assert made.values[1] > 1
    with pytest.raises(TargetError, match="targets"):
        explain(model, table, method="permutation_importance", y=both[:, 1])


@pytest.mark.parametrize(("rows", "told"), [(99, True), (100, False)])
def test_few_rows_are_told_to_have_narrow_intervals(rows, told):
    table = made_table(made_frame(rows, 2, ()))
    model = LinearPredictor([1, 2], table)
    answer = explain(model, table, method="permutation_importance", y=model.raw(table)[:, 0], random_state=0)
    assert any(f"intervals of {rows} rows are too narrow" in words for words in answer.record.caveats) == told
