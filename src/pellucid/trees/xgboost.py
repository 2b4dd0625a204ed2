"""XGBoost's trees, read from the model's own JSON."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np

from pellucid.trees.forest import FloatArray, Forest, Grown, codes_of, join, numbers_of

__all__ = ["read"]

VALUES = frozenset({"reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror", "reg:quantileerror"})


def read(model: Any) -> Grown | None:
    """Return the trees of a booster or an estimator; None for objectives whose answer is another function of the sum, and for ``dart``."""
    booster = model.get_booster() if hasattr(model, "get_booster") else model
    told = json.loads(bytes(booster.save_raw(raw_format="json")))["learner"]
    grown, objective = told["gradient_booster"], told["objective"]["name"]
    says = "value" if objective in VALUES else "log-odds" if objective == "binary:logistic" else "margins"
    if grown.get("name") != "gbtree" or (says == "margins" and not objective.startswith("multi:")):
        return None
    trees = grown["model"]["trees"]
    if best := told["attributes"].get("best_iteration") if model is not booster else None:
        trees = trees[: grown["model"]["iteration_indptr"][int(best) + 1]]
    if not trees or any(int(t["tree_param"]["size_leaf_vector"]) > 1 for t in trees):
        return None
    levels = [_levels(e) for e in grown["model"].get("cats", {}).get("enc", [])]
    coded = [e for e in levels if e is not None]
    width = max(1 + max((max(t["categories"], default=-1) for t in trees), default=-1), *(len(e) for e in coded), 0)
    output = np.array(grown["model"]["tree_info"][: len(trees)])
    columns = [join([_tree(t, width) for t, k in zip(trees, output) if k == o]) for o in range(int(output.max()) + 1)]
    base = np.atleast_1d(np.array(json.loads(told["learner_model_param"]["base_score"]), np.float64))
    shift = np.log(base / (1 - base)) if says == "log-odds" else base
    forest = join(columns, columns=True).scaled(1.0, shift)
    given = getattr(model, "missing", None)
    missing = np.float32(np.nan if given is None else given)  # what an estimator takes for a missing cell beside NaN

    def cells(X: Any) -> FloatArray:
        out = numbers_of(X, lambda j, column: codes_of(column, coded[j] if coded else None))
        return out if np.isnan(missing) else np.where(out.astype(np.float32) == missing, np.nan, out)

    return Grown(forest, cells, says)


def _levels(told: dict[str, Any]) -> list[Any] | None:
    """Return the levels of a column in the order of their codes; None for a column of numbers."""
    offsets, values = told.get("offsets"), told["values"]
    if not values:
        return None
    if offsets is None:
        return list(values)
    text = bytes(v % 256 for v in values)
    return [text[s:e].decode() for s, e in itertools.pairwise(offsets)]


def _tree(told: dict[str, Any], width: int) -> Forest:
    left, right = np.array(told["left_children"], np.int64), np.array(told["right_children"], np.int64)
    inner = left >= 0
    condition = np.array(told["split_conditions"], np.float32)
    sets, levels = _sets(told, len(left), width)
    return Forest(
        left=left,
        right=right,
        feature=np.where(inner, told["split_indices"], 0).astype(np.int64),
        # cells below the condition go left
        threshold=np.nextafter(condition, np.float32(-np.inf)).astype(np.float64),
        missing_left=np.array(told["default_left"]) > 0,
        levels=levels,
        sets=sets,
        known=np.ones_like(sets),
        value=np.where(inner, 0.0, condition.astype(np.float64))[:, None],
        root=np.zeros(1, np.int64),
        base=np.zeros(1),
        single=True,
    )


def _sets(told: dict[str, Any], nodes: int, width: int) -> tuple[Any, Any]:
    """Return (which of ``width`` codes go left by node that looks codes up, the places of the nodes); those listed go right."""
    places, starts, sizes = told["categories_nodes"], told["categories_segments"], told["categories_sizes"]
    sets = np.ones((len(places), width), bool)
    for k, (s, n) in enumerate(zip(starts, sizes)):
        sets[k, told["categories"][s : s + n]] = False
    levels = np.full(nodes, -1)
    levels[places] = np.arange(len(places))
    return sets, levels
