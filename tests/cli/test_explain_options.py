"""``pellucid explain`` reaches every method and its settings, draws its answer and tells it in words."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import typer

from pellucid.cli.explain import option_value, options_of


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("3", 3), ("0.5", 0.5), ("true", True), ("None", None), ("k-sii", "k-sii")),
        *(("age,income", ["age", "income"]), ("1,2", [1, 2]), ('["a,b"]', ["a,b"])),
    ],
)
def test_values_are_read(text, value):
    assert option_value(text) == value


def test_options_are_pairs():
    assert options_of(["order=2", "index=sii", "where=a=b"]) == {"order": 2, "index": "sii", "where": "a=b"}
    for wrong in ("order", "=2"):
        with pytest.raises(typer.BadParameter):
            options_of([wrong])


def test_a_methods_settings_reach_it(run, linear_model, people_csv, tmp_path):
    out = tmp_path / "curves.csv"
    done = run("explain", linear_model, people_csv, "--method", "pdp", "--option", "columns=age,city", "--option", "points=4", "--out", out)
    assert done.code == 0, done.err
    frame = pd.read_csv(out)
    assert set(frame["column"]) == {"age", "city"}
    assert frame[frame["column"] == "age"]["at"].nunique() <= 5
    wrong = run("explain", linear_model, people_csv, "--method", "pdp", "--option", "pints=4", "--out", out)
    assert wrong.code == 1
    assert "points" in wrong.err


def test_the_answer_is_drawn_into_one_offline_file(run, linear_model, people_csv, tmp_path):
    page = tmp_path / "figure.html"
    done = run("explain", linear_model, people_csv, "--method", "pdp", "--option", "columns=age", "--chart", page, "--column", "age")
    assert done.code == 0, done.err
    text = page.read_text(encoding="utf-8")
    assert "along age" in text
    assert "<script src=" not in text
    bad = run("explain", linear_model, people_csv, "--method", "pdp", "--option", "columns=age", "--chart", page, "--kind", "pie")
    assert bad.code == 1
    assert "curves" in bad.err


def test_reasons_are_told_in_words(run, linear_model, people_csv):
    done = run("explain", linear_model, people_csv, "--words", "2", "--method", "occlusion")
    assert done.code == 0, done.err
    assert done.out.count("is answered") == 2
    assert "was not tested" in done.out
    assert "Written" not in done.out
    curve = run("explain", linear_model, people_csv, "--method", "pdp", "--words", "1")
    assert curve.code == 1
    assert "no reasons of single rows" in curve.err


def test_output_and_budget_are_handed_on(run, linear_model, people_csv):
    done = run("explain", linear_model, people_csv, "--json", "--output", "no", "--method", "occlusion")
    assert json.loads(done.out)["outputs"] == ["no"]
    small = run("explain", linear_model, people_csv, "--json", "--method", "pdp", "--budget", "3")
    assert small.code == 1
    assert "budget" in small.err


def test_something_must_come_of_it(run, linear_model, people_csv):
    assert run("explain", linear_model, people_csv).code == 2


def test_importances_score_an_outside_file_in_the_same_command(run, linear_model, people_csv, tmp_path):
    out, outside = tmp_path / "importances.csv", tmp_path / "outside.csv"
    people = pd.read_csv(people_csv)
    people.sample(len(people), replace=True, random_state=0).to_csv(outside, index=False)
    options = ("--option", f"outside={outside}", "--option", "rows=20")
    done = run("explain", linear_model, people_csv, "--method", "importances", *options, "--out", out)
    assert done.code == 0, done.err
    assert {"shapley", "permutation", "built-in", "tree copy", "permutation, outside"} <= set(pd.read_csv(out))
    assert "Outside the model takes away" in " ".join(done.out.split())
    people.drop(columns=people.columns[-1]).to_csv(outside, index=False)
    wrong = run("explain", linear_model, people_csv, "--method", "importances", *options, "--out", out)
    assert wrong.code == 1
