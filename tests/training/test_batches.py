"""Every training row once an epoch, for every fold."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.training.batches import Batches, stop_rows


@pytest.mark.parametrize(("lengths", "batch"), [((100,), 32), ((7,), 256), ((20, 21, 20), 8), ((1, 3), 2)])
def test_every_row_once_per_epoch(lengths, batch) -> None:
    train = [np.arange(n) + 1000 * g for g, n in enumerate(lengths)]
    batches = Batches(train, batch, 0)
    for epoch in range(2):
        steps = [batches.rows(epoch * batches.per_epoch + i) for i in range(batches.per_epoch)]
        rows, valid = (np.concatenate(s, 1) for s in zip(*steps))
        for g, expected in enumerate(train):
            assert sorted(rows[g][valid[g]]) == sorted(expected)
            assert set(rows[g]) <= set(expected)
    assert all(s[0].shape == (len(lengths), batches.size) for s in steps)


def test_the_order_depends_on_seed_and_epoch_only() -> None:
    train = [np.arange(50)]
    one, two = Batches(train, 10, 3), Batches(train, 10, 3)
    first = [one.rows(i)[0] for i in range(12)]
    assert np.array_equal(two.rows(11)[0], first[11])
    assert not np.array_equal(first[0], first[5])
    assert not np.array_equal(Batches(train, 10, 4).rows(0)[0], first[0])


def test_stop_rows_of_unequal_length() -> None:
    rows, valid = stop_rows([np.array([4, 5]), np.array([6])])
    assert rows[valid].tolist() == [4, 5, 6]
    assert stop_rows([np.array([], int)])[0].shape == (1, 0)
