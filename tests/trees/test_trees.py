"""Trees read from the models of other packages answer as the models do, missing cells and categories included."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn import ensemble, tree

from pellucid.trees import join, read

N = 300
KINDS = {
    "DecisionTreeRegressor": (tree.DecisionTreeRegressor, {}),
    "DecisionTreeClassifier": (tree.DecisionTreeClassifier, {"max_depth": 4}),
    "RandomForestRegressor": (ensemble.RandomForestRegressor, {"n_estimators": 5}),
    "RandomForestClassifier": (ensemble.RandomForestClassifier, {"n_estimators": 5}),
    "ExtraTreesRegressor": (ensemble.ExtraTreesRegressor, {"n_estimators": 5}),
    "ExtraTreesClassifier": (ensemble.ExtraTreesClassifier, {"n_estimators": 5}),
    "GradientBoostingRegressor": (ensemble.GradientBoostingRegressor, {"n_estimators": 10}),
    "GradientBoostingClassifier": (ensemble.GradientBoostingClassifier, {"n_estimators": 10}),
    "HistGradientBoostingRegressor": (ensemble.HistGradientBoostingRegressor, {"max_iter": 10}),
    "HistGradientBoostingClassifier": (ensemble.HistGradientBoostingClassifier, {"max_iter": 10}),
    "LGBMRegressor": ("lightgbm", {"n_estimators": 10, "verbose": -1, "n_jobs": 1}),
    "LGBMClassifier": ("lightgbm", {"n_estimators": 10, "verbose": -1, "n_jobs": 1}),
    "XGBRegressor": ("xgboost", {"n_estimators": 10, "enable_categorical": True, "n_jobs": 1}),
    "XGBClassifier": ("xgboost", {"n_estimators": 10, "enable_categorical": True, "n_jobs": 1}),
    "CatBoostRegressor": ("catboost", {"n_estimators": 10, "verbose": False, "allow_writing_files": False, "thread_count": 1}),
    "CatBoostClassifier": ("catboost", {"n_estimators": 10, "verbose": False, "allow_writing_files": False, "thread_count": 1}),
}
GAPS = [k for k in KINDS if not k.startswith(("GradientBoosting", "ExtraTrees"))]  # these read missing cells on all supported versions
LEVELS = [
    "HistGradientBoostingRegressor",
    "HistGradientBoostingClassifier",
    "LGBMRegressor",
    "LGBMClassifier",
    "XGBRegressor",
    "XGBClassifier",
]


def frame_of(gaps=False, levels=False):
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(size=(N, 4)), columns=list("abcd"))
    frame["d"] = draw.integers(0, 4, N)  # whole numbers, so that cells lie on thresholds
    truth = frame["a"] * frame["b"] + frame["c"] + frame["d"]
    if levels:
        towns = draw.choice(["Bern", "Chur", "Genf", "Sion", "Thun", "Zug"], N)
        frame.insert(1, "town", pd.Categorical(towns))
        truth += 2 * np.isin(towns, ["Chur", "Thun"])
    if gaps:
        frame.loc[draw.random(N) < 0.2, "a"] = np.nan
        if levels:
            frame.loc[draw.random(N) < 0.2, "town"] = np.nan
    return frame, truth.to_numpy()


def model_of(name, classes=2):
    kind, options = KINDS[name]
    kind = getattr(pytest.importorskip(kind), name) if isinstance(kind, str) else kind
    if name.startswith("Hist"):
        options = {**options, "categorical_features": "from_dtype"}
    frame, truth = frame_of(name in GAPS, name in LEVELS)
    target = np.searchsorted(np.quantile(truth, np.arange(1, classes) / classes), truth) if name.endswith("Classifier") else truth
    return kind(random_state=0, **options).fit(frame, target), frame


def answers(grown, frame):
    return grown.forest.answers(grown.cells(frame))


@pytest.mark.parametrize("name", KINDS)
def test_trees_answer_as_the_model(name):
    model, frame = model_of(name)
    frame = frame.iloc[::-1]
    grown = read(model)
    found = answers(grown, frame)
    if grown.says == "value":
        assert found[:, 0] == pytest.approx(model.predict(frame), abs=1e-5)
    elif grown.says == "probability":
        assert found == pytest.approx(model.predict_proba(frame), abs=1e-12)
    else:
        assert grown.says == "log-odds"
        assert 1 / (1 + np.exp(-found[:, 0])) == pytest.approx(model.predict_proba(frame)[:, 1], abs=1e-6)
    assert np.ptp(found[:, 0]) > 0.1


@pytest.mark.parametrize("name", [n for n in KINDS if n.endswith("Classifier") and not n.startswith("Cat")])
def test_more_classes(name):
    model, frame = model_of(name, classes=3)
    grown = read(model)
    found = answers(grown, frame)
    if grown.says == "margins":
        found = np.exp(found - found.max(1, keepdims=True))
        found /= found.sum(1, keepdims=True)
    assert found == pytest.approx(model.predict_proba(frame), abs=1e-6)


def check_stopped(model, frame):
    grown = read(model)
    assert len(grown.forest.root) < 40
    assert answers(grown, frame)[:, 0] == pytest.approx(model.predict(frame), abs=1e-5)


def nothing_to_learn(frame):
    """Held-out rows after which the first trees are the best."""
    return frame[200:], np.random.default_rng(1).normal(size=100)


def test_a_stopped_lightgbm_ends_where_its_answers_do():
    lightgbm = pytest.importorskip("lightgbm")
    frame, truth = frame_of()
    model = lightgbm.LGBMRegressor(n_estimators=40, verbose=-1, n_jobs=1)
    stop = {"eval_set": [nothing_to_learn(frame)], "callbacks": [lightgbm.early_stopping(5, verbose=False)]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer versions name the same arguments otherwise
        model.fit(frame[:200], truth[:200], **stop)
    check_stopped(model, frame)


def test_a_stopped_xgboost_ends_where_its_answers_do():
    xgboost = pytest.importorskip("xgboost")
    frame, truth = frame_of()
    model = xgboost.XGBRegressor(n_estimators=40, early_stopping_rounds=5, n_jobs=1)
    check_stopped(model.fit(frame[:200], truth[:200], eval_set=[nothing_to_learn(frame)], verbose=False), frame)


def test_cells_without_end_at_a_lightgbm_split_off_missing_cells():
    lightgbm = pytest.importorskip("lightgbm")
    frame = pd.DataFrame({"a": np.where(np.arange(N) % 3 == 0, np.nan, np.arange(N) % 2)})
    model = lightgbm.LGBMRegressor(n_estimators=5, verbose=-1, n_jobs=1).fit(frame, frame["a"].isna().astype(float))
    ends = pd.DataFrame({"a": [np.inf, -np.inf, 1e300, np.nan, 1.0]})
    grown = read(model)
    assert np.isinf(grown.forest.threshold).any()
    assert answers(grown, ends)[:, 0] == pytest.approx(model.predict(ends), abs=1e-12)


def test_the_number_that_an_xgboost_estimator_takes_for_a_missing_cell():
    xgboost = pytest.importorskip("xgboost")
    frame, truth = frame_of()
    frame = frame.mask(np.random.default_rng(2).random(frame.shape) < 0.2, -9.0)
    model = xgboost.XGBRegressor(n_estimators=10, n_jobs=1, missing=-9.0).fit(frame, truth)
    assert answers(read(model), frame)[:, 0] == pytest.approx(model.predict(frame), abs=1e-5)


def test_what_is_no_sum_of_trees_is_not_read():
    from sklearn.linear_model import LinearRegression

    frame, truth = frame_of()
    counts = np.round(np.abs(truth))
    assert read(LinearRegression().fit(frame, truth)) is None
    assert read(ensemble.HistGradientBoostingRegressor(loss="poisson", max_iter=3).fit(frame, counts)) is None
    first = tree.DecisionTreeRegressor(max_depth=1)
    assert read(ensemble.GradientBoostingRegressor(init=first, n_estimators=3).fit(frame, truth)) is None
    assert read(ensemble.AdaBoostRegressor(n_estimators=3).fit(frame, truth)) is None


def test_other_objectives_of_lightgbm_are_not_read():
    lightgbm = pytest.importorskip("lightgbm")
    frame, truth = frame_of()
    model = lightgbm.LGBMRegressor(objective="poisson", n_estimators=3, verbose=-1)
    assert read(model.fit(frame, np.round(np.abs(truth)))) is None


@pytest.mark.parametrize("options", [{"objective": "count:poisson"}, {"booster": "gblinear"}, {"booster": "dart"}], ids=str)
def test_other_kinds_of_xgboost_are_not_read(options):
    xgboost = pytest.importorskip("xgboost")
    frame, truth = frame_of()
    assert read(xgboost.XGBRegressor(n_estimators=3, **options).fit(frame, np.round(np.abs(truth)))) is None


def test_parts_and_joins_add_up():
    model, frame = model_of("RandomForestRegressor")
    grown = read(model)
    cells = grown.cells(frame)
    whole = grown.forest.answers(cells)
    for trees, nodes in ((1, 10**9), (2, 10**9), (10**9, 1)):
        parts = list(grown.forest.parts(trees, nodes))
        assert len(parts) > 1
        assert sum(p.answers(cells) for p in parts) == pytest.approx(whole)
    twice = join([grown.forest, grown.forest.scaled(2.0, 1.0)], columns=True)
    assert twice.answers(cells) == pytest.approx(np.column_stack([whole, 2 * whole + 1]))
    assert join([grown.forest, grown.forest]).answers(cells) == pytest.approx(2 * whole)
    with pytest.raises(ValueError, match="no sum"):
        grown.forest.mapped(np.exp)
