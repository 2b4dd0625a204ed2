"""Filling by rules: the lecture's table, closed forms, peers, and models that fill."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pellucid as pld
from pellucid import TabularClassifier, TabularRegressor
from pellucid.encode.filling import TableFill, fill_options
from pellucid.encode.table_encoder import TableEncoder
from pellucid.errors import ColumnError, RequestError
from pellucid.table import read_table

MARKS = pd.DataFrame({"test": range(1, 7), "mark": [96, 88, 86, None, 94, 86]})


def correlated(n=4000, rho=0.6, share=0.3, seed=0):
    """Return (whole, gappy): two numbers of correlation rho, cells of ``y`` missing completely at random."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=n)
    whole = pd.DataFrame({"x": x, "y": rho * x + np.sqrt(1 - rho**2) * draw.normal(size=n)})
    return whole, whole.assign(y=whole["y"].mask(draw.random(n) < share))


@pytest.mark.parametrize(
    ("rule", "wanted"), [("mean", 90), ("median", 88), ("mode", 86), ("ffill", 86), ("bfill", 94), ("interpolate", 90), ("constant", 0)]
)
def test_the_lectures_marks(rule, wanted):
    made = pld.fill(read_table(MARKS).with_roles(order="test"), {"mark": rule})
    assert made.table.frame["mark"].tolist() == [96, 88, 86, wanted, 94, 86]
    assert made.to_frame().to_dict("records")[0] | {"old": None} == {"row": 3, "column": "mark", "old": None, "new": wanted, "rule": rule}
    assert made.undo().frame.equals(made.before.frame)


def test_the_lectures_ages_and_ties():
    ages = pd.DataFrame({"age": [20, 21, 21, 22, None], "town": ["Rome", "Bern", None, "Rome", "Bern"], "k": range(5)})
    table = read_table(ages, types={"age": "number", "town": "category"})
    made = pld.fill(table, "mode")
    assert made.table.frame["age"].iloc[4] == 21
    assert made.table.frame["town"].iloc[2] == "Bern"  # both towns twice: the first in order


def test_one_outlier_leaves_the_median_as_it_is_and_moves_the_mean():
    cells = pd.DataFrame({"a": [*np.random.default_rng(0).normal(10, 2, 999), np.nan]})
    spoilt = cells.copy()
    spoilt.loc[cells["a"].idxmax(), "a"] = 1e9
    filled = {rule: [pld.fill(t, rule).table.frame["a"].iloc[-1] for t in (cells, spoilt)] for rule in ("median", "mean")}
    assert filled["median"][0] == filled["median"][1]
    assert filled["mean"][1] == pytest.approx(filled["mean"][0] + 1e6, rel=1e-2)


def test_one_value_and_draws_do_what_the_closed_forms_say():
    m, rho, n = 0.3, 0.6, 40_000
    _, gappy = correlated(n, rho, m)
    table = read_table(gappy)
    tolerance = 4 / np.sqrt(n)  # four standard errors of a correlation and of a relative variance, rounded up
    for rule, variance, correlation in (("mean", 1 - m, rho * np.sqrt(1 - m)), ("sample", 1.0, rho * (1 - m))):
        made = pld.fill(table, {"y": rule})
        effect = made.effects[0]
        assert effect["variance_ratio"] == pytest.approx(variance, abs=2 * tolerance)
        assert np.corrcoef(made.table.frame["x"], made.table.frame["y"])[0, 1] == pytest.approx(correlation, abs=tolerance)
        assert effect["correlation_change"] == pytest.approx(correlation - rho, abs=2 * tolerance)
        assert effect["partner"] == "x"


def test_the_mean_of_a_skewed_column_is_told_and_draws_are_not():
    draw = np.random.default_rng(3)
    pay = pd.Series(draw.lognormal(8, 1, 4000))
    table = read_table(pd.DataFrame({"pay": pay.mask(draw.random(4000) < 0.3), "other": draw.normal(size=4000)}))
    mean, sample = (pld.fill(table, {"pay": rule}).effects[0] for rule in ("mean", "sample"))
    assert mean["distorted"]
    assert mean["distance"] > 0.1
    assert not sample["distorted"]
    assert sample["distance_of_filled"] < 0.05  # more than 1,000 cells


