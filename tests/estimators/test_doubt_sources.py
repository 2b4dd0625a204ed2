"""``members=``, ``bayes=`` and ``head=`` through fit, answers, doubt, explanation and files; sources asked afterwards; class weights."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import pellucid as pld
from pellucid import TabularClassifier, TabularRegressor, load
from pellucid.errors import RequestError
from pellucid.estimators.engines import calibrators_for
from pellucid.training.calibration_metrics import check_calibration
from pellucid.training.local_error import GAIN

QUICK = {"verbose": 0, "threads": 1, "random_state": 0, "backbone": "mlp", "backbone_options": {"width": 16}, "max_steps": 30}


def rows(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return X, classes, and numbers whose noise is 0.2 where x2 < 0 and 0.8 elsewhere."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    noise = np.where(X[:, 2] < 0, 0.2, 0.8)
    return X, np.where(rng.random(n) < 1 / (1 + np.exp(-2 * X[:, 0])), "yes", "no"), X[:, 0] + noise * rng.normal(size=n)


CASES = [
    (TabularClassifier, {"bayes": {"laplace": {"samples": 6}}}, 6),
    (TabularClassifier, {"bayes": {"mc_dropout": {"samples": 4}}}, 4),
    (TabularClassifier, {"bayes": "prior_net"}, 1),
    (TabularClassifier, {"members": {"networks": 2}}, 2),
    (TabularRegressor, {"bayes": {"mean_field": {"samples": 4}}}, 4),
    (TabularRegressor, {"bayes": {"mean_field": {"samples": 3, "layers": "all"}}}, 3),
    (TabularRegressor, {"members": {"snapshots": 3}, "bayes": {"laplace": {"samples": 2}}}, 6),
    (TabularRegressor, {"head": {"mixture": {"components": 2}}}, 1),
]


@pytest.mark.parametrize(("kind", "options", "each"), CASES, ids=lambda v: str(v)[:40])
def test_every_source_answers_alike_after_a_round_trip(kind, options, each, tmp_path) -> None:
    X, classes, numbers = rows(250)
    y = classes if kind is TabularClassifier else numbers
    model = kind(**QUICK | options).fit(X, y)
    assert model.engine_.n_members == 5 * each, "five folds, the draws of each together"
    answer = model.uncertainty(X[:8], samples=True)
    assert answer.samples.shape[:2] == (8, 5 * each)
    assert (np.asarray(answer.epistemic) > 0).all()
    assert (np.asarray(answer.aleatoric) > 0).all()
    model.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert np.array_equal(again.uncertainty(X[:8], samples=True).samples, answer.samples)
    assert np.array_equal(again.predict(X), model.predict(X))
    view = again.predictor(of="epistemic")
    np.testing.assert_allclose(view.raw(again._table(X[:8]))[:, 0], answer.epistemic, rtol=1e-6, atol=1e-9)
    assert np.ptp(pld.explain(again, X[:2], of="epistemic", method="occlusion").values) > 0
    figure = pld.chart(answer, "samples", row=1)
    assert sum(figure.data[0].y) == 5 * each
    assert np.isfinite(pld.explain(model, X[:2], method="gradient").values).all()


def test_the_same_seed_gives_the_same_doubt_and_dropout_is_asked_of_any_network_that_has_it() -> None:
    X, _, y = rows(250)
    one, two = (TabularRegressor(**QUICK, dropout=0.2).fit(X, y) for _ in range(2))
    first, second = (m.uncertainty(X[:20], source="mc_dropout") for m in (one, two))
    assert np.array_equal(first.epistemic, second.epistemic)
    own = one.uncertainty(X[:20])
    assert (first.epistemic > own.epistemic).mean() > 0.9, "masks add to what the folds disagree on"
    assert np.array_equal(first.point, own.point), "points and intervals stay the model's own"
    assert np.array_equal(first.low, own.low)
    every = one.uncertainty(X, source="mc_dropout")  # all rows are held out in turn, and kept
    miss = float(np.mean(one.certainty_.conformals[0].scores ** 2))
    # law of total variance: noise and what the masks disagree on make up the error; what the folds disagree on is not in it twice
    # (sizes of errors that share the noise out are means over all folds here, and of a row's own fold where their mean was taken)
    assert every.aleatoric.mean() + every.epistemic.mean() == pytest.approx(miss, rel=0.05)
    assert (every.aleatoric[:20] < own.aleatoric).all()
    none = TabularRegressor(**QUICK, dropout=0).fit(X, y)
    with pytest.raises(RequestError, match="trained with dropout"):
        none.uncertainty(X[:2], source="mc_dropout")
    with pytest.raises(RequestError, match="not prepared"):
        none.uncertainty(X[:2], source="laplace")
    with pytest.raises(RequestError, match="for networks"):
        TabularRegressor(backbone="linear", verbose=0).fit(X, y).uncertainty(X[:2], source="mc_dropout")


def test_heads_tell_rows_of_much_noise_from_rows_of_little() -> None:
    X, _, y = rows(2400)
    new, _, _ = rows(400, 1)
    for head in ("normal", "quantile"):
        model = TabularRegressor(**QUICK | {"max_steps": 350}, head=head).fit(X, y)
        noise = np.sqrt(model.uncertainty(new).aleatoric)
        quiet, loud = (float(np.median(noise[side])) for side in (new[:, 2] < -0.3, new[:, 2] > 0.3))
        assert loud > 1.5 * quiet, f"{head}: {quiet:.2f} and {loud:.2f} where 0.2 and 0.8 are true"
        assert model.score(new, rows(400, 1)[2]) > 0.5


def test_twice_the_rows_halve_epistemic_and_leave_aleatoric_doubt() -> None:
    """A linear law with known noise: epistemic doubt of the last layer falls as 1 / n, noise stays, within 95 % intervals over fits."""
    ratios = []
    for seed in range(3):
        found = []
        for n in (2400, 4800):
            rng = np.random.default_rng(seed)
            X = rng.normal(size=(n, 3))
            y = X @ [1.0, -1.0, 0.5] + 0.5 * rng.normal(size=n)
            options = {**QUICK, "number": "plain", "max_steps": 80, "random_state": seed}
            answer = TabularRegressor(**options, bayes="laplace").fit(X, y).uncertainty(rows(300, 9)[0])
            found.append((answer.epistemic.mean(), answer.aleatoric.mean()))
        ratios.append(np.log(np.divide(found[1], found[0])))
    mean, error = np.mean(ratios, 0), stats.t.ppf(0.975, 2) * np.std(ratios, 0, ddof=1) / 3**0.5
    assert mean[0] + error[0] < 0, f"epistemic doubt does not fall: {np.exp(mean[0]):.2f}"
    assert abs(mean[1]) < error[1] + 0.05, f"noise changes: {np.exp(mean[1]):.2f}"


def wide_law(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of 30 columns that all count, and y with noise of variance 0.25."""
    rng = np.random.default_rng(seed)
    slopes, X = rng.normal(size=30) / 30**0.5, rng.normal(size=(n, 30))
    return X, X @ slopes + 0.5 * rng.normal(size=n)


