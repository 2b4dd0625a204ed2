"""Deliberately wrong fills and scales: on each of them one common check goes red."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pellucid.encode.filling import TableFill
from pellucid.encode.scales import minmax
from pellucid.table import Table
from pellucid.testing.checks_fill import Filled

__all__ = ["FILLS", "SCALES"]


class _Wrong:
    """Rules fitted as they should be, with one thing wrong."""

    def __init__(self, table: Table, rule: str) -> None:
        self.inner = TableFill.fit(table, rule)
        self.columns, self.levels = self.inner.columns, self.inner.levels

    def values(self, table: Table) -> Any:
        return self.inner.values(table)

    def complete(self, table: Table) -> Any:
        return self.inner.complete(table)

    def state(self) -> Any:
        return self.inner.state()


class _Tidies(_Wrong):
    """Rounds known cells by the way."""

    def complete(self, table: Table) -> Any:
        after, changed = self.inner.complete(table)
        return np.round(after), changed


class _AveragesCodes(_Wrong):
    """Takes the mean of level codes."""

    def complete(self, table: Table) -> Any:
        after, changed = self.inner.complete(table)
        return np.where(changed & self.columns.is_level, 0.5, after), changed


class _LearnsAgain(_Wrong):
    """Takes the mean of whatever rows it is asked about."""

    def complete(self, table: Table) -> Any:
        values = self.inner.values(table)
        return np.where(np.isnan(values), np.nanmean(values, axis=0), values), np.isnan(values)


class _Dices(_Wrong):
    """Draws anew every time."""

    draws = np.random.default_rng(0)

    def complete(self, table: Table) -> Any:
        after, changed = self.inner.complete(table)
        return np.where(changed, after + self.draws.random(after.shape), after), changed


class _Forgets(_Wrong):
    """Saves other values than it learned."""

    def state(self) -> Any:
        made = self.inner.state()
        for rule in made["rules"]:
            rule["learned"]["values"] = np.asarray(rule["learned"]["values"]) + 1.0
        return made


FILLS: Mapping[str, Filled] = {
    "every_gap_is_filled_and_nothing_else_is_touched": Filled("mean", False, _Tidies),
    "what_is_put_in_is_a_value_of_the_column": Filled("mean", False, _AveragesCodes),
    "it_learns_from_training_rows_alone": Filled("mean", False, _LearnsAgain),
    "the_same_seed_fills_the_same": Filled("mean", False, _Dices),
    "its_state_makes_the_round_trip": Filled("median", False, _Forgets),
}
"""By check of :mod:`pellucid.testing.checks_fill`."""


def _levels_off(values: Any, mass: Any) -> Any:
    x, z = minmax(values, mass)
    return x, np.minimum(z, 0.0)


def _divides_by_zero(values: Any, mass: Any) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        return values, (values - values.min(initial=np.inf)) / np.ptp(values) if len(values) else values


def _in_units(values: Any, mass: Any) -> Any:
    return values, values


SCALES: Mapping[str, Any] = {
    "it_rises_and_comes_back": _levels_off,
    "one_value_and_none_are_safe": _divides_by_zero,
    "another_unit_changes_nothing": _in_units,
}
"""By check of :mod:`pellucid.testing.checks_scale`."""
