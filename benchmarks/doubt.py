"""Doubt on real tables: calibration, what members cost, what doubling the rows does, and which source serves a table best.

    python benchmarks/doubt.py                 # everything, about ten minutes on two quiet cores
    python benchmarks/doubt.py calibration     # or: speed, doubling, contest

Adult has its official test file; the other tables are split 80/20 with the seed given.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd
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


def doubling(seed: int) -> None:
    """Twice the rows: mean epistemic and aleatoric doubt of the same test rows, ratio with a 95 % interval over test rows."""
    for name, options in (("california_housing", {"head": "normal"}), ("adult", {})):
        train, test, target = table(name, seed)
        kind = pld.TabularClassifier if name == "adult" else pld.TabularRegressor
        rows = np.random.default_rng(seed).permutation(len(train))
        found = []
        for n in (len(train) // 4, len(train) // 2):
            model = kind(backbone="mlp", bayes="laplace", random_state=seed, verbose=0, max_steps=1500, **options)
            found.append(model.fit(train.iloc[rows[:n]], target=target).uncertainty(test))
        draw = np.random.default_rng(seed).integers(0, len(test), (500, len(test)))
        for part in ("epistemic", "aleatoric"):
            few, more = (np.asarray(getattr(a, part), float) for a in found)
            ratios = more[draw].mean(1) / few[draw].mean(1)
            low, high = np.quantile(ratios, [0.025, 0.975])
            what = f"{name}, {len(train) // 4:,} to {len(train) // 2:,} rows: {part} doubt"
            print(f"{what} times {more.mean() / few.mean():.3f} ({low:.3f} to {high:.3f})", flush=True)


def contests(seed: int) -> None:
    """Which source serves best, from one network of the same settings; at most 8,000 rows to learn from."""
    for name in TARGETS:
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


PARTS = {"calibration": calibration, "speed": speed, "doubling": doubling, "contest": contests}


def main() -> None:
    q = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    q.add_argument("parts", nargs="*", choices=[*PARTS, []])
    q.add_argument("--seed", type=int, default=0)
    a = q.parse_args()
    for name in a.parts or PARTS:
        PARTS[name](a.seed)


if __name__ == "__main__":
    main()
