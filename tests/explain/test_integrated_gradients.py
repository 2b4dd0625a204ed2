"""Integrated gradients close, and are blind to what equals the reference."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.explain import explain
from pellucid.probe.masker import typical_row
from pellucid.testing.predictors import fit_network, made_frame, made_table


@pytest.fixture(scope="module")
def setting():
    table = made_table(made_frame(60, 3, (3, 2), missing=0.1))
    return fit_network(table, np.array(["a", "b", "c"])[np.arange(60) % 3], steps=60), table


def test_the_sum_closes_and_the_reference_is_stated(setting):
    net, table = setting
    answer = explain(net, table, method="integrated_gradients", background=table)
    start = net.raw(typical_row(table))
    np.testing.assert_allclose(answer.base_values, np.repeat(start, 60, axis=0), atol=1e-9)
    reach = np.maximum(np.abs(answer.predictions - answer.base_values), 0.1 * np.ptp(net.raw(table), axis=0))
    assert (np.abs(answer.gap) <= 1e-3 * reach + 1e-9).all()
    assert any("typical row" in c for c in answer.record.caveats)
    assert answer.record.settings["path"] == "tokens"


def test_cells_equal_to_the_reference_get_exactly_nothing(setting):
    net, table = setting
    answer = explain(net, table, method="integrated_gradients", background=table.take([3]))
    assert (answer.values[3] == 0).all()
    same = (table.frame["c1"] == table.frame["c1"].iloc[3]).to_numpy()
    assert (answer.values[same, 3] == 0).all()
    assert np.abs(answer.values[~same, 3]).max() > 0


def test_more_precision_closes_further(setting):
    net, table = setting
    loose, tight = (explain(net, table, method="integrated_gradients", background=table, precision=p) for p in (0.1, 1e-4))
    assert np.abs(tight.gap).max() < np.abs(loose.gap).max()
    assert tight.n_calls > loose.n_calls