def test_what_members_do_not_know_is_not_counted_as_noise_as_well(tmp_path) -> None:
    """Noise and the members' spread add up to the squared residual of held-out rows; so they do after a round trip."""
    for n in (300, 2100):  # certified in folds, and by rows set aside
        X, y = wide_law(n, 0)
        model = TabularRegressor(**QUICK | {"max_steps": 10}, members={"networks": 2}).fit(X, y)
        answer = model.uncertainty(X[:50])
        residual = float((model.certainty_.conformals[0].scores ** 2).mean())
        spread = model.promises().spread
        assert 0 < spread[0] < 0.9 * residual
        kept = model.promises()
        shared = np.square(answer.doubt) / np.square(kept.ranked.doubt).mean() if kept.local.width <= GAIN else np.ones(50)
        np.testing.assert_allclose(answer.aleatoric, (residual - spread[0]) * shared)
        model.save(tmp_path / str(n))
        np.testing.assert_allclose(load(tmp_path / str(n)).uncertainty(X[:50]).aleatoric, answer.aleatoric)


@pytest.mark.long
def test_twice_the_rows_leave_the_noise_where_much_is_left_to_learn() -> None:
    """Thirty columns: the error of the answer falls by half of a fifth of the noise, and the noise that is told stays, over redraws."""
    found = []
    for seed in range(4):
        for n in (2400, 4800):
            model = TabularRegressor(backbone="tabm", members=8, max_steps=100, verbose=0, threads=1, random_state=seed).fit(
                *wide_law(n, seed)
            )
            answer = model.uncertainty(wide_law(500, 99)[0])
            raw = float((model.certainty_.conformals[0].scores ** 2).mean())
            found.append((answer.epistemic.mean(), answer.aleatoric.mean(), raw))
    few, more = np.array(found)[::2], np.array(found)[1::2]
    ratios = np.log(more / few)
    half = stats.t.ppf(0.975, 3) * ratios.std(0, ddof=1) / 4**0.5
    assert ratios[:, 0].mean() + half[0] < 0, "epistemic doubt does not fall"
    assert abs(ratios[:, 1].mean()) < half[1], "noise changes"
    assert abs(few[:, 1].mean() - 0.25) < abs(few[:, 2].mean() - 0.25), "the residual itself would be nearer"


