"""Shift: closed forms, published null values, planted changes and what they cost, weights towards another table."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import pellucid as pld
from pellucid.audit.shift.cost import shapley_of, shared
from pellucid.audit.shift.drift import benjamini_hochberg, measure, psi, total_variation, wasserstein
from pellucid.audit.shift.label import _answers, black_box_shares
from pellucid.audit.shift.marks import slip
from pellucid.audit.shift.pair import pair
from pellucid.errors import ColumnError, EmptyTableError, RequestError
from pellucid.testing.checks_audit import clean_frame


def law(n, seed, age=0.0, relation=0.0, scale=1.0):
    """Return rows of a law whose target bends where a straight line does not."""
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame({"age": draw.normal(45 + age, 9, n), "pressure": draw.normal(120, 15, n), "sex": draw.choice(["F", "M"], n)})
    bent = np.maximum(frame["age"] - 50, 0) / 3 + (frame["pressure"] - 120) / 15 + relation * (frame["sex"] == "F")
    return frame.assign(days=bent + draw.normal(0, 0.5, n), pressure=frame["pressure"] * scale)


class Line:
    """A straight line through age and pressure."""

    def __init__(self, frame):
        x = np.column_stack([np.ones(len(frame)), frame["age"], frame["pressure"]])
        self.weights = np.linalg.lstsq(x, frame["days"], rcond=None)[0]

    def predict(self, frame):
        return np.column_stack([np.ones(len(frame)), frame["age"], frame["pressure"]]) @ self.weights


@pytest.fixture(scope="module")
def line():
    return Line(law(4000, 9))


def test_measures_are_those_of_other_packages():
    draw = np.random.default_rng(0)
    a, b = draw.normal(size=200), draw.normal(0.5, 2, 150)
    assert wasserstein(a, b) == pytest.approx(stats.wasserstein_distance(a, b))
    p = draw.random(30) ** 2
    np.testing.assert_allclose(benjamini_hochberg(p), stats.false_discovery_control(p))
    assert total_variation(np.array([3, 1]), np.array([1, 1])) == pytest.approx(0.25)


@pytest.mark.parametrize(("n", "share"), [(100, 0.83), (200, 0.37), (500, 0.0)])
def test_the_stability_index_of_unchanged_rows_is_that_of_its_null(n, share):
    draw = np.random.default_rng(1)
    counts = draw.multinomial(n, np.full(10, 0.1), size=(1500, 2))
    found = np.array([psi(a, b) for a, b in counts])
    assert found.mean() == pytest.approx(9 * 2 / n, rel=0.1)
    assert np.mean(found > 0.1) == pytest.approx(share, abs=4 * np.sqrt(0.25 / 1500) + 0.02)


def test_unchanged_columns_are_left_alone_at_the_stated_rate():
    """A column has changed only beyond 95 % of chance: of 200 unchanged ones at most a few exceed that, and none is called changed."""
    draw = np.random.default_rng(2)
    old, new = (pd.DataFrame(draw.normal(size=(300, 40))).add_prefix("x").assign(g=draw.choice(list("abcd"), 300)) for _ in range(2))
    frame = measure(pair(old, new))
    over = (frame["effect"] > frame["by_chance"]).mean()
    assert over < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 41)
    assert not frame["changed"].any()


def test_closed_form_shares_of_a_product():
    """y = x1 x2, loss y²: variances 1 -> 3 and 2 -> 0.5 change the loss by +2.5 and -3."""
    np.testing.assert_allclose(shapley_of(np.array([1 * 2, 3 * 2, 1 * 0.5, 3 * 0.5])), [2.5, -3.0])


def test_closed_form_shares_of_a_sum_from_rows():
    """y = x1 + x2, loss y²: the shares are the changes of the variances, from rows weighed by the exact ratios."""
    draw, n = np.random.default_rng(3), 40_000
    before, after = np.array([1.0, 1.0]), np.array([1.4, 0.7])
    old, new = draw.normal(size=(n, 2)) * np.sqrt(before), draw.normal(size=(n, 2)) * np.sqrt(after)

    def logs(x):
        def log(j, variance):
            return stats.norm.logpdf(x[:, j], scale=variance[j] ** 0.5)

        return np.array([log(j, after) - log(j, before) for j in (0, 1)])

    one, two = old.sum(1) ** 2, new.sum(1) ** 2
    values, effective = shared(one, two, logs(old), logs(new))
    shares = shapley_of(values)
    assert shares.sum() == pytest.approx(two.mean() - one.mean())
    np.testing.assert_allclose(shares, [0.4, -0.3, 0.0], atol=0.08)
    assert effective > 0.5 * n


@pytest.mark.parametrize(
    ("change", "cause"),
    [({"age": 5.0}, "age"), pytest.param({"relation": 2.0}, "the relation of days to the columns", marks=pytest.mark.long)],
)
def test_a_single_cause_gets_nine_tenths_of_the_change(line, change, cause):
    made = pld.shift(law(6000, 1), law(6000, 2, **change), model=line, target="days").cost
    whole = made.after - made.before
    assert made.shares.sum() == pytest.approx(whole)
    share = dict(zip(made.players, made.shares))[cause]
    assert share >= 0.9 * whole
    assert cause in made.words


def test_the_words_say_what_changed(line):
    made = pld.shift(law(600, 1), law(600, 2, scale=2.54), model=line, target="days")
    assert made.changed == ("pressure",)
    kinds = {f.kind for f in made.findings}
    assert {"shift: unit", "shift: column", "shift: joint"} <= kinds
    assert made.cost is None
    assert "hardly overlap" in made.words
    assert set(made.to_frame()["column"]) == {"age", "pressure", "sex"}


def test_what_has_not_changed_costs_nothing(line):
    """Ratios between tables that do not differ are noise: no share rests on them, and no part of a change that is none is told."""
    made = [pld.shift(law(800, 10 + s), law(800, 30 + s), model=line, target="days").cost for s in range(3)]
    assert all((m.shares[:-1] == 0).all() for m in made)
    assert all("no more than other rows" in m.words and "%" not in m.words for m in made if abs(m.after - m.before) < 1.5 * m.error[-1])
    assert any("no more than other rows" in m.words for m in made)


class _Clipped:
    """A model that is right where old rows lie and answers the border's value beyond."""

    feature_names_in_ = ("a", "b")

    def predict(self, frame):
        return np.clip(frame["a"].to_numpy(), -2, 2) ** 2 + frame["b"].to_numpy()


