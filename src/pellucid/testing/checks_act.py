"""Common checks of what a person can do: answers that fit the question, rules that are kept, options that hold when they are tried."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pellucid.errors import PellucidError
from pellucid.registry import Entry
from pellucid.results import Actions, Inquiry
from pellucid.table import Table
from pellucid.testing.checks import Check
from pellucid.testing.predictors import FunctionPredictor, made_frame, made_table

__all__ = ["CHECKS", "Actor", "subject"]

RULES = {"x1": "up", "x2": "never", "x3": (-1, 1), "c1": ["level 0", "level 2"], "joint": "if c1 == 'level 2' then x1 <= 1.5"}


@dataclass(frozen=True)
class Actor:
    """A method under check.

    Attributes
    ----------
    call : ``(model, table, *, want, rules, budget, random_state, options)`` to its result.
    gives : the result class. options : the names of its own settings.
    """

    call: Callable[..., Any]
    gives: str = "Actions"
    options: tuple[str, ...] = ()

    def __call__(self, model: Any, table: Table, seed: int = 0, **settings: Any) -> Any:
        made: Any = self.call(model, table, **{"want": "yes", "random_state": seed} | settings)
        return made


def subject(entry: Entry) -> Actor:
    """Return the registered method as the checks call it."""

    def call(model: Any, table: Table, **settings: Any) -> Any:
        from pellucid.act import act

        return act(model, table, method=entry.name, **settings)

    return Actor(call, entry.gives, tuple(entry.options))


def _score(x: Any) -> Any:
    return np.tanh(x[:, 0]) + x[:, 1] * x[:, 2] + 1.0 * (x[:, 4] == 2) - 0.8


def _case(n: int = 40, seed: int = 0) -> tuple[FunctionPredictor, Table]:
    table = made_table(made_frame(120, 4, (3,), seed))
    model = FunctionPredictor(_score, table, outputs=("yes",), classes=("no", "yes"), scale="log-odds")
    return model, table.take(slice(0, n))


def check_the_answer_fits_the_question(actor: Actor) -> None:
    """The result's class, one entry per row, shares within 0 and 1, readable forms, settings that can be replayed."""
    model, rows = _case()
    made = actor(model, rows)
    assert isinstance(made, Actions | Inquiry), f"the answer is no result but {type(made).__name__}"
    assert type(made).__name__ == actor.gives, f"the registry promises {actor.gives}, and {type(made).__name__} came"
    assert list(made.index) == list(rows.index), "the answer is about other rows"
    frame = made.to_frame()
    assert len(frame) >= len(rows), "the answer leaves rows out"
    assert json.loads(made.to_json())["record"]["settings"], "the settings are not recorded, so the answer cannot be replayed"
    assert "<table" in made._repr_html_(), "the answer has no table"
    shares = frame.select_dtypes("float").to_numpy()
    assert not ((shares < 0) | (shares > 1)).any(), "a share lies outside of 0 to 1"


def check_the_same_seed_gives_the_same_answer(actor: Actor) -> None:
    """Two calls with one seed agree to the last bit."""
    model, rows = _case()
    one, two = (actor(model, rows, seed=7) for _ in range(2))
    assert one.to_frame().equals(two.to_frame()), "two calls with the same seed gave different answers"
    if isinstance(one, Actions):
        assert one.changes.equals(two.changes), "two calls with the same seed proposed different changes"


def check_the_rows_are_untouched(actor: Actor) -> None:
    """The caller's frame is the same afterwards."""
    model, rows = _case()
    rows = rows.with_cells({c: copy.deepcopy(rows.frame[c].to_numpy()) for c in rows.columns})
    before = rows.frame.copy(deep=True)
    actor(model, rows, rules=RULES)
    assert before.equals(rows.frame), "the method changed the caller's table"


def check_each_row_answers_for_itself(actor: Actor) -> None:
    """Rows asked in another order, or fewer of them, get the same answers."""
    model, rows = _case()
    order = np.array([7, 3, 21, 0, 30])
    whole, few = actor(model, rows), actor(model, rows.take(order))
    whole_frame, few_frame = whole.to_frame(), few.to_frame()
    for label in few_frame["row"].unique():
        one, two = (f[f["row"] == label].reset_index(drop=True) for f in (whole_frame, few_frame))
        pd.testing.assert_frame_equal(one, two, obj=f"row {label} asked alone or among others")


def check_the_calls_are_counted(actor: Actor) -> None:
    """All model rows are counted; a budget is kept or refused."""
    for budget in (None, 30_000, 3_000):
        model, rows = _case()
        model.rows_asked = 0
        try:
            made = actor(model, rows, budget=budget)
        except PellucidError:
            assert budget is not None, "the method refuses to answer without a budget"
            continue
        used = model.rows_asked
        assert made.record.n_calls >= used, f"{used} model rows were evaluated and {made.record.n_calls} were counted"
        assert budget is None or used <= budget, f"{used} model rows were evaluated with a budget of {budget}"


