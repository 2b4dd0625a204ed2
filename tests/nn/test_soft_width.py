"""Gates that learn how wide a column must be."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from pellucid import TabularRegressor
from pellucid.nn.embeddings import CellEmbedding
from pellucid.nn.embeddings.soft_width import SoftWidth
from pellucid.nn.table_net import TableNet


def test_gates_lie_between_zero_and_one_and_reach_both_ends() -> None:
    layer = SoftWidth(3, 4).eval()
    layer.theta.data[0] = -20.0
    layer.theta.data[1] = 20.0
    assert layer.gates()[0].eq(0).all()
    assert layer.gates()[1].eq(1).all()
    x = torch.randn(5, 3, 4)
    torch.testing.assert_close(layer(x), x * layer.gates())
    assert layer.widths().tolist() == [0, 4, 4]


def test_the_price_is_the_chance_that_a_drawn_gate_is_open() -> None:
    torch.manual_seed(0)
    layer = SoftWidth(1, 1, price=1.0).train()
    for theta in (-2.0, 0.0, 3.0):
        layer.theta.data[:] = theta / layer.rate
        share = (layer(torch.ones(20_000, 1, 1)) != 0).float().mean().detach()
        assert abs(float(share) - float(layer.penalty().detach())) < 0.018  # five standard errors


def test_what_is_pruned_stays_shut() -> None:
    layer = SoftWidth(2, 3).train()
    layer.theta.data[0] = -20.0
    assert layer.prune().tolist() == [[False] * 3, [True] * 3]
    layer.theta.data[:] = 20.0
    assert layer(torch.ones(4, 2, 3))[:, 0].eq(0).all()
    assert layer.eval().widths().tolist() == [0, 3]


def test_the_price_is_part_of_the_loss(sizes, cells) -> None:
    net = TableNet(sizes, "mlp", 1, d_token=6, embedding={"soft_width": {"price": 0.5}})
    assert not net.plain
    learned = net.learn(cells)
    torch.testing.assert_close(learned.penalty, net.embedding.width.penalty().expand(23))
    assert CellEmbedding(sizes, 6).width is None


@pytest.mark.long
def test_the_column_of_noise_is_narrower_than_that_of_the_signal() -> None:
    draw = np.random.default_rng(0)
    n = 3000
    frame = pd.DataFrame({"signal": draw.integers(0, 30, n).astype(str), "noise": draw.integers(0, 30, n).astype(str)})
    effect = draw.normal(size=30)
    y = effect[frame["signal"].astype(int)] + 0.3 * draw.normal(size=n)
    new = pd.DataFrame({"signal": draw.integers(0, 30, 500).astype(str), "noise": draw.integers(0, 30, 500).astype(str)})
    truth = effect[new["signal"].astype(int)]
    error = {}
    for soft in (False, True):
        model = TabularRegressor(backbone="mlp", embedding={"soft_width": soft}, random_state=0, verbose=0).fit(frame, y)
        error[soft] = float(np.mean((model.predict(new) - truth) ** 2))
    widths = model.engine_.net.embedding.width.widths()
    assert widths[1] < widths[0]
    assert int(widths.sum()) <= 0.7 * 2 * model.engine_.net.d_token
    assert error[True] < error[False] + 0.01
