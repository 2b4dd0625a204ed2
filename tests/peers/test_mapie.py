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


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
def test_adaptive_sets(level):
    """Held-out scores with MAPIE's own chance; a class is in where the mass up to it does not pass the bound; MAPIE leaves no set empty."""
    from mapie.classification import SplitConformalClassifier
    from sklearn.datasets import make_classification
    from sklearn.linear_model import LogisticRegression

    from pellucid.training.adaptive import adaptive_scores, own_scores

    x, y = make_classification(900, 8, n_informative=6, n_classes=5, random_state=1)
    model = LogisticRegression(max_iter=500).fit(x[:200], y[:200])
    peer = SplitConformalClassifier(model, confidence_level=level, prefit=True, conformity_score="aps").conformalize(x[200:500], y[200:500])
    known = peer.predict_set(x[500:], conformity_score_params={"include_last_label": False})[1][:, :, 0]
    p, q = model.predict_proba(x[200:500]), model.predict_proba(x[500:])
    theirs = np.asarray(peer._mapie_classifier.conformity_scores_).reshape(-1)
    chance = 1 - (own_scores(p, y[200:500], 1.0) - theirs) / p[np.arange(300), y[200:500]]
    assert -1e-9 < chance.min() < 0.05 < 0.95 < chance.max() < 1 + 1e-9
    np.testing.assert_allclose(own_scores(p, y[200:500], chance), theirs, atol=1e-9)
    ours = Conformal.fit_scores("aps", own_scores(p, y[200:500], chance)).sets_of(adaptive_scores(q, 1.0), level)
    some = ours.any(1)
    assert some.mean() > 0.5
    np.testing.assert_array_equal(ours[some], known[some])


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
def test_conformalised_quantiles(data, level):
    from mapie.regression import ConformalizedQuantileRegressor
    from sklearn.linear_model import QuantileRegressor

    from pellucid.uncertainty.quantile import conformalise

    x, y = data
    shares = ((1 - level) / 2, (1 + level) / 2, 0.5)
    models = [QuantileRegressor(quantile=q, alpha=0).fit(x[:200], y[:200]) for q in shares]
    peer = ConformalizedQuantileRegressor(models, confidence_level=level, prefit=True).conformalize(x[200:300], y[200:300])
    known = peer.predict_interval(x[300:], symmetric_correction=True)[1][:, :, 0]
    low, high = (m.predict(x[200:300]) for m in models[:2])
    ours = conformalise(y[200:300], low, high).band(models[0].predict(x[300:]), models[1].predict(x[300:]), level)
    np.testing.assert_allclose(np.column_stack(ours), known, atol=1e-9)


@pytest.mark.parametrize("level", [0.8, 0.9])
def test_normalised_intervals(data, level):
    from mapie.conformity_scores import ResidualNormalisedScore
    from mapie.regression import SplitConformalRegressor
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.linear_model import LinearRegression

    x, y = data
    model = LinearRegression().fit(x[:150], y[:150])
    told = TransformedTargetRegressor(LinearRegression(), func=np.log, inverse_func=np.exp)
    told.fit(x[150:200], np.abs(y[150:200] - model.predict(x[150:200])))
    score = ResidualNormalisedScore(residual_estimator=told, prefit=True, sym=True)
    peer = SplitConformalRegressor(model, confidence_level=level, prefit=True, conformity_score=score).conformalize(x[200:300], y[200:300])
    known = peer.predict_interval(x[300:])[1][:, :, 0]
    fit = Conformal.fit_split(y[200:300], model.predict(x[200:300]), spread=told.predict(x[200:300]))
    ours = fit.interval(model.predict(x[300:]), level, spread=told.predict(x[300:]))
    np.testing.assert_allclose(np.column_stack(ours), known, atol=1e-9)


def test_groups():
    """Mondrian: MAPIE's wrapper fits one conformal model a group."""
    from mapie.regression import SplitConformalRegressor
    from sklearn.linear_model import LinearRegression

    rng = np.random.default_rng(5)
    x, group = rng.normal(size=(500, 2)), rng.integers(0, 2, 500)
    y = x[:, 0] + (1 + 3 * group) * rng.normal(size=500)
    model = LinearRegression().fit(x[:100], y[:100])
    fit = Conformal.fit_split(y[100:300], model.predict(x[100:300]), groups={"g": group[100:300]})
    ours = np.column_stack(fit.interval(model.predict(x[300:]), 0.9, group="g", labels=group[300:]))
    for g in (0, 1):
        mine, new = 100 + np.flatnonzero(group[100:300] == g), 300 + np.flatnonzero(group[300:] == g)
        peer = SplitConformalRegressor(model, confidence_level=0.9, prefit=True).conformalize(x[mine], y[mine])
        np.testing.assert_allclose(ours[new - 300], peer.predict_interval(x[new])[1][:, :, 0], atol=1e-9)
