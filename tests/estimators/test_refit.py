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


def test_a_refit_takes_all_its_steps_and_tells_where_the_clock_cut_it(classifier):
    """A model that was fitted in no time is trained again by as many steps, and a limit that a busy machine misses is told."""
    model = classifier
    refit = model.refitter()
    whole = refit(max_steps=5)
    assert not whole.hurried
    assert whole.engine.record["steps_done"] == 5
    assert refit(time_limit=1e-3).hurried
