"""Columns that say nothing or the same twice."""

import numpy as np
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
    pairs = {columns for kind, columns in kinds(t) if kind == "constants: nearly doubled"}
    assert {("huge", "huge_twin"), ("pressure", "huge_twin")} <= pairs
    assert not any("small" in columns for columns in pairs)
