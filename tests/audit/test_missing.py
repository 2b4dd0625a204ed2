"""Missing cells: counts, patterns, what they tell, and codes."""

import numpy as np
import pytest

from pellucid.audit.missing import find, patterns
from pellucid.audit.view import View
from pellucid.table import read_table


def by_kind(frame, target="ill"):
    return {f.kind: f for f in find(View(read_table(frame, target=target)))}


def test_shares_and_patterns_are_counts(clean):
    t = clean(400, 0)
    t.loc[:39, "age"] = np.nan
    t.loc[:9, "dose"] = np.nan
    f = by_kind(t)["missing: cells"]
    assert f.figures["cells"] == {"age": 40, "dose": 10}
    assert f.figures["patterns"] == [
        {"columns": [], "rows": 360},
        {"columns": ["age"], "rows": 30},
        {"columns": ["age", "dose"], "rows": 10},
    ]
    assert list(f.rows) == list(range(40))
    assert "'age' 40 (10.0 %)" in f.evidence
    masks = {"a": np.array([True, False, True]), "b": np.array([True, False, False])}
    assert sorted(patterns(masks)) == [((), 1), (("a",), 1), (("a", "b"), 1)]


def test_random_gaps_say_nothing_and_telling_gaps_are_told(clean):
    rng = np.random.default_rng(1)
    t = clean(1500, 1)
    t.loc[rng.random(1500) < 0.2, "age"] = np.nan
    assert set(by_kind(t)) == {"missing: cells"}
    ill = (t["ill"] == "yes").to_numpy()
    t.loc[(rng.random(1500) < 0.3) & ill, "region"] = None
    t.loc[(rng.random(1500) < 0.5) & (t["pressure"] > 125), "dose"] = np.nan
    found = by_kind(t)
    assert "region" in found["missing: tells the target"].columns
    assert "'region': 'yes' in 100.0 %" in found["missing: tells the target"].evidence
    assert "dose" in found["missing: not at random"].columns
    assert "age" not in found["missing: not at random"].columns


def test_number_targets_are_told_in_their_unit(clean):
    rng = np.random.default_rng(2)
    t = clean(1000, 2, classes=False)
    t.loc[(rng.random(1000) < 0.5) & (t["days"] > 22), "age"] = np.nan
    table = read_table(t, target="days").with_units(days="days")
    f = next(f for f in find(View(table)) if f.kind == "missing: tells the target")
    gone = t["age"].isna()
    assert f"mean {t['days'][gone].mean():.4g}" in f.evidence
    assert f.evidence.rstrip().endswith("days")
    assert f.figures["age"]["low"] < f.figures["age"]["auc"] < f.figures["age"]["high"]


@pytest.mark.parametrize("code", [-999, 9999])
def test_codes_are_proposed_with_their_rows(code, clean):
    t = clean(500, 3)
    t.loc[[3, 50, 70, 80, 90, 100], "pressure"] = code
    f = by_kind(t)["missing: code"]
    assert list(f.rows) == [3, 50, 70, 80, 90, 100]
    assert f"missing={{'pressure': [{code}]}}" in f.remedy


def test_a_rare_zero_among_sizes_may_mean_missing():
    """As in the published diamonds table: lengths of 0 beside lengths of 3.7 to 10.7."""
    draw = np.random.default_rng(0)
    size = np.round(draw.uniform(3.5, 9, 800), 2)
    size[[3, 70, 500]] = 0
    near = np.where(size == 0, 0, np.round(draw.exponential(1, 800), 2))
    table = read_table({"x": size, "wait": near, "rooms": np.round(size) + 2.0 * (size > 0)})
    [found] = [f for f in find(View(table)) if f.kind == "missing: code"]
    assert (found.columns, found.rows.tolist()) == (("x",), [3, 70, 500])
    assert "it stands in 3 of 800 cells" in found.evidence
