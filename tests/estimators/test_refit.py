"""A model trained again answers on the scale of the first."""

from __future__ import annotations

import numpy as np

import pellucid as pld
from pellucid.testing import oracles


def test_the_targets_name_and_unit_survive() -> None:
    made = oracles.planted("linear", n=120, columns=3)
    table = made.table.with_units(y="points")
    model = pld.TabularRegressor(backbone="linear", verbose=0, random_state=0).fit(table)
    refit = model.refitter()
    shuffled = np.random.default_rng(0).permutation(refit.target)
    again = refit(target=shuffled, seed=1)
    assert model.predictor().scale == again.scale == "points"
    assert model.predictor().outputs == again.outputs
