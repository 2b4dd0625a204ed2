"""Reading a method's own settings: whole numbers, shares, names of columns, rows within a budget."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError, did_you_mean, quote
from pellucid.explain.question import Question
from pellucid.probe.budget import too_small
from pellucid.random import stream

__all__ = ["affordable", "columns", "flag", "late", "no_groups", "number", "one_of", "rows_allowed", "sample", "whole"]

Ints = npt.NDArray[np.int64]
PILOT = 256
"""Rows on which a model is timed where the budget is in seconds."""


def whole(question: Question, name: str, low: int, high: int) -> int:
    """Return a setting that must be a whole number from ``low`` to ``high``."""
    value: Any = question.options[name]
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise RequestError(f"the option {name!r} cannot be used", expected=f"a whole number from {low} to {high}", got=repr(value))
    return int(value)


def number(question: Question, name: str, low: float, high: float) -> float:
    """Return a setting that must be a number above ``low`` and below ``high``."""
    value: Any = question.options[name]
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not low < value < high:
        raise RequestError(f"the option {name!r} cannot be used", expected=f"a number between {low:g} and {high:g}", got=repr(value))
    return float(value)


def flag(question: Question, name: str) -> bool:
    """Return a setting that must be True or False."""
    value: Any = question.options[name]
    if not isinstance(value, bool):
        raise RequestError(f"the option {name!r} cannot be used", expected="True or False", got=repr(value))
    return value


def columns(question: Question, known: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the setting ``columns`` as names, or None where nothing was chosen."""
    value: Any = question.options["columns"]
    if value is None:
        return None
    names = (value,) if isinstance(value, str) else tuple(value)
    for name in names:
        if name not in known:
            raise RequestError(
                f"there is no column {name!r} to speak of",
                expected=f"one of {quote(known, 12)}",
                do=did_you_mean(name, known),
            )
    if not names:
        raise RequestError("no column is chosen", expected=f"at least one of {quote(known, 12)}")
    return tuple(dict.fromkeys(names))


def no_groups(question: Question) -> None:
    """Refuse groups where a method speaks of single columns."""
    if question.players.names != tuple(question.view.columns):
        raise RequestError(f"{question.method!r} speaks of single columns", expected="no groups=", do="leave groups= out")


def one_of(question: Question, name: str, choices: tuple[str, ...]) -> str:
    """Return a setting that must be one of some words."""
    value: Any = question.options[name]
    if value not in choices:
        raise RequestError(f"the option {name!r} cannot be used", expected=f"one of {quote(choices)}", got=repr(value))
    return str(value)


def rows_allowed(question: Question) -> int | None:
    """Return how many model rows the budget allows, None for any number.

    Seconds become rows by timing the model on a few rows, with a quarter kept back: what cannot be stopped half way is planned.
    """
    if question.budget.seconds is None:
        return question.budget.rows
    few = question.table.take(slice(0, PILOT))
    question.view.raw(few)  # the first call may load and compile
    began = time.perf_counter()
    question.view.raw(few)
    each = max(time.perf_counter() - began, 1e-6) / len(few)
    left = question.budget.seconds - (time.perf_counter() - question.started)
    return max(0, int(0.75 * left / each))


def affordable(question: Question, most: int, cost: float, fixed: float = 0.0, least: int = 2) -> int:
    """Return how many rows to use: ``most``, or as many as the budget pays for.

    Parameters
    ----------
    most : rows used where the budget allows. cost, fixed : model rows per row used, and besides. least : fewest rows that make an answer.
    """
    budget = rows_allowed(question)
    if budget is None:
        return most
    rows = min(most, int((budget - fixed) // max(cost, 1e-12)))
    if rows < min(least, most):
        raise too_small("", min(least, most) * cost + fixed, budget, "ask about fewer columns")
    return rows


def sample(question: Question, size: int, name: str = "rows") -> Ints:
    """Return the positions of ``size`` of the question's rows, drawn without replacement, in order; all of them where there are no more."""
    n = len(question.table)
    if n <= size:
        return np.arange(n)
    return np.sort(stream(question.seed, question.method, name).choice(n, size, replace=False))


def late(question: Question) -> bool:
    """Return whether the seconds of the budget are spent."""
    return question.budget.seconds is not None and time.perf_counter() - question.started > question.budget.seconds
