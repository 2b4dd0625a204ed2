"""Answers do not depend on neighbours, order or how many rows are asked."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pellucid.nn.cells import Cells, CellSizes
from pellucid.nn.stack import StackedNet
from pellucid.nn.table_net import TableNet
from pellucid.training.predict import predict_in_chunks


def _cells(n: int) -> Cells:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(n, 6, generator=g)
    return Cells(x, torch.zeros_like(x, dtype=torch.bool), torch.randint(0, 9, (n, 2), generator=g), torch.zeros(n, 0, 0))


SIZES = CellSizes(8, tuple(np.linspace(-2, 2, 20, dtype=np.float32) for _ in range(6)), (9, 9), 0, tuple(range(6)), (6, 7), ())


@pytest.mark.parametrize("name", ["tabm", "mlp", "ft_transformer", "stack"])
def test_any_subset_in_any_order_gives_the_same_bits(name: str) -> None:
    options = {"ft_transformer": {"blocks": 2, "heads": 2}}.get(name, {"width": 96})
    nets = [TableNet(SIZES, "mlp" if name == "stack" else name, 3, d_token=16, options=options, seed=s).eval() for s in range(2)]
    net = StackedNet(nets).eval() if name == "stack" else nets[0]
    cells = _cells(700)
    whole = predict_in_chunks(net, cells, 256)
    assert torch.isfinite(whole).all()
    order = torch.randperm(700, generator=torch.Generator().manual_seed(1))
    for rows in (order, order[:1], order[:57], torch.arange(300, 700)):
        assert torch.equal(predict_in_chunks(net, cells.take(rows), 256), whole[rows])


def test_no_rows_and_many_rows() -> None:
    net = TableNet(SIZES, "mlp", 3, d_token=16).eval()
    assert predict_in_chunks(net, _cells(0)).shape == (0, 1, 3)
    assert predict_in_chunks(net, _cells(5), 2).shape == (5, 1, 3)
