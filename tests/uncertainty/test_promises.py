"""Promises, silence and strangeness on small fitted models of known law: asked, saved, measured, watched and explained."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import pellucid as pld
from pellucid.errors import ArgumentError, EmptyTableError, RequestError
from pellucid.estimators.promises import _halves
from pellucid.results import plain
from pellucid.table import read_table
from pellucid.uncertainty.risk_coverage import _groups
from pellucid.uncertainty.scores import noise_of_rows

LEVEL = 0.9


def rows(n, seed):
    rng = np.random.default_rng(seed)
    words = ["red", "house", "old", "sea", "small", "garden", "near", "street"]
    note = [" ".join(rng.choice(words, 5)) for _ in range(n)]
    return pd.DataFrame({"signal": rng.normal(size=n), "noise": rng.uniform(0, 1, n), "town": rng.choice(["a", "b", "c"], n), "note": note})


def truth(frame, seed, classes):
    rng = np.random.default_rng(seed)
    y = frame["signal"].to_numpy() + (0.1 + 2 * frame["noise"].to_numpy() ** 2) * rng.normal(size=len(frame))
    return np.where(y > 0, "yes", "no") if classes else y


def fitted(classes, n, **options):
    frame = rows(n, 0)
    kind = pld.TabularClassifier if classes else pld.TabularRegressor
    options = {"backbone": "mlp", "max_steps": 60} | options
    return kind(random_state=0, verbose=0, schema={"note": "text"}, **options).fit(frame, truth(frame, 1, classes))


@pytest.fixture(scope="module")
def numbers():
    return fitted(False, 2100)


@pytest.fixture(scope="module")
def classes():
    return fitted(True, 2100)


@pytest.fixture(scope="module")
def new():
    return rows(1000, 7)


def slack(n_cal, n):
    return 4 * np.sqrt(LEVEL * (1 - LEVEL) * (1 / n_cal + 1 / n))


@pytest.mark.parametrize("score", ["absolute", "normalised", "quantile"])
def test_intervals_of_every_score_keep_their_promise(numbers, new, score):
    y = truth(new, 8, False)
    out = numbers.uncertainty(new, level=LEVEL, score=score, familiarity=None)
    assert np.mean((out.low <= y) & (y <= out.high)) == pytest.approx(LEVEL, abs=slack(len(numbers.plan_.certify), 1000))
    wide = out.high - out.low
    quiet = new["noise"] < 0.3
    gap = wide[~quiet].mean() / wide[quiet].mean()
    assert gap == pytest.approx(1) if score == "absolute" else gap > 1.8
    assert out.guarantee[0].startswith("interval: covers at least 90 %")
    assert (out.low <= out.high).all()


def test_the_default_score_follows_its_rule(numbers, new):
    assert numbers.promises().local.width < 0.98
    assert numbers.uncertainty(new).record.settings["score"] == "normalised"
    still = new.assign(noise=0.5)
    flat = pld.TabularRegressor(backbone="linear", random_state=0, verbose=0).fit(still, truth(still, 3, False))
    answered = flat.uncertainty(still)
    assert answered.record.settings["score"] == "absolute"
    assert np.ptp(answered.aleatoric) == 0  # where sizes of errors tell nothing, neither does the noise


@pytest.mark.parametrize("score", ["auto", "absolute"])
def test_noise_is_told_row_by_row(numbers, new, score):
    known = np.square(0.1 + 2 * new["noise"].to_numpy() ** 2)
    told = numbers.uncertainty(new, score=score).aleatoric
    assert np.corrcoef(np.sqrt(told), np.sqrt(known))[0, 1] > 0.9
    held = len(numbers.certainty_.conformals[0])
    chance = np.sqrt(2 * np.square(known).mean() / held) / known.mean() + known.std() / known.mean() / np.sqrt(held)  # of a mean square
    assert told.mean() == pytest.approx(known.mean(), rel=4 * chance)
    np.testing.assert_allclose(numbers.uncertainty(new[:3], score=score).aleatoric, told[:3])


def test_the_mean_noise_is_shared_out_by_the_squared_sizes_of_errors():
    ranked, local = SimpleNamespace(doubt=np.array([1.0, 3.0])), SimpleNamespace(width=0.5)
    noise, size = np.array([10.0]), np.array([1.0, 2.0, 3.0])
    shared = noise_of_rows(noise, size, SimpleNamespace(ranked=ranked, local=local))
    np.testing.assert_allclose(shared, [[2.0], [8.0], [18.0]])  # 10 * size^2 / 5: rows as the held-out ones have 10 on average
    for promises in (SimpleNamespace(ranked=None, local=local), SimpleNamespace(ranked=ranked, local=SimpleNamespace(width=0.99))):
        assert noise_of_rows(noise, size, promises) is noise
    assert noise_of_rows(None, size, None) is None


@pytest.mark.parametrize("score", ["lac", "aps", "raps"])
@pytest.mark.parametrize("n", [500, 2100])
def test_sets_of_every_score_keep_their_promise(classes, new, score, n):
    model = classes if n == 2100 else small_classes()
    y = truth(new, 8, True)
    out = model.uncertainty(new, level=LEVEL, score=score, familiarity=None)
    held = np.mean([t in s for t, s in zip(y, out.set)])
    n_cal = len(model.certainty_.conformals[0])
    assert held >= LEVEL - slack(n_cal, 1000)
    again = model.uncertainty(new.iloc[::-1], level=LEVEL, score=score, familiarity=None)
    assert again.set[::-1] == out.set  # the chance in a set is the row's own


_SMALL = []


def small_classes():
    if not _SMALL:
        _SMALL.append(fitted(True, 500))
    return _SMALL[0]


@pytest.mark.parametrize(
    ("backbone", "n"),
    [("mlp", 300), pytest.param("linear", 500, marks=pytest.mark.long), pytest.param("mlp", 2400, marks=pytest.mark.long)],
)
def test_folds_and_peers_tell_sizes_of_errors_too(new, backbone, n):
    y = truth(new, 8, False)
    model = fitted(False, n, backbone=backbone)
    for score in ("normalised", "quantile"):
        out = model.uncertainty(new, level=LEVEL, score=score, familiarity=None)
        assert np.mean((out.low <= y) & (y <= out.high)) >= LEVEL - slack(len(model.certainty_.conformals[0]), 1000)
        said = " ".join(out.guarantee)
        assert "not proven" in said and "at least" not in said if n < 2000 else "covers at least" in said


def test_groups_shift_and_coverage(numbers, new):
    y = truth(new, 8, False)
    found = pld.uncertainty.coverage(numbers, new, y, groups="town")
    assert found.table["group"].unique().tolist() == ["all rows", "a", "b", "c"]
    assert len(found) == 12
    ends = found.table.query("group == 'a' and level == 0.9").iloc[0]
    assert ends["low"] <= ends["share"] <= ends["high"]
    assert (found.table["verdict"] != "broken").sum() >= 10
    assert "kept" in found.words or "promises are broken" in found.words
    assert plain(found)["by_group"]
    broken = pld.uncertainty.coverage(numbers, new, 3 * y, levels=(0.9,))
    assert broken.table["verdict"].tolist() == ["broken"]
    assert "The promise is broken: all rows at 90 %" in broken.words
    harder = np.where(new["town"] == "a", 3.0, 1.0) * (y - y.mean()) + y.mean()
    over_all = pld.uncertainty.coverage(numbers, new, harder, levels=(0.9,), groups="town", by_group=False)
    assert over_all.words.startswith("The promise is ")
    assert "not in each group" in over_all.words
    few = pld.uncertainty.coverage(numbers, new.head(20), y[:20], levels=(0.9,))
    assert few.table["verdict"].tolist() == ["cannot tell"]
    out = numbers.uncertainty(new, shift={"town": {"a": 0.6, "b": 0.4}}, familiarity=None)
    assert "for rows among which 'town' is a 60 %, b 40 %" in out.guarantee[1]
    assert np.isinf(out.high[new["town"] == "c"]).sum() == 0  # weight 0: the bound is that of the others
    with pytest.raises(ArgumentError, match="one column with the share"):
        numbers.uncertainty(new, shift={"town": 3})
    with pytest.raises(ArgumentError, match="at once"):
        numbers.uncertainty(new, groups="town", shift={"town": {"a": 1.0}})
    with pytest.raises(RequestError, match="'signal' is no column of groups"):
        pld.uncertainty.coverage(numbers, new, y, groups="signal")
    with pytest.raises(RequestError, match="true answers"):
        pld.uncertainty.coverage(numbers, new)
    with pytest.raises(EmptyTableError):
        pld.uncertainty.coverage(numbers, new.head(3), [np.nan] * 3)


def test_coverage_judges_by_what_the_model_itself_promises():
    """Fold models promise less than the level: what lies between is told as short, in words too; without a promise none is called kept."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2400, 2))
    y = X[:, 0] + rng.normal(size=2400)
    model = pld.TabularRegressor(backbone="mlp", max_steps=30, random_state=0, verbose=0).fit(X[:400], y[:400])
    answer = model.uncertainty(X[400:], score="absolute", familiarity=None)
    assert "covers at least 80 %" in answer.guarantee[0]
    inside = np.flatnonzero((answer.low <= y[400:]) & (y[400:] <= answer.high))
    outside = np.setdiff1d(np.arange(2000), inside)
    rows = 400 + np.concatenate([inside[:170], outside[:30]])  # 85 % of 200
    found = pld.uncertainty.coverage(model, X[rows], y[rows], levels=(0.9,), score="absolute")
    assert found.table["verdict"].tolist() == ["short"]
    assert found.table["promised"].tolist() == [pytest.approx(0.8)]
    assert "The promise is kept, yet it is short of the level (all rows at 90 %, held for 85.0 % of 200 rows" in found.words
    assert "at least 80 % promised" in found.words
    sized = pld.uncertainty.coverage(model, X[rows], y[rows], levels=(0.9,), score="normalised")
    assert "promises" not in sized.words
    assert "only stated" in sized.words


