"""The user's names of columns reach the backbone as indexes, and what training rows decide is kept with the model."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pellucid import TabularClassifier, TabularRegressor, load
from pellucid.errors import RequestError, TargetError
from pellucid.testing.mixed import FEATURES, mixed

QUICK: dict[str, Any] = {"max_steps": 40, "random_state": 0, "verbose": 0, "threads": 1}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    made = pd.DataFrame({"age": rng.normal(40, 10, 300), "town": rng.choice(list("abc"), 300), "price": rng.normal(5, 2, 300)})
    made["y"] = np.sin(made["age"] / 5) - made["price"] + (made["town"] == "b") + rng.normal(size=300)
    made.loc[::17, "age"] = np.nan
    return made


@pytest.mark.parametrize("backbone", ["additive", "leurn", "kan", "senn"])
def test_answers_follow_the_directions_asked_for(backbone: str, frame: pd.DataFrame, tmp_path: Path) -> None:
    model = TabularRegressor(backbone=backbone, backbone_options={"monotone": {"age": "up", "price": "down"}}, **QUICK).fit(
        frame, target="y"
    )
    rows = frame.drop(columns="y").head(20)
    for column, sign in (("age", 1), ("price", -1)):
        grid = np.linspace(frame[column].min() - 5, frame[column].max() + 5, 60)
        wide = rows.loc[rows.index.repeat(60)].assign(**{column: np.tile(grid, 20)})
        answers = np.asarray(model.predict(wide)).reshape(20, 60)
        assert (sign * np.diff(answers, axis=1)).min() >= -1e-4
    model.save(tmp_path / "m")
    assert np.array_equal(load(tmp_path / "m").predict(rows), model.predict(rows))


def test_what_cannot_be_monotone_is_refused(frame: pd.DataFrame) -> None:
    def fit(kind: Any = TabularRegressor, target: Any = "y", **options: Any) -> None:
        kind(backbone="additive", **QUICK | options).fit(frame, target=target)

    for wishes, match in (
        ({"town": "up"}, "'town'"),
        ({"age": "sideways"}, "sideways"),
        (["age"], "mapping"),
        ({"nobody": "up"}, "'nobody'"),
    ):
        with pytest.raises(RequestError, match=match):
            fit(backbone_options={"monotone": wishes})
    with pytest.raises(RequestError, match="encoder"):
        fit(backbone_options={"monotone": {"age": "up"}}, number="ple")
    with pytest.raises(RequestError, match="classes"):
        fit(TabularClassifier, "town", backbone_options={"monotone": {"age": "up"}})


def test_the_pairs_come_from_the_training_rows_and_stay_with_the_model(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    made = pd.DataFrame(rng.normal(size=(600, 6)), columns=list("abcdef"))
    made["y"] = made["a"] + 2 * made["b"] * made["e"] + 0.3 * rng.normal(size=600)
    model = TabularRegressor(backbone="additive", backbone_options={"n_pairs": 1}, **QUICK).fit(made, target="y")
    model.save(tmp_path / "m")
    for each in (model, load(tmp_path / "m")):
        assert each.engine_.net.net.backbone.pairs == ((1, 4),)


@pytest.mark.parametrize(("rows", "backbone"), [(1200, "tabm_additive"), (6000, "tabm")], ids=["folds", "one network"])
def test_a_fit_ends_within_its_limit_from_the_call_on(monkeypatch, rows, backbone):
    """By the processor's time, so that a busy machine does not count: encoding, start, training and certainty together."""
    table = mixed(rows, 3)
    options = {"backbone": backbone, "verbose": 0, "threads": 1, "random_state": 0}
    TabularClassifier(max_steps=2, **options).fit(table[FEATURES][:300], table["label"][:300])  # first use of kernels
    for name in ("monotonic", "perf_counter"):
        monkeypatch.setattr(time, name, time.process_time)
    before = time.process_time()
    model = TabularClassifier(time_limit=3.0, **options).fit(table[FEATURES], table["label"])
    used = time.process_time() - before
    assert used < 3.0 * 1.1 + 0.5
    told = model.record_["training"]
    assert told["ended"] != "time limit" or used > 2.0
    assert told["steps_done"] >= 0.85 * told["steps_planned"] or told["ended"] == "no better score"


@pytest.mark.parametrize("kind", [TabularClassifier, TabularRegressor])
def test_a_column_name_given_as_y_is_told_where_it_belongs(kind, frame: pd.DataFrame) -> None:
    with pytest.raises(TargetError, match=r"y is a text.*fit\(X, target='town'\)"):
        kind(**QUICK).fit(frame, "town")
    with pytest.raises(TargetError, match="one label for each of 300 rows"):
        kind(**QUICK).fit(frame, "no column")
