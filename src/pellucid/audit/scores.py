"""How well does a column, or do all columns, tell the target to rows that were not looked at? Letters: n rows, B bins, O target columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pellucid.audit.view import FloatArray, IntArray, Target, View
from pellucid.encode.reach import without_empty
from pellucid.execution import few_threads
from pellucid.random import integer, stream
from pellucid.table import ColumnType

__all__ = ["apart_of", "auc", "auc_error", "bins_of", "design", "folds_of", "joint_score", "out_of_fold", "score", "score_words"]

FOLDS = 5
BINS = 64
PRIOR = 2.0  # rows of the overall mean that each bin starts from
UNITS = 5  # so many things a fold at least; fewer are groups that rows fall into, and no things
LEVELS = 250  # histogram trees take at most 255
JOINT_ROWS = 20_000


def auc(scores: FloatArray, event: npt.NDArray[np.bool_]) -> float:
    """Return the chance that a row with the event scores above one without, ties counted half; NaN where one side is empty."""
    from scipy.stats import rankdata

    k = int(event.sum())
    if k == 0 or k == len(event):
        return float("nan")
    return float((rankdata(scores)[event].sum() - k * (k + 1) / 2) / (k * (len(event) - k)))


def auc_error(value: float, positives: int, negatives: int) -> float:
    """Return the standard error of an area under the curve. Hanley, McNeil 1982, doi:10.1148/radiology.143.1.7063747."""
    a = min(max(value, 1 - value), 1 - 1e-9)
    q1, q2 = a / (2 - a), 2 * a * a / (1 + a)
    variance = (a * (1 - a) + (positives - 1) * (q1 - a * a) + (negatives - 1) * (q2 - a * a)) / max(positives * negatives, 1)
    return float(np.sqrt(max(variance, 0.0)))


def score(truth: FloatArray, predicted: FloatArray, classes: bool) -> float:
    """Return R² (numbers), or the area under the curve (classes; more than two: each against the rest, weighted). Arrays (n, O)."""
    if not classes:
        spread = float(((truth - truth.mean(0)) ** 2).sum())
        return 1 - float(((truth - predicted) ** 2).sum()) / spread if spread > 0 else float("nan")
    if truth.shape[1] == 2:
        return auc(predicted[:, 1], truth[:, 1] > 0)
    each = np.array([auc(predicted[:, j], truth[:, j] > 0) for j in range(truth.shape[1])])
    weight = truth.mean(0) * np.isfinite(each)
    return float(np.nansum(each * weight) / weight.sum()) if weight.sum() > 0 else float("nan")


def score_words(value: float, classes: bool) -> str:
    """Return a score as text: ``AUC 0.97`` or ``R² 0.97``."""
    return f"{'AUC' if classes else 'R²'} {value:.3f}"


def folds_of(view: View, rows: IntArray, names: tuple[str, ...], k: int = FOLDS) -> IntArray:
    """Return a fold number for each of ``rows``; copies (equal cells in ``names``) share one, and so do the rows of one thing where an
    identifier repeats: to know a person again is no knowledge of people."""
    codes = units_of(view, rows) if view.things is not None else None
    codes = view.row_codes(names)[rows] if codes is None or len(np.unique(codes)) < UNITS * k else codes
    fold = stream(view.seed, "audit", "folds").integers(0, k, int(codes.max()) + 1 if len(codes) else 0)
    return np.asarray(fold[codes])


def units_of(view: View, rows: IntArray) -> IntArray:
    """Return by number which of its things each of ``rows`` is about (``View.things``); each row is one of its own where none are told."""
    return np.arange(len(rows)) if view.things is None else np.unique(view.things[rows], return_inverse=True)[1].reshape(-1)


def apart_of(view: View, rows: IntArray) -> float:
    """Return as what share of ``rows`` their things count: rows of one thing tell once."""
    return len(np.unique(units_of(view, rows))) / len(rows)


def bins_of(view: View, name: str, rows: IntArray) -> IntArray:
    """Return the cells of a column as bin numbers from 0: levels, or up to 64 bins of equal mass; missing cells are a bin of their own."""
    codes = view.codes(name)[rows]
    _, codes = np.unique(codes, return_inverse=True)
    codes = codes.reshape(-1)
    most = int(np.clip(len(rows) // 20, 8, BINS))
    if view.is_number(name) or view.kind(name) is ColumnType.IDENTIFIER:
        return equal_mass(codes, most)
    return codes.astype(np.int64)


def equal_mass(codes: IntArray, most: int) -> IntArray:
    """Return ordered codes merged into at most ``most`` bins of about equal mass."""
    count = np.bincount(codes)
    if len(count) <= most:
        return codes.astype(np.int64)
    middle = np.cumsum(count) - count / 2
    return np.asarray((middle * most / count.sum()).astype(np.int64)[codes])


def out_of_fold(bins: IntArray, fold: IntArray, truth: FloatArray, k: int = FOLDS) -> FloatArray:
    """Return for each row the mean target of its bin in the other folds, (n, O)."""
    size = int(bins.max()) + 1
    cell = bins * k + fold
    count = np.bincount(cell, minlength=size * k).reshape(size, k)
    others = count.sum(1, keepdims=True) - count
    out = np.empty_like(truth)
    for j in range(truth.shape[1]):
        total = np.bincount(cell, weights=truth[:, j], minlength=size * k).reshape(size, k)
        mean = (total.sum(1, keepdims=True) - total + PRIOR * truth[:, j].mean()) / (others + PRIOR)
        out[:, j] = mean[bins, fold]
    return out


def design(view: View, names: tuple[str, ...], rows: IntArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return (matrix (n, C), which columns are levels) for histogram trees; rare levels beyond the 249 most frequent share one code."""
    out, is_level = np.empty((len(rows), len(names))), np.zeros(len(names), bool)
    for j, name in enumerate(names):
        if view.is_number(name):
            out[:, j] = view.numbers(name)[rows]
            continue
        codes = view.levels(name)[0][rows]
        count = np.bincount(codes[codes >= 0], minlength=1)
        rank = np.empty(len(count))
        rank[np.argsort(-count, kind="stable")] = np.minimum(np.arange(len(count)), LEVELS - 1)
        out[:, j], is_level[j] = np.where(codes >= 0, rank[np.maximum(codes, 0)], np.nan), True
    return out, is_level


