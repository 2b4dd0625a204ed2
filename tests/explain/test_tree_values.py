"""Models that are sums of trees: exact values on the caller's columns, as all coalitions give them, without asking these."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import pellucid as pld
from pellucid.explain import tree_values
from pellucid.explain.interactions import TREE_INDICES
from pellucid.probe.tree_sum import CHECKED, TreeSum

N, BACK = 8, 20
NAMES = ["forest of numbers", "forest of three", "boosted, log-odds", "own", "own tree", "own tree, log-odds", "own of two"]


def frame_of(n=240):
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": draw.normal(size=n),
            "pay": np.where(draw.random(n) < 0.2, np.nan, draw.normal(size=n)),
            "town": pd.Categorical(draw.choice(["Bern", "Chur", "Thun", "Zug"], n)),
            "size": draw.integers(0, 5, n),
        }
    )
    worth = frame["age"] * (frame["town"] == "Zug") + frame["pay"].fillna(1) * frame["size"] + (frame["town"] == "Chur")
    return frame, worth


def models():
    frame, worth = frame_of()
    steps = make_column_transformer((OneHotEncoder(), ["town"]), (SimpleImputer(add_indicator=True), ["age", "pay", "size"]))
    high, three = worth > worth.median(), pd.cut(worth, 3, labels=["low", "middle", "high"]).astype(str)
    boosted = HistGradientBoostingClassifier(max_iter=15, categorical_features="from_dtype", random_state=0).fit(frame, high)
    return {
        "forest of numbers": (make_pipeline(steps, RandomForestRegressor(5, max_depth=5, random_state=0)).fit(frame, worth), {}),
        "forest of three": (make_pipeline(steps, RandomForestClassifier(5, max_depth=5, random_state=0)).fit(frame, three), {}),
        "boosted, log-odds": (boosted, {"scale": "log-odds"}),
        "own": (pld.TabularClassifier(backbone="hist_gb", calibration="temperature", random_state=0, verbose=0).fit(frame, high), {}),
        "own tree": (pld.TabularClassifier(backbone="tree", random_state=0, verbose=0).fit(frame, three), {"scale": "probability"}),
        "own tree, log-odds": (pld.TabularClassifier(backbone="tree", random_state=0, verbose=0).fit(frame, three), {}),
        "own of two": (
            pld.TabularRegressor(backbone="lightgbm", random_state=0, verbose=0).fit(frame, np.column_stack([worth, frame["age"]])),
            {},
        ),
    }


@pytest.fixture(scope="module")
def asked():
    return models()


def explain(model, rows, monkeypatch=None, **settings):
    frame, _ = frame_of()
    if monkeypatch is not None:  # the way of all models
        monkeypatch.setattr(TreeSum, "of", classmethod(lambda *args, **more: None))
    return pld.explain(model, rows, background=frame.tail(BACK), random_state=0, **settings)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", ["shapley", "banzhaf", "occlusion", "inclusion"])
def test_values_are_those_of_all_coalitions(asked, monkeypatch, name, method):
    model, settings = asked[name]
    rows = frame_of()[0].head(N)
    fast = explain(model, rows, method=method, **settings)
    assert fast.record.settings["way"] == "trees"
    assert fast.error is None
    assert fast.n_calls <= N + BACK + CHECKED + 1
    slow = explain(model, rows, monkeypatch, method=method, budget=10**6, **settings)
    assert slow.record.settings.get("way", "exact") == "exact"
    assert fast.values == pytest.approx(slow.values, abs=1e-9)
    assert fast.base_values == pytest.approx(slow.base_values, abs=1e-12)
    if method == "shapley":
        assert np.abs(fast.gap).max() < 1e-9


@pytest.mark.parametrize("index", TREE_INDICES)
def test_pairs_are_those_of_all_coalitions(asked, monkeypatch, index):
    for name in ("forest of three", "own"):
        model, settings = asked[name]
        rows, question = frame_of()[0].head(N), {"method": "interactions", "options": {"index": index, "order": 2}}
        fast = explain(model, rows, **question, **settings)
        assert fast.record.settings["way"] == "trees"
        slow = explain(model, rows, monkeypatch, budget=10**6, **question, **settings)
        monkeypatch.undo()
        assert slow.record.settings["way"] == "exact"
        assert fast.sets == slow.sets
        assert fast.by_set == pytest.approx(slow.by_set, abs=1e-9)
        if slow.gap is not None:
            assert np.abs(fast.gap).max() < 1e-9
            assert fast.base_values == pytest.approx(slow.base_values, abs=1e-12)


def test_higher_orders_and_the_faithful_banzhaf_index_are_asked(asked):
    model, settings = asked["forest of numbers"]
    rows = frame_of()[0].head(2)
    for options in ({"index": "k-sii", "order": 3}, {"index": "fbii", "order": 2}):
        assert explain(model, rows, method="interactions", options=options, **settings).record.settings["way"] == "exact"
    one = explain(model, rows, method="interactions", options={"index": "sii", "order": 1}, **settings)
    assert one.record.settings["way"] == "trees"
    assert one.by_set[..., 0] == pytest.approx(explain(model, rows, **settings).values, abs=1e-12)


def test_outputs_contrasts_and_groups(asked, monkeypatch):
    model, _ = asked["forest of three"]
    rows = frame_of()[0].head(N)
    questions = [{"output": "high"}, {"output": "high", "versus": "low"}, {"groups": {"where": ["town", "size"]}, "output": "low"}]
    fast = [explain(model, rows, **q) for q in questions]
    assert {e.record.settings["way"] for e in fast} == {"trees"}
    for quick, question in zip(fast, questions):
        assert quick.values == pytest.approx(explain(model, rows, monkeypatch, budget=10**6, **question).values, abs=1e-9)


def test_nothing_differs():
    frame, worth = frame_of()
    numbers = frame[["age", "size"]]
    one = RandomForestRegressor(3, random_state=0).fit(numbers, np.ones(len(frame)))  # trees of a single leaf
    two = RandomForestRegressor(3, random_state=0).fit(numbers, worth)
    for model, rows in ((one, numbers.head(4)), (two, numbers.iloc[[0, 0, 0]])):
        for method in ("shapley", "interactions"):
            made = pld.explain(model, rows, background=rows.head(2), method=method, random_state=0)
            assert made.record.settings["way"] == "trees"
            assert not np.any(made.by_set if method == "interactions" else made.values)


def test_order_and_number_of_rows_change_nothing(asked):
    model, settings = asked["boosted, log-odds"]
    rows = frame_of()[0].head(60)
    turned = np.random.default_rng(0).permutation(60)
    whole = explain(model, rows, **settings).values
    assert explain(model, rows.iloc[turned], **settings).values == pytest.approx(whole[turned], abs=1e-12)
    assert explain(model, rows.tail(1), **settings).values == pytest.approx(whole[-1:], abs=1e-12)


def test_probabilities_of_boosted_trees_are_no_sum_and_exact_all_the_same(asked):
    model, _ = asked["boosted, log-odds"]
    made = explain(model, frame_of()[0].head(2))
    assert (made.scale, made.record.settings["way"], made.error) == ("probability", "exact", None)
    assert not any("scale='log-odds'" in c for c in made.record.caveats)


def test_other_fills_small_budgets_and_deep_trees_are_sampled(asked, monkeypatch):
    model, settings = asked["forest of numbers"]
    rows = frame_of()[0].head(N)
    assert explain(model, rows, fill="conditional", **settings).record.settings["way"] != "trees"
    with pytest.raises(pld.errors.RequestError, match="budget is too small"):
        explain(model, rows, budget=N + BACK + CHECKED - 1)
    assert explain(model, rows, budget=N + BACK + CHECKED).record.settings["way"] == "trees"
    leaves = len(model[-1].estimators_[0].tree_.value) / 2
    monkeypatch.setattr(tree_values, "DEEP", 0.5 * leaves)
    assert explain(model, rows).record.settings["way"] != "trees"
    assert explain(model, rows, method="shapley_exact").record.settings["way"] == "trees"


def test_seconds_are_kept(asked, monkeypatch):
    model, settings = asked["forest of numbers"]
    rows = frame_of()[0].head(N)
    assert explain(model, rows, budget="30s", **settings).record.settings["way"] == "trees"
    monkeypatch.setattr(tree_values, "_in_time", lambda *args: False)
    assert explain(model, rows, budget="30s", **settings).record.settings["way"] != "trees"


def test_trials_of_exact_values_ask_the_trees_again_with_the_whole_budget(asked):
    model, frame = asked["own"][0], frame_of()[0]
    rows = frame.head(3 * N)
    given = explain(model, rows, budget=3 * N + BACK + CHECKED)
    (told,) = pld.trial(given, model, rows, names=["stability"], background=frame.tail(BACK))
    assert told.verdict == "pass", told
