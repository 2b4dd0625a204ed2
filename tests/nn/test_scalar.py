"""Numbers as they are."""

from __future__ import annotations

import numpy as np
import torch

from pellucid.nn.embeddings.scalar import Plain, Stack

BINS = [np.array([0.0, 1.0])] * 2
X = torch.tensor([[3.75, -1.0], [0.0, 2.0]])
MISSING = torch.tensor([[False, False], [True, False]])


def test_the_number_comes_first_and_zeros_follow() -> None:
    layer = Plain(BINS, 3)
    out = layer(X, MISSING)
    assert out[0].tolist() == [[3.75, 0, 0], [-1.0, 0, 0]]
    layer.gap.data[:] = torch.tensor([0.5, 0.7])
    assert layer(X, MISSING)[1].tolist() == [[0.5, 0, 0], [2.0, 0, 0]]


def test_width_one_is_the_number_alone() -> None:
    assert torch.equal(Plain(BINS, 1)(X, MISSING)[..., 0], X)


def test_the_stack_repeats_the_number_and_nothing_else() -> None:
    layer = Stack(BINS, 3)
    assert layer(X, MISSING)[0].tolist() == [[3.75] * 3, [-1.0] * 3]
    assert sum(p.numel() for p in layer.parameters()) == 2  # no information but what stands for a gap
