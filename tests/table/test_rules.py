"""Rules of change: per column, and conditions in text over several columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pellucid.errors import ColumnError, RequestError
from pellucid.table import Column, ColumnType, Schema, Table, read_table
from pellucid.table.conditions import parse
from pellucid.table.rules import Rule

SCHEMA = Schema(
    (
        Column("age", ColumnType.NUMBER),
        Column("hours", ColumnType.NUMBER),
        Column("job", ColumnType.CATEGORY, levels=("clerk", "nurse", "student")),
        Column("size", ColumnType.ORDERED, levels=("small", "medium", "large")),
        Column("since", ColumnType.DATE),
        Column("zip", ColumnType.CATEGORY, levels=("1", "2")),
        Column("odd name", ColumnType.NUMBER),
    )
)


def rows(**cells) -> Table:
    n = len(next(iter(cells.values())))
    blank = {
        "age": [30.0] * n, "hours": [40.0] * n, "job": ["clerk"] * n, "size": ["small"] * n, "since": pd.to_datetime(["2020-01-01"] * n),
        "zip": ["1"] * n, "odd name": [1.0] * n,
    }  # fmt: skip
    return Table(pd.DataFrame(blank | cells), SCHEMA)


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ("never", Rule("never")),
        ("up", Rule("up")),
        ("integer", Rule(step=1.0)),
        ((10, 60), Rule(low=10.0, high=60.0)),
        ((None, 60), Rule(high=60.0)),
        (["b", "a"], Rule(allowed=("a", "b"))),
        ([1, 2, 3], Rule(allowed=("1", "2", "3"))),
        ({"between": (0, 5), "step": 0.5, "move": "down"}, Rule("down", 0.0, 5.0, 0.5)),
        ({"allowed": [1, 2]}, Rule(allowed=("1", "2"))),
    ],
)
def test_a_rule_is_read_said_and_written(given, rule):
    assert Rule.of(given, "x") == rule
    assert Rule.of(rule.to_dict(), "x") == rule
    assert rule.words()


@pytest.mark.parametrize("given", ["sideways", (60, 10), [], {"step": 0}, {"move": "sideways"}, {"stride": 2}, 5, {"allowed": "abc"}, None])
def test_what_is_no_rule_is_refused(given):
    with pytest.raises(RequestError, match="x"):
        Rule.of(given, "x")


@pytest.mark.parametrize(("name", "given"), [("job", (1, 2)), ("job", "up"), ("age", ["a", "b", "c"]), ("since", {"step": 2})])
def test_a_rule_must_fit_the_type(name, given):
    with pytest.raises(RequestError, match=name):
        SCHEMA.with_rules(**{name: given})


def test_rules_travel_with_the_schema():
    schema = SCHEMA.with_rules("hours <= age", age="never", hours=(10, 60), job=["clerk", "nurse", "student"])
    again = Schema.from_dict(schema.to_dict())
    assert again == schema
    assert again["hours"].rule == Rule(low=10.0, high=60.0)
    assert again.rules == ("hours <= age",)
    old = {"format": 1, "columns": [{"name": "a", "type": "number", "rule": [1, 2]}, {"name": "b", "type": "number", "rule": "never"}]}
    assert Schema.from_dict(old)["a"].rule == Rule(low=1.0, high=2.0)
    with pytest.raises(ColumnError, match="agee"):
        SCHEMA.with_rules(agee="never")


@pytest.mark.parametrize(
    ("text", "cells", "truth"),
    [
        ("hours <= 40", {"hours": [39.0, 40.0, 41.0, np.nan]}, [1, 1, 0, 0.5]),
        ("10 <= hours <= 40", {"hours": [9.0, 10.0, 41.0]}, [0, 1, 0]),
        ("hours + 2 * age / 2 - 1 == 69", {"hours": [40.0, 41.0]}, [1, 0]),
        ("-hours < -40 or age > 90", {"hours": [40.0, 41.0]}, [0, 1]),
        ("hours / odd_ > 1".replace("odd_", "`odd name`"), {"odd name": [0.0, 1.0, 80.0]}, [0.5, 1, 0]),
        ("if job == 'student' then hours <= 20", {"job": ["student", "student", "clerk"], "hours": [20.0, 30.0, 30.0]}, [1, 0, 1]),
        ("job in ('clerk', 'nurse')", {"job": ["clerk", "student", None]}, [1, 0, 0.5]),
        ("job not in ('clerk', 'nurse')", {"job": ["clerk", "student", None]}, [0, 1, 0.5]),
        ("not (job == 'clerk' and hours > 30)", {"job": ["clerk", "clerk", "nurse"], "hours": [31.0, 30.0, 40.0]}, [0, 1, 1]),
        ("job is missing or hours > 10", {"job": [None, "clerk"], "hours": [5.0, 5.0]}, [1, 0]),
        ("job is not missing", {"job": [None, "clerk"]}, [0, 1]),
        ("size >= 'medium'", {"size": ["small", "medium", "large", None]}, [0, 1, 1, 0.5]),
        ("since < '2020-06-01'", {"since": pd.to_datetime(["2020-01-01", "2021-01-01"])}, [1, 0]),
        ("zip == 1", {"zip": ["1", "2"]}, [1, 0]),
    ],
)
def test_conditions_say_what_they_say(text, cells, truth):
    after = rows(**cells)
    assert parse(text, SCHEMA).truth(after, after).tolist() == truth


def test_before_and_changed_look_back():
    before, after = rows(age=[30.0, 30.0, np.nan], job=["clerk"] * 3), rows(age=[31.0, 30.0, 30.0], job=["clerk", "nurse", "clerk"])
    assert parse("age >= before(age)", SCHEMA).truth(before, after).tolist() == [1, 1, 0.5]
    assert parse("changed(age)", SCHEMA).truth(before, after).tolist() == [1, 0, 1]
    assert parse("if changed(job) then changed(age)", SCHEMA).truth(before, after).tolist() == [1, 0, 1]


def test_a_link_sets_a_column_where_its_condition_holds():
    before, after = rows(age=[30.0, 30.0], hours=[10.0, 10.0]), rows(age=[30.0, 30.0], hours=[14.0, 10.0])
    link = parse("age = before(age) + (hours - before(hours)) / 2", SCHEMA)
    assert link.sets == "age"
    assert link.linked(before, after).tolist() == [32.0, 30.0]
    under = parse("if changed(hours) then age = 99", SCHEMA)
    assert under.linked(before, after).tolist() == [99.0, 30.0]
    assert under.truth(before, after).tolist() == [1, 1]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hours <=",
        "hours",
        "hours < 'many'",
        "job < 'nurse'",
        "size > 'huge'",
        "since > 'yesterdayish'",
        "(hours < 3",
        "hours < 3 extra",
        "if hours < 3",
        "job = 'nurse'",
        "__import__('os').system('true')",
        "hours.real < 3",
        "hours < 3; age < 2",
        "not " * 100 + "hours < 3",
        "1 + (hours < 3)",
    ],
)
def test_what_is_no_condition_is_refused(text):
    with pytest.raises((RequestError, ColumnError)):
        parse(text, SCHEMA)


def test_an_unknown_column_gets_its_nearest():
    with pytest.raises(ColumnError, match="hours"):
        parse("hour < 3", SCHEMA)


def test_a_schema_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    schema, path = read_table(pd.DataFrame({"a": [1.0, 2.0, 3.5]})).schema, tmp_path / "schema.json"
    schema.save(path)
    before, write = path.read_bytes(), Path.write_text

    def full(self, text, **options):
        write(self, text[:20], **options)
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(RequestError, match="no space"):
        schema.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
