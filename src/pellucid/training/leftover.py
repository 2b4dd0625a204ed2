"""What a hidden state still tells of an attribute: probes from outside, with an interval and with what chance shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.random import integer, stream

__all__ = ["beyond_chance", "price", "probe"]

FEWEST = 30
WIDEST = 32
MOST = 6000
DRAWS = 200
CHANCE = 0.975
"""Where chance ends for each of two probes, so that the better one goes beyond it by chance in 5 of 100 tables at most."""


def probe(states: npt.NDArray[np.float64], codes: npt.NDArray[np.int64], seed: int = 0) -> dict[str, float]:
    """Return how well probes that know nothing of the network tell an attribute from its states.

    A linear probe (logistic regression) and a curved one (boosted trees) read the first 32 principal components of the states. Each learns
    from one half of the rows and is judged on the other, both ways round; the better of the two is told.

    Parameters
    ----------
    states : (N, H) of rows that the network did not learn from; at most 6,000 of them, drawn by ``seed``, are read.
    codes : (N,) level of each row, -1 where unknown; levels of fewer than 30 rows are left out.

    Returns
    -------
    ``auc``: mean area under the curve of one level against the others, weighed by their rows; ``low``, ``high``: its 95 % interval
    (resampled rows; the mean of the two halves' own, for they err together); ``null``: what the better of two
    probes stays below in 95 of 100 tables whose levels are dealt out at random; ``rows``. NaN where there is nothing to tell apart.

    Notes
    -----
    Cost: four small fits, and 600 sorts of the scores of each probe. The scale is 0.5 for chance, 1 for certainty.
    """
    rows = _rows(codes, seed)
    levels, y = np.unique(codes[rows], return_inverse=True)
    nothing = {"auc": np.nan, "low": np.nan, "high": np.nan, "null": np.nan, "rows": float(len(rows))}
    if len(levels) < 2 or not np.isfinite(states[rows]).all():
        return nothing
    reduced, half = _reduced(states[rows]), stream(seed, "probe halves").permutation(len(rows)) % 2
    found = [_judged(model, reduced, y, half, seed) for model in ("linear", "trees")]
    best = max(found, key=lambda f: f["auc"])
    return best | {"rows": float(len(rows))}


def beyond_chance(found: Mapping[str, Any]) -> bool:
    """Return whether what :func:`probe` returned says that the attribute is told by more than chance: never where nothing could be judged.

    Examples
    --------
    >>> [beyond_chance({"auc": auc, "null": 0.52}) for auc in (0.6, 0.52, float("nan"))]
    [True, False, False]
    """
    return bool(found) and bool(found["auc"] > found["null"])


def price(both: npt.NDArray[np.float64], free: npt.NDArray[np.float64], truth: npt.NDArray[Any], seed: int = 0) -> dict[str, Any]:
    """Return what answers lose by leaving out a part, on rows that neither learned from.

    Parameters
    ----------
    both, free : (n, O) answers with and without it. truth : (n,) class numbers, or (n, O) numbers.

    Returns
    -------
    ``metric`` (``"AUC"``, of one class against the others where there are more than two, or ``"R²"``), ``both``, ``free``, ``difference``
    with ``low`` and ``high`` (95 %, resampled rows), ``rows``. NaN where the rows have one class or number only.
    """
    of_classes = truth.ndim == 1
    draw = stream(seed, "price")

    def scored(answers: npt.NDArray[np.float64], rows: Any) -> float:
        if of_classes:
            return _area(answers[rows], truth[rows])
        y = truth[rows]
        spread = ((y - y.mean(0)) ** 2).sum(0)
        return float(np.mean(1 - ((y - answers[rows]) ** 2).sum(0) / np.where(spread > 0, spread, np.nan)))

    n = len(truth)
    draws = [draw.integers(0, n, n) for _ in range(DRAWS if n else 0)]
    gains = [scored(free, rows) - scored(both, rows) for rows in draws]
    low, high = np.nanquantile(gains, [0.025, 0.975]) if n and np.isfinite(gains).any() else (np.nan, np.nan)
    first, second = (scored(a, slice(None)) if n else np.nan for a in (both, free))
    told = {"both": first, "free": second, "difference": second - first, "low": float(low), "high": float(high), "rows": float(n)}
    return {"metric": "AUC" if of_classes else "R²", **told}


def _rows(codes: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.int64]:
    """Return the rows of the levels that are frequent enough."""
    known, counts = np.unique(codes[codes >= 0], return_counts=True)
    rows = np.flatnonzero(np.isin(codes, known[counts >= FEWEST]))
    return np.asarray(rows if len(rows) <= MOST else np.sort(stream(seed, "probe rows").choice(rows, MOST, replace=False)))


def _reduced(states: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    centred = states - states.mean(0)
    size = centred.std(0)
    scaled = centred[:, size > 1e-9] / size[size > 1e-9]
    if not scaled.shape[1]:
        return np.zeros((len(states), 1))
    values, vectors = np.linalg.eigh(scaled.T @ scaled)
    keep = values[::-1][:WIDEST] > 1e-9 * values[-1]
    out = scaled @ vectors[:, ::-1][:, :WIDEST][:, keep]
    return np.asarray(out / np.maximum(out.std(0), 1e-12))


def _judged(kind: str, x: npt.NDArray[Any], y: npt.NDArray[np.int64], half: npt.NDArray[np.int64], seed: int) -> dict[str, float]:
    scores = np.zeros((len(x), int(y.max()) + 1))
    for side in (0, 1):
        learn, test = half != side, half == side
        model = _model(kind, integer(seed, "probe", kind, side)).fit(x[learn], y[learn])
        scores[np.ix_(test, model.classes_)] = model.predict_proba(x[test])
    draw = stream(seed, "probe draws", kind)
    sides = [np.flatnonzero(half == s) for s in (0, 1)]

    again = [[_area(scores[r], y[r]) for r in (draw.choice(s, len(s)) for s in sides)] for _ in range(DRAWS)]
    # halves that learn from each other agree by chance: two of them know no better than one
    null = [_area(scores[s], y[draw.permutation(s)]) for s in sides for _ in range(DRAWS // 2)]
    low, high = np.quantile(again, [0.025, 0.975], axis=0).mean(1)
    area = np.mean([_area(scores[s], y[s]) for s in sides])
    return {"auc": float(area), "low": float(low), "high": float(high), "null": float(np.nanquantile(null, CHANCE))}


def _model(kind: str, seed: int) -> Any:
    if kind == "linear":
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(C=1.0, max_iter=300)
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=40, max_leaf_nodes=8, learning_rate=0.1, early_stopping=False, random_state=seed % 2**31)


def _area(scores: npt.NDArray[np.float64], y: npt.NDArray[np.int64]) -> float:
    """Return the area under the curve of each level against the others, weighed by rows; ties count half."""
    from scipy.stats import rankdata

    total, weight, n = 0.0, 0.0, len(y)
    for k in range(scores.shape[1]) if scores.shape[1] > 2 else (1,):
        positive = y == k
        m = int(positive.sum())
        if 0 < m < n:
            area = (rankdata(scores[:, k])[positive].sum() - m * (m + 1) / 2) / (m * (n - m))
            total, weight = total + m * area, weight + m
    return total / weight if weight else np.nan
