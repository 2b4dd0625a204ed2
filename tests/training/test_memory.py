"""Which rows a network keeps."""

from __future__ import annotations

import numpy as np
import torch

from pellucid.nn.cells import Cells, CellSizes
from pellucid.nn.table_net import TableNet
from pellucid.training.memory import fill_banks
from pellucid.training.objectives import classification, regression

SIZES = CellSizes(2, (np.array([0.0, 1.0], np.float32),) * 2, (), 0, (0, 1), (), ())


def _cells(n: int) -> Cells:
    numbers = torch.arange(2.0 * n).view(n, 2)
    return Cells(numbers, torch.zeros(n, 2, dtype=torch.bool), torch.zeros(n, 0, dtype=torch.int64), torch.zeros(n, 0, 0))


def test_every_network_keeps_rows_of_its_own_part_with_their_answers() -> None:
    nets = [TableNet(SIZES, "prototype", 1, d_token=4, options={"prototypes": 20}) for _ in range(2)]
    y = np.arange(60) % 2
    parts = [np.arange(0, 40), np.arange(25, 60)]
    objective = classification(2)
    fill_banks(nets, _cells(60), objective.prepare(y), parts, objective, 0)
    for net, part in zip(nets, parts):
        rows = net.bank.rows.numpy()
        assert set(rows) <= set(part)
        assert len(set(rows)) == 20
        assert torch.equal(net.bank.numbers, _cells(60).numbers[rows])
        assert net.bank.answers.argmax(1).tolist() == y[rows].tolist()
        assert net.bank.answers.sum(0).tolist() == [10, 10]
        assert net.bank.of_classes


def test_numbers_are_kept_standardised_and_as_many_as_the_smallest_part_has() -> None:
    nets = [TableNet(SIZES, "retrieval", 1, d_token=4) for _ in range(2)]
    y = np.linspace(0, 10, 30)
    objective = regression(y)
    fill_banks(nets, _cells(30), objective.prepare(y), [np.arange(10), np.arange(10, 30)], objective, 0)
    assert [net.bank.n_rows for net in nets] == [10, 10]
    assert not nets[0].bank.of_classes
    np.testing.assert_allclose(nets[0].bank.answers[:, 0], (y[:10] - y.mean()) / y.std(), rtol=1e-5)


def test_networks_that_keep_nothing_are_left_alone() -> None:
    net = TableNet(SIZES, "mlp", 1, d_token=4)
    fill_banks([net], _cells(5), torch.zeros(5, 1), [np.arange(5)], regression(np.arange(5.0)), 0)
    assert net.bank is None
