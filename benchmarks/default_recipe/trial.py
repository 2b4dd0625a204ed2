"""One fit of one table with the settings of the recipe, or with some of them changed.

    python benchmarks/default_recipe/trial.py california_housing --seed 0 width=384 epochs=20 muon_lr=0.02
    python benchmarks/default_recipe/trial.py adult --seed 0 --threads 2 precision='"bf16"'

The rows are split as ``fit`` splits them: the user's training rows (80 % of california_housing, the whole training file of adult) into
76 % train, 14 % stop and 10 % certify, which is not used. Prints one JSON line. Tables are looked for in $PELLUCID_TABLES.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
from sklearn.model_selection import train_test_split

from pellucid.encode.numeric import NumberEncoder
from pellucid.nn.cells import Cells, CellSizes
from pellucid.training.loop import fit_network
from pellucid.training.objectives import classification, regression
from pellucid.training.predict import predict_in_chunks
from pellucid.training.recipe import builder, recipe

TABLES = Path(os.environ.get("PELLUCID_TABLES", Path(__file__).resolve().parents[2] / "../shared/data"))


def table(name: str, seed: int):
    """Return (columns frame, target, is classification, rows for fit, test rows)."""
    if name == "adult":
        frame = pd.concat([pd.read_csv(TABLES / f"adult_{part}.csv.gz") for part in ("train", "test")], ignore_index=True)
        return frame, (frame.pop("income") == ">50K").astype(int).to_numpy(), True, np.arange(32561), np.arange(32561, len(frame))
    frame = pd.read_csv(TABLES / f"{name}.csv.gz")
    target = frame.pop("MedHouseVal" if name == "california_housing" else "price").to_numpy(float)
    fit, test = train_test_split(np.arange(len(frame)), test_size=0.2, random_state=seed)
    return frame, target, False, fit, test


def encode(frame, target, task, train, settings):
    """Return (cells, sizes) of all rows, fitted on ``train``."""
    number_at = [i for i, c in enumerate(frame) if frame[c].dtype.kind in "iuf"]
    code_at = [i for i in range(frame.shape[1]) if i not in number_at]
    numbers = frame.iloc[:, number_at].to_numpy(float)
    encoder = NumberEncoder(settings.bins, settings.bin_kind, settings.bin_leaf).fit(numbers[train], target[train], task=task)
    scaled, missing = encoder.transform(numbers)
    codes, cards = np.zeros((len(frame), len(code_at)), np.int64), []
    for j, i in enumerate(code_at):
        text = frame.iloc[:, i].astype("object").where(frame.iloc[:, i].notna(), None)
        levels = sorted(text.iloc[train].dropna().unique())
        at = {v: k + 2 for k, v in enumerate(levels)}
        codes[:, j] = [0 if v is None else at.get(v, 1) for v in text]
        cards.append(len(levels) + 2)
    cells = Cells(torch.from_numpy(scaled), torch.from_numpy(missing), torch.from_numpy(codes), torch.zeros(len(frame), 0, 0))
    return cells, CellSizes(frame.shape[1], encoder.bins, tuple(cards), 0, tuple(number_at), tuple(code_at), ())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table")
    parser.add_argument("changes", nargs="*", help="name=value of TrainSettings")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--curve", action="store_true")
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    frame, target, classes, fit, test = table(a.table, a.seed)
    task = "classification" if classes else "regression"
    rest, _ = train_test_split(fit, test_size=0.1, random_state=a.seed, stratify=target[fit] if classes else None)
    train, stop = train_test_split(rest, test_size=0.14 / 0.9, random_state=a.seed, stratify=target[rest] if classes else None)
    changes = {k: ast.literal_eval(v) for k, v in (c.split("=", 1) for c in a.changes)}
    refit, nets = changes.pop("refit", 0), changes.pop("nets", 1)
    start, cpu = time.perf_counter(), time.process_time()
    settings = replace(recipe(len(train), frame.shape[1], task), **changes)
    cells, sizes = encode(frame, target, task, train, settings)
    objective = classification(2) if classes else regression(target[train])
    build = builder(sizes, settings, objective.n_outputs)
    # nets > 1: each network holds out its own share of the stop rows and learns from the other shares
    shares = np.array_split(stop, nets)
    parts = [(np.concatenate([train, *(s for h, s in enumerate(shares) if h != g)]), shares[g]) for g in range(nets)]
    fitted = fit_network(build, cells, target, None, parts, objective, settings, seed=a.seed, threads=a.threads)

    def score(net):
        answers = objective.answers(predict_in_chunks(net, cells.take(torch.from_numpy(test)))).mean(1).numpy()
        if classes:
            return {
                "auc": roc_auc_score(target[test], answers[:, 1]),
                "accuracy": accuracy_score(target[test], answers.argmax(1)),
                "log_loss": log_loss(target[test], answers),
            }
        return {"rmse": float(np.sqrt(np.mean((answers[:, 0] - target[test]) ** 2)))}

    out = {
        "table": a.table,
        "seed": a.seed,
        **changes,
        "seconds": round(time.perf_counter() - start, 1),
        "cpu": round(time.process_time() - cpu, 1),
    }
    out |= {k: fitted.record[k] for k in ("steps_done", "best_step", "stop_score", "ended")} | score(fitted.net)
    if refit:
        everything = replace(settings, steps=fitted.record["best_step"][0] if refit == 1 else None)
        again = fit_network(build, cells, target, None, [(rest, rest[:0])], objective, everything, seed=a.seed + 1, threads=a.threads)
        out |= {f"refit_{k}": v for k, v in score(again.net).items()} | {"refit_seconds": round(time.perf_counter() - start, 1)}
    if a.curve:
        out["curve"] = [(h["step"], round(h["train_loss"], 4), round(h["stop_score"], 4), round(h["seconds"], 1)) for h in fitted.history]
    print(json.dumps({k: round(v, 5) if isinstance(v, float) else v for k, v in out.items()}), flush=True)


if __name__ == "__main__":
    main()