def test_probabilities_are_shares_of_rows_under_class_weights_too() -> None:
    weight = {"no": 1, "yes": 6}
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 2))
    p = 1 / (1 + np.exp(-(2 * X[:, 0] - 2.5)))
    y = np.where(rng.random(4000) < p, "yes", "no")
    new = rng.normal(size=(3000, 2))
    truth = (rng.random(3000) < 1 / (1 + np.exp(-(2 * new[:, 0] - 2.5)))).astype(int)
    model = TabularClassifier(**QUICK | {"max_steps": 150}, class_weight=weight).fit(X, y)
    plain = TabularClassifier(**QUICK | {"max_steps": 150}).fit(X, y)
    chances = model.predict_proba(new)
    raw = model.engine_.members(model._table(new)).mean(1)
    assert not check_calibration(raw, truth).consistent, "the network itself claims the weighted classes"
    assert abs(chances[:, 1].mean() - truth.mean()) < 0.02
    assert check_calibration(chances, truth).ece < 0.03
    answered = [(m.predict(new) == "yes").mean() for m in (model, plain)]
    assert answered[0] > 1.3 * answered[1], "predict still leans towards the heavier class"
    assert np.array_equal(model.uncertainty(new[:50]).point, model.predict(new[:50]))


def test_what_cannot_be_asked_is_refused_before_the_fit() -> None:
    X, classes, y = rows(80)
    for kind, options, words in (
        (TabularClassifier, {"bayes": "dropout"}, "bayes"),
        (TabularClassifier, {"bayes": {"laplace": {"draws": 3}}}, "bayes"),
        (TabularClassifier, {"head": "normal"}, "for classes"),
        (TabularClassifier, {"members": {"networks": 1}}, "members"),
        (TabularRegressor, {"bayes": "prior_net"}, "over classes"),
        (TabularRegressor, {"head": "normal", "loss": "poisson"}, "loss of its own"),
        (TabularRegressor, {"head": {"mixture": {"parts": 3}}}, "no option"),
        (TabularRegressor, {"members": {"snapshots": 3}, "time_limit": 60.0}, "neither a clock"),
        (TabularRegressor, {"bayes": "laplace", "backbone": "additive", "backbone_options": {}}, "linear last layer"),
        (TabularClassifier, {"calibration": "spline"}, "calibration"),
        (TabularClassifier, {"bayes": "mc_dropout", "dropout": 0}, "trained with dropout"),
    ):
        with pytest.raises(RequestError, match=words):
            kind(**QUICK | options).fit(X, classes if kind is TabularClassifier else y)


def test_a_listed_sum_stays_one_under_platts_line() -> None:
    """A self-explaining network is only scaled by ``auto``; with a line its constant takes the intercept, and the terms still add up."""
    X, classes, _ = rows(2100)
    model = TabularClassifier(**QUICK | {"backbone": "additive", "backbone_options": {}}, calibration="platt").fit(X, classes)
    assert model.certainty_.calibrator.method == "platt"
    assert calibrators_for(model.engine_) == ("temperature",)
    assert np.abs(np.asarray(pld.explain(model, X[:5], method="native").gap)).max() < 1e-4


@pytest.mark.parametrize("backbone", ["mlp", "linear"])
def test_balanced_weights_are_those_of_the_rows_that_train(backbone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the labels of certify rows nor those of ``eval_set`` change what is learned."""
    from pellucid.estimators import stations

    draw = np.random.default_rng(0)
    cells = draw.normal(size=(2000, 2))
    labels = (cells[:, 0] + draw.normal(size=2000) > 0.7).astype(int)
    options = {"backbone": backbone, "class_weight": "balanced", "random_state": 0, "verbose": 0, "max_steps": 2}
    model = pld.TabularClassifier(**options).fit(cells, labels)
    plan = model.plan_
    monkeypatch.setattr(stations, "make_plan", lambda *_, **__: plan)
    labels[plan.certify] = 1
    again = pld.TabularClassifier(**options).fit(cells, labels)
    table = model.predictor().read(cells)
    assert np.array_equal(model.predictor().members_raw(table), again.predictor().members_raw(table))
    monkeypatch.undo()
    scored = [
        pld.TabularClassifier(**options, calibration=None).fit(cells, labels, eval_set=(cells[:50], ones))
        for ones in (labels[:50], 0 * labels[:50] + 1)
    ]
    weights = [m.predictor().members_raw(table) for m in scored]
    assert np.array_equal(*weights)


def test_rows_of_the_evaluation_set_that_certify_do_not_decide_when_to_stop() -> None:
    draw = np.random.default_rng(0)
    cells = draw.normal(size=(2000, 2))
    labels = cells[:, 0] > 0
    model = TabularClassifier(backbone="linear", random_state=0, verbose=0).fit(cells, labels, eval_set=(cells[:100], labels[:100]))
    inside = int((model.plan_.certify < 100).sum())
    assert len(model.plan_.stop) == 100 - inside
    assert f"{100 - inside} of 100 rows of eval_set are copies of rows that train" in model.record_["caveats"][0]
    assert f"{inside} of 100 rows of eval_set are copies of certify rows" in model.record_["caveats"][1]
    assert not {tuple(r) for r in model.reference_.frame.to_numpy()} & {tuple(r) for r in cells[model.plan_.certify]}