def test_rows_of_groups_that_err_alike_promise_less_and_an_order_is_told():
    """Ten rows a group whose errors go together: three hundred held-out rows are not three hundred draws."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(300), 10)
    X = rng.normal(size=(3000, 2))
    y = X[:, 0] + rng.normal(size=300)[group] + 0.3 * rng.normal(size=3000)
    model = pld.TabularRegressor(backbone="linear", random_state=0, verbose=0).fit(X, y, groups=group)
    own = model.certainty_.conformals[0]
    assert own.counts(len(own)) < 0.6 * len(own)
    said = model.uncertainty(X[:5], score="absolute", familiarity=None).guarantee[0]
    assert f"tell as much as {own.counts(len(own))} apart" in said
    assert "at least" not in said
    lone = pld.TabularRegressor(backbone="linear", random_state=0, verbose=0).fit(X, y, groups=np.arange(3000))
    assert lone.certainty_.conformals[0].counts(300) == 300
    table = read_table(pd.DataFrame(X, columns=["a", "b"]).assign(when=np.arange(3000), y=y), target="y").with_roles(order="when")
    ordered = pld.TabularRegressor(backbone="linear", random_state=0, verbose=0).fit(table)
    assert "not as they drift" in ordered.uncertainty(table.take(slice(0, 5)), familiarity=None).guarantee[-1]


def test_labels_may_stand_in_the_table_or_be_unknown_to_the_model(classes, new):
    y = truth(new, 8, True)
    table = read_table(new.assign(answer=y), target="answer", types={"note": "text"})
    a = pld.uncertainty.coverage(classes, table, levels=(0.9,))
    b = pld.uncertainty.coverage(classes, new, y, levels=(0.9,))
    assert a.table["covered"].tolist() == b.table["covered"].tolist()
    c = pld.uncertainty.coverage(classes, new, np.full(1000, "perhaps"), levels=(0.9,))
    assert c.table["covered"].tolist() == [0]


def test_a_limit_of_doubt_refuses_and_a_limit_of_risk_finds_it(classes, numbers, new):
    y = truth(new, 8, True)
    out = classes.uncertainty(new, refuse_above=0.2, familiarity=None)
    assert (out.refused >= (1 - out.probabilities.max(1) > 0.2)).all()
    assert any("the chance of being wrong is above 20 %" in r for r in out.reason)
    safe = classes.uncertainty(new, max_risk=0.25, familiarity=None)
    answered = np.array(["limit for a risk" not in r for r in safe.reason])
    wrong = (safe.point != y)[answered]
    assert answered.mean() > 0.2
    assert wrong.mean() <= 0.25 + 3 * np.sqrt(0.25 * 0.75 / answered.sum())
    assert "with 95 % confidence" in safe.guarantee[-1]
    none = classes.uncertainty(new, max_risk=0.0001, familiarity=None)
    assert none.refused.all()
    y = truth(new, 8, False)
    near = numbers.uncertainty(new, max_risk=0.2, tolerance=1.0, familiarity=None)
    answered = np.array(["limit for a risk" not in r for r in near.reason])
    assert answered.mean() > 0.2
    assert np.mean(np.abs(near.point - y)[answered] > 1.0) <= 0.2 + 3 * np.sqrt(0.16 / answered.sum())
    for options, said in (
        ({"max_risk": 0.1}, "from when on"), ({"max_risk": 0.1, "tolerance": 1.0, "refuse_above": 1.0}, "two ways"),
        ({"tolerance": 1.0}, "goes with"),
    ):  # fmt: skip
        with pytest.raises(ArgumentError, match=said):
            numbers.uncertainty(new, **options)
    with pytest.raises(RequestError, match="no score 'lac'"):
        numbers.uncertainty(new, score="lac")


@pytest.mark.parametrize("ask", [pld.uncertainty.coverage, pld.uncertainty.watch, pld.uncertainty.selective])
def test_answers_of_another_number_of_rows_are_refused(classes, new, ask):
    with pytest.raises(RequestError, match="expected one for each of 1,000 rows, got 60"):
        ask(classes, new, truth(new, 5, True)[:60])


def test_a_promise_is_watched(numbers, new):
    y = truth(new, 8, False)
    kept = pld.uncertainty.watch(numbers, new, y, groups="town")
    assert kept.broken == ""
    assert kept.words.startswith("No break was noticed")
    assert len(kept.groups) == 3
    later = np.r_[y[:300], 2.5 * y[300:]]
    lost = pld.uncertainty.watch(numbers, new, later)
    assert lost.broken == "below"
    assert 300 < lost.since < 1000
    assert "no longer holds" in lost.words
    only = np.where(new["town"] == "b", 3 * y, y)
    assert pld.uncertainty.watch(numbers, new, only, groups="town").words.endswith("Broken in groups: b.")
    assert len(lost.to_frame()) == 1000


def test_silence_pays_and_is_told_by_group(numbers, classes, new):
    for model, kind in ((numbers, False), (classes, True)):
        found = pld.uncertainty.selective(model, new, truth(new, 8, kind), groups="town")
        assert found.best < found.area < found.overall
        assert found.gain_interval[0] > 0
        assert found.excess == pytest.approx(found.area - found.best)
        assert found.risk[-1] == pytest.approx(found.overall)
        assert set(found.groups["group"]) == {"a", "b", "c"}
        whole = found.groups.query("coverage == 1")
        assert (whole["accepted"] == 1).all()
        assert np.average(whole["risk"], weights=whole["n"]) == pytest.approx(found.overall)
        assert found.at(found.overall) == 1
        assert found.at(-1.0) == 0
    flat = pld.uncertainty.selective(numbers, new, truth(new, 8, False), doubt=np.zeros(1000))
    assert flat.area == pytest.approx(flat.overall)
    assert flat.gain == pytest.approx(0)
    with pytest.raises(RequestError, match="no doubt 'size'"):
        pld.uncertainty.selective(numbers, new, truth(new, 8, False), doubt="size")


@pytest.fixture(scope="module")
def measured(classes):
    return classes.fit_familiarity("mahalanobis", "hidden_neighbours", "conjnorm", "text_surprise").fit_familiarity(
        "row_model", max_steps=120
    )


MEASURES = ["mahalanobis", "hidden_neighbours", "conjnorm", "row_model", "text_surprise"]


@pytest.mark.parametrize("measure", MEASURES)
def test_measures_of_familiarity_take_each_others_place(measured, new, measure):
    usual = measured.uncertainty(new, familiarity=measure)
    assert (usual.familiarity < 1).mean() <= 0.01 + 4 * np.sqrt(0.01 * (1 / 210 + 1 / 1000))
    assert any("of ordinary rows" in c for c in usual.record.caveats)
    rng = np.random.default_rng(0)
    if measure == "text_surprise":
        odd, name = new.assign(note=["".join(rng.permutation(list(t))) for t in new["note"]]), "note"
    else:
        odd, name = new.assign(signal=1000 * new["signal"]), "signal"
    strange = measured.uncertainty(odd, familiarity=measure)
    assert (strange.familiarity < 1).mean() > 0.8
    assert np.mean(np.array(strange.odd_column) == name) > 0.8


def test_models_come_back_with_their_promises(measured, numbers, new, tmp_path):
    measured.save(tmp_path / "classes")
    numbers.save(tmp_path / "numbers")
    back = pld.load(tmp_path / "classes")
    for measure in [*MEASURES, "neighbours", None]:
        a, b = (m.uncertainty(new, familiarity=measure, score="raps", max_risk=0.2) for m in (measured, back))
        assert a.set == b.set
        assert a.reason == b.reason
    other = pld.load(tmp_path / "numbers")
    for score in ("absolute", "normalised", "quantile"):
        a, b = (m.uncertainty(new, score=score, max_risk=0.2, tolerance=1.0) for m in (numbers, other))
        np.testing.assert_array_equal(a.low, b.low)
        np.testing.assert_array_equal(a.refused, b.refused)
        np.testing.assert_array_equal(a.doubt, b.doubt)
    with pytest.raises(RequestError, match="no longer has its training rows"):
        other.fit_familiarity("mahalanobis")
    with pytest.raises(RequestError, match="fit_familiarity\\('conjnorm'\\) first"):
        other.uncertainty(new, familiarity="conjnorm")


def test_pickles_carry_promises_and_no_training_rows(numbers, new):
    import pickle

    copy = pickle.loads(pickle.dumps(numbers))
    assert copy._split_rows is None
    np.testing.assert_array_equal(copy.uncertainty(new).low, numbers.uncertainty(new).low)


def test_reasons_of_doubt_name_the_column_that_makes_it(numbers, classes, new):
    some = new.head(15)
    width = numbers.explain(some, of="width", method="shapley", random_state=0)
    assert width.mean_abs().top(1) == ("noise",) or list(width.mean_abs().top(1)) == ["noise"]
    assert width.scale == "target"
    far = some.assign(signal=50.0)
    familiar = numbers.explain(far, of="familiarity", method="shapley", random_state=0)
    assert list(familiar.mean_abs().top(1)) == ["signal"]
    assert (familiar.values[:, familiar.columns.index("signal")] > 0).all()
    labels = classes.explain(some.head(6), of="width", method="shapley", random_state=0)
    assert labels.scale == "labels in the set"
    np.testing.assert_allclose(labels.predictions, [len(s) for s in classes.uncertainty(some.head(6)).set])


def test_reasons_of_ignorance_name_the_column_of_the_unseen_region():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"known": rng.uniform(-1, 1, 1200), "gap": rng.uniform(-1, 1, 1200)})
    frame = frame[frame["gap"] < 0].reset_index(drop=True)  # the upper half of this column was never seen
    y = np.sin(3 * frame["known"]) + frame["gap"] ** 2
    model = pld.TabularRegressor(backbone="mlp", members=8, max_steps=150, random_state=0, verbose=0).fit(frame, y)
    far = pd.DataFrame({"known": rng.uniform(-1, 1, 40), "gap": rng.uniform(2, 3, 40)})
    told = model.explain(far, of="epistemic", method="shapley", random_state=0)
    assert list(told.mean_abs().top(1)) == ["gap"]


def test_next_rows_are_doubtful_and_apart(new):
    model = fitted(False, 300, backbone="mlp")
    twice = pd.concat([new.head(200), new.head(200)], ignore_index=True)
    found = pld.uncertainty.next_rows(model, twice, 12)
    assert len(set(found.positions.tolist())) == 12
    assert len({p % 200 for p in found.positions.tolist()}) == 12  # never a row and its copy
    assert found.doubt.mean() > model.uncertainty(twice).epistemic.mean()
    assert found.kind == "epistemic"
    assert len(found.to_frame()) == 12
    with pytest.raises(RequestError, match="from 1 to 400"):
        pld.uncertainty.next_rows(model, twice, 0)


def test_groups_classes_and_empty_sets_without_a_promise_are_named():
    """What no held-out row says anything about is told beside the promise: groups, classes, and why a set is empty."""
    frame = pd.DataFrame({"x": np.random.default_rng(0).normal(size=2100), "town": "b"})
    frame.loc[: 2100 // 2, "town"] = "a"
    frame.loc[0, "town"] = "alone"
    y = np.where(frame["x"] > 0, "yes", "no").astype(object)
    y[1] = "perhaps"
    model = pld.TabularClassifier(backbone="linear", random_state=0, verbose=0, calibration=None).fit(frame, y)
    asked = frame.iloc[[0, 5, 2000]].assign(town=["alone", "a", "never"])
    said = " | ".join(model.uncertainty(asked, level=0.9, groups="town").guarantee)
    assert "no held-out row is of these groups, so the quantile of all rows is used: 'alone', 'never'" in said
    assert "no held-out row is of class 'perhaps'" in said
    out = model.uncertainty(frame, level=0.5)
    empty = sum(not s for s in out.set)
    assert empty > 100
    assert any(g.startswith(f"{empty:,} of 2,100 sets are empty") for g in out.guarantee)
    full = [s for s in range(2100) if out.set[s]]
    assert not any("empty" in g for g in model.uncertainty(frame.iloc[full], level=0.5).guarantee)


def test_halves_keep_copies_together_and_do_not_go_by_turns():
    frame = pd.DataFrame({"x": np.arange(300.0), "z": np.arange(300.0) ** 2 % 37})
    table = read_table(pd.concat([frame, frame.head(60)]))
    half = _halves(table, table.frame[["x"]].to_numpy(), 0)
    np.testing.assert_array_equal(half[300:], half[:60])
    assert abs(half.sum() - 180) <= 1
    assert abs(half[:300:2].mean() - half[1:300:2].mean()) < 0.2
    few = read_table(pd.DataFrame({"x": [1.0, 2.0] * 100}))
    assert _halves(few, np.zeros((200, 1)), 0)[::2].mean() == pytest.approx(0.5, abs=0.15)


def test_rows_of_equal_doubt_are_answered_alike_in_every_group():
    doubt, loss, labels = np.repeat([0.0, 1.0], [20, 80]), np.tile([0.0, 0.0, 1.0, 0.0], 25), np.repeat(["a", "b"], [60, 40])
    one, turned = _groups(doubt, loss, labels, True), _groups(doubt[::-1], loss[::-1], labels[::-1], True)
    pd.testing.assert_frame_equal(one, turned)
    half = one[one["coverage"] == 0.5].set_index("group")
    assert half["accepted"]["a"] == pytest.approx((20 + 40 * 30 / 80) / 60)
    assert half["accepted"]["b"] == pytest.approx(30 / 80)
    np.testing.assert_allclose(half["risk"], 0.25)
