"""The one call: foreign models, scales, requests that cannot be met, complete records."""

from __future__ import annotations

import types

import numpy as np
import pandas as pd
import pytest

import pellucid as pld
from pellucid import registry
from pellucid.errors import EmptyTableError, RequestError
from pellucid.explain import explain
from pellucid.explain.question import Budget, _about_jumps
from pellucid.results import Explanation
from pellucid.testing.oracles import brute_shapley
from pellucid.testing.predictors import fit_network, made_frame, made_table


@pytest.fixture(scope="module")
def mixed():
    """A frame with text, categories, integers, booleans and missing cells, and labels."""
    draw = np.random.default_rng(0)
    frame = made_frame(300, 2, (4,), missing=0.1)
    frame["age"] = draw.integers(18, 80, 300)
    frame["level"] = pd.Categorical(draw.choice(["low", "high"], 300))
    frame["here"] = draw.random(300) < 0.5
    frame.index = pd.Index([f"row {i}" for i in range(300)])
    y = np.where((frame.age > 45) & (frame.c1 != "level 1") | frame.here, "yes", "no")
    return frame, y


def pipeline(frame, y):
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    numbers = make_pipeline(SimpleImputer(add_indicator=True))
    coder = make_column_transformer((numbers, ["x1", "x2", "age"]), (OneHotEncoder(handle_unknown="ignore"), ["c1", "level", "here"]))
    return make_pipeline(coder, LogisticRegression(max_iter=1000)).fit(frame, y)


def check(answer, raw, rows, background):
    """An explanation of one output that closes and is labelled."""
    assert isinstance(answer, Explanation)
    np.testing.assert_allclose(answer.predictions, raw(rows), atol=1e-9)
    np.testing.assert_allclose(answer.base_values, raw(background).mean(), atol=1e-9)
    assert np.abs(answer.gap).max() < 1e-9
    assert answer.columns == tuple(rows.columns)


def test_a_scikit_learn_pipeline_on_mixed_columns(mixed):
    frame, y = mixed
    model = pipeline(frame, y)
    rows, background = frame[:8], frame[100:120]
    answer = explain(model, rows, background=background, random_state=0)
    check(answer, lambda f: model.predict_proba(f)[:, 1], rows, background)
    assert (answer.scale, answer.outputs) == ("probability", ("yes",))
    assert answer.data.index.tolist() == rows.index.tolist()
    pd.testing.assert_frame_equal(answer.data, rows)
    odds = explain(model, rows, background=background, scale="log-odds", method="shapley_exact")
    np.testing.assert_allclose(odds.predictions, model.decision_function(rows), atol=1e-6)
    no = explain(model, rows, background=background, output="no", random_state=0)
    np.testing.assert_allclose(no.values, -answer.values, atol=1e-12)


def test_boosted_trees_with_categories_and_missing_cells(mixed):
    from sklearn.ensemble import HistGradientBoostingClassifier

    frame, y = mixed
    frame = frame.assign(c1=frame.c1.astype("category"))
    model = HistGradientBoostingClassifier(max_iter=20, categorical_features="from_dtype").fit(frame, y)
    rows, background = frame[:6], frame[100:110]
    answer = explain(model, rows, background=background, method="shapley_exact")
    check(answer, lambda f: model.predict_proba(f)[:, 1], rows, background)


def test_lightgbm_with_categories(mixed):
    lightgbm = pytest.importorskip("lightgbm")
    frame, y = mixed
    frame = frame.assign(c1=frame.c1.astype("category"))
    model = lightgbm.LGBMClassifier(n_estimators=20, n_jobs=1, verbose=-1).fit(frame, y)
    rows, background = frame[:6], frame[100:110]
    answer = explain(model, rows, background=background, method="shapley_exact")
    check(answer, lambda f: model.predict_proba(f)[:, 1], rows, background)


def test_exact_values_of_a_foreign_model_against_brute_force():
    frame = made_frame(12, 3, (2,))
    function = lambda f: np.sin(3 * f.x1 * f.x2) + f.x3 * (f.c1 == "level 1")  # noqa: E731
    answer = explain(function, frame[:4], background=frame[4:])

    class Plain:
        columns = ("x1", "x2", "x3", "c1")

        def raw(self, table):
            return np.asarray(function(table.frame), float)[:, None]

    truth = brute_shapley(Plain(), made_table(frame[:4]), made_table(frame[4:]))
    np.testing.assert_allclose(answer.values, truth[:, :, 0], atol=1e-12)


