"""Importances side by side: each equals the way asked alone, closed forms of a linear model, groups of copies, outside data scored."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import stdtrit
from scipy.stats import spearmanr
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import pellucid as pld
from pellucid.errors import ArgumentError, RequestError, TargetError
from pellucid.explain import explain
from pellucid.explain.importances import rank_correlation

N = 300
WEIGHTS = np.array([3.0, 2.0, 1.0, 0.5])


def _data(n: int = N, seed: int = 0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(n, 4)), columns=list("abcd"))
    return frame, frame.to_numpy() @ WEIGHTS + 0.1 * rng.normal(size=n)


@pytest.fixture(scope="module")
def linear():
    frame, y = _data()
    return LinearRegression().fit(frame, y), frame, y


@pytest.fixture(scope="module")
def made(linear):
    model, frame, y = linear
    other, truth = _data(200, 1)
    truth = truth + 3 * np.random.default_rng(2).normal(size=200)
    options = {"outside": (other, truth), "group": None}
    return explain(model, frame, method="importances", y=y, options=options, random_state=0), (other, truth)


def test_every_way_equals_its_closed_form_on_a_linear_model(linear, made):
    model, frame, _ = linear
    size = np.abs(frame - frame.mean()).mean().to_numpy() * np.abs(model.coef_)
    result = made[0]
    assert result.measures == ("shapley", "permutation", "built-in", "tree copy", "permutation, outside")
    shapley = result.of("shapley")
    assert (np.abs(shapley.values - size) < 2 * (shapley.interval[:, 1] - shapley.interval[:, 0])).all()  # a sample of 200 rows
    assert np.allclose(result.of("permutation").values, 2 * model.coef_**2 * frame.var(ddof=0), rtol=0.25)
    assert np.allclose(result.of("built-in").values, np.abs(model.coef_) * frame.std(ddof=0))
    assert all(result.of(m).top(4) == ("a", "b", "c", "d") for m in result.measures)
    assert np.allclose(result.correlation, 1)


def test_the_rank_correlation_is_spearmans():
    values = np.random.default_rng(0).normal(size=(9, 3)).round(1)
    values[3] = values[4]
    assert np.allclose(rank_correlation(values), spearmanr(values).statistic)


def test_unrelated_orders_stay_below_the_stated_chance(made):
    draw = np.random.default_rng(0)
    several = [spearmanr(draw.permutation(4), draw.permutation(4)).statistic for _ in range(1000)]
    assert np.mean(np.asarray(several) > made[0].chance + 1e-9) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 1000)


def test_outside_data_are_scored_beside_these_rows(linear, made):
    model, *_ = linear
    result, (other, truth) = made
    lines = result.scores.set_index(["rows", "metric"])
    loss = np.square(truth - model.predict(other))
    line = lines.loc[("outside", "squared error")]
    assert line["value"] == pytest.approx(loss.mean())
    assert line["null"] == pytest.approx(truth.var())
    assert line["high"] - line["value"] == pytest.approx(stdtrit(199, 0.975) * loss.std(ddof=1) / np.sqrt(200))
    skill = lines.loc[("outside", "share of a constant answer's loss taken away")]
    assert skill["value"] == pytest.approx(1 - loss.mean() / truth.var())
    assert "worse than here beyond chance" in result.words  # planted: the outside labels are noisy


def test_outside_data_of_the_same_kind_are_no_worse(linear):
    model, frame, y = linear
    worse = 0
    for seed in range(5, 9):
        options = {"outside": _data(200, seed), "rows": 10}
        worse += "beyond chance" in explain(model, frame, method="importances", y=y, options=options, random_state=0).words
    assert worse <= 1  # two of four by chance: 0.01


def test_columns_that_say_the_same_are_made_one_first():
    frame, y = _data()
    frame = frame.assign(a2=2 * frame["a"] + 0.01 * np.random.default_rng(1).normal(size=N))
    model = RandomForestRegressor(15, max_features=2, max_depth=6, random_state=0).fit(frame, y)
    whole = explain(model, frame, method="importances", y=y, options={"rows": 40}, random_state=0)
    assert whole.groups == {"a + a2": ("a", "a2")}
    assert whole.columns == ("a + a2", "b", "c", "d")
    apart = explain(model, frame, method="importances", y=y, options={"rows": 40, "group": None}, random_state=0)
    assert apart.columns == ("a", "b", "c", "d", "a2")
    impurity = dict(zip(frame.columns, model.feature_importances_))
    assert whole.of("built-in").values[0] == pytest.approx(impurity["a"] + impurity["a2"])
    assert whole.of("permutation").values[0] > 1.3 * apart.of("permutation").values[[0, 4]].max()  # copies hide each other
    given = explain(model, frame, method="importances", y=y, groups={"rest": ["c", "d"]}, options={"rows": 20}, random_state=0)
    assert given.columns == ("a", "b", "rest", "a2")


def test_a_pipeline_is_read_back_to_its_source_columns():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"age": rng.normal(40, 10, N), "city": rng.choice(["Bern", "Oslo", "Rome"], N), "noise": rng.normal(size=N)})
    y = np.where(0.1 * (frame["age"] - 40) + 2 * (frame["city"] == "Oslo") + rng.normal(size=N) > 0.5, "yes", "no")
    made = ColumnTransformer([("num", StandardScaler(), ["age", "noise"]), ("cat", OneHotEncoder(), ["city"])])
    model = make_pipeline(made, LogisticRegression()).fit(frame, y)
    result = explain(model, frame, method="importances", y=y, options={"rows": 40, "group": None}, random_state=0)
    coef = model[-1].coef_[0]
    assert result.columns == ("age", "city", "noise")
    city = sum(abs(c) * (frame["city"] == v).std(ddof=0) for c, v in zip(coef[2:], ("Bern", "Oslo", "Rome")))
    expected = [abs(coef[0]), city, abs(coef[1])]
    assert np.allclose(result.of("built-in").values, expected)
    assert result.scores["metric"][0] == "log loss"
    assert result.scores["value"][0] == pytest.approx(-np.log(model.predict_proba(frame)[np.arange(N), (y == "yes") * 1]).mean())


@pytest.mark.parametrize("backbone", ["linear", "additive", "lightgbm", "xgboost", pytest.param("catboost", marks=pytest.mark.peer)])
def test_our_models_say_what_they_think_themselves(backbone):
    for extra in ("lightgbm", "xgboost", "catboost"):
        if backbone == extra:
            pytest.importorskip(extra)
    frame, y = _data(120)
    few = {"max_steps": 30} if backbone == "additive" else {}
    model = pld.TabularRegressor(backbone=backbone, random_state=0, verbose=0, **few).fit(frame, y)
    name, values = model.predictor().built_in(model.predictor().read(frame))
    assert name
    assert values.argmax() == 0
    assert values.shape == (4,)
    assert (values[0] > values[3]) & (values >= 0).all()
    if backbone == "linear":
        assert np.allclose(values, WEIGHTS * frame.std(ddof=0), rtol=0.05)


def test_a_model_without_importances_of_its_own_says_so(linear):
    _, frame, y = linear
    result = explain(lambda X: X.to_numpy() @ WEIGHTS, frame, method="importances", y=y, options={"rows": 10}, random_state=0)
    assert "built-in" not in result.measures
    assert "no importances of its own" in " ".join(result.record.caveats)
    assert json.loads(result.to_json())["scores"][0]["rows"] == "these rows"
    assert list(result.to_frame()["column"]) == ["a", "b", "c", "d"]
    assert result.agreement().loc["shapley", "permutation"] == 1


@pytest.mark.parametrize(
    ("options", "error"),
    [({"outside": 3}, ArgumentError), ({"outside": "frame"}, TargetError), ({"group": 2}, RequestError), ({"rows": 0}, RequestError)],
)
def test_what_cannot_be_compared_is_refused(linear, options, error):
    model, frame, y = linear
    if options.get("outside") == "frame":
        options = {"outside": frame}
    with pytest.raises(error):
        explain(model, frame, method="importances", y=y, options=options)


def test_parts_that_do_not_fit_are_refused(made):
    with pytest.raises(RequestError, match="do not fit"):
        dataclasses.replace(made[0], columns=("a",))
    with pytest.raises(RequestError, match="no measure"):
        made[0].of("nonsense")


class _Counted:
    """A fitted scikit-learn model that counts the rows it is asked."""

    def __init__(self, model):
        self._model, self.rows = model, 0

    def __getattr__(self, name):
        if name.startswith("_model"):
            raise AttributeError(name)
        return getattr(self._model, name)

    def predict(self, X):
        self.rows += len(X)
        return self._model.predict(X)


@pytest.mark.parametrize("options", [{"group": None}, {"group": None, "rows": 19}, {"group": None, "outside": True}])
def test_no_more_and_no_fewer_rows_are_counted_than_the_model_was_asked(linear, options):
    model, frame, y = linear
    rows, truth = frame.head(60), y[:60]
    counted = _Counted(model)
    options = {**options, "outside": (rows.head(20), truth[:20])} if "outside" in options else options
    result = explain(counted, rows, method="importances", y=truth, options=options, random_state=0)
    assert "built-in" in result.measures
    assert result.record.n_calls == counted.rows
