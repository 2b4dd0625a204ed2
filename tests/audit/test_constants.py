"""Columns that say nothing or the same twice."""

import numpy as np
import pandas as pd
import pytest

from pellucid.audit.constants import find
from pellucid.audit.view import View
from pellucid.table import Column, ColumnType, Schema, Table, read_table


def kinds(frame, target="ill"):
    return {(f.kind, f.columns) for f in find(View(read_table(frame, target=target)))}


def test_each_kind_is_found_and_nothing_else(clean):
    t = clean(600, 0)
    assert kinds(t) == set()
    t["country"] = "NL"
    t["nearly"] = np.where(np.arange(600) < 2, "b", "a")
    t["area"] = t["region"].map({"north": "N", "south": "S", "east": "E", "west": "W"})
    t["dose_mg"] = t["dose"]
    t["weight_lb"] = t["pressure"] * 2.2 + np.random.default_rng(0).normal(0, 0.1, 600)
    t["empty"] = np.nan
    assert kinds(t) == {
        ("constants: constant column", ("country",)),
        ("constants: nearly constant", ("nearly",)),
        ("constants: doubled column", ("region", "area")),
        ("constants: doubled column", ("dose", "dose_mg")),
        ("constants: nearly doubled", ("pressure", "weight_lb")),
        ("constants: empty column", ("empty",)),
    }


def test_identifiers_and_what_looks_like_one(clean):
    t = clean(600, 1)
    t["patient_id"] = [f"P{i:05d}" for i in np.random.default_rng(0).permutation(600)]
    assert ("constants: identifier", ("patient_id",)) in kinds(t)
    frame = clean(600, 2).assign(number=np.arange(600) * 3 + 7)
    schema = Schema(tuple(Column(c, ColumnType.NUMBER if frame[c].dtype.kind in "if" else ColumnType.CATEGORY) for c in frame.columns))
    found = {f.kind for f in find(View(Table(frame, schema)))}
    assert found == {"constants: looks like an identifier"}
    repeated = clean(600, 3).assign(person=np.repeat([f"P{i}" for i in range(300)], 2))
    table = read_table(repeated, target="ill", types={"person": "identifier"})
    f = next(f for f in find(View(table)) if f.kind == "constants: identifier")
    assert f.severity == "medium"
    assert "group=" in f.remedy


@pytest.mark.parametrize("hole", [5, 300])
def test_correlations_count_only_rows_where_both_are_there(hole, clean):
    t = clean(600, 4)
    t["twin"] = t["pressure"] * 3 + np.random.default_rng(0).normal(0, 0.05, 600)
    t.loc[:hole, "twin"] = np.nan
    assert ("constants: nearly doubled", ("pressure", "twin")) in kinds(t)


def test_correlations_of_numbers_beyond_squares(clean):
    t = clean(600, 5)
    t["huge"] = t["pressure"] * 1e298
    t["huge_twin"] = t["huge"] * 0.5 + np.random.default_rng(0).normal(0, 1e296, 600)
    t["small"] = np.random.default_rng(1).normal(size=600) * 1e-300
    groups = [set(columns) for kind, columns in kinds(t) if kind == "constants: nearly doubled"]
    assert groups == [{"pressure", "huge", "huge_twin"}]


def test_columns_that_hang_together_are_one_finding():
    draw = np.random.default_rng(0)
    strip = draw.normal(size=400)
    t = pd.DataFrame({f"v{i}": strip + draw.normal(0, 0.03, 400) for i in range(8)} | {"other": draw.normal(size=400)})
    told = [f for f in find(View(read_table(t))) if f.kind == "constants: nearly doubled"]
    assert [f.columns for f in told] == [tuple(f"v{i}" for i in range(8))]
    assert "(28 pairs, correlation 0.99" in told[0].evidence


def test_columns_that_rise_down_the_table_are_no_twins_and_no_names_of_rows():
    years = np.arange(1900, 1960)
    people = 3_000_000 + np.cumsum(np.random.default_rng(0).integers(10_000, 90_000, 60))
    t = pd.DataFrame({"year": years, "people": people, "since": years - 1900, "x": np.random.default_rng(1).normal(size=60)})
    # a line of each other: that the order of the rows cannot make
    assert kinds(t, None) == {("constants: doubled column", ("year", "since"))}
    assert kinds(pd.DataFrame({"a": [1.0, 2.0, 5.0, 9.0], "b": [3.0, 4.0, 5.0, 8.0]}), None) == set()  # one in 24 orders is the same
    ids = pd.DataFrame({"docno": 78001 + np.cumsum(np.random.default_rng(2).integers(1, 9, 60)), "x": t["x"]})
    assert kinds(ids, None) == {("constants: looks like an identifier", ("docno",))}


def test_many_groups_of_doubled_columns_are_one_finding():
    draw = np.random.default_rng(0)
    columns = {f"c{i}": draw.normal(size=60).round(2) for i in range(8)}
    twice = columns | {f"{k}_again": v for k, v in columns.items()}
    found = [f for f in find(View(read_table(twice))) if f.kind == "constants: doubled column"]
    assert len(found) == 1
    assert found[0].figures["groups"] == [[k, f"{k}_again"] for k in columns]
    assert "in 8 groups columns hold the same cells" in found[0].evidence
    few = {k: v for k, v in twice.items() if k[:2] in ("c0", "c1")}
    assert len([f for f in find(View(read_table(few))) if f.kind == "constants: doubled column"]) == 2