def test_every_row_draws_for_itself_and_repeatably():
    frame = pd.DataFrame({"a": [*np.random.default_rng(5).permutation(2000) / 7, *[np.nan] * 1000]})
    one, two, other = (pld.fill(frame, "sample", seed=s).table.frame["a"].to_numpy()[2000:] for s in (0, 0, 1))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)
    assert len(np.unique(one)) > 500
    # two-sided bound at 1 in 1000 of a draw of 1,000
    assert np.abs(np.sort(one) * 7 / 2000 - (np.arange(1000) + 0.5) / 1000).max() < 1.95 / np.sqrt(1000)


def test_neighbours_and_chained_equations_beat_the_mean():
    whole, gappy = correlated(1500, 0.95, 0.2)
    gone = gappy["y"].isna()
    error = {
        rule: float(((pld.fill(gappy, {"y": rule}).table.frame["y"] - whole["y"])[gone] ** 2).mean() ** 0.5)
        for rule in ("mean", "knn", "iterative", "cluster")
    }
    assert error["knn"] < 0.8 * error["mean"]
    assert error["iterative"] < 0.8 * error["mean"]
    assert error["cluster"] < 0.8 * error["mean"]


def test_neighbours_are_scikit_learns_where_one_column_has_gaps():
    from sklearn.impute import KNNImputer

    draw = np.random.default_rng(1)
    x = draw.normal(size=(200, 3))
    x[:, 2] += x[:, 0]
    x[draw.choice(200, 40, replace=False), 2] = np.nan
    frame = pd.DataFrame(x, columns=["a", "b", "c"])
    ours = pld.fill(frame, ("knn", {"k": 5})).table.frame.to_numpy()
    scale = np.nanstd(x, axis=0)
    assert np.allclose(ours, KNNImputer(n_neighbors=5).fit_transform(x / scale) * scale)


def test_chained_equations_recover_a_law():
    draw = np.random.default_rng(2)
    frame = pd.DataFrame({"a": draw.normal(size=400), "b": draw.normal(size=400)})
    frame["c"] = 3 * frame["a"] - 2 * frame["b"] + 5
    gappy = frame.assign(c=frame["c"].mask(draw.random(400) < 0.3))
    filled = pld.fill(gappy, ("iterative", {"ridge": 1e-9})).table.frame["c"]
    inside = frame["c"].between(gappy["c"].min(), gappy["c"].max())
    assert np.allclose(filled[inside], frame["c"][inside], atol=1e-5)


def test_clusters_beat_the_column_and_an_empty_row_gets_a_fill():
    draw = np.random.default_rng(4)
    label = draw.integers(0, 3, 600)
    frame = pd.DataFrame(
        {"a": label * 10 + draw.normal(size=600), "b": label * 10 + draw.normal(size=600), "t": np.array(["x", "y", "z"])[label]}
    )
    gappy = frame.mask(draw.random(frame.shape) < 0.15)
    gappy.loc[0] = [np.nan, np.nan, None]
    made = pld.fill(gappy, ("cluster", {"k": 3})).table.frame
    assert not made.isna().any().any()
    gone = gappy["b"].isna() & ~gappy[["a", "t"]].isna().all(axis=1)
    assert ((made["b"] - frame["b"])[gone].abs() < 5).mean() > 0.97
    levels = gappy["t"].isna() & ~gappy[["a", "b"]].isna().all(axis=1)
    assert (made["t"] == frame["t"])[levels].mean() > 0.97


