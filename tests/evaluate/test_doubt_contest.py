"""The contest of sources of doubt: planted winners win, shifted rows are shifted, and the result is one that can be read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pellucid as pld
from pellucid.errors import RequestError
from pellucid.evaluate import contest
from pellucid.evaluate.doubt_contest import shifted, words
from pellucid.testing.predictors import made_frame, made_table

QUICK = {"verbose": 0, "threads": 1, "random_state": 0, "backbone": "mlp", "backbone_options": {"width": 16}, "max_steps": 150}


@pytest.fixture(scope="module")
def board():
    """Return the contest on numbers whose noise differs tenfold between rows."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(2600, 3)), columns=["a", "b", "c"])
    frame["y"] = frame["a"] + np.where(frame["b"] < 0, 0.1, 1.0) * rng.normal(size=2600)
    model = pld.TabularRegressor(**QUICK, dropout=0.1)
    return contest(frame, ["members", "mc_dropout", "normal", "stochastic_bn"], model=model, target="y", n_boot=200)


def test_all_sources_see_that_noise_differs_and_tell_errors_by_it(board) -> None:
    rows = {r["model"]: r for r in board.rows}
    assert set(rows) == {"members", "mc_dropout", "normal"}
    assert any("stochastic_bn" in c for c in board.record.caveats)
    # a spread of its own by its head, the others by the sizes of held-out errors; one noise for all rows tells .1 to .2
    assert min(r["doubt_and_error_low"] for r in rows.values()) > 0.4
    assert all(r["low"] <= r["score"] <= r["high"] for r in rows.values())
    assert rows["members"]["difference"] == 0
    assert rows["mc_dropout"]["fit_seconds"] == 0
    assert max(r["tells_shift"] for r in rows.values()) > 0.7
    assert "best crps" in board.words
    assert pld.chart(board).layout.title.text
    assert board.to_frame()["model"].iloc[0] == board.reference


def test_a_source_that_is_asked_afterwards_leaves_the_answer_to_the_model() -> None:
    """The figures are those of the answers that ``uncertainty(rows, source="mc_dropout")`` gives."""
    draw = np.random.default_rng(1)
    frame = pd.DataFrame(draw.normal(size=(400, 2)), columns=["a", "b"])
    frame["y"] = frame["a"] + draw.normal(size=400) > 0
    model = pld.TabularClassifier(**{**QUICK, "max_steps": 20}, dropout=0.5)
    board = contest(frame[:300], ["members", "mc_dropout"], model=model, test=frame[300:], target="y", n_boot=20)
    own, asked = board.rows
    assert own["score"] == asked["score"]
    assert own["calibration_error"] == asked["calibration_error"]
    told = words([own | {"fit_seconds": 5.0, "predict_seconds": 0.1}, asked | {"predict_seconds": 0.2}], "log_loss", 100)
    assert "the quickest of them is members" in told


def test_shifted_rows_are_moved_in_half_of_the_columns_and_only_there() -> None:
    table = made_table(made_frame(200, 3, (3,)))
    far = shifted(table, 0)
    changed = [c for c in table.features if not table.select([c]).frame.equals(far.select([c]).frame)]
    assert len(changed) == 2
    numbers = [c for c in changed if c.startswith("x") and table.frame[c].dtype.kind == "f"]
    for c in numbers:
        assert np.allclose(np.abs(far.numbers(c) - table.numbers(c)), 4 * np.std(table.numbers(c)))


def test_words_name_the_best_those_as_good_and_those_off() -> None:
    row = {
        "low": 0.1,
        "high": 0.3,
        "calibrated": True,
        "doubt_and_error": 0.1,
        "tells_shift": 0.6,
        "fit_seconds": 9.0,
        "predict_seconds": 1.0,
    }
    rows = [
        row | {"model": "a", "score": 0.2, "as_good": True},
        row | {"model": "b", "score": 0.21, "as_good": True, "fit_seconds": 1.0},
        row | {"model": "c", "score": 0.4, "as_good": False, "calibrated": False, "doubt_and_error": 0.5},
    ]
    said = words(rows, "log_loss", 100)
    assert said.startswith("a has the best log loss")
    assert "as good: b; the quickest of them is b" in said
    assert "Not calibrated: c" in said
    assert "error for c" in said


def test_unknown_sources_are_refused() -> None:
    frame = pd.DataFrame({"a": np.arange(200.0), "y": np.arange(200.0)})
    for given in ("members", ["tarot"], []):
        with pytest.raises(RequestError, match="not known"):
            contest(frame, given, target="y")
