"""Every network learns in half precision what it learns in full: which of the two a fit takes is measured, so both must be right."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pellucid import TabularClassifier, registry


def rows(n: int, seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    a, b = draw.normal(size=(2, n))
    c = draw.integers(0, 3, n)
    label = a + 0.8 * b + (c == 1) + 0.3 * draw.logistic(size=n) > 0.3
    return pd.DataFrame({"a": a.round(3), "b": b.round(3), "c": np.array(["p", "q", "r"])[c], "label": np.where(label, "yes", "no")})


IN_SHORT = ("mlp", "tabm_additive", "prototype", "retrieval")
NETWORKS = [
    e.name if e.name in IN_SHORT else pytest.param(e.name, marks=pytest.mark.long)
    for e in registry.entries("backbone") if e.takes != "matrix"
]  # fmt: skip


@pytest.mark.parametrize("backbone", NETWORKS)
def test_a_network_learns_in_half_precision(backbone: str) -> None:
    asked = {"backbone": backbone, "random_state": 0, "verbose": 0, "threads": 1, "max_steps": 40}
    table, new = rows(400, 0), rows(300, 1)
    full, half = (TabularClassifier(precision=p, **asked).fit(table, target="label") for p in ("fp32", "bf16"))
    assert half.record_["training"]["precision"] == "bf16"
    gains = [m.predict_proba(new)[:, 1] for m in (full, half)]
    assert np.isfinite(gains[1]).all()
    assert np.abs(half.predict_proba(new, precision="bf16")[:, 1] - gains[1]).max() < 0.03
    # forty steps: some networks have learned little by then, but as much in either
    assert abs(np.corrcoef(gains[0], gains[1])[0, 1]) > 0.9
