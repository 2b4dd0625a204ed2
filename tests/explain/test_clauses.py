"""Clauses: planted conjunctions are recovered under noise, with figures from rows that were held out."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.errors import EmptyTableError, RequestError
from pellucid.explain import explain
from pellucid.explain.clauses import Machine
from pellucid.testing.predictors import FunctionPredictor, LinearPredictor, made_table

YES = {"outputs": ("yes",), "classes": ("no", "yes"), "scale": "probability"}


def noisy_rule(x, noise=0.1):
    """Yes where x1 > 3, x2 <= 4 and c is not level b; one answer in ten is turned round, by a hash of the cells."""
    rule = (x[:, 0] > 3) & (x[:, 1] <= 4) & (x[:, 4] != 1)
    chance = np.modf(np.abs(np.sin(x @ np.array([12.9898, 78.233, 37.719, 4.581, 93.989]))) * 43758.5453)[0]
    return 0.9 * (rule ^ (chance < noise))


@pytest.fixture(scope="module")
def planted():
    draw = np.random.default_rng(0)
    cells = {f"x{j}": draw.integers(0, 8, 2000).astype(float) for j in (1, 2)} | {f"x{j}": draw.normal(size=2000) for j in (3, 4)}
    table = made_table(cells | {"c": np.array(["a", "b", "z"], object)[draw.integers(0, 3, 2000)]})
    return FunctionPredictor(noisy_rule, table, **YES), table


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_planted_rule_of_three_literals_is_recovered_under_noise(planted, seed):
    model, table = planted
    made = explain(model, table, method="clauses", random_state=seed)
    yes = [r for r in made.rules if r.outcome == "yes"]
    assert [sorted(r.conditions) for r in yes] == [["c is not b", "x1 > 3.5", "x2 <= 4.5"]]
    rule = yes[0]
    assert rule.interval[0] < 0.9 < rule.interval[1]
    assert rule.coverage == pytest.approx(0.5 * 5 / 8 * 2 / 3, abs=0.04)
    assert made.fidelity == pytest.approx(0.9, abs=0.03)
    assert "constant" in made.words


def test_without_noise_the_copy_is_whole():
    draw = np.random.default_rng(1)
    table = made_table({f"x{j}": draw.integers(0, 6, 1500).astype(float) for j in range(5)})
    model = FunctionPredictor(lambda x: 0.9 * (((x[:, 0] > 3) & (x[:, 1] > 2)) | ((x[:, 2] <= 1) & (x[:, 3] <= 1))), table, **YES)
    made = explain(model, table, method="clauses", random_state=0)
    assert made.fidelity > 0.97
    yes = {tuple(sorted(r.conditions)) for r in made.rules if r.outcome == "yes"}
    assert yes == {("x0 > 3.5", "x1 > 2.5"), ("x2 <= 1.5", "x3 <= 1.5")}


def test_numbers_are_told_as_halves_and_missing_cells_are_terms():
    draw = np.random.default_rng(2)
    a = draw.normal(size=900)
    a[draw.random(900) < 0.4] = np.nan
    table = made_table({"a": a, "b": draw.normal(size=900)})
    model = FunctionPredictor(lambda x: x[:, 0], table)
    model.raw = lambda t: (np.where(t.missing("a"), 5.0, 0.0) + 0.01 * t.numbers("b"))[:, None]
    made = explain(model, table, method="clauses", random_state=0)
    above = [r for r in made.rules if r.outcome.startswith("above")]
    assert ("a is missing",) in {r.conditions for r in above}
    assert made.fidelity > 0.8


def test_a_model_without_rules_says_so():
    draw = np.random.default_rng(3)
    table = made_table({f"x{j}": draw.normal(size=300) for j in range(3)})
    made = explain(FunctionPredictor(lambda x: np.sin(300 * x.sum(1)), table), table, method="clauses", random_state=0)
    assert made.fidelity < 0.65
    still = explain(LinearPredictor([0, 0, 0], table), table, method="clauses", random_state=0)
    assert [r.conditions for r in still.rules] == [()]
    assert still.rules[0].coverage == 1
    assert any("no better than a constant" in c for c in still.record.caveats)


def test_the_machine_needs_its_second_kind_of_feedback():
    """Without feedback against wrong clauses the exclusive-or is not learned; with it, it is."""
    draw = np.random.default_rng(4)
    bits = draw.random((2000, 4)) < 0.5
    literals, wanted = np.concatenate([bits, ~bits], 1), bits[:, 0] ^ bits[:, 1]
    machine = Machine(literals, wanted, 20, 10, 4.0, np.random.default_rng(5)).learn(30)
    votes = machine.fires(literals.astype(np.float32)) @ machine.sign
    assert ((votes > 0) == wanted).mean() > 0.98


def test_budgets_and_bad_requests(planted):
    model, table = planted
    model.rows_asked = 0
    made = explain(model, table, method="clauses", budget=500, random_state=0)
    assert model.rows_asked == made.record.n_calls == 500
    with pytest.raises(EmptyTableError, match="at least 20"):
        explain(model, table.take(slice(0, 10)), method="clauses")
    with pytest.raises(RequestError, match="bins"):
        explain(model, table, method="clauses", options={"bins": 1})
