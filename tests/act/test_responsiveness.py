"""Responsiveness against enumeration and against the closed form of a linear score."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from pellucid.act import act
from pellucid.errors import RequestError
from pellucid.intervals import wilson
from pellucid.testing.predictors import FunctionPredictor, LinearPredictor, made_table, matrix


def discrete(n: int = 40, seed: int = 0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "a": rng.integers(0, 5, n).astype(float),
            "b": rng.integers(0, 4, n).astype(float),
            "c": np.array(["u", "v", "w"], object)[rng.integers(0, 3, n)],
            "d": rng.integers(0, 2, n).astype(float),
        }
    )
    return made_table(frame)


SCORE = FunctionPredictor(lambda x: x[:, 0] * (x[:, 2] == 1) + 2 * x[:, 1] - 3 * x[:, 3] - 4.5, discrete())
RULES = {"a": "up", "b": (0, 2), "d": "never"}


def by_hand(row: np.ndarray, joint=lambda before, after: True) -> dict[int, list[bool]]:
    """Go through every allowed change of one column."""
    moves = {0: [v for v in range(5) if v > row[0]], 1: [v for v in range(3) if v != row[1]], 2: [v for v in range(3) if v != row[2]]}
    out: dict[int, list[bool]] = {}
    for j, values in moves.items():
        tried = [np.where(np.arange(4) == j, v, row) for v in values]
        out[j] = [bool(SCORE.function(t[None])[0] >= 0) for t in tried if joint(row, t)]
    return out


@pytest.mark.parametrize("joint", [False, True])
def test_scores_equal_enumeration_on_a_small_table(joint):
    table = discrete()
    text = {"joint": "if c == 'v' then b >= 1"} if joint else {}
    made = act(SCORE, table, want=">= 0", rules=RULES | text, method="responsiveness", random_state=0)
    assert made.columns == ("a", "b", "c")
    cells = matrix(table, SCORE.columns)
    met = SCORE.raw(table)[:, 0] >= 0
    assert (made.reached == met).all()
    for i, row in enumerate(cells):
        hits = by_hand(row, (lambda before, after: after[2] != 1 or after[1] >= 1) if joint else (lambda before, after: True))
        truth = [np.mean(hits[j]) if hits[j] else np.nan for j in range(3)]
        assert np.array_equal(made.responsiveness[i], truth, equal_nan=True)
        assert made.fixed[i] == (not met[i] and not any(itertools.chain(*hits.values())))
    assert np.array_equal(made.interval[..., 0], made.responsiveness, equal_nan=True)
    assert 0 < made.fixed.sum() < len(table)


def test_a_linear_score_has_the_closed_form():
    rng = np.random.default_rng(0)
    table = made_table(pd.DataFrame(rng.uniform(0, 1, (60, 3)), columns=["a", "b", "c"]))
    weights, threshold, draws = np.array([2.0, -1.0, 0.5]), 1.4, 400
    model = LinearPredictor(weights, table)
    rules = {"a": (0, 2), "b": (0, 1), "c": {"move": "up", "high": 3}}
    made = act(model, table, want=f">= {threshold}", rules=rules, method="responsiveness", options={"draws": draws}, random_state=1)
    x, score = matrix(table, model.columns), model.raw(table)[:, 0]
    low = np.stack([np.zeros(60), np.zeros(60), x[:, 2]], 1)
    high = np.stack([np.full(60, 2.0), np.ones(60), np.full(60, 3.0)], 1)
    edge = x + (threshold - score)[:, None] / weights  # the cell at which the score is the threshold
    past = np.where(weights > 0, high - np.clip(edge, low, high), np.clip(edge, low, high) - low) / (high - low)
    inside = (made.interval[..., 0] <= past + 1e-9) & (past - 1e-9 <= made.interval[..., 1])
    # the same draws serve all rows, so what is independent is a column, not a row: the largest gap of a column is Kolmogorov's
    assert np.abs(made.responsiveness - past).max() < 1.95 / np.sqrt(draws)
    assert inside.mean() > 0.7
    assert (made.fixed == ((past == 0).all(1) & (score < threshold)))[np.abs(past).max(1) != 0].all()


def test_wilson_covers_a_share():
    rng = np.random.default_rng(0)
    for share in (0.02, 0.3, 0.9):
        low, high = wilson(rng.binomial(100, share, 2000), 100)
        cover = ((low <= share) & (share <= high)).mean()
        assert 0.92 < cover < 0.99


def test_linked_columns_follow():
    table = discrete()
    model = FunctionPredictor(lambda x: x[:, 1] - 10.5, table)
    link = {"a": {"between": (0, 4)}, "joint": "b = before(b) + 10 * (a - before(a))"}
    made = act(model, table, want=">= 0", rules=link, method="responsiveness", random_state=0)
    a, b = (table.numbers(c) for c in "ab")
    truth = [np.mean([b[i] + 10 * (v - a[i]) >= 10.5 for v in range(5) if v != a[i]]) for i in range(len(a))]
    assert np.allclose(made.responsiveness[:, 0], truth)
    assert "b" not in made.columns
    assert made.rules["b"].startswith("follows")


def test_a_budget_makes_fewer_draws_or_is_refused():
    rng = np.random.default_rng(0)
    table = made_table(pd.DataFrame(rng.normal(size=(20, 2)), columns=["a", "b"]))
    model = LinearPredictor([1.0, 1.0], table)
    made = act(model, table, want=">= 1", method="responsiveness", budget=2500, random_state=0)
    assert made.record.n_calls <= 2500
    with pytest.raises(RequestError, match="at least"):
        act(model, table, want=">= 1", method="responsiveness", budget=100, random_state=0)
