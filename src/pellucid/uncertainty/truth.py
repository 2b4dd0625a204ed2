"""Labelled rows: their true answers, and which of them sets or intervals hold. Letters: N rows, O classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import ArgumentError, EmptyTableError, RequestError
from pellucid.export import level_text
from pellucid.results import Prediction
from pellucid.table import Table, apply_schema
from pellucid.training.groupings import labels_of

__all__ = ["check_rows", "group_labels", "held_truth", "known_truth", "new_rows"]

BoolArray = npt.NDArray[np.bool_]


def _given(model: Any, X: Any, y: Any) -> npt.NDArray[Any]:
    """Return the true answers (N,) as they are written: ``y``, or the target column of ``X``."""
    if y is not None:
        labels = np.asarray(y, object)
        return labels.reshape(-1) if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if isinstance(X, Table) and X.target is not None:
        return X.frame[X.target].to_numpy(object)
    names: tuple[str, ...] = getattr(getattr(model, "target_", None), "names", ())
    if len(names) == 1 and hasattr(X, "columns") and names[0] in list(X.columns):
        column = X.frame[names[0]] if isinstance(X, Table) else X[names[0]]
        return np.asarray(column, object)
    raise RequestError("the true answers of these rows are not known", expected="y=, or a target column in X")


def known_truth(model: Any, X: Any, y: Any) -> tuple[npt.NDArray[Any], BoolArray]:
    """Return (truth (N,), which rows have one (N,)): class numbers, -1 for a label the model has not learned, or numbers.

    A label that the model does not know counts as known: no set can hold it. Missing answers do not count.
    """
    given, task = _given(model, X, y), model.predictor().task
    if given.ndim != 1:
        raise ArgumentError("promises are measured for one target at a time", expected="(rows,) answers", got=f"shape {given.shape}")
    missing = np.asarray(pd.isna(given), bool)
    if task == "classification":
        at = {level_text(c): i for i, c in enumerate(model.predictor().classes)}
        truth = np.array([-1 if gone else at.get(level_text(v), -1) for v, gone in zip(given, missing)], np.int64)
        known = ~missing
    else:
        try:
            truth = np.where(missing, np.nan, np.where(missing, 0, given).astype(np.float64))
        except (TypeError, ValueError) as error:
            raise ArgumentError("the true answers are not numbers", got=str(error)[:80]) from error
        known = np.isfinite(truth)
    if not known.any():
        raise EmptyTableError("no row has a true answer")
    return truth, known


def check_rows(answer: Prediction, truth: npt.NDArray[Any]) -> None:
    """Raise where there are not as many true answers as rows: none would be that of its row."""
    n = len(answer.point)
    if len(truth) != n:
        raise RequestError("the true answers do not fit the rows", expected=f"one for each of {n:,} rows", got=f"{len(truth):,}")


def held_truth(answer: Prediction, truth: npt.NDArray[Any]) -> tuple[BoolArray, npt.NDArray[np.float64]]:
    """Return (whether each set or interval holds the truth (N,), its number of labels or width (N,))."""
    check_rows(answer, truth)
    if answer.set is not None:
        sizes = np.array([len(s) for s in answer.set], np.float64)
        names = list(answer.classes)
        return np.array([t >= 0 and names[t] in s for t, s in zip(truth.tolist(), answer.set)], bool), sizes
    if answer.low is None or answer.high is None:
        raise RequestError("no rows were held out at fit, so these answers promise nothing", do="fit on more rows")
    if answer.low.ndim != 1:
        raise RequestError("promises are measured for one target at a time", got=f"{answer.low.shape[1]} targets")
    return np.asarray((answer.low <= truth) & (truth <= answer.high)), answer.high - answer.low


def new_rows(model: Any, X: Any) -> Table:
    """Return rows under the schema of a fitted model; a target column that is present is left out."""
    return apply_schema(X, model.schema_, ignore=getattr(getattr(model, "target_", None), "names", ()))


def group_labels(model: Any, X: Any, groups: str | None) -> npt.NDArray[Any] | None:
    """Return the text of each row's group (N,), or None where no column was named."""
    if groups is None:
        return None
    table = new_rows(model, X)
    if groups not in table.columns or not table.schema[groups].type.is_level:
        raise RequestError(f"{groups!r} is no column of groups", expected="a category, boolean or ordered column of the training table")
    return labels_of(*table.levels(groups))
