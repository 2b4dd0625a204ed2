"""The default model on Adult and California housing: score, seconds, and whether conformal coverage keeps its law.

    python benchmarks/default_model.py adult --seeds 5
    python benchmarks/default_model.py california --seeds 5

Coverage: for each fit the certify and test rows are pooled and redrawn 20 times; a redraw's count of covered test rows follows a
Beta-binomial law exactly, so the randomised probability transforms of all counts are uniform (Kolmogorov-Smirnov).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kstest
from sklearn.metrics import accuracy_score, roc_auc_score
from tables import adult, california

import pellucid as pld
from pellucid.training.conformal import Conformal, randomised_pit

LEVEL, REDRAWS = 0.9, 20


def redraws(truth: np.ndarray, answers: np.ndarray, n_certify: int, seed: int) -> tuple[list[float], list[float]]:
    """Return the coverages and their probability transforms over redraws of pooled certify and test rows."""
    rng = np.random.default_rng(seed)
    coverages, transforms = [], []
    for _ in range(REDRAWS):
        order = rng.permutation(len(truth))
        cal, test = order[:n_certify], order[n_certify:]
        conformal = Conformal.fit_split(truth[cal], answers[cal])
        if answers.ndim == 2:
            covered = conformal.sets(answers[test], LEVEL)[np.arange(len(test)), truth[test]]
        else:
            low, high = conformal.interval(answers[test], LEVEL)
            covered = (low <= truth[test]) & (truth[test] <= high)
        coverages.append(float(covered.mean()))
        transforms += randomised_pit([int(covered.sum())], n_certify, LEVEL, len(test), rng).tolist()
    return coverages, transforms


def run_adult(seed: int) -> dict[str, Any]:
    train, test = adult()
    started = time.perf_counter()
    model = pld.TabularClassifier(random_state=seed, verbose=0).fit(train, target="income")
    seconds = time.perf_counter() - started
    started = time.perf_counter()
    p = model.predict_proba(test)
    predict = time.perf_counter() - started
    truth = (test["income"] == model.classes_[1]).to_numpy(int)
    held = train.iloc[model.plan_.certify]
    pooled = np.concatenate([(held["income"] == model.classes_[1]).to_numpy(int), truth])
    coverages, transforms = redraws(pooled, np.concatenate([model.predict_proba(held), p]), len(held), seed)
    scores = {"accuracy": accuracy_score(truth, p.argmax(1)), "auc": roc_auc_score(truth, p[:, 1])}
    return {"table": "adult", "seed": seed, **scores, "fit_seconds": seconds, "predict_rows_per_second": len(test) / predict} | {
        "coverages": coverages, "transforms": transforms, "steps": model.record_["training"]["steps_done"]
    }  # fmt: skip


def run_california(seed: int) -> dict[str, Any]:
    train, validation, test = california(seed)
    started = time.perf_counter()
    model = pld.TabularRegressor(random_state=seed, verbose=0).fit(
        train, target="MedHouseVal", eval_set=pld.read_table(validation, target="MedHouseVal")
    )
    seconds = time.perf_counter() - started
    p, y = model.predict(test), test["MedHouseVal"].to_numpy()
    held = train.iloc[model.plan_.certify]
    coverages, transforms = redraws(
        np.concatenate([held["MedHouseVal"], y]), np.concatenate([model.predict(held), p]), len(held), seed
    )  # fmt: skip
    return {"table": "california_housing", "seed": seed, "rmse": float(np.sqrt(np.mean((p - y) ** 2))), "fit_seconds": seconds} | {
        "coverages": coverages, "transforms": transforms, "steps": model.record_["training"]["steps_done"]
    }  # fmt: skip


def main() -> None:
    q = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    q.add_argument("table", choices=["adult", "california"])
    q.add_argument("--seeds", type=int, default=3)
    a = q.parse_args()
    rows = []
    for seed in range(a.seeds):
        rows.append({"adult": run_adult, "california": run_california}[a.table](seed))
        print(
            {k: round(v, 4) if isinstance(v, float) else v for k, v in rows[-1].items() if k not in ("coverages", "transforms")}, flush=True
        )
    first = rows[:3]
    mean = {k: round(float(np.mean([r[k] for r in first])), 4) for k in ("accuracy", "auc", "rmse", "fit_seconds") if k in first[0]}
    transforms = np.concatenate([r["transforms"] for r in rows])
    coverage = np.concatenate([r["coverages"] for r in rows])
    p = kstest(transforms, "uniform").pvalue
    words = f"coverage at {LEVEL:.0%}: mean {coverage.mean():.4f} over {len(coverage)} redraws, KS p = {p:.3f}"
    print(f"mean of {len(first)} seeds {mean}; {words}")
    out = Path(__file__).parent / "results" / f"default_{a.table}.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
