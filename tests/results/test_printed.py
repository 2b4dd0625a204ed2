"""What a printed result looks like: short, in one's own columns, with its unit, its doubt and its caveats, and no hidden characters."""

from __future__ import annotations

import inspect
import pickle

import numpy as np
import pandas as pd
import pytest

from pellucid import results
from pellucid.results import Explanation, Finding, Importance, Prediction, RunRecord, Trial
from pellucid.results.base import Result

N = 1000
KINDS = tuple(k for k in vars(results).values() if inspect.isclass(k) and issubclass(k, Result) and k is not Result)


@pytest.fixture
def prediction():
    low = np.linspace(1, 2, N)
    return Prediction(
        low + 1.23456789, 0.9, RunRecord("uncertainty", caveats=("rows are few",)), low=low, high=low + 2, refused=low > 1.9,
        index=np.array([f"id\u202e{k}" for k in range(N)]), guarantee=("interval: covers 90% of new rows",),
    )  # fmt: skip


def test_a_prediction_is_printed_in_a_few_lines(prediction):
    text = str(prediction)
    lines = text.splitlines()
    assert lines[0] == "Prediction · 1,000 rows, intervals at 90 %, 100 withheld"
    assert "interval: covers 90% of new rows" in lines
    assert "2.235" in text
    assert "2.23456789" not in text
    assert lines[-1] == "! rows are few"
    assert len(lines) < 12
    assert "\u202e" not in text
    assert "id·0" in text
    assert repr(prediction) == text
    assert "array(" not in text


def test_an_explanation_names_its_columns_scale_and_error():
    values = np.arange(2.0 * N).reshape(N, 2)
    made = Explanation(
        values, np.zeros(N), ("age", "in\ncome"), ("yes",), pd.DataFrame({"age": np.arange(N)}),
        "log-odds", "shapley", RunRecord("shapley"),
        values.sum(1), error=np.full((N, 2), 0.0123),
    )  # fmt: skip
    lines = str(made).splitlines()
    assert lines[0] == "Explanation · shapley of 1,000 rows, 2 columns; values in log-odds, standard errors up to 0.0123"
    assert "age" in lines[1]
    assert "in·come" in lines[1]
    assert "__error" not in lines[1]
    assert lines[-1] == "… 995 more lines in to_frame()"
    assert len(lines) == 8


def test_findings_and_trials_are_one_line_each_so_that_lists_of_them_can_be_read():
    found = Finding("leakage", "high", ("a\x1b[2J",), "says the target", "leave it out", RunRecord("leakage"), np.arange(1200))
    assert str(found) == "Finding · high · leakage in a·[2J (1,200 rows): says the target"
    tried = Trial("deletion", 0.4, (0.3, 0.5), 0.0, "pass", "It holds.", RunRecord("deletion"), "shapley")
    assert repr([found, tried]) == f"[{found}, {tried}]"
    assert str(tried) == "Trial · deletion of shapley: pass · It holds."


def test_an_importance_says_its_unit():
    made = Importance(np.array([2.0, 1.0]), np.full((2, 2), np.nan), ("a", "b"), "euro", "poll", RunRecord("poll"))
    assert str(made).splitlines()[0] == "Importance · poll of 2 columns; values in euro"


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_no_result_prints_its_fields(kind):
    assert kind.__repr__ is Result.__repr__
    given = [p for p in inspect.signature(kind.to_frame).parameters.values() if p.name != "self"]
    assert all(p.default is not p.empty for p in given), "the printed form calls to_frame()"


def test_nothing_is_written_into_a_result_and_the_arrays_it_was_made_from_stay_the_users_own(prediction):
    mine = np.linspace(0, 1, 4)
    for made, name in ((prediction, "low"), (prediction, "refused"), (Prediction(mine, 0.9, RunRecord("uncertainty")), "point")):
        with pytest.raises(ValueError, match="read-only"):
            getattr(made, name)[0] = 1
    mine[0] = 7
    again = pickle.loads(pickle.dumps(prediction))
    assert np.array_equal(again.low, prediction.low)


def test_an_interval_of_few_rows_is_students():
    """The mean of three is known worse than 1.96 standard errors say; a mean size is never below 0."""
    from scipy.stats import t

    from pellucid.intervals import Z95, error_of_mean

    draw = np.random.default_rng(0).normal(size=(4000, 3))
    inside = np.abs(draw.mean(1)) <= Z95 * error_of_mean(draw.T)
    assert 0.94 < inside.mean() < 0.96  # 1.96 plain standard errors: 0.81
    half = t.ppf(0.975, 2) * draw[0].std(ddof=1) / np.sqrt(3)
    assert Z95 * error_of_mean(draw[0]) == pytest.approx(half)