def test_more_clusters_than_there_are_do_not_gather_the_rows_that_lack_the_same_cell():
    draw = np.random.default_rng(2)
    label = draw.integers(0, 3, 900)
    centres = np.array([[0, 0, 0], [8, 0, 4], [0, 8, -4]])
    frame = pd.DataFrame(centres[label] + draw.normal(size=(900, 3)), columns=list("abc")).assign(t=np.array(["x", "y", "z"])[label])
    gappy = frame.mask(draw.random(frame.shape) < 0.15)
    made, plain = (pld.fill(gappy, rule).table.frame for rule in ("cluster", {"a": "mean", "b": "mean", "c": "mean"}))
    for name in "abc":
        gone = gappy[name].isna()
        assert np.mean((made[name] - frame[name])[gone] ** 2) < 0.25 * np.mean((plain[name] - frame[name])[gone] ** 2), name


def test_order_is_demanded_and_groups_are_kept_apart():
    with pytest.raises(RequestError, match=r"no declared order.*with_roles\(order="):
        pld.fill(MARKS, {"mark": "ffill"})
    frame = pd.DataFrame(
        {
            "day": [3, 1, 2, 1, 2, 3],
            "who": list("aaabbb"),
            "x": [7.0, 1.0, np.nan, np.nan, 5.0, np.nan],
            "c": [None, "u", None, "v", None, "w"],
        }
    )
    table = read_table(frame, types={"who": "category", "c": "category", "x": "number"}).with_roles(order="day", group="who")
    fill = lambda rule: pld.fill(table, {"x": rule, "c": rule}).table.frame  # noqa: E731
    # group a by day: 1, ?, 7; group b: ?, 5, ?; the training median 5 where a group has nothing before or after
    assert fill("ffill")["x"].tolist() == [7, 1, 1, 5, 5, 5]
    assert fill("bfill")["x"].tolist() == [7, 1, 7, 5, 5, 5]
    assert fill("interpolate")["x"].tolist() == [7, 1, 4, 5, 5, 5]
    assert fill("interpolate")["c"].tolist() == ["u", "u", "u", "v", "v", "w"]
    assert "later rows" in pld.fill(table, {"x": "bfill"}).record.caveats[0]
    with pytest.raises(ColumnError, match="rows 2"):
        pld.fill(table.with_cells({"day": [3, 1, None, 1, 2, 3]}), {"x": "ffill"})


def test_texts_codes_and_dates_come_back_in_the_users_form():
    frame = pd.DataFrame(
        {
            "price": ["1,50", "2,50", "?", "3,75"] * 10,
            "when": pd.Series(["2024-01-03", "", "2024-01-05", "2024-01-03"] * 10).replace("", None),
            "code": pd.Series([1, None, 2, 1] * 10, dtype="Int64"),
            "kind": pd.Categorical(["a", None, "b", "a"] * 10),
        }
    )
    table = read_table(frame, types={"code": "category"})
    made = pld.fill(table, {"price": "median", "when": "mode", "code": "mode", "kind": ("constant", {"value": "none"})})
    assert made.table.frame["price"].iloc[2] == "2,5"
    assert made.table.numbers("price")[2] == 2.5
    assert made.table.frame["when"].iloc[1] == "2024-01-03"
    assert made.table.levels("code")[0].min() >= 0
    assert made.table.texts("kind")[1] == "none"
    assert made.undo(made.table).frame.equals(frame)
    assert (made.to_frame().groupby("column").size() == 10).all()
    assert made.to_dict()["cells"][0]["row"] == 1


def test_what_cannot_be_asked_for():
    for asked, error in (("mena", RequestError), (("knn", {"kk": 3}), RequestError), ({"nope": "mean"}, ColumnError), (3, RequestError)):
        with pytest.raises(error):
            pld.fill(MARKS, asked)
    with pytest.raises(RequestError, match="filled with a text"):
        pld.fill(MARKS, {"mark": ("constant", {"value": "none"})})
    assert fill_options("learned") == {}


