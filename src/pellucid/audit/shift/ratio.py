"""How much more common is a row in the new table than in the old one? By a classifier that tells the two apart.

Letters: n old rows, m new rows.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from pellucid.audit.scores import auc, fit_out_of_fold
from pellucid.audit.shift.pair import Pair
from pellucid.audit.view import FloatArray, IntArray
from pellucid.random import stream

__all__ = ["CLIP", "Ratio", "effective_size", "ratio"]

CLIP = 0.02
FOLDS = 5
MOST_PRODUCTS = 8


@dataclass(frozen=True)
class Ratio:
    """Ratios of densities at all rows in use.

    Attributes
    ----------
    rows : positions of the old and of the new rows in use. old, new : (n,), (m,) density of the new table over that of the old one.
    auc : of the classifier out of fold. clipped : share of rows at the limits. kind : ``"logistic"`` or ``"trees"``.
    """

    rows: tuple[IntArray, IntArray]
    old: FloatArray
    new: FloatArray
    auc: float
    clipped: float
    kind: str

    @property
    def overlaps(self) -> bool:
        """False where the tables can be told apart so well that no weights can help."""
        return self.auc < 0.99 and effective_size(self.old) >= max(20.0, 0.005 * len(self.old))


def effective_size(weights: FloatArray) -> float:
    """Return (sum w)² / sum w²: so many equally weighted rows would say as much.

    Examples
    --------
    >>> effective_size(np.array([1.0, 1.0, 0.0, 0.0]))
    2.0
    """
    total = float((weights**2).sum())
    return float(weights.sum() ** 2 / total) if total > 0 else 0.0


def ratio(pair: Pair, names: tuple[str, ...]) -> Ratio:
    """Return the ratios, out of fold, by the better of two classifiers (log loss out of fold), clipped at probabilities 0.02 and 0.98.

    A logistic regression on numbers, their squares and levels, which is exact for normal columns, and small boosted trees for all else.
    ``p / (1 - p) n / m``. Cost: five fits of each on at most 20,000 rows of both tables.
    """
    rows = pair.rows
    n, m = len(rows[0]), len(rows[1])
    new = np.arange(n + m) >= n
    fold = stream(pair.seed, "ratio", *names).permutation(n + m) % FOLDS
    matrix, is_level = pair.design(names, rows)
    candidates = {
        "logistic": _logistic(_expanded(matrix, is_level), new, fold),
        "trees": fit_out_of_fold(matrix, is_level, new.astype(np.int64), fold, pair.seed, iterations=40, leaves=8)[:, 1],
    }
    loss = {k: float(-np.log(np.clip(np.where(new, p, 1 - p), 1e-6, 1)).mean()) for k, p in candidates.items()}
    kind = min(loss, key=lambda k: loss[k])
    p = np.clip(candidates[kind], CLIP, 1 - CLIP)
    at_limit = float(((candidates[kind] < CLIP) | (candidates[kind] > 1 - CLIP)).mean())
    odds = p / (1 - p) * n / m
    return Ratio(rows, odds[:n], odds[n:], auc(candidates[kind], new), at_limit, kind)


def _expanded(matrix: FloatArray, is_level: np.ndarray) -> FloatArray:
    """Return numbers, their squares, gaps and levels as standardised columns."""
    out = []
    for j in range(matrix.shape[1]):
        x = matrix[:, j]
        gone = np.isnan(x)
        if gone.any():
            out.append(gone[:, None].astype(float))
        if is_level[j]:
            common = np.arange(min(int(np.nanmax(x, initial=0)) + 1, 50))
            out.append((x[:, None] == common).astype(float))
            continue
        sd = float(np.nanstd(x))
        z = np.nan_to_num(np.clip((x - np.nanmean(x)) / sd, -6, 6)) if sd > 0 else np.zeros(len(x))
        out.append(np.column_stack([z, z**2]))
    wide = np.concatenate(out, 1) if out else np.zeros((len(matrix), 1))
    if 1 < (~is_level).sum() <= MOST_PRODUCTS:  # products: correlations may have changed too
        plain = matrix[:, ~is_level]
        z = np.nan_to_num(np.clip((plain - np.nanmean(plain, 0)) / (np.nanstd(plain, 0) + 1e-12), -6, 6))
        first, second = np.triu_indices(z.shape[1], 1)
        wide = np.column_stack([wide, z[:, first] * z[:, second]])
    return np.asarray(wide)


def _logistic(x: FloatArray, new: np.ndarray, fold: IntArray) -> FloatArray:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    sd = x.std(0)
    x = (x - x.mean(0)) / np.where(sd > 0, sd, 1.0)
    out = np.empty(len(new))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # what it has reached is judged out of fold beside the trees
        for k in range(FOLDS):
            held = fold == k
            model = LogisticRegression(C=10.0, max_iter=200).fit(x[~held], new[~held])
            out[held] = model.predict_proba(x[held])[:, 1]
    return out
