"""The verdict follows from the numbers."""

from __future__ import annotations

import dataclasses
import math
import types

import fixture
import numpy as np
import pandas as pd
import pytest

from pellucid.errors import RequestError
from pellucid.intervals import wilson
from pellucid.report.assemble import assemble
from pellucid.report.doubts import weak_points
from pellucid.report.facts import ColumnFact, ReportData, Score
from pellucid.report.rivals import paired
from pellucid.report.rows import payload, row_kinds
from pellucid.report.twins import to_text
from pellucid.report.words import cell_text, clean, number, percent, position_list, ranged
from pellucid.results import Leaderboard


@pytest.fixture(scope="module")
def classes():
    return fixture.classification()


@pytest.fixture(scope="module")
def sound(classes):
    """The same report without its planted leak."""
    return dataclasses.replace(classes, findings=tuple(f for f in classes.findings if f.kind != "leakage"), groups=())


def test_the_worst_of_many_equal_groups_is_not_named(sound):
    """30 groups of 200 rows, each as right as the whole: by plain 95 % intervals one is named in about half of the reports."""
    draw, share = np.random.default_rng(0), sound.scores[0].value
    named = 0
    for _ in range(200):
        hits = draw.binomial(200, share, 30)
        ends = [[float(e) for e in wilson(k, 200)] for k in hits]
        groups = tuple(Score("accuracy", k / 200, *e, n=200, of=f"g = {i}") for i, (k, e) in enumerate(zip(hits, ends)))
        named += any("g = " in w for w in weak_points(dataclasses.replace(sound, groups=groups), 50))
    assert named <= 12
    bad = Score("accuracy", 0.5, 0.43, 0.57, n=200, of="g = bad")
    words = next(w for w in weak_points(dataclasses.replace(sound, groups=(*groups, bad)), 50) if "g = " in w)
    assert "g = bad" in words
    assert "worst of 31 figures" in words


def board(data, difference, low, high, rival="linear", reference=None):
    rows = ({"model": data.model, "score": 0.86, "difference": 0.0, "difference_low": 0.0, "difference_high": 0.0},)
    rows += ({"model": rival, "score": 0.85, "difference": difference, "difference_low": low, "difference_high": high},)
    return dataclasses.replace(data, leaderboard=Leaderboard(rows, "accuracy", reference or data.model, "", data.leaderboard.record))


def test_a_sound_model_may_be_used(sound):
    verdict = assemble(sound)
    assert (
        verdict.use == "May be used to predict income for rows from the same source as these 48,842, except the 2.1 % of rows it refuses."
    )
    assert verdict.use_status == "pass"
    assert [line.status for line in verdict.lines] == ["pass", "pass", "caution"]


def test_leakage_forbids_use(classes):
    verdict = assemble(classes)
    assert verdict.use_status == "fail"
    assert verdict.use.startswith("Do not use this model yet")
    assert verdict.weak[0].startswith("Leakage in")


def test_no_better_than_guessing_forbids_use(sound):
    poor = dataclasses.replace(sound, scores=(Score("accuracy", 0.77, 0.755, 0.785, 0.76, "always answering 'no'", n=900),))
    verdict = assemble(poor)
    assert verdict.use == "Do not use this model: it is not measurably better than always answering 'no'."
    assert verdict.weak[0].startswith("Not measurably better than always answering 'no': accuracy 0.770 (95 % interval 0.755 to 0.785")


def test_errors_are_better_when_smaller(sound):
    good = Score("rmse", 4.0, 3.8, 4.2, 9.0, "the mean", higher_is_better=False)
    bad = dataclasses.replace(good, null=4.1)
    assert assemble(dataclasses.replace(sound, scores=(good,))).use_status == "pass"
    assert assemble(dataclasses.replace(sound, scores=(bad,))).use_status == "fail"


def test_unknown_interval_is_not_called_better(sound):
    assert assemble(dataclasses.replace(sound, scores=(Score("accuracy", 0.9, null=0.5),))).use_status == "untested"


