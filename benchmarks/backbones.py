"""Every backbone beside the plain perceptron with the same encoding of numbers: score, paired difference, seconds.

    python benchmarks/backbones.py                                       # all backbones, all tables
    python benchmarks/backbones.py kan senn --tables wine german --seeds 10
    python benchmarks/backbones.py --gates --large-seeds 3               # the models that have a score of their own to reach

Small tables: splits 80/20 drawn anew for every seed. California housing: 64/16/20; Adult: its official test file; seed 0 alone unless
``--large-seeds`` says more. The reference of a backbone is ``mlp`` with the number encoder of the backbone's recipe (``plain`` or ``stack``
for those that read bare numbers); the last column is the difference to ``mlp`` at its default. Scores are accuracy, or RMSE where less is
better; differences are so signed that above 0 the backbone is better, in points of accuracy or percent of the reference's RMSE.
The 95 % interval is Student's over the splits; of one split it is that over the test rows. A backbone passes where the interval reaches
-1 point, or -3 %.

Every fit is kept in ``results/backbones.json`` at once, and a new run goes on from there.
"""

from __future__ import annotations

import argparse
import base64
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.model_selection import train_test_split
from tables import TABLES, adult, california

import pellucid as pld
from pellucid import registry

BACKBONES = (
    "resnet", "tabnet", "tree_mimic", "label_attention", "autoint", "tabtransformer", "excelformer", "armnet", "leurn", "kan", "senn",
    "prototype", "retrieval", "tabm_mini", "tabm", "ft_transformer", "additive",
)  # fmt: skip
SMALL = {"german": ("german_credit.csv", "risk"), "wine": ("wine_quality_white.csv", "quality")}
TARGETS = {"adult": "income", "california": "MedHouseVal"} | {name: target for name, (_, target) in SMALL.items()}
NUMERIC = ("wine", "california")
FEW_ROWS = ("german",)  # below 2,000 rows, where recipes may differ
MARGIN = {True: 3.0, False: 1.0}  # percent of RMSE, points of accuracy
GATES = {  # (backbone, number encoder): most RMSE on California housing, least accuracy on Adult
    ("mlp", "plr"): (0.485, 0.860), ("resnet", ""): (0.510, 0.853), ("tabnet", ""): (0.540, 0.850), ("ft_transformer", ""): (0.490, 0.857),
}  # fmt: skip
RESULTS = Path(__file__).parent / "results" / "backbones.json"

Key = tuple[str, str, str, int]  # table, backbone, number encoder where it is not the recipe's, seed


def split(table: str, seed: int) -> tuple[pd.DataFrame, pd.DataFrame | None, pd.DataFrame]:
    """Return (train, validation or None, test)."""
    if table == "adult":
        train, test = adult()
        return train, None, test
    if table == "california":
        return california(seed)
    file, target = SMALL[table]
    frame = pd.read_csv(TABLES / file, sep=None, engine="python")
    train, test = train_test_split(frame, test_size=0.2, random_state=seed, stratify=None if table in NUMERIC else frame[target])
    return train, None, test


def fit(table: str, backbone: str, number: str, seed: int) -> dict[str, Any]:
    """Fit on one split; returns the score, the loss of every test row (packed) and what the fit took."""
    train, validation, test = split(table, seed)
    target = TARGETS[table]
    kind = pld.TabularRegressor if table in NUMERIC else pld.TabularClassifier
    options: dict[str, Any] = {"number": number} if number else {}
    started = time.perf_counter()
    model = kind(backbone=backbone, random_state=seed, verbose=0, threads=1, **options)
    model.fit(train, target=target, eval_set=None if validation is None else pld.read_table(validation, target=target))
    seconds = time.perf_counter() - started
    found, truth = np.asarray(model.predict(test)), test[target].to_numpy()
    losses = (found - truth) ** 2 if table in NUMERIC else (found.astype(str) != truth.astype(str)).astype(float)
    training = model.record_["training"]
    return {
        "score": float(np.sqrt(losses.mean()) if table in NUMERIC else 1 - losses.mean()), "seconds": round(seconds, 2),
        "steps": training["steps_done"], "best_step": training["best_step"], "parameters": training["parameters"],
        "losses": base64.b64encode(losses.astype(np.float16).tobytes()).decode(),
    }  # fmt: skip


def losses_of(row: dict[str, Any]) -> np.ndarray:
    """Return the kept losses of the test rows, (N,)."""
    return np.frombuffer(base64.b64decode(row["losses"]), np.float16).astype(float)


class Kept:
    """Fits by key, in a file that is written after each of them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, Any] = self._read()

    def _read(self) -> dict[str, Any]:
        return json.loads(self.path.read_text()) if self.path.exists() else {}

    @staticmethod
    def name(key: Key) -> str:
        return " ".join(str(k) or "-" for k in key)

    def get(self, key: Key) -> dict[str, Any] | None:
        return self.rows.get(self.name(key))

    def fitted(self, key: Key, again: bool = False) -> None:
        """Fit what the key says, unless that is kept."""
        if self.name(key) in self.rows and not again:
            return
        row = fit(*key)
        self.path.parent.mkdir(exist_ok=True)
        self.rows = self._read() | {self.name(key): row}  # another run may have written meanwhile
        beside = self.path.with_suffix(".part")
        beside.write_text(json.dumps(self.rows, indent=0))
        beside.replace(self.path)
        print(f"{self.name(key)}: {row['score']:.4f} in {row['seconds']:.1f} s, {row['steps']} steps", flush=True)


def encoding(backbone: str, table: str) -> str:
    """Return the number encoder of the backbone's recipe for the table, "" where it is the default one."""
    number = registry.get("backbone", backbone).recipe.get("number", "")
    number = number[table not in FEW_ROWS] if isinstance(number, tuple) else number
    return "" if number == "ple" else str(number)


