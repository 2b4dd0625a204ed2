"""Selectors of columns on Syn1 to Syn6: are the columns found that count in each row?

    python benchmarks/chosen_columns.py --exact
    python benchmarks/chosen_columns.py [--methods l2x invase lex] [--laws 1 2 3 4 5 6] [--rows 10000] [--seeds 1] [--complete]

Learned from labels on ``--rows`` rows, judged on 10,000 new ones. Printed for each: TPR and FDR in percent beside the published ones
(Yoon, Jordon and van der Schaar 2019), the columns named per row, and the nats that the chosen columns, those left out and the choice alone
tell on held-out rows. L2X and LEX are told how many columns count (the mean over rows); INVASE finds it out.

``--exact`` asks what INVASE's criterion itself wants on Syn3 and Syn5, without any network: per row the set S with the least
KL(p(y|x), p(y|x_S)) + price |S| under the law, over prices in nats a column. The paper's price is .1 for the mean over 11 columns: .0091.
"""

from __future__ import annotations

import argparse
import itertools
import time

import numpy as np
import torch

import pellucid as pld
from pellucid.testing.oracles import syn

PUBLISHED = {
    "invase": ((100, 0), (100, 0), (92, 0), (99.8, 10.3), (84.8, 1.1), (90.1, 7.4)),
    "l2x": ((100, 0), (100, 0), (69.4, 30.6), (79.5, 21.8), (74.8, 26.3), (83.3, 16.7)),
}
SIZES = (2, 4, 4, 4, 4, 5)
NEW = 10_000


def run(method: str, number: int, rows: int, seed: int, **settings: object) -> str:
    """Return one line of figures."""
    made = syn(number, rows + NEW, seed)
    k = None if method == "invase" else SIZES[number - 1]
    started = time.process_time()
    fitted = pld.fit_explainer(
        None, made.table.take(slice(0, rows)), method=method, random_state=seed, **settings, **({"k": k} if k else {})
    )
    seconds = time.process_time() - started
    answer = pld.explain(None, made.features.take(slice(rows, None)), method=method, options={"explainer": fitted}, random_state=seed)
    named = answer.values > 0.5 if k is None else np.argsort(np.argsort(-answer.values, 1, kind="stable"), 1) < k
    used = made.used[rows:]
    hit = (named & used).sum(1)
    tpr, fdr = 100 * (hit / used.sum(1)).mean(), 100 * ((named.sum(1) - hit) / np.maximum(named.sum(1), 1)).mean()
    known = PUBLISHED.get(method)
    told = f"{known[number - 1][0]:5.1f} {known[number - 1][1]:5.1f}" if known else "    -     -"
    facts = fitted.state["facts"]
    nats = " ".join(f"{facts[f'nats_{name}']:7.3f}" for name in ("all", "chosen", "left_out", "choice_alone"))
    return f"{method:7} Syn{number} seed {seed}: {tpr:5.1f} {fdr:5.1f}   {told}   {named.sum(1).mean():5.2f}   {nats}   {seconds:5.0f}"


def log_odds(number: int, x: np.ndarray) -> np.ndarray:
    """Return the log-odds (...,) of label 0 under Syn3 or Syn5 at cells (..., 11)."""
    three = -10 * np.sin(0.2 * x[..., 6]) + np.abs(x[..., 7]) + x[..., 8] + np.exp(-x[..., 9]) - 2.4
    return three if number == 3 else np.where(x[..., 10] < 0, x[..., 0] * x[..., 1], three)


def exact(number: int, rows: int = 600, draws: int = 4000) -> None:
    """Print TPR and FDR of the best choice under the exact law, by price."""
    from scipy.special import expit, rel_entr

    made, draw = syn(number, rows, 0), np.random.default_rng(0)
    x, others = made.features.frame.to_numpy(float), draw.standard_normal((draws, 11))
    p = expit(log_odds(number, x))
    sets = [s for k in range(12) for s in itertools.combinations(np.flatnonzero(made.used.any(0)), k)]
    lost, chosen = np.empty((rows, len(sets))), np.zeros((len(sets), 11), bool)
    for i, known in enumerate(map(list, sets)):
        chosen[i, known] = True
        for s in range(0, rows, 100):
            cells = np.where(chosen[i], x[s : s + 100, None], others)
            q = np.clip(expit(log_odds(number, cells)).mean(1), 1e-12, 1 - 1e-12)
            lost[s : s + 100, i] = rel_entr(p[s : s + 100], q) + rel_entr(1 - p[s : s + 100], 1 - q)
    for price in (0.03, 0.02, 0.0125, 0.0091, 0.005, 0.002, 0.001, 0.0003):
        named = chosen[(lost + price * chosen.sum(1)).argmin(1)]
        hit = (named & made.used).sum(1)
        tpr, fdr = 100 * (hit / made.used.sum(1)).mean(), 100 * ((named.sum(1) - hit) / np.maximum(named.sum(1), 1)).mean()
        print(f"exact   Syn{number} price {price:6.4f}: {tpr:5.1f} {fdr:5.1f}   {named.sum(1).mean():5.2f} columns", flush=True)


def main() -> None:
    q = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    q.add_argument("--methods", nargs="+", default=["l2x", "invase", "lex"])
    q.add_argument("--laws", nargs="+", type=int, default=list(range(1, 7)))
    q.add_argument("--rows", type=int, default=10_000)
    q.add_argument("--seeds", type=int, default=1)
    q.add_argument("--steps", type=int)
    q.add_argument("--complete", action="store_true")
    q.add_argument("--exact", action="store_true")
    given = q.parse_args()
    if given.exact:
        exact(3), exact(5)
        return
    torch.set_num_threads(1)
    print("                        TPR   FDR  published    columns     all  chosen left out  choice   cpu s")
    for method in given.methods:
        for number in given.laws:
            for seed in range(given.seeds):
                print(run(method, number, given.rows, seed, complete=given.complete, steps=given.steps), flush=True)


if __name__ == "__main__":
    main()
