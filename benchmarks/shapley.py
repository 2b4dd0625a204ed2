"""Shapley values of the default model on 1,000 Adult rows against brute force and against shap's PermutationExplainer.

    python benchmarks/shapley.py MODEL.pellucid        # a default model saved from adult_train.csv.gz; fitted and saved there when missing

Brute force: all 2^14 coalitions of 14 columns against 100 background rows, each a plain call of the model. Memory is read from the process.
"""

from __future__ import annotations

import argparse
import resource
import threading
import time
from math import factorial
from pathlib import Path

import numpy as np
import pandas as pd
from tables import adult

import pellucid as pld

ROWS, BACKGROUND, TRUTH = 1000, 100, 3


def brute_force(predictor, rows, background) -> np.ndarray:
    """Return exact values (n, C) by plain calls of the model on composed tables."""
    c = len(predictor.columns)
    bits = ((np.arange(2**c)[:, None] >> np.arange(c)) & 1).astype(bool)
    size = bits.sum(1)
    weight = np.array([factorial(s) * factorial(c - s - 1) / factorial(c) for s in range(c)])
    both = pd.concat([rows.frame, background.frame], ignore_index=True)
    values = []
    for i in range(len(rows)):
        v = np.zeros(len(bits))
        for block in np.array_split(np.arange(len(bits)), 32):
            at = np.where(bits[block][:, None, :], i, len(rows) + np.arange(len(background))[None, :, None]).reshape(-1, c)
            frame = pd.DataFrame({name: both[name].take(at[:, j]).array for j, name in enumerate(predictor.columns)})
            table = type(rows)(frame, rows.schema)
            v[block] = predictor.raw(table)[:, 0].reshape(len(block), -1).mean(1)
        values.append([(weight[size[s := np.flatnonzero(~bits[:, j])]] * (v[s | (1 << j)] - v[s])).sum() for j in range(c)])
    return np.array(values)


class Peak(threading.Thread):
    """Reads the resident memory of the process while running."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most, self.running = 0, True

    def run(self) -> None:
        page = resource.getpagesize()
        while self.running:
            self.most = max(self.most, int(Path("/proc/self/statm").read_text().split()[1]) * page)
            time.sleep(0.01)


def main() -> None:
    q = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    q.add_argument("model", type=Path)
    q.add_argument("--no-shap", action="store_true")
    a = q.parse_args()
    train, test = adult()
    if not a.model.exists():
        pld.TabularClassifier(random_state=0).fit(train, target="income").save(a.model)
    model = pld.load(a.model)
    predictor = model.predictor()
    rng = np.random.default_rng(0)
    background = train.iloc[rng.choice(len(train), BACKGROUND, replace=False)].reset_index(drop=True)
    rows = test.iloc[rng.choice(len(test), ROWS, replace=False)].reset_index(drop=True)
    pld.explain(model, rows.head(2), background=background, random_state=0)  # first-call costs
    before = Peak()
    before.start()
    time.sleep(0.1)
    base = before.most
    started = time.perf_counter()
    e = pld.explain(model, rows, background=background, random_state=0)
    seconds = time.perf_counter() - started
    before.running = False
    schema = model.schema_.select(predictor.columns)
    as_table = lambda f: pld.Table(f[list(predictor.columns)], schema)  # noqa: E731
    truth = brute_force(predictor, as_table(rows.head(TRUTH)), as_table(background))
    error = np.abs(e.values[:TRUTH] - truth)
    spread = np.ptp(e.predictions)
    se = e.error[:TRUTH] if e.error is not None else np.zeros_like(error)
    covered = (error <= 1.96 * se + 1e-9)[se > 0].mean() if (se > 0).any() else 1.0
    print(
        f"ours: {seconds:.1f} s for {ROWS} rows, {e.n_calls / ROWS:.0f} model rows per row, "
        f"error {error.sum() / np.abs(truth).sum():.4f} of the mean absolute value"
    )
    print(
        f"  95 % errors cover {covered:.3f} of {int((se > 0).sum())} values; gap {np.abs(e.gap).max() / spread:.1e} of the output range; "
        f"memory +{(before.most - base) / 2**20:.0f} MiB"
    )
    if a.no_shap:
        return
    import shap

    codes = {
        c: {v: i for i, v in enumerate(pd.unique(pd.concat([rows[c], background[c]])))}
        for c in predictor.columns
        if rows[c].dtype.kind not in "if"
    }
    coded = lambda f: np.column_stack([f[c].map(codes[c]) if c in codes else f[c] for c in predictor.columns]).astype(float)  # noqa: E731
    back = {c: np.array(list(k), object) for c, k in codes.items()}

    def call(x: np.ndarray) -> np.ndarray:
        frame = pd.DataFrame({c: back[c][x[:, j].astype(int)] if c in codes else x[:, j] for j, c in enumerate(predictor.columns)})
        return predictor.raw(as_table(frame))[:, 0]

    masker = shap.maskers.Independent(coded(background), BACKGROUND)
    for name, evals, n in (("one pair", 29, 20), ("its default", 500, TRUTH)):
        started = time.perf_counter()
        values = shap.PermutationExplainer(call, masker)(coded(rows.head(n)), max_evals=evals, silent=True).values
        s = (time.perf_counter() - started) / n * ROWS
        wrong = np.abs(values[:TRUTH] - truth).sum() / np.abs(truth).sum()
        print(f"shap Permutation, {name}: {s:.1f} s per {ROWS} rows, error {wrong:.4f}; ours is {s / seconds:.1f} times as fast")


if __name__ == "__main__":
    main()
