"""Trials that train again: the truth's order passes, the reversed one fails, stand-ins are seen only by asking again."""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from pellucid.evaluate import trial
from pellucid.evaluate.bam import contrasts
from pellucid.evaluate.case import NotTestable
from pellucid.evaluate.planted import average_precision, true_and_false
from pellucid.evaluate.recursive_roar import _by_rows, interval, racu
from pellucid.evaluate.retrain import first, sizes
from pellucid.evaluate.roar import verdict
from pellucid.testing import planted, saboteurs
from pellucid.testing.checks_trial import linear_refit
from pellucid.testing.predictors import FunctionPredictor, LinearPredictor, fit_network, made_frame, made_table, matrix


def one(name, explainer, model, table, **options):
    (result,) = trial(explainer(model, table), model, table, names=[name], explain_again=explainer, **options)
    return result


@pytest.fixture(scope="module")
def linear():
    table = made_table(made_frame(240, 5, (), 7))
    weights = np.array([3.0, -2.0, 1.0, 0.0, 0.0])
    y = matrix(table, table.columns) @ weights + 0.3 * np.random.default_rng(0).standard_normal(240)
    return linear_refit(table, y), table, y


def reversed_values(predictor, table, **options):
    return saboteurs.hides_the_largest(predictor, table, **options)


# ---------------------------------------------------------------- pieces


def test_the_area_between_the_curves_by_hand():
    t = np.array([0.0, 0.25, 0.5, 1.0])
    q = np.array([0.9, 0.8, 0.7, 0.5])
    p = np.array([0.9, 0.6, 0.5, 0.5])
    above = 0.25 * (0 + 0.2) / 2 + 0.25 * (0.2 + 0.2) / 2 + 0.5 * (0.2 + 0) / 2
    whole = 0.25 * (0.4 + 0.3) / 2 + 0.25 * (0.3 + 0.2) / 2 + 0.5 * (0.2 + 0) / 2
    assert racu(p, q, t) == pytest.approx(above / whole)
    assert racu(q, q, t) == 0
    assert racu(q + 5, q, t) == -1


def test_the_interval_of_a_ratio_stays_within_its_ends():
    figure = interval(np.array([0.95, 0.99, 0.8]), 0.93)
    assert -1 <= figure.low < figure.value < figure.high <= 1
    assert interval(np.array([0.4]), 0.4).low == -1


def test_the_area_of_a_random_order_is_within_its_error_over_rows():
    """Seeds that mask the same rows by the same order do not see its chance: a random order was passed in one trial of five."""
    draw, share = np.random.default_rng(0), np.linspace(0, 1, 6)
    curve, inside = 1 - share, []
    for seed in range(200):
        own, chance = curve[:, None] + 0.5 * draw.standard_normal((2, 6, 80))
        own[[0, -1]] = chance[[0, -1]]
        value = racu(own.mean(1), chance.mean(1), share)
        figure = interval(np.full(3, value), value, _by_rows(own, chance, share, seed))
        inside.append(figure.low <= 0 <= figure.high)
    assert 0.91 <= np.mean(inside) <= 0.985


def test_masks_take_the_first_columns_and_keep_them():
    scores = np.array([[3.0, 1.0, 2.0], [0.0, 0.0, 5.0]])
    assert first(scores, 2).tolist() == [[True, False, True], [True, False, True]]
    assert first(np.where([[True, False, False]], np.inf, np.array([[0.0, 1.0, 2.0]])), 2).tolist() == [[True, False, True]]
    assert sizes(3, 9) == (0, 1, 2, 3)


# ---------------------------------------------------------------- orders


