"""Checks of single explainers that claim no axiom: each on a problem whose right answer is counted or enumerated, and no common check asks.

The subject is the :class:`~pellucid.testing.checks_explainer.Explainer` of the method. ``DOUBLES`` holds the wrong answers on which each
check goes red: values of the right size, for every column of every row, that say something else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from pellucid.evaluate.case import cube
from pellucid.explain import explain
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.registry import Entry
from pellucid.table import Table, read_table
from pellucid.testing import oracles
from pellucid.testing.checks import Check
from pellucid.testing.checks_explainer import ERRORS, Explainer
from pellucid.testing.predictors import FunctionPredictor, made_frame, made_table

__all__ = ["CHECKS", "DOUBLES"]


class _Sure:
    """A model that is sure of itself everywhere, and looks at ``b`` alone."""

    classes_ = np.array(["no", "yes"])

    def predict_proba(self, frame: pd.DataFrame) -> FloatArray:
        """Return probabilities (N, 2)."""
        p = np.where(frame["b"] > 0, 1.0, 0.0)
        return np.stack([1 - p, p], 1)


def _known() -> tuple[_Sure, Table, Table]:
    """Return (the model, rows with a and b above a half, known rows whose labels follow a and b)."""
    draw = stream(0, "known rows")
    frame = pd.DataFrame(draw.standard_normal((500, 3)), columns=["a", "b", "c"])
    chance = np.where(frame["b"] > 0, np.where(frame["a"] > 0, 0.98, 0.6), 0.02)
    frame["y"] = np.where(draw.random(500) < chance, "yes", "no")
    rows = frame.iloc[400:].drop(columns="y")
    return _Sure(), made_table(rows[(rows["a"] > 0.5) & (rows["b"] > 0.5)]), read_table(frame.iloc[:400], target="y")


def check_known_rows_bear_the_answer_out(explainer: Explainer) -> None:
    """A column that the known labels follow counts where the model does not read it; one that neither follows does not."""
    a, b, c = cube(explainer(*_known())).mean((0, 2))
    assert b > a > 0.05, f"b, a get {b:.2f}, {a:.2f}: known rows of a below 0 bear the answer out less often, and the values do not say so"
    assert abs(c) < a / 2, f"a column that no label follows gets {c:.2f}, beside {a:.2f} of one they follow"


def _drawn() -> tuple[FunctionPredictor, Table, Table]:
    """Return (a model with interactions, 12 rows, 8 background rows)."""
    table = made_table(made_frame(20, 6, ()))
    background = table.take(slice(12, 20))
    model = FunctionPredictor(lambda x: x[:, 0] * x[:, 1] + x[:, 2] * (x[:, 3] > 0) + 0.5 * x[:, 4], background)
    return model, table.take(slice(0, 12)), background


def check_columns_drawn_anew_move_the_answer(explainer: Explainer) -> None:
    """Values are how much farther the answer moves in rounds that draw a column anew: of all rounds there are, within the stated errors."""
    model, rows, background = _drawn()
    made = explainer(model, rows, background)
    assert made.error is not None, "rounds are drawn at random, and no error is stated"
    error = np.asarray(made.error, float).reshape(cube(made).shape)
    off = np.abs(cube(made)[..., 0] - oracles.redrawn(model, rows, background)) / np.maximum(error[..., 0], 1e-12)
    assert off.max() <= ERRORS, f"values are up to {off.max():.1f} stated errors off what all rounds give"


def _is(name: str) -> Callable[[Entry], bool]:
    return lambda entry: entry.name == name


CHECKS: tuple[Check, ...] = (
    Check(check_known_rows_bear_the_answer_out, _is("conformity")),
    Check(check_columns_drawn_anew_move_the_answer, _is("reagent")),
)


def _asks_the_model(predictor: Any, X: Table, *, background: Table, random_state: int, **_: Any) -> Any:
    """Lets known rows speak by what the model answers to them, and not by what they were."""
    said = predictor.classes_[predictor.predict_proba(background.frame).argmax(1)]
    known = background.with_cells({str(background.target): said.astype(object)})
    return explain(predictor, X, method="conformity", background=known, random_state=random_state)


def _counts_what_speaks_against(predictor: Any, X: Table, *, background: Table, random_state: int, **_: Any) -> Any:
    """Gives by how much the support rises where it falls."""
    made = explain(predictor, X, method="conformity", background=background, random_state=random_state)
    return replace(made, values=-made.values)


def _redrawn(change: Callable[[FloatArray, FloatArray], FloatArray]) -> Callable[..., Any]:
    """Return the double whose values (N, P) come from the right answer and from the one that keeps the direction of the moves."""

    def call(predictor: Any, X: Table, *, background: Table, random_state: int, **_: Any) -> Any:
        made = explain(predictor, X, method="reagent", background=background, random_state=random_state)
        right, signed = (oracles.redrawn(predictor, X, background, sizes=s) for s in (True, False))
        return replace(made, values=change(right, signed))

    return call


DOUBLES: dict[str, tuple[Callable[..., Any], ...]] = {
    "known_rows_bear_the_answer_out": (_asks_the_model, _counts_what_speaks_against),
    "columns_drawn_anew_move_the_answer": (
        _redrawn(lambda right, signed: -right),  # the rounds that draw a column taken for those that leave it
        _redrawn(lambda right, signed: signed),  # moves that go both ways cancel
        _redrawn(lambda right, signed: right / right.sum(1, keepdims=True)),  # shares of a row are no moves
    ),
}
"""By check, the answers on which it must go red."""
