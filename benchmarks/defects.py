"""Known defects in five clean tables: what the audits find, row by row, and how often they speak up where nothing was planted.

    PELLUCID_TABLES=... python benchmarks/defects.py [--seeds 3] [--first 0] [--only "unit slip"]

One line per defect and table: precision and recall of the named rows (of named columns for leaks), mean over the seeds. A defect counts as
found where both are at least 0.8. The last lines count findings of the same kinds on the clean tables.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer
from tables import TABLES

from pellucid import registry
from pellucid.audit.view import View
from pellucid.table import read_table
from pellucid.testing.defects import DEFECTS, Planted, judge

KINDS = {
    "leak column": ("leakage",),
    "flipped labels": ("label errors",),
    "unit slip": ("values: unit slip", "slips"),
    "copies across the split": ("duplicates: across splits",),
    "misspelt category": ("values: rare spelling", "values: same letters"),
    "mistyped decimals": ("values: unit slip", "slips"),
    "zero for a size": ("slips", "missing: code"),
    "strayed cell": ("values: unit slip", "slips"),
}
"""By defect the kinds of finding that may name its rows."""
LOUD = {"leak column": "high"}
"""A finding of these counts from this severity on: lower ones are questions, which a clean table may raise too."""


def clean_tables() -> dict[str, tuple[pd.DataFrame, str, dict[str, tuple[str, ...]]]]:
    """Return by name (frame, target, columns that defects go into); known faults of the sources are taken out."""
    penguins = pd.read_csv(TABLES / "penguins.csv").dropna().reset_index(drop=True)
    diamonds = pd.read_csv(TABLES / "diamonds.csv.gz")
    whole = (diamonds[["x", "y", "z"]] > 1).all(axis=1) & (diamonds["y"] < 20) & (diamonds["z"] < 10)
    whole &= (diamonds["z"] / diamonds["x"]).between(0.5, 0.75) & (diamonds["y"] / diamonds["x"]).between(0.9, 1.1)
    diamonds = diamonds[whole].drop_duplicates().sample(4000, random_state=0).reset_index(drop=True)
    houses = pd.read_csv(TABLES / "california_housing_raw.csv.gz").dropna()
    houses = houses[houses["ocean_proximity"] != "ISLAND"].sample(5000, random_state=0).reset_index(drop=True)
    houses["dear"] = np.where(houses.pop("median_house_value") > 180_000, "yes", "no")
    loans = pd.read_csv(TABLES / "loans.csv.gz").drop_duplicates()
    keep = ["state", "homeownership", "annual_income", "verified_income", "debt_to_income", "loan_purpose", "loan_amount", "term"]
    loans = loans[[*keep, "interest_rate", "installment"]].dropna().sample(5000, random_state=0).reset_index(drop=True)
    loans["term"] = loans["term"].map({36: "three years", 60: "five years"})
    cancer = load_breast_cancer(as_frame=True)
    tumours = cancer.frame.assign(target=cancer.target.map({0: "malignant", 1: "benign"}))
    return {
        "penguins": (
            penguins,
            "species",
            {"number": ("body_mass_g",), "decimal": ("bill_length_mm",), "size": ("body_mass_g",), "word": ("island",)},
        ),
        "diamonds": (diamonds, "cut", {"number": ("carat",), "decimal": ("depth",), "size": ("x",), "word": ()}),
        "houses": (
            houses,
            "dear",
            {"number": ("median_income",), "decimal": ("latitude",), "size": ("total_bedrooms",), "word": ("ocean_proximity",)},
        ),
        "loans": (
            loans,
            "term",
            {
                "number": ("installment",),
                "decimal": ("interest_rate",),
                "size": ("installment",),
                "word": ("loan_purpose", "homeownership"),
            },
        ),
        "tumours": (tumours, "target", {"number": ("mean area",), "decimal": ("mean radius",), "size": ("mean perimeter",), "word": ()}),
    }


def planted(
    name: str, frame: pd.DataFrame, target: str, columns: dict[str, tuple[str, ...]], seed: int, **options: float
) -> Iterator[Planted]:
    """Yield the defect in each column of the table it can go into."""
    defect = DEFECTS[name]
    if defect.needs == "":
        yield defect.plant(frame, seed, **defect.options)
    elif defect.needs == "target":
        yield defect.plant(frame, target, seed, **defect.options)
    else:
        for column in columns[defect.needs]:
            yield defect.plant(frame, column, seed, **{**defect.options, **options})


def _audit(kind: str) -> str:
    """Return the registry name of the audit that makes findings of a kind."""
    return kind.split(":")[0].replace(" ", "_")


def findings(frame: pd.DataFrame, target: str, plan: object = None, kinds: tuple[str, ...] = ()) -> list:
    """Return what the audits that could name this defect find."""
    view = View(read_table(frame, target=target), plan)
    audits = {_audit(k) for k in kinds}
    return [f for e in registry.entries("audit") if e.name in audits for f in registry.resolve(e)(view)]


def named(found: list, name: str) -> list:
    """Return the findings that speak of this defect."""
    return [f for f in found if f.kind.startswith(KINDS[name]) and LOUD.get(name, f.severity) == f.severity]


def score(item: Planted, found: list) -> tuple[float, float]:
    """Return (precision, recall) of rows; of columns for leaks."""
    if item.defect == "leak column":
        columns = {c for f in found for c in f.columns}
        return (float(item.column in columns) / max(len(columns), 1)), float(item.column in columns)
    rows = np.unique(np.concatenate([np.zeros(0, np.int64), *(f.rows for f in found)]))
    result = judge(item, rows)
    return result.precision, result.recall


def main() -> None:
    """Run and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--first", type=int, default=0, help="the first seed")
    options.add_argument("--only", default="")
    given = options.parse_args()
    began, tables, misses = time.process_time(), clean_tables(), 0
    print(f"{'defect':25} {'table':10} {'column':18} precision  recall  rows")
    for name in DEFECTS:
        if given.only not in name:
            continue
        if not any(_audit(k) in registry.names("audit") for k in KINDS[name]):
            print(f"{name:25} no audit of this kind is registered")
            continue
        for table, (frame, target, columns) in tables.items():
            by_column: dict[str, list[tuple[float, float, int]]] = {}
            for seed in range(given.first, given.first + given.seeds):
                for item in planted(name, frame, target, columns, seed):
                    found = named(findings(item.frame, target, item.plan, KINDS[name]), name)
                    by_column.setdefault(item.column, []).append((*score(item, found), len(item.rows)))
            for column, figures in by_column.items():
                precision, recall, rows = (float(np.nanmean(v)) if np.isfinite(v).any() else np.nan for v in np.array(figures, float).T)
                good = recall >= 0.8 and precision >= 0.8
                misses += not good
                line = f"{name:25} {table:10} {column:18} {precision:9.2f} {recall:7.2f} {rows:5.0f} {'' if good else '  missed'}"
                print(line, flush=True)
    every = tuple(k for n in KINDS if given.only in n for k in KINDS[n])
    for table, (frame, target, _) in tables.items():
        found = findings(frame, target, None, every)
        loud = {f"{f.kind} {f.columns} {len(f.rows)} {f.severity}" for n in KINDS if given.only in n for f in named(found, n)}
        print(f"clean {table}: {len(loud)} findings of these kinds {sorted(loud) or ''}")
    print(f"{misses} lines below 0.8; {time.process_time() - began:.0f} processor seconds")


if __name__ == "__main__":
    main()
