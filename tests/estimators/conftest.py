"""Small tables and fits shared by the tests of the estimators."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from pellucid import TabularClassifier, TabularRegressor
from pellucid.testing.mixed import FEATURES, mixed

QUICK: dict[str, Any] = {"verbose": 0, "threads": 1, "random_state": 0, "max_steps": 40}


@pytest.fixture(scope="session")
def frame() -> pd.DataFrame:
    return mixed()


@pytest.fixture(scope="session")
def classifier(frame: pd.DataFrame) -> TabularClassifier:
    return TabularClassifier(**QUICK).fit(frame[FEATURES], frame["label"])


@pytest.fixture(scope="session")
def regressor(frame: pd.DataFrame) -> TabularRegressor:
    return TabularRegressor(**QUICK).fit(frame[FEATURES], frame["y"])


@pytest.fixture(scope="session")
def long_classifier() -> TabularClassifier:
    """A fit above the fold limit: one network, certify rows held out."""
    table = mixed(2300, 1)
    return TabularClassifier(**QUICK).fit(table[FEATURES], table["label"])