def fit_out_of_fold(
    matrix: FloatArray,
    is_level: npt.NDArray[np.bool_],
    answer: npt.NDArray[np.int64] | FloatArray,
    fold: IntArray,
    seed: int,
    iterations: int = 60,
    leaves: int = 31,
    learn: tuple[int, ...] | None = None,
    asked: tuple[int, ...] | None = None,
) -> FloatArray:
    """Return out-of-fold answers of small histogram trees: class probabilities (n, O) for integer answers 0.., else numbers (n, 1).

    ``learn`` names the folds that are learned from: a fold outside it is answered by trees on all of these. ``asked`` names those that are
    answered, the others being NaN. None: all are.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    options = {
        "max_iter": iterations,
        "max_leaf_nodes": leaves,
        "learning_rate": 0.15,
        "early_stopping": False,
        "random_state": integer(seed, "audit", "trees") % 2**31,
    }
    classes = answer.dtype.kind in "iu"
    o = int(answer.max()) + 1 if classes else 1
    out = np.full((len(answer), o), np.nan)
    for k in np.unique(fold) if asked is None else asked:
        held = fold == k
        taught = ~held if learn is None else ~held & np.isin(fold, learn)
        kind = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
        seen = np.unique(answer[taught])
        if classes and len(seen) < 2:
            out[held] = np.eye(o)[int(seen[0])] if len(seen) else 1 / o
            continue
        with few_threads(matrix.size):
            model = kind(categorical_features=is_level, **options).fit(without_empty(matrix[taught]), answer[taught])
            told = model.predict_proba(matrix[held]) if classes else model.predict(matrix[held])
        if classes:
            out[held] = 0.0
            out[np.ix_(held, model.classes_.astype(int))] = told
        else:
            out[held, 0] = told
    return out


def joint_score(view: View, target: Target, names: tuple[str, ...]) -> float:
    """Return the out-of-fold score of histogram trees on all of ``names``; NaN where there are too few rows or too many classes."""
    rows = view.sample[target.present[view.sample]]
    if len(rows) < 50 or not names or len(target.labels) > 20:
        return float("nan")
    if len(rows) > JOINT_ROWS:
        rows = np.sort(stream(view.seed, "audit", "joint").choice(rows, JOINT_ROWS, replace=False))
    matrix, is_level = design(view, names, rows)
    answer = target.codes[rows] if target.is_classes else target.values[rows]
    fold = folds_of(view, rows, names, 2)
    return score(target.matrix(rows), fit_out_of_fold(matrix, is_level, answer, fold, view.seed), target.is_classes)
