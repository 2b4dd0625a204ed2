"""How much there is to read, measured."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

import pellucid as pld
from pellucid.evaluate.readability import explanation_size, measured_size, model_size
from pellucid.testing import oracles


@pytest.fixture(scope="module")
def made():
    return oracles.planted("linear", n=400, columns=3, noise=0.1)


@pytest.fixture(scope="module")
def linear(made):
    return pld.TabularRegressor(backbone="linear", verbose=0, random_state=0).fit(made.table)


def test_explanation_size_counts_columns_that_carry_ninety_percent(linear, made) -> None:
    e = pld.explain(linear, made.features.take(slice(0, 10)))
    assert explanation_size(dataclasses.replace(e, values=np.eye(3)[np.zeros(10, int)])) == 1
    assert explanation_size(dataclasses.replace(e, values=np.ones((10, 3)))) == 3  # two of three equal parts are 67 %
    assert explanation_size(dataclasses.replace(e, values=np.zeros((10, 3)))) == 0


def test_the_measured_size_is_that_of_the_rule(linear, made) -> None:
    # y = 2 x1 - x2: the third column carries nothing
    assert 1.0 <= measured_size(linear, made.features.take(slice(0, 30)), None, 0) <= 2.05


def test_a_model_without_rows_to_compare_with_has_no_size(made) -> None:
    bare = pld.TabularRegressor(backbone="linear", keep_rows=0, verbose=0, random_state=0).fit(made.table)
    assert np.isnan(measured_size(bare, made.features.take(slice(0, 5)), None, 0))


def test_fitted_numbers_are_counted(linear, made) -> None:
    assert 4 <= model_size(linear) <= 12  # coefficients, base and scales
    tree = pld.TabularRegressor(backbone="tree", verbose=0, random_state=0).fit(made.table)
    boosted = pld.TabularRegressor(backbone="hist_gb", verbose=0, random_state=0).fit(made.table)
    assert model_size(boosted) > model_size(tree) > 0
    assert np.isnan(model_size(object()))


@pytest.mark.parametrize("name", ["lightgbm", "xgboost", "catboost"])
def test_the_leaves_of_boosters_are_counted(name, made) -> None:
    pytest.importorskip(name)
    model = pld.TabularRegressor(backbone=name, verbose=0, random_state=0).fit(made.table)
    assert model_size(model) > 10


def test_the_comparison_shows_size_readability_and_calibration(made) -> None:
    frame = made.features.frame.copy()
    frame["y"] = np.where(made.signal > 0, "yes", "no")
    board = pld.compare(frame, ["linear", ("forest", RandomForestClassifier(20, random_state=0))], target="y", random_state=0, n_boot=50)
    lines = {row["model"]: row for row in board.rows}
    assert {"size", "explanation_size", "calibration_error", "predict_seconds"} <= set(lines["linear"])
    assert 1 <= lines["linear"]["explanation_size"] <= 3
    assert 1 <= lines["forest"]["explanation_size"] <= 3
    assert pld.chart(board, kind="power_readability") is not None
