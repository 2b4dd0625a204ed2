"""Doubts of a fitted model as outputs of their own: explaining one says which columns make the model unsure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid import registry
from pellucid.errors import RequestError
from pellucid.protocols import FloatArray
from pellucid.table import Table

if TYPE_CHECKING:
    from pellucid.estimators.predictor import EnginePredictor
    from pellucid.training.familiarity import Familiarity

__all__ = ["FamiliarityView", "WidthView"]

LEVEL = 0.9


class _View:
    """What the views share. ``outputs`` names the doubt; ``scale`` is its unit."""

    outputs: tuple[str, ...] = ()
    classes: tuple[Any, ...] = ()
    task = "regression"
    scale = ""

    def __init__(self, whole: EnginePredictor) -> None:
        self._whole, self.columns = whole, whole.columns
        self.row_model = whole.row_model

    def background(self) -> Table | None:
        """Return the training rows kept at fit."""
        return self._whole.background()

    def read(self, X: Any) -> Table:
        """Return new rows as a Table of the training columns."""
        return self._whole.read(X)


class WidthView(_View):
    """How wide the interval at 90 % is, in the target's unit, summed over targets; for classes, how many labels are in the set.

    Numbers: of the score with the narrowest intervals that tell rows apart. Raises RequestError where every row has the same width.
    """

    outputs: tuple[str, ...] = ("width",)

    def __init__(self, whole: EnginePredictor, model: Any) -> None:
        super().__init__(whole)
        self._model = model
        self.scale = "labels in the set" if whole.task == "classification" else whole.scale
        if not model.certainty_.conformals:
            raise RequestError("no rows were held out, so there is no width to explain")
        if whole.task == "regression" and not model.promises().conformals and not model.certainty_.by_folds:
            raise RequestError("every row has the same width", do="fit on more rows, so that the size of the errors can be told by row")

    def raw(self, table: Table) -> FloatArray:
        """Return the width of each row, (N, 1)."""
        widths = registry.public("uncertainty.answer", "widths")(self._model, self._whole, table.select(self.columns), LEVEL)
        return np.asarray(widths, np.float64)[:, None]


class FamiliarityView(_View):
    """How far from its nearest kept training rows a row lies: high for strange rows, in mean squared spreads summed over columns."""

    outputs: tuple[str, ...] = ("unfamiliarity",)
    scale = "distance to training rows"

    def __init__(self, whole: EnginePredictor, fitted: Familiarity | None) -> None:
        super().__init__(whole)
        if fitted is None:
            raise RequestError("no training rows were kept, so familiarity is unknown", do="fit with keep_rows above 0")
        if not fitted.columns:
            raise RequestError("all columns are texts, which distances leave out, so familiarity is unknown", do="ask of='prediction'")
        self._fitted = fitted

    def raw(self, table: Table) -> FloatArray:
        """Return the distance of each row, (N, 1)."""
        return self._fitted.distance(table)[0][:, None]
