"""MAPIE on the same calibration rows gives the same intervals and sets."""

import numpy as np
import pytest

from pellucid.training.conformal import Conformal

mapie = pytest.importorskip("mapie", reason="needs the peer package mapie")
pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    return x, x @ [1.0, -2.0, 0.5] + rng.normal(size=400)


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
def test_split_intervals(data, level):
    from mapie.regression import SplitConformalRegressor
    from sklearn.linear_model import LinearRegression

    x, y = data
    model = LinearRegression().fit(x[:200], y[:200])
    peer = SplitConformalRegressor(model, confidence_level=level, prefit=True).conformalize(x[200:300], y[200:300])
    known = peer.predict_interval(x[300:])[1][:, :, 0]
    ours = Conformal.fit_split(y[200:300], model.predict(x[200:300])).interval(model.predict(x[300:]), level)
    np.testing.assert_allclose(np.column_stack(ours), known, atol=1e-9)


@pytest.mark.parametrize("level", [0.8, 0.9])
def test_cv_plus_intervals(data, level):
    from mapie.regression import CrossConformalRegressor
    from sklearn.linear_model import LinearRegression
    from sklearn.model_selection import KFold

    x, y = data
    train, new = x[:100], x[300:]
    parts = KFold(5)
    peer = CrossConformalRegressor(LinearRegression(), confidence_level=level, method="plus", cv=parts).fit_conformalize(train, y[:100])
    known = peer.predict_interval(new)[1][:, :, 0]
    fold, oof, answers = np.empty(100, int), np.empty(100), np.empty((len(new), 5))
    for k, (fit, held) in enumerate(parts.split(train)):
        model = LinearRegression().fit(train[fit], y[fit])
        fold[held], oof[held], answers[:, k] = k, model.predict(train[held]), model.predict(new)
    np.testing.assert_allclose(np.column_stack(Conformal.fit_folds(y[:100], oof, fold).interval(answers, level)), known, atol=1e-9)


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
def test_class_sets(level):
    from mapie.classification import SplitConformalClassifier
    from sklearn.datasets import make_classification
    from sklearn.linear_model import LogisticRegression

    x, y = make_classification(600, 8, n_informative=5, n_classes=4, random_state=0)
    model = LogisticRegression(max_iter=500).fit(x[:200], y[:200])
    peer = SplitConformalClassifier(model, confidence_level=level, prefit=True, conformity_score="lac").conformalize(x[200:400], y[200:400])
    known = peer.predict_set(x[400:])[1][:, :, 0]
    ours = Conformal.fit_split(y[200:400], model.predict_proba(x[200:400])).sets(model.predict_proba(x[400:]), level)
    np.testing.assert_array_equal(ours, known)
