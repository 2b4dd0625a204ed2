"""Do densities of the hidden state notice rows unlike those learned from? Four shifts, tables of classes, beside doubt of the answer.

    python benchmarks/hidden_shift.py                  # six tables that no rule was chosen on, three seeds: some 8 processor minutes
    python benchmarks/hidden_shift.py --tables compas phoneme --seeds 0

Shifts: ``cell`` (one cell taken from another row), ``scaled`` (one number times 1,000), ``class`` (a level, where the table has one to
spare, withheld from training), ``range`` (the upper quarter of a column withheld). Networks of one kind, 600 steps, at most 4,500 rows.
Beside the measures stands one less the highest probability; ``best power`` is ConjNorm with the power that hindsight would choose.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from familiarity import parts
from tables import TABLES

import pellucid as pld
from pellucid.estimators.promises import MOST_KEPT, rows_for
from pellucid.table import apply_schema
from pellucid.testing.strange import ranking, scaled, swapped, withheld
from pellucid.training.density import DENSITIES, POWERS, ConjNorm

CASES: dict[str, tuple[str, str | None, Sequence[Any], str]] = {
    "diamonds": ("cut", "cut", ["Fair"], "carat"),
    "abalone": ("sex", "sex", ["I"], "whole_weight"),
    "compas": ("two_year_recid", "race", ["Hispanic"], "age"),
    "phoneme": ("class", None, (), "v1"),
    "mammography": ("class", None, (), "a1"),
    "loans": ("grade", "grade", ["E", "F", "G"], "annual_income"),
}
"""By table: target, column and levels withheld, column whose upper quarter is withheld."""

TOLD = {"loans": ["sub_grade", "interest_rate", "emp_title"]}  # columns that say the target, or a name
MOST, STRANGE = 6000, 1500


def frame(name: str, target: str) -> pd.DataFrame:
    path = next(p for p in (TABLES / f"{name}.csv", TABLES / f"{name}.csv.gz") if p.exists())
    whole = pd.read_csv(path).drop(columns=TOLD.get(name, []))
    return whole.assign(**{target: whole[target].astype(str)})


def worlds(name: str) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
    """Yield (shift, rows of the known world, rows of the other)."""
    target, column, levels, wide = CASES[name]
    whole = frame(name, target)
    if column is not None:
        yield "class", *withheld(whole, column, levels)
    high = whole[wide] > whole[wide].quantile(0.75)
    yield "range", whole[~high].reset_index(drop=True), whole[high].reset_index(drop=True)


def areas(name: str, seed: int) -> list[dict[str, Any]]:
    """Return one line for each shift and measure."""
    target, lines = CASES[name][0], []
    for shift, known, other in worlds(name):
        train, test = parts(known, seed, 0.25, MOST)
        model = pld.TabularClassifier(backbone="mlp", random_state=seed, verbose=0, max_steps=600).fit(train, target=target)
        predictor = model.predictor()
        kept, labels, held, decoys = rows_for(model, MOST_KEPT)
        inside, placed, shuffled = (predictor.hidden(t) for t in (kept, held, decoys))
        measures = {k: kind.fit(inside, labels=labels, held=placed, decoys=shuffled) for k, kind in DENSITIES.items()}
        measures |= {f"power {p:g}": ConjNorm.fit(inside, labels=labels, power=p) for p in POWERS}
        usual = apply_schema(test.drop(columns=target), model.schema_)
        others = other.sample(min(STRANGE, len(other)), random_state=seed).reset_index(drop=True)
        strange = {shift: apply_schema(others.drop(columns=target), model.schema_)}
        strange |= {"cell": swapped(usual, seed)[0], "scaled": scaled(usual, seed)[0]}
        before = predictor.hidden(usual.select(predictor.columns))
        for what, rows in strange.items():
            rows = rows.select(predictor.columns)
            after = predictor.hidden(rows)
            found = {k: ranking(m.scores(before), m.scores(after))[0] for k, m in measures.items()}
            doubt = [1 - predictor.members_raw(t).mean(1).max(1) for t in (usual.select(predictor.columns), rows)]
            found["highest probability"] = ranking(*doubt)[0]
            lines += [{"table": name, "seed": seed, "shift": what, "world": shift, "measure": k, "area": v} for k, v in found.items()]
    return lines


def main() -> None:
    q = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    q.add_argument("--tables", nargs="*", choices=list(CASES), default=list(CASES))
    q.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    a = q.parse_args()
    lines: list[dict[str, Any]] = []
    for seed in a.seeds:
        for name in a.tables:
            lines += areas(name, seed)
            print(f"{name}, seed {seed}", flush=True)
    cases = pd.DataFrame(lines).pivot_table(index=["table", "seed", "world", "shift"], columns="measure", values="area")
    powers = [c for c in cases if c.startswith("power ")]
    cases = cases.assign(**{"best power": cases[powers].max(axis=1)}).drop(columns=powers)
    by_shift = cases.groupby("shift").mean().T
    print(by_shift.assign(mean=by_shift.mean(axis=1)).round(4).to_string())
    for other in [c for c in cases if c != "conjnorm"]:
        gain = (cases["conjnorm"] - cases[other]).groupby("table").mean()
        print(f"conjnorm less {other}: {gain.mean():+.4f}, standard error over {len(gain)} tables {gain.std() / np.sqrt(len(gain)):.4f}")


if __name__ == "__main__":
    main()
