"""Common checks of explainers whose answer is no table of contributions: interactions, curves, rules, neighbours.

What every answer must keep: a frame that is not empty, the same answer from the same seed, untouched input, a budget that is kept, JSON
that says the same, settings that can be replayed.
"""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import numpy as np

from pellucid.errors import PellucidError
from pellucid.registry import Entry
from pellucid.results import Result
from pellucid.table import ColumnType, Schema, Table
from pellucid.testing.checks import Check
from pellucid.testing.checks_explainer import Explainer, network_of, subject
from pellucid.testing.predictors import FunctionPredictor, TinyNetwork, made_frame, made_table

__all__ = ["CHECKS", "subject"]


def _table(explainer: Explainer, numbers: int, levels: tuple[int, ...]) -> Table:
    """Return rows of number columns and, where the method reads them, a category column; for methods of words it is a text column."""
    wordy = "text" in explainer.needs
    table = made_table(made_frame(90, numbers, (3,) if wordy else (() if "numbers" in explainer.needs else levels), 0))
    return _worded(table) if wordy else table


def _worded(table: Table) -> Table:
    """Return the table with its category columns as text; the double still knows their levels."""
    kinds = {ColumnType.CATEGORY: ColumnType.TEXT}
    return table.with_schema(Schema(tuple(replace(c, type=kinds.get(c.type, c.type)) for c in table.schema)))


def _answer(explainer: Explainer, seed: int = 0) -> tuple[TinyNetwork, Any, Any, Result]:
    table = _table(explainer, 4, (3,))
    background, rows = table.take(slice(0, 30)), table.take(slice(30, 70))
    model = network_of(explainer.needs)(background, seed=0)
    made: Any = explainer(model, rows, background, seed=seed)
    return model, rows, background, made


def check_the_answer_can_be_read(explainer: Explainer) -> None:
    """A frame with lines, JSON that parses, HTML, and settings from which the answer can be replayed."""
    *_, made = _answer(explainer)
    assert isinstance(made, Result), f"the answer is no result but {type(made).__name__}"
    frame = made.to_frame()
    assert len(frame) > 0, "the answer is empty"
    numbers = frame.select_dtypes("number").to_numpy()
    assert not np.isinf(numbers).any(), "the answer holds infinite values"
    assert json.loads(made.to_json())["record"]["settings"], "the settings are not recorded, so the answer cannot be replayed"
    assert "<table" in made._repr_html_(), "the answer has no table"


def check_the_same_seed_gives_the_same_answer(explainer: Explainer) -> None:
    """Two calls with one seed agree to the last bit."""
    one, two = (_answer(explainer, seed=7)[3].to_frame() for _ in range(2))
    assert one.equals(two), "two calls with the same seed gave different answers"


def check_the_rows_are_untouched(explainer: Explainer) -> None:
    """The caller's frames are the same afterwards."""
    table = _table(explainer, 4, (3,))
    background, rows = (replace(t, frame=copy.deepcopy(t.frame)) for t in (table.take(slice(0, 30)), table.take(slice(30, 70))))
    before = [t.frame.copy(deep=True) for t in (rows, background)]
    explainer(network_of(explainer.needs)(background, seed=0), rows, background)
    for frame, after in zip(before, (rows, background)):
        assert frame.equals(after.frame), "the method changed the caller's table"


def check_the_calls_are_counted(explainer: Explainer) -> None:
    """All model rows are counted; a budget is kept or refused."""
    table = _table(explainer, 6, ())
    background, rows = table.take(slice(0, 20)), table.take(slice(20, 60))
    model = FunctionPredictor(lambda x: np.tanh(x).prod(1) + x[:, 0] * x[:, 1], background)
    for budget in (None, 20_000):
        labels = len(rows) if "labels" in explainer.needs else 0
        model.rows_asked = 0
        try:
            made = explainer(model, rows, background, budget=budget)
        except PellucidError:
            assert budget is not None, "the method refuses to answer without a budget"
            continue
        used = model.rows_asked - labels
        assert made.record.n_calls >= used, f"{used} model rows were evaluated and {made.record.n_calls} were counted"
        assert budget is None or used <= budget, f"{used} model rows were evaluated with a budget of {budget}"


CHECKS: tuple[Check, ...] = (
    Check(check_the_answer_can_be_read, lambda e: True),
    Check(check_the_same_seed_gives_the_same_answer, lambda e: True),
    Check(check_the_rows_are_untouched, lambda e: True),
    Check(check_the_calls_are_counted, lambda e: not {"gradients", "parts", "hidden"} & set(e.needs)),
)
"""For every entry of kind ``explain`` that gives something else than contributions or importance."""


def applies(entry: Entry) -> bool:
    """Return whether these are an explainer's checks."""
    return entry.gives not in ("Explanation", "Importance")
