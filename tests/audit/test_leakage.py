"""Leaks: functions of the target, scores, names, row order; and the known suspects of real tables."""

import numpy as np
import pytest

from pellucid.audit.leakage import find
from pellucid.audit.scores import auc, auc_error, out_of_fold, score
from pellucid.audit.view import View
from pellucid.table import read_table


def found(frame, target):
    return {(f.kind, f.columns[0] if f.columns else ""): f for f in find(View(read_table(frame, target=target)))}


def test_area_and_out_of_fold_means_are_their_definitions():
    from sklearn.metrics import r2_score, roc_auc_score

    rng = np.random.default_rng(0)
    y, s = rng.integers(0, 2, 200), rng.integers(0, 20, 200)
    assert auc(s, y > 0) == pytest.approx(roc_auc_score(y, s))
    assert auc_error(0.5, 100, 100) == pytest.approx(np.sqrt(201 / 120000), rel=0.02)
    bins, fold, truth = rng.integers(0, 6, 200), rng.integers(0, 5, 200), rng.normal(size=(200, 1))
    got = out_of_fold(bins, fold, truth)
    for i in (0, 17, 99):
        mine = (bins == bins[i]) & (fold != fold[i])
        assert got[i, 0] == pytest.approx((truth[mine, 0].sum() + 2 * truth.mean()) / (mine.sum() + 2))
    assert score(truth, got, False) == pytest.approx(r2_score(truth, got))


def test_functions_of_the_target_are_named(clean):
    t = clean(500, 0, classes=False)
    t["cost"] = 120 * t["days"] + 35
    t["rank"] = np.exp(t["days"] / 10)
    t["same"] = t["days"]
    f = found(t, "days")
    assert "'days' is 0.00833333 times it plus -0.291667" in f["leakage", "cost"].evidence
    assert "rising function" in f["leakage", "rank"].evidence
    assert "equals 'days' in every row" in f["leakage", "same"].evidence
    assert {f["leakage", c].severity for c in ("cost", "rank", "same")} == {"high"}
    c = clean(500, 0)
    c["code"] = c["ill"].map({"yes": "X1", "no": "X0"})
    assert "each of its 2 values goes with exactly one value of 'ill' and the reverse" in found(c, "ill")["leakage", "code"].evidence


def test_names_accuse_only_columns_that_tell_something(clean):
    t = clean(1000, 1)
    rng = np.random.default_rng(0)
    t["final_outcome"] = np.where(rng.random(1000) < 0.7, t["ill"], rng.choice(["yes", "no"], 1000))
    t["risk_score"] = rng.normal(size=1000)  # a bad model's: knows nothing
    t["ill_2"] = np.where(rng.random(1000) < 0.8, t["ill"], "no")
    f = found(t, "ill")
    assert "known only afterwards" in f["leakage", "final_outcome"].evidence
    assert "nearly that of the target 'ill'" in f["leakage", "ill_2"].evidence
    assert ("leakage", "risk_score") not in f


def test_sorted_rows_and_telling_gaps_are_seen(clean):
    t = clean(800, 2).sort_values("ill", ignore_index=True)
    assert "not in random order" in found(t, "ill")["leakage: row order", ""].evidence
    t = clean(800, 3)
    t.loc[t["ill"] == "yes", "dose"] = np.nan
    assert found(t, "ill")["leakage: missing pattern", "dose"].severity == "high"


def test_grades_of_the_loans_table(real):
    table = real("loans.csv.gz", "interest_rate")
    few = table.select(["grade", "sub_grade", "loan_amount", "term", "annual_income", "debt_to_income", "state", "interest_rate"])
    high = {f.columns[0] for f in find(View(few)) if f.severity == "high"}
    assert high == {"grade", "sub_grade"}


def test_decile_score_of_the_compas_table(real):
    suspects = {f.columns[0]: f for f in find(View(real("compas.csv.gz", "two_year_recid"))) if f.columns}
    assert set(suspects) == {"decile_score"}
    assert "another model" in suspects["decile_score"].evidence


def test_strong_columns_that_know_no_more_than_the_others_are_no_leaks():
    from sklearn.datasets import load_breast_cancer

    from pellucid.testing.defects import leak

    data = load_breast_cancer(as_frame=True)
    frame = data.frame.assign(target=data.target.map({0: "malignant", 1: "benign"}))
    benign = frame["target"].eq("benign").to_numpy()
    strong = [n for n in data.data if max(a := auc(frame[n].to_numpy(), benign), 1 - a) > 0.96]
    assert len(strong) >= 3
    assert not [f for f in find(View(read_table(frame, target="target"))) if f.kind == "leakage"]
    [made] = [f for f in find(View(read_table(leak(frame, "target").frame, target="target"))) if f.kind == "leakage"]
    assert made.columns == ("follow_up",)
    assert made.severity == "high"
    assert "other columns together reach" in made.evidence
    assert made.figures["others"] < made.figures["alone"]


def test_of_two_leaks_neither_hides_the_other(clean):
    t = clean(600, 0)
    rng = np.random.default_rng(0)
    for name in ("first", "second"):
        t[name] = (t["ill"] == "yes") + rng.normal(0, 0.05, 600)
    f = found(t, "ill")
    assert {f["leakage", c].severity for c in ("first", "second")} == {"high"}
