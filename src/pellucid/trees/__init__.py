"""Models of decision trees as plain arrays: what an answer may use of a boosted model or a forest beside asking it."""

from __future__ import annotations

from typing import Any

from pellucid.trees.forest import Forest, Grown, Sum, join

__all__ = ["Forest", "Grown", "Sum", "join", "read"]


def read(model: Any) -> Grown | None:
    """Return the trees of a fitted model of scikit-learn, LightGBM, XGBoost or CatBoost; None where it is no sum of trees.

    The package itself is not imported: whoever holds its model has done so. Cost: one walk over the nodes.
    """
    for kind in type(model).__mro__:
        package = kind.__module__.split(".")[0]
        if package == "sklearn":
            from pellucid.trees import scikit_learn

            return scikit_learn.read(model)
        if package == "lightgbm":
            from pellucid.trees import lightgbm

            return lightgbm.read(model)
        if package == "xgboost":
            from pellucid.trees import xgboost

            return xgboost.read(model)
        if package == "catboost":
            from pellucid.trees import catboost

            return catboost.read(model)
    return None
