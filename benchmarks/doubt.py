"""Doubt on real tables: calibration, what members cost, what doubling the rows does, and which source serves a table best.

    python benchmarks/doubt.py                 # everything, about ten minutes on two quiet cores
    python benchmarks/doubt.py calibration     # or: speed, doubling, contest
    python benchmarks/doubt.py doubling --cases default

Adult has its official test file; the other tables are split 80/20 with the seed given.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.model_selection import train_test_split
from tables import TABLES, adult

import pellucid as pld
from pellucid.evaluate import contest
from pellucid.training.calibration_metrics import check_calibration, log_loss

TARGETS = {"adult": "income", "california_housing": "MedHouseVal", "wine_quality_white": "quality"}


def table(name: str, seed: int) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Return (training frame, test frame, target)."""
    if name == "adult":
        return (*adult(), TARGETS[name])
    path = next(p for p in (TABLES / f"{name}.csv", TABLES / f"{name}.csv.gz") if p.exists())
    train, test = train_test_split(pd.read_csv(path), test_size=0.2, random_state=seed)
    return train.reset_index(drop=True), test.reset_index(drop=True), TARGETS[name]


def calibration(seed: int) -> None:
    """The default model on Adult's official test file: calibration error and log loss before and after, and with class weights."""
    train, test, target = table("adult", seed)
    truth = test[target].to_numpy()
    for weight in (None, "balanced"):
        model = pld.TabularClassifier(random_state=seed, verbose=0, class_weight=weight).fit(train, target=target)
        y = np.searchsorted(model.classes_, truth)
        raw = model.predictor().members_raw(model._table(test)).mean(1)
        calibrated = model.predict_proba(test)
        chosen = model.certainty_.calibrator
        print(f"adult, class_weight={weight}: calibration {getattr(chosen, 'method', type(chosen).__name__.lower())}", flush=True)
        for name, p in (("before", raw), ("after", calibrated)):
            check = check_calibration(p, y)
            null = f"null mean {check.null_mean:.4f}, 95 % {check.null_high:.4f}"
            print(f"  {name}: error {check.ece:.4f} ({null}), log loss {log_loss(p, y):.4f}")
        loss = -np.log(np.maximum(raw[np.arange(len(y)), y], 1e-15)) + np.log(np.maximum(calibrated[np.arange(len(y)), y], 1e-15))
        print(f"  log loss saved {loss.mean():+.5f} (95 % {1.96 * loss.std() / len(loss) ** 0.5:.5f})", flush=True)


def speed(seed: int) -> None:
    """Sixteen members against one: wall seconds of predict, the two in turn, the fastest of five."""
    train, test, target = table("adult", seed)
    cases = [
        ("tabm, 1 and 16 members", {"backbone": "tabm", "members": 1}, {"backbone": "tabm", "members": 16}),
        ("tabm_mini, 1 and 16 members", {"backbone": "tabm_mini", "members": 1}, {"backbone": "tabm_mini", "members": 16}),
        ("mlp, and 16 draws of its last layer", {"backbone": "mlp"}, {"backbone": "mlp", "bayes": {"laplace": {"samples": 16}}}),
    ]
    for name, *both in cases:
        models = [pld.TabularClassifier(random_state=seed, verbose=0, max_steps=60, **kw).fit(train, target=target) for kw in both]
        for precision in ("fp32", "bf16"):
            seconds: list[list[float]] = [[], []]
            for _ in range(5):
                for model, own in zip(models, seconds):
                    started = time.perf_counter()
                    model.predict_proba(test, precision=precision)
                    own.append(time.perf_counter() - started)
            one, many = map(min, seconds)
            print(f"{name}, {precision}: predict {one:.2f} s and {many:.2f} s, ratio {many / one:.2f}", flush=True)


REDRAWS = 5
NETWORK = {"backbone": "mlp", "bayes": "laplace", "max_steps": 1500}
TWICE: list[tuple[str, str, dict[str, Any]]] = [
    ("california_housing, last layer and a spread of its own", "california_housing", {**NETWORK, "head": "normal"}),
    ("california_housing, members", "california_housing", {"backbone": "tabm", "members": 8, "max_steps": 400}),
    ("adult, last layer", "adult", NETWORK),
    ("california_housing, default", "california_housing", {}),
    ("adult, default", "adult", {}),
]


