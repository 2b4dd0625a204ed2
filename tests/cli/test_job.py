"""The main job: from a table to a page, resumed, on models from elsewhere, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import pellucid.audit
from pellucid.audit import audit
from pellucid.cli import job, seen
from pellucid.cli.job import hold_out, report
from pellucid.cli.subject import RATE, Subject, fitted_subject
from pellucid.errors import RequestError, TargetError
from pellucid.estimators import load
from pellucid.results import Finding
from pellucid.table import read_table

BUDGETS = job.Budgets(0.5, 0.3, 0.5)
AUDITED: dict[tuple[object, ...], list[Finding]] = {}
HASTY = (
    *((job, "Budgets", type("Hasty", (), {"of": staticmethod(lambda quick: BUDGETS)})), (job, "FEWEST", 10)),
    *((seen, "EMBEDDED", 0), (seen, "SECONDS", {True: 0.2, False: 0.2})),  # no map that takes seconds
)
"""Every stage that could go on gets a second or less: these tests look at the wiring."""


@pytest.fixture
def hasty(monkeypatch):
    """Hurry, and audit a table of one target once: the audits have tests of their own."""

    def audit_once(table, seed=0):
        key = (table.fingerprint(), table.target, str(table.schema.to_dict()), seed)
        return AUDITED[key] if key in AUDITED else AUDITED.setdefault(key, audit(table, seed=seed))

    monkeypatch.setattr(pellucid.audit, "audit", audit_once)
    for owner, name, value in HASTY:
        monkeypatch.setattr(owner, name, value)


CHILD = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_job import HASTY
from pellucid.__main__ import main
for owner, name, value in HASTY:
    setattr(owner, name, value)
main(sys.argv[1:])
"""
"""The command line in a process of its own, in the same hurry."""


def told(path):
    return json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["data"]


@pytest.mark.parametrize(("target", "task", "metric"), [("buys", "classification", "roc_auc"), ("spent", "regression", "rmse")])
def test_a_quick_report_is_written_with_its_twin(hasty, people_csv, spent_csv, tmp_path, target, task, metric):
    out = tmp_path / "page.html"
    data = report(people_csv if target == "buys" else spent_csv, target=target, out=out, quick=True)
    assert data.task == task
    assert data.model == "hist_gb"
    assert data.scores[0].metric == metric
    assert {str(r["model"]) for r in data.leaderboard.rows} == {"hist_gb", "linear"}
    assert data.explanation is not None
    assert data.trials
    assert data.coverage is not None
    assert sum(data.split.values()) == 400
    assert told(out)["target"] == target
    assert "<html" in out.read_text(encoding="utf-8")[:300].lower()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["page.html", "page.json"]


def test_positions_lead_back_to_the_rows_of_the_file(hasty, people_csv, tmp_path):
    data = report(people_csv, target="buys", out=tmp_path / "page.html", quick=True)
    source = pd.read_csv(people_csv)
    assert (source["age"].to_numpy()[data.positions] == data.explanation.data["age"].to_numpy(float)).all()
    assert (source["buys"].to_numpy()[data.positions] == data.truth).all()


def test_without_a_target_the_page_is_an_audit(hasty, people_csv, tmp_path):
    data = report(people_csv, out=tmp_path / "page.html")
    assert data.task == ""
    assert data.scores == ()
    assert data.findings


def test_a_fitted_model_is_reported_on(hasty, linear_model, people_csv, tmp_path):
    from pellucid.estimators import load

    data = report(people_csv, out=tmp_path / "page.html", model=load(linear_model), quick=True)
    assert data.model == "linear"
    assert data.target == "buys"
    assert any("learned from" in c for c in data.caveats)
    assert "--model MODEL --quick" in data.command


def test_a_model_from_elsewhere_is_reported_on(hasty, spent_csv, tmp_path):
    from sklearn.linear_model import LinearRegression

    table = read_table(spent_csv, target="spent")
    frame = table.frame[["age"]]
    model = LinearRegression().fit(frame, table.frame["spent"])
    data = report(table, model=model, test=table.take(range(100)), out=tmp_path / "page.html", quick=True)
    assert data.model == "LinearRegression"
    assert data.explanation.columns == ("age",)
    moved = data.explanation.predictions - data.explanation.base_values
    assert data.explanation.values[:, 0] == pytest.approx(moved, abs=1e-9)
    assert data.coverage is None
    assert not data.caveats


