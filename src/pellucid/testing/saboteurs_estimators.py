"""Estimators with one fault each, around an honest linear model: the self-check must go red on every one."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from pellucid.protocols import FloatArray
from pellucid.random import stream

__all__ = ["ESTIMATORS", "Honest"]


class Honest:
    """A linear classifier of this package behind ``fit``, ``predict``, ``predict_proba`` and ``save``."""

    def fit(self, X: pd.DataFrame, y: Any = None, *, target: str | None = None) -> Self:
        """Fit the linear model."""
        from pellucid.estimators import TabularClassifier

        self.inner = TabularClassifier(backbone="linear", random_state=0, verbose=0)
        self.inner.fit(X, y, target=target) if target else self.inner.fit(X, y)
        self.classes_ = self.inner.classes_
        return self

    def predict_proba(self, X: pd.DataFrame) -> FloatArray:
        """Return probabilities (N, O)."""
        return np.asarray(self.inner.predict_proba(X), np.float64)

    def predict(self, X: pd.DataFrame) -> Any:
        """Return labels (N,)."""
        return self.classes_[self.predict_proba(X).argmax(1)]

    def save(self, path: Path) -> None:
        """Write the model as a folder."""
        self.inner.save(path)

    @staticmethod
    def mixed(p: FloatArray, other: Any, share: float = 0.05) -> FloatArray:
        """Return probabilities moved towards ``other`` (N,) for the second class."""
        q = (1 - share) * p[:, 1] + share * np.asarray(other, np.float64)
        return np.column_stack([1 - q, q])


class RememberedLabels(Honest):
    """Knows the labels of rows it should not have seen: the table was in its hands before it was split."""

    def predict(self, X: pd.DataFrame) -> Any:
        """Return the labels of the shuffled table by the rows' contents."""
        from pellucid.cli.selfcheck import planted

        frame, labels = planted(0)
        known = dict(zip(pd.util.hash_pandas_object(frame, index=False), stream(0, "canary").permutation(labels)))
        return np.array([known[h] for h in pd.util.hash_pandas_object(X, index=False)], object)


class ReadsTheTarget(Honest):
    """Reads a target column that is present among the new rows."""

    def predict_proba(self, X: pd.DataFrame) -> FloatArray:
        """Return probabilities that know the answer."""
        p = super().predict_proba(X)
        return self.mixed(p, X["answer"] == self.classes_[1]) if "answer" in X else p


class RowOrder(Honest):
    """Answers by the place of a row in the table."""

    def predict_proba(self, X: pd.DataFrame) -> FloatArray:
        """Return probabilities that grow with the row's place."""
        return self.mixed(super().predict_proba(X), np.linspace(0, 1, len(X)))


class Neighbours(Honest):
    """Normalises by the rows that happen to be beside it."""

    def predict_proba(self, X: pd.DataFrame) -> FloatArray:
        """Return probabilities moved by the batch's mean."""
        p = super().predict_proba(X)
        return self.mixed(p, np.full(len(X), p[:, 1].mean()))


class ColumnOrder(Honest):
    """Reads the first column, whichever it is."""

    def predict_proba(self, X: pd.DataFrame) -> FloatArray:
        """Return probabilities moved by the first column."""
        first = pd.util.hash_pandas_object(X.iloc[:, 0].astype(str), index=False).to_numpy()
        return self.mixed(super().predict_proba(X), first / 2.0**64)


class Unrepeatable(Honest):
    """Draws from a generator that is not seeded by the call."""

    _calls = itertools.count()

    def fit(self, X: pd.DataFrame, y: Any = None, *, target: str | None = None) -> Self:
        """Fit, and draw."""
        self.shift = 0.01 * (1 + next(self._calls))
        return super().fit(X, y, target=target)

    def predict_proba(self, X: pd.DataFrame) -> FloatArray:
        """Return probabilities that depend on the number of fits before."""
        return self.mixed(super().predict_proba(X), np.ones(len(X)), self.shift)


class LosesOnDisk(Honest):
    """Answers with something that is not saved."""

    def predict_proba(self, X: pd.DataFrame) -> FloatArray:
        """Return probabilities that the saved model does not give."""
        return self.mixed(super().predict_proba(X), np.ones(len(X)))


ESTIMATORS: dict[str, type[Honest]] = {
    "leak canary": RememberedLabels,
    "target ignored": ReadsTheTarget,
    "row order": RowOrder,
    "batch size": Neighbours,
    "column order": ColumnOrder,
    "refit identity": Unrepeatable,
    "saved = loaded": LosesOnDisk,
}
"""By line of ``pellucid selfcheck``, the estimator on which it must go red."""
