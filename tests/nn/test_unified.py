"""One table that all columns' levels are hashed into."""

from __future__ import annotations

import pytest
import torch

from pellucid.nn.embeddings.unified import UnifiedTable
from pellucid.nn.hashing import mixed_bits

MASK = (1 << 64) - 1


def _reference(x: int) -> int:
    """The finaliser of splitmix64 in whole numbers without a sign."""
    x = x * 0x9E3779B97F4A7C15 & MASK
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & MASK
    return x ^ (x >> 31)


def test_the_hash_equals_its_definition() -> None:
    at = torch.tensor([0, 1, 2, 12345, -7, 2**62])
    assert [v & MASK for v in mixed_bits(at).tolist()] == [_reference(v & MASK) for v in at.tolist()]


def test_buckets_are_used_evenly() -> None:
    table = UnifiedTable((100_000,), 8, buckets=256)
    at = table.places(torch.arange(100_000)[:, None])[:, 0, 0]
    counts = torch.bincount(at, minlength=256).float()
    # chi-square with 255 degrees of freedom: below 365 in all but one case of 100,000
    assert float(((counts - counts.mean()).square() / counts.mean()).sum()) < 365


def test_columns_and_chunks_are_salted_apart() -> None:
    table = UnifiedTable((6000, 6000), 8)
    at = table.places(torch.arange(2, 6000)[:, None].expand(-1, 2))
    for a, b in (((0, 0), (1, 0)), ((0, 0), (0, 1)), ((0, 1), (0, 2))):
        same = (at[:, a[0], a[1]] == at[:, b[0], b[1]]).float().mean()
        assert float(same) < 20 / table.buckets + 0.001


def test_vectors_equal_their_definition() -> None:
    table = UnifiedTable((60, 10), 6, 0.0, buckets=64, width=4).eval()
    codes = torch.tensor([[5, 3], [0, 1], [59, 9]])
    out, at = table(codes), table.places(codes)
    own = torch.cat([table.table[at[0, 0, i]] for i in range(6)]) @ table.weight[0]
    torch.testing.assert_close(out[0, 0], own)
    # a column of few levels reads one chunk
    torch.testing.assert_close(out[0, 1], table.table[at[0, 1, 0]] @ table.weight[1, :4])
    assert torch.equal(out[1, 0], table.special[0, 0])
    assert torch.equal(out[1, 1], table.special[1, 1])


def test_a_large_column_costs_a_tenth_and_levels_stay_apart() -> None:
    size, d = 100_002, 24
    table = UnifiedTable((size, 12), d)
    assert sum(p.numel() for p in table.parameters()) < 0.1 * size * d
    some, whole = table.collisions()[0]
    assert some > 0.9  # one chunk alone is shared
    assert whole < 1e-3  # all chunks hardly ever


def test_collisions_equal_a_count_by_hand() -> None:
    table = UnifiedTable((30,), 8, buckets=16)
    at = table.places(torch.arange(2, 30)[:, None])[:, 0, 0].tolist()
    shared = sum(at.count(v) > 1 for v in at) / 28
    assert table.collisions()[0] == pytest.approx((shared, shared), rel=1e-6)


def test_a_level_beyond_those_of_training_needs_no_new_size() -> None:
    table = UnifiedTable((50,), 8).eval()
    assert torch.isfinite(table(torch.tensor([[10_000]]))).all()


def test_levels_start_near_each_other_whatever_their_number_of_chunks() -> None:
    torch.manual_seed(0)
    table = UnifiedTable((6000, 30), 64).eval()
    size = table(torch.randint(2, 30, (500, 2))).square().mean((0, 2))
    # a tenth of U(-1, 1), through a map that halves the variance: 0.01 * 1/3 * 1/2
    assert ((size > 0.0008) & (size < 0.0035)).all()