def check_no_change_breaks_a_rule(actor: Actor) -> None:
    """Columns that never change are not proposed; every other change keeps direction, bounds, levels and joint rules."""
    model, rows = _case(60)
    made = actor(model, rows, rules=RULES)
    assert "x2" not in made.columns, "a column that never changes is named as one that may"
    for row, changed in _changed_rows(made, rows):
        own = rows.frame.loc[row]
        assert changed["x1"] >= own["x1"], f"row {row} is told to lower x1, which may only rise"
        assert changed["x2"] == own["x2"], f"row {row} is told to change x2, which never changes"
        assert changed["x3"] == own["x3"] or -1 <= changed["x3"] <= 1, f"row {row} is told to leave the bounds of x3"
        assert changed["c1"] == own["c1"] or changed["c1"] in ("level 0", "level 2"), f"row {row} is told a level that is not allowed"
        assert changed["c1"] != "level 2" or changed["x1"] <= 1.5, f"row {row} is told to break the joint rule"


def _changed_rows(made: Actions, rows: Table) -> list[tuple[Any, Any]]:
    """Return (row, its cells after the change) of each option."""
    out = []
    cells: Any
    for (row, _), mine in made.changes.groupby(["row", "option"]):
        cells = rows.frame.iloc[int(np.flatnonzero(rows.index == row)[0])].copy()
        cells[mine["column"].tolist()] = mine["after"].tolist()
        out.append((row, cells))
    return out


def check_every_option_holds_when_it_is_tried(actor: Actor) -> None:
    """The proposed rows, built cell by cell from what was written, get the wanted answer; a row has an option or a reason why not."""
    model, rows = _case(60)
    made = actor(model, rows, rules=RULES)
    tried = _changed_rows(made, rows)
    assert len(tried) == len(made.options), "an option has no changes"
    assert tried, "no option was found for anyone"
    frame = pd.DataFrame([cells for _, cells in tried]).astype(rows.frame.dtypes.to_dict())
    answers = model.raw(Table(frame, rows.schema))[:, 0]
    assert (answers > 0).all(), f"{int((answers <= 0).sum())} of {len(answers)} options do not reach the wanted answer"
    silent = set(made.index[~made.reached]) - set(made.options["row"]) - set(made.unreached["row"])
    assert not silent, f"nothing is said about rows {sorted(silent)[:5]}"


def check_shares_are_those_of_the_changes(actor: Actor) -> None:
    """On columns of few values the shares equal those found by going through all changes; people whom none helps are fixed."""
    rng = np.random.default_rng(0)
    table = made_table(pd.DataFrame(rng.integers(0, 4, (60, 3)).astype(float), columns=["a", "b", "c"]))
    model = FunctionPredictor(
        lambda x: x[:, 0] + 2 * x[:, 1] - x[:, 2] - 6.5, table, outputs=("yes",), classes=("no", "yes"), scale="log-odds"
    )
    made = actor(model, table, rules={"c": "never"})
    x = table.frame.to_numpy()
    for p, j in enumerate([0, 1]):
        other = np.repeat(x[:, None], 4, 1)
        other[:, :, j] = np.arange(4)
        hit = model.function(other.reshape(-1, 3)).reshape(60, 4) > 0
        truth = np.where(np.arange(4) != x[:, [j]], hit, 0).sum(1) / 3
        assert np.allclose(made.responsiveness[:, p], truth), f"the share of column {made.columns[p]!r} is not that of its changes"
    stuck = ~made.reached & (made.responsiveness == 0).all(1)
    assert (made.fixed == stuck).all(), "people whom no single change helps are not named, or others are"


def check_asking_ends_with_the_decision(actor: Actor) -> None:
    """No column is asked twice; where no doubt is allowed the decision is that on the whole row."""
    model, rows = _case()
    made: Inquiry = actor(model, rows)
    for i in range(len(made)):
        asked = made.asked(i)
        assert len(set(asked)) == len(asked) == made.n_asked[i], f"row {made.index[i]} is asked {asked} for {made.n_asked[i]} cells"
    strict = actor(model, rows, options={"delta": 0.0})
    assert (strict.decision == strict.whole).all(), "with no doubt allowed the decision is not that on the whole row"
    right = np.where(model.raw(rows)[:, 0] > 0, "yes", "no")
    assert (strict.whole == right).all(), "the decision on the whole row is not the model's"
    share = (made.decision == made.whole).mean()
    assert share > 0.95 - 4 * np.sqrt(0.05 * 0.95 / len(made)), f"only {share:.0%} of the decisions stay with 5 % doubt allowed"


def _actions(entry: Entry) -> bool:
    return entry.gives == "Actions"


CHECKS: tuple[Check, ...] = (
    Check(check_the_answer_fits_the_question, lambda e: True),
    Check(check_the_same_seed_gives_the_same_answer, lambda e: True),
    Check(check_the_rows_are_untouched, lambda e: True),
    Check(check_each_row_answers_for_itself, lambda e: True),
    Check(check_the_calls_are_counted, lambda e: True),
    Check(check_no_change_breaks_a_rule, _actions),
    Check(check_every_option_holds_when_it_is_tried, lambda e: "donors" in e.options),
    Check(check_shares_are_those_of_the_changes, lambda e: _actions(e) and "draws" in e.options),
    Check(check_asking_ends_with_the_decision, lambda e: e.gives == "Inquiry"),
)
"""For every entry of kind ``act``."""
