"""Each trial passes an honest explanation, fails its saboteur, and says so where it cannot be run."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pellucid import registry
from pellucid.errors import ArgumentError, RequestError
from pellucid.evaluate import trial
from pellucid.evaluate.case import _case, _share
from pellucid.explain import explain
from pellucid.results import Importance, RunRecord
from pellucid.testing import oracles, saboteurs
from pellucid.testing.predictors import FunctionPredictor, LinearPredictor, TinyNetwork, fit_network, made_frame, made_table


@pytest.fixture(scope="module")
def fitted():
    made = oracles.planted("additive", n=600, columns=5, noise=0.1)
    features = made.features
    net = fit_network(
        features, features.numbers("x1") * 2 + np.abs(features.numbers("x2")) - features.numbers("x3") * features.numbers("x4"), steps=200
    )
    return net, features.take(slice(0, 40))


@pytest.fixture(scope="module")
def classes():
    made = oracles.planted("linear", n=600, columns=5, noise=None)
    y = np.where(made.signal > 1, "high", np.where(made.signal < -1, "low", "middle")).astype(object)
    return fit_network(made.features, y, steps=200), made.features.take(slice(0, 30)), y


def one(name, explainer, predictor, table, **options):
    made = explainer(predictor, table)
    (result,) = trial(made, predictor, table, names=[name], explain_again=explainer, **options)
    assert result.name == name
    assert result.subject == made.method
    assert result.words.endswith(".")
    return result


def refit(table=None, rows=None, target=None, seed=None, **_):
    return fit_network(table, target, steps=60, seed=seed or 0)


@pytest.mark.parametrize("name", ["completeness", "deletion", "stability", "weight_randomisation", "members"])
def test_an_honest_explanation_passes(name, fitted):
    result = one(name, saboteurs.honest, *fitted)
    assert result.verdict == "pass", result.words
    assert result.interval[0] <= result.figure <= result.interval[1]


@pytest.mark.parametrize("name", ["completeness", "deletion", "stability", "weight_randomisation", "members"])
def test_an_honest_explanation_of_three_classes_passes(name, classes):
    result = one(name, saboteurs.honest, *classes[:2])
    assert result.verdict == "pass", result.words


@pytest.mark.parametrize(
    ("name", "saboteur"),
    [
        ("completeness", saboteurs.leaves_a_gap),
        ("deletion", saboteurs.ranks_backwards),
        ("deletion", saboteurs.random_values),
        ("stability", saboteurs.unstable),
        ("weight_randomisation", saboteurs.ignores_the_model),
        ("weight_randomisation", saboteurs.random_values),
        ("error_cover", saboteurs.states_tiny_errors),
    ],
)
def test_a_saboteur_fails(name, saboteur, fitted):
    result = one(name, saboteur, *fitted)
    assert result.verdict == "fail", result.words


def test_members_that_learned_nothing_disagree(fitted):
    result = one("members", saboteurs.honest, TinyNetwork(fitted[1], n_members=5), fitted[1])
    assert result.verdict == "fail", result.words


def test_stated_errors_that_are_right_pass(fitted):
    assert one("error_cover", saboteurs.sampled, *fitted).verdict == "pass"


def test_the_stated_errors_that_are_tried_are_those_handed_in(fitted):
    """A second computation by the same method states right errors: tried in place of those in hand, it would pass them unseen."""
    net, table = fitted
    made = saboteurs.sampled(net, table)
    small = replace(made, error=made.error / 5)
    right, wrong = (trial(m, net, table, names=["error_cover"], explain_again=saboteurs.sampled)[0] for m in (made, small))
    assert right.verdict == "pass", right.words
    assert wrong.verdict == "fail", wrong.words
    assert "40 rows" in wrong.words


def test_errors_that_are_not_of_chance_are_not_passed_by_asking_again(fitted):
    net, table = fitted

    def measured(predictor, X, **options):
        made = saboteurs.honest(predictor, X, **options)
        return replace(made, error=np.full(made.values.shape, 1e-6))

    result = one("error_cover", measured, net, table)
    assert result.verdict == "not testable"
    assert "nothing at random" in result.words


def test_stated_errors_are_compared_on_the_rows_they_speak_of():
    """Without background= a method draws its own rows; with others the values are other ones, and no error of the first speaks of that."""
    table = made_table(made_frame(400, 3, (), 3))
    model = LinearPredictor([1.0, 2.0, 3.0], table)
    rows = table.take(slice(0, 5))
    made = explain(model, rows, method="occlusion", random_state=4)
    assert len(model.background()) > made.record.settings["background_rows"]
    case = _case(made, model, rows, None, None, 0, None, None)
    assert case.compared().fingerprint() == made.record.settings["background"]


def test_bogus_labels_change_an_honest_explanation_and_not_one_that_ignores_the_model(fitted):
    net, table = fitted
    y = net.raw(table)[:, 0]
    assert one("label_randomisation", saboteurs.honest, net, table, y=y, refit=refit).verdict == "pass"
    assert one("label_randomisation", saboteurs.ignores_the_model, net, table, y=y, refit=refit).verdict == "fail"


def test_the_cascade_starts_at_the_original_and_ends_at_the_figure(fitted):
    result = one("weight_randomisation", saboteurs.honest, *fitted)
    curve = result.details["curve"]
    assert curve[0][1:] == [1.0, 1.0]
    assert curve[-1][1] == result.figure
    assert [step[0] for step in curve] == ["none", "output", "hidden", "parts", "tokens"]


def test_deletion_of_a_linear_model_has_the_area_of_the_sorted_order():
    """The area of an additive game over an order is known: column at place k of P adds its value times (P - k - 1/2) / P."""
    made = oracles.planted("linear", n=60, columns=4)
    table = made.features
    model = LinearPredictor([3.0, -2.0, 1.0, 0.0], table)
    result = one("deletion", saboteurs.honest, model, table.take(slice(0, 20)), background=table.take(slice(0, 32)))
    values = model.truth(table.take(slice(0, 20)))
    values = values + (matrix_mean(table, 60) - matrix_mean(table, 32)) * model.weights
    side = np.sign(values.sum(1))[:, None]
    ranked = -np.sort(-values * side, axis=1)
    place = (4 - np.arange(4) - 0.5) / 4
    best, worst = (ranked * place).sum(1), (ranked[:, ::-1] * place).sum(1)
    unit = np.abs(values.sum(1)).mean()
    # random orders cancel in the sum of both gains
    assert result.details["insertion"][0] + result.details["deletion"][0] == pytest.approx((best - worst).mean() / unit, rel=1e-6)


def matrix_mean(table, n):
    return np.array([table.numbers(c)[:n].mean() for c in table.columns])


def test_what_cannot_be_tested_says_why(fitted):
    table = fitted[1]
    black_box = FunctionPredictor(lambda x: x[:, 0], table)
    made = saboteurs.honest(black_box, table)
    results = {t.name: t for t in trial(made, black_box, table, explain_again=saboteurs.honest)}
    assert set(results) == set(registry.names("trial"))
    for name, reason in [
        ("weight_randomisation", "no weights"),
        ("members", "without members"),
        ("label_randomisation", "give refit="),
        ("error_cover", "exact"),
    ]:
        assert results[name].verdict == "not testable"
        assert np.isnan(results[name].figure)
        assert reason in results[name].words
    single = TinyNetwork(table, n_members=1)
    assert one("members", saboteurs.honest, single, table).verdict == "not testable"
    constant = FunctionPredictor(lambda x: np.ones(len(x)), table)
    for name in ("completeness", "deletion"):
        assert "same answer" in one(name, saboteurs.honest, constant, table).words


def test_an_importance_is_tried_too(fitted):
    net, table = fitted
    record = RunRecord("double")
    made = Importance(np.array([3.0, 2.0, 1.0, 0.8, 0.0]), np.full((5, 2), np.nan), net.columns, "target", "double", record)
    good, bad = (
        trial(one_, net, table, names=["deletion"])[0].verdict
        for one_ in (made, Importance(made.values[::-1], made.interval, net.columns, "target", "double", record))
    )
    assert (good, bad) == ("pass", "fail")
    assert trial(made, net, table, names=["completeness"])[0].verdict == "not testable"


def test_the_budget_is_kept(fitted):
    net, table = fitted

    def slow(predictor, X, **options):
        time.sleep(0.02 * len(X))
        return saboteurs.honest(predictor, X, **options)

    made = slow(net, table)
    object.__setattr__(made.record, "duration", 0.02 * len(table))
    started = time.perf_counter()
    results = trial(made, net, table, names=["stability", "weight_randomisation"], budget=1.5, explain_again=slow)
    assert time.perf_counter() - started < 2.5
    assert results[0].details["rows"] < len(table)
    (short,) = trial(made, net, table, names=["stability"], budget=0.01, explain_again=slow)
    assert short.verdict == "not testable"
    assert "larger budget" in short.words


def test_slow_fits_and_explanations_end_with_the_budget_and_one_step(fitted):
    """Explaining another model takes ten times as long as the record of the first says, and a fit half a second."""
    net, table = fitted
    step, asked = 0.5, []

    def slow(predictor, X, **options):
        time.sleep(step if predictor is not net else 0.0)
        return saboteurs.honest(predictor, X, **options)

    def again(table=None, rows=None, target=None, seed=None, **_):
        asked.append(seed)
        time.sleep(step)
        return LinearPredictor(np.ones(len(table.columns)), table)

    made = saboteurs.honest(net, table)
    names = ["label_randomisation", "planted", "bam", "bam_relative", "cross_masking", "diffroar", "roar", "recursive_roar"]
    started = time.perf_counter()
    results = trial(made, net, table, table.numbers("x1"), refit=again, names=names, budget="2s", explain_again=slow)
    assert time.perf_counter() - started < 1.25 * 2 + step
    assert asked
    assert any("time" in r.words for r in results if r.verdict == "not testable")


def test_a_slow_trial_waits_until_the_others_are_done(fitted):
    """Networks with random weights take far longer to explain than the one on trial."""
    net, table = fitted

    def slow(predictor, X, **options):
        time.sleep(0.5 if predictor is not net else 0.0)
        return saboteurs.honest(predictor, X, **options)

    made = saboteurs.honest(net, table)
    trial(made, net, table, names=["members"], explain_again=saboteurs.honest)  # loads libraries, so that the trials alone are timed
    slow_one, other = trial(made, net, table, names=["weight_randomisation", "stability"], budget=4.5, explain_again=slow)
    assert other.verdict == "pass", other.words
    assert slow_one.verdict == "pass", slow_one.words
    assert 5 <= slow_one.details["repeats"] < 10


def test_wrong_calls_are_refused(fitted):
    net, table = fitted
    made = saboteurs.honest(net, table)
    with pytest.raises(RequestError, match="not the rows that were explained"):
        trial(made, net, table.take(slice(0, 3)))
    with pytest.raises(RequestError, match="Did you mean"):
        trial(made, net, table, names=["deletoin"])
    with pytest.raises(ArgumentError):
        trial(made.values, net, table)
    with pytest.raises(RequestError, match="budget"):
        trial(made, net, table, budget=-1)
    with pytest.raises(RequestError, match="budget"):
        trial(made, net, table, budget="soon")


def test_the_same_seed_gives_the_same_trials(fitted):
    net, table = fitted
    made = saboteurs.honest(net, table)
    a, b = (
        trial(made, net, table, names=["deletion", "weight_randomisation"], explain_again=saboteurs.honest, random_state=3)
        for _ in range(2)
    )
    assert [(t.figure, t.interval) for t in a] == [(t.figure, t.interval) for t in b]


def test_a_budget_is_scaled_in_every_form():
    assert [_share(b, 0.5) for b in (None, 5000, "30s", "2min")] == [None, 2500, "15.000s", "60.000s"]


RETOLD = ("weight_randomisation", "members", "max_sensitivity")


@pytest.mark.parametrize("wrong", ["shuffled", "reversed", "constant"])
def test_values_that_the_method_does_not_give_pass_no_trial_that_explains_anew(wrong, fitted):
    """A trial that explains anew would pass the method, and the reader would take it for a verdict on the values in hand."""
    net, table = fitted
    made = saboteurs.honest(net, table)
    values = {
        "shuffled": np.random.default_rng(0).permuted(made.values, axis=1),
        "reversed": -made.values,
        "constant": np.full(made.values.shape, 0.1),
    }[wrong]
    names = [*RETOLD, "stability", "infidelity", "deletion"]
    found = {t.name: t for t in trial(replace(made, values=values), net, table, names=names, explain_again=saboteurs.honest)}
    assert all(found[n].verdict == "not testable" and "would judge other values" in found[n].words for n in RETOLD), found
    assert found["deletion"].verdict == "fail", found["deletion"].words  # a constant has no order, whatever the order of the columns
    if wrong != "constant":
        assert "not the values that the method gives" in found["stability"].words
        assert found["infidelity"].verdict == "fail", found["infidelity"].words


def test_two_columns_exchanged_are_told_from_the_values_of_a_method_that_draws_nothing(fitted):
    """Three of five columns are right, so that the order agrees; but the method says twice the same, and something else."""
    net, table = fitted
    made = saboteurs.honest(net, table)
    wrong = replace(made, values=made.values[:, [0, 2, 1, 3, 4]])
    found = trial(wrong, net, table, names=list(RETOLD), explain_again=saboteurs.honest)
    assert all(t.verdict == "not testable" and "would judge other values" in t.words for t in found), found


@pytest.mark.parametrize("order", [[0, 2, 1, 3, 4, 5], [0, 3, 4, 1, 2, 5], [3, 1, 2, 0, 4, 5]])
def test_amounts_that_are_partly_wrong_do_not_pass_because_they_beat_chance(order):
    table = made_table(made_frame(400, 6, (), 3))
    model, rows = LinearPredictor([3.0, 2.0, 2.0, 1.0, 1.0, 1.0], table), table.take(slice(0, 40))
    made = saboteurs.honest(model, rows)
    wrong = replace(made, values=made.values[:, order])
    right, exchanged = (trial(m, model, rows, names=["infidelity"], explain_again=saboteurs.honest)[0] for m in (made, wrong))
    assert right.verdict == "pass", right.words
    assert exchanged.verdict == "fail", exchanged.words
    assert "best account by single columns" in exchanged.words


def test_signs_turned_round_do_not_agree_with_another_method(fitted):
    net, table = fitted
    made = explain(net, table, method="shapley", random_state=0)
    right, wrong = (trial(m, net, table, names=["agreement"])[0] for m in (made, replace(made, values=-made.values)))
    assert right.verdict == "pass", right.words
    assert wrong.verdict == "fail"
    assert "Do not read its signs" in wrong.words


def test_whole_numbers_stay_whole_for_models_from_elsewhere():
    from sklearn.ensemble import HistGradientBoostingRegressor

    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"age": draw.integers(18, 80, 400), "pay": draw.integers(0, 9000, 400), "weeks": draw.integers(0, 5, 400)})
    worth = frame["age"] / 10 + frame["pay"] / 2000
    verdicts = []
    for some in (frame, frame[["age", "weeks"]]):
        model = HistGradientBoostingRegressor(max_iter=5, random_state=0).fit(some, worth)
        made = explain(model, some.head(20), background=some.tail(10), random_state=0)
        (told,) = trial(made, model, some.head(20), names=["max_sensitivity"], background=some.tail(10), random_state=0)
        verdicts.append((told.verdict, told.words))
    assert verdicts[0][0] in ("pass", "fail")
    assert verdicts[1][0] == "not testable"
    assert "whole numbers" in verdicts[1][1]
