"""A made table of every column type, for tests and the self-check."""

from __future__ import annotations

import numpy as np
import pandas as pd

__all__ = ["FEATURES", "mixed"]

FEATURES = ["age", "income", "city", "size", "member", "joined", "note"]


def mixed(n: int = 300, seed: int = 0) -> pd.DataFrame:
    """Return a frame of every column type with the targets ``y`` (number), ``label`` (two classes) and ``three`` (three classes)."""
    r = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": r.integers(18, 90, n).astype(float),
            "income": np.exp(r.normal(10, 1, n)),
            "city": r.choice(["Aachen", "Bergen", "Cork"], n),
            "size": pd.Categorical(r.choice(["small", "medium", "large"], n), ["small", "medium", "large"], ordered=True),
            "member": r.random(n) < 0.5,
            "joined": pd.Timestamp("2020-01-01") + pd.to_timedelta(r.integers(0, 1500, n), "D"),
            "note": r.choice(["red brick house near the river", "old wooden hut on the hill", "new flat with a wide balcony"], n)
            + r.integers(0, 99, n).astype(str),
        }
    )
    score = (frame["age"] - 50) / 20 + (frame["city"] == "Cork") + 0.5 * frame["member"]
    frame["y"] = 10 * score + r.normal(0, 1, n)
    frame["label"] = np.where(score + r.normal(0, 0.3, n) > 0.6, "yes", "no")
    frame["three"] = np.digitize(score, [0.0, 1.0])
    frame.loc[r.random(n) < 0.1, "age"] = np.nan
    frame.loc[r.random(n) < 0.1, "city"] = None
    return frame
