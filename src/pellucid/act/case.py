"""A question about what can be done, made ready: who asks, what is wanted, what may change, at what cost."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.act.changes import Changes
from pellucid.act.goal import Goal
from pellucid.errors import ArgumentError, EmptyTableError, RequestError
from pellucid.probe.budget import Budget, too_small
from pellucid.probe.foreign import as_predictor
from pellucid.probe.view import View
from pellucid.protocols import FloatArray
from pellucid.random import as_seed
from pellucid.registry import Entry
from pellucid.results import RunRecord
from pellucid.table import Schema, Table
from pellucid.table.rules import FREE

__all__ = ["Case", "ask"]

CHUNK = 50_000  # changed rows evaluated at once


@dataclass(frozen=True)
class Case:
    """Everything a method of kind ``act`` needs, checked.

    Attributes
    ----------
    method : registry name.
    model : what the caller handed over.
    view : all outputs of the predictor; counts the rows it evaluates.
    table : the N rows; kept : training rows. changes : what the rules allow. goal : the wanted answer; None where none was named.
    budget, seed, options, settings : as asked.
    """

    method: str
    model: Any
    view: View
    table: Table
    kept: Table
    changes: Changes
    goal: Goal | None
    budget: Budget
    seed: int
    options: Mapping[str, Any]
    settings: Mapping[str, Any]
    started: float = field(default_factory=time.perf_counter)

    @property
    def wanted(self) -> Goal:
        """The goal; an error where none was named."""
        return self.goal if self.goal is not None else Goal.of(self.view, None)

    def answers(self, rows: npt.NDArray[np.int64], codes: FloatArray) -> FloatArray:
        """Return the model's answers (n, O) to changed rows, through its whole pipeline."""
        parts = [
            self.view.raw(self.changes.cells(rows[s : s + CHUNK], codes[s : s + CHUNK])) for s in range(0, len(rows), CHUNK)
        ]  # fmt: skip
        return np.concatenate(parts) if parts else np.zeros((0, len(self.view.outputs)))

    def affords(self, rows: int) -> bool:
        """Return whether so many more model rows are within the budget."""
        late = self.budget.seconds is not None and time.perf_counter() - self.started > self.budget.seconds
        return not late and (self.budget.rows is None or self.view.n_calls + rows <= self.budget.rows)

    def need(self, rows: int) -> None:
        """Raise where so many more model rows are not within the budget."""
        if self.budget.rows is not None and self.view.n_calls + rows > self.budget.rows:
            raise too_small(f"for {len(self.table)} rows", self.view.n_calls + rows, self.budget.rows, "ask about fewer rows")

    def left(self) -> Budget:
        """Return what is left of the budget, for another method to spend."""
        self.need(1)
        seconds = None if self.budget.seconds is None else max(0.01, self.budget.seconds - (time.perf_counter() - self.started))
        return Budget(None if self.budget.rows is None else self.budget.rows - self.view.n_calls, seconds)

    def _unruled(self) -> tuple[str, ...]:
        """Return what to know of changes that no rule binds, where changes are asked for."""
        bound = any(rule != FREE for rule in self.changes.rules) or self.changes.schema.rules
        return () if bound or self.method == "minimize" else (LAWLESS,)  # minimize asks less and changes nothing

    def record(self, settings: Mapping[str, Any] | None = None, caveats: Sequence[str] = ()) -> RunRecord:
        """Return the record of the answer, complete for replay."""
        return RunRecord(
            method=self.method,
            settings={**self.settings, **(settings or {})},
            seed=self.seed,
            data=self.table.fingerprint(),
            duration=time.perf_counter() - self.started,
            n_calls=self.view.n_calls,
            caveats=tuple(dict.fromkeys((*self._unruled(), *caveats))),
        )


LAWLESS = (
    "no rules were given: every column but text counts as one that a person can change, such as age or origin; say which may change by "
    "rules (--rules)"
)


def ask(
    model: Any, X: Any, *, entry: Entry, want: Any, rules: Any, background: Any, budget: Any, random_state: Any,
    options: Mapping[str, Any] | None,
) -> Case:  # fmt: skip
    """Return the case, or an error that says what is wrong with it. See :func:`pellucid.act.act`."""
    chosen = entry.settled(options, "{'draws': 500}")
    view = View(as_predictor(model, X, background))
    table = view.read(X)
    if len(table) == 0:
        raise EmptyTableError("there are no rows to ask about")
    table = table.select(view.columns)
    kept = view.background() if background is None else view.read(background)
    if kept is None or len(kept) == 0:
        raise RequestError("the model kept no rows to compare with", do="pass background=, or fit with keep_rows above 0")
    kept = kept.select(view.columns)
    schema = with_rules(_declared(table.schema, X), rules)
    changes = Changes(table, kept, schema)
    goal = None if want is None and "goal" not in entry.needs else Goal.of(view, want)
    settings = {
        "want": None if goal is None else goal.words, "rules": changes.words(), "scale": view.scale, "budget": budget,
        "background_rows": len(kept), "background": kept.fingerprint(), "options": {k: str(v) for k, v in chosen.items()},
    }  # fmt: skip
    return Case(
        entry.name, model, view, table, kept, changes, goal, Budget.of(budget), as_seed(random_state), chosen, settings
    )  # fmt: skip


def _declared(schema: Schema, X: Any) -> Schema:
    """Return the schema with the rules that the caller's own table declares: a model knows those of its training table."""
    if not isinstance(X, Table):
        return schema
    own = tuple(replace(c, rule=X.schema[c.name].rule) if c.name in X.schema and X.schema[c.name].rule != FREE else c for c in schema)
    return Schema(own, tuple(dict.fromkeys((*schema.rules, *X.schema.rules))))


def with_rules(schema: Schema, rules: Any) -> Schema:
    """Return the schema with more rules: a mapping of columns to rules (``"joint"``: texts), a joint rule in text, or a list of these.

    Examples
    --------
    >>> from pellucid.table import Column, ColumnType
    >>> schema = Schema((Column("age", ColumnType.NUMBER), Column("hours", ColumnType.NUMBER)))
    >>> with_rules(schema, [{"age": "never"}, "hours <= 60"]).rules
    ('hours <= 60',)
    """
    if rules is None:
        return schema
    if isinstance(rules, str):
        return schema.with_rules(rules)
    if isinstance(rules, Mapping):
        single = {str(k): v for k, v in rules.items() if k != "joint" or k in schema}
        joint = () if "joint" in schema else rules.get("joint", ())
        return schema.with_rules(*((joint,) if isinstance(joint, str) else joint), **single)
    if isinstance(rules, list | tuple):
        for rule in rules:
            schema = with_rules(schema, rule)
        return schema
    raise ArgumentError("rules cannot be used", expected="a mapping such as {'age': 'never'}, text or a list", got=type(rules).__name__)
