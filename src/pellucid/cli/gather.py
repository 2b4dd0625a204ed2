"""Plain facts of a table and of a model's certainty, in the form a report takes. Letters: N rows, C columns, B bins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.intervals import Z95, error_of_mean, wilson
from pellucid.report.facts import Calibration, ColumnFact, MissingPattern, Score
from pellucid.results import Prediction
from pellucid.table import Table
from pellucid.training.calibration_metrics import check_calibration, ece, ece_interval, reliability, top_events

__all__ = ["calibration", "column_facts", "coverage", "group_columns", "missing_pattern", "of_rows", "set_size", "target_labels"]

FloatArray = npt.NDArray[np.float64]
MOST_PATTERNS = 12
DRAWS = 200


def column_facts(table: Table) -> tuple[ColumnFact, ...]:
    """Return one fact per column, in the table's order."""
    out = []
    for c in table.schema:
        cells = table.frame[c.name]
        present = cells[~table.missing(c.name)]
        example = ", ".join(str(v)[:30] for v in present.drop_duplicates().head(3).tolist())
        counts = int(len(cells) - len(present)), int(present.nunique())
        out.append(ColumnFact(c.name, str(c.type), c.use, c.cell_unit, c.evidence, *counts, example))
    return tuple(out)


def missing_pattern(table: Table) -> MissingPattern | None:
    """Return which cells are missing together, commonest pattern first; None where no cell is missing."""
    absent = {n: table.missing(n) for n in table.columns}
    names = tuple(n for n, m in absent.items() if m.any())
    if not names:
        return None
    packed = np.packbits(np.column_stack([absent[n] for n in names]), axis=1)
    distinct, counts = np.unique(packed, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MOST_PATTERNS]
    patterns = np.unpackbits(distinct[order], axis=1, count=len(names)).astype(bool)
    return MissingPattern(names, patterns, counts[order].astype(np.int64))


def group_columns(table: Table, most: int = 3) -> tuple[str, ...]:
    """Return the columns by whose groups a model is watched: the sensitive ones, else the first of 2 to 8 levels."""
    if table.schema.sensitive:
        return table.schema.sensitive
    few = [n for n in table.features if table.schema[n].type.is_level and 2 <= len(table.levels(n)[1]) <= 8]
    return tuple(few[:most])


def calibration(
    probabilities: FloatArray, labels: npt.NDArray[np.int64], classes: tuple[Any, ...], before: FloatArray | None, seed: int
) -> Calibration:
    """Return the reliability curve of (N, O) probabilities with the band in which a calibrated model would lie.

    before : (N, O) the same probabilities before calibration, or None. Cost: 400 passes over N numbers.
    """
    from scipy.stats import binom

    claimed, happened = top_events(probabilities, labels)
    curve = reliability(claimed, happened)
    check = check_calibration(probabilities, labels, seed=seed, draws=DRAWS)
    low, high = ece_interval(claimed, happened, check, draws=DRAWS, seed=seed)
    return Calibration(
        predicted=curve.claimed,
        observed=curve.happened,
        low=curve.low,
        high=curve.high,
        count=curve.count,
        null_low=binom.ppf(0.025, curve.count, curve.claimed) / curve.count,
        null_high=binom.ppf(0.975, curve.count, curve.claimed) / curve.count,
        error=check.ece,
        error_low=low,
        error_high=high,
        null_error=check.null_mean,
        null_error_high=check.null_high,
        error_before=float("nan") if before is None else ece(*top_events(before, labels)),
        output=str(classes[1]) if len(classes) == 2 else "top class",
        n=len(claimed),
    )


def _covered(prediction: Prediction, truth: npt.NDArray[Any]) -> npt.NDArray[np.bool_] | None:
    if prediction.set is not None:
        return np.array([t in s for t, s in zip(truth.tolist(), prediction.set)], bool)
    if prediction.low is None or prediction.high is None or np.ndim(prediction.low) != 1:
        return None
    return np.asarray((prediction.low <= truth) & (truth <= prediction.high))


def coverage(prediction: Prediction, truth: npt.NDArray[Any]) -> Score | None:
    """Return how often sets or intervals hold the truth (N,), beside the promise; None where there are none."""
    inside = _covered(prediction, truth)
    if inside is None or not len(inside):
        return None
    low, high = (float(v) for v in wilson(int(inside.sum()), len(inside)))
    return Score("coverage", float(inside.mean()), low, high, null=prediction.level, null_words="promised", n=len(inside))


def set_size(prediction: Prediction, unit: str) -> Score | None:
    """Return the mean number of labels in a set, or the mean width of an interval; None where there are none."""
    if prediction.set is not None:
        sizes, name, unit = np.array([len(s) for s in prediction.set], float), "set_size", ""
    elif prediction.low is not None and prediction.high is not None and np.ndim(prediction.low) == 1:
        sizes, name = np.asarray(prediction.high - prediction.low, float), "width"
    else:
        return None
    sizes = sizes[np.isfinite(sizes)]
    if not len(sizes):
        return None
    half = Z95 * float(error_of_mean(sizes))
    mean = float(sizes.mean())
    return Score(name, mean, mean - half, mean + half, higher_is_better=False, unit=unit, n=len(sizes))


def target_labels(table: Table, target: str, classes: tuple[Any, ...]) -> npt.NDArray[np.int64]:
    """Return class numbers (N,) of a table's target, -1 where it is missing or not among the classes."""
    from pellucid.table.cells import level_text

    at = {level_text(c): k for k, c in enumerate(classes)}
    codes, levels = table.levels(target)
    return np.array([*(at.get(level, -1) for level in levels), -1], np.int64)[codes]


def commonest_refusal(reasons: Sequence[str]) -> str:
    """Return the commonest first reason of N, empty where an answer is given, and in how many of the refused rows it is that.

    Examples
    --------
    >>> commonest_refusal(["", "every class is possible at 90 %", "stranger than 99 of 100 training rows, most of all in 'age'"])
    'every class is possible at 90 % (1 of 2)'
    """
    first = [reason.split("; ")[0].split(", most of all in ")[0] for reason in reasons if reason]
    if not first:
        return ""
    (said, n), *_ = Counter(first).most_common(1)
    return f"{said} ({n:,} of {len(first):,})" if n < len(first) else said


def of_rows(prediction: Prediction, rows: npt.NDArray[np.bool_]) -> Prediction:
    """Return the sets and intervals of some rows."""
    cut = lambda a: None if a is None else np.asarray(a)[rows]  # noqa: E731
    sets = None if prediction.set is None else tuple(s for s, kept in zip(prediction.set, rows) if kept)
    return Prediction(
        prediction.point[rows], prediction.level, prediction.record, set=sets, low=cut(prediction.low), high=cut(prediction.high)
    )