def test_rows_that_the_old_table_lacks_cost_what_moved_the_columns():
    """One column moved, the relation stayed: no weights turn old rows into rows far out, and the relation must not pay for that."""

    def rows(n, mean, seed):
        draw = np.random.default_rng(seed)
        a, b = draw.normal(mean, 1, n), draw.normal(size=n)
        return pd.DataFrame({"a": a, "b": b, "y": a**2 + b + 0.5 * draw.normal(size=n)})

    for mean in (1.5, 2.0):
        made = pld.shift(rows(3000, 0, 0), rows(2000, mean, 1), model=_Clipped(), target="y").cost
        whole = made.after - made.before
        assert made.shares.sum() == pytest.approx(whole)
        assert made.shares[0] > 0.9 * whole
        assert "like hardly any old row" in made.words


def test_nothing_is_found_where_nothing_changed():
    made = pld.shift(clean_frame(800, 0), clean_frame(800, 1), target="ill")
    assert made.changed == ()
    assert [f for f in made.findings if f.severity != "low"] == []
    assert abs(made.joint["z"]) < 4


def test_unit_slips_are_named_by_their_factor():
    draw = np.random.default_rng(4)
    a, b = draw.normal(170, 9, 400), draw.normal(170, 9, 300)
    assert slip(a, b) is None
    assert slip(a, b / 2.54) == pytest.approx(1 / 2.54)
    assert slip(a, b * 100) == pytest.approx(100)
    assert slip(a, b * 1.7) is None


def test_label_shares_are_estimated_without_labels():
    np.testing.assert_allclose(black_box_shares(np.array([[0.4, 0.1], [0.1, 0.4]]), np.array([0.8, 0.2])), [1.0, 0.0], atol=1e-12)
    draw = np.random.default_rng(5)

    def rows(n, share, seed):
        ill = np.random.default_rng(seed).random(n) < share
        return pd.DataFrame({"x": draw.normal(size=n) + 2 * ill, "ill": np.where(ill, "yes", "no")})

    old, new = rows(2000, 0.3, 1), rows(2000, 0.6, 2)
    [told] = [f for f in pld.shift(old, new.drop(columns="ill"), target="ill").findings if f.kind == "shift: target"]
    assert told.figures["new"][1] == pytest.approx(0.6, abs=0.08)  # the stated standard error is 2.5 points


def test_new_rows_are_answered_by_both_models_that_answer_the_old_ones(monkeypatch):
    """Two models of two halves differ by chance: of 200 tables without a shift, 9 were reported when one of them answered all new rows."""

    def of_its_own_mind(matrix, is_level, labels, folds, *rest, **options):
        out = np.zeros((len(matrix), 2))
        out[:, int(folds[0])] = 1.0  # one model answers "no" to all, the other "yes"
        return out

    monkeypatch.setattr("pellucid.audit.shift.label.fit_out_of_fold", of_its_own_mind)
    frame = pd.DataFrame({"x": np.random.default_rng(0).normal(size=400), "y": ["no", "yes"] * 200})
    two = pair(frame, frame[["x"]], target="y", random_state=0)
    old, new = _answers(two, np.tile([0, 1], 200), two.rows)
    assert np.bincount(old).tolist() == np.bincount(new).tolist() == [200, 200]


def test_a_class_that_has_gone_is_told_though_no_other_rose_by_much():
    draw = np.random.default_rng(3)

    def rows(n, classes):
        y = draw.integers(0, classes, n)
        return pd.DataFrame(
            {"x": 3 * np.cos(y) + draw.normal(0, 0.2, n), "z": 3 * np.sin(y) + draw.normal(0, 0.2, n), "y": [f"c{v}" for v in y]}
        )

    [told] = [f for f in pld.shift(rows(1200, 6), rows(900, 5).drop(columns="y"), target="y").findings if f.kind == "shift: target"]
    assert "'c5' so seldom" in told.evidence