@pytest.mark.parametrize("name", ["roar", "recursive_roar", "diffroar"])
def test_the_order_of_the_truth_passes_and_the_reversed_one_does_not(name, linear):
    model, table, y = linear
    good = one(name, saboteurs.honest, model, table, y=y, refit=linear_refit)
    bad = one(name, reversed_values, model, table, y=y, refit=linear_refit)
    assert good.verdict == "pass", good.words
    assert bad.verdict == "fail", bad.words
    assert good.figure > 0 > bad.figure
    if "curve" in good.details:
        shares, own, chance = np.array(good.details["curve"]).T
        assert shares[0] == 0
        assert shares[-1] == 1
        assert own[0] == pytest.approx(chance[0])
        assert (own[1:-1] < chance[1:-1]).all()


def test_a_random_order_has_no_area(linear):
    """RACU of random values is near 0: within four tenths, with three seeds on 160 rows."""
    model, table, y = linear
    figure = one("recursive_roar", saboteurs.random_values, model, table, y=y, refit=linear_refit)
    assert abs(figure.figure) < 0.4
    assert figure.interval[0] <= 0.1


def greedy_refit(table=None, target=None, **_):
    """Fit column after column on what is left: of two copies the first takes all."""
    cells, rest = matrix(table, table.columns), np.asarray(target, float)
    weights = np.zeros(cells.shape[1])
    intercept = rest.mean()
    rest = rest - intercept
    for j in range(cells.shape[1]):
        x = cells[:, j] - cells[:, j].mean()
        weights[j] = x @ rest / (x @ x) if x @ x > 1e-9 else 0.0
        intercept -= weights[j] * cells[:, j].mean()
        rest = rest - weights[j] * x
    return LinearPredictor(weights.tolist(), table, intercept=float(intercept))


def test_a_stand_in_is_found_only_by_asking_again():
    """x2 is a copy of x1, which takes all the credit: masking x1 costs nothing, and only the retrained model names x2."""
    draw = np.random.default_rng(0)
    x = draw.standard_normal((400, 5))
    cells = {"x1": x[:, 0], "x2": x[:, 0] + 0.02 * x[:, 1], "x3": x[:, 2], "x4": x[:, 3], "x5": x[:, 4]}
    table, y = made_table(cells), 3 * x[:, 0] + 0.3 * x[:, 2] + 0.2 * draw.standard_normal(400)
    model = greedy_refit(table, y)
    assert abs(model.weights[1]) < 1.0  # the copy gets next to nothing
    once, again = (
        one(name, saboteurs.honest, model, table, y=y, refit=greedy_refit).details["curve"] for name in ("roar", "recursive_roar")
    )
    at = [round(s[0] * 5) for s in once].index(2)
    assert again[at][1] < 0.3 < once[at][1] or again[at][1] < once[at][1] - 0.3


def test_block_tables_tell_the_signal_block_from_the_null_block():
    """BlockMNIST for tables: an order by the true block passes, by the null block it has the sign reversed."""
    made = planted.block(300, seed=0)
    table, y = made.features, made.target
    where = {tuple(row): used for row, used in zip(matrix(table, table.columns).tolist(), made.used)}

    def refit(table=None, target=None, seed=0, **_):
        return fit_network(table, target, steps=60, seed=seed or 0)

    model = refit(table, y)

    def truth(predictor, rows, **options):
        made = saboteurs.made_explanation(np.zeros((len(rows), 6, 1)), predictor, rows, 0.0)
        used = np.array([where[tuple(row)] for row in matrix(rows, rows.columns).tolist()])
        return replace(made, values=used.astype(float))

    def null(predictor, rows, **options):
        made = truth(predictor, rows)
        return replace(made, values=1 - made.values)

    good, bad = (one("diffroar", f, model, table, y=y, refit=refit) for f in (truth, null))
    assert good.verdict == "pass", good.words
    assert bad.verdict == "fail"
    assert good.figure > 0 > bad.figure


