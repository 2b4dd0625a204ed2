"""What repairs of a table changed in a model's answers, reasons and intervals, row by row.

The model stays as it is; the touched rows are asked about twice, with the cells as they were and as they would be.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from pellucid import registry
from pellucid.errors import PellucidError
from pellucid.probe.foreign import as_predictor
from pellucid.protocols import FloatArray
from pellucid.results import Fills, Repairs, RepairTrace, RunRecord
from pellucid.table import Table, read_table

__all__ = ["trace_repairs"]

MOST = 500


def trace_repairs(
    model: Any,
    table: Any,
    repairs: Repairs | Fills,
    *,
    least: float = 0.9,
    background: Any = None,
    explain: bool = True,
    level: float = 0.9,
    seed: int = 0,
) -> RepairTrace:
    """Return what repairs, or filled cells, change in the answers of a fitted model.

    Parameters
    ----------
    model : ours, or any that ``pellucid.explain`` takes. table : the table before the repairs.
    repairs : proposals, of which those of confidence ``least`` and more are carried out; or what ``pellucid.fill`` gave.
    background : rows to explain foreign models with. explain : False leaves the reasons out.
    level : of the intervals, for our regressors.
    seed : of the explanation; both times the same.

    Returns
    -------
    RepairTrace : one line per touched row (of the first 500) in ``to_frame()``.

    Notes
    -----
    Cost: two answers, two explanations and two intervals of every touched row.
    """
    began = time.perf_counter()
    before = table if isinstance(table, Table) else read_table(table)
    chosen = repairs.sure(least) if isinstance(repairs, Repairs) else repairs
    after = repairs.apply(before, least) if isinstance(repairs, Repairs) else repairs.table
    every = np.unique(chosen.rows)
    rows = every[:MOST]
    pair = [t.take(rows).drop([t.target] if t.target else []) for t in (before, after)]
    predictor = as_predictor(model, pair[0], background)
    outputs, answers = _answers(model, predictor, pair)
    classes = bool(predictor.classes) and answers[0].shape[1] > 1
    same = answers[0].argmax(1) == answers[1].argmax(1) if classes else np.isclose(answers[0], answers[1], rtol=1e-9, atol=0).all(1)
    changed = np.asarray(~same, bool)
    columns, values = _reasons(model, pair, background, seed) if explain and len(rows) else ((), (None, None))
    words = _words(answers, changed, classes, len(every), len(rows))
    settings = {"least": least, "level": level, "rows": len(rows), "explained": explain}
    record = RunRecord("trace_repairs", settings, seed, before.fingerprint(), time.perf_counter() - began)
    intervals = _intervals(model, pair, level) if not classes and len(rows) else {}
    return RepairTrace(rows, outputs, answers[0], answers[1], changed, words, record, columns, values[0], values[1], intervals)


def _answers(model: Any, predictor: Any, pair: list[Table]) -> tuple[tuple[str, ...], list[FloatArray]]:
    """Return (names, answers before and after (M, O)): class probabilities where the model gives them."""
    if predictor.classes and hasattr(model, "predict_proba"):
        ours = hasattr(model, "engine_")
        found = [np.asarray(model.predict_proba(t if ours else t.native()), np.float64) for t in pair]
        return tuple(map(str, predictor.classes)), found
    return tuple(map(str, predictor.outputs)), [np.asarray(predictor.raw(t), np.float64) for t in pair]


def _reasons(model: Any, pair: list[Table], background: Any, seed: int) -> tuple[tuple[str, ...], tuple[Any, Any]]:
    """Return (columns, contributions before and after (M, C)) to the first explained output."""
    ask = registry.public("explain", "explain")
    made = [ask(model, t, random_state=seed, **({} if background is None else {"background": background})) for t in pair]
    values = [v.values if v.values.ndim == 2 else v.values[:, :, 0] for v in made]
    return tuple(made[0].columns), (values[0], values[1])


def _intervals(model: Any, pair: list[Table], level: float) -> dict[str, FloatArray]:
    """Return the ends of the intervals before and after; empty where the model gives none."""
    if not hasattr(model, "uncertainty"):
        return {}
    out: dict[str, FloatArray] = {}
    for when, t in zip(("before", "after"), pair):
        try:
            made = model.uncertainty(t, level=level)
        except PellucidError:  # a model without held-out rows promises no interval
            return {}
        if made.low is None or made.high is None:
            return {}
        out |= {
            f"low {when}": np.asarray(made.low).reshape(len(t), -1)[:, 0],
            f"high {when}": np.asarray(made.high).reshape(len(t), -1)[:, 0],
        }
    return out


def _words(answers: list[FloatArray], changed: Any, classes: bool, n: int, shown: int) -> str:
    if not n:
        return "no row was touched"
    moved = np.abs(answers[1] - answers[0]).max(axis=1)
    what = f"{int(changed.sum())} decisions change" if classes else f"{int(changed.sum())} answers change"
    text = f"{n} rows were touched; {what}, the largest move is {moved.max():.4g}, half of them move by {np.median(moved):.4g} or less"
    return text + (f" (of the first {shown} rows)" if shown < n else "")
