"""A table without faults, and the real tables."""

import numpy as np
import pandas as pd
import pytest

from pellucid.table import read_table


def _clean(n=1000, seed=0, classes=True):
    """Return a frame whose columns are what they seem: independent but for two that tell something about the target."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": rng.normal(45, 9, n).clip(18, 90),
            "pressure": rng.normal(120, 15, n),
            "sex": rng.choice(["F", "M"], n),
            "region": rng.choice(["north", "south", "east", "west"], n),
            "dose": rng.gamma(5, 2, n),
        }
    )
    signal = (frame["pressure"] - 120) / 15 + (frame["dose"] - 10) / 5
    if classes:
        return frame.assign(ill=np.where(signal + rng.normal(0, 1.5, n) > 0, "yes", "no"))
    return frame.assign(days=signal * 3 + rng.normal(20, 4, n))


@pytest.fixture(scope="session")
def clean():
    """Return the maker of faultless frames."""
    return _clean


@pytest.fixture
def people():
    return _clean()


@pytest.fixture
def real(tables):
    """Return a reader of the real tables."""
    return lambda name, target: read_table(tables / name, target=target)
