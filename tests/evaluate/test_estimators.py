"""Trials of what `pellucid.explain` gives, for our models and for models from elsewhere."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import pellucid as pld
from pellucid.errors import RequestError
from pellucid.testing.predictors import made_frame


def _labels(frame):
    odds = 2 * frame["x1"] - frame["x2"] + 2.0 * (frame["c1"] == "level 0")
    return np.where(odds + np.random.default_rng(0).logistic(size=len(frame)) > 0, "yes", "no").astype(object)


@pytest.fixture(scope="module")
def frame():
    return made_frame(700, numbers=4, levels=(3, 4))


@pytest.fixture(scope="module")
def model(frame):
    small = {"width": 24, "blocks": 1}
    model = pld.TabularClassifier(backbone="mlp", backbone_options=small, random_state=0, verbose=0, threads=1, max_steps=150)
    return model.fit(frame.iloc[:500], _labels(frame)[:500])


def _verdicts(trials):
    return {t.name: t.verdict for t in trials}


def test_shapley_of_our_network_passes_what_can_be_tested(model, frame):
    rows = frame.iloc[500:510]
    made = pld.explain(model, rows, method="shapley", random_state=0)
    trials = pld.trial(made, model, rows, refit=True, budget=20)
    assert "fail" not in _verdicts(trials).values(), [t.words for t in trials if t.verdict == "fail"]
    sure = ["completeness", "deletion", "weight_randomisation"]  # with time enough on any machine
    trials += pld.trial(made, model, rows, names=sure, budget=300)
    assert {_verdicts(trials)[name] for name in sure} == {"pass"}
    assert all(t.subject == "shapley" and t.record.duration >= 0 for t in trials)


def test_one_output_of_another_scale_and_with_groups_can_be_tried(model, frame):
    rows = frame.iloc[500:512]
    made = pld.explain(model, rows, output="no", scale="probability", groups={"numbers": ["x1", "x2"]}, random_state=0)
    verdicts = _verdicts(pld.trial(made, model, rows, names=["completeness", "deletion", "stability"]))
    assert verdicts == {"completeness": "pass", "deletion": "pass", "stability": "pass"}


def test_importance_of_our_network_can_be_tried(model, frame):
    rows, y = frame.iloc[500:560], _labels(frame)[500:560]
    made = pld.explain(model, rows, method="permutation_importance", y=y, scale="probability", random_state=0)
    verdicts = _verdicts(pld.trial(made, model, rows, y, names=["deletion", "stability", "weight_randomisation", "completeness"]))
    assert verdicts["deletion"] == "pass"
    assert verdicts["completeness"] == "not testable"
    assert verdicts["weight_randomisation"] in ("pass", "not testable")


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_forest_from_elsewhere_is_tried_and_trained_again(frame, library):
    codes = make_column_transformer((OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["c1", "c2"]), remainder="passthrough")
    forest = make_pipeline(codes, RandomForestClassifier(30, max_depth=5, random_state=0))
    to = (lambda f: f.reset_index(drop=True)) if library == "pandas" else pytest.importorskip("polars").from_pandas
    y = _labels(frame)
    forest.fit(to(frame.iloc[:500]), y[:500])
    rows, background = to(frame.iloc[500:600]), to(frame.iloc[:30])
    made = pld.explain(forest, rows, background=background, random_state=0)
    names = ["completeness", "deletion", "weight_randomisation", "label_randomisation"]
    trials = pld.trial(made, forest, rows, y[500:600], background=background, refit=True, names=names, budget=60)
    verdicts = _verdicts(trials)
    assert verdicts["completeness"] == verdicts["deletion"] == "pass"
    assert verdicts["weight_randomisation"] == "not testable"
    assert verdicts["label_randomisation"] in ("pass", "not testable"), trials[-1].words


def test_what_cannot_be_trained_again_says_so(frame):
    rows = frame[["x1", "x2", "x3"]].iloc[:20]

    def score(X: pd.DataFrame) -> np.ndarray:
        return X["x1"].to_numpy() - X["x2"].to_numpy()

    made = pld.explain(score, rows, background=rows)
    with pytest.raises(RequestError, match="cannot be trained again"):
        pld.trial(made, score, rows, np.zeros(20), background=rows, refit=True)
    with pytest.raises(RequestError, match="background"):
        pld.trial(made, score, rows)