def test_rules_learn_from_the_rows_they_are_given():
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0, np.nan, 1000.0]})
    assert pld.fill(frame, "mean", fit_on=np.arange(3)).table.frame["a"].iloc[3] == 2.0
    # a mask was taken for the positions 0 and 1
    assert pld.fill(frame, "mean", fit_on=np.array([False, False, False, False, True])).table.frame["a"].iloc[3] == 1000.0
    assert pld.scale(frame, "minmax", fit_on=frame["a"] <= 3).table.frame["a"].iloc[:3].tolist() == [0.0, 0.5, 1.0]
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0, np.nan, 1e9]})
    assert pld.fill(frame, "median").table.frame["a"].iloc[3] == 2.5  # an outlier moves the median by half a step


@pytest.fixture(scope="module")
def people():
    draw = np.random.default_rng(0)
    n = 400
    x = draw.normal(50, 10, n)
    frame = pd.DataFrame({"age": x, "dose": x + draw.normal(0, 4, n), "kind": np.where(x + draw.normal(0, 5, n) > 50, "heavy", "light")})
    gappy = frame.mask(draw.random(frame.shape) < 0.2)
    return gappy.assign(day=np.arange(n)), (x + draw.normal(0, 5, n) > 50).astype(int)


@pytest.mark.parametrize("backbone", ["linear", "mlp"])
def test_a_model_fills_and_is_saved_with_its_rules(people, backbone, tmp_path):
    X, y = people
    fill = {"age": ("knn", {"indicator": True}), "dose": "median", "kind": "mode"}
    model = TabularClassifier(backbone=backbone, fill=fill, scale={"dose": "robust"}, max_steps=20, verbose=0, random_state=0).fit(X, y)
    assert {e["column"]: e["rule"] for e in model.record_["filled"]} == {"age": "knn", "dose": "median", "kind": "mode"}
    answers = model.predict_proba(X)
    assert model.cell_notes(X)["dose"].eq("missing").sum() == X["dose"].isna().sum()  # what was missing is still told
    model.save(tmp_path / "m")
    again = pld.load(tmp_path / "m")
    assert np.array_equal(again.predict_proba(X), answers)
    turned = np.random.default_rng(1).permutation(len(X))
    assert np.allclose(model.predict_proba(X.iloc[turned]), answers[turned], atol=1e-6)
    row = X[X["dose"].isna()].iloc[:1]
    median = float(model.engine_.encoder.fill.rules[1][1].learned["values"][0])
    assert median == pytest.approx(X["dose"].median())  # a small table is learned in folds, its rules from all of them
    assert np.allclose(model.predict_proba(row), model.predict_proba(row.assign(dose=median)), atol=1e-6)
    why = model.explain(row, method="shapley")
    assert np.allclose(why.values.sum(1) + why.base_values, model.predictor().raw(model._table(row))[:, 0], atol=1e-4)


def test_rules_that_are_gone_do_not_fill_for_those_that_come_after():
    # the table keeps what rules gave under their number, and numbers of what is gone are dealt out again
    table = read_table(pd.DataFrame({"a": [1.0, np.nan, 3.0, 4.0], "y": [0, 1, 0, 1]}), target="y")

    def filled(value):
        rule = {"a": ("constant", {"value": value})}
        return TableEncoder().fit(table, np.arange(4.0), task="regression", fill=rule).raw_numbers(table)[1, 0]

    assert [filled(float(v)) for v in range(40)] == list(range(40))


def test_a_model_fills_along_declared_rows(people, tmp_path):
    X, _ = people
    y = np.random.default_rng(0).normal(size=len(X))
    with pytest.raises(RequestError, match="no declared order"):
        TabularRegressor(backbone="linear", fill={"age": "ffill"}, verbose=0).fit(X, y)
    table = read_table(X.assign(y=y)).with_roles(order="day", target="y")
    model = TabularRegressor(backbone="linear", fill={"age": "ffill", "dose": "mean"}, verbose=0, random_state=0).fit(table)
    new = pd.DataFrame({"age": [33.0, np.nan], "dose": [50.0, 50.0], "kind": ["heavy", "heavy"], "day": [1, 2]})
    assert np.ptp(model.predict(new)) == pytest.approx(0, abs=1e-9)
    assert np.ptp(model.predict(new.assign(age=[33.0, 45.0]))) > 1e-6
    model.save(tmp_path / "m")
    assert np.allclose(pld.load(tmp_path / "m").predict(new), model.predict(new))
    assert model.refitter()(columns=["age", "kind"]).columns == ("age", "kind")


