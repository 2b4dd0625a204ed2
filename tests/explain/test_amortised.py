"""The fitted explainer against closed forms and the engine: its values, its stated errors, and the rows it hands over."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid import TabularClassifier, load
from pellucid.errors import RequestError
from pellucid.explain import explain
from pellucid.explain.fitting import fit_explainer
from pellucid.table import Table
from pellucid.testing.predictors import FunctionPredictor, LinearPredictor, made_frame, made_table


@pytest.fixture(scope="module")
def rows() -> Table:
    return made_table(made_frame(1300, 4, (3,), seed=1))


@pytest.fixture(scope="module")
def background(rows: Table) -> Table:
    return rows.take(slice(0, 30))


def curved(background: Table, seen: list[int] | None = None) -> FunctionPredictor:
    def law(x: np.ndarray) -> np.ndarray:
        if seen is not None:
            seen.append(len(x))
        return 2 * x[:, 0] + np.sin(2 * x[:, 1]) + x[:, 1] * x[:, 2] + (x[:, 4] == 1) * x[:, 0]

    return FunctionPredictor(law, background)


@pytest.fixture(scope="module")
def fitted(rows, background):
    return fit_explainer(curved(background), rows.take(slice(30, 1200)), random_state=0, steps=900, test_rows=80)


def test_a_linear_model_gets_its_closed_form(rows, background):
    model = LinearPredictor([2.0, -1.0, 0.5, 0.0], background.select(["x1", "x2", "x3", "x4"]))
    numbers = rows.select(["x1", "x2", "x3", "x4"])
    made = fit_explainer(model, numbers.take(slice(30, 1000)), random_state=0, steps=600, test_rows=40)
    new = numbers.take(slice(1200, 1300))
    answer = explain(model, new, method="amortised", options={"explainer": made}, random_state=0)
    truth = model.truth(new)
    assert np.abs(answer.values - truth).mean() < 0.05 * np.abs(truth).mean()
    assert np.abs(answer.values[:, 3]).max() < 0.1


def test_values_are_near_the_engines_and_the_stated_error_is_true(rows, background, fitted):
    new, model = rows.take(slice(1200, 1300)), curved(background)
    made = explain(model, new, method="amortised", options={"explainer": fitted, "fallback": False}, random_state=0)
    truth = explain(model, new, method="shapley_exact").values
    off = np.abs(made.values - truth)
    assert off.mean() < 0.15 * np.abs(truth).mean(), f"{off.mean() / np.abs(truth).mean():.3f}"
    assert fitted.state["facts"]["relative"] == pytest.approx(off.mean() / np.abs(truth).mean(), rel=0.5)
    assert made.error.shape == made.values.shape
    assert (off <= 1.96 * made.error).mean() > 0.88
    assert off.mean() > 0.15 * made.error.mean(), "the stated errors are many times too large"
    assert np.abs(made.gap).max() < 1e-9
    assert made.record.n_calls == 100
    assert "held-out" in " ".join(made.record.caveats)


def test_rows_unlike_the_others_are_computed_by_the_engine(rows, background, fitted):
    frame = rows.frame.iloc[1200:1220].copy()
    frame.iloc[3, 0] = 50.0
    frame.iloc[7, 4] = "level never seen"
    new, model = Table(frame, rows.schema), curved(background)
    made = explain(model, new, method="amortised", options={"explainer": fitted}, random_state=0)
    truth = explain(model, new, method="shapley_exact").values
    np.testing.assert_allclose(made.values[[3, 7]], truth[[3, 7]], rtol=1e-6, atol=1e-9)
    assert (made.error[[3, 7]] == 0).all()
    assert made.record.settings["unlike_rows"] == 2
    assert made.record.settings["unlike"] == [int(frame.index[k]) for k in (3, 7)]
    assert any("2 rows are unlike" in words for words in made.record.caveats)
    bare = explain(model, new, method="amortised", options={"explainer": fitted, "fallback": False}, random_state=0)
    assert np.abs(bare.values[3] - truth[3]).max() > 1
    assert bare.record.n_calls == 20


def test_one_pass_and_no_more_is_what_it_costs(rows, background, fitted):
    seen: list[int] = []
    model = curved(background, seen)
    explain(
        model, rows.take(slice(0, 200)), method="amortised", options={"explainer": fitted, "fallback": False}, random_state=0, budget=200
    )
    assert sum(seen) == 200
    with pytest.raises(RequestError, match="at least 200"):
        explain(model, rows.take(slice(0, 200)), method="amortised", options={"explainer": fitted}, random_state=0, budget=100)


def test_it_refuses_other_questions_than_it_was_fitted_for(rows, background, fitted):
    model, new = curved(background), rows.take(slice(0, 5))
    with pytest.raises(RequestError, match="fit_explainer"):
        explain(model, new, method="amortised")
    asked = {"method": "amortised", "options": {"explainer": fitted}, "random_state": 0}
    with pytest.raises(RequestError, match="players"):
        explain(model, new, groups={"pair": ["x1", "x2"]}, **asked)
    with pytest.raises(RequestError, match="background"):
        explain(model, new, background=rows.take(slice(50, 60)), **asked)
    with pytest.raises(RequestError, match="marginal"):
        explain(model, new, fill="baseline", **asked)
    other = FunctionPredictor(lambda x: x[:, 0], background, outputs=("z",))
    with pytest.raises(RequestError, match="outputs"):
        explain(other, new, **asked)
    with pytest.raises(RequestError, match="no setting"):
        fit_explainer(model, rows, row=5)
    with pytest.raises(RequestError, match="needs no fitting"):
        fit_explainer(model, rows, method="shapley")
    with pytest.raises(RequestError, match="too few"):
        fit_explainer(model, rows.take(slice(0, 4)))


def test_groups_and_several_outputs(rows, background):
    model = FunctionPredictor(lambda x: np.column_stack([x[:, 0] + x[:, 1], x[:, 2] * x[:, 3]]), background, outputs=("a", "b"))
    groups = {"pair": ["x1", "x2"]}
    made = fit_explainer(model, rows.take(slice(30, 800)), random_state=0, steps=300, test_rows=30, groups=groups)
    new = rows.take(slice(1200, 1240))
    asked = {"groups": groups, "random_state": 0}
    both = explain(model, new, method="amortised", options={"explainer": made, "fallback": False}, **asked)
    assert both.values.shape == (40, 4, 2)
    contrast = explain(model, new, method="amortised", options={"explainer": made, "fallback": False}, output="a", versus="b", **asked)
    np.testing.assert_allclose(contrast.values, both.values[..., 0] - both.values[..., 1], atol=1e-9)
    np.testing.assert_allclose(contrast.error, both.error.sum(-1))  # what its two parts share is not known: they may err in opposite ways
    truth = explain(model, new, method="shapley_exact", **asked).values
    assert np.abs(both.values[..., 0] - truth[..., 0]).mean() < 0.2 * np.abs(truth[..., 0]).mean()


def test_a_model_keeps_its_explainer_and_saves_it(tmp_path):
    frame = made_frame(400, 3, (3,), seed=2)
    noise = np.random.default_rng(0).normal(size=400)
    label = np.where(frame["x1"] + frame["x2"] + noise > 0, "yes", "no")
    model = TabularClassifier(verbose=0, threads=1, random_state=0, max_steps=30).fit(frame, label)
    with pytest.raises(RequestError, match="fit_explainer"):
        model.explain(frame.head(), method="amortised")
    fit_explainer(model, frame, random_state=0, steps=100, rows=200, test_rows=10)
    one = model.explain(frame.head(20), method="amortised", random_state=5)
    model.save(tmp_path / "m.pellucid")
    assert (tmp_path / "m.pellucid" / "explainers" / "amortised.safetensors").is_file()
    two = load(tmp_path / "m.pellucid").explain(frame.head(20), method="amortised", random_state=5)
    np.testing.assert_allclose(one.values, two.values, atol=1e-5)
    probability = model.predict_proba(frame.head(20))[:, 1]
    np.testing.assert_allclose(one.base_values + one.values.sum(1), np.log(probability / (1 - probability)), atol=1e-4)


@pytest.mark.long
def test_on_adult_it_is_within_a_tenth_of_the_engine(tables):
    from pellucid import read_table

    table = read_table(tables / "adult_train.csv.gz", target="income")
    model = TabularClassifier(random_state=0, verbose=0, threads=1, max_steps=200).fit(table)
    assert fit_explainer(model, table, random_state=0).state["facts"]["relative"] < 0.1
