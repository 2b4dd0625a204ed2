"""Maps: how far the classes stand apart in each layer, three planted clusters, and the time and size of pages.

    python benchmarks/maps.py penguins adult
    python benchmarks/maps.py adult --backbone auto --seeds 2

Silhouettes are of the true classes among rows that the network has not learned from, in each layer's own space and on its t-SNE map; beside
them the share of rows whose class the 15 nearest others name, classes counting alike. Times are processor seconds, with all that stands
beside a map: the map, a second one, one at another perplexity, one of column-shuffled rows. The tables are found through
``PELLUCID_TABLES``.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import silhouette_score
from sklearn.neighbors import NearestNeighbors

import pellucid as pld
from pellucid.maps.depth import silhouettes
from pellucid.report.html import figures_html

ROWS = 600
TABLES = {"penguins": ("penguins.csv", "species"), "adult": ("adult_train.csv.gz", "income")}


def layers(name: str, backbone: str, seed: int) -> None:
    file, target = TABLES[name]
    table = pld.read_table(Path(os.environ["PELLUCID_TABLES"]) / file, target=target)
    order = np.random.default_rng(seed).permutation(len(table))
    half = min(len(table) // 2, 8000)
    model = pld.TabularClassifier(backbone=backbone, random_state=seed, verbose=0, max_steps=400).fit(table.take(order[:half]))
    held = table.take(order[half : half + 1000])
    print(f"\n{name}, {model.record_['backbone']}, seed {seed}: {target} by layer, {len(held)} held-out rows")
    found = silhouettes(model, held).set_index("layer")
    for layer in model.predictor().hidden_layers():
        began = time.process_time()
        made = pld.map(model, X=held, layer=layer, method="tsne", options={"rows": ROWS}, random_state=0)
        classes = made.data[target].astype(str).to_numpy()
        found.loc[layer, ["on the map", "named by neighbours"]] = (
            silhouette_score(made.coordinates, classes),
            named(made.coordinates, classes),
        )
        print(
            f"t-SNE of {layer}, {len(made)} rows: {time.process_time() - began:.1f} s, trustworthiness {made.figure('trustworthiness'):.3f}"
        )
    print(found.round(3).to_string())


def named(points: np.ndarray, classes: np.ndarray, k: int = 15) -> float:
    """Return the share of rows whose class their nearest rows name, the mean over classes."""
    near = NearestNeighbors(n_neighbors=k + 1).fit(points).kneighbors(points, return_distance=False)[:, 1:]
    codes = pd.factorize(classes)[0]
    votes = (codes[near][:, :, None] == np.arange(codes.max() + 1)).sum(1).argmax(1)
    return float(pd.Series(votes == codes).groupby(codes).mean().mean())


def planted() -> None:
    draw = np.random.default_rng(4)
    group = np.arange(300) % 3
    frame = pd.DataFrame(8 * np.eye(3)[group] + draw.normal(size=(300, 3)), columns=["a", "b", "c"])
    for method in ("pca", "mds", "tsne"):
        began = time.process_time()
        made = pld.map(frame, method=method)
        seconds = time.process_time() - began
        print(f"three clusters, {method}: trustworthiness {made.figure('trustworthiness'):.3f}, {seconds:.1f} s")


def scatter(n: int = 100_000) -> None:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"a": draw.normal(size=n), "b": draw.normal(size=n), "g": draw.choice(list("xyz"), n)})
    began = time.process_time()
    table = pld.read_table(frame)
    figure = pld.chart(pld.map(table, method="scatter", options={"x": "a", "y": "b", "colour": "g"}))
    page = figures_html("scatter", [figure])
    print(f"scatter of {n:,} rows: {time.process_time() - began:.1f} s to the page, {len(page) / 1e6:.1f} MB")


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("tables", nargs="*", choices=list(TABLES))
    asked.add_argument("--backbone", default="mlp")
    asked.add_argument("--seeds", type=int, default=1)
    given = asked.parse_args()
    planted()
    scatter()
    for table in given.tables:
        for seed in range(given.seeds):
            layers(table, given.backbone, seed)
