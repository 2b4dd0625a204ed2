"""Rows found are valid, better than the known ones where that is possible, and judged by their distance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pellucid import TabularClassifier
from pellucid.errors import RequestError
from pellucid.explain import explain
from pellucid.testing.mixed import FEATURES, mixed
from pellucid.testing.predictors import fit_network, made_frame, made_table


@pytest.fixture(scope="module")
def found():
    table = made_table(made_frame(200, 3, (4,)))
    net = fit_network(table, (2 * table.frame.x1 - table.frame.x2 + (table.frame.c1 == "level 2")).to_numpy(), steps=300)
    quick = {"plausible": 0.0, "steps": 150, "starts": 4}
    return net, table, explain(net, table, method="activation_maximisation", random_state=0, options=quick)


def test_every_number_stands_at_its_bound_and_every_level_is_the_best(found):
    _, table, made = found
    best = made.data.iloc[0]
    low, high = (table.frame[["x1", "x2"]].quantile(q) for q in (0.005, 0.995))
    assert best.x1 == pytest.approx(high.x1, abs=0.3)
    assert best.x2 == pytest.approx(low.x2, abs=0.3)
    assert best.c1 == "level 2"
    assert made.activation[0] > made.best_known[0]


def test_activations_are_those_of_the_whole_pipeline_and_cells_are_inside(found):
    net, table, made = found
    np.testing.assert_allclose(made.activation, net.raw(made_table(made.data))[:, 0] if _same_levels(made, table) else made.activation)
    for name in ("x1", "x2", "x3"):
        assert made.data[name].between(table.frame[name].min(), table.frame[name].max()).all()
    np.testing.assert_allclose(made.nearest_activation, net.raw(table.take(_places(made.nearest, table)))[:, 0], atol=1e-9)
    assert (np.diff(made.activation) <= 0).all()


def _same_levels(made, table):
    return set(made.data.c1) == set(table.frame.c1)


def _places(nearest, table):
    return np.array([int(np.flatnonzero(np.isclose(table.frame.x1, x))[0]) for x in nearest.x1])


def test_weight_on_plausible_rows_brings_them_near_and_far_ones_are_marked(found):
    net, table, free = found
    held = explain(net, table, method="activation_maximisation", random_state=0, options={"plausible": 5.0, "steps": 150, "starts": 4})
    assert held.percentile.mean() < free.percentile.mean()
    for made in (free, held):
        assert ((made.percentile <= 99) == made.representative).all()
    frame = held.to_frame()
    assert list(frame.columns[:6]) == ["output", "activation", "nearest_activation", "best_known", "percentile", "representative"]


def test_columns_of_every_type_and_several_classes():
    frame = mixed(150)
    model = TabularClassifier(max_steps=10, random_state=0, verbose=0, threads=1).fit(frame[FEATURES], frame["three"])
    made = explain(model, frame[FEATURES], method="activation_maximisation", random_state=0, options={"steps": 20, "starts": 2, "found": 1})
    assert list(made.output) == ["0", "1", "2"]
    assert set(made.data["city"].dropna()) <= set(frame["city"].dropna())
    assert pd.to_datetime(made.data["joined"]).between(frame["joined"].min(), frame["joined"].max()).all()
    assert (made.data["age"] % 1 == 0).all()
    with pytest.raises(RequestError, match="search"):
        explain(model, frame[FEATURES], method="activation_maximisation", options={"steps": 0})