def test_estimators_train_again_on_masked_rows():
    """The package's own refit: class numbers, its own training rows, levels and all."""
    from pellucid import TabularClassifier

    frame = made_frame(400, 4, (3,), 8)
    y = np.where(2 * frame["x1"] + (frame["c1"] == "level 1") > 0.4, "high", "low")
    model = TabularClassifier(backbone="linear", random_state=0, verbose=0).fit(frame, y)
    made = model.explain(frame.head(40), random_state=0, budget=200_000)
    results = {
        t.name: t
        for t in trial(made, model, frame.head(40), y[:40], refit=True, names=["roar", "diffroar", "bam"], budget=90, random_state=0)
    }
    assert results["diffroar"].verdict == "pass", results["diffroar"].words
    assert results["roar"].verdict in ("pass", "not testable"), results["roar"].words
    assert results["bam"].verdict in ("pass", "not testable"), results["bam"].words


def test_models_from_elsewhere_are_cloned():
    from sklearn.linear_model import LinearRegression

    import pellucid as pld

    frame = made_frame(300, 4, (), 9)
    y = (3 * frame["x1"] - frame["x2"]).to_numpy()
    model = LinearRegression().fit(frame, y)
    made = pld.explain(model, frame, background=frame.head(20), random_state=0)
    (result,) = trial(made, model, frame, y, refit=True, names=["diffroar"], background=frame.head(20), random_state=0)
    assert result.verdict == "pass", result.words


# ---------------------------------------------------------------- planted truth


def test_average_precision_equals_scikit_learn():
    from sklearn.metrics import average_precision_score

    draw = np.random.default_rng(0)
    scores, truth = draw.integers(0, 5, (30, 8)).astype(float), draw.random((30, 8)) < 0.4
    truth[:, 0], truth[:, 1] = True, False
    expected = [average_precision_score(t, s) for t, s in zip(truth, scores)]
    np.testing.assert_allclose(average_precision(scores, truth), expected, atol=1e-12)
    assert np.isnan(average_precision(np.ones((1, 3)), np.ones((1, 3), bool)))[0]


def test_rates_by_hand():
    scores = np.array([[9.0, 5.0, 1.0, 0.0], [1.0, 2.0, 3.0, 4.0]])
    truth = np.array([[True, False, True, False], [False, False, True, True]])
    assert true_and_false(scores, truth) == (0.75, 0.25)
    assert true_and_false(np.zeros((1, 3)), np.array([[True, False, False]])) == (0.0, 0.0)


def test_a_planted_law_is_found_by_honest_values_and_not_by_wrong_ones():
    table = made_table(made_frame(450, 5, (), 6))
    y = matrix(table, table.columns)[:, 0]

    def refit(table=None, target=None, seed=0, **_):
        return fit_network(table, target, steps=250, seed=seed or 0)

    model = refit(table, y)
    good, bad = (one("planted", f, model, table, y=y, refit=refit) for f in (saboteurs.honest, saboteurs.hides_the_largest))
    assert good.verdict == "pass", good.words
    assert bad.verdict == "fail", bad.words
    assert good.details["reached"] > 0.6
    assert good.details["tpr"] > bad.details["tpr"]
    lazy = one("planted", saboteurs.honest, model, table, y=y, refit=linear_refit)
    assert "too little" in lazy.words  # a straight line cannot learn a switch


def test_random_sizes_have_no_contrast():
    draw = np.random.default_rng(0)
    sizes_ = {k: draw.random((4000, 6)) for k in ("of", "other", "of, without", "other, exchanged")}
    contrast, less, _ = contrasts(sizes_, np.array([0, 1]), np.array([2, 3]))
    assert contrast.mean() == pytest.approx(0, abs=4 * contrast.std() / np.sqrt(4000))
    assert less.mean() == pytest.approx(0.5, abs=0.04)


def test_two_models_of_the_same_rows(linear):
    model, table, y = linear
    good = one("bam", saboteurs.honest, model, table, y=y, refit=linear_refit)
    bad = one("bam", saboteurs.ignores_the_model, model, table, y=y, refit=linear_refit)
    assert good.verdict == "pass", good.words
    assert good.details["input_independence"][0] > 0.9
    assert bad.verdict == "fail"
    assert bad.figure == pytest.approx(0, abs=1e-9)


