"""Calibration errors beside what a perfectly calibrated model would show, ours and CatBoost's, on the class tables among the ten.

    python benchmarks/calibration_band.py                        # five tables, seeds 0 to 2
    python benchmarks/calibration_band.py compas --seeds 0 1 --keep answers

The band of a model is the error of labels drawn from its own probabilities (``training.calibration_metrics.check_calibration``): an
error above 95 % of such draws is one that a calibrated model would hardly show. Asked: ours is inside its band wherever CatBoost's is.
Splits 64/16/20, stratified; the 16 % end the training of both; exact copies of a row stay in one part of ``mammography``; Adult keeps its
test file.
``--keep`` stores the answers, so that a later call fits only what is missing.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.model_selection import train_test_split
from tables import TABLES, adult

import pellucid as pld
from pellucid.training.calibration_metrics import CalibrationCheck, check_calibration

POSITIVE = {
    "adult": ("income", ">50K"), "german_credit": ("risk", "bad"), "compas": ("two_year_recid", 1), "titanic": ("Survived", 1),
    "mammography": ("class", 1),
}  # fmt: skip
"""Table to (target, the class whose probability is judged)."""
FILES = {"german_credit": "german_credit.csv", "compas": "compas.csv.gz", "titanic": "titanic.csv", "mammography": "mammography.csv.gz"}
COPIES, KEYS = ("mammography",), ["PassengerId"]
RARE = 5
"""Rows below which the levels of a peer's column are joined."""

Split = tuple[pd.DataFrame, npt.NDArray[np.int64]]


def cut(frame: pd.DataFrame, y: npt.NDArray[np.int64], seed: int, copies: bool) -> tuple[Split, Split]:
    """Return (the larger part, a fifth of the rows), each with its labels; with ``copies`` equal rows stay together."""
    if not copies:
        a, b, ya, yb = train_test_split(frame, y, test_size=0.2, random_state=seed, stratify=y)
        return (a, ya), (b, yb)
    sets = pd.util.hash_pandas_object(frame.assign(_y=y), index=False).to_numpy()
    first = pd.Series(np.arange(len(frame))).groupby(sets).first().to_numpy()
    _, held = train_test_split(first, test_size=0.2, random_state=seed, stratify=y[first])
    out = np.isin(sets, sets[held])
    return (frame[~out], y[~out]), (frame[out], y[out])


def split(name: str, seed: int) -> tuple[Split, Split, Split]:
    """Return the parts to learn from, to stop on and to judge, each (columns, labels 0 and 1)."""
    target, positive = POSITIVE[name]
    files = adult() if name == "adult" else (pd.read_csv(TABLES / FILES[name], low_memory=False),)
    read = [f[f[target].notna()].drop(columns=KEYS, errors="ignore") for f in files]
    labelled = [(f.drop(columns=target).reset_index(drop=True), (f[target] == positive).to_numpy(np.int64)) for f in read]
    rest, test = labelled if len(labelled) == 2 else cut(*labelled[0], seed, name in COPIES)
    train, stop = cut(*rest, seed, name in COPIES)
    return train, stop, test


def ours(train: Split, stop: Split, test: Split, seed: int) -> Any:
    return pld.TabularClassifier(random_state=seed, verbose=0).fit(*train, eval_set=stop).predict_proba(test[0])


def catboost(train: Split, stop: Split, test: Split, seed: int) -> Any:
    """Return the answers of CatBoost at its defaults; texts become levels, rare ones joined."""
    from catboost import CatBoostClassifier

    levels = [c for c in train[0] if not pd.api.types.is_numeric_dtype(train[0][c])]
    count = {c: train[0][c].fillna("NA").astype(str).value_counts() for c in levels}

    def known(frame: pd.DataFrame) -> pd.DataFrame:
        cells = {c: frame[c].fillna("NA").astype(str) for c in levels}
        return frame.assign(**{c: v.where(v.map(count[c]).fillna(0) >= RARE, "(rare)") for c, v in cells.items()})

    model = CatBoostClassifier(thread_count=1, random_seed=seed, allow_writing_files=False, verbose=False)
    model.fit(known(train[0]), train[1], cat_features=levels, eval_set=(known(stop[0]), stop[1]), early_stopping_rounds=50)
    return model.predict_proba(known(test[0]))


MODELS = {"ours": ours, "catboost": catboost}


def checked(name: str, seed: int, model: str, keep: Path | None) -> CalibrationCheck:
    """Return one fit's calibration error and band."""
    train, stop, test = split(name, seed)
    file = None if keep is None else keep / f"{name}-{seed}-{model}.npy"
    if file is not None and file.exists():
        found = np.load(file)
    else:
        found = np.asarray(MODELS[model](train, stop, test, seed))
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, found)
    return check_calibration(found, test[1], draws=1000, seed=seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", choices=[*POSITIVE, []], default=[])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    print("| table | seed | rows | ours: error (band, p) | CatBoost: error (band, p) | |\n|---|---|---|---|---|---|")
    missed = 0
    for name in given.tables or POSITIVE:
        for seed in given.seeds:
            mine, theirs = (checked(name, seed, model, given.keep) for model in MODELS)
            missed += theirs.consistent and not mine.consistent
            cells = [f"{c.ece:.4f} ({c.null_high:.4f}, {c.p_value:.3f}){'' if c.consistent else ' outside'}" for c in (mine, theirs)]
            print(f"| {name} | {seed} | {mine.n} | {' | '.join(cells)} | {'missed' if theirs.consistent and not mine.consistent else ''} |")
    print(f"\nours outside its band where CatBoost is inside: {missed}")


if __name__ == "__main__":
    main()
