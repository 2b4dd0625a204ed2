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
