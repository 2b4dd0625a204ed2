"""What is won by answering only where the model is sure. Letters: N labelled rows, G points."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import EmptyTableError, RequestError
from pellucid.intervals import Z95, widening, wilson
from pellucid.results import RiskCoverage, RunRecord
from pellucid.training.selective import areas, curve_with_band
from pellucid.uncertainty.answer import ask
from pellucid.uncertainty.sources import chosen
from pellucid.uncertainty.truth import check_rows, group_labels, known_truth

__all__ = ["curve", "risk_coverage"]

SHARES = (0.5, 0.8, 0.9, 1.0)
FloatArray = npt.NDArray[np.float64]


def curve(
    model: Any, X: Any, y: Any = None, *, doubt: str | npt.ArrayLike = "doubt", groups: str | None = None, random_state: int = 0
) -> RiskCoverage:
    """Return the risk-coverage curve of a model on labelled rows.

    Parameters
    ----------
    model : a fitted estimator. X, y : N rows that it did not learn from, with their true answers (or a target column in X).
    doubt : what rows are ranked by: ``"doubt"``, ``"epistemic"``, ``"aleatoric"``, ``"familiarity"`` of the answer, or (N,) figures, high
        for rows better left alone.
    groups : a category column: how many of each group are answered, and with what error, when 50, 80, 90 and 100 % of all are. Silence can
        widen the gap between groups.

    Notes
    -----
    Losses are 0 and 1 for classes, the size of the error for numbers. Cost: one pass of the model and 200 bootstrap draws of the rows.

    Examples
    --------
    >>> import numpy as np, pellucid
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(900, 2))
    >>> y = X[:, 0] + 0.5 * rng.normal(size=900) > 0
    >>> model = pellucid.TabularClassifier(backbone="linear", random_state=0, verbose=0).fit(X[:500], y[:500])
    >>> found = pellucid.uncertainty.selective(model, X[500:], y[500:])
    >>> found.best < found.area < found.overall
    True
    """
    started = time.perf_counter()
    truth, known = known_truth(model, X, y)
    name = doubt if isinstance(doubt, str) else "given"
    answer = ask(model, X, level=0.9, groups=None, familiarity="neighbours" if name == "familiarity" else None)
    check_rows(answer, truth)
    if answer.point.ndim != 1:
        raise RequestError("a risk-coverage curve is for one target", got=f"{answer.point.shape[1]} targets")
    figures = _figures(answer, doubt, len(truth))
    task = model.predictor().task
    if task == "classification":
        assert answer.probabilities is not None
        loss = (chosen(model.certainty_, answer.probabilities) != truth).astype(np.float64)
        what, unit = "share of wrong answers", ""
    else:
        loss, what, unit = np.abs(np.asarray(answer.point, np.float64) - truth), "mean absolute error", str(model.target_.unit)
    labels = group_labels(model, X, groups)
    settings = {"doubt": name, "groups": groups}
    record = RunRecord("selective", settings, random_state, answer.record.data, time.perf_counter() - started, len(truth))
    rows = None if labels is None else labels[known]
    return risk_coverage(
        figures[known], loss[known], what, unit, name, record, labels=rows, seed=random_state, binary=task == "classification"
    )


def _figures(answer: Any, doubt: str | npt.ArrayLike, n: int) -> FloatArray:
    if not isinstance(doubt, str):
        given = np.asarray(doubt, np.float64)
        if given.shape != (n,):
            raise RequestError("the doubt does not fit the rows", expected=f"{n} numbers", got=f"shape {given.shape}")
        return given
    if doubt not in ("doubt", "epistemic", "aleatoric", "familiarity"):
        raise RequestError(f"there is no doubt {doubt!r}", expected="'doubt', 'epistemic', 'aleatoric', 'familiarity', or a number a row")
    value = getattr(answer, doubt)
    if value is None:
        raise RequestError(f"{doubt!r} is not known for these answers", do="rank by another doubt")
    return np.asarray(-value if doubt == "familiarity" else value, np.float64)


def risk_coverage(
    doubt: FloatArray, loss: FloatArray, what: str, unit: str, name: str, record: RunRecord, *, labels: Any = None, seed: int = 0,
    binary: bool = True,
) -> RiskCoverage:  # fmt: skip
    """Return the curve of doubts and losses (N,), high doubt last; see :func:`curve`."""
    if not len(doubt):
        raise EmptyTableError("there are no rows to rank")
    found = areas(doubt, loss)
    at, risk, low, high, interval = curve_with_band(doubt, loss, seed=seed)
    gain, ends = _gain(doubt, loss, seed)
    groups = pd.DataFrame() if labels is None else _groups(doubt, loss, labels, binary)
    best = "" if not found.overall else f", the least possible {found.best:.3g}"
    half = risk[np.searchsorted(at, 0.5)] if len(at) > 1 else risk[-1]
    words = (
        f"{what}: {found.overall:.3g} when all {len(doubt):,} rows are answered, {half:.3g} on the surer half; mean over all coverages "
        f"{found.area:.3g} (95 %: {interval[0]:.3g} to {interval[1]:.3g}){best}. Ranking by {name} gains {gain:.3g} over a random order "
        f"({ends[0]:.3g} to {ends[1]:.3g})."
    )
    return RiskCoverage(
        at, risk, low, high, found.area, interval, found.best, found.excess, found.joint, found.overall, gain, ends, what, unit, name,
        len(doubt), words, record, groups,
    )  # fmt: skip


def _gain(doubt: FloatArray, loss: FloatArray, seed: int) -> tuple[float, tuple[float, float]]:
    """Return what the doubt saves against a random order, and its 95 % interval, the same rows drawn for both."""
    from pellucid.training.selective import paired_areas

    gap, low, high = paired_areas(np.zeros(len(doubt)), doubt, loss, seed=seed)
    return gap, (low, high)


def _groups(doubt: FloatArray, loss: FloatArray, labels: npt.NDArray[Any], binary: bool) -> pd.DataFrame:
    """Return one line per group and share of all rows that are answered.

    Of rows of equal doubt at the border each counts with the share of them that is answered: the mean over all orders among them.
    """
    lines, ordered = [], np.sort(doubt)
    below, upto = (np.searchsorted(ordered, doubt, side) for side in ("left", "right"))
    for share in SHARES:
        weight = np.clip((round(share * len(doubt)) - below) / (upto - below), 0.0, 1.0)
        for name in dict.fromkeys(sorted(labels)):
            mine = labels == name
            some, w = loss[mine], weight[mine]
            n, m = int(mine.sum()), float(w.sum())
            risk = float(w @ some) / m if m else np.nan
            if binary and m:
                low, high = (float(v) for v in wilson(float(w @ some), m))
            else:
                half = Z95 * np.sqrt(float(w @ (some - risk) ** 2) / (m - 1) / m * float(widening(m - 1))) if m >= 2 else np.nan
                low, high = risk - half, risk + half
            lines.append({"group": name, "n": n, "coverage": share, "accepted": m / n, "risk": risk, "low": low, "high": high})
    return pd.DataFrame(lines)
