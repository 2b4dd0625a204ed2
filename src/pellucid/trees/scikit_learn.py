"""scikit-learn's trees: single ones, forests, gradient boosting and its histogram kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.trees.forest import FloatArray, Forest, Grown, join, numbers_of

__all__ = ["read"]

FORESTS = frozenset({"RandomForestRegressor", "RandomForestClassifier", "ExtraTreesRegressor", "ExtraTreesClassifier"})
BOOSTED = frozenset({"GradientBoostingRegressor", "GradientBoostingClassifier"})
HISTOGRAMS = frozenset({"HistGradientBoostingRegressor", "HistGradientBoostingClassifier"})
LOSSES = frozenset({"HalfSquaredError", "AbsoluteError", "HuberLoss", "PinballLoss", "HalfBinomialLoss", "HalfMultinomialLoss"})
"""Those of a sum that is the answer, or its log-odds."""
TREES = frozenset({"DecisionTreeRegressor", "DecisionTreeClassifier", "ExtraTreeRegressor", "ExtraTreeClassifier"})


def read(model: Any) -> Grown | None:
    """Return the trees of a fitted estimator; None where it has none, and for losses whose answer is another function of the sum."""
    name = type(model).__name__
    classes = name.endswith("Classifier")
    if name in TREES | FORESTS:
        if getattr(model, "n_outputs_", 1) > 1 and classes:
            return None
        trees = [_tree(t.tree_, classes) for t in (getattr(model, "estimators_", None) or [model])]
        return Grown(join(trees).scaled(1 / len(trees)), numbers_of, "probability" if classes else "value")
    forest = _boosted(model) if name in BOOSTED else _histogram(model) if name in HISTOGRAMS else None
    if forest is None:
        return None
    cells = numbers_of if name in BOOSTED else _prepared(model)
    return Grown(forest, cells, "value" if not classes else "log-odds" if forest.n_outputs == 1 else "margins")


def _prepared(model: Any) -> Callable[[Any], FloatArray]:
    """Histogram trees look at what the model's own preparation makes: codes of categories, which it puts first."""
    if getattr(model, "_preprocessor", None) is None:
        return numbers_of
    return lambda X: np.asarray(model._preprocess_X(X, reset=False), np.float64)


def _tree(tree: Any, classes: bool = False) -> Forest:
    value = tree.value[:, 0, :] if classes else tree.value[:, :, 0]
    if classes:
        value = value / value.sum(1, keepdims=True)
    missing = getattr(tree, "missing_go_to_left", None)
    return Forest.of_tree(tree.children_left, tree.children_right, tree.feature, tree.threshold, value, missing)


def _boosted(model: Any) -> Forest | None:
    """Gradient boosting: the first guess, then every step's trees, one for each class but where there are two."""
    size = model.estimators_.shape[1]
    if type(model._loss).__name__ not in LOSSES:
        return None
    width = model.n_features_in_
    base = np.asarray(model._raw_predict_init(np.zeros((1, width), np.float32)), np.float64)[0]
    if model.init_ != "zero" and type(model.init_).__name__ not in ("DummyClassifier", "DummyRegressor"):
        return None  # a model of its own, whose answer is no constant
    columns = [join([_tree(t.tree_) for t in model.estimators_[:, k]]) for k in range(size)]
    return join(columns, columns=True).scaled(model.learning_rate, base)


def _histogram(model: Any) -> Forest | None:
    """Histogram gradient boosting, whose codes of categories are looked up as they were before binning."""
    if type(model._loss).__name__ not in LOSSES:
        return None
    columns = [join([_grown(step[k], model) for step in model._predictors]) for k in range(len(model._predictors[0]))]
    return join(columns, columns=True).scaled(1.0, np.ravel(model._baseline_prediction).astype(np.float64))


def _grown(predictor: Any, model: Any) -> Forest:
    nodes = predictor.nodes
    inner = nodes["is_leaf"] == 0
    split = inner & (nodes["is_categorical"] != 0)
    feature = np.where(inner, nodes["feature_idx"], 0).astype(np.int64)
    levels, sets, known = _level_sets(predictor, nodes, split, feature, model)
    return Forest(
        left=np.where(inner, nodes["left"].astype(np.int64), -1),
        right=np.where(inner, nodes["right"].astype(np.int64), -1),
        feature=feature,
        threshold=nodes["num_threshold"].astype(np.float64),
        missing_left=nodes["missing_go_to_left"] != 0,
        levels=levels,
        sets=sets,
        known=known,
        value=np.where(inner, 0.0, nodes["value"])[:, None],
        root=np.zeros(1, np.int64),
        base=np.zeros(1),
    )


def _bits(words: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return (n, 256) from bit sets of eight 32-bit words (n, 8)."""
    return np.asarray((words[:, :, None] >> np.arange(32, dtype=np.uint32)) & 1).astype(bool).reshape(len(words), -1)


def _level_sets(predictor: Any, nodes: Any, split: Any, feature: Any, model: Any) -> tuple[Any, Any, Any]:
    levels = np.full(len(nodes), -1)
    if not split.any():
        return levels, np.zeros((0, 256), bool), np.zeros((0, 256), bool)
    at = nodes["bitset_idx"][split].astype(np.int64)
    levels[split] = at
    sets = _bits(predictor.raw_left_cat_bitsets)
    bins, places = model._bin_mapper.make_known_categories_bitsets()
    known = np.ones_like(sets)
    known[at] = _bits(bins)[places[feature[split]]]
    return levels, sets, known
