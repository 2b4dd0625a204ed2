"""Common checks of fills: what a rule that touches cells must keep to. A subject is the name of a rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pellucid import registry
from pellucid.encode.filling import TableFill
from pellucid.registry import Entry
from pellucid.table import Table, read_table
from pellucid.testing.checks import Check

__all__ = ["CHECKS", "Filled", "gappy", "subject"]


@dataclass(frozen=True)
class Filled:
    """A rule under check. ``maker`` : ``(table, rule) -> fitted rules``, replaced by saboteurs."""

    name: str
    ordered: bool
    maker: Any = TableFill.fit

    def fit(self, table: Table) -> Any:
        """Return the fitted rules."""
        return self.maker(table, self.name)


def subject(entry: Entry) -> Filled:
    """Return the rule as the checks call it."""
    return Filled(entry.name, bool(registry.resolve(entry).ordered))


def gappy(n: int = 240, seed: int = 0, share: float = 0.15) -> Table:
    """Return a table of numbers, levels and dates of which some cells are missing, with a declared order and groups."""
    draw = np.random.default_rng(seed)
    x = draw.normal(50, 10, n)
    frame = pd.DataFrame(
        {
            "age": x,
            "dose": 2 * x + draw.normal(0, 4, n),
            "kind": np.where(x + draw.normal(0, 5, n) > 50, "heavy", "light"),
            "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(draw.integers(0, 400, n), "D"),
        }
    ).mask(draw.random((n, 4)) < share)
    frame["visit"], frame["patient"] = np.arange(n) % 12, np.arange(n) // 12
    return read_table(frame, types={"patient": "category"}).with_roles(order="visit", group="patient")


def check_every_gap_is_filled_and_nothing_else_is_touched(filled: Filled) -> None:
    """Missing cells of the asked columns are filled, all other cells stay to the bit."""
    table = gappy()
    rules = filled.fit(table)
    before = rules.values(table)
    after, changed = rules.complete(table)
    assert not np.isnan(after).any(), "some gaps were left"
    assert np.array_equal(np.isnan(before), changed), "the list of filled cells is not the list of gaps"
    assert np.array_equal(before[~changed], after[~changed]), "a cell that was known was changed"


def check_what_is_put_in_is_a_value_of_the_column(filled: Filled) -> None:
    """Levels are levels of training; numbers lie in the range of training (a constant of the user's aside)."""
    table = gappy()
    rules = filled.fit(table)
    after, changed = rules.complete(table)
    known = rules.values(table)
    for j, name in enumerate(rules.columns.names):
        put_in = after[changed[:, j], j]
        if rules.columns.is_level[j]:
            assert np.isin(put_in, np.arange(len(rules.levels[name].levels))).all(), f"{name!r} was filled with what is no level"
        elif filled.name != "constant":
            assert put_in.min() >= np.nanmin(known[:, j]) - 1e-9, f"{name!r} was filled below its range"
            assert put_in.max() <= np.nanmax(known[:, j]) + 1e-9, f"{name!r} was filled above its range"


def check_it_learns_from_training_rows_alone(filled: Filled) -> None:
    """Other new rows do not change what a new row is filled with, and new rows teach nothing."""
    table = gappy()
    rules = filled.fit(table.take(slice(0, 120)))
    whole, _ = rules.complete(table)
    alone, _ = rules.complete(table.take(slice(120, 240)))
    assert np.allclose(whole[120:], alone, rtol=1e-9, atol=1e-6, equal_nan=True), "a row is filled otherwise in other company"


def check_the_same_seed_fills_the_same(filled: Filled) -> None:
    """Fitted twice on the same rows it fills the same, in any order of the rows."""
    table = gappy()
    one, _ = filled.fit(table).complete(table)
    two, _ = filled.fit(table).complete(table)
    assert np.array_equal(one, two), "the same seed fills otherwise"
    mixed = np.random.default_rng(1).permutation(len(table))
    turned, _ = filled.fit(table).complete(table.take(mixed))
    assert np.allclose(turned, one[mixed], rtol=1e-9, atol=1e-6), "the order of the rows in memory changes what is filled"


def check_its_state_makes_the_round_trip(filled: Filled) -> None:
    """Rules from their state, through JSON, fill the same."""
    import json

    table = gappy()
    rules = filled.fit(table)
    text = json.dumps(rules.state(), default=lambda a: a.tolist() if hasattr(a, "tolist") else str(a))
    again = TableFill.from_state(json.loads(text))
    one, two = rules.complete(table)[0], again.complete(table)[0]
    assert np.array_equal(one, two), "rules from their state fill otherwise"


def _puts_in(entry: Entry) -> bool:
    return entry.name != "learned"


CHECKS: tuple[Check, ...] = (
    Check(check_every_gap_is_filled_and_nothing_else_is_touched, _puts_in),
    Check(check_what_is_put_in_is_a_value_of_the_column, _puts_in),
    Check(check_it_learns_from_training_rows_alone, lambda e: True),
    Check(check_the_same_seed_fills_the_same, lambda e: e.name != "learned"),
    Check(check_its_state_makes_the_round_trip, lambda e: e.name != "learned"),
)
