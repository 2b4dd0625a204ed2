"""Planted label errors: how well the doubt of ``pellucid.audit.label_errors`` ranks them, table by table.

Run from the repository root: ``python benchmarks/label_errors.py``. Flips are uniform among the other classes, on at most 8,000 rows.
"AUC" is the chance that a flipped label is doubted more than one that was left; "precision" that of the doubted rows at the recall of 0.8;
"listed" the precision and recall of the rows that the audit names.
"""

from __future__ import annotations

import time

import numpy as np
from tables import TABLES

from pellucid.audit.label_errors import confident, out_of_sample, suspicion
from pellucid.audit.view import View
from pellucid.table import read_table

FILES = {
    "penguins.csv": "species", "mammography.csv.gz": "class", "phoneme.csv": "class", "adult_train.csv.gz": "income", "titanic.csv":
    "Survived", "german_credit.csv": "risk", "compas.csv.gz": "two_year_recid",
}  # fmt: skip
SHARES = (0.01, 0.10)
ROWS = 8000


def one(name: str, target: str, share: float, seed: int = 0) -> str:
    """Return one line of the table."""
    table = read_table(TABLES / name, target=target)
    draw = np.random.default_rng(seed)
    table = table.take(np.sort(draw.permutation(len(table))[:ROWS]))
    view = View(table)
    codes, labels = view.target.codes.copy(), view.target.labels
    wrong = draw.random(len(codes)) < share
    codes[wrong] = (codes[wrong] + draw.integers(1, len(labels), int(wrong.sum()))) % len(labels)
    began = time.process_time()
    flipped = View(table.with_types(**{target: "category"}).with_cells({target: np.array(labels, object)[codes]}))
    rows = np.flatnonzero(flipped.target.present)
    p = out_of_sample(flipped, flipped.target, rows)
    given = flipped.target.codes[rows]
    doubt = suspicion(given, p)
    order = np.argsort(-doubt)
    found = np.cumsum(wrong[rows][order])
    at = int(np.searchsorted(found, 0.8 * found[-1]))
    from pellucid.audit.scores import auc

    listed = confident(given, p).rows
    hits = int(wrong[rows][listed].sum())
    overlap = (p.max(1) < 0.75).mean()
    return (
        f"{name:22s} {share:5.0%}  AUC {auc(doubt, wrong[rows]):.3f}  precision at recall .8 {found[at] / (at + 1):.2f}  "
        f"listed: precision {hits / max(len(listed), 1):.2f} recall {hits / max(int(wrong.sum()), 1):.2f}  undecided {overlap:.2f}  "
        f"{time.process_time() - began:.1f} s"
    )


if __name__ == "__main__":
    for share in SHARES:
        for name, target in FILES.items():
            print(one(name, target, share), flush=True)