def test_reasons_grow_with_what_decides(linear):
    model, table, y = linear
    good = one("bam_relative", saboteurs.honest, model, table, y=y, refit=linear_refit)
    assert good.verdict == "pass", good.words
    share = [step[1] for step in good.details["curve"]]
    assert share[0] < 0.1 < share[1] < share[2] < 0.9 < share[3], "none, a third, two thirds and all of a linear target"
    bad = one("bam_relative", saboteurs.ignores_the_model, model, table, y=y, refit=linear_refit)
    assert bad.verdict == "fail"
    assert bad.figure == 0


def test_a_model_is_moved_by_its_own_reasons(linear):
    model, table, y = linear
    good = one("cross_masking", saboteurs.honest, model, table, y=y, refit=linear_refit)
    assert good.verdict == "pass", good.words
    matrix_ = np.array(good.details["matrix"])
    assert matrix_.shape == (3, 3)
    assert (matrix_.argmax(0) == np.arange(3)).all(), "each model is moved most by what was named for it"
    bad = one("cross_masking", saboteurs.ignores_the_model, model, table, y=y, refit=linear_refit)
    assert bad.verdict == "fail"
    assert bad.figure == pytest.approx(0, abs=1e-9)


class KnowsMissing(LinearPredictor):
    learned_missing = True


def test_hiding_agrees_with_training_again(linear):
    """Orders from the right one to its reverse stand in the same order by both trials; hiding fits nothing."""
    model, table, y = linear
    knows = KnowsMissing(model.weights.tolist(), table, intercept=model.intercept)

    def mixed(part):
        def explainer(predictor, rows, **options):
            made = saboteurs.honest(predictor, rows, **options)
            size = np.abs(made.values)
            wrong = np.abs(saboteurs.hides_the_largest(predictor, rows, **options).values)
            return replace(made, values=(1 - part) * size + part * wrong)

        return explainer

    parts = np.linspace(0, 1, 6)
    hidden = [one("masked", mixed(p), knows, table, y=y).figure for p in parts]
    retrained = [one("roar", mixed(p), model, table, y=y, refit=linear_refit).figure for p in parts]
    assert np.corrcoef(np.argsort(np.argsort(hidden)), np.argsort(np.argsort(retrained)))[0, 1] > 0.8
    assert one("masked", mixed(0.0), knows, table, y=y).verdict == "pass"
    assert one("masked", mixed(1.0), knows, table, y=y).verdict == "fail"
    assert "did not learn from rows with hidden columns" in one("masked", mixed(0.0), model, table, y=y).words


# ---------------------------------------------------------------- limits


def test_what_is_missing_is_said(linear):
    model, table, y = linear[0], linear[1].take(slice(0, 80)), linear[2][:80]
    for name in ("roar", "recursive_roar", "diffroar", "planted", "bam", "bam_relative", "cross_masking"):
        assert "give refit=" in one(name, saboteurs.honest, model, table, y=y).words
        assert "labels are not known" in one(name, saboteurs.honest, model, table, refit=linear_refit).words
        few = one(name, saboteurs.honest, model, table.take(slice(0, 20)), y=y[:20], refit=linear_refit)
        assert few.verdict == "not testable"


def test_a_model_of_nothing_has_nothing_to_lose():
    table = made_table(made_frame(200, 4, (), 3))
    y = np.random.default_rng(0).standard_normal(200)
    model = FunctionPredictor(lambda m: 0.001 * m[:, 0], table)
    assert one("roar", saboteurs.honest, model, table, y=y, refit=linear_refit).verdict in ("not testable", "fail")


def test_the_time_is_kept(linear):
    model, table, y = linear

    def slow(table=None, target=None, **_):
        time.sleep(0.05)
        return linear_refit(table, target)

    started = time.perf_counter()
    result = one("roar", saboteurs.honest, model, table, y=y, refit=slow, budget=2.0)
    assert time.perf_counter() - started < 6
    assert result.verdict in ("pass", "not testable"), result.words


