"""The network of the row model: what is hidden has no influence, probabilities are shares, what was never met has none."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pellucid.nn.masked_autoencoder import CellEntrance, MaskedAutoencoder, RowNetwork, RowSizes

SLOTS, STATES = (5, 4), (4, 3)
SLOT_Z = np.array([0, 0, -1.0, 0.1, 1, 0, 0, 0, 0])
STATE_Z = np.array([0, -0.5, 0.1, 1.0, 0, 0, 0])
COUNTS = np.array([0, 10.0, 20, 30, 5, 25, 30])


@pytest.fixture
def net() -> MaskedAutoencoder:
    torch.manual_seed(0)
    made = MaskedAutoencoder(RowSizes(SLOTS, STATES, SLOT_Z, STATE_Z, COUNTS), width=16).eval()
    with torch.no_grad():
        made.out.normal_()
        made.curves.normal_()
    return made


def cells(n: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    lo = torch.stack([torch.randint(0, s - 1, (n,), generator=generator) for s in SLOTS], 1)
    return lo, lo + 1, torch.rand(n, 2, generator=generator)


def test_a_hidden_cell_has_no_influence(net):
    lo, hi, share = cells()
    shown = torch.tensor([[True, False]])
    one = net.logits(net.hidden(net.enter(lo, hi, share, shown)))
    lo, hi, share = lo.clone(), hi.clone(), share.clone()
    lo[:, 1], hi[:, 1], share[:, 1] = 0, 2, 0.9
    assert torch.equal(one, net.logits(net.hidden(net.enter(lo, hi, share, shown))))
    assert not torch.equal(one, net.logits(net.hidden(net.enter(lo, hi, share, torch.ones(1, 2, dtype=torch.bool)))))


def test_the_probabilities_of_each_column_sum_to_one(net):
    lo, hi, share = cells()
    logits = net.logits(net.hidden(net.enter(lo, hi, share, torch.ones(1, 2, dtype=torch.bool))))
    total = torch.zeros(6, 2)
    for j, size in enumerate(STATES):
        for s in range(size):
            state = torch.full((6, 2), s).clamp(max=torch.tensor(STATES) - 1)
            total[:, j] += torch.exp(-net.surprise(logits, state))[:, j]
    torch.testing.assert_close(total, torch.ones(6, 2), atol=1e-5, rtol=0)
    assert torch.exp(-net.surprise(logits, torch.zeros(6, 2, dtype=torch.int64)))[:, 0].max() < 1e-12, "column 0 was never missing"


def test_it_begins_at_the_shares_of_the_columns():
    net = MaskedAutoencoder(RowSizes(SLOTS, STATES, SLOT_Z, STATE_Z, COUNTS), width=16).eval()
    logits = net.logits(net.hidden(net.enter(*cells(), torch.ones(1, 2, dtype=torch.bool))))
    p = torch.exp(-net.surprise(logits, torch.tensor([[2, 2]]).expand(6, 2)))
    torch.testing.assert_close(p, torch.tensor([[20 / 60, 30 / 60]]).expand(6, 2))


def test_one_cell_more_is_one_addition(net):
    lo, hi, share = cells()
    both = net.enter(lo, hi, share, torch.ones(1, 2, dtype=torch.bool))
    first = net.enter(lo, hi, share, torch.tensor([[True, False]]))
    matrix = net.entrance()
    own = torch.lerp(matrix[SLOTS[0] + lo[:, 1]], matrix[SLOTS[0] + hi[:, 1]], share[:, 1:])
    torch.testing.assert_close(both, first + own)


def test_the_same_slot_twice_counts_once():
    entrance = CellEntrance(SLOTS, SLOT_Z, 8)
    at = torch.tensor([[3, 2]])
    mixed = entrance.mixed(at, at, torch.tensor([[0.4, 0.0]]), torch.ones(1, 2, dtype=torch.bool))
    torch.testing.assert_close(mixed.sum(1), torch.tensor([2.0]))
    torch.testing.assert_close(mixed[0, 3], torch.tensor(1.0))


def test_a_straight_term_belongs_to_its_own_player():
    net = RowNetwork(SLOTS, SLOT_Z, (0, 1), outputs=2, width=8)
    with torch.no_grad():
        net.alone[SLOTS[0] :] = 1.0  # of column 1
    made = net(*cells())
    torch.testing.assert_close(made[:, 0], torch.zeros(6, 2))
    assert (made[:, 1] > 0).all()