def test_a_model_that_fills_is_not_exported(people):
    pytest.importorskip("onnx")
    X, y = people
    model = TabularClassifier(backbone="mlp", fill="mean", max_steps=2, verbose=0).fit(X, y)
    with pytest.raises(RequestError, match="cannot be exported"):
        model.export("model.onnx")


def test_state_is_plain():
    import json

    rules = TableFill.fit(read_table(MARKS), {"mark": "mean"})
    text = json.dumps(rules.state(), default=lambda a: a.tolist())
    assert TableFill.from_state(json.loads(text)).rule_of("mark") == "mean"


def test_the_audit_tells_what_a_models_filling_did(people):
    X, y = people
    table = read_table(X.assign(y=y), target="y")
    told = {}
    for rule in ("mean", None):
        model = TabularClassifier(backbone="linear", fill=rule, verbose=0, random_state=0).fit(table)
        told[rule] = [f for f in pld.audit(table, predictor=model) if f.kind == "missing: filled"]
    assert {f.columns[0] for f in told["mean"]} >= {"age", "dose"}
    assert "variance" in told["mean"][0].evidence
    assert told[None] == []


@pytest.mark.parametrize("dtype", ["Int64", "int64[pyarrow]", "Sparse[float64]", "float32"])
def test_whole_number_columns_of_any_library_take_fractions(dtype):
    column = pd.Series([3, 6, None, 2, 7, 3], dtype="Int64" if dtype[0] != "S" else float).astype(dtype)
    filled = pld.fill(read_table(pd.DataFrame({"a": column, "b": range(6)}), types={"a": "number"}), {"a": "mean"})
    assert filled.table.frame["a"].tolist() == pytest.approx([3, 6, 4.2, 2, 7, 3])


@pytest.mark.parametrize("dtype", ["boolean", "bool[pyarrow]", "Int64", "float64"])
def test_columns_of_levels_take_a_word_for_missing(dtype):
    column = pd.Series([1, 0, None, 1, 1, 0], dtype="boolean" if "ool" in dtype else "Float64").astype(dtype)
    filled = pld.fill(read_table(pd.DataFrame({"a": column, "b": range(6)}), types={"a": "category"}), {"a": "constant"})
    assert filled.table.frame["a"].tolist() == [1, 0, "missing", 1, 1, 0]


def test_numbers_beyond_squares_are_filled_scaled_and_judged():
    draw = np.random.default_rng(0)
    plain = pd.DataFrame(draw.normal(size=(60, 3)), columns=["a", "b", "c"]).mask(draw.random((60, 3)) < 0.2)
    large = plain.assign(a=plain["a"] * 2.0**990, b=plain["b"] * 2.0**-990)
    for rule in ("iterative", "knn", "cluster", "mean"):
        one, two = pld.fill(plain, rule), pld.fill(large, rule)
        np.testing.assert_allclose(two.table.frame["a"] * 2.0**-990, one.table.frame["a"], rtol=1e-9)
        effects = [made.effects_frame()[["variance_ratio", "distance", "correlation_change"]].astype(float) for made in (one, two)]
        np.testing.assert_allclose(effects[1], effects[0], rtol=1e-6, atol=1e-9)
    assert pld.scale(large, "zscore").table.frame["a"].std(ddof=0) == pytest.approx(1)


def test_only_columns_that_were_filled_are_said_to_be_copied_from_later_rows():
    table = read_table({"t": [1.0, 2.0, 3.0], "g": [86.0, None, 94.0], "whole": [1.0, 5.0, 2.0]}).with_roles(order="t")
    [caveat] = pld.fill(table, "bfill").record.caveats
    assert caveat.startswith("'g': ")
