"""Games of trees against the sum over all coalitions, and what makes a model count as a sum of trees."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from pellucid.explain.shapley import share
from pellucid.probe import tree_games, tree_sum
from pellucid.probe.foreign import as_predictor
from pellucid.probe.masker import Players
from pellucid.probe.view import View
from pellucid.trees import read

ROWS, BACK = 5, 12


def banzhaf(t, away, joins, stays):
    return (-1) ** away * 0.5 ** (joins + stays - 1)


def brute(answers, player, x, b, weights, banzhaf=False):
    """Return the values (N, P, O) by all coalitions; ``answers`` of cells."""
    size = player.max() + 1
    coalitions = list(itertools.product([False, True], repeat=size))
    worth = {}
    for z in coalitions:
        mine = np.append(z, False)[player]
        rows = np.where(mine, x[:, None], b[None]).reshape(-1, x.shape[1])
        worth[z] = np.einsum("nbo,b->no", answers(rows).reshape(len(x), len(b), -1), weights)
    out = np.zeros((len(x), size, worth[coalitions[0]].shape[1]))
    for z in coalitions:
        for p in np.flatnonzero(~np.array(z)):
            joined = tuple(True if q == p else v for q, v in enumerate(z))
            n = sum(z)
            weight = 0.5 ** (size - 1) if banzhaf else math.factorial(n) * math.factorial(size - n - 1) / math.factorial(size)
            out[:, p] += weight * (worth[joined] - worth[z])
    return out


@pytest.fixture(scope="module")
def forest():
    draw = np.random.default_rng(0)
    cells = draw.normal(size=(300, 6)).round(1)
    cells[draw.random(cells.shape) < 0.1] = np.nan
    known = np.nan_to_num(cells)
    target = np.column_stack([known[:, 0] * known[:, 1] + known[:, 2], known[:, 3] * known[:, 4] * known[:, 5]])
    grown = read(RandomForestRegressor(6, max_depth=7, random_state=0).fit(cells, target))
    assert grown is not None
    return grown.forest, cells


PLAYERS = {"each": [0, 1, 2, 3, 4, 5], "together": [0, 1, 0, 2, 2, 1], "one apart": [-1, 0, 1, 2, 3, 4]}


@pytest.mark.parametrize("players", PLAYERS)
@pytest.mark.parametrize("rule", ["shapley", "banzhaf"])
def test_values_are_those_of_all_coalitions(forest, players, rule):
    trees, cells = forest
    x, b, player = cells[:ROWS].copy(), cells[-BACK:].copy(), np.array(PLAYERS[players])
    x[:, player < 0] = b[:, player < 0] = 0.3  # the same in all rows: nobody's
    weights = np.random.default_rng(1).dirichlet(np.ones(BACK))
    found = tree_games.solve(trees, player, x, b, weights, share if rule == "shapley" else banzhaf)
    assert found == pytest.approx(brute(trees.answers, player, x, b, weights, rule == "banzhaf"), abs=1e-12)
    if rule == "shapley":
        assert found.sum(1) == pytest.approx(trees.answers(x) - weights @ trees.answers(b), abs=1e-12)


def test_blocks_change_nothing(forest, monkeypatch):
    trees, cells = forest
    even = np.full(BACK, 1 / BACK)
    whole = tree_games.solve(trees, np.arange(6), cells[:40], cells[-BACK:], even, share)
    monkeypatch.setattr(tree_games, "PAIRS", 500)
    monkeypatch.setattr(tree_games, "ROWS", 7)
    assert tree_games.solve(trees, np.arange(6), cells[:40], cells[-BACK:], even, share) == pytest.approx(whole, abs=1e-12)
    monkeypatch.setattr(tree_games, "LARGE", 1)
    assert tree_games.solve(trees, np.arange(6), cells[:40], cells[-BACK:], even, share) == pytest.approx(whole, abs=1e-12)


def frame_of():
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"age": draw.normal(size=200), "pay": draw.normal(size=200), "town": draw.choice(["Bern", "Chur", "Zug"], 200)})
    return frame, (frame["age"] + (frame["town"] == "Zug") * frame["pay"] > 0.3).to_numpy()


def sum_of(model, frame):
    view = View(as_predictor(model, frame[:30], frame[30:60]))
    rows, back = view.read(frame[:30]), view.read(frame[30:60])
    return tree_sum.TreeSum.of(view, rows, back, Players.of(view.columns))


def pipeline(numbers, model=None):
    steps = make_column_transformer((OneHotEncoder(), ["town"]), (numbers, ["age", "pay"]))
    return make_pipeline(steps, RandomForestClassifier(5, max_depth=4, random_state=0) if model is None else model)


def test_cells_of_a_pipeline_find_their_columns():
    frame, target = frame_of()
    found = sum_of(pipeline(StandardScaler()).fit(frame, target), frame)
    assert found is not None
    assert found.player.tolist() == [2, 2, 2, 0, 1]
    only_bern = frame.assign(town="Bern")
    found = sum_of(pipeline(StandardScaler()).fit(frame, target), only_bern)
    assert found.player.tolist() == [-1, -1, -1, 0, 1]


def test_cells_of_several_columns_are_no_sum_over_columns():
    frame, target = frame_of()
    assert sum_of(pipeline(PCA(2)).fit(frame, target), frame) is None


def test_trees_that_do_not_answer_as_the_model_are_not_believed():
    frame, target = frame_of()
    turned = {"predict_proba": lambda self, X: RandomForestClassifier.predict_proba(self, X)[:, ::-1]}
    kind = type("RandomForestClassifier", (RandomForestClassifier,), turned)
    assert read(kind(5, random_state=0).fit(frame[["age", "pay"]], target)) is not None
    assert sum_of(pipeline(StandardScaler(), kind(5, max_depth=4, random_state=0)).fit(frame, target), frame) is None


def test_many_players_of_one_tree_are_left_to_sampling():
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(size=(400, 90)), columns=[f"c{j}" for j in range(90)])
    deep = RandomForestRegressor(1, random_state=0).fit(frame, draw.normal(size=400))
    assert not sum_of(deep, frame).adds_up
    small = RandomForestRegressor(3, max_depth=4, random_state=0).fit(frame, draw.normal(size=400))
    assert sum_of(small, frame).adds_up
