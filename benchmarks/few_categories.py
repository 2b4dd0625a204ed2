"""Tables of a few categories, where copies of rows come by chance: how near are the probabilities to the law they were drawn from?

``python benchmarks/few_categories.py [--seeds 4]``. Each law adds one term per level; beside ours, boosted trees on all rows by themselves.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.preprocessing import OrdinalEncoder

import pellucid as pld

KINDS = (
    ((4, 4, 4), 120),
    ((4, 4, 4), 200),
    ((3, 3, 3, 3), 200),
    ((3, 3, 3, 3), 300),
    ((2,) * 6, 150),
    ((2,) * 6, 250),
    ((4, 4, 4, 2), 300),
)
NEW = 2000
BACKBONES = ("hist_gb", "linear", "tree", "mlp")


def drawn(levels: tuple[int, ...], n: int, seed: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Return (cells, law (N,), label (N,)) of n rows and new ones."""
    draw = np.random.default_rng((seed, *levels))
    cells = np.stack([draw.choice(k, n + NEW, p=draw.dirichlet(2 * np.ones(k))) for k in levels], 1)
    law = 1 / (1 + np.exp(-sum(draw.normal(0, 1.2, k)[cells[:, j]] for j, k in enumerate(levels))))
    frame = pd.DataFrame({f"c{j}": [f"v{v}" for v in cells[:, j]] for j in range(len(levels))})
    return frame, law, draw.random(n + NEW) < law


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=4)
    seeds = parser.parse_args().seeds
    print("levels; rows; copies of a row; then off the law (root mean square):", ", ".join((*BACKBONES, "boosted trees alone")))
    for levels, n in KINDS:
        off, copies = np.zeros((seeds, len(BACKBONES) + 1)), np.zeros(seeds)
        for seed in range(seeds):
            frame, law, y = drawn(levels, n, seed)
            copies[seed] = n / len(frame[:n].assign(y=y[:n]).drop_duplicates())
            codes = OrdinalEncoder().fit_transform(frame)
            models = [pld.TabularClassifier(backbone=b, random_state=0, verbose=0, threads=1).fit(frame[:n], y[:n]) for b in BACKBONES]
            alone = HistGradientBoostingClassifier(categorical_features=list(range(len(levels)))).fit(codes[:n], y[:n])
            answers = [*(m.predict_proba(frame[n:])[:, 1] for m in models), alone.predict_proba(codes[n:])[:, 1]]
            off[seed] = [np.sqrt(np.mean((p - law[n:]) ** 2)) for p in answers]
        print(levels, n, f"{copies.mean():.1f}", " ".join(f"{v:.3f}" for v in off.mean(0)), flush=True)


if __name__ == "__main__":
    main()
