"""Groups: who is hardly there, and differences beyond chance."""

import numpy as np
import pandas as pd
import pytest

from pellucid.audit.groups import find, gap_null, watched_columns
from pellucid.audit.view import View
from pellucid.table import read_table


def by_kind(table):
    return {f.kind: f for f in find(View(table))}


def test_the_null_of_a_gap_is_the_known_one():
    rng = np.random.default_rng(0)
    for sizes, known in (([200] * 2, 0.037), ([100] * 5, 0.107), ([50] * 10, 0.198)):
        n = sum(sizes)
        means = gap_null(np.array(sizes), (rng.permutation(n) < 0.3 * n).astype(int), 0)
        assert (means.max(1) - means.min(1)).mean() == pytest.approx(known, abs=0.006)
    y = rng.normal(5, 2, 600)
    dealt = np.array([[m.mean() for m in np.split(rng.permutation(y), [100, 300])] for _ in range(1000)])
    ours = gap_null(np.array([100, 200, 300]), y, 1)
    assert (ours.max(1) - ours.min(1)).mean() == pytest.approx((dealt.max(1) - dealt.min(1)).mean(), rel=0.08)


def test_planted_bias_is_told_with_intervals_and_its_null(clean):
    t = clean(2000, 1)
    rng = np.random.default_rng(1)
    t.loc[(t["sex"] == "M") & (rng.random(2000) < 0.4), "ill"] = "yes"
    f = by_kind(read_table(t, target="ill"))["groups: difference"]
    rates = (t["ill"] == "yes").groupby(t["sex"]).mean()
    assert f.figures["gap"] == pytest.approx(rates["M"] - rates["F"])
    assert f"'M' {100 * rates['M']:.1f} % (" in f.evidence
    assert f.figures["by chance"] < 0.03
    assert f.severity == "medium"


def test_small_groups_cannot_be_told(clean):
    t = clean(1000, 2)
    t["race"] = np.where(np.arange(1000) < 20, "x", np.where(np.arange(1000) % 2, "y", "z"))
    f = by_kind(read_table(t, target="ill"))["groups: under-represented"]
    assert f.columns == ("race",)
    assert list(f.rows) == list(range(20))
    assert "nothing can be said" in f.evidence


def test_declared_columns_rule_and_numbers_are_cut_in_the_users_units(clean):
    t = clean(2000, 3, classes=False)
    t["days"] += 0.5 * (t["age"] - 45)
    table = read_table(t, target="days").with_roles(sensitive=["age"]).with_units(age="years", days="days")
    f = by_kind(table)["groups: difference"]
    assert f.columns == ("age", "days")
    assert "years" in f.evidence
    assert "days (" in f.evidence


def test_real_groups(real):
    found = find(View(real("compas.csv.gz", "two_year_recid")))
    race = next(f for f in found if f.kind == "groups: difference" and "race" in f.columns)
    assert "'African-American' 51.4 %" in race.evidence
    assert "'Caucasian' 39.4 %" in race.evidence
    assert "Native American" in race.evidence
    assert isinstance(pd.DataFrame([race.figures["means"]]), pd.DataFrame)


def test_names_that_merely_hold_a_word_of_people_are_not_watched():
    """A terrace is no race, and an asking price no skin."""
    draw = np.random.default_rng(0)
    names = ["personal_status_sex", "applicantRace2", "foreign_worker", "terrace", "asking_kind", "Essex", "brace"]
    table = read_table({n: draw.choice(["a", "b"], 100) for n in names})
    assert watched_columns(View(table)) == names[:3]
