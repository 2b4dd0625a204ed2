"""What a fitted model shows of its inside comes home to the user's columns and units."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pellucid import TabularClassifier, TabularRegressor
from pellucid.errors import RequestError

SUMS = ("additive", "leurn", "kan", "senn")


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"a": draw.normal(size=300), "b": draw.normal(size=300), "c": draw.choice(["x", "y"], 300)})
    frame["y"] = 50 + 10 * frame["a"] + 5 * (frame["c"] == "x") + draw.normal(size=300)
    return frame


@pytest.mark.parametrize("backbone", SUMS)
def test_the_listed_terms_add_up_to_the_prediction_in_the_targets_unit(frame, backbone) -> None:
    model = TabularRegressor(backbone=backbone, max_steps=30, verbose=0, random_state=0, threads=1).fit(frame, target="y")
    parts = model.parts(frame.drop(columns="y").head(40))
    total = parts["contributions"].sum(2) + parts["bias"]
    if "pairs" in parts:
        total = total + parts["pairs"].sum(2)
    answer = model.predict(frame.head(40))
    assert parts["contributions"].shape == (40, model.engine_.n_folds, 3, 1)
    np.testing.assert_allclose(total.mean((1, 2)), answer, rtol=0, atol=1e-5 * np.ptp(frame["y"]))


def test_a_large_table_has_no_axis_of_folds(frame) -> None:
    many = pd.concat([frame] * 8, ignore_index=True)
    many["a"] = many["a"] + np.random.default_rng(1).normal(size=len(many))
    model = TabularClassifier(backbone="tabnet", max_steps=5, verbose=0, random_state=0, threads=1).fit(
        many.drop(columns="y"), many["c"].rename("goal")
    )
    parts = model.parts(many.head(700))
    assert parts["importance"].shape == (700, 3)
    np.testing.assert_allclose(parts["importance"].sum(1), 1, atol=1e-5)


def test_a_model_without_parts_says_so(frame) -> None:
    model = TabularRegressor(backbone="linear", verbose=0).fit(frame, target="y")
    with pytest.raises(RequestError, match="no parts to show"):
        model.parts(frame)


def test_a_backbone_may_have_any_name_under_the_bar(monkeypatch):
    from pellucid.estimators.progress import progress_bar

    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with progress_bar("training mine [/bold]", True) as report:
        report(1, 2, 0.5, 0.5, 3.0)
