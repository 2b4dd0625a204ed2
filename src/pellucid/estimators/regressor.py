"""The regressor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import Tags

from pellucid.errors import TargetError
from pellucid.estimators.base import TabularEstimator
from pellucid.estimators.prepare import cells_of, true_answers
from pellucid.protocols import FloatArray

__all__ = ["TabularRegressor"]


class TabularRegressor(RegressorMixin, TabularEstimator):
    """Learn one number, or several, from one table.

    The parameters are those of :class:`TabularClassifier`; ``class_weight`` and ``calibration`` have no effect here.
    ``loss`` is None (squared error), ``"poisson"`` (answers are exp of the network's output times the mean target, so never negative),
    ``"quantile"`` or ``{"quantile": {"level": 0.9}}`` (answers are that quantile), ``"cisir"`` (targets most of which are alike and few are
    far away; options ``alpha``, ``correlation``), or a callable.

    Examples
    --------
    >>> import numpy as np
    >>> from pellucid import TabularRegressor
    >>> X = np.random.default_rng(0).normal(size=(120, 3))
    >>> model = TabularRegressor(random_state=0, verbose=0).fit(X, 2 * X[:, 0] + X[:, 1])
    >>> bool(model.score(X, 2 * X[:, 0] + X[:, 1]) > 0.8)
    True
    """

    _task = "regression"

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return R², of several numbers their mean; rows without a true number do not count.

        ``y`` None: the target column of X.
        """
        y = true_answers(self, X) if y is None else y
        gone = np.asarray(pd.DataFrame(cells_of(y)).isna().any(axis=1), np.bool_)
        if not gone.any():
            return float(super().score(X, y, sample_weight))
        if gone.all():
            raise TargetError("no row has a true answer to score by", got=f"{len(gone)} rows without one", do="pass rows with answers")
        truth, weight = cells_of(y)[~gone], None if sample_weight is None else np.asarray(sample_weight)[~gone]
        return float(r2_score(truth, self.predict(X)[~gone], sample_weight=weight))

    def predict(self, X: Any, *, precision: str = "fp32") -> FloatArray:
        """Return the predicted numbers in the target's unit, (N,) or (N, O).

        ``precision="bf16"`` is about twice as fast on processors with matrix units; values then move in the third digit.
        """
        values = self._members(X, precision).mean(1)
        return np.asarray(values[:, 0] if self.target_.flat else values)
