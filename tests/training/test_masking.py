"""Learning by hiding: what columns tell of each other is found, and the caller's random numbers are left alone."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from pellucid.encode.codebook import Codebook
from pellucid.nn.masked_autoencoder import MaskedAutoencoder, RowSizes
from pellucid.testing.predictors import made_table
from pellucid.training.masking import MaskedSettings, RowCells, fit_masked


def coded(n: int = 800) -> tuple[Codebook, RowCells]:
    draw = np.random.default_rng(0)
    x = draw.normal(size=n)
    table = made_table({"x": x, "twin": x + 0.05 * draw.normal(size=n), "other": draw.normal(size=n)})
    book = Codebook.fit(table, table.columns)
    read = book.read(table)
    return book, RowCells(*(torch.as_tensor(a) for a in (read.state, read.lo, read.hi, read.share)))


def network(book: Codebook) -> MaskedAutoencoder:
    torch.manual_seed(0)
    joined = [np.concatenate([getattr(c, name) for c in book.columns]) for name in ("slot_z", "state_z", "counts")]
    return MaskedAutoencoder(RowSizes(tuple(len(c.slot_z) for c in book.columns), tuple(len(c.counts) for c in book.columns), *joined), 64)


@pytest.fixture(scope="module")
def fitted() -> tuple[MaskedAutoencoder, RowCells, dict]:
    book, cells = coded()
    net = network(book)
    return net, cells, fit_masked(net, cells, np.arange(700), np.arange(700, 800), MaskedSettings(steps=150), 0)


def test_what_columns_tell_of_each_other_is_learned(fitted):
    net, cells, found = fitted
    assert found["steps"] == 150
    assert found["loss"] < found["trivial"] - 0.2
    held = cells.take(slice(700, 800))
    shown = torch.tensor([[True, False, True]])
    with torch.no_grad():
        surprise = net.surprise(net.logits(net.hidden(net.enter(held.lo, held.hi, held.share, shown))), held.state)[:, 1].mean()
        alone = net.surprise(net.logits(net.hidden(net.enter(held.lo, held.hi, held.share, shown & False))), held.state)[:, 1].mean()
    assert surprise < alone - 1, "the twin is not told from the column it copies"


def test_the_same_seed_gives_the_same_bits_and_a_deadline_ends_it(fitted):
    book, cells = coded()
    made = []
    for _ in range(2):
        net = network(book)
        fit_masked(net, cells, np.arange(700), np.arange(700, 800), MaskedSettings(steps=10), 5)
        made.append(net.out.detach().clone())
    assert torch.equal(*made)
    found = fit_masked(network(book), cells, np.arange(700), np.arange(700, 800), MaskedSettings(steps=10_000), 5, time.monotonic() + 0.5)
    assert found["steps"] < 10_000


def test_without_rows_to_judge_by_the_last_state_is_kept():
    book, cells = coded(100)
    net = network(book)
    before = net.out.detach().clone()
    found = fit_masked(net, cells, np.arange(100), np.zeros(0, np.int64), MaskedSettings(steps=5), 0)
    assert np.isnan(found["loss"])
    assert not torch.equal(before, net.out)
