"""Differences to a reference: the sum closes for every operation, values equal closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from pellucid.errors import RequestError
from pellucid.nn.gradients import integrated
from pellucid.nn.gradients.secants import contributions
from pellucid.nn.sparse import entmax15, sparsemax
from pellucid.nn.splines import b_spline, uniform_knots

KNOTS = uniform_knots(-3.0, 3.0, 4, 2).double()
TABLE = torch.randn(7, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def flat(t):
    return t.flatten(1)


def near(t):
    """Return what the two nearest of some rows say, by weights."""
    scores = -(flat(t)[:, None, :3] - TABLE).square().sum(2)
    at = scores.detach().topk(2, sorted=False).indices
    weights = scores.gather(1, at).softmax(1)
    return (weights[..., None] * torch.tanh(flat(t)[:, None, :3] - functional.embedding(at, TABLE)) * TABLE[at]).sum((1, 2))


def attention(t):
    return functional.scaled_dot_product_attention(t, t * 0.5, torch.tanh(t)).sum((1, 2))


FUNCTIONS = {
    "tanh": lambda t: torch.tanh(flat(t)).sum(1),
    "relu": lambda t: torch.relu(flat(t)).sum(1),
    "product": lambda t: flat(t).prod(1),
    "quotient": lambda t: (t[:, :, 0] / (1 + t[:, :, 1].square())).sum(1),
    "matrix product": lambda t: (t @ t.mT).relu().sum((1, 2)),
    "softmax": lambda t: (t.softmax(1) * torch.arange(8.0).view(4, 2)).sum((1, 2)),
    "log softmax": lambda t: functional.log_softmax(flat(t), 1)[:, 2],
    "log sum": lambda t: torch.logsumexp(t, (1, 2)),
    "layer norm": lambda t: (functional.layer_norm(t, (4, 2)) * torch.arange(8.0).view(4, 2)).sum((1, 2)),
    "rms norm": lambda t: (functional.rms_norm(flat(t), (8,)) * torch.arange(8.0)).sum(1),
    "batch norm": lambda t: functional.batch_norm(flat(t), torch.ones(8).double(), torch.full((8,), 2.0).double()).tanh().sum(1),
    "glu": lambda t: functional.glu(flat(t), 1).sum(1),
    "sparsemax": lambda t: (sparsemax(flat(t)) * torch.arange(8.0)).sum(1),
    "entmax": lambda t: (entmax15(flat(t)) * torch.arange(8.0)).sum(1),
    "largest": lambda t: flat(t).amax(1) + t.max(1).values.sum(1) - t.amin(1).sum(1),
    "larger of two": lambda t: torch.maximum(t[:, 0], t[:, 1]).sum(1) + torch.minimum(t[:, 2], 0.3 * t[:, 1]).sum(1),
    "where": lambda t: torch.where(t > 0.2, t, 0.1 * t.square()).sum((1, 2)),
    "compared": lambda t: torch.where((t[:, 0] < t[:, 1]) & (t[:, 2] >= 0), t[:, 2], t[:, 3]).sum(1),
    "filled": lambda t: (t * 2).masked_fill(t < 0, -0.5).sum((1, 2)),
    "steps": lambda t: (torch.floor(3 * t) + torch.round(t)).sum((1, 2)),
    "cut gradient": lambda t: (t + (torch.sign(t) - t).detach()).sum((1, 2)),
    "splines": lambda t: b_spline(torch.tanh(t), KNOTS, 2).square().sum((1, 2, 3)),
    "nearest rows": near,
    "attention": attention,
    "spread": lambda t: flat(t).std(1) + flat(t).norm(dim=1),
}


@pytest.fixture(scope="module")
def ends():
    draw = torch.Generator().manual_seed(1)
    return torch.randn(40, 4, 2, generator=draw, dtype=torch.float64), torch.randn(40, 4, 2, generator=draw, dtype=torch.float64)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_sum_closes_for(name, ends):
    function = FUNCTIONS[name]
    share, value, base = contributions(lambda t: function(t)[:, None], *ends)
    np.testing.assert_allclose(value[:, 0], function(ends[0]))
    limit = 1e-4 if name in ("spread", "product") else 1e-10  # averaged along a line
    off = (share.sum(-1) - (value - base)).abs().max() / (value - base).abs().max()
    assert off < limit
    assert share.abs().max() > 0
    assert torch.isfinite(share).all()


def test_a_ridge_function_is_that_of_integrated_gradients(ends):
    weights = torch.tensor([[1.0, -2.0], [0.5, 0.0], [3.0, 1.0], [-1.0, 0.2]], dtype=torch.float64)
    function = lambda t: torch.sigmoid((t * weights).sum((1, 2)))[:, None]  # noqa: E731
    share, value, base = contributions(function, *ends)
    moved = (weights * (ends[0] - ends[1])).sum(2)
    truth = moved * ((value - base) / moved.sum(1, keepdim=True))
    np.testing.assert_allclose(share[:, 0], truth, atol=1e-12)
    np.testing.assert_allclose(share, integrated(function, *ends, 64)[0], atol=1e-9)


def test_a_linear_network_is_that_of_integrated_gradients(ends):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(8, 5), nn.Linear(5, 3)).double()
    np.testing.assert_allclose(contributions(net, *ends)[0], integrated(net, *ends, 1)[0], atol=1e-12)


def test_a_column_equal_to_the_reference_or_unread_gets_exactly_nothing(ends):
    tokens, reference = ends[0].clone(), ends[1]
    tokens[:, 1] = reference[:, 1]
    share, *_ = contributions(lambda t: functional.layer_norm(t[:, :3].flatten(1), (6,))[:, :1], tokens, reference)
    assert (share[:, :, [1, 3]] == 0).all()
    assert (share[:, :, [0, 2]] != 0).any()


def test_it_is_complete_in_single_precision_and_by_rows(ends):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(8, 32), nn.GELU(), nn.LayerNorm(32), nn.Linear(32, 2))
    tokens, reference = (t.float() for t in ends)
    share, value, base = contributions(net, tokens, reference)
    assert (share.sum(-1) - (value - base)).abs().max() < 1e-5
    torch.testing.assert_close(contributions(net, tokens, reference, rows=7)[0], share, rtol=1e-4, atol=1e-6)


def test_the_largest_entry_is_shared_by_how_long_each_leads():
    # along the line the first leads for a quarter of the way, the second for the rest
    tokens, reference = torch.tensor([[[0.0], [3.0]]]), torch.tensor([[[1.0], [0.0]]])
    share, *_ = contributions(lambda t: t.amax(1), tokens, reference)
    np.testing.assert_allclose(share[0, 0], [-0.25, 2.25], atol=1e-6)


def test_another_way_through_the_network_and_a_missing_rule_are_named(ends):
    def forked(t):
        return (torch.tanh(t) if float(t.sum()) > float(ends[1].sum()) else t * 2).sum((1, 2))[:, None]

    with pytest.raises(RequestError, match="another way"):
        contributions(forked, *ends)
    with pytest.raises(RequestError, match="rule"):
        contributions(lambda t: (t.flatten(1).sort(1).values.sign() * torch.arange(8.0)).flatten(1).cumsum(1)[:, :1] * 0 + _jumps(t), *ends)


def _jumps(t):
    """Return a sorted list's place in a table: no derivative, no rule."""
    return TABLE[t.flatten(1).sort(1).indices[:, 0] % 7, :1]
