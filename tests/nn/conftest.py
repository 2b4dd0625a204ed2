"""A small mixed table: numbers, levels, a vector, and a date that owns a number slot and a vector slot."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pellucid.nn.cells import Cells, CellSizes


def _sizes() -> CellSizes:
    bins = (np.linspace(-2, 2, 9), np.array([-1.0, 1.0]), np.array([-1.0, -0.5, 0.7, 2.0]))
    return CellSizes(5, tuple(b.astype(np.float32) for b in bins), (5, 4), 6, (0, 2, 4), (1, 3), (4,))


def _cells(n: int = 23, seed: int = 0) -> Cells:
    g = torch.Generator().manual_seed(seed)
    numbers = torch.randn(n, 3, generator=g)
    missing = torch.rand(n, 3, generator=g) < 0.2
    codes = torch.stack([torch.randint(0, 5, (n,), generator=g), torch.randint(0, 4, (n,), generator=g)], 1)
    return Cells(numbers.masked_fill(missing, 0), missing, codes, torch.randn(n, 1, 6, generator=g))


@pytest.fixture
def sizes() -> CellSizes:
    return _sizes()


@pytest.fixture
def cells() -> Cells:
    return _cells()
