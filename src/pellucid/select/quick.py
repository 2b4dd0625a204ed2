"""A model for tables that come without one: boosted trees on numbers and level numbers. It ranks nothing, it only has to predict."""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid.encode.reach import without_empty
from pellucid.execution import few_threads
from pellucid.protocols import FloatArray
from pellucid.table import ColumnType, Table

__all__ = ["QuickModel"]

FULL = 200


class QuickModel:
    """A :class:`~pellucid.protocols.Predictor` of boosted trees: probabilities of classes, or numbers.

    Parameters
    ----------
    table : the rows to learn from. y : class numbers (``classes`` of them) or numbers (``classes`` = 0).
    """

    foreign = False

    def __init__(self, table: Table, y: FloatArray, classes: int, seed: int) -> None:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        self.columns, self._kept = table.columns, table
        self._levels = {c: {t: k for k, t in enumerate(table.levels(c)[1])} for c in table.columns if not _is_number(table, c)}
        self.task = "classification" if classes else "regression"
        self.classes: tuple[Any, ...] = tuple(range(classes))
        self.outputs = tuple(map(str, self.classes)) if classes > 2 else ("1",) if classes else ("y",)
        self.scale = "probability" if classes else "target"
        kind = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
        small = len(table) < FULL
        self._model = kind(max_iter=60 if small else 100, max_leaf_nodes=7 if small else 15, random_state=seed, early_stopping=False)
        cells = self._matrix(table)
        with few_threads(cells.size):
            self._model.fit(without_empty(cells), y.astype(int) if classes else y)

    def _matrix(self, table: Table) -> FloatArray:
        out = np.empty((len(table), len(self.columns)))
        for j, name in enumerate(self.columns):
            if name in self._levels:
                codes, texts = table.levels(name)
                out[:, j] = np.array([*(self._levels[name].get(t, -1) for t in texts), np.nan], float)[codes]
            else:
                out[:, j] = table.numbers(name) if table.schema[name].type is ColumnType.NUMBER else table.seconds(name)
        return out

    def raw(self, table: Table) -> FloatArray:
        """Return probabilities or numbers (N, O)."""
        cells = self._matrix(table)
        if self.task == "regression":
            return np.asarray(self._model.predict(cells), np.float64)[:, None]
        out = np.zeros((len(table), len(self.classes)))
        out[:, self._model.classes_.astype(int)] = self._model.predict_proba(cells)
        return out if len(self.classes) > 2 else out[:, 1:]

    def background(self) -> Table:
        """Return the rows learned from."""
        return self._kept


def _is_number(table: Table, name: str) -> bool:
    return table.schema[name].type in (ColumnType.NUMBER, ColumnType.DATE)
