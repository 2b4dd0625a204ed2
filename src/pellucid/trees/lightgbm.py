"""LightGBM's trees, read from the model's own description."""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid.trees.forest import Forest, Grown, codes_of, join, numbers_of

__all__ = ["read"]

OBJECTIVES = ("regression", "regression_l1", "huber", "fair", "quantile", "mape", "binary", "multiclass")

LARGEST = 1e300
"""What the description says of a threshold without end, which only missing cells pass."""


def read(model: Any) -> Grown | None:
    """Return the trees of a booster or an estimator; None for objectives whose answer is another function of the sum."""
    booster = getattr(model, "booster_", model)
    told = booster.dump_model(num_iteration=booster.best_iteration if booster.best_iteration > 0 else -1)
    objective = told.get("objective", "").split()
    if not objective or objective[0] not in OBJECTIVES or "sqrt" in objective or told.get("average_output"):
        return None
    if any(o.startswith("sigmoid:") and float(o[8:]) != 1 for o in objective):
        return None
    trees = [_tree(t["tree_structure"]) for t in told["tree_info"]]
    each = int(told["num_tree_per_iteration"])
    known = [t for t in trees if t is not None]
    if not trees or len(known) < len(trees):
        return None
    levels = booster.pandas_categorical or []
    forest = join([join(known[k::each]) for k in range(each)], columns=True)
    says = {"binary": "log-odds", "multiclass": "margins"}.get(objective[0], "value")
    return Grown(forest, lambda X: numbers_of(X, lambda j, column: codes_of(column, levels[j])), says)


def _tree(root: dict[str, Any]) -> Forest | None:
    nodes: list[dict[str, Any]] = []
    left, right, waiting = [], [], [root]
    at = 0
    while at < len(waiting):  # level by level, numbered as they are found
        node = waiting[at]
        at += 1
        nodes.append(node)
        leaf = "left_child" not in node
        left.append(-1 if leaf else len(waiting))
        right.append(-1 if leaf else len(waiting) + 1)
        if not leaf:
            waiting += [node["left_child"], node["right_child"]]
    inner = np.array(left) >= 0
    split = np.array([n.get("decision_type") == "==" for n in nodes])
    if any(n.get("missing_type") == "Zero" for n in nodes):
        return None  # a zero would be a missing cell
    codes = [[int(c) for c in n["threshold"].split("||")] for n, s in zip(nodes, split) if s]
    sets = np.zeros((len(codes), 1 + max((max(c) for c in codes), default=-1)), bool)
    for k, some in enumerate(codes):
        sets[k, some] = True
    levels = np.where(split, np.cumsum(split) - 1, -1)
    threshold = np.array([0.0 if s or not i else float(n["threshold"]) for n, s, i in zip(nodes, split, inner)])
    threshold[threshold >= LARGEST] = np.inf
    # where training saw no missing cell, one is taken for 0
    missing = [bool(n.get("default_left")) if n.get("missing_type") == "NaN" else t >= 0 for n, t in zip(nodes, threshold)]
    return Forest(
        left=np.array(left),
        right=np.array(right),
        feature=np.array([int(n.get("split_feature", 0)) for n in nodes]),
        threshold=threshold,
        missing_left=np.array(missing) & inner & ~split,
        levels=levels,
        sets=sets,
        known=np.ones_like(sets),
        value=np.array([[0.0 if i else float(n["leaf_value"])] for n, i in zip(nodes, inner)]),
        root=np.zeros(1, np.int64),
        base=np.zeros(1),
    )
