"""Integrated gradients close, and are blind to what equals the reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pellucid.explain import explain
from pellucid.probe.masker import typical_row
from pellucid.testing.predictors import TinyNetwork, fit_network, made_frame, made_table


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


class _Steps(TinyNetwork):
    """Steps of a and b multiplied, a step of c beside; each steps where the path from the reference has gone so far."""

    def from_tokens(self, tokens):
        a, b, c = ((tokens[:, j, 0] - self.start[j]) / (self.end - self.start)[j] > self.when[j] for j in range(3))
        return (2.0 * a * b + 1.0 * c + 0.0 * tokens.sum((1, 2)))[:, None]


@pytest.mark.parametrize(("apart", "truth"), [(0.0, [1, 1, 1]), (3e-5, [0, 2, 1]), (3e-3, [0, 2, 1]), (-3e-3, [2, 0, 1])])
def test_jumps_that_fall_close_together_are_told_apart(apart, truth):
    """Whoever steps second moves a product of steps; a piece of the path that held both gave each a half, and stated no error."""
    table = made_table(made_frame(40, 3, ()))
    net = _Steps(table)
    net.start, net.end = (net.tokens(t)[0, :, 0] for t in (typical_row(table), table.take([5])))
    net.when = torch.tensor([0.3001, 0.3001 + apart, 0.7003])
    made = explain(net, table.take([5]), method="integrated_gradients", background=table)
    np.testing.assert_allclose(made.values[0], truth, atol=1e-6)
    np.testing.assert_allclose(made.error, 0, atol=1e-6)
    assert any("jumps" in c for c in made.record.caveats)
