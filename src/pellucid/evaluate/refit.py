"""Train a model from elsewhere again: a clone, and a fit on the rows at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError
from pellucid.probe.foreign import as_predictor
from pellucid.protocols import FloatArray, Predictor
from pellucid.table import Table

__all__ = ["CloneRefit"]


class CloneRefit:
    """A :class:`~pellucid.protocols.Refit` for anything that scikit-learn can clone.

    Parameters
    ----------
    model : has ``fit``. predictor : the same model as the answers see it; gives the form in which the model is called.
    table, y : the rows to fit on, and their labels or numbers.

    Attributes
    ----------
    n_rows : number of rows; ``rows`` counts in them.
    target : (N,) labels or numbers, to shuffle. table : the N rows.
    """

    def __init__(self, model: Any, predictor: Any, table: Table, y: Any) -> None:
        if not hasattr(model, "fit") or not hasattr(predictor, "native"):
            raise RequestError(
                "the model cannot be trained again", expected="an object with fit", got=type(model).__name__, do="give refit= a callable"
            )
        if y is None or len(np.asarray(y)) != len(table):
            raise RequestError(
                "training again needs the labels of the rows",
                expected=f"y= with {len(table)} labels",
                got="none" if y is None else str(len(y)),
            )
        self._model, self._predictor, self.table = model, predictor, table
        self.target, self.n_rows = np.asarray(y), len(table)

    def __call__(
        self,
        table: Table | None = None,
        rows: npt.NDArray[np.int64] | None = None,
        target: npt.NDArray[Any] | None = None,
        columns: Sequence[str] | None = None,
        weights: FloatArray | None = None,
        seed: int | None = None,
        checkpoints: int = 0,
    ) -> Predictor:
        """Return the clone fitted on some rows, with other labels where given."""
        from sklearn.base import clone

        if columns is not None or weights is not None or checkpoints:
            raise RequestError("a model from elsewhere is trained again on its own columns, without weights or checkpoints")
        at = np.arange(self.n_rows) if rows is None else rows
        goal = self.target[at] if target is None else np.asarray(target)[at if len(target) == self.n_rows else slice(None)]
        model = clone(self._model)
        if seed is not None and "random_state" in model.get_params():
            model.set_params(random_state=seed)
        cells = self.table if table is None else table
        native = self._predictor.native
        model.fit(native(cells.take(at)), goal)
        return as_predictor(model, native(cells), native(self._predictor.background()), scale=self._predictor.scale)


def codes_of(table: Table) -> tuple[FloatArray, tuple[str, ...]]:
    """Return (class numbers or numbers (N,), class labels; none for numbers) of a table's target; -1 or NaN where missing."""
    from pellucid.table import ColumnType

    goal = str(table.target)
    if table.schema[goal].type is ColumnType.NUMBER:
        values = table.numbers(goal)
        if len(np.unique(values[~np.isnan(values)])) > 2:
            return values, ()
    codes, texts = table.levels(goal)
    order = sorted(range(len(texts)), key=lambda k: texts[k])
    place = np.full(len(texts) + 1, -1, np.int64)
    place[order] = np.arange(len(texts))
    return np.where(codes >= 0, place[codes], -1).astype(np.float64), tuple(texts[k] for k in order)


class TableRefit:
    """A :class:`~pellucid.protocols.Refit` over the rows of a table, for a model that need not have been fitted.

    Parameters
    ----------
    model : a backbone name, an estimator of this package or one that scikit-learn can clone, or None: boosted trees.
    table : the N rows, without the target. truth : (N,) class numbers or numbers. classes : class labels; none for numbers.

    Attributes
    ----------
    target : (N,) what ``target=`` takes. name : of the model.
    """

    def __init__(self, model: Any, table: Table, truth: FloatArray, classes: Sequence[str]) -> None:
        self.table, self.target, self.classes = table, np.asarray(truth), tuple(classes)
        self._model = _estimator(model, bool(classes)) if isinstance(model, str) else model
        if model is not None and not hasattr(self._model, "fit"):
            raise RequestError("the model cannot be trained", expected="a backbone name or an object with fit", got=type(model).__name__)
        self.name = "boosted trees" if model is None else str(getattr(self._model, "backbone", type(self._model).__name__))

    def __call__(
        self,
        table: Table | None = None,
        rows: npt.NDArray[np.int64] | None = None,
        target: npt.NDArray[Any] | None = None,
        columns: Sequence[str] | None = None,
        weights: FloatArray | None = None,
        seed: int | None = None,
        checkpoints: int = 0,
    ) -> Predictor:
        """Return the model fitted on some rows; ``target`` (N,) instead of the true one."""
        if checkpoints or (weights is not None and self._model is None):
            raise RequestError("this refit takes neither checkpoints nor, for boosted trees, weights")
        cells = self.table if table is None else table
        cells = cells if columns is None else cells.select(columns)
        at = np.arange(len(cells)) if rows is None else np.asarray(rows)
        goal = (self.target if target is None else np.asarray(target))[at]
        part = cells.take(at)
        if self._model is None:
            from pellucid.select.quick import QuickModel

            return _Named(QuickModel(part, goal, len(self.classes), seed or 0), self.classes)
        from sklearn.base import clone

        model, w = clone(self._model), None if weights is None else weights[at]
        if seed is not None and "random_state" in model.get_params():
            model.set_params(random_state=seed)
        y = np.asarray(self.classes, object)[goal.astype(np.int64)] if self.classes else goal
        if hasattr(model, "predictor"):
            return model.set_params(schema=part.schema, verbose=0).fit(part, y, sample_weight=w).predictor()  # type: ignore[no-any-return]
        given = part.native()
        model.fit(given, y, **({} if w is None else {"sample_weight": w}))
        return as_predictor(model, given, given)


def _estimator(name: str, classes: bool) -> Any:
    from pellucid.estimators import TabularClassifier, TabularRegressor

    return (TabularClassifier if classes else TabularRegressor)(backbone=name, verbose=0)


class _Named:
    """A predictor whose class numbers bear their names."""

    def __init__(self, inner: Any, classes: Sequence[str]) -> None:
        self._inner, self.classes, self.columns, self.task, self.scale = inner, tuple(classes), inner.columns, inner.task, inner.scale
        self.outputs = tuple(classes[1:] if len(classes) == 2 else classes) or inner.outputs

    def raw(self, table: Table) -> FloatArray:
        """Return the answers (N, O)."""
        return np.asarray(self._inner.raw(table))

    def background(self) -> Table | None:
        """Return the rows learned from."""
        return self._inner.background()  # type: ignore[no-any-return]
