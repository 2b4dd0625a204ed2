"""Training with hidden columns: hiding tests agree with retraining, and rows with hidden columns are not out of distribution.

The measure of the latter is that of Madsen, Reddy, Chandar 2024, arXiv:2310.07819: each hidden unit's place among its values on held-out
rows, joined over units by Simes' rule.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from test_regularizers import fitted, planted

from pellucid.nn.cells import Cells, CellSizes
from pellucid.nn.regularizers.augment import MaskColumns
from pellucid.nn.table_net import TableNet
from pellucid.training.objectives import classification

N, COLUMNS = 4000, 7
HELD = slice(N * 4 // 5, None)
LONG = {"steps": 400, "batch": 128}
MASKED = (("mask_columns", ()),)


@cache
def table() -> tuple[Cells, CellSizes, np.ndarray]:
    """Seven numbers of falling weight; the second is nearly the first, so that either can be spared."""
    cells, sizes, _ = planted(N, COLUMNS)
    numbers = cells.numbers.clone()
    numbers[:, 1] = numbers[:, 0] + 0.3 * numbers[:, 1]
    score = (numbers.double().numpy() * [1.2, 1.2, 1.6, 1.2, 0.85, 0.55, 0.3]).sum(1)
    return cells._replace(numbers=numbers), sizes, np.random.default_rng(1).random(N) < 1 / (1 + np.exp(-score))


def without(*columns: int) -> Cells:
    cells, sizes, _ = table()
    hidden = torch.zeros(N, COLUMNS, dtype=torch.bool)
    hidden[:, list(columns)] = True
    return cells.without(hidden, sizes)


def loss(net: TableNet, cells: Cells) -> float:
    target = torch.from_numpy(table()[2].astype(np.int64))
    with torch.no_grad():
        return float(classification(2).losses(net(cells), target)[HELD].mean())


@cache
def trained(masking: bool) -> TableNet:
    cells, sizes, y = table()
    return fitted(cells, sizes, y, MASKED if masking else (), **LONG).net


def rises(net: TableNet) -> np.ndarray:
    """Return how far the loss rises without each column."""
    return np.array([loss(net, without(j)) for j in range(COLUMNS)]) - loss(net, table()[0])


@pytest.mark.long
def test_hiding_a_column_agrees_with_retraining_without_it() -> None:
    _, sizes, y = table()
    retrained = np.array([loss(fitted(without(j), sizes, y, **LONG).net, without(j)) for j in range(COLUMNS)])
    truth = retrained - loss(trained(False), table()[0])
    agreed = {masking: spearmanr(rises(trained(masking)), truth)[0] for masking in (False, True)}
    assert agreed[True] > 0.8
    assert agreed[True] > agreed[False]
    # the copy can be spared: who never saw a gap leans on it, who learned with gaps does not
    assert rises(trained(True))[1] < 0.7 * rises(trained(False))[1]


def test_a_whole_row_is_answered_as_well() -> None:
    assert loss(trained(True), table()[0]) < loss(trained(False), table()[0]) + 0.005


def rejected(net: TableNet, usual: Cells, asked: Cells) -> float:
    """Return the share of the held-out rows of ``asked`` whose hidden state is stranger than 95 % of those of ``usual``."""
    with torch.no_grad():
        known, other = (net.hidden(c)[HELD, 0].double().numpy() for c in (usual, asked))
    half = len(known) // 2

    def strangeness(rows: np.ndarray) -> np.ndarray:
        place = np.stack([np.searchsorted(np.sort(known[:half, i]), rows[:, i], "right") for i in range(rows.shape[1])], 1) / half
        p = np.sort(np.clip(2 * np.minimum(place, 1 - place), 1 / half, 1), 1)
        return (p * rows.shape[1] / np.arange(1, rows.shape[1] + 1)).min(1)

    return float((strangeness(other) < np.quantile(strangeness(known[half:]), 0.05)).mean())


def test_rows_with_hidden_columns_are_in_the_distribution_of_a_network_that_learned_with_them() -> None:
    cells, _, _ = table()
    torch.manual_seed(0)
    net = trained(True)
    usual = MaskColumns(0.5, share=0.5).change(net, cells, None)
    for columns in ((2,), (2, 3), (0, 2, 3)):
        assert rejected(net, usual, without(*columns)) < 0.08
    # the measure can tell: against whole rows alone the same rows are strange
    assert rejected(net, cells, without(0, 2, 3)) > 0.15
