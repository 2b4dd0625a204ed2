"""Findings tried by their effect: what is said, what is refused, and that a budget is kept."""

import time

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import pellucid as pld
from pellucid.errors import ArgumentError, RequestError
from pellucid.evaluate.refit import TableRefit, codes_of
from pellucid.table import read_table
from pellucid.testing.checks_audit import clean_frame
from pellucid.testing.checks_remedy import finding, planted


@pytest.fixture(scope="module")
def leak():
    frame = clean_frame(700)
    right = np.random.default_rng(0).random(700) < 0.97
    return read_table(frame.assign(outcome=np.where(right, frame["ill"], "no")), target="ill")


def test_a_leak_is_told_in_plain_words(leak):
    [found] = [f for f in pld.audit(leak) if f.kind == "leakage" and f.columns == ("outcome",)]
    [made] = pld.trial(found, leak)
    assert made.verdict == "pass"
    assert made.details["before"] > 0.95 > 0.85 > made.details["after"]
    assert made.words.startswith("Leaving out 'outcome' lowers AUC from 0.9")
    assert made.words.endswith("it knew much of the answer; find out whether it was known in time.")


def test_relabelled_rows_are_tried_beside_rows_left_out():
    frame, wrong = clean_frame(700), np.random.default_rng(4).random(700) < 0.3
    true = np.where(frame["pressure"] > 120, "yes", "no")
    other = np.where(true == "yes", "no", "yes")
    table = read_table(frame.assign(ill=np.where(wrong, other, true)), target="ill")
    rows = np.flatnonzero(wrong)
    [right] = pld.trial(finding(table, "label errors", ("ill",), rows, likely=true[rows].tolist()), table)
    beside = right.details["beside"]
    assert right.verdict == "pass"
    assert right.details["fits"] == 9
    assert beside["interval"][0] > 0, "the true labels must teach the model better"
    assert beside["change"] == pytest.approx(beside["after"] - right.details["before"])
    assert "Giving them the likely label instead: AUC" in right.words
    assert f"{beside['after']:.3f}" in right.words
    # labels that are all wrong must lose against the rows left out
    [worse] = pld.trial(finding(table, "label errors", ("ill",), rows, likely=other[rows].tolist()), table)
    assert worse.details["beside"]["change"] == 0, "what is likely is what stands there: nothing is changed"
    assert "no gain is shown" in worse.words


def test_relabelling_counts_classes_as_the_refit_does():
    frame = clean_frame(300)
    frame["ill"] = np.where(frame["pressure"] > 120, 10, 2)
    model = pld.TabularClassifier(backbone="linear", verbose=0, random_state=0, max_steps=5).fit(frame, target="ill")
    table = read_table(frame, target="ill")
    from pellucid.evaluate.effect import _ground
    from pellucid.evaluate.remedies.labels import remedy

    rows = np.flatnonzero(frame["ill"] == 2)[:5]
    ground = _ground(finding(table, "label errors", ("ill",), rows, likely=["10"] * 5), model, table, True, 0)
    made = remedy(ground).beside.target
    assert (model.classes_[made[rows].astype(int)] == 10).all()
    assert (np.delete(made, rows) == np.delete(ground.target, rows)).all()


def test_any_model_learns_and_findings_carry_their_trials(leak):
    of = finding(leak, "leakage", ("outcome",))
    numbers = read_table(clean_frame(300).drop(columns=["sex", "region"]), target="ill")
    dose = finding(numbers, "leakage", ("dose",))
    for model, table, what in (("linear", leak, of), (LogisticRegression(max_iter=500), numbers, dose)):
        [made] = pld.trial(what, model, table)
        assert made.verdict == "pass", made.words
    [proven] = pld.prove([of], leak, budget="1min")
    assert proven.trial.verdict == "pass"
    assert proven.evidence == of.evidence


def test_a_fitted_model_learns_by_its_own_refit(leak):
    model = pld.TabularClassifier(backbone="linear", verbose=0, random_state=0).fit(leak)
    [made] = pld.trial(finding(leak, "leakage", ("outcome",)), model, leak, refit=True)
    assert made.verdict == "pass"
    assert made.record.settings["model"] == "Refitter"


def test_numbers_are_judged_by_explained_variance():
    frame = clean_frame(500)
    table = read_table(frame.assign(ill=frame["pressure"] + np.random.default_rng(0).normal(0, 3, 500)), target="ill")
    [made] = pld.trial(finding(table, "leakage", ("pressure",)), table)
    assert "R²" in made.words
    assert made.verdict == "pass"


def test_what_cannot_be_tried_is_not_testable(leak):
    for of, why in (
        (finding(leak, "values: heavy tail", ("dose",)), "no cells"),
        (finding(leak, "groups: under-represented", ("sex",)), "no remedy"),
        (finding(leak, "label errors", ("ill",), np.arange(600)), "too many"),
        (finding(leak, "missing: cells", ("dose",), [1, 2]), "missing already"),
    ):
        [made] = pld.trial(of, leak)
        assert made.verdict == "not testable"
        assert why in made.words


def test_the_budget_is_kept():
    of, table = planted("leakage")
    began = time.perf_counter()
    [made] = pld.trial(of, table, budget=0.05)
    assert time.perf_counter() - began < 20  # the first fold is finished whatever it takes
    assert made.details["fits"] == 2


def test_wrong_requests_are_refused(leak):
    of = finding(leak, "leakage", ("outcome",))
    with pytest.raises(RequestError, match="not the table that was audited"):
        pld.trial(of, read_table(clean_frame(100), target="ill"))
    with pytest.raises(RequestError, match="budget"):
        pld.trial(of, leak, budget=-1)
    with pytest.raises(RequestError, match="cannot be trained"):
        pld.trial(of, 17, leak)
    with pytest.raises(ArgumentError, match="rows that were explained"):
        pld.trial("nonsense", None)


def test_a_refit_over_a_table_counts_classes_by_name(leak):
    truth, classes = codes_of(leak)
    assert classes == ("no", "yes")
    made = TableRefit(None, leak.select(leak.features), truth, classes)(rows=np.arange(400), seed=0)
    assert made.classes == ("no", "yes")
    turned = TableRefit(None, leak.select(leak.features), truth, classes)(rows=np.arange(400), target=1 - truth, seed=0)
    rows = leak.select(leak.features).take(slice(400, 500))
    assert np.corrcoef(made.raw(rows)[:, 0], turned.raw(rows)[:, 0])[0, 1] < -0.9


def test_saboteur_a_remedy_that_does_nothing_proves_nothing(leak, monkeypatch):
    from pellucid import registry
    from pellucid.evaluate.effect import Remedy
    from pellucid.registry import Entry

    nothing = Entry("leakage", "remedy", lambda ground: Remedy("doing nothing", "x", "y", False), "Nothing.", cost="6 fits")
    monkeypatch.setitem(registry._TABLE, ("remedy", "leakage"), nothing)
    [made] = pld.trial(finding(leak, "leakage", ("outcome",)), leak)
    assert made.verdict == "fail"
    assert made.figure == 0


def test_of_many_groups_of_doubled_columns_the_first_of_each_stays():
    from types import SimpleNamespace

    from pellucid.evaluate.remedies.columns import remedy

    groups = [["a", "a2"], ["b", "b2", "b3"]]
    finding = SimpleNamespace(kind="constants: doubled column", columns=("a", "a2", "b", "b2", "b3"), figures={"groups": groups})
    made = remedy(SimpleNamespace(finding=finding, features=("a", "a2", "b", "b2", "b3", "c")))
    assert made.columns == ("a", "b", "c")
