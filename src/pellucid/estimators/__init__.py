"""The estimators: where table, encode, nn and training meet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pellucid.estimators.classifier import TabularClassifier
    from pellucid.estimators.io import load
    from pellucid.estimators.regressor import TabularRegressor
    from pellucid.estimators.row_model import RowModel

__all__ = ["RowModel", "TabularClassifier", "TabularRegressor", "load"]


def __getattr__(name: str) -> Any:
    # scikit-learn and torch are loaded when an estimator is first asked for, not when the package is
    if name == "TabularClassifier":
        from pellucid.estimators.classifier import TabularClassifier

        return TabularClassifier
    if name == "TabularRegressor":
        from pellucid.estimators.regressor import TabularRegressor

        return TabularRegressor
    if name == "RowModel":
        from pellucid.estimators.row_model import RowModel

        return RowModel
    if name == "load":
        from pellucid.estimators.io import load

        return load
    raise AttributeError(name)
