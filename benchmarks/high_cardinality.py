"""A column of 100,000 levels in a million rows: one shared hashed table against a vector for every level.

    python benchmarks/high_cardinality.py --rows 1000000 --levels 100000

The levels' effects are drawn, their frequencies follow Zipf's law, and a second column of 1,000 levels and two numbers add to the log-odds.
Stated for each encoder of levels: the area under the curve on held-out rows, the numbers in the table, seconds, and the share of levels
that share all their chunks with another.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

import pellucid as pld


def made(rows: int, levels: int, seed: int = 0) -> pd.DataFrame:
    """Return the table, target ``y`` included."""
    draw = np.random.default_rng(seed)
    share = 1 / np.arange(1, levels + 1) ** 0.7
    item = draw.choice(levels, rows, p=share / share.sum())
    shop = draw.integers(0, 1000, rows)
    x = draw.normal(size=(rows, 2))
    score = draw.normal(0, 1.2, levels)[item] + draw.normal(0, 0.7, 1000)[shop] + np.sin(2 * x[:, 0]) + 0.5 * x[:, 1]
    y = draw.random(rows) < 1 / (1 + np.exp(-score))
    names = np.array([f"item{i}" for i in range(levels)], object)
    return pd.DataFrame({"item": names[item], "shop": shop.astype(str), "a": x[:, 0], "b": x[:, 1], "y": np.where(y, "yes", "no")})


def run(category: str, train: pd.DataFrame, test: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Return what one encoder reaches."""
    started = time.perf_counter()
    kinds = {"item": "category", "shop": "category"}
    model = pld.TabularClassifier(backbone="mlp", category=category, schema=kinds, random_state=seed, verbose=0).fit(train, target="y")
    seconds = time.perf_counter() - started
    p = model.predict_proba(test.drop(columns="y"))[:, list(model.classes_).index("yes")]
    levels = model.engine_.net.embedding.levels
    return {
        "category": category, "auc": float(roc_auc_score(test["y"] == "yes", p)), "numbers": sum(v.numel() for v in levels.parameters()),
        "fit_seconds": round(seconds, 1), "steps": model.record_["training"]["steps_done"],
        "collisions": levels.collisions() if hasattr(levels, "collisions") else None,
    }  # fmt: skip


def main() -> None:
    """Print one line per encoder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--levels", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    frame = made(given.rows, given.levels, given.seed)
    cut = int(0.9 * len(frame))
    for category in ("unified", "lookup"):
        print(json.dumps(run(category, frame[:cut], frame[cut:], given.seed)), flush=True)


if __name__ == "__main__":
    main()
