"""Shapley values of sums of trees and of their probabilities, beside shap's TreeExplainer: seconds of processor time and difference.

What is made of a sum is no sum: shap stretches the values of the log-odds of each pair of rows to the difference of the pair's
probabilities. The values of two rows are found by all 2^14 coalitions of the model itself as well.

Adult's training rows, 100 background rows, one thread. ``python benchmarks/tree_values.py [rows ...]``
"""

from __future__ import annotations

import functools
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import pellucid as pld

TABLES = Path(os.environ.get("PELLUCID_TABLES", "../shared/data"))


def timed(call):
    began = time.process_time()
    return call(), time.process_time() - began


def main(sizes: list[int]) -> None:
    from lightgbm import LGBMClassifier
    from sklearn.ensemble import RandomForestClassifier
    from xgboost import XGBClassifier

    frame = pd.read_csv(TABLES / "adult_train.csv.gz")
    target = frame["income"].astype(str).str.contains(">50").to_numpy(int)
    levels = frame.drop(columns="income")
    for name in levels.columns:
        if not pd.api.types.is_numeric_dtype(levels[name]):
            levels[name] = levels[name].astype("category")
    codes = levels.apply(lambda c: c.cat.codes if isinstance(c.dtype, pd.CategoricalDtype) else c).astype(float)
    models = {
        "lightgbm, 300 trees, categories split": (LGBMClassifier(n_estimators=300, verbose=-1, n_jobs=1), levels, "log-odds"),
        "lightgbm, 300 trees, codes": (LGBMClassifier(n_estimators=300, verbose=-1, n_jobs=1), codes, "log-odds"),
        "xgboost, 300 trees of depth 6": (XGBClassifier(n_estimators=300, n_jobs=1), codes, "log-odds"),
        "lightgbm, 300 trees, categories split, probabilities": (
            LGBMClassifier(n_estimators=300, verbose=-1, n_jobs=1),
            levels,
            "probability",
        ),
        "lightgbm, 300 trees, codes, probabilities": (LGBMClassifier(n_estimators=300, verbose=-1, n_jobs=1), codes, "probability"),
        "xgboost, 300 trees of depth 6, probabilities": (XGBClassifier(n_estimators=300, n_jobs=1), codes, "probability"),
        "forest, 100 trees of depth 8": (RandomForestClassifier(100, max_depth=8, random_state=0), codes, "probability"),
    }
    for name, (model, X, scale) in models.items():
        model.fit(X[:30_000], target[:30_000])
        for n in sizes:
            compare(f"{name}; {n} rows", model, X[-n:], X[:100], scale)


def compare(name: str, model: Any, rows: pd.DataFrame, back: pd.DataFrame, scale: str) -> None:
    ours, seconds = timed(lambda: pld.explain(model, rows, background=back, scale=scale, random_state=0))
    print(f"{name}: ours {seconds:.2f} ({ours.record.settings['way']})", end="")
    kinds = {"interventional": {"data": back}, "path dependent": {"feature_perturbation": "tree_path_dependent"}}
    if scale == "probability" and not hasattr(model, "estimators_"):
        kinds = {"interventional": {"data": back, "model_output": "probability"}}
    for kind, settings in kinds.items():
        try:
            theirs, seconds = timed(functools.partial(of_shap, model, rows, settings))
        except Exception as error:  # what shap refuses is part of the answer
            print(f"; shap {kind} refused ({type(error).__name__})", end="")
            continue
        apart = np.abs(theirs - ours.values)
        off = (
            f", apart by {apart.max():.1e} ({apart.mean() / np.abs(ours.values).mean():.3f} of the mean)"
            if kind == "interventional"
            else ""
        )
        print(f"; shap {kind} {seconds:.2f}{off}", end="")
    if len(rows) <= 10:
        true = np.stack([by_all_coalitions(ours, model, rows.iloc[[i]], back) for i in range(2)])
        print(f"; from all coalitions of two rows {np.abs(ours.values[:2] - true).max():.1e}", end="")
    print(flush=True)


def by_all_coalitions(ours: pld.Explanation, model: Any, row: pd.DataFrame, back: pd.DataFrame) -> np.ndarray:
    """Return the Shapley values (C,) of one row, from the model's answers to all composed rows."""
    c = row.shape[1]
    known = (np.arange(2**c)[:, None] >> np.arange(c) & 1).astype(bool)
    worth = np.zeros(2**c)
    for b in range(len(back)):
        pool = pd.concat([row, back.iloc[[b]]])
        composed = pd.DataFrame({name: pool[name].array.take(np.where(known[:, j], 0, 1)) for j, name in enumerate(row.columns)})
        p = model.predict_proba(composed)[:, 1].astype(float)
        worth += (np.log(p) - np.log1p(-p) if ours.scale == "log-odds" else p) / len(back)
    size = known.sum(1)
    weight = np.array([1 / (c * math.comb(c - 1, s)) for s in range(c)])
    alone = [np.flatnonzero(~known[:, j]) for j in range(c)]
    return np.array([(weight[size[at]] * (worth[at | 1 << j] - worth[at])).sum() for j, at in enumerate(alone)])


def of_shap(model: Any, rows: pd.DataFrame, settings: dict[str, Any]) -> Any:
    import shap

    found = shap.TreeExplainer(model, **settings)(rows, check_additivity=False).values
    return found[..., 1] if found.ndim == 3 else found


if __name__ == "__main__":
    main([int(a) for a in sys.argv[1:]] or [10, 100, 1000])
