"""Planted label errors: how well the doubt of ``pellucid.audit.label_errors`` ranks them, and which rows the audit names.

Run from the repository root: ``python benchmarks/label_errors.py [--seeds 3] [--first 0]``. Flips are uniform among the other classes, on
at most 8,000 rows, and at least 5. "AUC" is the chance that a flipped label is doubted more than one that was left; "precision at" that of
the doubted rows at the recall of 0.8, beside that of boosted trees alone; "named" the precision, as it is and as the audit estimates it,
and the recall of the rows that it names, and how many it names before anything is flipped. The first tables are clean: their columns tell
the classes; in the others classes overlap.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np
import pandas as pd
from defects import clean_tables
from sklearn import datasets
from tables import TABLES

from pellucid.audit.label_errors import asked, find, suspicion
from pellucid.audit.scores import auc
from pellucid.audit.view import View
from pellucid.table import Table, read_table
from pellucid.testing.defects import flipped_labels

FILES = {
    "mammography.csv.gz": "class", "phoneme.csv": "class", "adult_train.csv.gz": "income", "titanic.csv": "Survived", "german_credit.csv":
    "risk", "compas.csv.gz": "two_year_recid",
}  # fmt: skip
SHARES = (0.01, 0.10)
ROWS = 8000


def a_rule(n: int = 2000) -> pd.DataFrame:
    """Return rows whose class two numbers and a word decide."""
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(size=(n, 4)), columns=list("abcd")).assign(g=draw.choice(list("pq"), n))
    yes = ((frame["a"] > 0) & (frame["b"] > -0.5)) | (frame["g"].eq("p") & (frame["c"] > 1))
    return frame.assign(y=np.where(yes, "yes", "no"))


def sources() -> Iterator[tuple[str, pd.DataFrame, str]]:
    """Yield (name, frame, target): clean tables, then those whose classes overlap."""
    known = clean_tables()
    yield "penguins", known["penguins"][0], "species"
    yield "loans' term", known["loans"][0], "term"
    yield "a rule", a_rule(), "y"
    for name in ("wine", "digits", "iris"):
        made = getattr(datasets, f"load_{name}")(as_frame=True)
        yield name, made.frame.assign(target="class " + made.target.astype(str)), "target"
    yield "tumours", known["tumours"][0], "target"
    for name, target in FILES.items():
        frame = pd.read_csv(TABLES / name)
        frame[target] = frame[target].astype(str)
        yield name.split(".")[0], frame.sample(min(len(frame), ROWS), random_state=0).reset_index(drop=True), target


def at_recall(doubt: np.ndarray, wrong: np.ndarray) -> float:
    """Return the precision of the most doubted rows that hold 0.8 of the wrong ones."""
    found = np.cumsum(wrong[np.argsort(-doubt, kind="stable")])
    at = int(np.searchsorted(found, 0.8 * found[-1]))
    return float(found[at] / (at + 1))


def viewed(frame: pd.DataFrame, target: str) -> View:
    """Return the audit's view."""
    table: Table = read_table(frame, target=target)
    return View(table.with_types(**{target: "category"}))


def one(frame: pd.DataFrame, target: str, share: float, seed: int) -> list[float]:
    """Return AUC, precision at recall 0.8 by both models and by boosted trees, and of the named rows precision, estimate, recall."""
    made = flipped_labels(frame, target, seed, share)
    view = viewed(made.frame, target)
    rows = np.flatnonzero(view.target.present)
    wrong = np.isin(rows, made.rows)
    said, given = asked(view, view.target, rows), view.target.codes[rows]
    found = find(view)
    named = found[0].rows if found else np.zeros(0, np.int64)
    hits = np.isin(named, made.rows).sum()
    right, told = (hits / len(named), found[0].figures["precision"]) if found else (np.nan, np.nan)
    alone = at_recall(suspicion(given, said.sharp), wrong)
    return [auc(said.doubt, wrong), at_recall(said.doubt, wrong), alone, right, told, hits / len(made.rows)]


def main() -> None:
    """Run and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--first", type=int, default=0, help="the first seed")
    options.add_argument("--only", default="")
    given = options.parse_args()
    for name, frame, target in sources():
        if given.only not in name:
            continue
        clean = sum(len(f.rows) for f in find(viewed(frame, target)))
        for share in SHARES:
            began = time.process_time()
            runs = np.array([one(frame, target, share, seed) for seed in range(given.first, given.first + given.seeds)])
            area, ours, alone, right, told, recall = (np.nanmean(v) if np.isfinite(v).any() else np.nan for v in runs.T)
            print(
                f"{name:14s} {share:4.0%}  AUC {area:.3f}  precision at recall .8 {ours:.2f} (boosted trees {alone:.2f})  "
                f"named: precision {right:.2f} (estimate {told:.2f}) recall {recall:.2f}  before flips {clean}  "
                f"{(time.process_time() - began) / given.seeds:.1f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
