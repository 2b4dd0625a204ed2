"""Rates by group: the published ones of the COMPAS table, closed forms, gaps beside chance, and another package."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats

import pellucid as pld
from pellucid.audit.by_group import logistic
from pellucid.audit.groups import gap_null
from pellucid.errors import ColumnError, RequestError
from pellucid.table import read_table

PUBLISHED = {"African-American": (3696, 0.4485, 0.2799, 0.6297), "Caucasian": (2454, 0.2345, 0.4772, 0.5913)}


@pytest.fixture(scope="module")
def compas(tables):
    return read_table(tables / "compas.csv.gz", target="two_year_recid")


@pytest.fixture(scope="module")
def by_race(compas):
    return pld.by_group(compas.numbers("decile_score") >= 5, compas, by="race")


@pytest.mark.parametrize("group", PUBLISHED)
def test_the_published_rates_of_the_compas_table(by_race, group):
    n, *rates = PUBLISHED[group]
    assert by_race.rows[group] == n
    assert [round(by_race.rates[m][group].value, 4) for m in ("fpr", "fnr", "ppv")] == rates


def test_error_rates_differ_beyond_chance_and_small_groups_are_named(by_race):
    assert by_race.gaps["fpr"].beyond_chance
    assert by_race.gaps["fpr"].low > by_race.gaps["fpr"].by_chance_95
    assert not by_race.rates["tpr"]["Native American"].told
    assert "Cannot tell (fewer than 30 rows): 'Native American' (18)" in by_race.words
    assert by_race.gaps["equalized_odds"].value == max(by_race.gaps["tpr"].value, by_race.gaps["fpr"].value)


def test_groups_left_out_of_one_gap_are_named_with_the_rows_it_rests_on(compas, by_race):
    """32 rows, but 9 of them have the event: the group has no part in a gap of those found, which must not go unsaid."""
    rows = compas.texts("race") == "Asian"
    happened, marked = (compas.numbers(c)[rows] >= limit for c, limit in (("two_year_recid", 1), ("decile_score", 5)))
    told = {"tpr": happened.sum(), "fpr": (~happened).sum(), "ppv": marked.sum()}
    assert {m: by_race.gaps[m].left_out["Asian"] for m in told} == told
    assert by_race.gaps["equalized_odds"].left_out["Asian"] == min(told["tpr"], told["fpr"])
    assert "Asian" not in by_race.gaps["selection_rate"].left_out
    words = f"'Asian' ({told['tpr']} who have it, {told['fpr']} who do not, {told['ppv']} marked)"
    assert f"Left out where a figure rests on fewer than 30 of their rows: {words}" in by_race.words
    assert by_race.to_dict()["gaps"]["tpr"]["left_out"]["Asian"] == told["tpr"]
    remark = by_race.to_frame().set_index("group").loc["Asian", "remark"]
    assert f"tpr ({told['tpr']})" in remark
    assert "accuracy" not in remark


def test_a_figure_that_no_two_groups_can_show_is_said_not_to_be_compared():
    group, ill = np.repeat(["a", "b"], 100), np.zeros(200, int)
    ill[:10] = ill[100:110] = 1
    table = read_table({"group": group, "ill": ill}, target="ill", types={"ill": "category"})
    words = pld.by_group(np.arange(200) % 2 == 0, table, by="group").words
    assert "Not compared, as fewer than two groups are left: found among those who have it." in words


def test_rates_are_bound_to_each_other(by_race):
    for g in by_race.groups:
        p, ppv, tpr, fpr = (by_race.rates[m][g].value for m in ("prevalence", "ppv", "tpr", "fpr"))
        assert fpr == pytest.approx(p / (1 - p) * (1 - ppv) / ppv * tpr)


@pytest.mark.parametrize(("groups", "rows", "expected"), [(2, 200, 0.037), (5, 100, 0.107), (10, 50, 0.198)])
def test_gaps_of_equal_groups_are_those_of_the_closed_form(groups, rows, expected):
    values = np.zeros(groups * rows, np.int64)
    values[: round(0.3 * len(values))] = 1
    gap = np.ptp(gap_null(np.full(groups, rows), values, 0, 4000), axis=1)
    assert gap.mean() == pytest.approx(expected, abs=4 * gap.std() / np.sqrt(len(gap)) + 0.002)
    if groups == 10:
        assert np.quantile(gap, 0.95) == pytest.approx(0.28, abs=0.021)


def test_equal_groups_are_called_unequal_at_the_stated_rate():
    draw, found = np.random.default_rng(0), []
    for seed in range(100):
        t = read_table({"g": draw.choice(list("abc"), 240), "y": draw.integers(0, 2, 240)}, target="y", types={"y": "category"})
        found.append(pld.by_group(draw.random(240) < 0.4, t, by="g", seed=seed).gaps["accuracy"].p)
    share = np.mean(np.array(found) < 0.1)
    assert abs(share - 0.1) < 4 * np.sqrt(0.1 * 0.9 / 100)


def test_calibration_by_group_is_a_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    draw = np.random.default_rng(1)
    x = draw.normal(size=500)
    y = draw.random(500) < 1 / (1 + np.exp(-(0.3 + 0.8 * x)))
    theirs = LogisticRegression(C=1e8, tol=1e-10, max_iter=1000).fit(x[:, None], y)
    (a, b), errors = logistic(x, y)
    assert (a, b) == pytest.approx((theirs.intercept_[0], theirs.coef_[0, 0]), abs=1e-4)
    assert abs(b - 0.8) < 4 * errors[1]


def test_numbers_and_models_are_compared_too():
    draw = np.random.default_rng(2)
    t = read_table({"g": ["a", "b"] * 150, "x": draw.normal(size=300), "y": draw.normal(10, 1, 300)}, target="y").with_units(y="days")
    off = np.where(np.arange(300) % 2, 12.0, 10.0)
    made = pld.by_group(off, t, by="g")
    assert made.rates["bias"]["b"].value - made.rates["bias"]["a"].value == pytest.approx(made.gaps["bias"].value)
    assert made.gaps["bias"].beyond_chance
    assert "days" in made.words
    assert set(made.to_frame()["group"]) == {"a", "b"}
    scored = pld.by_group(off, t.with_units(y="points"), by="g")  # a unit of that name is no percentage
    assert scored.words == made.words.replace("days", "points")


def test_means_of_small_groups_have_intervals_of_students_t_and_of_one_row_none():
    truth, off = np.arange(6.0), np.array([1.0, -2.0, 0.5, 3.0, -1.0, 2.0])
    t = read_table({"g": ["a"] * 5 + ["b"], "x": range(6), "y": truth}, target="y")
    bias = pld.by_group(truth + off, t, by="g").rates["bias"]
    assert (bias["a"].low, bias["a"].high) == pytest.approx(scipy.stats.ttest_1samp(off[:5], 0).confidence_interval(0.95))
    assert bias["b"].value == 2
    assert np.isnan(bias["b"].low)
    assert np.isnan(bias["b"].high)


def test_certainty_by_group():
    draw = np.random.default_rng(3)
    frame = {"g": draw.choice(["a", "b"], 300), "x": draw.normal(size=300)}
    t = read_table(frame | {"y": frame["x"] + draw.normal(size=300)}, target="y")
    model = pld.TabularRegressor(backbone="linear", verbose=0, random_state=0).fit(t)
    made = pld.by_group(model, t, by="g", level=0.9)
    assert set(made.rates) >= {"coverage", "width", "abstain_rate", "mae"}
    assert 0.8 < made.rates["coverage"]["a"].value <= 1
    # classes that are written 1.0 and 2.0 are those that the table reads as 1 and 2
    t = read_table(frame | {"y": np.where(frame["x"] > 0, 2.0, 1.0)}, target="y", types={"y": "category"})
    model = pld.TabularClassifier(backbone="linear", verbose=0, random_state=0).fit(t.drop(["y"]).frame, t.frame["y"])
    assert model.classes_.dtype == np.float64
    assert pld.by_group(model, t, by="g", level=0.9).rates["coverage"]["a"].value > 0.8


def test_wrong_requests_are_refused(compas):
    with pytest.raises(ColumnError, match="no such column"):
        pld.by_group(np.ones(len(compas), bool), compas, by="colour")
    with pytest.raises(RequestError, match="shape"):
        pld.by_group(np.ones(3, bool), compas, by="race")
    with pytest.raises(RequestError, match="target"):
        pld.by_group(np.ones(len(compas), bool), compas.with_roles(target=None), by="race")
    with pytest.raises(RequestError, match="no class"):
        pld.by_group(np.ones(len(compas), bool), compas, by="race", positive="maybe")


@pytest.mark.peer
def test_another_package_counts_the_same(compas, by_race):
    metrics = pytest.importorskip("fairlearn.metrics")
    y, decided = compas.numbers("two_year_recid").astype(int), (compas.numbers("decile_score") >= 5).astype(int)
    names = {"tpr": metrics.true_positive_rate, "fpr": metrics.false_positive_rate, "selection_rate": metrics.selection_rate}
    theirs = metrics.MetricFrame(metrics=names, y_true=y, y_pred=decided, sensitive_features=compas.texts("race")).by_group
    for measure in names:
        for group in by_race.groups:
            assert by_race.rates[measure][group].value == pytest.approx(theirs.loc[group, measure])


def test_few_rows_that_part_no_groups_are_not_called_alike():
    """A gap of fifteen points among sixty rows is neither shown nor shown to be none; among many rows it is."""
    for n, words in ((60, "does not make them alike"), (40_000, "points apart")):
        draw = np.random.default_rng(0)
        group, ill = np.array(["a", "b"])[np.arange(n) % 2], draw.integers(0, 2, n)
        table = read_table({"group": group, "ill": ill}, target="ill", types={"ill": "category"})
        made = pld.by_group(draw.random(n) < 0.5, table, by="group")
        assert not any(g.beyond_chance for m, g in made.gaps.items())
        assert words in made.words


def test_a_lowest_group_that_others_may_be_as_low_as_is_said_so():
    n = 3000
    group, draw = np.array(["a", "b", "c"])[np.arange(n) % 3], np.random.default_rng(0)
    table = read_table({"group": group, "ill": draw.integers(0, 2, n)}, target="ill", types={"ill": "category"})
    made = pld.by_group(draw.random(n) < np.where(group == "a", 0.7, 0.4), table, by="group")
    lowest = made.gaps["selection_rate"].lowest
    assert f"'{({'b', 'c'} - {lowest}).pop()}' may be as low" in made.words


def test_a_frame_is_refused_in_words():
    with pytest.raises(RequestError, match=r"not a table.*DataFrame.*read_table"):
        pld.by_group(np.array([True, False]), pd.DataFrame({"sex": ["F", "M"]}), by="sex")


def test_classes_written_as_fractions_are_the_classes_of_the_target():
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"a": draw.normal(size=400), "g": draw.choice(["u", "v"], 400)})
    answer = (frame["a"] + 0.3 * draw.normal(size=400) > 0).astype(float)
    model = pld.TabularClassifier(backbone="linear", random_state=0).fit(frame, answer)
    table = read_table(frame.assign(y=answer), target="y")
    found = pld.by_group(model, table, by="g", positive=1.0, level=0.9)
    assert found.event == "1"
    assert all(r.value > 0.8 for r in found.rates["coverage"].values()), "1.0 of the model and 1 of the table are one class"
