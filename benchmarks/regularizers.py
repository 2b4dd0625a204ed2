"""What regularizers gain on small tables: none, L1, L2, mixup, TANGOS and others, the same rows and seeds for all.

    python benchmarks/regularizers.py --splits 0 1 2 3 4 --out benchmarks/results/regularizers.json
    python benchmarks/regularizers.py --only none tangos:lambda1=10,lambda2=0.1 --splits 100 101 102     # how the weights were chosen

A fifth of each table is the test part; exact copies of a row stay in one part. The figure is the log loss (classes) or the RMSE (numbers)
of the default recipe of the backbone over that of the same fit without a regularizer: below 1 the regularizer helps.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss
from sklearn.model_selection import GroupShuffleSplit
from tables import TABLES

import pellucid as pld

SMALL = {
    "abalone": ("abalone.csv", "rings", "regression"),
    "wine": ("wine_quality_white.csv", "quality", "regression"),
    "german_credit": ("german_credit.csv", "risk", "classification"),
    "titanic": ("titanic.csv", "Survived", "classification"),
    "phoneme": ("phoneme.csv", "class", "classification"),
}
"""Name -> (file, target, task)."""
COMPARED = ("none", "l1", "l2", "mixup", "tangos")


def parsed(spec: str) -> dict[str, dict[str, Any]] | None:
    """Return the regularizers that a name such as ``"tangos:lambda1=10,units=16"`` stands for.

    Examples
    --------
    >>> parsed("tangos:lambda1=10,units=16")
    {'tangos': {'lambda1': 10.0, 'units': 16}}
    """
    name, _, given = spec.partition(":")
    if name == "none":
        return None
    pairs = (part.split("=") for part in given.split(",") if part)
    kinds = {"units": int, "pairs": int, "rows": int, "fill": str, "layer": str}
    return {name: {k: kinds.get(k, float)(v) for k, v in pairs}}


def split(frame: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (train, test), copies of a row in one part."""
    copies = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    train, test = next(GroupShuffleSplit(1, test_size=0.2, random_state=seed).split(frame, groups=copies))
    return frame.iloc[train], frame.iloc[test]


def run(table: str, spec: str, seed: int, backbone: str) -> dict[str, Any]:
    """Return the score and the seconds of one fit."""
    file, target, task = SMALL[table]
    train, test = split(pd.read_csv(TABLES / file), seed)
    kind = pld.TabularRegressor if task == "regression" else pld.TabularClassifier
    started = time.perf_counter()
    model = kind(backbone=backbone, regularizers=parsed(spec), random_state=seed, verbose=0, threads=1).fit(train, target=target)
    seconds = time.perf_counter() - started
    rows, truth = test.drop(columns=target), test[target]
    if task == "regression":
        score = float(np.sqrt(np.mean((model.predict(rows) - truth.to_numpy()) ** 2)))
    else:
        score = float(log_loss(truth, model.predict_proba(rows), labels=list(model.classes_)))
    told = {"table": table, "regularizer": spec, "split": seed, "backbone": backbone, "score": score, "seconds": round(seconds, 2)}
    return told | {"steps": model.record_["training"]["steps_done"]}


def summary(lines: list[dict[str, Any]]) -> pd.DataFrame:
    """Return per regularizer the mean ratio to ``none`` on each table, over all tables, its standard error over splits, and the time."""
    frame = pd.DataFrame(lines)
    wide = frame.pivot_table(index=["table", "split"], columns="regularizer", values="score")
    ratio = np.log(wide.div(wide["none"], axis=0))
    per_table = ratio.groupby("table").mean()
    paired = ratio.groupby("split").mean()  # the mean over tables of one split
    seconds = frame.pivot_table(index="regularizer", values="seconds", aggfunc="sum")["seconds"]
    out = np.exp(per_table.T)
    out["all"] = np.exp(per_table.mean())
    out["se"] = paired.std() / np.sqrt(len(paired))
    out["time"] = seconds / seconds["none"]
    return out.round(4)


def main() -> None:
    """Print one line per fit, and the summary."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tables", nargs="+", default=list(SMALL))
    parser.add_argument("--only", nargs="+", default=list(COMPARED), help="names, with options as name:option=value,option=value")
    parser.add_argument("--splits", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--backbone", default="mlp")
    parser.add_argument("--out", type=Path, help="lines that are there already are kept and not computed again")
    given = parser.parse_args()
    lines: list[dict[str, Any]] = json.loads(given.out.read_text())["fits"] if given.out and given.out.exists() else []
    done = {(r["table"], r["regularizer"], r["split"], r["backbone"]) for r in lines}
    for seed in given.splits:
        for table in given.tables:
            for spec in given.only:
                if (table, spec, seed, given.backbone) in done:
                    continue
                lines.append(run(table, spec, seed, given.backbone))
                print(json.dumps(lines[-1]), flush=True)
                if given.out:
                    given.out.write_text(json.dumps({"fits": lines}, indent=1) + "\n")
    print(summary([r for r in lines if r["backbone"] == given.backbone]).to_string())


if __name__ == "__main__":
    main()
