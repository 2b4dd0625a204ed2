"""Interaction scores over nearly equal models, against closed forms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pellucid.errors import RequestError
from pellucid.explain import explain
from pellucid.explain.near_equal import ScaledCells
from pellucid.explain.rashomon import _partners
from pellucid.probe.foreign import as_predictor
from pellucid.testing.predictors import FunctionPredictor, LinearPredictor, fit_network, made_frame, made_table, matrix


def test_the_score_of_a_product_and_of_a_sum():
    table = made_table(made_frame(3000, 3, ()))
    model = FunctionPredictor(lambda x: x[:, 0] * x[:, 1] + x[:, 2], table)
    y = model.raw(table)[:, 0]
    made = explain(model, table, method="rashomon", y=y, options={"rows": 3000}, random_state=0)
    score = dict(zip(made.sets, made.by_set[0, :, 0]))
    error = dict(zip(made.sets, made.error[0, :, 0]))
    assert abs(score["x1", "x2"] + 2) <= 4 * error["x1", "x2"]  # phi_1 = phi_2 = phi_12 = 2
    assert error["x1", "x2"] < 0.2
    for pair in (("x1", "x3"), ("x2", "x3")):
        assert abs(score[pair]) <= 4 * error[pair]
    rise = made.record.settings["rise_of_single_columns"]
    assert rise["x1"] == pytest.approx(2, abs=0.3)
    assert made.scale == "squared error"


def test_the_swarm_of_a_sum_with_a_product_lies_on_its_closed_form():
    """y = x1 + x2 + x1 x2 with noise: a model with both columns scaled has the score -2 m1 m2."""
    table = made_table(made_frame(4000, 2, ()))
    model = FunctionPredictor(lambda x: x[:, 0] + x[:, 1] + x[:, 0] * x[:, 1], table)
    y = model.raw(table)[:, 0] + np.random.default_rng(0).normal(size=4000)
    made = explain(model, table, method="rashomon", y=y, options={"rows": 4000, "epsilon": 0.3}, random_state=0)
    swarm = made.swarm
    assert (swarm["loss"] <= made.record.settings["loss_allowed"] * (1 + 1e-6)).all()
    truth = -2 * swarm["factor_first"] * swarm["factor_second"]
    assert (np.abs(swarm["fis"] - truth) <= 4 * swarm["error"]).all()
    assert truth.max() - truth.min() > 1  # the models differ
    assert len(swarm) >= 10
    # both columns louder, or both softer, lose more together than each alone: those models are taken back to the edge, not left out
    start, allowed = made.record.settings["loss_of_the_model"], made.record.settings["loss_allowed"]
    for side in (1, -1):
        corner = swarm[((swarm[["factor_first", "factor_second"]] - 1) * side > 1e-3).all(axis=1)]
        assert len(corner) >= 3
        assert ((corner["loss"] - start) / (allowed - start)).max() > 0.9
    # the tolerance is spent: (m1 - 1)^2 + (m2 - 1)^2 + (m1 m2 - 1)^2 = 0.3 at the far ends
    far = swarm["loss"].max() / made.record.settings["loss_of_the_model"]
    assert 1.2 < far <= 1.3 + 1e-9


def test_a_planted_pair_acts_in_every_model_and_an_absent_one_need_not():
    frame = made_frame(500, 3, (3,), seed=1)
    table = made_table(frame)
    y = (2 * frame.x1 * frame.x2 + frame.x3 + 1.0 * (frame.c1 == "level 1")).to_numpy() + 0.3 * np.random.default_rng(2).normal(size=500)
    net = fit_network(table, y, steps=400)
    made = explain(net, table, method="rashomon", y=y, options={"rows": 400, "columns": ["x1", "x2", "x3", "c1"]}, random_state=0)
    at = {pair: k for k, pair in enumerate(made.sets)}
    planted = at["x1", "x2"]
    assert made.high[0, planted, 0] < 0
    for pair in (("x1", "x3"), ("x2", "c1"), ("x3", "c1")):
        assert made.low[0, at[pair], 0] <= 0 <= made.high[0, at[pair], 0], pair
    assert (made.low <= made.by_set).all()
    assert (made.by_set <= made.high).all()
    factors = made.swarm[made.swarm["columns"] == "x3 x c1"]["factor_second"]
    assert factors.nunique() > 3  # categories are scaled through their embedding
    assert {"low", "high"} <= set(made.to_frame().columns)


def test_models_that_are_given_join_where_they_are_good_enough():
    table = made_table(made_frame(300, 2, ()))
    y = (table.frame.x1 + table.frame.x2 + 0.6 * table.frame.x1 * table.frame.x2).to_numpy() + np.random.default_rng(0).normal(size=300)
    model = LinearPredictor([1, 1], table)
    good = FunctionPredictor(lambda x: x[:, 0] + x[:, 1] + 0.6 * x[:, 0] * x[:, 1], table)
    bad = LinearPredictor([-3, 1], table)
    refitted = []

    def refit(seed):
        refitted.append(seed)
        return LinearPredictor([1.05, 0.95], table)

    options = {"models": [good, bad], "refit": refit, "refits": 2}
    made = explain(model, table, method="rashomon", y=y, options=options, random_state=0)
    assert made.record.settings["given_models_refused"] == 1
    assert (made.swarm["model"].str.startswith("model")).sum() == 3
    assert len(set(refitted)) == 2
    alone = explain(model, table, method="rashomon", y=y, random_state=0)
    assert made.low[0, 0, 0] <= alone.low[0, 0, 0]
    joint = made.swarm[made.swarm["model"] == "model 1"]["fis"].item()
    own = made.swarm[made.swarm["model"] == "the model"]["fis"].item()
    assert joint < own - 0.3  # -2 times the square of 0.6, against 0
    with pytest.raises(RequestError, match="refit"):
        explain(model, table, method="rashomon", y=y, options={"refits": 2})
    other = FunctionPredictor(lambda x: x, table, outputs=("a", "b"))
    with pytest.raises(RequestError, match="something else"):
        explain(model, table, method="rashomon", y=y, options={"models": [other]})


def test_black_boxes_keep_their_dtypes_and_their_levels():
    frame = made_frame(120, 1, (3,))
    frame["n"] = np.random.default_rng(0).integers(0, 9, 120)
    table = made_table(frame)
    seen = []

    class Strict(FunctionPredictor):
        def raw(self, rows):
            seen.append(rows.frame["n"].dtype.kind)
            assert set(rows.frame["c1"]) <= {"level 0", "level 1", "level 2"}
            return super().raw(rows)

    model = Strict(lambda x: x[:, 0] * x[:, 2] + x[:, 1], table)
    y = model.function(matrix(table, model.columns)) + 1.0
    made = explain(model, table, method="rashomon", y=y, random_state=0)
    assert set(seen) == {"i"}
    assert any("c1" in c for c in made.record.caveats)
    assert (made.swarm[made.swarm["first"] == "c1"]["factor_first"] == 1).all()


def test_budgets_are_kept_or_refused():
    table = made_table(made_frame(300, 4, ()))
    model = LinearPredictor([1, 2, 0.5, 1], table)
    y = model.raw(table)[:, 0] + 1
    model.rows_asked = 0
    made = explain(model, table, method="rashomon", y=y, budget=60_000, random_state=0)
    assert model.rows_asked <= 60_000
    assert made.record.n_calls == model.rows_asked
    assert made.record.settings["rows_used"] < 200
    with pytest.raises(RequestError, match="at least"):
        explain(model, table, method="rashomon", y=y, budget=2000)
    with pytest.raises(RequestError, match="two columns"):
        explain(model, table, method="rashomon", y=y, options={"columns": ["x1"]})


def test_no_row_is_its_own_partner_however_many_shuffles():
    order = np.random.default_rng(0).permutation(7)
    for shuffles in (3, 6, 7, 20):
        assert (_partners(order, shuffles) != np.arange(7)).all()


@pytest.mark.parametrize(("dtype", "low", "high"), [("uint8", 0, 255), ("int8", -128, 127)])
def test_spread_whole_numbers_stop_at_the_ends_of_their_type(dtype, low, high):
    frame = pd.DataFrame({"u": np.array([low, low + 5, high - 5, high], dtype)})
    model = as_predictor(lambda f: f["u"].to_numpy(float), frame, frame)
    made = ScaledCells(model, np.array([3.0]), np.array([(low + high) / 2])).raw(model.read(frame))
    assert made.ravel().tolist() == [low, low, high, high]
