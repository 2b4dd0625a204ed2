"""What a user may do wrong with a model from elsewhere, and what a budget in seconds and a count of rows promise."""

import time

import numpy as np
import pandas as pd
import pytest

import pellucid as pld
from pellucid.errors import ArgumentError, CellError, ColumnError, RequestError, TargetError


@pytest.fixture(scope="module")
def rows():
    draw = np.random.default_rng(0)
    return pd.DataFrame(draw.normal(size=(20, 3)), columns=list("abc"))


def linear(frame):
    return np.asarray(frame, float) @ [1.0, 2.0, 0.0]


def ask(model, rows, **how):
    return pld.explain(model, rows.iloc[:6], background=rows.iloc[6:], random_state=0, **how)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lambda x: np.full(len(x), np.nan), "no number"),
        (lambda x: np.where(np.arange(len(x)) == 0, np.inf, 0.0), "no number"),
        (lambda x: np.zeros((len(x), 2, 2)), "another shape"),
        (lambda x: np.zeros(len(x)) * 1j, "complex"),
        (lambda x: None, "another number of rows"),
    ],
)
def test_answers_that_are_no_numbers_are_refused(rows, model, words):
    with pytest.raises(RequestError, match=words):
        ask(model, rows)


def test_infinite_cells_that_reach_the_answer_are_named(rows):
    with pytest.raises(RequestError, match=r"no number.*inf"):
        ask(linear, rows.replace(rows.iloc[0, 0], np.inf))


@pytest.mark.parametrize(
    ("frame", "error", "words"),
    [
        (pd.DataFrame(np.zeros((2, 2)), columns=["a", "a"]), ColumnError, "not unique"),
        (pd.DataFrame({"a": [[1], [2]]}), CellError, r"nested.*'a'"),
        (pd.DataFrame({"a": [1j, 2]}), CellError, r"complex.*'a'"),
    ],
)
def test_cells_that_cannot_be_explained_are_named(frame, error, words):
    with pytest.raises(error, match=words):
        pld.explain(lambda x: np.zeros(len(x)), frame, background=frame)


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ({"precision": "fine"}, RequestError, "precision"),
        ({"groups": {"none": []}}, RequestError, "empty"),
        ({"output": "output", "versus": "output"}, RequestError, "itself"),
        ({"method": "permutation_importance", "y": list("abcdef")}, TargetError, "no numbers"),
        ({"method": "permutation_importance", "y": [0, 1, 2, 3, 4, np.nan]}, TargetError, "missing"),
        ({"method": "occlusion", "budget": 50}, RequestError, "at least 272 model rows"),
        ({"method": "inclusion", "budget": 50}, RequestError, "at least 272 model rows"),
    ],
)
def test_requests_that_cannot_be_met_say_so(rows, how, error, words):
    with pytest.raises(error, match=words):
        ask(linear, rows, **how)


def test_other_calls_with_what_does_not_fit(rows):
    made = ask(linear, rows)
    for k in (0, -1, "two"):
        with pytest.raises(RequestError, match="number of columns"):
            made.top(k)
    with pytest.raises(RequestError, match="no such output"):
        made.top(1, output=4)
    with pytest.raises(TargetError, match="different lengths"):
        pld.trial(made, linear, rows.iloc[:6], y=[1], background=rows.iloc[6:])
    with pytest.raises(TargetError, match="does not vary"):
        pld.select(rows.assign(y=1.0), target="y")


def test_a_torch_module_is_told_how_to_be_wrapped(rows):
    torch = pytest.importorskip("torch")
    with pytest.raises(ArgumentError, match="Wrap it"):
        ask(torch.nn.Linear(3, 1), rows)


@pytest.mark.peer
def test_a_booster_that_reads_its_own_matrices_is_asked_as_it_is(rows):
    xgboost = pytest.importorskip("xgboost")
    booster = xgboost.train({"objective": "reg:squarederror"}, xgboost.DMatrix(rows, linear(rows)), 5)
    made = ask(booster, rows)
    np.testing.assert_allclose(made.base_values + made.values.sum(1), booster.predict(xgboost.DMatrix(rows.iloc[:6])), atol=1e-5)


@pytest.mark.parametrize("method", ["shapley", "banzhaf", "occlusion", "lime", "rise", "interactions", "pdp", "sobol"])
def test_every_row_asked_of_a_model_from_elsewhere_is_counted(rows, method):
    asked = []
    made = ask(lambda x: (asked.append(len(x)), linear(x))[1], rows, method=method)
    assert made.record.n_calls == sum(asked)


@pytest.mark.parametrize("method", ["shapley", "shapley_exact", "banzhaf"])
def test_a_column_that_does_nothing_has_exactly_nothing(rows, method):
    assert (ask(linear, rows, method=method).values[:, 2] == 0).all()


def test_a_line_around_a_row_is_exact_where_columns_add_up(rows):
    """Against many background rows, too: which of them was drawn leaves nothing of chance in the slopes."""
    made = ask(linear, rows, method="lime", options={"samples": 60, "reseeds": 3})
    np.testing.assert_allclose(made.values, [1.0, 2.0, 0.0] * (rows.iloc[:6] - rows.iloc[6:].mean()), atol=1e-9)
    np.testing.assert_allclose(made.error, 0, atol=1e-9)


@pytest.mark.parametrize("method", ["shapley_exact", "interactions", "joint_shapley"])
def test_seconds_are_kept_or_the_request_is_refused(method):
    """Fourteen columns, and a model of 20 microseconds a row: all coalitions would take a minute."""
    draw = np.random.default_rng(0)
    rows = pd.DataFrame(draw.normal(size=(30, 14)))

    def slow(x):
        time.sleep(2e-5 * len(x))
        return np.prod(np.asarray(x)[:, :4], 1)

    began, refused = time.perf_counter(), ""
    try:
        pld.explain(slow, rows.iloc[:10], background=rows.iloc[10:], method=method, budget="0.2s", random_state=0)
    except RequestError as error:
        refused = str(error)
    assert time.perf_counter() - began < 15
    assert "budget" in refused or method != "shapley_exact"
