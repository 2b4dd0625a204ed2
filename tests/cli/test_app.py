"""Exit codes, messages and files of the commands."""

from __future__ import annotations

import errno
import json

import pandas as pd
import pytest

COMMANDS = ["demo", "report", "audit", "fit", "predict", "explain", "export", "act", "map", "compare", "methods", "selfcheck"]


def test_help_lists_every_command(run):
    done = run("--help")
    assert done.code == 0
    assert all(name in done.out for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(run, command):
    done = run(command, "--help")
    assert done.code == 0
    assert "--json" in done.out


def test_version_is_that_of_the_package(run):
    import pellucid

    assert run("--version").out.strip() == f"pellucid {pellucid.__version__}"


@pytest.mark.parametrize("arguments", [("nonsense",), ("audit",), ("audit", "a.csv", "--strict", "grave"), ("report", "a.csv", "--nope")])
def test_usage_leaves_with_2(run, arguments):
    assert run(*arguments).code == 2


def test_an_option_of_the_wrong_form_is_usage(run, people_csv):
    done = run("audit", people_csv, "--type", "age")
    assert done.code == 2
    assert "COLUMN=VALUE" in done.err


def test_wrong_data_leaves_with_1_and_one_line(run, tmp_path):
    done = run("audit", tmp_path / "absent.csv")
    assert done.code == 1
    assert done.err.startswith("error: ")
    assert done.err.strip().count("\n") == 0
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("fit", "{data}", "--target", "bought", "--out", "m.pellucid"), "bought"),
        (("fit", "{data}", "--out", "m.pellucid"), "--target"),
        (("predict", "absent.pellucid", "{data}", "--out", "a.csv"), "absent.pellucid"),
        (("explain", "{model}", "{data}", "--out", "a.txt"), ".parquet"),
        (("explain", "{model}", "{data}", "--out", "no/such/a.csv"), "folder"),
        (("explain", "{model}", "{data}", "--out", "a.csv", "--method", "tea_leaves"), "tea_leaves"),
        (("report", "{data}", "--target", "buys", "--out", "page.pdf"), ".html"),
        (("fit", "{data}", "--target", "buys", "--out", "{model}"), "--force"),
        (("audit", "{data}", "--type", "age=colour"), "colour"),
        (("methods", "colour"), "colour"),
    ],
)
def test_a_wrong_request_is_one_line_that_names_it(run, people_csv, linear_model, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    done = run(*(a.format(data=people_csv, model=linear_model) for a in arguments))
    assert done.code == 1
    assert words in done.err
    assert done.err.strip().count("\n") == 0
    assert not list(tmp_path.iterdir())


def test_an_interruption_leaves_with_3(run, people_csv, monkeypatch):
    import pellucid.audit

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(pellucid.audit, "audit", interrupted)
    done = run("audit", people_csv)
    assert done.code == 3
    assert done.err.strip() == "interrupted; nothing is kept"


@pytest.mark.parametrize("finished", [True, False])
def test_an_interrupted_fit_says_what_is_kept_and_how_to_go_on(run, people_csv, tmp_path, monkeypatch, finished):
    from pellucid.estimators.base import TabularEstimator

    def interrupted(self, table, resume=None, **kwargs):
        if finished:
            (resume / "checkpoint").write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(TabularEstimator, "fit", interrupted)
    done = run("fit", people_csv, "--target", "buys", "--out", tmp_path / "m", "--backbone", "linear")
    assert done.code == 3
    assert ("--resume" in done.err) is finished
    assert ("nothing is kept" in done.err) is not finished
    assert (tmp_path / "m.work").exists() is finished


def test_a_fault_of_ours_is_one_line_too(run, people_csv, monkeypatch):
    import pellucid.audit

    def broken(*args, **kwargs):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(pellucid.audit, "audit", broken)
    monkeypatch.delenv("PELLUCID_TRACEBACK", raising=False)
    done = run("audit", people_csv)
    assert done.code == 1
    assert "a fault inside Pellucid" in done.err
    assert "ZeroDivisionError" in done.err


def test_a_full_disk_is_no_fault_of_ours(run, people_csv, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pellucid.audit.audit", full)
    done = run("audit", people_csv)
    assert (done.code, "fault inside" in done.err, "the space on the disk" in done.err) == (1, False, True)


def test_audit_prints_types_and_findings(run, people_csv):
    done = run("audit", people_csv, "--target", "buys")
    assert done.code == 0
    assert "identifier" in done.out
    assert "income" in done.out


def test_audit_as_json(run, people_csv):
    told = json.loads(run("audit", people_csv, "--json").out)
    assert told["rows"] == 400
    assert {"severity", "kind", "evidence", "remedy"} <= set(told["findings"][0])


def test_strict_leaves_with_4_only_where_something_is_as_grave(run, tmp_path):
    leak = pd.DataFrame({"x": range(300), "y": [i % 2 for i in range(300)], "copy_of_y": [i % 2 for i in range(300)]})
    leak.to_csv(tmp_path / "leak.csv", index=False)
    assert run("audit", tmp_path / "leak.csv", "--target", "y", "--strict", "high", "--quiet").code == 4
    assert run("audit", tmp_path / "leak.csv", "--target", "y", "--quiet").code == 0


def test_what_is_read_is_not_written_over(run, people_csv, linear_model, tmp_path):
    own = tmp_path / "own.csv"
    own.write_bytes(people_csv.read_bytes())
    for given in (
        ["predict", linear_model, own, "--out", own],
        ["explain", linear_model, own, "--out", tmp_path / "." / "own.csv"],
        ["audit", own, "--repairs", own],
        ["audit", own, "--write-schema", own],
    ):
        done = run(*given)
        assert (done.code, "would be written over" in done.err) == (1, True), done.err
    assert own.read_bytes() == people_csv.read_bytes()
    assert run("audit", own, "--write-schema", tmp_path / "s.json", "--quiet").code == 0
    assert run("audit", own, "--schema", tmp_path / "s.json", "--write-schema", tmp_path / "s.json", "--quiet").code == 0


def test_a_written_schema_is_read_again(run, people_csv, tmp_path):
    schema = tmp_path / "schema.json"
    assert run("audit", people_csv, "--type", "age=category", "--unit", "income=CHF", "--write-schema", schema, "--quiet").code == 0
    told = json.loads(run("audit", people_csv, "--schema", schema, "--json").out)
    columns = {c["name"]: c for c in told["schema"]["columns"]}
    assert columns["age"]["type"] == "category"
    assert columns["income"]["unit"] == "CHF"


def test_declared_missing_codes_are_missing(run, tmp_path):
    pd.DataFrame({"age": [31, 45, -999, 27] * 20, "x": range(80)}).to_csv(tmp_path / "t.csv", index=False)
    told = json.loads(run("audit", tmp_path / "t.csv", "--missing", "age=-999", "--json").out)
    assert next(c for c in told["schema"]["columns"] if c["name"] == "age")["missing"] == ["-999"]


def test_quiet_prints_nothing(run, people_csv):
    done = run("audit", people_csv, "--quiet")
    assert (done.code, done.out, done.err) == (0, "", "")


def test_methods_lists_names_needs_and_sources(run):
    told = json.loads(run("methods", "backbone", "--json").out)
    assert {"tabm", "linear", "hist_gb"} <= {m["name"] for m in told}
    assert "linear" in run("methods").out


def test_fit_predict_and_explain_write_their_files(run, people_csv, tmp_path):
    model, answers = tmp_path / "buys.pellucid", tmp_path / "answers.parquet"
    assert run("fit", people_csv, "--target", "buys", "--backbone", "linear", "--out", model, "--quiet").code == 0
    assert (model / "pellucid.json").is_file()
    done = run("predict", model, people_csv, "--out", answers, "--certainty", "--explain", "occlusion")
    assert done.code == 0, done.err
    frame = pd.read_parquet(answers)
    assert list(frame.columns[:4]) == ["person", "prediction", "p_no", "p_yes"]
    assert {"aleatoric", "familiarity", "refused", "reason"} <= set(frame.columns)
    assert len(frame) == 400
    reasons = pd.read_parquet(tmp_path / "answers.reasons.parquet")
    assert list(reasons.columns[:5]) == ["row", "output", "prediction", "base", "gap"]
    assert {"age", "age__error", "city"} <= set(reasons.columns)
    assert run("explain", model, people_csv, "--out", tmp_path / "why.csv", "--method", "occlusion").code == 0
    assert len(pd.read_csv(tmp_path / "why.csv")) == 400
    assert {p.name for p in tmp_path.iterdir()} == {"buys.pellucid", "answers.parquet", "answers.reasons.parquet", "why.csv"}


def test_certainty_can_be_asked_by_score_group_and_risk(run, linear_model, people_csv, tmp_path):
    asked = ("--certainty", "--score", "aps", "--groups", "city", "--max-risk", "0.3", "--level", "0.8")
    done = run("predict", linear_model, people_csv, "--out", tmp_path / "a.csv", *asked)
    assert done.code == 0, done.err
    assert "coverage is asked in each group of 'city'" in " ".join(done.err.split()) + " ".join(done.out.split())
    frame = pd.read_csv(tmp_path / "a.csv")
    assert {"set", "doubt", "familiarity", "odd_column", "refused", "reason"} <= set(frame.columns)
    told = json.loads(run("predict", linear_model, people_csv, "--json", *asked).out)
    assert told["guarantee"][0].startswith("set: covers")
    wrong = run("predict", linear_model, people_csv, "--out", tmp_path / "b.csv", "--certainty", "--score", "quantile")
    assert wrong.code == 1
    assert "no score 'quantile'" in wrong.err
    assert not (tmp_path / "b.csv").exists()


@pytest.mark.parametrize("option", [("--max-risk", "0.1"), ("--groups", "city"), ("--level", "0.8")])
def test_a_setting_of_certainty_is_not_left_out_in_silence(run, linear_model, people_csv, tmp_path, option):
    done = run("predict", linear_model, people_csv, "--out", tmp_path / "a.csv", *option)
    assert (done.code, option[0] in done.err, "add --certainty" in " ".join(done.err.split())) == (2, True, True)
    assert not list(tmp_path.iterdir())


def test_costs_add_the_cheapest_answers(run, linear_model, people_csv, tmp_path):
    done = run("predict", linear_model, people_csv, "--out", tmp_path / "a.csv", "--cost", "yes/no=9,no/yes=1")
    assert done.code == 0, done.err
    frame = pd.read_csv(tmp_path / "a.csv")
    assert list(frame.columns[:3]) == ["person", "prediction", "decision"]
    assert (frame["decision"] == "yes").sum() > (frame["prediction"] == "yes").sum()
    wrong = run("predict", linear_model, people_csv, "--out", tmp_path / "b.csv", "--cost", "yes/never=9")
    assert wrong.code == 1
    assert "cannot be read" in wrong.err


def test_export_refuses_what_is_no_network_in_one_line(run, linear_model, tmp_path):
    pytest.importorskip("onnxscript")
    done = run("export", linear_model, "--out", tmp_path / "buys.onnx")
    assert done.code == 1
    assert "'linear' cannot be exported" in done.err
    assert not list(tmp_path.iterdir())


def test_predict_answers_as_json_too(run, linear_model, people_csv):
    told = json.loads(run("predict", linear_model, people_csv, "--json").out)
    assert len(told["answers"]) == 400
    assert told["answers"][0]["person"] == "P-00000"


def test_force_replaces_a_model_folder(run, linear_model, people_csv, tmp_path):
    model = tmp_path / "m.pellucid"
    for extra, code in (((), 0), ((), 1), (("--force",), 0)):
        assert run("fit", people_csv, "--target", "buys", "--backbone", "linear", "--out", model, "--quiet", *extra).code == code


def test_the_file_lacks_a_column_that_the_model_reads(run, linear_model, people_csv, tmp_path):
    pd.read_csv(people_csv).drop(columns="age").to_csv(tmp_path / "less.csv", index=False)
    done = run("predict", linear_model, tmp_path / "less.csv", "--out", tmp_path / "a.csv")
    assert done.code == 1
    assert "'age'" in done.err


def test_html_and_markup_in_names_reach_the_terminal_as_they_are(run, tmp_path):
    pd.DataFrame({"[red]x[/red]": [1.5, 2.25, 3.125] * 20, "<b>": ["[bold]", "a", "b"] * 20}).to_csv(tmp_path / "odd.csv", index=False)
    done = run("audit", tmp_path / "odd.csv")
    assert done.code == 0
    assert "[red]x[/red]" in done.out


def test_act_writes_options_and_shares(run, linear_model, people_csv, tmp_path):
    rules, out = tmp_path / "rules.json", tmp_path / "actions.parquet"
    rules.write_text(json.dumps({"age": "up", "joint": ["if city == 'Rome' then age <= 70"]}), encoding="utf-8")
    done = run("act", linear_model, people_csv, "--want", "yes", "--out", out, "--rules", rules, "--quiet")
    assert done.code == 0, done.err
    actions, shares = pd.read_parquet(out), pd.read_parquet(tmp_path / "actions.single.parquet")
    assert {"row", "option", "what", "plausible", "prediction"} <= set(actions.columns)
    assert set(actions["prediction"].dropna()) == {"yes"}
    assert list(shares.columns) == ["row", "column", "responsiveness", "low", "high", "reached", "fixed"]
    assert set(shares["column"]) == {"age", "income", "city"}


def test_act_says_how_many_cells_are_needed(run, linear_model, people_csv, tmp_path):
    done = run("act", linear_model, people_csv, "--method", "minimize", "--out", tmp_path / "asked.csv")
    assert done.code == 0, done.err
    assert "cells asked" in done.out + done.err
    assert list(pd.read_csv(tmp_path / "asked.csv").columns[:3]) == ["row", "n_asked", "asked"]


@pytest.mark.parametrize(
    ("rules", "want", "words"),
    [("{", "yes", "JSON"), ('{"agee": "never"}', "yes", "agee"), ("{}", "perhaps", "perhaps"), ('["age is older"]', "yes", "age is older")],
)
def test_act_refuses_in_one_line(run, linear_model, people_csv, tmp_path, rules, want, words):
    (tmp_path / "rules.json").write_text(rules, encoding="utf-8")
    done = run("act", linear_model, people_csv, "--want", want, "--out", tmp_path / "a.csv", "--rules", tmp_path / "rules.json")
    assert done.code == 1
    assert words in done.err
    assert not (tmp_path / "a.csv").exists()


def test_audit_writes_proposed_repairs_and_changes_nothing(run, tmp_path):
    frame = pd.DataFrame({"gender": ["F", "M"] * 100 + ["FA"], "age": list(range(20, 70)) * 4 + [30]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    before = (tmp_path / "t.csv").read_bytes()
    done = run("audit", tmp_path / "t.csv", "--repairs", tmp_path / "r.csv")
    assert done.code == 0
    assert "1 repair is proposed" in done.out
    assert "Without --target" in done.out
    told = pd.read_csv(tmp_path / "r.csv")
    assert told[["row", "column", "old", "new"]].to_numpy().tolist() == [[200, "gender", "FA", "F"]]
    assert (tmp_path / "t.csv").read_bytes() == before
    told = json.loads(run("audit", tmp_path / "t.csv", "--repairs", tmp_path / "r.parquet", "--json").out)
    assert told["repairs"]["proposals"][0]["confidence"] >= 0.9
    assert {f["kind"] for f in told["findings"]} >= {"values: rare spelling"}
    assert run("audit", tmp_path / "t.csv", "--repairs", tmp_path / "r.txt").code == 1


def test_audit_tells_what_changed_and_what_it_cost(run, people_csv, linear_model, tmp_path):
    frame = pd.read_csv(people_csv)
    frame.assign(age=frame["age"] + 25).to_csv(tmp_path / "later.csv", index=False)
    done = run("audit", tmp_path / "later.csv", "--against", people_csv, "--target", "buys", "--model", linear_model)
    assert done.code == 0
    assert "1 of 3 columns have changed: 'age'" in " ".join(done.out.split())
    told = json.loads(run("audit", tmp_path / "later.csv", "--against", people_csv, "--target", "buys", "--json").out)
    assert {f["kind"] for f in told["findings"]} >= {"shift: column"}
    assert len(told["shift"]["drift"]) == 3
    assert run("audit", people_csv, "--model", linear_model).code == 1


def test_two_tables_are_read_once_each(run, people_csv, monkeypatch):
    from pellucid.table import read

    opened, own = [], read.read_file
    monkeypatch.setattr(read, "read_file", lambda path, **options: (opened.append(path), own(path, **options))[1])
    assert run("audit", people_csv, "--against", people_csv, "--quiet").code == 0
    assert len(opened) == 2
    assert run("audit", people_csv, "--against", people_csv, "--prove").code == 1


def test_audit_tries_its_findings(run, people_csv, tmp_path):
    frame = pd.read_csv(people_csv)
    frame.assign(code=frame["buys"].map({"yes": "X", "no": "Z"})).to_csv(tmp_path / "leak.csv", index=False)
    told = json.loads(run("audit", tmp_path / "leak.csv", "--target", "buys", "--prove", "--json").out)
    [leak] = [f for f in told["findings"] if f["columns"] == ["code"]]
    assert leak["trial"]["verdict"] == "pass"
    assert "Leaving out 'code' lowers AUC" in leak["trial"]["words"]


def test_fit_tells_the_rows_it_left_out_and_the_split(run, people_csv, tmp_path):
    rows = pd.read_csv(people_csv)
    rows.loc[:39, "buys"] = None
    rows.to_csv(tmp_path / "gaps.csv", index=False)
    done = run("fit", tmp_path / "gaps.csv", "--target", "buys", "--backbone", "linear", "--out", tmp_path / "m")
    assert done.code == 0
    assert f"{len(rows) - 40} of {len(rows)} rows" in done.out
    assert "40 rows without a target were left out" in done.out
    assert "certif" in done.out


def test_a_fit_that_fails_leaves_nothing_behind(run, tmp_path):
    pd.DataFrame({"key": [f"P{i:04}" for i in range(80)], "buys": ["yes", "no"] * 40}).to_csv(tmp_path / "keys.csv", index=False)
    done = run("fit", tmp_path / "keys.csv", "--target", "buys", "--out", tmp_path / "m")
    assert done.code == 1
    assert "'key' (identifier)" in done.err
    assert "--type" in done.err
    assert [p.name for p in tmp_path.iterdir()] == ["keys.csv"]


@pytest.mark.parametrize(("cells", "words"), [(["yes"] * 60, "got 'yes' in 60 rows"), ([None] * 60, "missing in every row")])
def test_a_target_that_does_not_vary_is_told_apart_from_one_that_is_missing(run, tmp_path, cells, words):
    pd.DataFrame({"x": range(60), "y": range(60), "buys": cells}).to_csv(tmp_path / "t.csv", index=False)
    done = run("fit", tmp_path / "t.csv", "--target", "buys", "--out", tmp_path / "m")
    assert done.code == 1
    assert words in done.err


def test_a_comparison_of_nothing_says_what_can_be_compared(run, people_csv):
    done = run("compare", people_csv, "--target", "buys")
    assert done.code == 2
    assert "--window" in done.err


def test_own_warnings_are_one_line_and_a_quiet_command_says_none(run, people_csv, tmp_path):
    lines = people_csv.read_text().splitlines()
    path = tmp_path / "gaps.csv"
    path.write_text("\n".join([*lines[:9], "," * lines[0].count(","), *lines[9:]]))
    done = run("audit", path)
    assert done.err == "note: 1 empty line is left out (gaps.csv): rows are counted without them\n"
    assert run("audit", path, "--quiet").err == ""


def test_new_levels_and_the_target_at_prediction(run, linear_model, people_csv, tmp_path):
    rows, out = pd.read_csv(people_csv).head(6), tmp_path / "answers.csv"
    path = tmp_path / "new.csv"
    rows.assign(city=["Bern", "Mars", "Rome", "Mars", "Oslo", "Bern"]).to_csv(path, index=False)
    done = run("predict", linear_model, path, "--out", out)
    assert done.code == 0
    assert "The column 'city' holds levels that the training rows did not have, read as unknown: 'Mars'." in done.out
    rows.rename(columns={"income": "incme"}).to_csv(path, index=False)
    done = run("predict", linear_model, path, "--out", out)
    assert done.code == 1
    assert "got new columns 'incme'. Rename 'incme' to 'income'" in done.err  # the target, which is there too, is not called new


def test_a_file_is_never_taken_for_a_model_folder(run, people_csv, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(people_csv.read_text())
    done = run("fit", people_csv, "--target", "buys", "--out", path, "--force")
    assert done.code == 1
    assert "is not a model folder" in done.err
    assert path.read_text() == people_csv.read_text()