def test_an_interrupted_report_goes_on_where_it_stopped(hasty, people_csv, tmp_path, monkeypatch):
    out, stages = tmp_path / "page.html", []

    def stop_at_trials(stage):
        stages.append(stage)
        if stage == "trying the explanations":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        report(people_csv, target="buys", out=out, backbone="linear", progress=stop_at_trials)
    assert not out.exists()
    kept = {p.name for p in (tmp_path / "page.html.work").iterdir()}
    assert {"model", "explaining.npz", "looking_for_faults.npz"} <= kept

    import pellucid.estimators.base

    def again(*args, **kwargs):
        raise AssertionError("a finished stage was made again")

    monkeypatch.setattr(pellucid.audit, "audit", again)
    monkeypatch.setattr(pellucid.estimators.base.TabularEstimator, "fit", again)
    monkeypatch.setattr(job, "CHEAP_TRIALS", ())
    monkeypatch.setattr(job.Job, "_trials", lambda *args: [])
    data = report(people_csv, target="buys", out=out, backbone="linear", resume=True)
    assert data.explanation is not None
    assert not (tmp_path / "page.html.work").exists()


def test_other_settings_do_not_go_on_from_there(hasty, people_csv, tmp_path, monkeypatch):
    out = tmp_path / "page.html"
    monkeypatch.setattr(pellucid.audit, "audit", lambda *args, **kwargs: [])
    monkeypatch.setattr(job.Job, "_trials", lambda *args: [])
    monkeypatch.setattr(job.Job, "_board", lambda *args: None)

    def stop(stage):
        if stage == "comparing models":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        report(people_csv, target="buys", out=out, backbone="linear", progress=stop)
    data = report(people_csv, target="city", out=out, backbone="tree", resume=True)
    assert (data.target, data.model) == ("city", "tree")


def test_a_killed_report_leaves_no_page_and_goes_on(hasty, run, people_csv, tmp_path):
    out = tmp_path / "page.html"
    line = ["report", str(people_csv), "--target", "buys", "--quick", "--out", str(out), "--quiet"]
    process = subprocess.Popen([sys.executable, "-c", CHILD, *line], env=os.environ | {"OMP_NUM_THREADS": "1"})
    work, until = tmp_path / "page.html.work", time.monotonic() + 60
    while not (work / "comparing_models.npz").exists() and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    assert (work / "looking_for_faults.npz").is_file()
    done = run(*line, "--resume")
    assert done.code == 0, done.err
    assert out.is_file()
    assert not work.exists()


def test_rows_are_reckoned_with_by_rule_unless_a_model_is_far_slower(linear_model, people_csv, monkeypatch):
    table = read_table(people_csv, target="buys")
    model, at = load(linear_model), np.arange(len(table))
    for measured, pace, told_of in ((5_000.0, RATE, 0), (300_000.0, RATE, 0), (800.0, 800.0, 1)):
        monkeypatch.setattr(Subject, "_speed", lambda self, speed=measured: speed)
        subject = fitted_subject(model, table, table, at, seed=0, held_out=True)
        assert subject.pace() == pace
        assert len(subject.slow_words()) == told_of


def test_the_held_out_rows_are_a_fifth_and_copies_stay_together():
    frame = pd.DataFrame({"x": np.repeat(np.arange(200), 2), "y": np.repeat(np.arange(200) % 2, 2).astype(str)})
    table = read_table(frame, target="y", types={"x": "number"})
    train, test = hold_out(table, 0)
    assert abs(len(test) - 80) <= 8
    assert not set(frame["x"][train]) & set(frame["x"][test])


def test_a_short_table_holds_out_enough_rows_to_tell_models_apart():
    draw = np.random.default_rng(0)
    for n in (50, 86, 99):
        table = read_table(pd.DataFrame({"x": draw.normal(size=n), "y": draw.normal(size=n)}), target="y")
        assert 20 <= len(hold_out(table, 0)[1]) <= 0.5 * n


@pytest.mark.long
def test_a_table_too_short_to_compare_models_has_its_page_and_says_so(tmp_path):
    frame = pd.DataFrame({"height": np.arange(58, 73) + 0.5, "weight": np.arange(15) ** 1.1 + 115})
    data = report(frame, target="weight", out=tmp_path / "page.html", quick=True)
    assert data.leaderboard is None
    assert any("too few test rows to compare models" in u for u in data.unknown)


def test_a_model_of_an_absent_target_is_refused(linear_model, people_csv, tmp_path):
    from pellucid.estimators import load

    bare = read_table(people_csv).drop(["buys"])
    with pytest.raises(TargetError, match="buys"):
        report(bare, model=load(linear_model), out=tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_something_that_is_no_model_is_refused(people_csv, tmp_path):
    with pytest.raises(RequestError, match="predict"):
        report(people_csv, target="buys", model=object(), out=tmp_path / "page.html")
