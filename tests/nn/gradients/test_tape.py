"""The tape sees every operation, and ordinary derivatives sent back along it are ordinary gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pellucid.errors import RequestError
from pellucid.nn.gradients.relevance import derivative
from pellucid.nn.gradients.tape import back, record


class Mixed(nn.Module):
    """Attention, norms, gates, a running sum and a reuse of one module."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.joint, self.norm, self.last = nn.Linear(4, 12), nn.LayerNorm(4), nn.Linear(4, 4)

    def forward(self, t):
        q, k, v = self.joint(t).chunk(3, -1)
        t = t + nn.functional.scaled_dot_product_attention(q, k, v)
        t = self.last(nn.functional.silu(self.last(self.norm(t)))) * torch.sigmoid(t)
        return t.cumsum(1)[:, -1].relu_().clamp(max=2.0)[:, :2] / (1 + t.square().mean((1, 2)))[:, None]


def test_derivatives_along_the_tape_are_gradients():
    net, tokens = Mixed().double(), torch.randn(5, 3, 4, dtype=torch.float64)
    tape = record(net, tokens)
    torch.testing.assert_close(tape.output, net(tokens).detach())
    for o in range(2):
        start = torch.zeros_like(tape.output)
        start[:, o] = 1
        leaf = tokens.clone().requires_grad_(True)
        (truth,) = torch.autograd.grad(net(leaf)[:, o].sum(), leaf)
        torch.testing.assert_close(back(tape, start, lambda k, came: derivative(tape.steps[k], came)), truth)


def test_writing_into_a_tensor_is_read_as_a_new_result():
    def function(t):
        y = t.sum(2) * 2.0
        y.mul_(3.0).add_(t[:, :, 0])
        return y.sum(1, keepdim=True)

    tape = record(function, torch.ones(2, 3, 2))
    came = back(tape, torch.ones(2, 1), lambda k, c: derivative(tape.steps[k], c))
    assert came[0].tolist() == [[7.0, 6.0]] * 3


def test_a_view_read_after_its_base_was_written_is_refused():
    def function(t):
        y = t * 2.0
        z = y[:, 0]
        y.add_(1.0)
        return z

    with pytest.raises(RequestError, match="another view"):
        record(function, torch.ones(2, 3, 1))


def test_it_records_in_inference_mode_and_leaves_no_mode_behind():
    with torch.inference_mode():
        tape = record(lambda t: torch.relu(t).sum((1, 2))[:, None], torch.ones(2, 1, 1))
    assert tape.steps[0].name == "relu"
    assert torch.ones(1, requires_grad=True).exp().requires_grad
