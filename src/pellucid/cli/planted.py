"""The table of the demonstration: scikit-learn's diabetes records in their original units, with faults planted by name.

442 patients, ten measurements and the progression of the disease one year later. Source: Efron, Hastie, Johnstone, Tibshirani 2004,
"Least angle regression", doi:10.1214/009053604000000067. The faults are ours, of the kinds that real tables have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from pellucid.table import Table

__all__ = ["FAULTS", "TARGET", "UNITS", "diabetes", "planted_table"]

TARGET = "progression"

NAMES = {
    "age": "age",
    "sex": "sex",
    "bmi": "bmi",
    "bp": "blood_pressure",
    "s1": "cholesterol",
    "s2": "ldl",
    "s3": "hdl",
    "s4": "cholesterol_to_hdl",
    "s5": "log_triglycerides",
    "s6": "glucose",
    "target": TARGET,
}

UNITS = {
    "age": "years",
    "bmi": "kg/m²",
    "blood_pressure": "mmHg",
    "cholesterol": "mg/dl",
    "ldl": "mg/dl",
    "hdl": "mg/dl",
    "glucose": "mg/dl",
    TARGET: "points",
}

FAULTS = (
    "in 7 rows cholesterol stands in g/l instead of mg/dl (100 times too small)",
    "12 patients were entered twice",
    "in 9 rows the missing hdl was written as -999",
    "2 patients are over 150 years old",
)
"""What was planted, in words."""


def diabetes() -> pd.DataFrame:
    """Return the 442 records in original units, sex coded 1 and 2, before any fault."""
    from sklearn.datasets import load_diabetes

    frame: pd.DataFrame = load_diabetes(as_frame=True, scaled=False).frame.rename(columns=NAMES)
    return frame.astype({"sex": "int64", "age": "int64", TARGET: "int64"})


def planted_table(seed: int = 0) -> Table:
    """Return the table with the faults of ``FAULTS`` at rows drawn with ``seed``."""
    import numpy as np
    import pandas as pd

    from pellucid.random import stream
    from pellucid.table import read_table

    frame = diabetes()
    rng = stream(seed, "planted faults")
    rows = rng.permutation(len(frame))
    slipped, coded, aged, doubled = np.split(rows[:30], [7, 16, 18])
    frame.loc[slipped, "cholesterol"] = frame.loc[slipped, "cholesterol"] / 100
    frame.loc[coded, "hdl"] = -999.0
    frame.loc[aged, "age"] += 110
    frame = pd.concat([frame, frame.iloc[doubled]], ignore_index=True)
    table = read_table(frame, target=TARGET, types={"sex": "category"})
    return table.with_units(**UNITS)
