"""A small table on disk, and a way to run the command line inside this process."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest


@dataclass
class Done:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys):
    """Return ``run("audit", path)``."""
    from pellucid.__main__ import main

    def call(*arguments: object) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(a) for a in arguments])
        printed = capsys.readouterr()
        return Done(int(left.value.code or 0), printed.out, printed.err)

    return call


def people(n: int = 400, seed: int = 0) -> pd.DataFrame:
    """Return a table with an identifier, numbers, levels, gaps and two targets: ``buys`` (yes, no) and ``spent`` (a number)."""
    rng = np.random.default_rng(seed)
    age, income = rng.integers(18, 80, n), rng.lognormal(10, 0.5, n).round(2)
    city = rng.choice(["Bern", "Oslo", "Rome"], n)
    odds = 0.08 * (age - 45) + 1.2 * (city == "Rome")
    frame = pd.DataFrame({"person": [f"P-{i:05d}" for i in range(n)], "age": age, "income": income, "city": city})
    frame["buys"] = np.where(rng.random(n) < 1 / (1 + np.exp(-odds)), "yes", "no")
    frame["spent"] = (2 * age + 30 * (city == "Rome") + rng.normal(0, 5, n)).round(2)
    frame.loc[rng.permutation(n)[: n // 20], "income"] = np.nan
    return frame


@pytest.fixture(scope="session")
def people_csv(tmp_path_factory):
    """Return the path of the table as CSV, without ``spent``."""
    path = tmp_path_factory.mktemp("people") / "people.csv"
    people().drop(columns="spent").to_csv(path, index=False)
    return path


@pytest.fixture(scope="session")
def spent_csv(tmp_path_factory):
    """Return the path of the table as CSV, without ``buys``."""
    path = tmp_path_factory.mktemp("spent") / "spent.csv"
    people().drop(columns="buys").to_csv(path, index=False)
    return path


@pytest.fixture(scope="session")
def linear_model(people_csv, tmp_path_factory):
    """Return the folder of a linear model of ``buys``."""
    from pellucid.estimators import TabularClassifier
    from pellucid.table import read_table

    path = tmp_path_factory.mktemp("model") / "buys.pellucid"
    TabularClassifier(backbone="linear", random_state=0, verbose=0).fit(read_table(people_csv, target="buys")).save(path)
    return path
