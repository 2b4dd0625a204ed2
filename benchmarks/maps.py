"""Maps: how far the classes stand apart in each layer, three planted clusters, and the time and size of pages.

    python benchmarks/maps.py penguins adult

Silhouettes are of the true classes among rows that the network has not learned from. Times are processor seconds, with all that stands
beside a map: the map, a second one, one at another perplexity, one of column-shuffled rows. The tables are found through
``PELLUCID_TABLES``.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

import pellucid as pld
from pellucid.maps.depth import silhouettes
from pellucid.report.html import figures_html

TABLES = {"penguins": ("penguins.csv", "species"), "adult": ("adult_train.csv.gz", "income")}


def layers(name: str) -> None:
    file, target = TABLES[name]
    table = pld.read_table(Path(os.environ["PELLUCID_TABLES"]) / file, target=target)
    order = np.random.default_rng(0).permutation(len(table))
    half = min(len(table) // 2, 8000)
    model = pld.TabularClassifier(backbone="mlp", random_state=0, verbose=0, max_steps=400).fit(table.take(order[:half]))
    held = table.take(order[half : half + 3000])
    print(f"\n{name}: silhouette of {target} by layer, {min(len(held), 1500)} held-out rows")
    print(silhouettes(model, held).round(4).to_string(index=False))
    began = time.process_time()
    made = pld.map(model, X=held, layer="last", method="tsne", options={"rows": 400})
    print(f"t-SNE of the last layer, {len(made)} rows: {time.process_time() - began:.1f} s")
    print(made.figures[["figure", "value", "error", "noise"]].round(3).to_string(index=False))


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
    planted()
    scatter()
    for asked in sys.argv[1:]:
        layers(asked)