def test_simple_model_as_good_is_said_plainly(sound):
    verdict = assemble(board(sound, -0.001, -0.004, 0.002))
    assert verdict.use.startswith("Use the linear model instead to predict income: it is as good as far as these rows can tell")
    assert verdict.use_status == "caution"
    assert verdict.rivals[0].startswith("No better than the linear model (linear)")
    better = assemble(board(sound, 0.02, 0.01, 0.03))
    assert "it is better, and it can be read directly" in better.use


def test_a_model_that_should_not_tell_a_column_is_not_traded_for_one_that_may(sound):
    parted = dataclasses.replace(board(sound, 0.03, 0.02, 0.04), parted=("The answers should not tell 'sex'.",), given_away=("sex",))
    verdict = assemble(parted)
    assert verdict.use.startswith("The linear model is better, but nothing keeps it from telling")
    assert verdict.use_status == "caution"
    assert any("tells 'sex' beyond chance" in w for w in verdict.weak)
    assert not any("beyond chance" in w for w in assemble(dataclasses.replace(parted, given_away=())).weak)


@pytest.mark.parametrize(("sign", "reference"), [(1, "tabm"), (-1, "linear")])
def test_paired_difference_is_ours_minus_theirs_whatever_the_reference(sound, sign, reference):
    data = board(sound, -0.02, -0.03, -0.01)
    rows = [dict(r) for r in data.leaderboard.rows]
    if reference == "linear":
        rows[0] |= {"difference": 0.02, "difference_low": 0.01, "difference_high": 0.03}
        rows[1] |= {"difference": 0.0, "difference_low": 0.0, "difference_high": 0.0}
    data = dataclasses.replace(data, leaderboard=dataclasses.replace(data.leaderboard, rows=tuple(rows), reference=reference))
    pair = paired(data, "linear")
    assert (pair.difference, pair.low, pair.high) == (0.02, 0.01, 0.03)
    assert pair.outcome == "better"
    assert assemble(data).rivals[0].startswith("Better than the linear model (linear): paired difference in accuracy 0.020")


def test_better_trees_are_a_weak_point(sound):
    verdict = assemble(board(sound, 0.02, 0.01, 0.03, rival="hist_gb"))
    assert verdict.rivals == (next(r for r in verdict.weak if "boosted trees" in r),)
    assert verdict.rivals[0].startswith("Worse than boosted trees (hist_gb): paired difference in accuracy −0.020")


def test_rows_that_would_settle_an_open_comparison(sound):
    # half width 0.003, difference 0.001: nine times the rows
    words = next(u for u in assemble(board(sound, -0.001, -0.004, 0.002)).unknown if u.startswith("Whether ours"))
    assert f"about {9 * 14_653:,} test rows would settle it (now 14,653)" in words


def test_refusals_are_told_with_their_commonest_reason():
    data = dataclasses.replace(fixture.classification(), refused_share=0.31, refused_why="every class is possible at 90 % (9 of 11)")
    assert "31.0 % of test rows are refused an answer: every class is possible at 90 % (9 of 11)." in weak_points(data, 20)


def test_a_method_is_told_with_the_number_of_trials_it_passed():
    details = assemble(fixture.classification()).lines[0].details
    assert details[0].startswith("shapley: passed ")
    assert " of 5 trials, failed none" in details[0]


def test_failed_trial_fails_the_explanation():
    data = fixture.classification(fail="weight_randomisation")
    data = dataclasses.replace(data, findings=(), groups=())
    verdict = assemble(data)
    assert verdict.methods == {"shapley": "fail", "gradient": "fail"}
    assert verdict.lines[0].words == "The explanation (shapley) failed 1 of 5 trials, passed 3; 1 gave no verdict. Read it with care."
    assert verdict.use.endswith("not relying on its explanations.")
    assert verdict.weak[0].startswith("Explanation shapley failed the trial weight randomisation")


