"""What a report tells beyond findings: repairs, fills, groups, more rows, shift. Each is told only where there is data for it."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from pellucid.cli import changed, job, seen
from pellucid.cli.changed import Changed, ask_changed
from pellucid.cli.keep import read_stage, write_stage
from pellucid.cli.subject import fitted_subject
from pellucid.estimators import TabularClassifier
from pellucid.table import read_table


def made(n: int, seed: int, moved: float = 0.0) -> pd.DataFrame:
    """Return rows whose answer hangs on ``age`` (moved by some years) and on the group, with gaps in ``income`` and one slip of a pen."""
    rng = np.random.default_rng(seed)
    age, sex = rng.normal(45 + moved, 12, n), rng.choice(["F", "M"], n)
    ill = rng.random(n) < 1 / (1 + np.exp(-0.1 * (age - 45) - (sex == "F")))
    frame = pd.DataFrame({"age": age.round(1), "sex": sex, "town": rng.choice(["Basel", "Geneva"], n), "ill": np.where(ill, "yes", "no")})
    frame["income"] = np.where(rng.random(n) < 0.3, np.nan, rng.lognormal(3, 1, n)).round(2)
    frame.loc[3, "town"] = "Genexa"
    return frame


@pytest.fixture(scope="module")
def told():
    """Return what is told of a small linear model that fills gaps, with rows of another file in which ``age`` moved."""
    table, other = read_table(made(900, 0), target="ill"), read_table(made(500, 1, moved=15), target="ill")
    model = TabularClassifier(backbone="linear", max_steps=60, random_state=0, verbose=0, fill="median").fit(table.take(range(700)))
    subject = fitted_subject(model, table.take(range(700)), other, np.arange(500), seed=0, held_out=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(changed, "SIZES", 2)
        patch.setattr(changed, "FEW", 0)
        answers, lost = ask_changed(Changed(table, subject, other, None, 600.0, 0))
    return table, subject, other, answers, lost


def test_the_planted_shift_is_named_and_its_cost_adds_up(told):
    *_, answers, lost = told
    assert lost == ()
    assert answers["shift"].changed == ("age",)
    cost = answers["shift"].cost
    assert cost.shares.sum() == pytest.approx(cost.after - cost.before, abs=1e-9)
    assert "the 500 rows of the test file" in answers["shift_words"]


def test_repairs_fills_groups_and_more_rows_are_told(told):
    _, _, other, answers, _ = told
    found = answers["repairs"].sure().to_frame()
    assert found[["row", "column", "new"]].to_numpy().tolist() == [[3, "town", "Geneva"]]
    filled = {e["column"]: e for e in answers["filled"]}
    assert set(filled) == {"income"}
    assert filled["income"]["variance_ratio"] < 0.85  # one value for three in ten cells: about 0.7 of the spread is left
    by_sex = next(g for g in answers["group_tables"] if g.by == "sex")
    prevalence = {s: (other.frame["ill"][other.frame["sex"] == s] == "yes").mean() for s in "FM"}
    assert {s: r.value for s, r in by_sex.rates["prevalence"].items()} == pytest.approx(prevalence)
    curve = answers["learning"].to_frame()
    assert set(curve["model"]) == {"linear", "hist_gb"}
    assert curve["rows"].max() == 700


def test_all_of_it_survives_an_interruption(told, tmp_path):
    *_, answers, _ = told
    write_stage(tmp_path / "s.npz", answers)
    back = read_stage(tmp_path / "s.npz")
    assert back["shift"].cost.to_frame().equals(answers["shift"].cost.to_frame())
    assert back["group_tables"][0].to_frame().equals(answers["group_tables"][0].to_frame())
    assert back["learning"].overtakes == answers["learning"].overtakes
    assert back["repairs"].to_frame().astype(str).equals(answers["repairs"].to_frame().astype(str))


def test_without_data_for_it_nothing_is_told():
    clean = read_table(pd.DataFrame({"a": np.random.default_rng(0).normal(size=200), "b": np.tile([1.0, 2.0, 4.0, 7.0], 50)}))
    assert ask_changed(Changed(clean, None, None, None, 0.0, 0)) == ({}, ())


def test_what_cannot_be_compared_is_said_in_words():
    table, short = read_table(made(200, 0)), read_table(made(20, 1))
    answers, lost = ask_changed(Changed(table, None, None, short, 0.0, 0))
    assert "shift" not in answers
    assert any("too few rows to compare" in words for words in lost)


def test_the_command_line_reaches_it(run, tmp_path, monkeypatch):
    budgets = job.Budgets(0.5, 0.3, 0.5)
    monkeypatch.setattr(job, "Budgets", type("Hasty", (), {"of": staticmethod(lambda quick: budgets)}))
    monkeypatch.setattr(job, "FEWEST", 10)
    monkeypatch.setattr(job, "CHEAP_TRIALS", ())
    monkeypatch.setattr(job, "MAIN_TRIALS", ("completeness",))
    monkeypatch.setattr(seen, "EMBEDDED", 0)
    monkeypatch.setattr(seen, "SECONDS", {True: 0.2, False: 0.2})
    now, then, out = tmp_path / "now.csv", tmp_path / "then.csv", tmp_path / "page.html"
    made(300, 0).to_csv(now, index=False)
    made(300, 1, moved=20).to_csv(then, index=False)
    done = run("report", now, "--target", "ill", "--backbone", "linear", "--fill", "mean", "--against", then, "--out", out, "--quiet")
    assert done.code == 0, done.err
    page = out.read_text(encoding="utf-8")
    for heading in ("Cells that are probably wrong", "What filling did to the columns", "What has changed?", "fall out by group?"):
        assert heading in page
    assert "Would more rows help?" not in page  # no time was given for it
    twin = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))["data"]
    assert "--against then.csv" in twin["command"]
    assert "--fill mean" in twin["command"]
    assert twin["filled"][0]["rule"] == "mean"


def test_a_table_alone_is_compared_with_an_older_one():
    now, then = read_table(made(300, 0)), read_table(made(300, 1, moved=20))
    answers, _ = ask_changed(Changed(now, None, None, then, 0.0, 0))
    assert answers["shift"].changed[0] == "age"
    assert answers["shift"].cost is None
    assert answers["shift_words"] == "From 300 rows of an older table to the 300 rows of this one."
