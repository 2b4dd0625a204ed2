"""Rows as codes, the moves that rules allow, and rows written back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pellucid.act.changes import Changes
from pellucid.errors import RequestError
from pellucid.table import Column, ColumnType, Schema, Table, read_table
from pellucid.testing.mixed import FEATURES, mixed


def table(n: int = 60, seed: int = 0) -> Table:
    return read_table(mixed(n, seed)[FEATURES])


def changes(*joint: str, rows: slice = slice(0, 10), **rules) -> Changes:
    whole = table().with_rules(*joint, **rules)
    return Changes(whole.take(rows), whole.take(slice(10, 60)), whole.schema)


def place(made: Changes, name: str) -> int:
    return made.columns.index(name)


def test_unchanged_rows_are_written_as_they_were():
    made = changes()
    again = made.cells(np.arange(10), made.own)
    pd.testing.assert_frame_equal(again.frame, made.table.frame.reset_index(drop=True))


@pytest.mark.parametrize("name", ["age", "income", "city", "size", "member", "joined"])
def test_a_changed_cell_is_read_back_as_what_was_meant(name):
    made = changes()
    rows, j = np.arange(10), place(made, name)
    values, counts, _ = made.candidates(rows, j, 50, 0)
    assert counts.any(1).all()
    codes = made.own.copy()
    codes[:, j] = values[rows, counts.argmax(1)]
    back = Changes(made.cells(rows, codes), made.kept, made.schema)
    texts = [made.say(j, c) for c in codes[:, j]]
    assert [back.say(j, c) for c in back.own[:, j]] == texts
    assert made.cells(rows, codes).frame[name].dtype == made.table.frame[name].dtype or name == "age"
    assert made.may(rows, codes).all()


@pytest.mark.parametrize(
    ("name", "rule", "good"),
    [
        ("age", "never", lambda own, new: np.zeros(new.shape, bool)),
        ("age", "up", lambda own, new: new > own[:, None]),
        ("age", "down", lambda own, new: new < own[:, None]),
        ("age", (30, 40), lambda own, new: (new >= 30) & (new <= 40)),
        ("income", {"step": 1000, "low": 20000, "high": 40000}, lambda own, new: np.isclose(np.cos((new - own[:, None]) * np.pi / 500), 1)),
        ("size", "up", lambda own, new: new > own[:, None]),
    ],
    ids=lambda v: "law" if callable(v) else str(v),
)  # fmt: skip
def test_candidates_keep_the_rule_and_nothing_else_is_left_out(name, rule, good):
    made = changes(**{name: rule})
    rows, j = np.arange(10), place(made, name)
    values, counts, exact = made.candidates(rows, j, 50, 0)
    own = made.own[:, j]
    known = ~np.isnan(own)[:, None] & counts
    assert (good(own, values) | ~known).all()
    assert exact
    for i in np.flatnonzero(~np.isnan(own)):
        mine = values[i][counts[i]]
        assert len(set(mine.tolist())) == len(mine)
        codes = np.repeat(made.own[[i]], len(mine), 0)
        codes[:, j] = mine
        assert made.may(np.full(len(mine), i), codes).all()
    if name == "age" and rule == (30, 40):  # whole numbers: all of them, but for the person's own
        counted = [int(counts[i].sum()) + int(30 <= own[i] <= 40) for i in np.flatnonzero(~np.isnan(own))]
        assert set(counted) == {11}


def test_a_continuum_is_drawn_within_each_rows_reach():
    made = changes(income="up")
    j = place(made, "income")
    values, counts, exact = made.candidates(np.arange(10), j, 200, 0)
    low, high = made.reach(np.arange(10), j)
    assert not exact
    inside = low < high
    assert counts[inside].mean() > 0.99
    share = ((values - low[:, None]) / (high - low)[:, None])[inside]
    assert abs(share.mean() - 0.5) < 4 / np.sqrt(12 * 200)


def test_allowed_levels_may_be_ones_that_no_row_shows():
    made = changes(city=["Bergen", "Dover"])
    j = place(made, "city")
    values, counts, _ = made.candidates(np.arange(10), j, 50, 0)
    assert {made.say(j, v) for v in values[counts]} == {"Bergen", "Dover"}
    with pytest.raises(RequestError, match="huge"):
        changes(size=["huge"])


def test_links_move_along_and_joint_rules_cut():
    made = changes("income = before(income) + 100 * (age - before(age))", "if city == 'Cork' then age < 40", age=(18, 90))
    rows = np.flatnonzero(~np.isnan(made.own[:, 0]))
    codes = made.own[rows].copy()
    codes[:, 0] += 5
    after = made.linked(rows, codes)
    assert np.allclose(after[:, 1], made.own[rows, 1] + 500)
    assert not made.movable[1]
    cork = np.array([made.say(place(made, "city"), c) == "Cork" for c in after[:, place(made, "city")]])
    assert (made.keeps(rows, after) == ~(cork & (after[:, 0] >= 40))).all()
    assert np.array_equal(made.linked(rows, made.own[rows]), made.own[rows], equal_nan=True)  # nothing moved, nothing follows


def test_donors_are_brought_within_the_rules():
    made = changes(age="up", city="never", income={"step": 500})
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 10, 200)
    donors = made.known[rng.integers(0, len(made.known), 200)]
    near = made.toward(rows, donors)
    assert made.may(rows, near).all()
    assert np.array_equal(near[:, place(made, "city")], made.own[rows, place(made, "city")], equal_nan=True)
    assert (np.abs(near - made.own[rows])[:, place(made, "income")] > 0).any()


def test_integers_stay_integers_for_models_from_elsewhere():
    whole = Table(pd.DataFrame({"n": np.arange(10)}), Schema((Column("n", ColumnType.NUMBER),)))
    made = Changes(whole.take(slice(0, 3)), whole, whole.schema)
    cells = made.cells(np.arange(3), made.own + 2)
    assert cells.frame["n"].dtype == whole.frame["n"].dtype
    assert cells.frame["n"].tolist() == [2, 3, 4]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "Int8"])
def test_whole_numbers_that_go_further_than_the_rows_dtype_are_written_in_a_wider_one(dtype):
    schema = Schema((Column("n", ColumnType.NUMBER),))
    rows, known = (Table(pd.DataFrame({"n": n}), schema) for n in (pd.array([1, 2, 3], dtype), np.arange(0, 1000, 100)))
    made = Changes(rows, known, schema)
    assert made.cells(np.arange(3), made.own + 700).frame["n"].tolist() == [701, 702, 703]
    assert made.cells(np.arange(3), made.own + 7).frame["n"].dtype == dtype
