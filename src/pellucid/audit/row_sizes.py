"""How large should a cell be by the rest of its row? Two opinions: trees, and a sum of logarithms.

Trees see what groups and thresholds do, and cannot reach beyond what they were taught; a sum of logarithms (a product of powers: area from
lengths, weight from sizes) reaches as far as the row does. A cell that both find far too large or too small is wrong, or its row is
unlike any other. The sum is Huber's 1964 location of residuals, doi:10.1214/aoms/1177703732, over columns.
Letters: n rows, C columns, F columns of the design.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from pellucid.audit.dependencies import tick
from pellucid.audit.scores import design, fit_out_of_fold
from pellucid.audit.view import FloatArray, IntArray, View
from pellucid.random import stream
from pellucid.table import ColumnType

__all__ = ["SPREAD", "SPREADS", "RowSizes", "has_sizes", "robust_weights", "row_sizes", "sized_columns", "spread_of"]

Bools = npt.NDArray[np.bool_]
SPREAD = 0.12
"""Most spread of what the other columns leave open of a size, in powers of ten."""
SPREADS = 8.0
"""Cells are far off at so many spreads."""

MOST_COLUMNS, MOST_INPUTS = 24, 40
FIT_ROWS = 10_000
FEWEST = 50
BEYOND = 1_000
"""Rows outside the sample that are looked at as well, as their cells lie beyond all of its cells."""
AGAIN = 64
"""Most rows with gaps that look twice too large or small, the farthest first, for which the sum is fitted anew on the columns they have."""
DOUBTFUL = float(np.log10(2))
LEVELS, SUM_ROWS = 20, 4_000
ROUNDS = 8


@dataclass(frozen=True)
class RowSizes:
    """What the rest of the row says of a column's cells.

    Attributes
    ----------
    rows : (n,) positions. taught : how many of them, the first, are of the sample and not 0; the others are only judged.
    size : (n,) logarithms to the base 10; of a 0, that of half the last decimal place. trees, total : (n,) what both models expect;
        no ``total`` where the trees leave more open than ``SPREAD``. sign : 1, or -1 where the column is negative.
    """

    rows: IntArray
    taught: int
    size: FloatArray
    trees: FloatArray
    total: FloatArray | None
    sign: float


def has_sizes(x: FloatArray) -> bool:
    """Return whether nearly all numbers have one sign and are not 0, so that their logarithm is their size."""
    known = x[~np.isnan(x)]
    if len(known) < FEWEST:
        return False
    one_sign = max(int((known > 0).sum()), int((known < 0).sum()))
    return one_sign >= 0.98 * len(known) and len(np.unique(known)) >= 10


def sized_columns(view: View) -> list[str]:
    """Return the columns that have sizes, at most 24, those of most distinct values first; the target may be among them."""
    numbers = [n for n in view.features if view.kind(n) is ColumnType.NUMBER]
    target = view.table.target
    if target is not None and view.kind(target) is ColumnType.NUMBER and target not in numbers:
        numbers.append(target)
    usable = [n for n in numbers if has_sizes(view.numbers(n)[view.sample])]
    usable.sort(key=lambda n: -len(np.unique(view.codes(n)[view.sample])))
    return usable[:MOST_COLUMNS]


def row_sizes(view: View, name: str) -> RowSizes:
    """Return both opinions of a column's cells; kept for whoever asks again.

    Cost: two small boosted trees on at most 10,000 rows, which answer for each other's rows and for the rest of the sample; least squares.
    """
    key = f"sizes of {name}"
    if key not in view.kept:
        view.kept[key] = _row_sizes(view, name)
    found: RowSizes = view.kept[key]
    return found


def _row_sizes(view: View, name: str) -> RowSizes:
    x = view.numbers(name)
    sign = 1.0 if (x > 0).sum() >= (x < 0).sum() else -1.0
    y = sign * x
    first = view.sample[y[view.sample] > 0]
    rows = np.concatenate([first, _beyond(y, first, view)])
    size = np.log10(np.where(y[rows] > 0, y[rows], tick(y[first[:: max(1, len(first) // 2000)]]) / 2))
    others = [c for c in (*view.features, *([view.table.target] if view.table.target else [])) if c != name]
    others = [c for c in dict.fromkeys(others) if view.kind(c) not in (ColumnType.TEXT, ColumnType.IDENTIFIER)][:MOST_INPUTS]
    if not others:
        middle = np.full(len(rows), float(np.median(size[: len(first)])))
        return RowSizes(rows, len(first), size, middle, None, sign)
    matrix, is_level = design(view, tuple(others), rows)
    draw = stream(view.seed, "audit", "slips", name)
    # a size that is far out teaches the trees nothing
    low, high = np.quantile(size[: len(first)], [0.03, 0.97])
    fold = draw.integers(0, 2, len(first))
    if len(first) > FIT_ROWS:
        fold = np.where(draw.random(len(first)) < FIT_ROWS / len(first), fold, 2)
    fold = np.concatenate([fold, np.full(len(rows) - len(first), 2)])
    taught, clipped = fold < 2, size.clip(low, high)
    fit = partial(fit_out_of_fold, matrix, is_level, clipped, fold, view.seed, iterations=40, leaves=15, learn=(0, 1))
    trees = fit(asked=(0, 1))[:, 0]
    open_ = spread_of((size - trees)[taught])
    if open_ > SPREAD:  # nothing will be said of this column: two fits told as much, and the third is spared
        return RowSizes(rows[taught], int(taught.sum()), size[taught], trees[taught], None, sign)
    if not taught.all():
        trees = np.where(taught, trees, fit(asked=(2,))[:, 0])
    total = _totals(matrix, is_level, size, size - trees, SPREADS * open_, taught)
    return RowSizes(rows, len(first), size, trees, total, sign)


def _beyond(y: FloatArray, first: IntArray, view: View) -> IntArray:
    """Return rows that are 0, and rows of a table larger than its sample whose cells lie beyond all of the sample's; at most 1,000."""
    known = y[first]
    far = (y == 0) | (y > known.max(initial=-np.inf)) | ((y >= 0) & (y < known.min(initial=np.inf)))
    return np.flatnonzero(far)[:BEYOND]


