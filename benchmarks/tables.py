"""Tables and splits of the benchmarks: 64/16/20 with seeds 0-2; Adult keeps its official test file."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
from sklearn.model_selection import train_test_split

TABLES = Path(os.environ.get("PELLUCID_TABLES", Path(__file__).resolve().parents[1] / ".." / "shared" / "data"))


def adult() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the official training and test frames, target ``income`` included."""
    return pd.read_csv(TABLES / "adult_train.csv.gz"), pd.read_csv(TABLES / "adult_test.csv.gz")


def california(seed: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return (train, validation, test) frames of the 8-column table, target ``MedHouseVal`` included."""
    frame = pd.read_csv(TABLES / "california_housing.csv.gz")
    train, test = train_test_split(frame, test_size=0.2, random_state=seed)
    train, validation = train_test_split(train, test_size=0.2, random_state=seed)
    return train, validation, test
