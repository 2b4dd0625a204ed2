"""Largest change of the reasons under a change of the row that is too small to matter.

Every number moves by up to 0.02 of its standard deviation; apart from that, one level is exchanged for another.

Source: Yeh, Hsieh, Suggala, Inouye and Ravikumar 2019, arXiv:1901.09392 (max-sensitivity; radius 0.02 and ten draws as in their code).

# NOTE[DIFF] the paper divides row by row; a row whose contributions are all near 0 then rules the mean. Here the mean change is divided by
the mean size; the paper's figure is in the details. A level has no small change, so exchanged levels are reported against the change of
the answer, without a verdict. A value that half of the rows or more share is a state and no place on a scale: one who gained something
can be told from those who gained nothing, so such cells stay.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.evaluate.case import Case, NotTestable, cube
from pellucid.evaluate.figures import Figure
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.results import Trial
from pellucid.table import ColumnType, Table

__all__ = ["exchanged", "moved", "run", "sensitivity"]

NAME = "max_sensitivity"
RADIUS, DRAWS, LEAST_DRAWS, ROWS = 0.02, 10, 5, 30
LIMIT = 0.5
"""Reasons that change by half of their size under a change nobody would notice are not reasons of this row."""


def moved(table: Table, reference: Table, draw: np.random.Generator, radius: float = RADIUS, whole: bool = False) -> Table:
    """Return the rows with every number moved by up to ``radius`` standard deviations of ``reference``.

    A value that half of ``reference`` or more share (no gain, no loss) stays. Whole numbers become fractions, but with ``whole``, where
    the model takes none: then they move by whole steps, or stay where a step is more than that.
    """
    cells: dict[str, Any] = {}
    for name in table.columns:
        if table.schema[name].type is ColumnType.NUMBER and table.frame[name].dtype.kind in "iuf":
            known, own = reference.numbers(name), table.numbers(name)
            step = radius * np.nanstd(known) if (~np.isnan(known)).any() else 0.0
            change = np.where(own == _spike(known), 0.0, step * draw.uniform(-1, 1, len(table)))
            if whole and table.frame[name].dtype.kind in "iu":
                if step >= 1:
                    dtype = table.frame[name].dtype
                    ends = np.iinfo(getattr(dtype, "numpy_dtype", dtype))
                    cells[name] = pd.Series(np.clip(own + np.trunc(change), ends.min, ends.max)).astype(dtype).array
                continue
            cells[name] = own + change
    return table.with_cells(cells) if cells else table


def _spike(known: FloatArray) -> float:
    """Return the value of at least half of the cells (N,); NaN where there is none."""
    values, counts = np.unique(known[~np.isnan(known)], return_counts=True)
    return float(values[counts.argmax()]) if len(values) and 2 * counts.max() >= len(known) else np.nan


def exchanged(table: Table, reference: Table, draw: np.random.Generator) -> tuple[Table, npt.NDArray[np.bool_]]:
    """Return the rows with one level column each exchanged for another level of ``reference``, and which rows that was possible for."""
    names = [c for c in table.columns if table.schema[c].type.is_level]
    done = np.zeros(len(table), bool)
    if not names:
        return table, done
    chosen, cells = draw.integers(0, len(names), len(table)), {}
    for k, name in enumerate(names):
        donor = draw.permuted(np.tile(np.arange(len(reference)), (len(table), 1)), axis=1)[:, :50]
        texts, own = reference.texts(name), table.texts(name)
        other = texts[donor] != own[:, None]
        at = donor[np.arange(len(table)), other.argmax(1)]
        here = (chosen == k) & other.any(1)
        pool = pd.concat([table.frame[name], reference.frame[name]], ignore_index=True)  # dtypes may differ, as in levels
        cells[name], done = pool.array.take(np.where(here, len(table) + at, np.arange(len(table)))), done | here
    return table.with_cells(cells), done


def sensitivity(original: FloatArray, others: FloatArray) -> FloatArray:
    """Return (N,): the largest change over draws, ||phi(x + d) - phi(x)||, from (N, P, O) and (S, N, P, O).

    Examples
    --------
    >>> sensitivity(np.ones((1, 2, 1)), np.array([[[[1.0], [4.0]]], [[[1.0], [2.0]]]])).tolist()
    [3.0]
    """
    return np.asarray(np.sqrt(((others - original) ** 2).sum((2, 3))).max(0))


def run(case: Case) -> Trial:
    """Return the trial. Cost: 12 explanations of at most 30 rows."""
    case.needs_rows()
    rows = case.pick(case.times(DRAWS, LEAST_DRAWS) + 2, ROWS, coarse=True)
    case.vouch()
    reference = case.background if case.background is not None else case.table
    table, draw = case.table.take(rows).select(case.predictor.columns), stream(case.seed, "moved")
    original = cube(case.explain(case.predictor, rows, coarse=True))
    size = np.sqrt((original**2).sum((1, 2)))
    if not size.mean() > 0:
        raise NotTestable("the explanation gives every column the value 0")
    numbers = any(t.type is ColumnType.NUMBER for t in table.schema)
    if not numbers:
        raise NotTestable("there is no number that can be moved a little")
    whole = bool(getattr(case.predictor, "foreign", False))  # a model from elsewhere gets whole numbers as whole numbers
    if moved(table, reference, stream(case.seed, "any"), whole=whole).fingerprint() == table.fingerprint():
        raise NotTestable(f"the model takes whole numbers, and no step of one is as small as {RADIUS:g} of its standard deviation")

    def again(_: int) -> FloatArray:
        return cube(case.explain(case.predictor, moved(table, reference, draw, whole=whole), coarse=True))

    others = case.several(again, DRAWS, LEAST_DRAWS)
    change = sensitivity(original, others)
    figure = _ratio(change, size, stream(case.seed, "bootstrap"))
    if figure.low <= LIMIT <= figure.high:
        raise NotTestable(f"the change of the reasons is {figure} of their size, on both sides of the limit {LIMIT}")
    passed = figure.high < LIMIT
    each = np.divide(change, size, out=np.full(len(size), np.nan), where=size > 0)
    levels = _levels(case, table, original, reference)
    return case.verdict(
        NAME, figure, LIMIT, passed, _words(passed, figure, levels), by_row=float(np.nanmean(each)),
        worst_row=int(rows[np.nanargmax(each)]),
        levels=levels, rows=len(rows), draws=len(others), radius=RADIUS, unit="largest change as a share of the size of the reasons",
    )  # fmt: skip


def _ratio(change: FloatArray, size: FloatArray, draw: np.random.Generator) -> Figure:
    """Return mean change / mean size with its bootstrap interval over rows."""
    n = len(change)
    w = draw.multinomial(n, np.full(n, 1 / n), size=2000)
    low, high = np.quantile((w @ change) / np.maximum(w @ size, 1e-300), [0.025, 0.975])
    value = float(change.mean() / size.mean())
    return Figure(value, min(value, float(low)), max(value, float(high)))


def _levels(case: Case, table: Table, original: FloatArray, reference: Table) -> float | None:
    """Return how far the reasons move for each unit the answer moves when one level is exchanged; None where there are no levels."""
    other, done = exchanged(table, reference, stream(case.seed, "levels"))
    if not done.any() or case.left() <= 0:
        return None
    reasons = np.abs(cube(case.explain(case.predictor, other, coarse=True)) - original).sum((1, 2))
    answers = np.abs(case.view().raw(other) - case.view().raw(table)).sum(1)
    return float(reasons[done].sum() / answers[done].sum()) if answers[done].sum() > 0 else None


def _words(passed: bool, figure: Figure, levels: float | None) -> str:
    exchange = (
        f" Where one level is exchanged for another, the reasons move {levels:.1f} times as far as the answer."
        if levels is not None
        else ""
    )
    lead = (
        f"When every number moves by up to {RADIUS:g} of its standard deviation, the reasons change at most by "
        f"{100 * figure.value:.0f} % of "
        f"their size (limit {100 * LIMIT:.0f} %)"
    )
    if passed:
        return f"{lead}: they are the same for rows that nobody could tell apart.{exchange}"
    return f"{lead}: two rows that nobody could tell apart get different reasons.{exchange}"
