"""Do rows without a label help, and does a search over settings? Adult with 1,000 labels, and small tables with and without ``tune=``.

    python benchmarks/unlabelled.py pretrain --splits 0 1 2 --labels 1000 --unlabelled 20000
    python benchmarks/unlabelled.py tune --tables german_credit abalone --splits 0 --seconds 120

Stated for each fit: the log loss and ROC AUC, or the RMSE, on rows that nothing was chosen by, and the seconds.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
import pandas as pd
from regularizers import SMALL, split
from sklearn.metrics import log_loss, roc_auc_score
from tables import TABLES, adult

import pellucid as pld


def judged(model: Any, rows: pd.DataFrame, truth: pd.Series[Any], seconds: float) -> dict[str, Any]:
    """Return the scores of a fitted model."""
    told: dict[str, Any] = {"seconds": round(seconds, 1)}
    if not hasattr(model, "classes_"):
        return told | {"rmse": float(np.sqrt(np.mean((model.predict(rows) - truth.to_numpy()) ** 2)))}
    p = model.predict_proba(rows)
    told |= {"log_loss": float(log_loss(truth, p, labels=list(model.classes_)))}
    return told | ({"auc": float(roc_auc_score(truth == model.classes_[1], p[:, 1]))} if p.shape[1] == 2 else {})


def fitted(kind: Any, train: pd.DataFrame, target: str, test: pd.DataFrame, **given: Any) -> dict[str, Any]:
    """Return what one fit reaches, with the record of its search or pretraining."""
    started = time.perf_counter()
    model = kind(verbose=0, threads=1, **given).fit(train, target=target)
    told = judged(model, test.drop(columns=target), test[target], time.perf_counter() - started)
    record = model.record_["training"]
    if "pretraining" in record:
        told |= {"filled_in": float(np.mean(record["pretraining"]["loss"])), "trivial": float(np.mean(record["pretraining"]["trivial"]))}
    if "tuning" in record:
        told |= {"trials": len(record["tuning"]["trials"]), "best": record["tuning"]["best"]}
    return told


def pretrain(given: argparse.Namespace) -> None:
    """Print a fit on few labels, with and without the cells of many more rows."""
    train, test = adult()
    for seed in given.splits:
        drawn = train.sample(frac=1, random_state=seed)
        few, many = drawn[: given.labels], drawn[given.labels : given.labels + given.unlabelled].drop(columns="income")
        for name, wanted in (("none", False), ("own cells", True), ("more rows", many)):
            told = fitted(
                pld.TabularClassifier, few, "income", test, backbone=given.backbone, random_state=seed, pretrain=wanted
            )  # fmt: skip
            print(json.dumps({"split": seed, "pretrain": name, **told}), flush=True)


def tune(given: argparse.Namespace) -> None:
    """Print a fit by the recipe, and the best fit of a search."""
    for table in given.tables:
        file, target, task = SMALL[table]
        kind = pld.TabularRegressor if task == "regression" else pld.TabularClassifier
        for seed in given.splits:
            train, test = split(pd.read_csv(TABLES / file), seed)
            for wanted in (False, {"trials": 20, "seconds": given.seconds}):
                told = fitted(kind, train, target, test, backbone=given.backbone, random_state=seed, tune=wanted)
                print(json.dumps({"table": table, "split": seed, "tune": wanted is not False, **told}), flush=True)


def main() -> None:
    """Print one line per fit."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["pretrain", "tune"])
    parser.add_argument("--splits", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--labels", type=int, default=1000)
    parser.add_argument("--unlabelled", type=int, default=20_000)
    parser.add_argument("--tables", nargs="+", default=["german_credit", "abalone"])
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--backbone", default="mlp")
    given = parser.parse_args()
    (pretrain if given.what == "pretrain" else tune)(given)


if __name__ == "__main__":
    main()
