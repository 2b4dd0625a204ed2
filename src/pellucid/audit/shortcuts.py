"""Shortcuts: does the model lean on a column far more than the rows justify, because it is easy to read?

Hermann, Mobahi, Fel, Mozer 2023, "On the foundations of shortcut learning", arXiv:2310.16228: what a network relies on follows
availability (how easily a feature is read off the input) beyond predictivity (how much it tells). Letters: n rows, C columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid.audit.scores import BINS, bins_of, design, folds_of, out_of_fold, score, score_words
from pellucid.audit.view import FloatArray, IntArray, Target, View
from pellucid.encode.reach import without_empty
from pellucid.execution import few_threads
from pellucid.random import integer, stream
from pellucid.results import Finding
from pellucid.table import ColumnType, Table

__all__ = ["find", "reliance", "shares"]

ROWS = 2000
LEAST = 0.15
TIMES = 2.0
MOST_COLUMNS = 60


def shares(answers: FloatArray, changed: FloatArray) -> FloatArray:
    """Return how much answers (n,) rely on each column (C,), adding up to 1: the mean squared change when it is shuffled, changed (C,
    n)."""
    size = ((changed - answers) ** 2).mean(1)
    return np.asarray(size / max(float(size.sum()), 1e-300))


def reliance(ask: Any, table: Table, names: tuple[str, ...], seed: int) -> FloatArray:
    """Return the shares of ``names`` in the answers ``ask(table) -> (n,)``. Cost: C + 1 times n model rows."""
    order = stream(seed, "shortcuts").permutation(len(table))
    changed = []
    for name in names:
        moved = table.frame[name].iloc[order].set_axis(table.frame.index)
        changed.append(ask(table.with_cells({name: moved})))
    return shares(ask(table), np.stack(changed))


def find(view: View) -> list[Finding]:
    """Return columns that the model relies on for at least 15 points more, and twice as much, as boosted trees fitted on the same rows do.

    # NOTE[DIFF] the paper knows the law of the data and compares with the best classifier of it. Of a user's table the law is not known:
    boosted
    trees stand for it, whose splits do not depend on the scale of a column. Cost: C + 1 times at most 2,000 model rows, and one fit of
    trees.
    """
    model, target = view.predictor, view.target
    if target is None or target.n_distinct < 2 or not (hasattr(model, "predict_proba") or hasattr(model, "predict")):
        return []
    wanted = getattr(model, "feature_names_in_", None)
    names = tuple(n for n in (view.features if wanted is None else map(str, wanted)) if n != target.name)
    rows = view.sample[target.present[view.sample]]
    rows = rows if len(rows) <= ROWS else np.sort(stream(view.seed, "audit", "shortcut rows").choice(rows, ROWS, replace=False))
    usable = tuple(n for n in names if n in view.table.columns and view.kind(n) is not ColumnType.TEXT)
    if len(rows) < 100 or not 2 <= len(usable) <= MOST_COLUMNS or len(target.labels) > 20 or len(usable) < len(names):
        return []
    mine = reliance(lambda t: _answers(model, t, target), view.table.take(rows).select(names), usable, view.seed)
    best = _trees(view, target, usable, rows)
    over = np.flatnonzero((mine > best + LEAST) & (mine > TIMES * best))
    truth, fold = target.matrix(rows), folds_of(view, rows, usable)
    return [_finding(view, target, usable[j], mine[j], best[j], score(truth, out_of_fold(bins_of(view, usable[j], rows), fold, truth),
            target.is_classes), len(np.unique(bins_of(view, usable[j], rows)))) for j in over]  # fmt: skip


def _finding(view: View, target: Target, name: str, mine: float, best: float, alone: float, bins: int) -> Finding:
    easy = f"; it is easily read ({bins} values)" if bins < BINS // 4 else ""
    words = f"the model's answers rely on '{name}' for {100 * mine:.0f} %, where boosted trees fitted on these rows rely on "
    words += f"it for {100 * best:.0f} %; "
    words += f"alone it predicts '{target.name}' with {score_words(alone, target.is_classes)}{easy}"
    remedy = f"ask whether '{name}' will mean the same on new rows; try a model without it, or more rows in which it says the opposite"
    figures = {"reliance": float(mine), "optimum": float(best), "alone": alone}
    return view.finding("shortcuts", "medium", (name,), words, remedy, figures=figures, sampled=True)


def _answers(model: Any, table: Table, target: Target) -> FloatArray:
    """Return the answers (n,): log-odds of the commonest class, or numbers."""
    asked: Any = table if hasattr(model, "predictor") else table.native()
    if not hasattr(model, "predict_proba"):
        return np.asarray(model.predict(asked), np.float64).reshape(len(table), -1)[:, 0]
    from pellucid.table.cells import level_text

    common = target.labels[int(np.bincount(target.codes[target.codes >= 0]).argmax())]
    own = [level_text(c) for c in model.classes_]
    p = np.clip(np.asarray(model.predict_proba(asked), np.float64)[:, own.index(common) if common in own else 0], 1e-4, 1 - 1e-4)
    return np.asarray(np.log(p / (1 - p)))


def _trees(view: View, target: Target, names: tuple[str, ...], rows: IntArray) -> FloatArray:
    """Return the shares (C,) of boosted trees fitted on half of the rows, asked on the other half."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    matrix, is_level = design(view, names, rows)
    half = stream(view.seed, "audit", "shortcut half").permutation(len(rows)) < len(rows) // 2
    kind = HistGradientBoostingClassifier if target.is_classes else HistGradientBoostingRegressor
    model = kind(
        categorical_features=is_level, max_iter=60, max_leaf_nodes=4, learning_rate=0.1, early_stopping=False,
        random_state=integer(view.seed, "audit", "shortcut trees") % 2**31,
    )  # fmt: skip
    if target.is_classes:
        answer: Any = target.codes[rows] == int(np.bincount(target.codes[rows]).argmax())
        ask = model.decision_function
    else:
        answer, ask = target.values[rows], model.predict
    with few_threads(matrix.size):
        model.fit(without_empty(matrix[half]), answer[half])
    held, order = matrix[~half], stream(view.seed, "audit", "shortcut order").permutation(int((~half).sum()))
    changed = []
    for j in range(len(names)):
        moved = held.copy()
        moved[:, j] = held[order, j]
        changed.append(ask(moved))
    return shares(np.asarray(ask(held), np.float64), np.stack(changed))
