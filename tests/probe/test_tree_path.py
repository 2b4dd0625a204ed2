"""Composed rows of models made of trees: answered by their leaves as the model answers them itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.pipeline import make_pipeline

import pellucid as pld
from pellucid.explain.games import subsets
from pellucid.probe import tree_path
from pellucid.probe.coalition import CoalitionEngine
from pellucid.probe.composing import FramePath, Lot
from pellucid.probe.foreign import as_predictor
from pellucid.probe.masker import Players
from pellucid.probe.tree_leaves import _over_subsets, _subsets
from pellucid.probe.tree_path import TreePath
from pellucid.probe.tree_sum import CHECKED
from pellucid.probe.view import View

ROWS, BACK = 5, 9


def frame_of(columns=6, n=300):
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(size=(n, columns)).round(1), columns=[f"c{j}" for j in range(columns)])
    frame["c1"] = frame["c1"].mask(draw.random(n) < 0.1)
    frame["town"] = pd.Categorical(draw.choice(["Bern", "Chur", "Thun"], n))
    worth = frame["c0"] * frame["c1"].fillna(1) + frame["c2"] * (frame["town"] == "Bern") + frame[f"c{columns - 1}"]
    return frame, worth


def three(worth):
    return pd.cut(worth, [-np.inf, -0.5, 0.5, np.inf], labels=["low", "middle", "high"]).astype(str)


def boosted(kind, columns=6):
    frame, worth = frame_of(columns)
    target = three(worth) if "three" in kind else worth > 0
    if "fixed" in kind:
        frame = frame.assign(c3=1.0)
    model = HistGradientBoostingClassifier(max_iter=12, categorical_features="from_dtype", random_state=0).fit(frame, target)
    return model, frame


def paths(model, frame, groups=None, scale=None):
    rows, back = frame.head(ROWS), frame.tail(BACK)
    predictor = as_predictor(model, rows, back, scale=scale)
    view = View(predictor)
    asked = (view, view.read(rows), predictor.background(), Players.of(view.columns, groups), 2**28)
    return TreePath(*asked), FramePath(*asked)


def all_pairs():
    return np.repeat(np.arange(ROWS), BACK), np.tile(np.arange(BACK), ROWS)


@pytest.mark.parametrize("columns", [6, 20, 40], ids=["two bytes", "four bytes", "eight bytes"])
@pytest.mark.parametrize("kind", ["two", "three", "fixed"])
@pytest.mark.parametrize("scale", ["probability", "log-odds"])
def test_all_ways_answer_as_the_model(monkeypatch, columns, kind, scale):
    model, frame = boosted(kind, columns)
    ours, theirs = paths(model, frame, scale=scale)
    assert ours.plays
    row, back = all_pairs()
    draw = np.random.default_rng(1)
    local = draw.random((len(row), 3, columns + 1)) < 0.5
    every = np.broadcast_to(np.arange(columns + 1), (len(row), columns + 1))
    wanted = theirs.compose(np.repeat(row, 3), np.repeat(back, 3), local.reshape(-1, columns + 1)).reshape(len(row), 3, -1)
    few = Lot(row, back, np.stack([draw.permutation(columns + 1)[:4] for _ in row]), subsets(4))  # the others stay away
    its = theirs.compose(np.repeat(row, 16), np.repeat(back, 16), few.coalitions(columns + 1).reshape(-1, columns + 1))
    for table in (0, 2**30) if columns == 6 else (0,):
        monkeypatch.setattr(tree_path, "TABLE", table)
        assert ours.play([Lot(row, back, every, local)])[0] == pytest.approx(wanted, abs=1e-9)
        assert ours.play([few])[0] == pytest.approx(its.reshape(len(row), 16, -1), abs=1e-9)


def test_composed_rows_are_answered_in_any_order_and_by_the_model_where_they_are_few():
    model, frame = boosted("two")
    ours, theirs = paths(model, frame)
    row, back = all_pairs()
    draw = np.random.default_rng(0)
    at = draw.permutation(np.repeat(np.arange(len(row)), 12))
    z = draw.random((len(at), 7)) < 0.5
    ours.view.n_calls = 0
    assert ours.compose(row[at], back[at], z) == pytest.approx(theirs.compose(row[at], back[at], z), abs=1e-12)
    assert theirs.view.n_calls == CHECKED + len(at)  # the same view: ours asked for the check alone
    before = ours.view.n_calls
    ours.compose(row[:10], back[:10], z[:10])
    assert ours.view.n_calls == before + 10


def test_rows_beyond_the_memory_are_answered_group_by_group():
    model, frame = boosted("three")
    ours, _ = paths(model, frame)
    row, back = all_pairs()
    lots = [Lot(row[::k], back[::k], np.tile([0, 1, 2], (len(row[::k]), 1)), subsets(3)) for k in (1, 2)]
    whole = ours.play(lots)
    ours._leaves.__dict__["rows_at_once"] = 2
    ours._leaves._held = None
    for one, other in zip(ours.play(lots), whole, strict=True):
        assert np.array_equal(one, other)


def test_players_whom_no_tree_asks_about_leave_the_game():
    model, frame = boosted("fixed")
    ours, theirs = paths(model, frame)
    row, back = all_pairs()
    engine = CoalitionEngine(ours.view, theirs.pool.take(slice(0, ROWS)), theirs.pool.take(slice(ROWS, ROWS + BACK)), ours.players)
    active, differ = engine.active(row, back), engine.differ(row, back)
    assert (active <= differ).all()
    assert active.sum() < differ.sum()
    for p in range(7):  # moving a player who has left changes no composed row
        out = np.flatnonzero(~active[:, p])
        if not len(out):
            continue
        z = np.random.default_rng(p).random((len(out), 7)) < 0.5
        without = z.copy()
        z[:, p], without[:, p] = True, False
        assert np.array_equal(theirs.compose(row[out], back[out], z), theirs.compose(row[out], back[out], without))


def test_what_is_read_wrongly_is_not_used():
    frame, worth = frame_of()
    numbers = frame.drop(columns="town").fillna(0)
    mixed = make_pipeline(PCA(4), GradientBoostingClassifier(n_estimators=5, random_state=0)).fit(numbers, worth > 0)
    turned = {"predict_proba": lambda self, X: GradientBoostingClassifier.predict_proba(self, X)[:, ::-1]}
    wrong = type("GradientBoostingClassifier", (GradientBoostingClassifier,), turned)(n_estimators=5, random_state=0).fit(
        numbers, worth > 0
    )
    for model in (mixed, wrong):
        path, _ = paths(model, numbers)
        assert not path.plays
        made = pld.explain(model, numbers.head(3), background=numbers.tail(BACK), random_state=0)
        assert made.n_calls > 3 * 2**5  # asked, as any model


def test_no_other_scale_is_praised_where_the_trees_are_not_believed():
    frame, worth = frame_of(16)
    numbers = frame.drop(columns="town").fillna(0)
    mixed = make_pipeline(PCA(4), GradientBoostingClassifier(n_estimators=5, random_state=0)).fit(numbers, worth > 0)
    made = pld.explain(mixed, numbers.head(1), background=numbers.tail(2), budget=2000, random_state=0)
    assert made.record.settings["way"] == "sampled"
    assert not any("sum of trees" in c for c in made.record.caveats)


@pytest.mark.parametrize(("factor", "shift"), [(1e-7, 0.0), (1e-4, 2000.0)], ids=["small", "far from 0"])
def test_leaves_that_hold_lines_are_not_taken_for_numbers(factor, shift):
    lightgbm = pytest.importorskip("lightgbm")
    frame, worth = frame_of()
    numbers = frame.drop(columns="town")
    target = shift + factor * worth.fillna(0)
    model = lightgbm.LGBMRegressor(n_estimators=10, linear_tree=True, verbose=-1, n_jobs=1).fit(numbers, target)
    assert not paths(model, numbers)[0].plays


def test_log_odds_that_end_before_the_sum_does_are_asked():
    xgboost = pytest.importorskip("xgboost")
    frame, _ = frame_of()
    numbers = frame[["c0", "c2", "c3"]]
    certain = xgboost.XGBClassifier(n_estimators=60, learning_rate=0.9, reg_lambda=0, min_child_weight=0, n_jobs=1)
    certain.fit(numbers, frame["c0"] > 0)
    made = pld.explain(certain, numbers.head(ROWS), background=numbers.tail(BACK), scale="log-odds", random_state=0)
    assert np.abs(made.predictions).max() > 27
    assert np.abs(made.gap).max() < 1e-9


def test_a_row_that_is_answered_like_no_other_is_seen():
    model, frame = boosted("two")
    rows = frame.head(100).copy()
    rows.loc[3, ["c0", "c2", "c3", "c4", "c5"]] = 7.0

    def turned(self, X):
        found = HistGradientBoostingClassifier.predict_proba(self, X)
        found[(X[["c0", "c2", "c3", "c4", "c5"]] == 7.0).all(axis=1).to_numpy()] = [0.9, 0.1]
        return found

    model.__class__ = type("HistGradientBoostingClassifier", (HistGradientBoostingClassifier,), {"predict_proba": turned})
    question = {"background": frame.tail(3), "random_state": 0}
    assert pld.explain(model, rows.drop(index=3), **question).n_calls < 99 + 3 + CHECKED + 2
    for scale in ("probability", "log-odds"):
        made = pld.explain(model, rows, scale=scale, **question)
        assert made.n_calls > 100 + 3 + CHECKED + 100  # asked, as any model
        assert np.abs(made.gap).max() < 1e-9


def test_models_that_are_not_believed_are_checked_once_and_keep_their_budget():
    frame, worth = frame_of()
    lightgbm = pytest.importorskip("lightgbm")
    numbers = frame.drop(columns="town")
    model = lightgbm.LGBMRegressor(n_estimators=10, linear_tree=True, verbose=-1, n_jobs=1).fit(numbers, worth.fillna(0))
    for method in ("shapley", "banzhaf"):
        made = pld.explain(model, numbers.head(1), background=numbers.tail(5), method=method, budget=2 * CHECKED + 20, random_state=0)
        assert made.n_calls <= 2 * CHECKED + 20


def test_forests_grown_to_single_rows_are_asked(monkeypatch):
    frame, worth = frame_of()
    model = RandomForestClassifier(3, random_state=0).fit(frame[["c0", "c2", "c4"]], worth > 0)
    assert paths(model, frame[["c0", "c2", "c4"]], scale="log-odds")[0].plays
    monkeypatch.setattr(tree_path, "DEEP", 4)
    assert not paths(model, frame[["c0", "c2", "c4"]], scale="log-odds")[0].plays


@pytest.mark.parametrize("method", ["shapley", "banzhaf", "interactions", "owen", "shapley_kernel"])
@pytest.mark.parametrize("kind", ["two", "three"])
def test_explanations_are_those_of_a_model_that_is_asked(monkeypatch, method, kind):
    model, frame = boosted(kind)
    question = {"background": frame.tail(BACK), "method": method, "random_state": 0, "groups": {"both": ["c3", "town"]}}
    fast = pld.explain(model, frame.head(ROWS), **question)
    assert fast.record.n_calls == ROWS + BACK + CHECKED + 1
    monkeypatch.setattr(View, "trees", lambda self: None)
    slow = pld.explain(model, frame.head(ROWS), **question)
    assert slow.record.n_calls > fast.record.n_calls
    name = "by_set" if method == "interactions" else "values"
    assert getattr(fast, name) == pytest.approx(getattr(slow, name), abs=0.05 if method == "shapley_kernel" else 1e-9)


def test_calibrations_that_bend_are_exact_too(monkeypatch):
    frame, worth = frame_of()
    with pytest.warns(pld.errors.PellucidWarning, match="isotonic"):
        model = pld.TabularClassifier(backbone="hist_gb", calibration="isotonic", random_state=0, verbose=0).fit(frame, worth > 0)
    fast = model.explain(frame.head(ROWS), background=frame.tail(BACK), random_state=0)
    assert fast.n_calls == ROWS + BACK + CHECKED
    monkeypatch.setattr(View, "trees", lambda self: None)
    slow = model.explain(frame.head(ROWS), background=frame.tail(BACK), method="shapley_exact", random_state=0)
    assert fast.values == pytest.approx(slow.values, abs=1e-7)  # log-odds of probabilities near 0 or 1


def test_small_budgets_are_kept():
    model, frame = boosted("two")
    question = {"background": frame.tail(BACK), "random_state": 0}
    for budget in (ROWS + BACK + CHECKED, 2 * CHECKED):
        made = pld.explain(model, frame.head(ROWS), budget=budget, **question)
        assert (made.n_calls, made.error) == (ROWS + BACK + CHECKED + 1, None)
    made = pld.explain(model, frame.head(1), budget=CHECKED, **question)
    assert made.n_calls <= CHECKED + 1
    assert made.error is not None


def test_wide_tables_are_sampled_by_their_leaves():
    frame, worth = frame_of(40)
    model = HistGradientBoostingClassifier(max_iter=30, categorical_features="from_dtype", random_state=0).fit(frame, worth > 0)
    made = pld.explain(model, frame.head(3), background=frame.tail(30), random_state=0)
    assert made.record.settings["way"] == "sampled"
    assert made.n_calls == 3 + 30 + CHECKED + 1
    assert any("scale='log-odds'" in c for c in made.record.caveats)
    exact = pld.explain(model, frame.head(3), background=frame.tail(30), scale="log-odds", random_state=0)
    assert np.corrcoef(made.values.ravel(), exact.values.ravel())[0, 1] > 0.95
    assert np.abs(made.gap).max() < 1e-9


def test_boosters_of_the_package_itself():
    lightgbm = pytest.importorskip("lightgbm")
    frame, worth = frame_of()
    booster = lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(frame, (worth > 0).astype(int)), 10)
    made = pld.explain(booster, frame.head(ROWS), background=frame.tail(BACK), random_state=0)
    assert made.n_calls == ROWS + BACK + CHECKED + 1
    assert made.predictions == pytest.approx(booster.predict(frame.head(ROWS)), abs=1e-12)
    assert np.abs(made.gap).max() < 1e-9


def test_a_regression_forest_by_its_leaves(monkeypatch):
    frame, worth = frame_of()
    numbers = frame.drop(columns="town").fillna(0)
    model = RandomForestRegressor(5, max_depth=6, random_state=0).fit(numbers, np.column_stack([worth.fillna(0), numbers["c0"]]))
    ours, theirs = paths(model, numbers)
    row, back = all_pairs()
    (values,) = ours.play([Lot(row, back, np.broadcast_to(np.arange(6), (len(row), 6)), subsets(6))])
    z = np.tile(subsets(6), (len(row), 1))
    assert values.reshape(-1, 2) == pytest.approx(theirs.compose(np.repeat(row, 64), np.repeat(back, 64), z), abs=1e-12)


def test_sums_over_subsets():
    draw = np.random.default_rng(0)
    for d in (1, 4, 7):
        values = draw.normal(size=(2, 2**d))
        wanted = [[sum(v[s] for s in range(2**d) if s & t == s) for t in range(2**d)] for v in values]
        assert _over_subsets(values.copy(), d) == pytest.approx(np.array(wanted), abs=1e-12)
    seen = [(int(a), int(s)) for at, subset in _subsets(np.array([5, 2])) for a, s in zip(at, subset)]
    assert sorted(seen) == [(0, 1), (0, 4), (0, 5), (1, 2)]
