"""The line that makes a report again says how the table was read, in words that the command line understands."""

from __future__ import annotations

import shlex
from itertools import pairwise

import pandas as pd
import pytest

from pellucid.cli.act import wanted
from pellucid.cli.job import Job
from pellucid.cli.options import pairs, several
from pellucid.cli.replay import line, reading
from pellucid.table import read_table


def frame():
    return pd.DataFrame({"age": [30, 41, -999, 52] * 20, "zip": [1, 2, 3, 4] * 20, "buys": ["yes", "no"] * 40})


def made(table, **more):
    return Job(table, None, None, True, 3, "auto", None, None, **more)  # type: ignore[arg-type]


def options(words):
    given: dict[str, list[str]] = {}
    for name, value in pairwise(words):
        if name.startswith("--"):
            given.setdefault(name, []).append(value)
    return given


def test_types_codes_and_units_are_read_off_the_schema():
    table = read_table(frame(), target="buys", types={"zip": "category"}, missing={"age": [-999]}).with_units(age="years")
    told = options(shlex.split(line(made(table), "people.csv", "buys")))
    types, codes, units = pairs("type", told["--type"]), several("missing", told["--missing"]), pairs("unit", told["--unit"])
    again = read_table(frame(), target="buys", types=types, missing=codes).with_units(**units)
    assert again.schema == table.schema
    assert told["--target"] == ["buys"]


def test_what_options_cannot_say_takes_a_schema():
    plain = read_table(frame(), target="buys")
    assert "--type" not in line(made(plain), "people.csv", "buys")
    assert "--schema" not in line(made(plain), "people.csv", "buys")
    assert "--schema SCHEMA" in line(made(plain.with_rules(age="never")), "people.csv", "buys")
    assert "--schema SCHEMA" in line(made(plain.with_roles(group="zip")), "people.csv", "buys")


def test_options_of_the_command_line_are_told_as_they_were_given(tmp_path):
    given = tuple(reading(tmp_path / "my schema.json", ["zip=category"], ["age=-999"], ["age=years"]))
    words = shlex.split(line(made(read_table(frame()), reading=given), "people.csv", ""))
    assert words[3:11] == ["--schema", "my schema.json", "--type", "zip=category", "--missing", "age=-999", "--unit", "age=years"]


@pytest.mark.parametrize("want", ["yes", ">= 3.5", (10.0, 20.0), {"yes": 0.8}])
def test_a_wanted_answer_is_read_back(want):
    words = shlex.split(line(made(read_table(frame(), target="buys"), want=want), "people.csv", "buys"))
    assert wanted(words[words.index("--want") + 1]) == want


def test_a_tried_finding_is_confirmed_or_not(capsys):
    from pellucid.cli.audit import _show
    from pellucid.results import Finding, RunRecord, Trial

    record = RunRecord("audit")
    trials = [Trial("effect", 0.1, (0.0, 0.2), 0.0, verdict, "words", record=record) for verdict in ("pass", "fail", "not testable")]
    _show(read_table(frame()), [Finding("leakage", "high", ("zip",), "e", "r", record, trial=t) for t in trials])
    shown = capsys.readouterr().out
    assert [w for w in ("not confirmed", "cannot be tried") if w not in shown] == []
    assert " pass " not in shown
    assert shown.count("confirmed") == 2
