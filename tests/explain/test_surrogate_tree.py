"""The surrogate tree: a tree is copied whole, columns are found among many, and a bad copy does not speak."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pellucid.errors import EmptyTableError, RequestError
from pellucid.explain import explain
from pellucid.explain.conditions import Condition, merged
from pellucid.table import Column, ColumnType, Schema, Table
from pellucid.testing.predictors import FunctionPredictor, LinearPredictor, made_frame, made_table

YES = {"outputs": ("yes",), "classes": ("no", "yes"), "scale": "probability"}


def depth_three(x):
    """A tree of depth 3 on x1, c1 (codes 0, 1, 2) and x2."""
    high = np.where(x[:, 3] >= 1, 0.9, np.where(x[:, 1] > -0.5, 0.9, 0.1))
    return np.where(x[:, 0] > 0.5, high, np.where(x[:, 1] > 1.6, 0.8, 0.2))


def test_a_tree_is_copied_with_the_same_splits():
    table = made_table(made_frame(3000, 3, (3,)))
    model = FunctionPredictor(depth_three, table, **YES)
    made = explain(model, table, method="surrogate_tree", random_state=0)
    assert made.fidelity >= 0.99
    assert made.fidelity_interval[0] > 0.98
    assert set(made.record.settings["columns_chosen"]) == {"x1", "x2", "c1"}
    assert len(made.rules) == 5
    assert sum(r.coverage for r in made.rules) == pytest.approx(1)
    no = {" and ".join(sorted(r.conditions)) for r in made.rules if r.outcome == "no"}
    assert len(no) == 2
    limits = [c.split(" ") for rule in no for c in rule.split(" and ")]
    for name, limit in (("x1", 0.5), ("x2", None)):
        found = sorted(float(c[2]) for c in limits if c[0] == name)
        np.testing.assert_allclose(found, [limit] * 2 if limit else [-0.5, 1.6], atol=0.05)
    assert sum("c1 is level 0" in rule for rule in no) == 1
    assert made.record.settings["speaks_for_the_model"]
    sizes = made.record.settings["fidelity_by_size"]
    assert sizes[0]["fidelity"] < sizes[-1]["fidelity"]


def test_a_bad_copy_refuses_to_speak():
    table = made_table(made_frame(600, 6, ()))
    model = FunctionPredictor(lambda x: np.sin(9 * x).sum(1), table)
    made = explain(model, table, method="surrogate_tree", random_state=0)
    assert made.fidelity < 0.8
    assert "do not read" in made.words
    assert not made.record.settings["speaks_for_the_model"]


def test_a_copy_that_is_no_better_than_a_constant_refuses_to_speak():
    table = made_table(made_frame(600, 6, ()))
    model = FunctionPredictor(lambda x: 0.9 * (np.sin(40 * x[:, 0]) + np.sin(40 * x[:, 1]) > 1.85), table, **YES)
    made = explain(model, table, method="surrogate_tree", random_state=0)
    assert made.fidelity > 0.8  # the label is rare
    assert "do not read" in made.words


def test_three_columns_are_found_among_two_hundred():
    draw = np.random.default_rng(0)
    table = made_table({f"v{j}": draw.normal(size=400) for j in range(200)})
    model = FunctionPredictor(lambda x: 3.0 * (x[:, 41] > 0) + 2.0 * (x[:, 133] > 0) * (x[:, 7] > 0), table)
    model.rows_asked = 0
    made = explain(model, table, method="surrogate_tree", options={"columns": 3}, random_state=0)
    assert set(made.record.settings["columns_chosen"]) == {"v41", "v133", "v7"}
    assert made.fidelity > 0.9
    assert model.rows_asked < 200 * 200 / 2  # far fewer than one shuffle a column


def test_rules_speak_in_dates_units_levels_and_missing_cells():
    draw = np.random.default_rng(0)
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(7 * draw.integers(0, 100, 800), unit="D")
    frame = pd.DataFrame({"day": days, "age": draw.integers(18, 80, 800).astype(float)})
    frame.loc[draw.random(800) < 0.3, "age"] = np.nan
    table = Table(frame, Schema((Column("day", ColumnType.DATE), Column("age", ColumnType.NUMBER, unit="years"))))
    model = FunctionPredictor(lambda x: x[:, 0], table, columns=("day", "age"))

    def answer(t):
        late = t.seconds("day") >= pd.Timestamp("2021-01-01").timestamp()
        return (10.0 * late + 4.0 * t.missing("age") + 1.0 * (np.nan_to_num(t.numbers("age")) > 50))[:, None]

    model.raw = answer
    made = explain(model, table, method="surrogate_tree", random_state=0)
    assert made.fidelity > 0.99
    text = " ".join(c for r in made.rules for c in r.conditions)
    assert "age is missing" in text
    assert "day > 2020-12-30" in text  # the last of the days that occur, each a week apart
    assert "age > 50.5 years" in text
    assert "target" not in made.scale
    assert {r.outcome.split(" ± ")[0] for r in made.rules} == {"0", "1", "4", "10", "11", "14"}


def test_conditions_of_one_column_are_merged():
    age = lambda kind, limit, gone=False: Condition("age", kind, limit, (), gone)  # noqa: E731
    assert merged([age("<=", 50), age("<=", 30), age(">", 10, True)]) == (age("<=", 30), age(">", 10))
    job = lambda kind, *levels: Condition("job", kind, 0.0, levels)  # noqa: E731
    assert merged([job("in", "a", "b", "c"), job("not in", "b")]) == (job("in", "a", "c"),)
    assert merged([Condition("age", "known"), age(">", 3)]) == (age(">", 3),)
    assert merged([age("<=", 5, True), Condition("age", "missing")]) == (Condition("age", "missing"),)


def test_budgets_and_bad_requests():
    table = made_table(made_frame(400, 5, ()))
    model = LinearPredictor([3, 1, 0, 0, 0], table)
    model.rows_asked = 0
    made = explain(model, table, method="surrogate_tree", budget=900, random_state=0)
    assert model.rows_asked <= 900
    assert made.record.n_calls == model.rows_asked
    assert made.to_frame()["coverage"].sum() == pytest.approx(1)
    with pytest.raises(RequestError, match="at least"):
        explain(model, table, method="surrogate_tree", budget=50, random_state=0)
    with pytest.raises(EmptyTableError, match="at least 20"):
        explain(model, table.take(slice(0, 10)), method="surrogate_tree")
    with pytest.raises(RequestError, match="leaves"):
        explain(model, table, method="surrogate_tree", options={"leaves": 1})


def _letters(n):
    """A text column of three words, of which one decides, and a number; every text but a few occurs once."""
    draw = np.random.default_rng(0)
    titles = np.array(["Mr.", "Mrs.", "Miss"])[draw.integers(0, 3, n)]
    texts = [f"{name}, {title} {other}" for title, name, other in zip(titles, draw.integers(0, 10**6, n), draw.integers(0, 10**6, n))]
    frame = pd.DataFrame({"who": texts, "age": draw.normal(40, 10, n)})
    return Table(frame, Schema((Column("who", ColumnType.TEXT), Column("age", ColumnType.NUMBER))))


class _ByTitle:
    """Answers by the title in a text."""

    def __init__(self, table):
        self.task, self.classes, self.columns, self.outputs, self.scale = (
            "classification",
            ("no", "yes"),
            table.columns,
            ("yes",),
            "probability",
        )
        self._kept = table

    def raw(self, table):
        return np.array([[0.9 if "Mr." in t else 0.1] for t in table.texts("who")])

    def background(self):
        return self._kept


@pytest.mark.parametrize("method", ["surrogate_tree", "anchors", "clauses"])
def test_a_text_is_split_by_its_words(method):
    table = _letters(400)
    made = explain(_ByTitle(table), table if method != "anchors" else table.take(slice(0, 4)), method=method, random_state=0)
    assert made.fidelity > 0.97
    said = {c for rule in made.rules for c in rule.conditions if c.startswith("who")}
    assert any("the word 'mr'" in c for c in said)
    assert all(" the word" in c for c in said)  # no whole texts


def test_words_join_into_one_condition():
    table = _letters(50)
    one, two, none = (Condition("who", kind, 0.0, (word,)) for kind, word in (("has", "mr"), ("has", "7"), ("lacks", "mrs")))
    both = merged([one, two, none])
    assert [c.text(table) for c in both] == ["who has the words 'mr' and '7'", "who lacks the word 'mrs'"]
    texts = [str(t) for t in table.texts("who")]
    np.testing.assert_array_equal(one.holds(table), ["Mr." in t for t in texts])
    np.testing.assert_array_equal(none.holds(table), ["Mrs." not in t for t in texts])
