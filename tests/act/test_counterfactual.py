"""Joint changes: valid, minimal where the minimum is known, diverse, and never silent."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from pellucid.act import act
from pellucid.table import read_table
from pellucid.testing.mixed import FEATURES, mixed
from pellucid.testing.predictors import FunctionPredictor, LinearPredictor, fit_network, made_frame, made_table, matrix


def applied(table, made, model):
    """Return the rows of all options, changed cell by cell, and the model's answers to them."""
    out = []
    for row, option in made.options[["row", "option"]].itertuples(index=False):
        frame = table.frame.loc[[row]].copy()
        mine = made.changes[(made.changes["row"] == row) & (made.changes["option"] == option)]
        for column, after in mine[["column", "after"]].itertuples(index=False):
            frame[column] = [after]
        out.append(frame)
    whole = made_table(pd.concat(out)).with_schema(table.schema)
    return whole, model.raw(whole)[:, 0]


def test_every_option_reaches_the_goal_and_keeps_the_rules():
    table = made_table(made_frame(120, 4, (3,), 0))
    model = FunctionPredictor(lambda x: x[:, 0] + x[:, 1] * x[:, 2] + (x[:, 4] == 2) - 2, table, classes=("no", "yes"), outputs=("yes",))
    rules = {"x1": "up", "x2": "never", "x3": (-2, 1), "joint": "if c1 == 'level 2' then x1 <= 1"}
    rows = table.take(slice(0, 60))
    made = act(model, rows, want="yes", rules=rules, method="counterfactual", random_state=0)
    whole, raw = applied(rows, made, model)
    assert len(made.options) > 50
    assert (raw > 0).all()
    own = rows.frame.loc[made.options["row"].to_numpy()].reset_index(drop=True)
    new = whole.frame.reset_index(drop=True)
    assert (new["x1"] >= own["x1"]).all()
    assert (new["x2"] == own["x2"]).all()
    moved = new["x3"] != own["x3"]
    assert new["x3"][moved].between(-2, 1).all()
    assert (~(new["c1"] == "level 2") | (new["x1"] <= 1)).all()
    assert set(made.options["prediction"]) == {"yes"}
    assert made.options["valid"].all()
    missing = set(rows.index[~made.reached]) - set(made.options["row"])
    assert missing == set(made.unreached["row"])


def test_the_number_of_columns_is_the_least_possible():
    """A conjunction of thresholds on binary columns: the least set is known by going through all."""
    rng = np.random.default_rng(0)
    table = made_table(pd.DataFrame(rng.integers(0, 2, (80, 6)).astype(float), columns=list("abcdef")))
    weights = np.array([3.0, 2.0, 2.0, 1.0, 1.0, 1.0])
    model = FunctionPredictor(lambda x: x @ weights - 6.5, table)
    rows = table.take(slice(0, 30))
    made = act(model, rows, want=">= 0", method="counterfactual", random_state=0)
    for i, row in enumerate(matrix(rows, model.columns)):
        if made.reached[i]:
            continue
        flips = (np.abs(row - np.array(z)) for z in itertools.product((0, 1), repeat=6))
        least = min(int((f != row).sum()) for f in flips if f @ weights >= 6.5)
        mine = made.options[made.options["row"] == rows.index[i]]
        assert mine["changes"].min() == least


def test_numbers_move_no_farther_than_they_must():
    table = made_table(pd.DataFrame(np.random.default_rng(0).normal(size=(200, 2)), columns=["a", "b"]))
    model = LinearPredictor([1.0, 0.0], table)
    rows = table.take(slice(0, 40))
    made = act(model, rows, want=">= 1", method="counterfactual", random_state=0)
    after = made.changes["after"].to_numpy(float)
    assert set(made.changes["column"]) == {"a"}
    assert (after >= 1).all()
    assert after.max() < 1.01  # a hundredth of a usual difference
    assert len(made.unreached) == 0


