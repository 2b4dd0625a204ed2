"""Models on the same rows: what the comparison says is what was planted."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.tree import DecisionTreeClassifier

import pellucid as pld
from pellucid.errors import EmptyTableError, RequestError, TargetError
from pellucid.evaluate import compare
from pellucid.evaluate.leaderboard import words
from pellucid.testing import oracles


def test_a_linear_law_is_learned_by_the_linear_model_and_it_says_so():
    table = oracles.planted("linear", n=600, columns=4, noise=None).table
    board = compare(table, ["hist_gb", "linear"])
    hist, linear = board.rows
    assert board.reference == "hist_gb"
    assert board.metric == "roc_auc"
    assert linear["difference"] == pytest.approx(linear["score"] - hist["score"])
    assert linear["difference_low"] > 0 or "as good" in board.words
    assert "simple model" in board.words
    assert hist["difference"] == 0
    assert {"accuracy", "log_loss", "fit_seconds", "predict_seconds"} <= set(linear)


def test_a_law_with_an_interaction_shows_the_linear_model_worse():
    made = oracles.planted("xor", n=1500, columns=3, noise=0.5)
    board = compare(made.table, ["hist_gb", "linear"])
    assert board.metric == "rmse"
    assert board.rows[1]["difference_high"] < 0
    assert "linear is worse" in board.words


def test_models_from_elsewhere_and_fitted_ones_join():
    made = oracles.planted("linear", n=400, columns=3, noise=None)
    train, test = made.table.take(slice(0, 250)), made.table.take(slice(250, 400))
    done = LogisticRegression().fit(train.select(train.features).frame, train.texts("y"))
    board = compare(train, [("mine", done), ("leaf", DecisionTreeClassifier(max_depth=1)), "linear"], test=test)
    assert [r["model"] for r in board.rows] == ["mine", "leaf", "linear"]
    assert board.rows[1]["score"] < board.rows[0]["score"]
    assert board.rows[0]["score"] == pytest.approx(board.rows[2]["score"], abs=0.03)
    assert np.isnan(board.rows[0]["fit_seconds"])
    with pytest.raises(RequestError, match="may have seen any row"):
        compare(train, [("mine", done)])


def test_copies_stay_on_one_side_of_the_cut():
    made = oracles.planted("nothing", n=300, columns=3, noise=1.0).table
    doubled = made.take(np.repeat(np.arange(300), 2))
    board = compare(doubled, [("memory", KNeighborsRegressor(1)), ("flat", LinearRegression())])
    assert board.rows[0]["r2"] < 0.2  # a copy in training would have given 1


def test_what_cannot_join_is_named_and_the_rest_goes_on(monkeypatch):
    from pellucid import registry
    from pellucid.errors import MissingExtraError

    before = registry.resolve

    def missing(entry):
        if entry.name == "lightgbm":
            raise MissingExtraError.of("lightgbm", "boost", "backbone 'lightgbm'")
        return before(entry)

    monkeypatch.setattr(registry, "resolve", missing)
    board = compare(oracles.planted("linear", n=200, columns=3).table, ["linear", "lightgbm"])
    assert len(board.rows) == 1
    assert "pip install" in board.record.caveats[0]


def test_a_model_of_classes_that_no_row_has_is_named_too():
    table = oracles.planted("linear", n=120, columns=2, noise=None).table
    x, y = table.frame[["x1", "x2"]], table.frame["y"].to_numpy(copy=True)
    y[:5] = "2"
    models = [LogisticRegression(), ("of three", LogisticRegression().fit(x, y))]
    board = compare(table.take(slice(0, 80)), models, test=table.take(slice(80, 120)), n_boot=20)
    assert len(board.rows) == 1
    assert "'2'" in board.record.caveats[0]


def test_wrong_calls_are_refused():
    table = oracles.planted("linear", n=100, columns=3).table
    with pytest.raises(TargetError, match="target"):
        compare(table.drop(["y"]))
    with pytest.raises(RequestError, match="two models"):
        compare(table, ["linear", "linear"])
    with pytest.raises(EmptyTableError, match="too few test rows"):
        compare(table, ["linear"], test=table.take(slice(0, 5)))
    with pytest.raises(RequestError, match="nothing to compare"):
        compare(table, [])


@pytest.mark.parametrize(
    ("low", "high", "phrase"),
    [(0.01, 0.03, "is better by"), (-0.03, -0.01, "is worse by"), (-0.01, 0.01, "not shown to be worth more than the simple model")],
)
def test_words_follow_the_interval(low, high, phrase):
    first = {"model": "tabm", "score": 0.9, "low": 0.88, "high": 0.92, "difference": 0.0, "difference_low": 0.0, "difference_high": 0.0}
    other = first | {"model": "linear", "difference": (low + high) / 2, "difference_low": low, "difference_high": high}
    said = words([first, other], "roc_auc", "tabm", 1000)
    assert phrase in said
    assert said.startswith("tabm: ROC AUC 0.900 (0.880 to 0.920) on 1,000 test rows.")
    assert ("(0.010 to 0.030)" in said) == (abs(low + high) > 0)  # "worse by 0.02" has an interval of the same sign
    numbers = [r | {"score": 265.1, "low": 225.8, "high": 311.1} for r in (first, other)]
    assert words(numbers, "rmse", "tabm", 68, "g").startswith("tabm: RMSE 265 g (226 to 311, smaller is better) on 68")
    assert ("from 0.010 worse to 0.010 better" in said) == (low < 0 < high)


def test_the_public_name_is_this_function():
    assert pld.compare is compare
