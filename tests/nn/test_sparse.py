"""Sparsemax and entmax: against bisection, finite differences, ties, and batching over networks."""

from __future__ import annotations

import pytest
import torch

from pellucid.nn.sparse import entmax, entmax15, sparsemax, sparsemax_by_support


def _bisected(z: torch.Tensor, alpha: float) -> torch.Tensor:
    """Return alpha-entmax by 200 halvings of the threshold, in float64."""
    x = (alpha - 1) * z.double()
    low, high = x.amax(-1, keepdim=True) - 1, x.amax(-1, keepdim=True)
    for _ in range(200):
        middle = (low + high) / 2
        total = torch.relu(x - middle).pow(1 / (alpha - 1)).sum(-1, keepdim=True)
        low, high = torch.where(total > 1, middle, low), torch.where(total > 1, high, middle)
    return torch.relu(x - low).pow(1 / (alpha - 1))


@pytest.mark.parametrize(("function", "alpha"), [(entmax15, 1.5), (sparsemax, 2.0)])
@pytest.mark.parametrize("d", [1, 2, 14, 100])
def test_the_exact_forms_equal_bisection(function, alpha, d) -> None:
    z = 3 * torch.randn(50, d, generator=torch.Generator().manual_seed(d))
    out = function(z)
    torch.testing.assert_close(out.double(), _bisected(z, alpha), atol=2e-6, rtol=0)
    torch.testing.assert_close(out.sum(-1), torch.ones(50), atol=1e-6, rtol=0)
    assert (out >= 0).all()
    assert torch.equal(out, entmax(z, alpha))


@pytest.mark.parametrize("function", [entmax15, sparsemax])
def test_equal_scores_get_equal_weights_and_far_scores_exactly_none(function) -> None:
    torch.testing.assert_close(function(torch.full((3, 7), 2.5)), torch.full((3, 7), 1 / 7))
    tied = function(torch.tensor([[1.0, 1.0, -9.0]]))
    torch.testing.assert_close(tied, torch.tensor([[0.5, 0.5, 0.0]]))
    assert tied[0, 2] == 0


@pytest.mark.parametrize("function", [entmax15, sparsemax])
def test_gradients_equal_finite_differences(function) -> None:
    z = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    assert torch.autograd.gradcheck(function, (z,), eps=1e-6, atol=1e-5)


def test_batching_over_networks_changes_nothing() -> None:
    z = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(2))
    for function in (entmax15, sparsemax):
        torch.testing.assert_close(torch.func.vmap(function)(z), function(z))


def test_the_published_peer_agrees() -> None:
    theirs = pytest.importorskip("pytorch_tabnet.sparsemax")
    z = torch.randn(40, 12, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(sparsemax(z), theirs.sparsemax(z.clone(), -1), atol=1e-6, rtol=0)
    torch.testing.assert_close(entmax15(z), theirs.entmax15(z.clone(), -1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("d", [1, 2, 14, 100])
def test_sparsemax_without_sorting_is_the_same(d) -> None:
    g = torch.Generator().manual_seed(d)
    for scale in (0.1, 3.0, 100.0):
        z = scale * torch.randn(60, d, generator=g)
        z[:20] = (z[:20] / scale).round()  # ties
        z[0] = -1e9  # columns that may not be chosen
        z[1, 1:] = -1e9
        out = sparsemax_by_support(z.T.contiguous().T)
        torch.testing.assert_close(out.double(), _bisected(z, 2.0), atol=1e-5 if scale > 10 else 2e-6, rtol=0)
        assert torch.equal(out > 0, sparsemax(z) > 0)
