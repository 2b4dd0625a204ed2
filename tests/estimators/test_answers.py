"""What fit accepts, and what the fitted estimators answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import pellucid as pld
from pellucid import TabularClassifier, TabularRegressor
from pellucid.testing.mixed import FEATURES, mixed

QUICK: dict[str, Any] = {"verbose": 0, "threads": 1, "random_state": 0, "max_steps": 40}


def test_probabilities_sum_to_one_and_follow_the_order_of_classes(classifier: TabularClassifier, frame: pd.DataFrame) -> None:
    p = classifier.predict_proba(frame[FEATURES])
    assert p.shape == (len(frame), 2)
    assert np.allclose(p.sum(1), 1, atol=1e-12)
    assert classifier.classes_.tolist() == ["no", "yes"]
    assert classifier.score(frame[FEATURES], frame["label"]) > 0.75


def test_half_precision_moves_probabilities_little_and_only_where_asked(classifier: TabularClassifier, frame: pd.DataFrame) -> None:
    exact, half = (classifier.predict_proba(frame[FEATURES], precision=p) for p in ("fp32", "bf16"))
    assert np.array_equal(classifier.predict_proba(frame[FEATURES]), exact)
    assert 0 < np.abs(half - exact).max() < 0.02
    with pytest.raises(pld.RequestError, match="precision"):
        classifier.predict(frame[FEATURES], precision="half")


@pytest.mark.parametrize("convert", [pl.from_pandas, pa.Table.from_pandas, pld.read_table], ids=["polars", "pyarrow", "Table"])
def test_frames_of_any_library_get_the_same_answers(classifier: TabularClassifier, frame: pd.DataFrame, convert: Any) -> None:
    expected = classifier.predict_proba(frame[FEATURES])
    assert np.array_equal(classifier.predict_proba(convert(frame[FEATURES])), expected)


def test_fit_on_polars_equals_fit_on_pandas(frame: pd.DataFrame, classifier: TabularClassifier) -> None:
    other = TabularClassifier(**QUICK).fit(pl.from_pandas(frame[FEATURES]), frame["label"].to_numpy())
    assert np.array_equal(other.predict_proba(frame[FEATURES]), classifier.predict_proba(frame[FEATURES]))


def test_target_in_frame_by_name_or_role_is_the_same_fit(frame: pd.DataFrame, classifier: TabularClassifier) -> None:
    whole = frame[[*FEATURES, "label"]]
    by_name = TabularClassifier(**QUICK).fit(whole, target="label")
    by_role = TabularClassifier(**QUICK).fit(pld.read_table(whole, target="label"))
    expected = classifier.predict_proba(frame[FEATURES])
    assert np.array_equal(by_name.predict_proba(whole), expected)  # a target column that is present is ignored
    assert np.array_equal(by_role.predict_proba(frame[FEATURES]), expected)


def test_y_beside_a_table_with_a_target_is_an_error(frame: pd.DataFrame) -> None:
    with pytest.raises(pld.RequestError, match="Pass one of them"):
        TabularClassifier(**QUICK).fit(pld.read_table(frame[[*FEATURES, "label"]], target="label"), frame["label"])


def test_column_order_and_row_order_change_nothing(classifier: TabularClassifier, frame: pd.DataFrame) -> None:
    expected = classifier.predict_proba(frame[FEATURES])
    assert np.array_equal(classifier.predict_proba(frame[FEATURES[::-1]]), expected)
    order = np.random.default_rng(0).permutation(len(frame))
    assert np.array_equal(classifier.predict_proba(frame[FEATURES].iloc[order]), expected[order])
    assert np.array_equal(classifier.predict_proba(frame[FEATURES].iloc[[7]]), expected[[7]])


def test_same_seed_same_bits(frame: pd.DataFrame, classifier: TabularClassifier) -> None:
    again = TabularClassifier(**QUICK).fit(frame[FEATURES], frame["label"])
    assert np.array_equal(again.predict_proba(frame[FEATURES]), classifier.predict_proba(frame[FEATURES]))


def test_three_classes_keep_their_labels(frame: pd.DataFrame) -> None:
    model = TabularClassifier(**QUICK).fit(frame[FEATURES], frame["three"])
    assert model.classes_.tolist() == [0, 1, 2]
    assert model.predict_proba(frame[FEATURES]).shape == (len(frame), 3)
    assert model.score(frame[FEATURES], frame["three"]) > 0.6


def test_several_numeric_targets(frame: pd.DataFrame) -> None:
    y = np.column_stack([frame["y"], -2 * frame["y"] + 5])
    model = TabularRegressor(**QUICK).fit(frame[FEATURES], y)
    p = model.predict(frame[FEATURES])
    assert p.shape == (len(frame), 2)
    assert np.corrcoef(p[:, 0], p[:, 1])[0, 1] < -0.9
    assert len(model.certainty_.conformals) == 2


def test_several_label_columns_are_refused(frame: pd.DataFrame) -> None:
    with pytest.raises(pld.TargetError, match="one classifier per column"):
        TabularClassifier(**QUICK).fit(frame[FEATURES], frame[["label", "three"]].to_numpy())


def test_eval_set_serves_stopping_only(frame: pd.DataFrame) -> None:
    other = mixed(120, 5)
    model = TabularClassifier(**QUICK).fit(frame[FEATURES], frame["label"], eval_set=(other[FEATURES], other["label"]))
    assert len(model.plan_.stop) == 120
    table = mixed(2300, 1)
    pair = (other[FEATURES], other["label"])
    long = TabularClassifier(**QUICK).fit(table[FEATURES], table["label"], eval_set=[pair])  # the form of boosted trees
    assert len(long.plan_.stop) == 120
    with pytest.raises(pld.RequestError, match="eval_set of 2 pairs"):
        TabularClassifier(**QUICK).fit(table[FEATURES], table["label"], eval_set=[pair, pair])
    assert len(long.plan_.train) + len(long.plan_.certify) == 2300


def test_certify_rows_are_not_learned_from(long_classifier: TabularClassifier) -> None:
    plan = long_classifier.plan_
    assert len(plan.certify) >= 200
    assert not set(plan.certify) & (set(plan.train) | set(plan.stop))
    kept = set(long_classifier.reference_.frame.index)
    assert not kept & set(plan.certify.tolist())


def test_unseen_missing_and_far_cells_are_answered_and_reported(classifier: TabularClassifier, frame: pd.DataFrame) -> None:
    new = frame[FEATURES].head(4).copy()
    new["city"] = ["Oslo", None, "Cork", "Cork"]
    new["age"] = [30.0, np.nan, 1e9, 40.0]
    new["joined"] = pd.to_datetime(["2021-01-01", "2021-01-02", None, "2199-01-01"])
    assert np.isfinite(classifier.predict_proba(new)).all()
    notes = classifier.cell_notes(new)
    assert notes["city"].tolist() == ["unseen", "missing", "", ""]
    assert notes["age"].tolist() == ["", "missing", "out of range", ""]
    assert notes["joined"].tolist() == ["", "", "missing", "out of range"]


def test_a_missing_column_is_named(classifier: TabularClassifier, frame: pd.DataFrame) -> None:
    with pytest.raises(pld.ColumnError, match="city"):
        classifier.predict(frame[[c for c in FEATURES if c != "city"]])


def test_text_in_a_number_column_is_named(classifier: TabularClassifier, frame: pd.DataFrame) -> None:
    new = frame[FEATURES].head(3).astype({"age": object})
    new.loc[new.index[1], "age"] = "old"
    with pytest.raises(pld.CellError, match=r"column 'age', row 1\b"):
        classifier.predict(new)


def test_a_class_of_one_row_is_kept(frame: pd.DataFrame) -> None:
    labels = frame["label"].to_numpy(object).copy()
    labels[3] = "perhaps"
    model = TabularClassifier(**QUICK).fit(frame[FEATURES], labels)
    assert "perhaps" in model.classes_
    assert model.predict_proba(frame[FEATURES]).shape[1] == 3


def test_rows_without_a_target_are_left_out_and_said(frame: pd.DataFrame) -> None:
    whole = frame[[*FEATURES, "label"]].copy()
    whole.loc[whole.index[:30], "label"] = None
    model = TabularClassifier(**QUICK).fit(whole, target="label")
    assert model.record_["rows"] == 270
    assert "30 rows without a target" in model.record_["caveats"][0]


@pytest.mark.parametrize("backbone", ["linear", "knn", "tree", "hist_gb", "lightgbm"])
def test_peers_have_the_same_face(backbone: str, frame: pd.DataFrame) -> None:
    options = {**QUICK, "backbone": backbone}
    features = FEATURES[:-1]
    model = TabularClassifier(**options).fit(frame[features], frame["label"])
    assert model.score(frame[features], frame["label"]) > 0.75
    assert model.certainty_.conformal is not None
    other = TabularRegressor(**options).fit(frame[features], frame["y"])
    assert other.score(frame[features], frame["y"]) > 0.3


def test_linear_coefficients_are_in_original_units() -> None:
    r = np.random.default_rng(0)
    X = pd.DataFrame({"metres": r.normal(100, 20, 2500), "grams": r.normal(5, 1, 2500)})
    model = TabularRegressor(backbone="linear", verbose=0, random_state=0).fit(X, 3 * X["metres"] - 40 * X["grams"])
    coef = model.engine_.peer.coefficients()
    assert coef["metres"][0] == pytest.approx(3, rel=1e-2)
    assert coef["grams"][0] == pytest.approx(-40, rel=1e-2)


def test_tree_prints_rules_in_original_units() -> None:
    X = pd.DataFrame({"age": np.arange(2500) % 80})
    model = TabularClassifier(backbone="tree", verbose=0, random_state=0).fit(X, X["age"] > 41)
    assert "if age <= 41.5" in model.engine_.peer.rules()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"members": 0}, "members"),
        ({"backbone": "tabn"}, "Did you mean 'tabnet' or 'tabm'"),
        ({"calibration": "magic"}, "calibration"),
        ({"time_limit": -1}, "time_limit"),
        ({"class_weight": {"maybe": 2}}, "class_weight"),
        ({"metric": "rmse"}, "metric"),
        ({"precision": "fp8"}, "precision"),
        ({"schema": 3}, "schema"),
    ],
)
def test_bad_arguments_are_named(options: dict[str, Any], message: str, frame: pd.DataFrame) -> None:
    with pytest.raises(pld.PellucidError, match=message):
        TabularClassifier(**{**QUICK, **options}).fit(frame[FEATURES], frame["label"])


@pytest.mark.parametrize(
    ("labels", "message"),
    [(["a"] * 300, "one class"), ([None] * 300, "missing"), (np.linspace(0, 1, 300), "TabularRegressor")],
)
def test_bad_targets_are_named(labels: Any, message: str, frame: pd.DataFrame) -> None:
    with pytest.raises(pld.DataError, match=message):
        TabularClassifier(**QUICK).fit(frame[FEATURES].assign(t=labels), target="t")


def test_time_limit_is_kept(frame: pd.DataFrame) -> None:
    table = mixed(3000, 2)
    options = {**QUICK, "max_steps": None, "time_limit": 4.0}
    model = TabularClassifier(**options).fit(table[FEATURES], table["label"])
    assert model.record_["training"]["seconds"] < 4.0 * 1.25  # the workers of the suite share the processor
    assert np.isfinite(model.predict_proba(table[FEATURES])).all()


def test_schema_argument_survives_clone_and_types_are_kept(frame: pd.DataFrame) -> None:
    from sklearn.base import clone

    model = clone(TabularClassifier(**QUICK, schema={"age": "category"})).fit(frame[FEATURES], frame["label"])
    assert str(model.schema_["age"].type) == "category"


def test_grid_search_and_pipeline_work(frame: pd.DataFrame) -> None:
    from sklearn.model_selection import GridSearchCV

    search = GridSearchCV(TabularClassifier(**{**QUICK, "backbone": "linear"}), {"calibration": ["none", "temperature"]}, cv=2)
    assert search.fit(frame[FEATURES], frame["label"]).best_score_ > 0.6


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (["a", "b"] * 20, "TabularClassifier"),
        ([1.0, float("nan")] * 20, "target="),
        ([3.5] * 40, "constant.*got 3.5 in 40 rows"),
    ],
)
def test_a_target_that_is_no_number_says_what_to_do(y: list[Any], words: str) -> None:
    frame = pd.DataFrame({"x": np.arange(40.0), "z": np.arange(40.0)[::-1] ** 2})
    with pytest.raises(pld.DataError, match=words):
        TabularRegressor(backbone="linear", verbose=0).fit(frame, y)


def test_leaves_of_one_class_do_not_promise_certainty() -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(400, 2))
    y = np.where(draw.random(400) < 0.05, x[:, 0] < 0, x[:, 0] > 0)
    tree = TabularClassifier(backbone="tree", calibration="none", verbose=0, random_state=0).fit(x, y)
    new = draw.normal(size=(4000, 2))
    p = tree.predict_proba(new)[np.arange(4000), ((new[:, 0] > 0) ^ (draw.random(4000) < 0.05)).astype(int)]
    assert p.min() > 1 / 402
    assert -np.log(p).mean() < 0.4  # that of the law itself is 0.2; a leaf that promised certainty would cost 34 where it is wrong


@pytest.mark.parametrize("backbone", ["linear", "hist_gb", "tree"])
def test_a_table_of_a_few_categories_is_learned(backbone: str) -> None:
    draw = np.random.default_rng(0)
    sex, berth, age = draw.integers(0, 2, 1500), draw.integers(0, 4, 1500), draw.integers(0, 2, 1500)  # twenty copies of a row
    law = 1 / (1 + np.exp(-(np.array([-1.0, 1.3])[sex] + np.array([0.9, 0.0, -0.6, -0.1])[berth] + age * (sex == 0))))
    frame = pd.DataFrame({"sex": np.array(["m", "f"])[sex], "berth": np.array([*"abcd"])[berth], "age": np.array(["old", "young"])[age]})
    model = TabularClassifier(backbone=backbone, random_state=0, verbose=0, threads=1).fit(frame[:500], draw.random(1500)[:500] < law[:500])
    assert np.sqrt(np.mean((model.predict_proba(frame[500:])[:, 1] - law[500:]) ** 2)) < 0.1  # shares of 30 rows are off by 0.09


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda y: pd.Timestamp("2020-01-01") + pd.to_timedelta(y, unit="D"), "a date cannot be the target"),
        (lambda y: pd.to_timedelta(y, unit="D"), "a date cannot be the target"),
        (lambda y: y * 1e300, "squares of the target's numbers cannot be held"),
        (lambda y: y * 1e-300, "squares of the target's numbers cannot be held"),
        (lambda y: np.where(y > 0, "yes", "no"), "could not convert string to float: 'yes'"),
    ],
)
def test_targets_that_a_regression_cannot_learn(make: Any, match: str) -> None:
    X = np.random.default_rng(0).normal(size=(60, 2))
    with pytest.raises(pld.TargetError, match=match):
        TabularRegressor(backbone="linear", verbose=0).fit(X, make(np.abs(X[:, 0])))


def test_rows_given_as_mappings_are_read_by_name() -> None:
    frame = pd.DataFrame({"a": np.arange(60.0), "c": list("xyz") * 20})
    model = TabularClassifier(backbone="linear", max_steps=20, random_state=0, verbose=0).fit(frame, np.arange(60) > 30)
    rows = frame.iloc[[3, 50]]
    for given in (rows[["c", "a"]].to_dict("records"), rows.to_dict("list")):
        np.testing.assert_array_equal(model.predict_proba(given), model.predict_proba(rows))


def test_score_reads_the_target_column_and_leaves_out_rows_without_an_answer() -> None:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"a": draw.normal(size=120), "b": draw.choice(["u", "v"], 120)})
    number, label = 2 * frame["a"] + (frame["b"] == "u"), pd.Series(np.where(frame["a"] > 0, "hi", "lo"), dtype=object)
    for kind, y in ((TabularRegressor, number), (TabularClassifier, label)):
        model = kind(backbone="linear", **QUICK).fit(frame.assign(y=y), target="y")
        assert model.score(frame.assign(y=y)) == model.score(frame, y)
        some = y.where(y.index > 9, None)
        assert model.score(frame.assign(y=some)) == pytest.approx(model.score(frame[10:], y[10:]))
        with pytest.raises(pld.PellucidError, match="true answers of these rows are not known"):
            model.score(frame)


def test_a_target_of_one_row_a_class_is_refused_with_a_way_out() -> None:
    frame = pd.DataFrame({"a": range(40), "day": pd.date_range("1870-01-01", periods=40)})
    with pytest.raises(pld.PellucidError, match=r"each class of the target stands in one row.*'day'.*days since the first"):
        TabularClassifier(backbone="linear", **QUICK).fit(frame, target="day")


def test_a_column_whose_few_cells_are_all_held_out_stops_no_trees() -> None:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"a": draw.normal(size=200), "rare": np.nan, "y": draw.choice(["u", "v"], 200)})
    frame.loc[[150, 151], "rare"] = [1.0, 2.0]
    assert np.isfinite(TabularClassifier(backbone="hist_gb", **QUICK).fit(frame, target="y").predict_proba(frame)).all()


@pytest.mark.parametrize(
    ("options", "how", "words"),
    [
        ({"class_weight": {"yes": -2}}, {}, "numbers above 0, got {'yes': -2}"),
        ({}, {"groups": [1, 2, 3]}, "groups= does not fit the rows; expected one for each of 40 rows"),
        ({"backbone": "mlp", "metric": "auc"}, {}, "Did you mean .roc_auc"),
        ({}, {"eval_set": pd.DataFrame({"x": [1.0, 2.0]})}, r"eval_set has no answers; expected a pair \(X, y\)"),
    ],
)
def test_what_a_fit_cannot_use_is_named(options: dict[str, Any], how: dict[str, Any], words: str) -> None:
    frame = pd.DataFrame({"x": np.arange(40.0)})
    with pytest.raises(pld.RequestError, match=words):
        TabularClassifier(**{"backbone": "linear", "verbose": 0, "max_steps": 2} | options).fit(frame, ["yes", "no"] * 20, **how)


def test_the_command_line_asks_a_classifier_once(classifier, frame, monkeypatch):
    from pellucid.cli.predict import answers

    asked = []
    one = type(classifier).predict_proba
    monkeypatch.setattr(type(classifier), "predict_proba", lambda self, X, **how: asked.append(len(X)) or one(self, X, **how))
    made, _ = answers(classifier, frame[FEATURES], None)
    assert asked == [len(frame)]
    assert (made["prediction"].to_numpy() == classifier.predict(frame[FEATURES])).all()


@pytest.mark.parametrize(("rows", "told"), [(2, True), (19, True), (20, False)])
def test_a_fit_to_a_handful_of_rows_says_that_they_are_too_few(rows: int, told: bool) -> None:
    model = TabularRegressor(backbone="linear", **QUICK).fit(pd.DataFrame({"a": np.arange(rows)}), np.arange(float(rows)))
    assert any(f"{rows} rows are too few to tell a rule from chance" in words for words in model.record_["caveats"]) == told