def test_untried_explanation_is_not_tested(sound):
    verdict = assemble(dataclasses.replace(sound, trials=()))
    assert verdict.lines[0].status == "untested"
    assert verdict.lines[0].words.endswith("was not tested.")


def test_passing_arithmetic_is_no_pass(sound):
    easy = tuple(t for t in sound.trials if t.name in ("completeness", "stability"))
    line = assemble(dataclasses.replace(sound, trials=easy)).lines[0]
    assert line.status == "untested"
    assert "was not tested against the model" in line.words


def test_many_trials_that_could_not_run_are_one_sentence(sound):
    trials = tuple(dataclasses.replace(t, verdict="not testable") for t in sound.trials if t.subject == "shapley")
    words = [u for u in assemble(dataclasses.replace(sound, trials=trials)).unknown if "trials of shapley" in u]
    assert words == ["5 of 5 trials of shapley gave no verdict; chapter 1 says which and why."]


def test_hopeless_comparison_names_no_absurd_number(sound):
    words = next(u for u in assemble(board(sound, -1e-6, -0.004, 0.002)).unknown if u.startswith("Whether ours"))
    assert words.endswith("too small to be settled by a hundred times these 14,653 test rows.")


def test_reasons_that_were_not_in_time_are_not_denied_beside_those_that_were(sound):
    late = assemble(dataclasses.replace(sound, explanation=None))
    assert late.lines[0].words.startswith("No reasons of single rows were computed in time, only ")
    assert not any("no explanation was computed" in u for u in late.unknown)
    bare = dataclasses.replace(sound, explanation=None, others=(), trials=(), importance=None)
    assert assemble(bare).lines[0].words == "No explanation was computed."


def test_trial_that_could_not_run_is_printed(sound):
    assert any(u.startswith("The trial label randomisation of shapley gave no verdict: give refit=") for u in assemble(sound).unknown)


@pytest.mark.parametrize(
    ("value", "low", "high", "status"),
    [(0.86, 0.85, 0.87, "fail"), (0.89, 0.87, 0.91, "pass"), (0.95, 0.94, 0.96, "pass"), (0.9, math.nan, math.nan, "untested")],
)
def test_coverage_is_judged_by_its_interval(sound, value, low, high, status):
    data = dataclasses.replace(sound, coverage=Score("coverage", value, low, high, 0.9, n=1000), calibration=None)
    line = assemble(data).lines[1]
    assert line.status == status
    assert ("more than promised" in line.words) == (low > 0.9)


@pytest.mark.parametrize(("verdict", "status", "why"), [("short", "caution", "within what folds leave open"), ("broken", "fail", "")])
def test_first_page_and_second_chapter_judge_one_promise_alike(sound, verdict, status, why):
    """Models trained in folds prove less than the level: what falls short of it within that is no broken promise, and no pass either."""
    told = pd.DataFrame(
        {"group": ["all rows"], "level": [0.9], "verdict": [verdict], "expected_low": [math.nan], "share": [0.85], "n": [200]}
    )
    short = Score("coverage", 0.85, 0.794, 0.893, 0.9, n=200)
    data = dataclasses.replace(sound, coverage=short, calibration=None, promise=types.SimpleNamespace(table=told))
    line = assemble(data).lines[1]
    assert line.status == status
    assert why in line.words


def test_calibration_is_read_against_its_null(sound):
    off = dataclasses.replace(sound.calibration, error=0.05, null_error_high=0.016)
    line = assemble(dataclasses.replace(sound, calibration=off)).lines[1]
    assert line.status == "caution"
    assert line.words == "Probabilities are off: calibration error 0.050, up to 0.016 for a perfectly calibrated model."
    biased = dataclasses.replace(off, null_error_high=0.06)  # few rows: the same figure is no evidence
    assert assemble(dataclasses.replace(sound, calibration=biased)).lines[1].status == "pass"


