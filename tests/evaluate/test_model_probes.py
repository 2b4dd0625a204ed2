"""Oversensitivity, overstability and suppressors: models whose fault is known, and clean ones."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.evaluate import trial
from pellucid.evaluate.oversensitivity import rounding_step
from pellucid.testing import planted, saboteurs
from pellucid.testing.predictors import FunctionPredictor, LinearPredictor, made_frame, made_table, matrix


def one(name, model, table, **options):
    return trial(saboteurs.honest(model, table), model, table, names=[name], explain_again=saboteurs.honest, **options)[0]


@pytest.fixture(scope="module")
def table():
    frame = made_frame(300, 3, (3,), 1)
    frame["x1"] = frame["x1"].round(1)
    return made_table(frame)


# ---------------------------------------------------------------- last digits


@pytest.mark.parametrize(("values", "step"), [([1, 2, 7], 1.0), ([0.25, 1.5], 0.01), ([1000, 3000], 1000.0), ([np.pi, np.e], 0.0)])
def test_the_step_of_rounding_is_read_from_the_cells(values, step):
    assert rounding_step(np.array(values, float)) == pytest.approx(step)


def test_a_model_that_reads_the_last_digit_is_caught_and_its_rows_are_listed(table):
    def last_digit(m):
        return np.round(10 * m[:, 0]) % 2

    model = FunctionPredictor(
        lambda m: np.column_stack([1 - last_digit(m), last_digit(m)]), table, outputs=("a", "b"), classes=("a", "b", "c")
    )
    result = one("oversensitivity", model, table.take(slice(0, 50)))
    assert result.verdict == "fail"
    assert result.details["rows"] == list(range(50))
    assert result.details["steps"]["x1"] == pytest.approx(0.1)
    assert result.details["by_column"]["x2"] == 0


def test_rows_at_the_border_are_counted_exactly(table):
    """A threshold at 1.2: the rows within a step of it turn over."""
    model = FunctionPredictor(lambda m: np.where(m[:, 1] > 1.2, 5.0, -5.0), table)
    result = one("oversensitivity", model, table)
    step = result.details["steps"]["x2"]
    near = np.abs(table.numbers("x2") - 1.2) <= step
    assert near.any()
    assert result.figure == pytest.approx(near.mean())


def test_a_smooth_model_is_not_oversensitive(table):
    assert one("oversensitivity", LinearPredictor([1.0, 1.0, 0.5, 0.1], table), table.take(slice(0, 100))).verdict == "pass"


# ---------------------------------------------------------------- rows that are not read


def test_rows_a_model_does_not_read_are_listed(table):
    """Where x1 < 1 the answer is 0 unless x1 is replaced by a large one: with no such row to take it from, nothing moves.

    So it does where x1 is above 1 by less than a move that counts, a tenth of a standard deviation.
    """
    model = FunctionPredictor(lambda m: np.maximum(m[:, 0] - 1, 0), table)
    low = np.flatnonzero(table.numbers("x1") < 1)
    background, rows = table.take(low[:100]), table
    made = saboteurs.honest(model, rows, background=background)
    result = trial(made, model, rows, names=["overstability"], background=background)[0]
    assert result.verdict == "fail"
    worth = np.maximum(table.numbers("x1") - 1, 0)
    spread = np.concatenate([worth, np.zeros(100)]).std()
    assert set(result.details["rows"]) == set(np.flatnonzero(worth < 0.1 * spread).tolist())
    assert one("overstability", LinearPredictor([1.0, 1.0, 1.0, 1.0], table), table).verdict == "pass"


# ---------------------------------------------------------------- shares that chance may have made


def hit_rows(name, rows, draw, share):
    """Return (model, table, background) in which a row is hit with chance ``share``, whatever its neighbours are."""
    asleep = draw.random(rows) < share
    table = made_table({"x1": np.where(asleep, -1.0, 1.0), "x2": draw.normal(size=rows).round(1), "x3": draw.normal(size=rows)})
    background = made_table({"x1": -np.ones(50), "x2": draw.normal(size=50).round(1), "x3": draw.normal(size=50)})
    if name == "oversensitivity":  # the last digit of x2 decides
        return FunctionPredictor(lambda m: np.where(m[:, 0] < 0, 5 * (np.round(10 * m[:, 1]) % 2), 0.0) + m[:, 2], table), table, background
    return FunctionPredictor(lambda m: np.where(m[:, 0] < 0, 0.0, 3 + m[:, 1]), table), table, background


@pytest.mark.parametrize("name", ["oversensitivity", "overstability"])
def test_a_share_that_may_lie_on_either_side_of_the_limit_is_no_verdict(name):
    """At the limit itself, 5 %, either verdict would be a guess; in 24 draws above or below it none is wrong by more than chance."""
    found = {}
    for share in (0.01, 0.05, 0.12):
        made = []
        for seed in range(12):
            model, table, background = hit_rows(name, 300, np.random.default_rng(seed), share)
            own = saboteurs.honest(model, table, background=background.take(slice(0, 2)))
            made += trial(own, model, table, names=[name], background=background, explain_again=saboteurs.honest)
        found[share] = [t.verdict for t in made]
        assert all(t.interval[0] <= t.figure <= t.interval[1] or t.verdict == "not testable" for t in made)
    assert found[0.01].count("pass") >= 9
    assert found[0.05].count("not testable") >= 10
    assert found[0.12].count("fail") >= 9
    assert not {"fail"} & set(found[0.01]) | {"pass"} & set(found[0.12])


# ---------------------------------------------------------------- suppressors


def test_the_suppressor_table_has_its_closed_forms():
    made = planted.suppressor(200_000, seed=1, spread=(0.7, 1.3), correlation=0.6)
    x, z = matrix(made.features, ("x1", "x2")), made.facts["z"]
    s1, s2, c = 0.7, 1.3, 0.6
    np.testing.assert_allclose(np.cov((x - np.column_stack([z, 0 * z])).T), [[s1**2, c * s1 * s2], [c * s1 * s2, s2**2]], atol=0.02)
    assert abs(np.corrcoef(x[:, 1], z)[0, 1]) < 4 / np.sqrt(200_000)
    # the Bayes direction is the one linear discriminant analysis finds
    within = np.array([[s1**2, c * s1 * s2], [c * s1 * s2, s2**2]])
    direction = np.linalg.solve(within, np.array([2.0, 0.0]))
    np.testing.assert_allclose(made.facts["weights"], direction / np.linalg.norm(direction), atol=1e-12)
    # the pattern is the covariance of the columns with the answer: nothing for the suppressor
    answer = x @ made.facts["weights"]
    np.testing.assert_allclose(np.cov(x.T, answer)[:2, 2], made.facts["pattern"], atol=0.02)
    assert made.facts["pattern"][1] == 0


def test_values_of_the_suppressor_are_those_of_the_closed_form():
    """Shapley values, gradient x input: -a c (s1 / s2) x2 less its mean; squared-error permutation importance: 2 w2^2 s2^2."""
    made = planted.suppressor(4000, seed=2)
    (s1, s2), c, w = made.facts["spread"], made.facts["correlation"], made.facts["weights"]
    model = LinearPredictor(w.tolist(), made.features)
    rows = made.features.take(slice(0, 20))
    values = saboteurs.honest(model, rows, background=made.features.take(slice(0, 32))).values
    x2 = made.features.numbers("x2")
    size = (1 + (c * s1 / s2) ** 2) ** -0.5
    np.testing.assert_allclose(values[:, 1], -size * c * s1 / s2 * (x2[:20] - x2[:32].mean()), rtol=1e-9)
    answer = matrix(made.features, ("x1", "x2")) @ w
    shuffled = np.random.default_rng(0).permutation(x2)
    loss = ((answer + w[1] * (shuffled - x2) - answer) ** 2).mean()
    assert loss == pytest.approx(2 * w[1] ** 2 * s2**2, rel=0.1)


def test_a_suppressor_is_named_with_the_column_it_corrects():
    made = planted.suppressor(300, seed=2)
    model = LinearPredictor(made.facts["weights"].tolist(), made.features)
    result = one("suppressor", model, made.features, y=made.target)
    assert result.verdict == "fail"
    assert result.details["suppressors"] == ["x2"]
    assert result.details["corrects"] == {"x2": "x1"}
    assert "carries no signal" in result.words
    assert result.details["association"]["x2"][1] > 0.05


def test_a_column_that_counts_only_together_is_no_suppressor():
    x = np.tile([[a, b, c] for a in (-1.0, 1.0) for b in (-1.0, 1.0) for c in (-1.0, 1.0)], (30, 1))  # every column exactly independent
    table = made_table({f"x{j + 1}": x[:, j] for j in range(3)})
    model = FunctionPredictor(lambda m: m[:, 0] * m[:, 1] + m[:, 2], table)
    result = one("suppressor", model, table, y=x[:, 0] * x[:, 1] + x[:, 2])
    assert result.verdict == "pass"
    assert result.details["suppressors"] == []
    assert result.details["only_together"] == ["x1", "x2"]
    assert "only together" in result.words


def test_labels_and_rows_are_needed():
    made = planted.suppressor(300, seed=2)
    model = LinearPredictor([1.0, 1.0], made.features)
    assert "give y=" in one("suppressor", model, made.features).words
    few = made.features.take(slice(0, 30))
    assert "80 are needed" in one("suppressor", model, few, y=made.target[:30]).words