def test_options_of_a_row_ask_for_different_things():
    table = made_table(made_frame(150, 4, (), 0))
    model = FunctionPredictor(lambda x: np.maximum(x[:, 0], x[:, 1]) + np.maximum(x[:, 2], x[:, 3]) - 1.5, table)
    made = act(model, table.take(slice(0, 40)), want=">= 0", method="counterfactual", random_state=0)
    several = 0
    for _, mine in made.changes.groupby(["row"]):
        sets = [frozenset(part["column"]) for _, part in mine.groupby("option")]
        several += len(sets) > 1
        assert not any(a <= b for a, b in itertools.permutations(sets, 2))
    assert several > 10


def test_steps_days_levels_and_whole_numbers_stay_what_they_are():
    frame = mixed(200)
    whole = read_table(frame[FEATURES]).with_rules(income={"step": 500, "low": 0})

    def score(rows: pd.DataFrame) -> np.ndarray:
        age = pd.to_numeric(rows["age"]).fillna(40)
        days = (pd.to_datetime(rows["joined"]) - pd.Timestamp("2020-01-01")).dt.days
        return (age / 30 + rows["income"] / 30000 + days / 1500 + (rows["size"] == "large") - 4.5).to_numpy(float)

    made = act(score, whole.frame.head(60), want=">= 0", rules={"income": {"step": 500, "low": 0}}, background=whole.frame, random_state=0)
    assert len(made.options) > 20
    for column, before, after in made.changes[["column", "before", "after"]].itertuples(index=False):
        if column == "age":
            assert float(after).is_integer()
        if column == "income":
            assert abs((after - before) / 500 - round((after - before) / 500)) < 1e-6
        if column == "joined":
            assert pd.Timestamp(after) in set(frame["joined"])
        assert column != "note"


@pytest.mark.parametrize(
    ("want", "rules", "words"),
    [
        (">= 1000", {}, "short of it"),
        (">= 1", {"a": "never", "b": "never"}, "no column change"),
        (">= 1", {"joint": ["not changed(a)", "not changed(b)"]}, "joint rule"),
    ],
)
def test_what_is_not_found_says_why(want, rules, words):
    table = made_table(pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)), columns=["a", "b"]))
    model = LinearPredictor([1.0, 1.0], table)
    made = act(model, table, want=want, rules=rules, random_state=0)
    assert len(made.options) == 0
    assert len(made.unreached) == (~made.reached).sum() > 0
    assert made.unreached["why"].str.contains(words).all()


def test_a_budget_that_ends_the_search_is_said():
    table = made_table(made_frame(100, 6, (), 0))
    model = FunctionPredictor(lambda x: np.tanh(x).sum(1) - 3, table)
    made = act(model, table.take(slice(0, 30)), want=">= 0", method="counterfactual", budget=800, random_state=0)
    assert made.record.n_calls <= 800
    assert made.unreached["why"].str.contains("budget").any()


def test_a_network_is_searched_through_its_parts_and_asked_as_a_whole():
    table = made_table(made_frame(300, 4, (3,), 0))
    x = matrix(table, table.features)
    y = np.where(x[:, 0] + (x[:, 4] == 1) + 0.3 * np.random.default_rng(0).normal(size=300) > 0.6, "yes", "no")
    net = fit_network(table, y)
    rows = table.take(slice(0, 50))
    made = act(net, rows, want="yes", random_state=0)
    _, raw = applied(rows, made, net)
    assert (raw > 0).all()
    helps = made.changes.groupby("column").size()
    assert helps[["x1", "c1"]].sum() > 0.7 * helps.sum()
    unusual = made.options["plausible"]
    assert unusual.between(0, 1).all()
    assert unusual.mean() > 0.2


def test_a_far_change_is_less_plausible_than_a_near_one():
    rng = np.random.default_rng(0)
    table = made_table(pd.DataFrame({"a": rng.normal(size=300), "b": rng.normal(size=300)}))
    model = LinearPredictor([1.0, 0.0], table)
    asked = {"rules": {"a": (-10, 10)}, "method": "counterfactual", "random_state": 0}
    near, far = (act(model, table.take(slice(0, 60)), want=f">= {t}", **asked) for t in (0.5, 8))
    assert far.options["plausible"].max() < 0.01 < near.options["plausible"].median()
