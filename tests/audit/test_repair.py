"""Proposals of repairs: the lecture's table, the policy, injected errors, there and back, and what they change."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pellucid as pld
from pellucid import TabularClassifier, TabularRegressor
from pellucid.audit.dependencies import decided, made_of
from pellucid.audit.values import _counted, _fast, edit_distance
from pellucid.audit.view import View
from pellucid.errors import RequestError
from pellucid.results import Repairs
from pellucid.table import read_table
from pellucid.testing.defects import DEFECTS, judge, misspelt, unit_slip

STUDENTS = pd.DataFrame(
    {
        "S_id": range(1, 6),
        "Name": ["Tom", "John", "Lily", "Alice", "Lucy"],
        "Gender": ["F", "FA", "M", "?", "?"],
        "Age": ["20", "21", "?", "22", "?"],
        "Score": [96, 86, 89, 94, 80],
    }
)


def shops(n=3000, seed=0):
    """Return a clean table in which columns depend on each other."""
    draw = np.random.default_rng(seed)
    city = draw.choice(["Bern", "Basel", "Lyon", "Paris", "Turin", "Milan"], n)
    land = pd.Series(city).map(dict(zip(["Bern", "Basel", "Lyon", "Paris", "Turin", "Milan"], ["CH", "CH", "FR", "FR", "IT", "IT"])))
    price, pieces = draw.gamma(4, 5, n).round(2) + 5, draw.integers(1, 20, n)
    frame = pd.DataFrame({"city": city, "land": land, "goods": price, "post": draw.gamma(3, 2, n).round(2) + 1, "pieces": pieces})
    return frame.assign(total=(frame["goods"] + frame["post"]).round(2), height=(draw.normal(170, 9, n)).round(1))


def test_the_lectures_students():
    table = read_table(STUDENTS)
    found = pld.repair(table)
    assert found.to_frame()[["row", "column", "old", "new"]].to_numpy().tolist() == [[1, "Gender", "FA", "F"]]
    assert found.confidence[0] >= 0.9
    assert dict(found.read_as_missing) == {"Gender": {"?": 2}, "Age": {"?": 2}}
    assert table.missing("Age").tolist() == [False, False, True, False, True]
    fixed = found.apply(table)
    assert fixed.frame["Gender"].tolist() == ["F", "F", "M", "?", "?"]
    assert found.undo(fixed).frame.equals(STUDENTS)


def test_a_clean_table_is_left_alone():
    for seed in range(3):
        assert len(pld.repair(shops(seed=seed))) == 0


@pytest.mark.parametrize("name", ["misspelt category", "unit slip", "mistyped decimals"])
def test_injected_errors_come_back_right(name):
    defect, applied, right, planted = DEFECTS[name], 0, 0, 0
    column = {"misspelt category": "city", "unit slip": "goods", "mistyped decimals": "height"}[name]
    for seed in range(2):
        item = defect.plant(shops(seed=seed), column, seed)
        found = pld.repair(item.frame).sure()
        old = dict(zip(item.rows.tolist(), item.old))
        applied, planted = applied + len(found), planted + len(item.rows)
        right += sum(r in old and (n == old[r] or np.isclose(n, old[r])) for r, n in zip(found.rows.tolist(), found.new) if r in old)
    assert right >= 0.95 * applied
    assert right >= 0.8 * planted


def test_what_is_frequent_or_differs_in_digits_is_never_merged():
    n = 1000
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "grade": np.where(np.arange(n) < 3, "grade 2", "grade 1"),
            "state": np.where(np.arange(n) < 3, "NC", draw.choice(["NY", "NJ", "CA", "TX", "FL"], n)),
            "town": draw.choice(["Bern", "Berne"], n),
            "mark": np.where(np.arange(n) < 3, "A-", draw.choice(["A", "B"], n)),
            "level": draw.choice(["low", "medium", "high"], n),
        }
    )
    assert len(pld.repair(frame).sure()) == 0


def test_a_level_whose_rows_are_elsewhere_is_kept():
    """ISLAND is one letter from INLAND, rare, and no slip: its rows lie somewhere else."""
    draw = np.random.default_rng(1)
    n = 2000
    frame = pd.DataFrame({"sea": ["INLAND"] * (n - 3) + ["ISLAND"] * 3, "west": [*draw.normal(0, 1, n - 3), 9.0, 9.1, 8.9]})
    frame["north"] = np.where(frame["west"] > 8, 50.0, 0.0) + draw.normal(0, 1, n)
    frame["sea"] = frame["sea"].mask((frame["west"] < 0), "COAST")
    near = frame.assign(west=draw.normal(0.5, 0.1, n), north=0.0)
    assert len(pld.repair(frame).sure()) == 0
    assert len(pld.repair(near).sure()) == 3


def test_rules_speak_for_numbers():
    n = 400
    draw = np.random.default_rng(2)
    age = draw.integers(18, 80, n).astype(str).astype(object)
    age[[3, 4]] = ["4O", "x9y"]
    debt = draw.integers(20, 60, n)
    frame = pd.DataFrame({"age": age, "hours_per_week": draw.integers(20, 60, n).astype(float), "debt": debt})
    frame.loc[7, "hours_per_week"] = -40
    frame.loc[8, "hours_per_week"] = 900
    table = read_table(frame, types={"age": "number"})
    found = pld.repair(table)
    by_cell = {(r, c): (new, rule) for r, c, new, rule in zip(found.rows, found.columns, found.new, found.rules)}
    assert by_cell[3, "age"] == ("40", "mistyped number")
    assert by_cell[4, "age"][0] is None
    assert by_cell[7, "hours_per_week"] == (40, "sign")
    assert by_cell[8, "hours_per_week"][0] is None


def test_broken_dependencies_and_sums_are_found_with_their_rows():
    frame = shops()
    frame.loc[[10, 20], "land"] = ["IT", "CH"] if frame["land"][10] != "IT" else ["FR", "IT"]
    frame.loc[30, "total"] = frame.loc[30, "total"] * 100
    frame.loc[40, "total"] = 1.23
    view = View(read_table(frame))
    rule = next(d for d in decided(view) if (d.by, d.of) == ("city", "land"))
    assert set(rule.rows) <= {10, 20}
    assert len(rule.rows) >= 1
    made = made_of(view)
    assert [(m.total, {m.left, m.right}, m.sign) for m in made] == [("total", {"goods", "post"}, "+")]
    assert made[0].rows.tolist() == [30, 40]
    found = pld.repair(frame)
    by_cell = {(r, c): (n, s) for r, c, n, s in zip(found.rows, found.columns, found.new, found.confidence)}
    assert by_cell[30, "total"][0] == pytest.approx(shops().loc[30, "total"])
    assert by_cell[30, "total"][1] >= 0.9
    assert by_cell[40, "total"] == (pytest.approx(shops().loc[40, "total"]), 0.7)
    assert by_cell[int(rule.rows[0]), "land"][0] == shops().loc[int(rule.rows[0]), "land"]
    told = [f for f in pld.audit(frame) if f.kind == "dependencies: broken"]
    assert len(told) >= 2
    assert any("such as row 30: " in f.evidence and " is not " in f.evidence for f in told)
    assert "dependencies: broken" not in [f.kind for f in pld.audit(shops())]


def test_there_and_back_in_the_columns_own_dtypes():
    frame = shops(500)
    frame["city"] = frame["city"].astype("category").cat.add_categories(["Bexn"])
    frame.loc[5, "city"] = "Bexn"
    frame["pieces"] = frame["pieces"].astype("int32")
    frame.loc[9, "total"] = frame.loc[9, "total"] * 1000
    table = read_table(frame)
    found = pld.repair(table)
    fixed = found.apply(table)
    assert fixed.frame.dtypes.equals(frame.dtypes)
    assert fixed.frame.loc[5, "city"] == "Bern"
    assert found.undo(fixed).frame.equals(frame)
    with pytest.raises(RequestError, match="rows"):
        found.apply(fixed)
    assert len(found[found.columns == "city"]) == 1
    assert isinstance(found.sure(0.99), Repairs)
    assert found.to_dict()["proposals"][0]["confidence"] == found.confidence.max()


def test_the_target_is_never_changed_unasked():
    frame = shops().rename(columns={"city": "y"})
    item = misspelt(frame, "y", 0)
    found = pld.repair(item.frame, target="y")
    assert judge(item, found.rows[found.columns == "y"]).recall >= 0.8
    assert found.confidence[found.columns == "y"].max() <= 0.8


def test_a_model_of_the_rows_names_odd_cells():
    draw = np.random.default_rng(0)
    x = draw.normal(size=500)
    frame = pd.DataFrame({"x": x, "twice": 2 * x + 0.05 * draw.normal(size=500), "thrice": 3 * x + 0.05 * draw.normal(size=500)})
    usual = pld.RowModel(random_state=0, max_steps=300).fit(frame)
    wrong = frame.copy()
    wrong.loc[7, "twice"] = 40.0
    found = pld.repair(wrong, row_model=usual)
    mine = found[(found.rows == 7) & (found.columns == "twice")]
    assert len(mine) == 1
    assert mine.confidence[0] < 0.9
    assert abs(mine.new[0] - frame.loc[7, "twice"]) < 2


def test_what_repairs_change_can_be_traced():
    frame = shops(600)
    draw = np.random.default_rng(0)
    y = np.where(frame["goods"] + draw.normal(0, 3, 600) > 24, "dear", "cheap")
    item = unit_slip(frame, "goods", 0, factor=1000.0)
    table = read_table(item.frame.assign(y=y), target="y")
    found = pld.repair(table)
    model = TabularClassifier(backbone="linear", verbose=0, random_state=0).fit(read_table(frame.assign(y=y), target="y"))
    made = pld.trace_repairs(model, table, found)
    assert set(made.rows) >= set(item.rows)
    assert made.outputs == ("cheap", "dear")
    assert np.allclose(made.after, model.predict_proba(found.apply(table).take(made.rows)))
    assert np.allclose(made.before, model.predict_proba(table.take(made.rows)))
    assert np.array_equal(made.changed, made.before.argmax(1) != made.after.argmax(1))
    frame_of = made.to_frame()
    assert "goods" in set(frame_of["reason moved most"]) | {"total"}
    assert "rows were touched" in made.words
    days = TabularRegressor(backbone="linear", verbose=0, random_state=0).fit(frame, frame["post"] + draw.normal(size=600))
    moved = pld.trace_repairs(days, table.drop(["y"]), found, explain=False)
    assert {"low before", "high after"} <= set(moved.to_frame())
    assert (moved.intervals["low after"] < moved.intervals["high after"]).all()


def test_the_fast_distance_counts_as_ours():
    if _fast() is None:
        pytest.skip("rapidfuzz is not installed")
    draw = np.random.default_rng(0)
    words = ["".join(draw.choice(list("abc"), draw.integers(0, 7))) for _ in range(60)]
    for a in words:
        for b in words[:20]:
            assert edit_distance(a, b) == (_counted(a, b, 2) if abs(len(a) - len(b)) <= 2 else 3)


def test_planted_defects_are_what_they_say():
    frame = shops(300)
    for name, defect in DEFECTS.items():
        argument = {"": (), "target": ("land",), "number": ("goods",), "decimal": ("goods",), "size": ("goods",), "word": ("city",)}[
            defect.needs
        ]
        one, two = (defect.plant(frame, *argument, seed=3, **defect.options) for _ in range(2))
        assert one.frame.equals(two.frame), name
        assert np.array_equal(one.rows, two.rows)
        if one.old:
            changed = np.flatnonzero(one.frame[one.column].to_numpy(object) != frame[one.column].to_numpy(object))
            assert np.array_equal(changed, one.rows), name
            assert list(one.old) == frame[one.column].iloc[one.rows].tolist()
    copies = DEFECTS["copies across the split"].plant(frame, 0)
    assert not set(copies.plan["train"]) & set(copies.plan["certify"])
    assert copies.frame.iloc[copies.rows].apply(tuple, axis=1).isin(frame.iloc[copies.plan["train"]].apply(tuple, axis=1)).all()