def test_worst_group_is_named(classes):
    weak = assemble(dataclasses.replace(classes, findings=(), trials=())).weak
    assert weak[0].startswith("Accuracy for sex = Male is 0.8370 (95 % interval 0.8300 to 0.8450) on 9,803 rows, overall 0.8683")


def test_no_model_speaks_of_data_only():
    verdict = assemble(fixture.audit_only())
    assert verdict.use == "No model was fitted: this page speaks of the data only."
    assert [line.status for line in verdict.lines] == ["untested", "untested", "fail"]
    assert "no column was named as the target" in verdict.unknown[0]
    assert "[FAIL]" in to_text(fixture.audit_only())


def test_three_weak_points_at_most_and_gravest_first(classes):
    assert len(assemble(classes).weak) == 3
    assert "leakage" in assemble(classes).weak[0].lower()


def test_rows_worth_opening(classes):
    kinds = row_kinds(classes)
    wrong = np.array([str(a) != str(b) for a, b in zip(classes.prediction.point, classes.truth)])
    assert (kinds["wrong"] == wrong).all()
    assert (kinds["refused"] == classes.prediction.refused).all()
    assert (kinds["borderline"] == np.array([len(s) != 1 for s in classes.prediction.set])).all()
    assert (kinds["unfamiliar"] == (classes.prediction.familiarity < 5)).all()
    assert kinds["typical"].any()
    assert not (kinds["typical"] & (wrong | kinds["borderline"] | kinds["unfamiliar"])).any()


def test_wrong_numbers_lie_outside_their_interval():
    data = fixture.regression()
    p = data.prediction
    assert (row_kinds(data)["wrong"] == ((data.truth < p.low) | (data.truth > p.high))).all()


def test_payload_keeps_sums(classes):
    rows = payload(classes)["rows"]
    for row in rows:
        for s in row["steps"]:
            assert s["base"] + sum(s["value"]) + s["rest"] == pytest.approx(s["answer"], abs=1e-4)
    assert {r["id"] for r in rows} == {str(p) for p in classes.positions}


def test_row_named_in_a_finding_says_so(classes):
    at = int(classes.positions[3])
    finding = dataclasses.replace(classes.findings[0], rows=np.array([at]), kind="wrong_cell", severity="low")
    row = next(r for r in payload(dataclasses.replace(classes, findings=(finding,)))["rows"] if r["id"] == str(at))
    assert "Named in a finding: wrong cell (low)." in row["notes"]


def test_parts_about_different_rows_are_refused(classes):
    with pytest.raises(RequestError, match="different rows"):
        dataclasses.replace(classes, truth=classes.truth[:-1])


def test_empty_facts_are_enough():
    data = ReportData("t", "t.csv", 1, 1, (ColumnFact("a", "number"),))
    assert to_text(data).startswith("t\n=\n1 rows, 1 columns")


@pytest.mark.parametrize(
    ("value", "step", "text"),
    [
        (0.867123, 0.0067, "0.8671"),
        (1234567.8, None, "1,234,568"),
        (math.nan, None, "unknown"),
        (None, None, "unknown"),
        (math.inf, None, "unknown"),
        (-3.14159, 0.2, "−3.14"),
        (5.0, None, "5"),
        (2.5e-7, None, "2.5e−07"),
        (0.0, None, "0"),
        (12345.678, 100.0, "12,346"),
        (-0.0001, 0.02, "0.000"),
    ],
)
def test_numbers_show_what_their_doubt_leaves(value, step, text):
    assert number(value, step) == text


def test_words():
    assert ranged(0.5, math.nan, math.nan) == "0.5 (95 % interval unknown)"
    assert percent(math.nan) == "unknown"
    assert position_list(range(30), 3) == "0, 1, 2 and 27 more"
    assert clean("a\nb\x00c\u202ed") == "a·b·c·d"
    assert [cell_text(v) for v in (None, math.nan, np.datetime64("2024-02-01"), True, np.int64(3), 2.50, "x")] == [
        "missing",
        "missing",
        "2024-02-01",
        "True",
        "3",
        "2.5",
        "x",
    ]
