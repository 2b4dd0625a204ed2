"""The default fit against a plain loop over the ``tabm`` package at its documented defaults: wall seconds and score, in one run.

    python benchmarks/versus_tabm.py california
    python benchmarks/versus_tabm.py adult --bound     # the least time it can take: 17 epochs, from two

The reference: TabM, k 32, piecewise-linear embeddings version B (48 bins, width 16), AdamW 2e-3 with weight decay 3e-4, batch 256,
patience 16 epochs on the task metric, no cap on its time. Both sides learn from the same rows and stop on the same
validation rows with two threads.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
import torch
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import OrdinalEncoder, QuantileTransformer
from tables import adult, california
from torch.nn import functional

import pellucid as pld

PATIENCE = 16


def data(name: str, seed: int) -> tuple:
    if name == "california":
        return (*california(seed), "MedHouseVal")
    train, test = adult()
    train, validation = train_test_split(train, test_size=0.2, random_state=seed, stratify=train["income"])
    return train, validation, test, "income"


def reference(train, validation, test, target, classes, most: int) -> tuple[np.ndarray, float, int]:
    import rtdl_num_embeddings
    import tabm

    torch.manual_seed(0)
    started = time.perf_counter()
    numbers = [c for c in train if c != target and train[c].dtype.kind in "if"]
    levels = [c for c in train if c != target and c not in numbers]
    frames = (train, validation, test)
    median = train[numbers].median()
    x = [f[numbers].fillna(median).to_numpy(np.float32) for f in frames]
    noise = np.random.default_rng(0).normal(0, 1e-5, x[0].shape).astype(np.float32)
    scaler = QuantileTransformer(output_distribution="normal", n_quantiles=max(min(len(train) // 30, 1000), 10)).fit(x[0] + noise)
    x = [torch.tensor(scaler.transform(v)).float() for v in x]
    cards, c = [], [None] * 3
    if levels:
        coder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2).fit(train[levels])
        c = [torch.tensor(coder.transform(f[levels]) + 2).long().clamp(min=0) for f in frames]
        cards = [len(v) + 2 for v in coder.categories_]
    if classes is None:
        y = [f[target].to_numpy(np.float32) for f in frames]
        mean, sd = y[0].mean(), y[0].std()
    else:
        y, mean, sd = [(f[target] == classes[1]).to_numpy(np.int64) for f in frames], 0, 1
    embed = rtdl_num_embeddings.PiecewiseLinearEmbeddings(
        rtdl_num_embeddings.compute_bins(x[0], n_bins=48), d_embedding=16, activation=False, version="B"
    )
    net = tabm.TabM.make(n_num_features=len(numbers), cat_cardinalities=cards, d_out=1 if classes is None else 2, num_embeddings=embed)
    opt = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=3e-4)
    goal = torch.tensor((y[0] - mean) / sd) if classes is None else torch.tensor(y[0])

    @torch.inference_mode()
    def predict(i: int) -> np.ndarray:
        net.eval()
        out = torch.cat([net(x[i][r], None if c[i] is None else c[i][r]) for r in torch.arange(len(x[i])).split(8192)])
        net.train()
        return (out.mean(1)[:, 0] * sd + mean).numpy() if classes is None else torch.softmax(out, -1).mean(1).numpy()

    best, answer, wait, epochs = -math.inf, None, 0, 0
    while wait < PATIENCE and epochs < most:
        epochs += 1
        for b in torch.randperm(len(goal)).split(256):
            out = net(x[0][b], None if c[0] is None else c[0][b])
            t = goal[b].repeat_interleave(net.k)
            loss = functional.mse_loss(out.flatten(), t) if classes is None else functional.cross_entropy(out.flatten(0, 1), t)
            opt.zero_grad()
            loss.backward()
            opt.step()
        p = predict(1)
        score = -np.sqrt(np.mean((p - y[1]) ** 2)) if classes is None else accuracy_score(y[1], p.argmax(1))
        wait += 1
        if score > best:
            best, wait, answer = score, 0, predict(2)
    return answer, time.perf_counter() - started, epochs


def score(p: np.ndarray, truth: np.ndarray) -> str:
    return (
        f"rmse {np.sqrt(np.mean((p - truth) ** 2)):.4f}"
        if p.ndim == 1
        else f"accuracy {accuracy_score(truth, p.argmax(1)):.4f}, auc {roc_auc_score(truth, p[:, 1]):.4f}"
    )


def main() -> None:
    q = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    q.add_argument("table", choices=["adult", "california"])
    q.add_argument("--seed", type=int, default=0)
    q.add_argument("--bound", action="store_true")
    a = q.parse_args()
    torch.set_num_threads(2)
    train, validation, test, target = data(a.table, a.seed)
    kind = pld.TabularRegressor if a.table == "california" else pld.TabularClassifier
    started = time.perf_counter()
    model = kind(random_state=a.seed, verbose=0).fit(train, target=target, eval_set=pld.read_table(validation, target=target))
    p = model.predict(test) if a.table == "california" else model.predict_proba(test)
    ours = time.perf_counter() - started
    classes = None if a.table == "california" else model.classes_
    truth = test[target].to_numpy() if classes is None else (test[target] == classes[1]).to_numpy(int)
    print(f"ours: {score(p, truth)} in {ours:.1f} s", flush=True)
    p_, theirs, epochs = reference(train, validation, test, target, classes, 2 if a.bound else 10**9)
    if a.bound:
        least = theirs / epochs * (PATIENCE + 1)
        each = theirs / epochs
        print(f"tabm at its defaults: {each:.1f} s an epoch, at least {least:.0f} s; ours takes at most {ours / least:.3f} of it")
        return
    print(f"tabm at its defaults: {score(p_, truth)} in {theirs:.1f} s; ours takes {ours / theirs:.3f} of its time")


if __name__ == "__main__":
    main()