def spread_of(off: FloatArray) -> float:
    """Return a robust standard deviation (around the median) of misses (n,); the shoulders count as well as the middle."""
    away = np.abs(off - np.median(off))
    return max(1.4826 * float(np.median(away)), float(np.quantile(away, 0.9)) / 1.645, 1e-3)


def _totals(matrix: FloatArray, is_level: Bools, size: FloatArray, off: FloatArray, least: float, taught: Bools) -> FloatArray:
    """Return the sum's answers (n,). Rows with gaps that look ``least`` off are answered by a sum of the columns that they have."""
    logs, levels = _logs(matrix[:, ~is_level]), _indicators(matrix[:, is_level])
    gaps = np.isnan(logs)
    usual = np.nan_to_num(np.nanmedian(np.where(gaps.all(0), 0.0, logs), axis=0))
    filled = np.where(gaps, usual, logs)
    filled = (filled - filled.mean(0)) / np.maximum(filled.std(0), 1e-12)
    x = np.column_stack([filled, levels, np.ones(len(size))])
    few = np.flatnonzero(taught)
    few = few[:: -(-len(few) // SUM_ROWS)]
    known, answer = x[few], size[few]
    gram = known.T @ known + 1e-6 * len(known) * np.eye(x.shape[1])
    out = x @ robust_weights(known, gram, answer)
    near = np.minimum(np.abs(off), np.abs(size - out))
    doubtful = np.flatnonzero(gaps.any(1) & (near > max(DOUBTFUL, least)))
    doubtful = doubtful[np.argsort(-near[doubtful], kind="stable")][:AGAIN]
    patterns, which = np.unique(gaps[doubtful], axis=0, return_inverse=True)
    for k, pattern in enumerate(patterns):
        mine, there = doubtful[which.reshape(-1) == k], np.append(~pattern, np.ones(levels.shape[1] + 1, bool))
        out[mine] = x[np.ix_(mine, there)] @ robust_weights(known[:, there], gram[np.ix_(there, there)], answer)
    return np.asarray(out)


def _logs(numbers: FloatArray) -> FloatArray:
    """Return columns of sizes as their logarithms, NaN where they are 0 or of the other sign; other columns as they are."""
    out = numbers.copy()
    for j in range(numbers.shape[1]):
        if has_sizes(numbers[:, j]):
            y = numbers[:, j] * (1.0 if np.nanmedian(numbers[:, j]) > 0 else -1.0)
            out[:, j] = np.log10(np.where(y > 0, y, np.nan))
    return out


def _indicators(codes: FloatArray) -> FloatArray:
    """Return a column for each of the most frequent levels (codes by falling frequency) of each column of levels (n, C)."""
    return np.concatenate([np.zeros((len(codes), 0)), *((c[:, None] == np.arange(LEVELS)).astype(float) for c in codes.T)], axis=1)


def robust_weights(known: FloatArray, gram: FloatArray, answer: FloatArray) -> FloatArray:
    """Return (F,) weights of a linear model of rows (m, F); misses beyond two spreads pull no harder than those."""
    weights = np.linalg.solve(gram, known.T @ answer)
    for _ in range(ROUNDS):
        miss = answer - known @ weights
        most = 2 * 1.4826 * float(np.median(np.abs(miss))) + 1e-9
        weights += np.linalg.solve(gram, known.T @ miss.clip(-most, most))
    return np.asarray(weights)
