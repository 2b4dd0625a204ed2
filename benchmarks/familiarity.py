"""Does the model notice rows it has not learned about? Planted strangeness (``pellucid.testing.strange``) against every measure.

    python benchmarks/familiarity.py                # all tasks, some processor minutes
    python benchmarks/familiarity.py --small        # fewer rows and steps, one seed
    python benchmarks/familiarity.py cell scaled --measures neighbours row_model

Tasks: ``cell`` (one cell taken from another row), ``class`` (a species of penguins, wines of quality 8), ``age`` (adults under 30 trained,
over 50 asked), ``scaled`` (one number times 1,000). Usual rows are test rows the model did not learn from. Beside the measures of the
package stand plain nearest neighbours on scaled columns and an isolation forest.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from tables import TABLES, adult

import pellucid as pld
from pellucid.table import apply_schema
from pellucid.testing.strange import ranking, scaled, swapped, withheld

MEASURES = ("neighbours", "row_model", "mahalanobis", "hidden_neighbours", "conjnorm")
GOALS = {"cell": 0.80, "class": 0.85, "age": 0.80, "scaled": 0.95}
WIDE = {"adult": "income", "california": "MedHouseVal", "wine": "quality"}


def frame(name: str) -> pd.DataFrame:
    if name == "adult":
        return adult()[0]
    file = {"california": "california_housing.csv.gz", "wine": "wine_quality_white.csv", "penguins": "penguins.csv"}[name]
    return pd.read_csv(TABLES / file)


def parts(whole: pd.DataFrame, seed: int, share: float, most: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (training rows, test rows)."""
    order = np.random.default_rng(seed).permutation(len(whole))[:most]
    cut = int(len(order) * share)
    return whole.iloc[np.sort(order[cut:])].reset_index(drop=True), whole.iloc[np.sort(order[:cut])].reset_index(drop=True)


def tasks(wanted: set[str], small: bool) -> Iterator[tuple[str, str, pd.DataFrame, str, pd.DataFrame, Any]]:
    """Yield (task, table, training rows, target, usual rows, what makes strange rows of them: rows, or a function of a Table)."""
    most = 4000 if small else 20_000
    for name, target in WIDE.items():
        if wanted & {"cell", "scaled"}:
            train, test = parts(frame(name), 0, 0.2, most)
            for task, maker in (("cell", swapped), ("scaled", scaled)):
                if task in wanted:
                    yield task, name, train, target, test, maker
    if "class" in wanted:
        for species in ("Adelie", "Chinstrap", "Gentoo"):
            for seed in range(1 if small else 3):
                known, strange = withheld(frame("penguins"), "species", [species])
                train, test = parts(known, seed, 0.3, most)
                yield "class", f"penguins without {species} ({seed})", train, "species", test, strange
        known, strange = withheld(frame("wine"), "quality", [8])
        train, test = parts(known, 0, 0.2, most)
        yield "class", "wine without quality 8", train, "quality", test, strange
    if "age" in wanted:
        whole = frame("adult")
        young, old = whole[whole["age"] < 30].reset_index(drop=True), whole[whole["age"] > 50].reset_index(drop=True)
        train, test = parts(young, 0, 0.2, most)
        yield "age", "adult", train, "income", test, old.iloc[:: max(1, len(old) // 2000)].reset_index(drop=True)


def numbers(train: pd.DataFrame, target: str, rows: list[pd.DataFrame]) -> list[np.ndarray]:
    """Return plain matrices: standardised numbers and one-hot levels, missing cells at the mean."""
    features = train.drop(columns=target)
    levels = [c for c in features if features[c].dtype.kind not in "iuf"]
    plain = [c for c in features if c not in levels]
    mean, spread = features[plain].mean(), features[plain].std() + 1e-9
    seen = pd.get_dummies(features[levels]).columns if levels else []
    out = []
    for f in rows:
        hot = pd.get_dummies(f[levels]).reindex(columns=seen, fill_value=0).to_numpy(float) if levels else np.zeros((len(f), 0))
        out.append(np.column_stack([((f[plain] - mean) / spread).fillna(0.0).to_numpy(), hot]))
    return out


def beside(train: pd.DataFrame, target: str, usual: pd.DataFrame, strange: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Return the areas of plain nearest neighbours and of an isolation forest."""
    from sklearn.ensemble import IsolationForest
    from sklearn.neighbors import NearestNeighbors

    x, a, b = numbers(train, target, [train, usual, strange])
    near = NearestNeighbors(n_neighbors=10).fit(x[:: max(1, len(x) // 4000)])
    by_near = [near.kneighbors(rows)[0].mean(1) for rows in (a, b)]
    forest = IsolationForest(random_state=0, n_jobs=1).fit(x)
    return {"plain neighbours": ranking(*by_near), "isolation forest": ranking(*(-forest.score_samples(rows) for rows in (a, b)))}


def fitted(train: pd.DataFrame, target: str, measures: list[str], small: bool) -> Any:
    classes = target in ("income", "species")
    kind = pld.TabularClassifier if classes else pld.TabularRegressor
    model = kind(random_state=0, verbose=0, time_limit=10 if small else 40).fit(train, target=target)
    for measure in measures:
        if measure != "neighbours":
            model.fit_familiarity(measure, **({"max_steps": 200} if small and measure == "row_model" else {}))
    return model


def judge(model: Any, usual: Any, strange: Any, measure: str, names: Any) -> tuple[tuple[float, float], float, float]:
    """Return (area and its error, share of strange rows whose odd cell is named, share of usual rows refused as strange)."""
    a, b = (model.uncertainty(rows, familiarity=measure) for rows in (usual, strange))
    named = np.nan
    if names is not None:
        there = np.array([n is not None for n in names])
        named = float((np.array(b.odd_column, object)[there] == names[there]).mean())
    return ranking(100 - a.familiarity, 100 - b.familiarity), named, float((a.familiarity < 1).mean())


def main() -> None:
    q = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    q.add_argument("tasks", nargs="*", default=list(GOALS))
    q.add_argument("--measures", nargs="*", default=list(MEASURES))
    q.add_argument("--small", action="store_true")
    a = q.parse_args()
    seen: dict[str, tuple[Any, Any]] = {}
    lines: list[dict[str, Any]] = []
    for task, name, train, target, usual, strange in tasks(set(a.tasks), a.small):
        began = time.process_time()
        key = f"{name} {len(train)} {target}"
        if key not in seen:
            seen = {key: (fitted(train, target, a.measures, a.small), None)}
        model = seen[key][0]
        names = None
        if callable(strange):
            table, names = strange(apply_schema(usual.drop(columns=target), model.schema_))
            strange = table.frame
        usual_rows, rows = usual.drop(columns=target), strange.drop(columns=target, errors="ignore")
        for measure in a.measures:
            (area, error), named, alarms = judge(model, usual_rows, rows, measure, names)
            lines.append({"task": task, "table": name, "measure": measure, "area": area, "error": error, "named": named, "alarms": alarms})
        for measure, (area, error) in beside(train, target, usual_rows, rows).items():
            lines.append({"task": task, "table": name, "measure": measure, "area": area, "error": error})
        print(pd.DataFrame(lines).query("table == @name and task == @task").round(3).to_string(index=False), flush=True)
        print(f"{time.process_time() - began:.0f} processor seconds", flush=True)
    table = pd.DataFrame(lines)
    print("\nmean over tables:\n", table.pivot_table(index="measure", columns="task", values=["area", "named"]).round(3).to_string())
    print("goals:", GOALS)


if __name__ == "__main__":
    main()
