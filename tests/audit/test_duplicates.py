"""Copies of rows: counts, contradictions, both sides of a split."""

import numpy as np
import pandas as pd
import pytest

from pellucid.audit.duplicates import find, parts_of
from pellucid.audit.view import View
from pellucid.table import make_plan, read_table


def by_kind(frame, target=None, plan=None):
    return {f.kind: f for f in find(View(read_table(frame, target=target), plan))}


def test_copies_are_counted_and_chance_is_told(clean):
    t = clean(500, 0)
    t = pd.concat([t, t.iloc[:10], t.iloc[:5]], ignore_index=True)
    f = by_kind(t, "ill")["duplicates: exact copies"]
    assert sorted(f.rows) == sorted([*range(10), *range(500, 515)])
    assert f.figures["extra"] == 15
    assert f.figures["pairs"] == 5 * 3 + 5
    rng = np.random.default_rng(0)
    few = pd.DataFrame({"a": rng.integers(0, 3, 400).astype(str), "b": rng.integers(0, 4, 400).astype(str)})
    f = by_kind(few)["duplicates: exact copies"]
    assert f.severity == "low"
    assert f.figures["pairs"] == pytest.approx(f.figures["pairs by chance"], rel=0.05)


def test_row_codes_are_the_distinct_rows():
    rng = np.random.default_rng(1)
    t = pd.DataFrame({"a": rng.choice([1.5, 2.5, np.nan], 300), "b": rng.choice(["x", "y"], 300), "c": rng.integers(0, 4, 300)})
    codes = View(read_table(t)).row_codes(("a", "b", "c"))
    known = t.groupby(["a", "b", "c"], dropna=False).ngroup()
    assert pd.DataFrame({"k": known, "c": codes}).drop_duplicates().shape[0] == known.nunique() == len(np.unique(codes))


def test_contradicting_labels_bound_the_accuracy(clean):
    t = clean(300, 2)
    twins = t.iloc[:20].assign(ill=t["ill"].iloc[:20].map({"yes": "no", "no": "yes"}).to_numpy())
    f = by_kind(pd.concat([t, twins], ignore_index=True), "ill")["duplicates: contradicting labels"]
    assert len(f.rows) == 40
    assert f.figures["best accuracy"] == 300 / 320
    assert "at least 20 rows" in f.evidence


def test_contradicting_numbers_give_the_spread_among_copies(clean):
    t = clean(300, 3, classes=False)
    twins = t.iloc[:100].assign(days=t["days"].iloc[:100] + 2.0)
    f = by_kind(pd.concat([t, twins], ignore_index=True), "days")["duplicates: contradicting targets"]
    assert len(f.rows) == 200
    assert f.figures["sd among copies"] == pytest.approx(np.sqrt(2))  # two values 2 apart: variance 2


def test_copies_across_the_parts_are_found_and_our_plan_has_none(clean):
    t = clean(2500, 4)
    t = pd.concat([t, t.iloc[:200]], ignore_index=True)
    wrong = {"train": np.arange(2500), "certify": np.arange(2500, 2700)}
    f = by_kind(t, "ill", wrong)["duplicates: across splits"]
    assert f.severity == "high"
    assert list(f.rows) == list(range(2500, 2700))
    table = read_table(t, target="ill")
    plan = make_plan(table.drop(["ill"]), (t["ill"] == "yes").to_numpy().astype(int), task="classification", seed=0)
    assert set(parts_of(plan)) >= {"train", "certify"}
    assert "duplicates: across splits" not in by_kind(t, "ill", plan)


def test_a_single_copy_among_fine_numbers_is_kept_in_one_part_and_said_so():
    frame = pd.DataFrame({"a": np.random.default_rng(0).normal(size=300)})
    found = by_kind(pd.concat([frame, frame[:1]], ignore_index=True))
    assert "the split keeps copies in one part" in found["duplicates: exact copies"].remedy


def test_copies_that_come_by_chance_need_no_remedy():
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.choice(["u", "v", "w"], (300, 3)), columns=list("abc"))
    frame["y"] = draw.choice(["no", "yes"], 300)
    found = by_kind(frame, "y")
    assert found["duplicates: exact copies"].remedy.startswith("none: ")
    assert found["duplicates: contradicting labels"].severity == "low"


def test_a_pair_that_did_not_meet_by_chance_is_not_said_to_have():
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"a": draw.normal(size=300), "b": draw.normal(size=300), "c": draw.choice(["u", "v"], 300)})
    found = by_kind(pd.concat([frame, frame[:2]], ignore_index=True))["duplicates: exact copies"]
    assert "0.0 would meet by chance" in found.evidence
    assert "few values" not in found.evidence
    assert (found.severity, "the split keeps copies in one part" in found.remedy) == ("low", True)


def test_repeats_of_one_column_are_no_copies():
    assert not by_kind(pd.DataFrame({"flow": np.random.default_rng(0).integers(0, 60, 300)}))
