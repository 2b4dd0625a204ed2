"""CatBoost's trees, read from the model's own JSON: every level of a tree asks one question."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from pellucid.trees.forest import Forest, Grown, join, numbers_of

__all__ = ["read"]

SAYS = {"RMSE": "value", "MAE": "value", "Quantile": "value", "Huber": "value", "Logloss": "log-odds", "CrossEntropy": "log-odds"}


def read(model: Any) -> Grown | None:
    """Return the trees of a fitted model.

    None for objectives whose answer is another function of the sum or of several classes, and for trees that ask of categories: they look
    at statistics of training rows.
    """
    told = _told(model)
    says = SAYS.get(str(told["model_info"]["params"]["loss_function"]["type"]))
    trees = told.get("oblivious_trees")
    if says is None or not trees or any(s["split_type"] != "FloatFeature" for t in trees for s in t["splits"] or ()):
        return None
    columns = told["features_info"]["float_features"]
    place = {c["feature_index"]: c["flat_feature_index"] for c in columns}
    missing_left = {c["feature_index"]: c["nan_value_treatment"] != "AsTrue" for c in columns}
    factor, shift = told["scale_and_bias"]
    forest = join([_tree(t, place, missing_left) for t in trees]).scaled(float(factor), np.ravel(shift).astype(np.float64))
    return Grown(forest, numbers_of, says)


def _told(model: Any) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        model.save_model(str(path), format="json")
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _tree(told: dict[str, Any], place: dict[int, int], missing_left: dict[int, bool]) -> Forest:
    """Return the tree level by level, the last question first: a leaf's number has the answer to the first in its lowest bit."""
    splits = list(reversed(told["splits"] or ()))
    depth = len(splits)
    inner = 2**depth - 1
    level = np.repeat(np.arange(depth), 2 ** np.arange(depth))  # the inner nodes one level after the other
    number = np.arange(inner)
    asked = [s["float_feature_index"] for s in splits]
    leaves = np.full(2**depth, -1)
    pad = np.zeros(2**depth, np.int64)
    return Forest(
        left=np.concatenate([2 * number + 1, leaves]),
        right=np.concatenate([2 * number + 2, leaves]),
        feature=np.concatenate([np.array([place[a] for a in asked], np.int64)[level], pad]),
        # cells above the border go right
        threshold=np.concatenate([np.array([s["border"] for s in splits], np.float64)[level], pad]),
        missing_left=np.concatenate([np.array([missing_left[a] for a in asked], bool)[level], pad > 0]),
        levels=np.full(2 * inner + 1, -1),
        sets=np.zeros((0, 0), bool),
        known=np.zeros((0, 0), bool),
        value=np.concatenate([np.zeros(inner), np.array(told["leaf_values"], np.float64)])[:, None],
        root=np.zeros(1, np.int64),
        base=np.zeros(1),
        single=True,
    )
