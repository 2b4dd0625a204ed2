"""Models from elsewhere are called as their owner would call them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from pellucid.errors import ArgumentError, CellError, ColumnError, RequestError
from pellucid.probe.foreign import ForeignPredictor, as_predictor
from pellucid.testing.predictors import LinearPredictor, made_table


class Spy:
    """Remembers the frames it is called with."""

    def __init__(self):
        self.seen = []

    def __call__(self, frame):
        self.seen.append(frame)
        return np.zeros(len(frame))


@pytest.fixture
def frame():
    return pd.DataFrame(
        {
            "i": [1, 2, 3],
            "f": [0.5, np.nan, 1.5],
            "s": ["a", None, "c"],
            "c": pd.Categorical(["u", "v", None], categories=["u", "v"]),
            "b": [True, False, True],
            "d": pd.to_datetime(["2020-01-01", None, "2021-01-01"]),
            "n": pd.array([1, None, 3], "Int64"),
        }
    )


def test_dtypes_order_and_missing_cells_are_kept(frame):
    spy = Spy()
    model = as_predictor(spy, frame, frame.iloc[:2])
    model.raw(model.read(frame.iloc[::-1]))
    last = spy.seen[-1]
    assert list(last.columns) == list(frame.columns)
    assert last.dtypes.equals(frame.dtypes)
    pd.testing.assert_frame_equal(last, frame.iloc[::-1].reset_index(drop=True))


def test_levels_are_the_union_and_columns_come_in_the_order_of_x(frame):
    spy = Spy()
    other = frame.iloc[:, ::-1].assign(c=pd.Categorical(["w", "u", "w"]))
    model = as_predictor(spy, frame, other)
    model.raw(model.background())
    assert list(spy.seen[-1].columns) == list(frame.columns)
    assert spy.seen[-1]["c"].cat.categories.tolist() == ["u", "v", "w"]
    assert spy.seen[-1]["c"].tolist() == ["w", "u", "w"]


def test_polars_frames_stay_polars():
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame(
        {"i": [1, None, 3], "s": ["a", None, "c"], "f": [0.5, None, 2.0], "e": pl.Series(["u", "v", None], dtype=pl.Enum(["u", "v"]))},
        schema_overrides={"i": pl.Int32},
    )
    other = frame.with_columns(e=pl.Series(["w", "w", None], dtype=pl.Enum(["w"])))
    spy = Spy()
    model = as_predictor(spy, frame, other)
    model.raw(model.read(frame))
    got = spy.seen[-1]
    assert isinstance(got, pl.DataFrame)
    assert got.schema["i"] == pl.Int32
    assert got.schema["e"] == pl.Enum(["u", "v", "w"])
    assert got.drop("e").equals(frame.drop("e"), null_equal=True)


def test_arrow_and_numpy_inputs():
    pa = pytest.importorskip("pyarrow")
    spy = Spy()
    table = pa.table({"i": pa.array([1, None], pa.int32()), "s": ["a", None]})
    model = as_predictor(spy, table, table)
    model.raw(model.background())
    assert spy.seen[-1].schema.equals(table.schema)
    assert spy.seen[-1].equals(table)
    array = np.arange(6, dtype=np.float32).reshape(3, 2)
    model = as_predictor(spy, array, array[:1])
    model.raw(model.read(array))
    assert spy.seen[-1].dtype == np.float32
    np.testing.assert_array_equal(spy.seen[-1], array)


class Both:
    classes_ = np.array(["no", "yes"])

    def predict_proba(self, X):
        return np.column_stack([np.full(len(X), 0.25), np.full(len(X), 0.75)])

    def predict(self, X):
        raise AssertionError("predict_proba comes first")


def test_scales_of_a_classifier(frame):
    model = as_predictor(Both(), frame, frame)
    assert (model.scale, model.outputs, model.classes, model.task) == ("probability", ("yes",), ("no", "yes"), "classification")
    assert model.raw(model.background())[0, 0] == 0.75
    odds = as_predictor(Both(), frame, frame, scale="log-odds")
    np.testing.assert_allclose(odds.raw(odds.background()), np.log(3))
    with pytest.raises(RequestError, match="does not answer on this scale"):
        as_predictor(lambda X: np.zeros(len(X)), frame, frame, scale="probability")


class Labels:
    def predict(self, X):
        return np.array(["no"] * len(X))


def test_requests_that_cannot_be_met(frame):
    with pytest.raises(RequestError, match="background"):
        as_predictor(Both(), frame)
    with pytest.raises(RequestError, match="labels, not numbers"):
        as_predictor(Labels(), frame, frame)
    with pytest.raises(ArgumentError, match="cannot be asked"):
        as_predictor(3, frame, frame)
    with pytest.raises(ColumnError, match="'d'"):
        as_predictor(Both(), frame, frame.drop(columns="d"))
    with pytest.raises(RequestError, match="another number of rows"):
        as_predictor(lambda X: np.zeros(7), frame, frame)
    with pytest.raises(RequestError, match="epistemic"):
        as_predictor(Both(), frame, frame, of="epistemic")


def test_predictors_pass_through():
    model = LinearPredictor([1.0, 2.0], made_table({"a": [1.0], "b": [2.0]}))
    assert as_predictor(model) is model

    class Estimator:
        def predictor(self, scale=None, of="prediction", output=None):
            return (scale, of)

    assert as_predictor(Estimator(), scale="probability") == ("probability", "prediction")


def test_column_names_need_not_be_text():
    frame = pd.DataFrame({0: [1.0, 2.0], 1: [3.0, 4.0]})
    model = ForeignPredictor(lambda X: X[0] + X[1], frame, frame)
    assert model.columns == ("0", "1")
    np.testing.assert_allclose(model.raw(model.read(frame))[:, 0], [4, 6])


@pytest.mark.parametrize(
    ("made", "asked"),
    [
        (np.array([1, 2], np.int8), [300, 1]),
        (np.array([1, 2]), [30.5, 1.0]),
        (np.array([1, 2]), [np.nan, 1.0]),
        (pd.array([1, None], "Int8"), [300, 1]),
        (pd.array([1, None], "int8[pyarrow]"), [300, 1]),
        (pd.Categorical(["u", "v"]), ["w", "u"]),
    ],
)
def test_rows_that_do_not_fit_those_the_model_was_read_with_are_refused(made, asked):
    kept = pd.DataFrame({"n": made})
    model = as_predictor(Spy(), kept, kept)
    assert model.read(pd.DataFrame({"n": asked}).iloc[1:]).frame["n"].dtype == kept["n"].dtype
    with pytest.raises(CellError, match="model was read with"):
        model.read(pd.DataFrame({"n": asked}))


@pytest.mark.parametrize("shape", ["ovo", "ovr"])
def test_scores_of_pairs_of_classes_do_not_bear_the_names_of_classes(shape):
    x = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)), columns=["a", "b"])
    y = np.array(["p", "q", "r"])[np.arange(60) % 3]
    model = make_pipeline(StandardScaler(), SVC(decision_function_shape=shape)).fit(x, y)
    assert (as_predictor(model, x, x).outputs == ("p", "q", "r")) == (shape == "ovr")
