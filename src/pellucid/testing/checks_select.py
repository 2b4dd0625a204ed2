"""Common checks of selectors: false discoveries stay below the level, planted columns are found, answers can be read and repeated.

Draws come from the exact conditional distribution, so that what is checked is the method.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.registry import Entry
from pellucid.results import Selection
from pellucid.table import Table
from pellucid.testing.checks import Check
from pellucid.testing.predictors import LinearPredictor, made_table, matrix
from pellucid.testing.samplers import GaussianRows

__all__ = ["CHECKS", "Selector", "World", "discoveries", "subject", "world"]

LEVEL = 0.2
COLUMNS, PLANTED = 6, 2
SHORT, LONG = 30, 500
POWER = 0.8


@dataclass(frozen=True)
class World:
    """Rows with planted columns x1, x2: whole tables in which the target reads them alone, or rows in which their cells are unusual.

    Attributes
    ----------
    sampler : exact. model : linear; fitted on other rows, so that it reads the null columns a little. table, y : rows and targets.
        reference : ordinary
    rows.
    """

    sampler: GaussianRows
    model: LinearPredictor
    table: Table
    y: FloatArray
    reference: Table


@dataclass(frozen=True)
class Selector:
    """A method under check: ``call(world, seed) -> Selection``; ``rows``: it speaks of single rows; ``asks``: it asks a model."""

    call: Callable[[World, int], Selection]
    rows: bool
    asks: bool = True

    def __call__(self, here: World, seed: int) -> Selection:
        return self.call(here, seed)


def subject(entry: Entry) -> Selector:
    """Return the registered method on a world."""
    rows, asks = "whole table" not in entry.needs, bool({"labels", "black box"} & set(entry.needs))

    def call(here: World, seed: int) -> Selection:
        from pellucid.select import select

        shared: dict[str, Any] = {"background": here.reference, "sampler": here.sampler, "level": LEVEL, "random_state": seed}
        if not asks:  # the target is asked, not a model: a model fitted on noise reads every column
            cells = {c: here.table.numbers(c) for c in here.table.columns}
            return select(made_table(cells | {"y": here.y}, target="y"), method=entry.name, **shared)
        labels: dict[str, Any] = {"y": here.y} if "labels" in entry.needs else {}
        return select(here.model, X=here.table, method=entry.name, **shared, **labels)

    return Selector(call, rows, asks)


def world(seed: int, *, rows: bool, planted: bool = True) -> World:
    """Return a world; without ``planted`` columns every null holds."""
    sampler = GaussianRows.equal(COLUMNS, 0.3)
    draw = stream(seed, "world")
    weights = np.zeros(COLUMNS)
    weights[:PLANTED] = 1.0 if planted else 0.0
    if not rows:
        train, table = sampler.rows(200, seed), sampler.rows(200, seed + 10**6)
        goals = [matrix(t, t.columns) @ weights + 0.5 * draw.standard_normal(len(t)) for t in (train, table)]
        fitted = np.linalg.lstsq(matrix(train, train.columns), goals[0], rcond=None)[0]
        return World(sampler, LinearPredictor(fitted.tolist(), train), table, goals[1], train)
    table = sampler.rows(30, seed)
    if planted:  # cells far from what the rest of the row suggests; the others are drawn anew given those
        side = draw.choice([-5.0, 5.0], len(table))
        table = table.with_cells({f"x{j + 1}": side for j in range(PLANTED)})
        known = np.tile(np.arange(COLUMNS) < PLANTED, (len(table), 1))
        (table,) = sampler.sample(table, known, 1, seed)
    reference = sampler.rows(100, seed + 10**6)
    return World(sampler, LinearPredictor([1.0] * COLUMNS, reference), table, np.zeros(len(table)), reference)


def discoveries(selector: Selector, runs: int, *, planted: bool = True) -> tuple[FloatArray, FloatArray]:
    """Return (share of false ones among the chosen, share of the planted ones found) of each run, (runs,) each."""
    false, found = np.zeros(runs), np.zeros(runs)
    for run in range(runs):
        made = selector(world(run, rows=selector.rows, planted=planted), run)
        chosen = np.atleast_2d(made.chosen)
        wrong = chosen[:, PLANTED:].sum() if planted else chosen.sum()
        false[run] = wrong / max(1, chosen.sum())
        found[run] = chosen[:, :PLANTED].mean()
    return false, found


def _stays_below(selector: Selector, runs: int) -> None:
    for planted in (True, False):
        false, _ = discoveries(selector, runs, planted=planted)
        # two Monte-Carlo standard errors; with few runs of the level itself, as the measured ones may be 0
        error = max(false.std(ddof=1), np.sqrt(LEVEL * (1 - LEVEL)) if runs < LONG else 0.0) / np.sqrt(runs)
        limit = LEVEL + 2 * error
        assert false.mean() <= limit, f"{100 * false.mean():.0f} % of the discoveries are false, and {100 * limit:.0f} % are allowed"


def check_false_discoveries_stay_below_the_level(selector: Selector) -> None:
    """Over 30 tables with and without planted columns."""
    _stays_below(selector, SHORT)


def check_false_discoveries_stay_below_the_level_in_many_tables(selector: Selector) -> None:
    """Over 500 tables with and without planted columns."""
    _stays_below(selector, LONG)


def check_planted_columns_are_found(selector: Selector) -> None:
    """Four in five of the planted columns (cells, where rows are tested) are chosen."""
    _, found = discoveries(selector, 10)
    assert found.mean() >= POWER, f"only {100 * found.mean():.0f} % of the planted columns are found"


def check_the_selection_can_be_read(selector: Selector) -> None:
    """A frame with a line per test, JSON that parses, a sentence, and figures that fit the choice."""
    made = selector(world(0, rows=selector.rows), 0)
    frame = made.to_frame()
    n = COLUMNS * (len(made.index) if made.index is not None else 1)
    assert len(frame) == n, f"{n} tests gave {len(frame)} lines"
    assert json.loads(made.to_json())["record"]["settings"], "the settings are not recorded, so the answer cannot be replayed"
    assert made.words.rstrip().endswith("."), "the words are no sentence"
    assert made.record.n_calls > 0 or not selector.asks, "the model's answers were not counted"
    p = made.p_values
    assert p is None or (p[made.chosen].max(initial=0) <= p[~made.chosen].min(initial=1)), (
        "a column is chosen and one with a smaller p is not"
    )
    e = made.e_values
    assert e is None or (e[made.chosen].min(initial=np.inf) >= e[~made.chosen].max(initial=0)), (
        "a column is chosen and one with more evidence is not"
    )


def check_the_same_seed_chooses_the_same(selector: Selector) -> None:
    """Two calls with one seed agree to the last bit."""
    one, two = (selector(world(1, rows=selector.rows), 7).to_frame() for _ in range(2))
    assert one.equals(two), "two calls with the same seed chose differently"


CHECKS: tuple[Check, ...] = (
    Check(check_false_discoveries_stay_below_the_level, lambda e: True),
    Check(check_false_discoveries_stay_below_the_level_in_many_tables, lambda e: True, long=True),
    Check(check_planted_columns_are_found, lambda e: True),
    Check(check_the_selection_can_be_read, lambda e: True),
    Check(check_the_same_seed_chooses_the_same, lambda e: True),
)


def chooses_everything(here: World, seed: int) -> Selection:
    """Return a wrong selection: every column."""
    return _double(here, np.ones(COLUMNS, bool), seed)


def chooses_nothing(here: World, seed: int) -> Selection:
    """Return a wrong selection: no column."""
    return _double(here, np.zeros(COLUMNS, bool), seed)


def contradicts_itself(here: World, seed: int) -> Selection:
    """Return a wrong selection: the columns with the largest p."""
    return _double(here, np.arange(COLUMNS) >= PLANTED, seed)


_CALLS = [0]


def restless(here: World, seed: int) -> Selection:
    """Return a wrong selection: another one at each call, whatever the seed."""
    _CALLS[0] += 1
    return _double(here, np.arange(COLUMNS) == _CALLS[0] % COLUMNS, seed)


def _double(here: World, chosen: Any, seed: int) -> Selection:
    from pellucid.results import RunRecord

    p = np.arange(COLUMNS) / COLUMNS
    record = RunRecord("double", {"level": LEVEL}, seed, here.table.fingerprint(), n_calls=1)
    return Selection(here.table.columns, chosen, 1 - p, LEVEL, "bh", "Some columns.", "double", record, p_values=p)


DOUBLES: dict[str, Callable[[World, int], Selection]] = {
    "false_discoveries_stay_below_the_level": chooses_everything,
    "false_discoveries_stay_below_the_level_in_many_tables": chooses_everything,
    "planted_columns_are_found": chooses_nothing,
    "the_selection_can_be_read": contradicts_itself,
    "the_same_seed_chooses_the_same": restless,
}
"""For each check a selection on which it goes red."""
