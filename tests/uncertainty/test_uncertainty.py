"""The whole answer: parts, promises, refusals, and errors, on doubles with known probabilities and on small fitted models."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

import pellucid.uncertainty
from pellucid.errors import ArgumentError, NotFittedError, RequestError
from pellucid.results import plain
from pellucid.table import read_table
from pellucid.training.calibrators import Identity, Temperature
from pellucid.training.conformal import Conformal
from pellucid.training.familiarity import Familiarity
from pellucid.training.groupings import groupings
from pellucid.uncertainty.certainty import Certainty, Certified
from pellucid.uncertainty.conformal import fold_answers

uncertainty = pellucid.uncertainty.uncertainty


@dataclass
class State:
    """A certainty made by hand."""

    calibrator: object
    conformals: tuple
    by_folds: bool = False
    familiarity: object = None


class Double:
    """A fitted model whose member answers are a function of its column ``x``; column ``town`` is not used."""

    def __init__(self, table, answer, classes, state):
        self.schema_, self.certainty_, self.answer, self.classes = table.schema, state, answer, classes
        self.columns, self.task = table.features, "classification" if classes else "regression"

    def predictor(self):
        return self

    def members_raw(self, table):
        return self.answer(table.numbers("x"))


def rows(n, seed, shift=0.0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"x": rng.normal(shift, 1, n), "town": rng.choice(["a", "b", "rare"], n, p=[0.5, 0.48, 0.02])})


def binary(x):
    """Return three members that agree near 0 and disagree far out."""
    z = np.stack([x, x * 0.5, 1.5 * x], axis=1)
    p = 1 / (1 + np.exp(-z))
    return np.stack([1 - p, p], axis=2)


@pytest.fixture(scope="module")
def classifier():
    frame = rows(1000, 0)
    table = read_table(frame)
    p = binary(frame["x"].to_numpy()).mean(1)
    y = (np.random.default_rng(1).random(1000) < p[:, 1]).astype(int)
    state = State(Identity(), (Conformal.fit_split(y, p, groups=groupings(table)),), familiarity=Familiarity.fit(table))
    return Double(table, binary, ("no", "yes"), state)


@pytest.fixture(scope="module")
def regressor():
    frame = rows(1000, 0)
    table = read_table(frame)
    y = frame["x"].to_numpy() + np.random.default_rng(1).normal(0, 2, 1000)
    state = State(None, (Conformal.fit_split(y, frame["x"], groups=groupings(table)),), familiarity=Familiarity.fit(table))
    return Double(table, lambda x: (x[:, None] + np.array([-0.1, 0.0, 0.1]))[:, :, None], (), state)


def test_doubles_and_estimators_keep_the_protocol(classifier):
    from pellucid import TabularClassifier

    assert isinstance(classifier, Certified)
    assert isinstance(classifier.certainty_, Certainty)
    assert hasattr(TabularClassifier, "predictor")


def test_classes(classifier):
    new = rows(4000, 2)
    out = uncertainty(classifier, new, level=0.9)
    p = binary(new["x"].to_numpy()).mean(1)
    np.testing.assert_allclose(out.probabilities, p)
    assert out.classes == ("no", "yes")
    assert (out.point == np.where(p[:, 1] > p[:, 0], "yes", "no")).all()
    y = np.where(np.random.default_rng(3).random(4000) < p[:, 1], "yes", "no")
    covered = np.mean([label in s for label, s in zip(y, out.set)])
    assert covered == pytest.approx(0.9, abs=4 * np.sqrt(0.9 * 0.1 * (1 / 1000 + 1 / 4000)))
    full = np.array([len(s) == 2 for s in out.set])
    assert out.refused[full].all()
    assert set(np.array(out.reason)[full & (out.familiarity >= 1)]) == {"every class is possible at 90 %"}
    assert "covers at least 90 %" in out.record.caveats[0]
    assert len(out.to_frame()) == 4000
    assert plain(out)["level"] == 0.9
    assert ((out.familiarity > 0) & (out.familiarity <= 100)).all()


def test_strange_rows_are_refused_with_the_column(classifier):
    out = uncertainty(classifier, rows(50, 4, shift=40.0), level=0.5)
    assert out.refused.all()
    assert all("stranger than 99 of 100 training rows, most of all in 'x'" in r for r in out.reason)
    assert set(out.odd_column) == {"x"}
    assert (out.epistemic >= 0).all()
    usual = uncertainty(classifier, rows(2000, 5), level=0.5)
    assert (usual.familiarity < 1).mean() <= 0.01 + 4 * np.sqrt(0.01 / 1000 + 0.01 / 2000)
    assert (np.array(usual.odd_column, object)[usual.familiarity >= 10] == None).all()  # noqa: E711


def test_numbers(regressor):
    out = uncertainty(regressor, rows(300, 6), level=0.9)
    assert out.high - out.point == pytest.approx(out.point - out.low)
    assert (out.high - out.low).mean() / 2 == pytest.approx(1.645 * 2, rel=0.08)
    assert out.aleatoric[0] == pytest.approx(4, rel=0.2)
    assert out.epistemic[0] == pytest.approx(0.02 / 3)
    assert out.probabilities is None
    assert out.set is None
    wider = uncertainty(regressor, rows(300, 6), level=0.99)
    assert ((wider.low <= out.low) & (out.high <= wider.high)).all()


def test_groups_and_those_too_small_for_a_promise(regressor):
    out = uncertainty(regressor, rows(300, 7), level=0.99, groups="town")
    assert any("too few held-out rows for a promise of their own" in c and "'rare'" in c for c in out.record.caveats)
    widths = pd.Series((out.high - out.low).round(9)).groupby(rows(300, 7)["town"]).nunique()
    assert (widths == 1).all()
    with pytest.raises(RequestError, match=r"'height'.*one of 'town'"):
        uncertainty(regressor, rows(3, 0), groups="height")
    with pytest.raises(ArgumentError, match="one column"):
        uncertainty(regressor, rows(3, 0), groups=["town"])


def test_without_held_out_rows_or_kept_ones_it_says_so(regressor):
    bare = Double(read_table(rows(50, 0)), regressor.answer, (), State(None, ()))
    out = uncertainty(bare, rows(5, 1))
    assert out.low is None
    assert out.aleatoric is None
    assert out.familiarity is None
    assert not out.refused.any()
    assert "no rows were held out" in out.record.caveats[0]
    few = Double(read_table(rows(50, 0)), regressor.answer, (), State(None, (Conformal.fit_split(np.arange(5.0), np.zeros(5)),)))
    out = uncertainty(few, rows(5, 1))
    assert np.isinf(out.low).all()
    assert set(out.reason) == {"too few held-out rows to exclude anything at 90 %"}


def test_fold_members_are_averaged_fold_by_fold():
    members = np.arange(24.0).reshape(2, 6, 2)
    c = Conformal.fit_folds(np.arange(9.0), np.zeros(9), np.arange(9) % 3)
    np.testing.assert_array_equal(fold_answers(members, c)[0], [[1, 2], [5, 6], [9, 10]])
    with pytest.raises(RequestError, match="6 members"):
        fold_answers(members, Conformal.fit_folds(np.arange(9.0), np.zeros(9), np.arange(9) % 4))


def test_fold_answers_use_cv_plus_and_calibrated_scores():
    table = read_table(rows(200, 0))
    x = table.numbers("x")
    y = (np.random.default_rng(1).random(200) < 1 / (1 + np.exp(-x))).astype(int)
    fold, hot = np.arange(200) % 3, Temperature(2.0)
    p = hot.apply(binary(x)[np.arange(200), fold])
    state = State(hot, (Conformal.fit_folds(y, p, fold),), by_folds=True)
    out = uncertainty(Double(table, binary, ("no", "yes"), state), rows(40, 2), level=0.8)
    answers = hot.apply(binary(rows(40, 2)["x"].to_numpy()).reshape(-1, 2)).reshape(40, 3, 2)
    known = state.conformals[0].sets(answers, 0.8)
    assert [("no" in s, "yes" in s) for s in out.set] == [tuple(k) for k in known]
    assert "covers at least 60 %" in out.record.caveats[0]


def test_errors_are_one_line():
    from sklearn.linear_model import LinearRegression

    from pellucid import TabularClassifier

    with pytest.raises(RequestError, match=r"keeps nothing about its certainty.*got LinearRegression"):
        uncertainty(LinearRegression(), rows(2, 0))
    with pytest.raises(NotFittedError):
        uncertainty(TabularClassifier(), rows(2, 0))
    with pytest.raises(RequestError, match="between 0 and 1"):
        uncertainty(TabularClassifier(), rows(2, 0), level=90)
    with pytest.raises(RequestError, match="between 0 and 1"):
        uncertainty(TabularClassifier(), rows(2, 0), level="90 %")


@pytest.mark.parametrize("classes", [True, False])
def test_fitted_models_answer(classes):
    from pellucid import TabularClassifier, TabularRegressor

    rng = np.random.default_rng(1)
    frame = rows(2400, 0)
    signal = frame["x"].to_numpy() + rng.normal(0, 1, 2400)
    y = np.where(signal > 0, "yes", "no") if classes else signal
    kind = TabularClassifier if classes else TabularRegressor
    model = kind(backbone="linear", random_state=0, verbose=0).fit(frame.iloc[:2000], y[:2000])
    new, truth = frame.iloc[2000:], y[2000:]
    out = model.uncertainty(new, level=0.8)
    inside = [t in s for t, s in zip(truth, out.set)] if classes else (out.low <= truth) & (truth <= out.high)
    assert np.mean(inside) == pytest.approx(0.8, abs=4 * np.sqrt(0.16 * (1 / 200 + 1 / 400)))
    if not classes:
        np.testing.assert_allclose(out.point, model.predict(new), atol=1e-9)
    else:
        assert (out.point == model.predict(new)).all()
        np.testing.assert_allclose(out.probabilities, model.predict_proba(new), atol=1e-12)
    assert list(out.to_frame().index) == list(new.index)
    assert pellucid.uncertainty(model, new.iloc[:2]).level == 0.9


def test_numpy_models_answer_too():
    from pellucid import TabularRegressor

    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    model = TabularRegressor(backbone="linear", random_state=0, verbose=0).fit(x, x[:, 0] + rng.normal(size=400))
    out = model.uncertainty(x[:5])
    assert (out.low < out.high).all()
    assert out.familiarity is not None


def test_a_good_model_is_not_refused_for_its_empty_sets():
    rng = np.random.default_rng(0)
    table = read_table(rows(600, 0))

    def sure(x):
        p = 1 / (1 + np.exp(-30 * x))
        return np.stack([1 - p, p], axis=1)[:, None]

    x = table.numbers("x")
    y = (rng.random(600) < sure(x)[:, 0, 1]).astype(int)  # right in about 98 of 100 rows
    state = State(Identity(), (Conformal.fit_split(y, sure(x)[:, 0]),))
    out = uncertainty(Double(table, sure, ("no", "yes"), state), rows(2000, 1), level=0.9)
    empty = np.array([len(s) == 0 for s in out.set])
    assert empty.mean() == pytest.approx(0.1, abs=0.04)  # the promise of 90 % asks for them
    assert out.refused.mean() < 0.01 + 4 * np.sqrt(0.01 / 600 + 0.01 / 2000)
    assert {r for r in out.reason if r} <= {"no class fits, even at 99 %"}