@pytest.mark.parametrize("method", ["classifier", "hashed"])
def test_weights_recover_a_planted_shift(method):
    draw = np.random.default_rng(6)
    every = pd.DataFrame({"x": draw.normal(10, 2, 24_000), "g": draw.choice(["a", "b"], 24_000)})
    chance = 1 / (1 + np.exp(-((every["x"] - 10) / 2 + 1.0 * (every["g"] == "b") - 1)))
    chosen = draw.random(len(every)) < chance
    old, new = every[~chosen], every[chosen]
    w = pld.reweigh(old, new, method=method)
    wanted = new["x"].mean() - old["x"].mean()
    # the columns are dependent among the chosen rows, which the hashed space does not see
    near = 0.05 if method == "classifier" else 0.25
    assert abs(np.average(old["x"], weights=w.values) - new["x"].mean()) < near * wanted
    assert np.average(old["g"] == "b", weights=w.values) == pytest.approx((new["g"] == "b").mean(), abs=near * 0.2)
    assert w.values.mean() == pytest.approx(1)
    assert 0.2 * len(old) < w.effective < len(old)
    assert w.gap_after < near * w.gap_before


def test_hashed_weights_recover_a_shift_of_columns_that_do_not_depend_on_each_other():
    draw = np.random.default_rng(8)

    def rows(n, mean, share):
        return pd.DataFrame({"x": draw.normal(mean, 2, n), "g": np.where(draw.random(n) < share, "b", "a")})

    old, new = rows(12_000, 10, 0.3), rows(12_000, 11, 0.5)
    w = pld.reweigh(old, new, method="hashed")
    assert abs(np.average(old["x"], weights=w.values) - new["x"].mean()) < 0.05 * new["x"].mean()
    # of the shift itself a tenth may be left: cells of the hashed space are wider than a point
    assert abs(np.average(old["x"], weights=w.values) - new["x"].mean()) < 0.1 * (new["x"].mean() - old["x"].mean())
    assert np.average(old["g"] == "b", weights=w.values) == pytest.approx((new["g"] == "b").mean(), abs=0.02)
    assert w.effective == pytest.approx(w.values.sum() ** 2 / (w.values**2).sum())
    assert 0.2 * len(old) < w.effective < len(old)


def test_words_of_a_text_are_weighed_by_the_hashed_space():
    draw = np.random.default_rng(7)

    def notes(n, share):
        hurt = draw.random(n) < share
        return [f"patient {'in pain' if h else 'well'} today number {k} seen by nurse" for k, h in enumerate(hurt)], hurt

    (a, hurt), (b, _) = notes(600, 0.3), notes(600, 0.7)
    from pellucid.table import read_table

    old, new = (read_table({"note": t, "k": draw.normal(size=600)}, types={"note": "text"}) for t in (a, b))
    assert np.average(hurt, weights=pld.reweigh(old, new, method="hashed").values) > 0.4


def test_tables_that_do_not_overlap_are_refused():
    old, new = (pd.DataFrame({"x": np.random.default_rng(s).normal(m, 1, 400)}) for s, m in ((0, 0), (1, 50)))
    with pytest.raises(RequestError, match="hardly overlap"):
        pld.reweigh(old, new)
    with pytest.raises(RequestError, match="unknown method"):
        pld.reweigh(old, new, method="magic")


def test_wrong_requests_are_refused(line):
    old = law(100, 1)
    with pytest.raises(ColumnError, match="in common"):
        pld.shift(old, pd.DataFrame({"z": np.arange(100.0)}))
    with pytest.raises(EmptyTableError, match="too few"):
        pld.shift(old, law(10, 2))
    with pytest.raises(ColumnError, match="cannot be compared"):
        pld.shift(law(200, 1), law(200, 2), model=line, target="days", order=["colour"])


def test_columns_of_only_one_table_are_named():
    made = pld.shift(law(200, 1), law(200, 2).rename(columns={"sex": "gender"}), target="days")
    assert [f.columns for f in made.findings if f.kind == "shift: columns"] == [("sex",)]


def test_saboteur_shares_put_on_the_wrong_change_go_red():
    """Weights of the wrong mechanism: the check of the closed form sees it."""
    draw, n = np.random.default_rng(8), 20_000
    old, new = draw.normal(size=(n, 2)), draw.normal(size=(n, 2)) * np.array([1.3, 1.0])
    log = np.array([stats.norm.logpdf(old[:, 0], scale=1.3) - stats.norm.logpdf(old[:, 0]), np.zeros(n)])
    back = np.array([stats.norm.logpdf(new[:, 0], scale=1.3) - stats.norm.logpdf(new[:, 0]), np.zeros(n)])
    right = shapley_of(shared(old.sum(1) ** 2, new.sum(1) ** 2, log, back)[0])
    wrong = shapley_of(shared(old.sum(1) ** 2, new.sum(1) ** 2, log[::-1], back[::-1])[0])
    assert right[0] > 0.8 * right.sum()
    assert wrong[0] < 0.2 * wrong.sum()
