"""Players, reference rows and the conditional fill."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pellucid.errors import RequestError
from pellucid.probe.masker import Neighbours, Players, missing_row, reference_rows, typical_row
from pellucid.testing.predictors import made_frame, made_table


def test_groups_stand_where_their_first_column_stood():
    players = Players.of(("a", "b", "c", "d"), {"g": ["d", "b"]})
    assert players.names == ("a", "g", "c")
    assert players.of_column.tolist() == [0, 1, 2, 1]
    assert players.any_over_columns(np.array([[False, False, False, True]])).tolist() == [[False, True, False]]
    assert players.sum_over_columns(np.array([[1.0, 2.0, 4.0, 8.0]])).tolist() == [[1.0, 10.0, 4.0]]


@pytest.mark.parametrize(
    ("groups", "words"),
    [({"g": ["agee"]}, "Did you mean .age"), ({"g": ["age"], "h": ["age"]}, "in two groups"), ({"sex": ["age"]}, "name of a column")],
)
def test_wrong_groups_are_named(groups, words):
    with pytest.raises(RequestError, match=words):
        Players.of(("age", "sex"), groups)


def test_the_typical_row_has_medians_and_modes():
    table = made_table({"x": [1.0, 2.0, 10.0, np.nan], "c": ["u", "v", "v", None]})
    row = typical_row(table)
    assert row.frame.to_dict("records") == [{"x": 2.0, "c": "v"}]


def test_reference_rows_are_sampled_by_seed_and_stated():
    table = made_table(made_frame(500))
    one, words = reference_rows(table, "marginal", size=100, seed=1, given=False)
    two, _ = reference_rows(table, "marginal", size=100, seed=1, given=False)
    three, _ = reference_rows(table, "marginal", size=100, seed=2, given=False)
    assert len(one) == 100
    assert words == "background is a sample of 100 rows"
    assert one.frame.equals(two.frame)
    assert not one.frame.equals(three.frame)
    assert len(reference_rows(table, "marginal", size=100, seed=1, given=True)[0]) == 500
    assert len(reference_rows(table, "baseline", size=100, seed=1, given=True)[0]) == 1
    with pytest.raises(RequestError, match="Did you mean 'marginal"):
        reference_rows(table, "marginl", size=100, seed=1, given=True)


def test_neighbours_prefer_rows_that_agree_on_what_is_known():
    background = made_table({"x": [0.0, 0.0, 5.0, 5.0], "c": ["u", "v", "u", "v"]})
    rows = made_table({"x": [5.0], "c": ["u"]})
    near = Neighbours(rows, background, Players.of(("x", "c")), bandwidth=0.1)
    weights = near.weights(np.array([0, 0, 0]), np.array([[True, False], [False, True], [True, True]]))
    np.testing.assert_allclose(weights[0], [0, 0, 0.5, 0.5], atol=1e-9)
    np.testing.assert_allclose(weights[1], [0.5, 0, 0.5, 0], atol=1e-9)
    np.testing.assert_allclose(weights[2], [0, 0, 1, 0], atol=1e-9)


def test_neighbours_take_missing_cells():
    background = made_table({"x": [0.0, np.nan, 5.0], "c": ["u", None, "v"]})
    rows = made_table({"x": [np.nan], "c": [None]})
    weights = Neighbours(rows, background, Players.of(("x", "c")), bandwidth=0.1).weights(np.zeros(1, int), np.ones((1, 2), bool))
    np.testing.assert_allclose(weights, [[0, 1, 0]], atol=1e-9)


@pytest.mark.parametrize("size", [100, 1000])
def test_neighbours_are_few_where_many_rows_are_near_and_more_where_none_is(size):
    """On normal columns the truth is known: the mean given the known ones."""
    draw, p = np.random.default_rng(0), 6
    factor = np.linalg.cholesky(0.5 + 0.5 * np.eye(p))
    x, b = draw.normal(size=(40, p)) @ factor.T, draw.normal(size=(size, p)) @ factor.T
    names = tuple(f"x{j}" for j in range(p))
    rows, background = (made_table(dict(zip(names, m.T))) for m in (x, b))
    row, z = np.repeat(np.arange(40), 5), draw.random((200, p)) < 0.5
    known = z.sum(1, keepdims=True)
    centre = np.where(z, x[row], (x[row] * z).sum(1, keepdims=True) * 0.5 / (0.5 + 0.5 * known))  # all columns correlate by .5

    def off(bandwidth):
        weights = Neighbours(rows, background, Players.of(names), bandwidth).weights(row, z)
        guess = np.where(z, x[row], weights @ b)
        return float(np.sqrt(np.square(guess - centre).sum(1).mean()))

    own, narrow, everyone = off(None), off(0.1), off(100.0)
    assert own < 0.75 * narrow
    assert own < 0.75 * everyone
    weights = Neighbours(rows, background, Players.of(names)).weights(row, np.eye(p, dtype=bool)[np.zeros(200, int)])
    line = -np.sort(-weights, 1)
    assert (line[:, int(0.8 * size**0.5)] <= line[:, 0] / np.e * 1.001).all()  # one column known: the nearest in it


def test_neighbours_without_some_rows_weigh_the_others_as_if_those_had_never_been():
    draw = np.random.default_rng(0)
    x, b = draw.normal(size=(5, 3)), draw.normal(size=(60, 3))
    names = ("x0", "x1", "x2")
    rows, background = (made_table(dict(zip(names, m.T))) for m in (x, b))
    near, z = Neighbours(rows, background, Players.of(names), bandwidth=0.3), draw.random((5, 3)) < 0.5
    left_out = np.stack([np.zeros(60, bool), np.arange(60) % 4 == 1])
    weights = near.weights_without(np.arange(5), z, left_out)
    np.testing.assert_array_equal(weights[:, 0], near.weights(np.arange(5), z))
    assert not weights[:, 1][:, left_out[1]].any()
    np.testing.assert_allclose(weights.sum(-1), 1)
    ratio = weights[:, 1] / np.where(weights[:, 0] > 0, weights[:, 0], np.nan)  # kept rows keep their proportions
    spread = np.nanmax(np.where(ratio > 0, ratio, np.nan), 1) / np.nanmin(np.where(ratio > 0, ratio, np.nan), 1)
    np.testing.assert_allclose(spread, 1, rtol=1e-9)


def test_the_missing_row_is_missing_in_every_type():
    frame = pd.DataFrame(
        {
            "float": [1.0, 2.0],
            "int": [1, 2],
            "flag": [True, False],
            "word": ["u", "v"],
            "level": pd.Categorical(["u", "v"]),
            "nullable": pd.array([1, 2], dtype="Int64"),
        }
    )
    row = missing_row(made_table(frame))
    assert row.frame.isna().all(axis=None)
    assert row.frame["level"].dtype == frame["level"].dtype
    assert row.frame["nullable"].dtype == "Int64"
    assert len(reference_rows(made_table(frame), "missing", size=100, seed=0, given=False)[0]) == 1