def doubling(seed: int, wanted: str = "") -> None:
    """Twice the rows: mean epistemic and aleatoric doubt of the same test rows, geometric mean of the ratio over redraws, and its interval.

    The interval is over redraws of the training rows and fits (Student), for one fit differs from the next by more than test rows tell.
    Beside it what was lost on the test rows: squared error or log loss, with epistemic doubt taken off, is the noise that they show.
    """
    for what, name, options in (case for case in TWICE if wanted in case[0]):
        found = [[_parts(name, options, seed + r, share) for share in (4, 2)] for r in range(REDRAWS)]
        ratios = np.log(np.divide(*np.moveaxis(np.array(found), 1, 0)[::-1]))
        half = stats.t.ppf(0.975, REDRAWS - 1) * ratios.std(0, ddof=1) / REDRAWS**0.5
        for k, part in enumerate(("epistemic", "aleatoric", "loss less epistemic")):
            mean, low, high = np.exp([ratios[:, k].mean() + h for h in (0, -half[k], half[k])])
            print(f"{what}: a quarter to half of the rows, {part} times {mean:.3f} ({low:.3f} to {high:.3f})", flush=True)


def _parts(name: str, options: dict[str, Any], seed: int, share: int) -> tuple[float, float, float]:
    """Return mean epistemic and aleatoric doubt of test rows, and their loss less the former; a fit on one row in ``share``."""
    train, test, target = table(name, seed)
    rows = np.random.default_rng(seed).permutation(len(train))[: len(train) // share]
    kind = pld.TabularClassifier if name == "adult" else pld.TabularRegressor
    model = kind(random_state=seed, verbose=0, **options).fit(train.iloc[rows], target=target)
    answer = model.uncertainty(test, familiarity=None)
    truth = test[target].to_numpy()
    if name == "adult":
        loss = log_loss(answer.probabilities, np.searchsorted(model.classes_, truth))
    else:
        loss = float(((truth - answer.point) ** 2).mean())
    epistemic = float(np.mean(answer.epistemic))
    return epistemic, float(np.mean(answer.aleatoric)), loss - epistemic


def contests(seed: int, names: list[str]) -> None:
    """Which source serves best, from one network of the same settings; at most 8,000 rows to learn from."""
    for name in names:
        train, test, target = table(name, seed)
        train = train.sample(min(len(train), 8000), random_state=seed)
        test = test.sample(min(len(test), 4000), random_state=seed)
        kind = pld.TabularClassifier if name == "adult" else pld.TabularRegressor
        model = kind(backbone="mlp", random_state=seed, verbose=0)
        started = time.perf_counter()
        board = contest(train, model=model, test=test, target=target, random_state=seed)
        frame = board.to_frame()
        shown = ["model", "score", "low", "high", "calibration_error", "calibration_null", "doubt_and_error", "tells_shift", "fit_seconds"]
        print(f"{name}, {board.metric}, {time.perf_counter() - started:.0f} s\n{frame[shown].round(4).to_string(index=False)}")
        print(board.words, *[f"- {c}" for c in board.record.caveats], sep="\n", flush=True)


PARTS: dict[str, Any] = {"calibration": calibration, "speed": speed, "doubling": doubling, "contest": contests}


def main() -> None:
    q = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    q.add_argument("parts", nargs="*", choices=[*PARTS, []])
    q.add_argument("--seed", type=int, default=0)
    q.add_argument("--tables", nargs="*", choices=[*TARGETS, []], help="of the contest alone: these tables")
    q.add_argument("--cases", default="", help="of the doubling alone: those with this word in their name")
    a = q.parse_args()
    for name in a.parts or PARTS:
        if name == "contest":
            contests(a.seed, a.tables or list(TARGETS))
        elif name == "doubling":
            doubling(a.seed, a.cases)
        else:
            PARTS[name](a.seed)


if __name__ == "__main__":
    main()