@pytest.mark.parametrize("name", ["roar", "recursive_roar", "diffroar", "label_randomisation", "planted"])
def test_a_slow_machine_is_told_the_same_or_nothing(name, linear):
    """A slower fit buys fewer trainings: they were judged, and one training a share failed honest values."""
    model, table, y = linear
    verdicts, work = set(), set()
    for pause, budget in ((0.0, 60.0), (0.02, 60.0), (0.1, 2.0)):

        def slow(table=None, target=None, pause=pause, **_):
            time.sleep(pause)
            return linear_refit(table, target)

        made = one(name, saboteurs.honest, model, table, y=y, refit=slow, budget=budget)
        if made.verdict == "not testable":
            assert "the time is short" in made.words or name == "planted"  # a line does not learn a switch
            continue
        verdicts.add((made.verdict, made.figure))
        work.add((made.details["rows"], made.details.get("seeds"), len(made.details.get("curve", ()))))
    assert len(verdicts) == len(work) == (name != "planted")


def test_what_was_cut_short_is_judged_only_where_it_is_clear(linear):
    from pellucid.evaluate.case import Case, Short
    from pellucid.evaluate.figures import Figure

    model, table, y = linear
    case = Case(saboteurs.honest(model, table), model, table, y, {}, None, None, None, None, 0)
    assert case.verdict("made", Figure(0.1, -0.1, 0.3), 0.0, False, "planned.").verdict == "fail"
    with pytest.raises(NotTestable, match="missing or infinite"):  # it was called a failure
        case.verdict("made", Figure(np.nan, np.nan, np.nan), 0.0, False, "no number.")
    assert case.reduced(8, 30, "rows") == 8
    with pytest.raises(Short, match="8 of 30 rows"):
        case.verdict("made", Figure(0.1, -0.1, 0.3), 0.0, False, "cut short.")
    assert case.verdict("made", Figure(0.2, 0.1, 0.3), 0.0, True, "clear.").verdict == "pass"
    assert case.verdict("made", Figure(0.2, 0.1, 0.3), 0.0, False, "of several figures.", clear=True).verdict == "fail"


class _Timed:
    """A refit whose first fit took no time, and which may not be done by the time it is given."""

    limits = True

    def __init__(self, table, y, hurried):
        self.table, self.target, self.seconds, self.hurried, self.given = table, y, 1e-3, hurried, []

    def __call__(self, table, rows, target, seed, max_steps=None, time_limit=None):
        self.given.append(time_limit)
        model = linear_refit((self.table if table is None else table).take(rows), np.asarray(target)[rows])
        model.hurried = self.hurried
        return model


@pytest.mark.parametrize("name", ["roar", "bam"])
def test_what_a_refit_learns_does_not_hang_on_how_busy_the_machine_is(name, linear):
    """It may take what is left to all trials, however fast the first fit was; one that the clock cut short is not judged."""
    model, table, y = linear
    refit = _Timed(table, y, False)
    assert one(name, saboteurs.honest, model, table, y=y, refit=refit, budget=60).verdict == "pass"
    assert min(refit.given) > 30
    cut = one(name, saboteurs.honest, model, table, y=y, refit=_Timed(table, y, True), budget=60)
    assert cut.verdict == "not testable"
    assert "the time is short" in cut.words


def test_few_trainings_that_do_not_agree_fail_nobody(linear):
    """Trainings that lie far apart are no evidence against an order. What they agree on is judged."""
    area = SimpleNamespace(players=range(4), rows=range(6), classes=2)
    chance = np.tile(np.array([0.9, 0.7, 0.6, 0.5])[None, :, None], (2, 1, 6))
    own = chance + np.array([-0.2, 0.1])[:, None, None] * np.array([0, 1, 1, 0])[None, :, None]
    with pytest.raises(NotTestable, match="2 trainings a share do not agree"):
        verdict(None, area, (0, 1, 2, 4), own, chance, "roar")
    model, table, y = linear
    judged = one("roar", saboteurs.random_values, model, table, y=y, refit=linear_refit)
    assert judged.verdict == "fail", judged.words
