"""``pellucid.act`` as users call it: our estimators, models from elsewhere, rules of the table, hostile cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pellucid as pld
from pellucid.errors import ArgumentError, ColumnError, EmptyTableError, RequestError
from pellucid.testing.mixed import FEATURES, mixed


@pytest.fixture(scope="module")
def fitted():
    frame = mixed(400)
    table = pld.read_table(frame[[*FEATURES, "label"]], target="label").with_rules(age="up", member="never")
    return pld.TabularClassifier(backbone="linear", verbose=0, random_state=0).fit(table), frame


def test_rules_of_the_training_table_hold_later(fitted):
    model, frame = fitted
    made = pld.act(model, frame.head(60)[FEATURES], want="yes", random_state=0)
    assert "member" not in made.columns
    up = made.changes[made.changes["column"] == "age"]
    assert (up["after"].astype(float) > up["before"].astype(float))[up["before"].notna()].all()
    assert (made.reached == (model.predict(frame.head(60)[FEATURES]) == "yes")).all()
    assert set(made.options["prediction"]) == {"yes"}


def test_rules_of_the_call_and_of_the_new_table_come_on_top(fitted):
    model, frame = fitted
    rows = pld.read_table(frame.head(60)[FEATURES]).with_rules("if city == 'Cork' then age <= 60", city=["Aachen", "Cork"])
    made = pld.act(model, rows, want="yes", rules={"age": (18, 70)}, random_state=0)
    cities = made.changes.loc[made.changes["column"] == "city", "after"]
    assert set(cities) <= {"Aachen", "Cork"}
    assert made.rules["age"] == "at least 18, at most 70"
    assert "Cork" in made.rules["joint"]


def test_loaded_models_keep_their_rules(fitted, tmp_path):
    model, frame = fitted
    model.save(tmp_path / "m.pellucid")
    again = pld.load(tmp_path / "m.pellucid")
    one, two = (pld.act(m, frame.head(30)[FEATURES], want="yes", random_state=0) for m in (model, again))
    assert one.to_frame().equals(two.to_frame())
    assert one.changes.equals(two.changes)


def test_three_classes_and_a_probability(fitted):
    frame = mixed(400)
    model = pld.TabularClassifier(backbone="linear", verbose=0, random_state=0).fit(frame[FEATURES], frame["three"])
    made = pld.act(model, frame.head(40)[FEATURES], want=2, method="counterfactual", random_state=0)
    assert set(made.options["prediction"]) == {2}
    surer = pld.act(fitted[0], frame.head(40)[FEATURES], want={"yes": 0.9}, random_state=0)
    assert surer.reached.sum() < pld.act(fitted[0], frame.head(40)[FEATURES], want="yes", random_state=0).reached.sum()


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow", "numpy"])
def test_models_from_elsewhere_in_every_library(library):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.integers(0, 9, 200), "b": rng.normal(size=200)})
    if library == "numpy":
        given, score = frame.to_numpy(), lambda x: x[:, 0] + x[:, 1] - 6
    elif library == "polars":
        import polars as pl

        given, score = pl.from_pandas(frame), lambda x: x["a"].to_numpy() + x["b"].to_numpy() - 6
    elif library == "pyarrow":
        import pyarrow as pa

        given, score = pa.Table.from_pandas(frame), lambda x: x["a"].to_numpy() + x["b"].to_numpy() - 6
    else:
        given, score = frame, lambda x: (x["a"] + x["b"] - 6).to_numpy()
    rows = given[:30] if library != "pyarrow" else given.slice(0, 30)
    made = pld.act(score, rows, want=">= 0", background=given, random_state=0)
    assert len(made.options) > 10
    assert made.options["prediction"].min() >= 0


def test_sklearn_classifiers_with_text_and_gaps():
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    frame = mixed(300)
    X = frame[["age", "income", "city", "member"]]
    encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["city"]), remainder="passthrough")
    forest = make_pipeline(encode, HistGradientBoostingClassifier(max_iter=20, random_state=0)).fit(X, frame["label"])
    made = pld.act(forest, X.head(40), want="yes", rules={"age": "never"}, background=X, random_state=0)
    assert (made.reached == (forest.predict(X.head(40)) == "yes")).all()
    for (row, _), mine in made.changes.groupby(["row", "option"]):
        changed = X.loc[[row]].copy()
        for column, after in mine[["column", "after"]].itertuples(index=False):
            changed[column] = {"True": True, "False": False}.get(after, after) if column == "member" else after
        assert forest.predict(changed)[0] == "yes"


def test_text_is_escaped_where_it_is_shown():
    rows = pd.DataFrame({"a": ["<script>", "x"] * 10, "b": np.arange(20.0)})
    made = pld.act(lambda f: (f["a"] == "<script>") + 0.0, rows, want=">= 1", background=rows, random_state=0)
    assert "<script>" in set(made.changes["after"])
    assert "<script>" not in made._repr_html_()


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"want": "yes", "rules": {"agee": "never"}}, ColumnError, "agee"),
        ({"want": "yes", "rules": 5}, ArgumentError, "mapping"),
        ({"want": "yes", "rules": "age <"}, RequestError, "age <"),
        ({"want": "yes", "method": "prayer"}, RequestError, "prayer"),
        ({"want": "yes", "options": {"drawz": 5}}, RequestError, "draws"),
        ({"want": "yes", "options": [1]}, ArgumentError, "mapping"),
        ({"want": "yes", "budget": "soon"}, RequestError, "budget"),
        ({"want": "yes", "options": {"options": 0}}, RequestError, "at least 1"),
        ({}, RequestError, "want="),
    ],
    ids=str,
)
def test_bad_questions_are_refused(fitted, settings, error, words):
    model, frame = fitted
    with pytest.raises(error, match=words):
        pld.act(model, frame.head(5)[FEATURES], **settings)


def test_no_rows_and_no_background_are_refused(fitted):
    model, frame = fitted
    with pytest.raises(EmptyTableError):
        pld.act(model, frame.head(0)[FEATURES], want="yes")
    with pytest.raises(RequestError, match="background"):
        pld.act(lambda f: f["age"], frame.head(5), want=">= 1")


def test_a_rule_on_a_column_that_the_model_does_not_read_is_refused():
    rows = pd.DataFrame({"a": np.arange(9.0)})
    table = pld.read_table(rows.assign(b=rows["a"] * 3 % 5)).with_rules("a <= b + 5")
    model = pld.TabularRegressor(backbone="linear", verbose=0).fit(table.with_roles(target="b"))
    with pytest.raises((RequestError, ColumnError), match="b"):
        pld.act(model, rows, want=">= 1")


def test_changes_that_no_rule_binds_are_said_to_be_unbound():
    """Without rules an option may ask a person to be younger: who reads it must know that nobody said what can change."""
    draw = np.random.default_rng(0)
    kept = pd.DataFrame({"age": draw.normal(size=60), "income": draw.normal(size=60)})

    def score(rows):
        return rows["age"] + rows["income"]

    asked = {"want": ">= 1", "background": kept, "random_state": 0}
    said = " ".join(pld.act(score, kept.head(4), **asked).record.caveats)
    assert said.count("no rules were given") == 1
    assert "no rules" not in " ".join(pld.act(score, kept.head(4), rules={"age": "never"}, **asked).record.caveats)
    assert "no rules" not in " ".join(pld.act(score, kept.head(4), method="minimize", **asked).record.caveats)
