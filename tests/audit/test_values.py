"""Values that cannot be right, and those that only look odd."""

import numpy as np
import pandas as pd
import pytest

import pellucid as pld
from pellucid.audit.values import edit_distance, find, rare_spellings, unit_slip
from pellucid.audit.view import View
from pellucid.table import Column, ColumnType, Schema, Table, read_table


def by_kind(frame, target=None):
    return {f.kind: f for f in find(View(read_table(frame, target=target)))}


def test_edit_distance_is_its_definition():
    assert [edit_distance(*p) for p in (("", "ab"), ("abc", "abc"), ("abc", "acb"), ("abc", "abd"), ("abcd", "wxyz"))] == [2, 0, 1, 1, 3]


def test_slips_of_spelling_and_what_is_none():
    def pairs(**count):
        return {(list(count)[i], list(count)[j]) for i, j in rare_spellings(tuple(count), np.array(list(count.values())))}

    assert pairs(F=500, M=480, FA=2) == {("FA", "F")}
    assert pairs(Bachelors=900, Bahcelors=2, Masters=300) == {("Bahcelors", "Bachelors")}
    assert pairs(NY=900, NC=3, NJ=500, CA=700, TX=600, FL=400) == set()  # codes of two letters are all neighbours
    assert pairs(grade_1=900, grade_2=3) == set()  # digits make another level
    assert pairs(Male=900, Female=3) == set()
    assert pairs(paid=900, unpaid=3) == set()
    assert pairs(Bachelors=900, Bachelor=300) == set()  # both frequent
    assert rare_spellings(("Possession of Cocaine", "Possession of Codeine"), np.array([474, 3])) == []


def test_a_rare_level_whose_rows_are_unlike_those_it_is_spelt_like_is_no_slip():
    """An island lies apart from the inland; a slip of spelling leaves its row where it was."""
    draw = np.random.default_rng(0)
    place = np.repeat(["INLAND", "COAST"], 1000).astype(object)
    east = np.where(place == "INLAND", draw.normal(5, 1, 2000), draw.normal(0, 1, 2000))
    place[:5], east[:5] = "ISLAND", draw.normal(-6, 0.1, 5)
    made = by_kind(pd.DataFrame({"place": place, "east": east, "rooms": draw.normal(size=2000)}))
    assert "values: rare spelling" not in made
    place[:5], place[10:14] = "INLAND", "INLNAD"
    made = by_kind(pd.DataFrame({"place": place, "east": east, "rooms": draw.normal(size=2000)}))
    assert made["values: rare spelling"].rows.tolist() == [10, 11, 12, 13]


def test_unreadable_infinite_and_impossible_cells():
    n = 300
    rng = np.random.default_rng(0)
    age = rng.integers(18, 80, n).astype(object).astype(str)
    age[[4, 9]] = "4o"
    percent = rng.uniform(0, 100, n)
    percent[7] = 1200
    schema = Schema((Column("age", ColumnType.NUMBER), Column("fat_percent", ColumnType.NUMBER), Column("mass", ColumnType.NUMBER)))
    mass = rng.normal(70, 10, n)
    mass[11] = np.inf
    table = Table(pd.DataFrame({"age": age, "fat_percent": percent, "mass": mass}), schema)
    found = {(f.kind, f.columns[0]): f for f in find(View(table))}
    assert list(found["values: unreadable", "age"].rows) == [4, 9]
    assert "'4o'" in found["values: unreadable", "age"].evidence
    assert list(found["values: unreadable", "mass"].rows) == [11]
    assert list(found["values: impossible", "fat_percent"].rows) == [7]
    assert "between 0 and 100" in found["values: impossible", "fat_percent"].evidence


@pytest.mark.parametrize("factor", [1000.0, 1 / 1000, 100.0, 2.54, 2.20462])
def test_a_slip_of_units_is_found_and_named(factor):
    rng = np.random.default_rng(1)
    height = rng.normal(170, 7, 1000)
    rows = rng.choice(1000, 30, replace=False)
    height[rows] *= factor
    found = unit_slip(height)
    assert found is not None
    assert sorted(found[0]) == sorted(rows)
    assert found[1] == pytest.approx(factor)


def test_no_slip_where_there_is_none():
    rng = np.random.default_rng(2)
    for x in (
        rng.normal(170, 7, 1000),
        np.exp(rng.normal(10, 1, 2000)),
        rng.poisson(3, 1000).astype(float),
        rng.integers(1, 11, 1000) * 1.0,
    ):
        assert unit_slip(x) is None
    assert unit_slip(np.concatenate([np.exp(rng.normal(10, 1, 1000)), np.full(20, 1e6)])) is None  # a code, not a cluster


def test_spikes_at_the_maximum_and_heavy_tails(clean):
    t = clean(2000, 3, classes=False)
    t["days"] = t["days"].clip(upper=25)
    f = by_kind(t, "days")["values: spike at the maximum"]
    assert f.severity == "medium"
    assert len(f.rows) == (t["days"] == 25).sum()
    t = clean(2000, 4)
    t["income"] = np.random.default_rng(0).standard_cauchy(2000)
    assert by_kind(t)["values: heavy tail"].columns == ("income",)


def test_the_cap_of_the_house_values(real):
    f = next(f for f in find(View(real("california_housing.csv.gz", "MedHouseVal"))) if f.columns == ("MedHouseVal",))
    assert f.kind == "values: spike at the maximum"
    assert len(f.rows) == 965
    assert "5.00001" in f.evidence


