"""Finished stages come back as they were; damaged or foreign ones are made again."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from pellucid.cli.keep import Stages, read_stage, write_stage
from pellucid.report.facts import Calibration, Score
from pellucid.results import Explanation, Finding, Leaderboard, RunRecord, Trial

RECORD = RunRecord("shapley", {"fill": "marginal", "deep": {"a": [1, 2]}}, 3, "abc", 1.5, 10, ("a caveat",))
DATA = pd.DataFrame({"age": [31, 45], "city": ["Bern", None], "when": pd.to_datetime(["2020-01-01", None])}, index=[7, 9])

RESULTS = [
    Explanation(
        np.arange(6.0).reshape(2, 3),
        np.zeros(2),
        ("age", "city", "when"),
        ("yes",),
        DATA,
        "log-odds",
        "shapley",
        RECORD,
        np.ones(2),
        gap=np.full(2, np.nan),
    ),
    Finding("leakage", "high", ("age",), "evidence", "remedy", RECORD, np.array([1, 5]), figures={"auc": np.float64(0.99)}),
    Trial("deletion", 0.5, (0.4, 0.6), 0.0, "pass", "words", RECORD, "shapley", {"curve": np.linspace(0, 1, 3)}),
    Leaderboard(({"model": "linear", "score": 0.8, "low": float("nan")},), "accuracy", "linear", "words", RECORD),
    Score("accuracy", 0.9, n=10),
    Calibration(np.ones(2), np.ones(2), np.zeros(2), np.ones(2), np.array([3, 4])),
]


def same(a, b):
    if dataclasses.is_dataclass(a):
        return type(a) is type(b) and all(same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    if isinstance(a, pd.DataFrame):
        return list(a.columns) == list(b.columns) and list(a.index) == list(b.index) and a.astype(str).shape == b.shape
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or (a != a and b != b)


@pytest.mark.parametrize("result", RESULTS, ids=lambda r: type(r).__name__)
def test_results_come_back_as_they_were(tmp_path, result):
    write_stage(tmp_path / "s.npz", {"result": result, "several": [result, None]})
    back = read_stage(tmp_path / "s.npz")
    assert same(result, back["result"])
    assert same((result, None), back["several"])


def test_a_finished_stage_is_not_made_again(tmp_path):
    calls = []

    def make():
        calls.append(1)
        return [RESULTS[4]]

    for _ in range(2):
        stage = Stages(tmp_path, {"seed": 0}, lambda name: None)
        assert stage("scoring", make)[0].value == 0.9
        assert "scoring" in stage.durations
    assert len(calls) == 1


def test_stages_of_other_settings_are_thrown_away(tmp_path):
    Stages(tmp_path, {"seed": 0}, lambda name: None)("scoring", lambda: 1)
    assert Stages(tmp_path, {"seed": 1}, lambda name: None)("scoring", lambda: 2) == 2


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 not a zip", b"\x93NUMPY"])
def test_a_damaged_stage_is_made_again(tmp_path, damage):
    Stages(tmp_path, {}, lambda name: None)("scoring", lambda: 1)
    (tmp_path / "scoring.npz").write_bytes(damage)
    assert Stages(tmp_path, {}, lambda name: None)("scoring", lambda: 2) == 2


def test_no_code_runs_from_a_stage(tmp_path):
    harmful = np.array([print], dtype=object)
    np.savez(tmp_path / "s.npz", __text__=harmful)
    with pytest.raises(ValueError, match="allow_pickle"):
        read_stage(tmp_path / "s.npz")