def test_polars_gives_what_pandas_gives(mixed):
    pl = pytest.importorskip("polars")
    frame, _ = mixed
    frame = frame[["x1", "c1", "age", "here"]].reset_index(drop=True)
    other = pl.from_pandas(frame, nan_to_null=True)
    seen = []

    def ask(f):
        seen.append(type(f).__module__.split(".")[0])
        c1, here, age, x1 = (np.asarray(f[c]) for c in ("c1", "here", "age", "x1"))
        return np.where(c1 == "level 1", 2.0, 0.5) * here.astype(float) * age.astype(float) + np.nan_to_num(x1.astype(float))

    one = explain(ask, frame[:5], background=frame[10:30])
    two = explain(ask, other[:5], background=other[10:30])
    assert set(seen) == {"pandas", "polars"}
    np.testing.assert_allclose(one.values, two.values, atol=1e-9)


def test_every_method_gives_a_complete_record():
    frame = made_frame(40, 2, (3,))
    net = fit_network(made_table(frame), np.arange(40.0), steps=10)
    for entry in registry.entries("explain"):
        if {"text", "parts", "explainer", "row model"} & set(entry.needs):
            continue  # there is no word in this table, and the double shows nothing of its inside
        n = 24 if "whole table" in entry.needs else 6
        answer = pld.explain(net, frame[:n], method=entry.name, y=np.arange(float(n)), random_state=7)
        assert type(answer).__name__ == entry.gives
        record = answer.record
        assert (record.method, record.seed) == (entry.name, 7)
        assert record.n_calls > 0
        assert record.duration > 0
        assert record.data
        assert record.caveats or "whole table" in entry.needs  # the others say what they compare with
        assert {"of", "scale", "fill", "background_rows", "groups", "budget", "precision"} <= set(record.settings)
        assert answer.to_json()


def test_the_seed_decides_everything():
    frame = made_frame(60, 6, ())
    weights = np.random.default_rng(0).normal(size=(6, 9))

    def ask(seed):
        model = lambda f: np.sin(3 * f.to_numpy() @ weights).sum(1)  # noqa: E731
        return explain(model, frame[:3], background=frame[3:], method="shapley_permutation", random_state=seed)

    np.testing.assert_array_equal(ask(1).values, ask(1).values)
    assert not np.array_equal(ask(1).values, ask(2).values)
    assert ask(None).record.seed is not None


def test_requests_that_cannot_be_met():
    frame = made_frame(20, 2, ())
    model = lambda f: f.sum(axis=1)  # noqa: E731
    for words, options in {
        "did you mean .shapley": {"method": "shaply"},
        "background": {"background": None},
        "Did you mean .marginal": {"fill": "marginl"},
        "Did you mean .x1": {"groups": {"g": ["x11"]}},
        "there is no output 'z'": {"output": "z"},
        "precision cannot be used": {"precision": 2},
        "the budget cannot be used": {"budget": "soon"},
        "epistemic": {"of": "epistemic"},
    }.items():
        with pytest.raises(RequestError, match=f"(?i){words}"):
            explain(model, frame, **{"background": frame, **options})
    with pytest.raises(EmptyTableError):
        explain(model, frame[:0], background=frame)


def test_budgets_in_words():
    assert Budget.of("1.5min").seconds == 90
    assert Budget.of(1e5).rows == 100_000
    assert Budget.of(None) == Budget()


def test_shap_opens_the_answer():
    pytest.importorskip("shap")
    frame = made_frame(20, 2, (2,))
    answer = explain(lambda f: f.x1, frame[:3], background=frame)
    assert answer.to_shap().values.shape == (3, 3)


def test_only_methods_that_take_slopes_warn_of_jumps():
    view = types.SimpleNamespace(jumps="it jumps at its thresholds")
    told = {e.name for e in registry.entries("explain") if _about_jumps(e, view)}
    assert {"gradient", "smoothgrad", "lrp", "expected_gradients"} <= told
    assert not told & {"shapley", "deeplift", "integrated_gradients", "contextual_decomposition", "contextual_decomposition_pairs"}