def test_levels_of_the_same_letters(clean):
    t = clean(400, 5)
    t["town"] = np.where(np.arange(400) % 2, "New York", "new-york")
    f = by_kind(t)["values: same letters"]
    assert f.columns == ("town",)
    t["town"] = np.where(np.arange(400) % 2, "-1", "1")
    table = read_table(t, types={"town": "category"})
    assert not find(View(table))


def test_a_first_row_taken_for_names_is_told(tmp_path):
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"a": rng.integers(18, 80, 60), "b": rng.normal(50, 9, 60).round(2), "c": rng.choice(["yes", "no"], 60)})
    rows.to_csv(tmp_path / "bare.csv", index=False, header=False)
    [found] = [f for f in find(View(read_table(tmp_path / "bare.csv"))) if f.kind == "values: names"]
    assert found.severity == "high"
    assert found.columns == tuple(map(str, rows.iloc[0]))
    # years are names that could be cells, and a level may be called as its column beside names that are none
    years = pd.DataFrame(rng.integers(1900, 2100, (60, 3)), columns=["2019", "2020", "2021"])
    assert not [f for f in find(View(read_table(years))) if f.kind == "values: names"]
    beside = rows.rename(columns={"c": "yes"})
    assert not [f for f in find(View(read_table(beside))) if f.kind == "values: names"]


def test_the_mean_of_a_balanced_design_or_of_filled_cells_is_no_row_of_totals():
    draw = np.random.default_rng(0)
    t = pd.DataFrame({"a": np.tile([3.0, 4.0, 5.0], 6), "b": np.tile([1.0, 4.0, 7.0], 6), "x": draw.normal(size=18)})
    t = pd.concat([t, pd.DataFrame({"a": [4.0], "b": [4.0], "x": [0.3]})], ignore_index=True)
    assert ("values: totals") not in {f.kind for f in find(View(read_table(t)))}
    own = pd.DataFrame(draw.normal(9, 1, (20, 3)).round(2), columns=list("abc"))
    own.loc[20] = own.mean()
    assert "values: totals" in {f.kind for f in find(View(read_table(own)))}


def test_edges_of_classes_over_counts_are_names():
    counts = pd.DataFrame(np.random.default_rng(0).integers(0, 20, (9, 4)), columns=["16.5", "16.75", "17.25", "17.75"])
    assert "values: names" not in {f.kind for f in find(View(read_table(counts)))}


def test_a_hidden_character_is_spelt_out():
    t = pd.DataFrame({"net": [f"{v}.5" for v in range(50)] + ["6.2\x1a"]})
    [f] = [f for f in find(View(read_table(t))) if f.kind == "values: unreadable"]
    assert "'6.2\\x1a'" in f.evidence


def test_ends_of_lines_within_cells_that_differ_are_seen():
    t = read_table(pd.DataFrame({"told": ["h\r\ni", "h\ni", "k"] * 20}))
    [f] = [f for f in find(View(t)) if f.kind == "values: same letters"]
    assert "'h\\r\\ni' (20)" in f.evidence
    assert "'h\\ni' (20)" in f.evidence


def test_the_tail_of_a_wide_column_is_no_other_unit():
    draw = np.random.default_rng(0)
    wide = np.append(draw.uniform(300, 1300, 220).round(), [2200.0, 2350.0, 2400.0, 2450.0, 2600.0])
    assert unit_slip(wide) is None


def test_codes_that_differ_by_a_letter_are_no_slips_of_each_other():
    genes = [f"{a}{b}{c}{n}" for a in "AC" for b in "BO" for c in "CGQ" for n in (2, 5)]
    assert rare_spellings((*genes, "ABD2"), np.array([60] * len(genes) + [1])) == []
    towns = ("Groningen", "Leeuwarden", "Assen", "Zwolle", "Arnhem", "Utrecht", "Haarlem", "Middelburg", "Maastricht", "Lelystad", "Breda")
    towns += ("Tilburg", "Eindhoven", "Almere", "Nijmegen", "Apeldoorn", "Enschede", "Amersfoort", "Zaandam", "Leiden", "Dordrecht")
    assert rare_spellings((*towns, "Lelystat"), np.array([60] * len(towns) + [1])) == [(len(towns), 9)]


def test_a_column_called_infinity_is_no_fault_of_the_audit():
    draw = np.random.default_rng(0)
    pld.audit(pd.DataFrame({"inf": draw.normal(size=60), "1.5": draw.normal(size=60)}))


def test_a_range_that_values_run_past_is_no_range_of_the_column():
    draw = np.random.default_rng(3)
    months = draw.gamma(2.0, 22.0, 1500).round()  # children, by months: 120 is no end
    assert 10 < (months > 120).sum() < 0.2 * len(months)
    found = {f.kind: f for f in find(View(read_table({"age": months, "x": draw.normal(size=1500)})))}
    assert "values: impossible" not in found
    told = found["values: another unit"]
    assert told.severity == "low"
    assert "without a break" in told.evidence
    assert list(told.rows) == list(np.flatnonzero(months > 120))
    years = np.append(draw.normal(45, 15, 1490).clip(0, 99).round(), [130, 150, 140, 999, 999, 999, 160, 131, 121, 122])
    found = {f.kind: f for f in find(View(read_table({"age": years, "x": draw.normal(size=1500)})))}
    assert list(found["values: impossible"].rows) == list(range(1490, 1500))
