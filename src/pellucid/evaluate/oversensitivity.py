"""Oversensitivity: rows whose answer turns over when one number changes in its last digit.

Every number of a row is moved up and down by one step of rounding (the last digit the column is written in, at least 0.02 of its standard
deviation), one at a time. A class that flips, or a number that moves by more than half a standard deviation of the answers, is listed.

Source: after "oversensitive" scorers in Singla et al. 2021, "Automatic Essay Scoring Systems are both Overstable and Oversensitive",
arXiv:2109.11728.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pellucid.evaluate.case import Case, NotTestable
from pellucid.evaluate.figures import Figure, above, in_rows, share_of
from pellucid.protocols import FloatArray
from pellucid.results import Trial
from pellucid.table import ColumnType, Table

__all__ = ["rounding_step", "run", "turned"]

NAME = "oversensitivity"
ROWS = 400
SMALL = 0.02
LIMIT = 0.05
"""Share of rows that may turn over: some rows lie at the border of any model."""
FAR = 0.5


def rounding_step(values: npt.NDArray[np.float64]) -> float:
    """Return the step of the last written digit of a column: 10^-d for the least d (-3 to 6) in which nearly all cells are written.

    Examples
    --------
    >>> rounding_step(np.array([1.25, 3.5, 7.0])), rounding_step(np.array([100.0, 2500.0])), rounding_step(np.sqrt(np.arange(9.0)))
    (0.01, 100.0, 0.0)
    """
    known = values[np.isfinite(values)]
    for digits in range(-3, 7):
        if len(known) and (np.abs(known - np.round(known, digits)) <= 1e-9 * np.maximum(1.0, np.abs(known))).mean() > 0.99:
            return float(10.0**-digits)
    return 0.0


def turned(case: Case, before: FloatArray, after: FloatArray, spread: float) -> npt.NDArray[np.bool_]:
    """Return which answers (..., O) changed: another class, or a number further than half of ``spread``, a standard deviation."""
    if case.predictor.task != "classification":
        return np.asarray(np.abs(after - before).max(-1) > FAR * spread)
    if before.shape[-1] > 1:
        return np.asarray(before.argmax(-1) != after.argmax(-1))
    border = 0.5 if case.predictor.scale == "probability" else 0.0
    return np.asarray((before[..., 0] > border) != (after[..., 0] > border))


def run(case: Case) -> Trial:
    """Return the trial, about the model at these rows and not about the explanation. Cost: 2 C model rows for each of at most 400 rows.

    Where the interval of the share holds the limit, no verdict is given: either would be a guess.
    """
    rows = case.some(ROWS)
    table = case.table.take(rows).select(case.predictor.columns)
    reference = case.table if case.background is None or len(case.background) < len(case.table) else case.background
    model = case.predictor
    before = np.asarray(model.raw(table), np.float64)
    spread = float(before.std(0).max())
    if not spread > 0:
        raise NotTestable("the model gives the same answer to every row")
    hits, steps = _hits(case, table, reference, before, spread)
    if not steps:
        raise NotTestable("there is no number that can be moved by a step of rounding")
    rows_hit = np.asarray(np.stack(list(hits.values())).any(0))
    share = share_of(rows_hit)
    over = above(share, LIMIT)
    by_column = {name: float(v.mean()) for name, v in hits.items()}
    classes = case.predictor.task == "classification"
    if over is None:
        raise NotTestable(f"{_lead(share, classes)}; {_usual()}, and {len(rows)} rows do not tell on which side of that the share lies")
    return case.verdict(
        NAME, share, LIMIT, not over, _words(not over, share, by_column, classes), rows=rows[rows_hit].tolist(), by_column=by_column,
        steps=steps, tried=len(rows), unit="share of the rows",
    )  # fmt: skip


def _hits(
    case: Case, table: Table, reference: Table, before: FloatArray, spread: float
) -> tuple[dict[str, npt.NDArray[np.bool_]], dict[str, float]]:
    """Return per number column which rows turn over, and the step that was taken."""
    hits: dict[str, npt.NDArray[np.bool_]] = {}
    steps: dict[str, float] = {}
    for name in table.columns:
        if table.schema[name].type is not ColumnType.NUMBER or table.frame[name].dtype.kind not in "iuf":
            continue
        known = reference.numbers(name)
        deviation = float(np.nanstd(known)) if (~np.isnan(known)).any() else 0.0
        written = rounding_step(known)
        # a column written in whole hundreds may move by a hundred, but never so far that the change could be meant
        step = min(max(written, SMALL * deviation), 0.1 * deviation)
        if not step > 0:
            continue
        steps[name], hits[name] = step, np.zeros(len(table), bool)
        for side in (-1, 1):
            after = np.asarray(case.predictor.raw(table.with_cells({name: table.numbers(name) + side * step})), np.float64)
            hits[name] |= turned(case, before, after, spread)
    return hits, steps


def _lead(share: Figure, classes: bool) -> str:
    what = "gets another class" if classes else f"moves by more than {FAR} standard deviations"
    return in_rows(share, f"the answer {what} when one number changes by a step of rounding")


def _usual() -> str:
    return f"up to {100 * LIMIT:.0f} % is usual near a border"


def _words(passed: bool, share: Figure, by_column: dict[str, float], classes: bool) -> str:
    lead = f"I{_lead(share, classes)[1:]}"
    if passed:
        return f"{lead} ({_usual()}): the answers do not hang on the last digit."
    worst = max(by_column, key=lambda name: by_column[name])
    return f"{lead}, most often {worst!r}: these answers hang on the last digit. The rows are listed in the details."