def paired(table: str, ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> tuple[float, float]:
    """Return (mean difference, half its 95 % interval): points of accuracy or percent of RMSE, above 0 where ours is better."""
    if len(ours) > 1:
        apart = np.array([_apart(table, a["score"], b["score"]) for a, b in zip(ours, theirs)])
        return float(apart.mean()), float(stats.t.ppf(0.975, len(apart) - 1) * apart.std(ddof=1) / len(apart) ** 0.5)
    a, b = losses_of(ours[0]), losses_of(theirs[0])
    half = 1.96 * float((a - b).std(ddof=1)) / len(a) ** 0.5
    if table in NUMERIC:  # of squared errors to percent of the root: d sqrt(m) = dm / (2 sqrt(m))
        half *= 1 / (2 * float(b.mean()))
    return _apart(table, ours[0]["score"], theirs[0]["score"]), 100 * half


def _apart(table: str, ours: float, theirs: float) -> float:
    return 100 * (1 - ours / theirs) if table in NUMERIC else 100 * (ours - theirs)


def line(kept: Kept, table: str, backbone: str, seeds: int) -> tuple[str, bool] | None:
    """Return (a line of the Markdown table, whether it passes) from the splits on which all three models are kept; None without one."""
    number = encoding(backbone, table)
    wanted = ((backbone, ""), ("mlp", number), ("mlp", ""))
    rows = [row for seed in range(seeds) if all(row := [kept.get((table, *model, seed)) for model in wanted])]
    if not rows:
        return None
    ours, same, default = ([row[i] or {} for row in rows] for i in range(3))
    d, half = paired(table, ours, same)
    good = d + half >= -MARGIN[table in NUMERIC]
    mean, reference = (float(np.mean([r["score"] for r in found])) for found in (ours, same))
    unit = "%" if table in NUMERIC else "points"
    cells = (
        table, backbone, str(len(rows)), f"{mean:.4f}", f"{reference:.4f} ({number or 'ple'})",
        f"{d:+.2f} [{d - half:+.2f}, {d + half:+.2f}] {unit}", f"{paired(table, ours, default)[0]:+.2f}",
        f"{np.median([r['seconds'] for r in ours]):.1f}", "passes" if good else "fails",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |", good


HEADER = "\n".join(
    ["| table | backbone | splits | score | mlp, same encoding | difference [95 %] | to default mlp | fit, s | |", "|---" * 9 + "|"]
)


def gates(kept: Kept, seeds: int) -> list[tuple[str, bool]]:
    """Return a line of the Markdown table, and whether it passes, for each model that has scores of its own to reach."""
    lines = []
    for (backbone, number), asked in GATES.items():
        for table, most in zip(("california", "adult"), asked):
            scores = [row["score"] for seed in range(seeds) if (row := kept.get((table, backbone, number, seed))) is not None]
            if not scores:
                continue
            mean = float(np.mean(scores))
            good = mean <= most if table in NUMERIC else mean >= most
            cells = (table, f"{backbone} {number}", f"{mean:.4f}", ", ".join(f"{s:.4f}" for s in scores), f"{most:.3f}")
            lines.append((f"| {' | '.join(cells)} | {'passes' if good else 'fails'} |", good))
    return lines


def wanted(a: argparse.Namespace) -> list[Key]:
    """Return the fits to make, small tables first, every model on a split before the next split."""
    if a.gates:
        return [(t, b, n, s) for b, n in GATES for t in a.tables if t not in SMALL for s in range(a.large_seeds)]
    keys = []
    for t in a.tables:
        models = [*(("mlp", n) for n in dict.fromkeys(("", *(encoding(b, t) for b in a.backbones)))), *((b, "") for b in a.backbones)]
        keys += [(t, b, n, s) for s in range(a.seeds if t in SMALL else a.large_seeds) for b, n in models]
    return sorted(keys, key=lambda key: (key[0] not in SMALL, key[3]))


def main() -> None:
    q = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    q.add_argument("backbones", nargs="*", default=BACKBONES)
    q.add_argument("--tables", nargs="+", default=["german", "wine", "california", "adult"], choices=list(TARGETS))
    q.add_argument("--seeds", type=int, default=10, help="splits of the small tables")
    q.add_argument("--large-seeds", type=int, default=1)
    q.add_argument("--gates", action="store_true", help="the models that have scores of their own to reach, by --large-seeds fits")
    q.add_argument("--again", action="store_true", help="fit anew what is kept, the perceptron excepted")
    q.add_argument("--minutes", type=float, default=float("inf"), help="begin no fit later than this; exit code 3 where some are left")
    q.add_argument("--results", type=Path, default=RESULTS)
    a = q.parse_args()
    kept, began = Kept(a.results), time.monotonic()
    for key in wanted(a):
        if time.monotonic() - began > 60 * a.minutes:
            raise SystemExit(3)
        kept.fitted(key, a.again and key[1] != "mlp")
    if a.gates:
        found = gates(kept, a.large_seeds)
        print("| table | model | mean | each seed | asked | |\n" + "|---" * 6 + "|")
    else:
        seeds = {table: a.seeds if table in SMALL else a.large_seeds for table in a.tables}
        found = [made for t in a.tables for b in a.backbones if (made := line(kept, t, b, seeds[t])) is not None]
        print(HEADER)
    print("\n".join(words for words, _ in found))
    raise SystemExit(0 if all(good for _, good in found) else 1)


if __name__ == "__main__":
    main()
