"""Relevance against its recursion written out, and guided gradients against their definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from pellucid.errors import RequestError
from pellucid.nn.gradients import token_gradients
from pellucid.nn.gradients.relevance import guided, relevance

TOKENS = torch.randn(9, 3, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def network(bias: bool) -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 7, bias), nn.ReLU(), nn.Linear(7, 5, bias), nn.ReLU(), nn.Linear(5, 2, bias)).double()


def test_without_biases_it_is_gradient_times_input_and_conserved():
    net = network(False)
    shares, output = relevance(net, TOKENS, epsilon=0.0)
    _, gradient = token_gradients(net, TOKENS)
    np.testing.assert_allclose(shares, (gradient * TOKENS[:, None]).sum(-1), atol=1e-12)
    np.testing.assert_allclose(shares.sum(-1), output, atol=1e-12)
    for rule in ("epsilon", "gamma"):
        made, output = relevance(net, TOKENS, rule)
        assert (made.sum(-1) - output).abs().max() <= 1e-4 * output.abs().max()


@pytest.mark.parametrize("gamma", [0.0, 0.25, 2.0])
def test_the_recursion_layer_by_layer_with_biases(gamma):
    net = network(True)
    first, second, third = net[1], net[3], net[5]
    x = TOKENS.flatten(1)
    h1 = torch.relu(first(x))
    h2 = torch.relu(second(h1))

    def down(a, layer, share):
        """Return each input's share; products of the sum's sign count more."""
        product = a[:, :, None] * layer.weight.T  # (N, I, J)
        z = product.sum(1, keepdim=True)
        same = torch.where(product * z > 0, product, torch.zeros(()).double())
        part = product + gamma * same
        carried = share[:, None] * z / (z + layer.bias)  # a bias keeps its own
        return (part / part.sum(1, keepdim=True) * carried).sum(2)

    for o in range(2):
        start = torch.zeros(9, 2, dtype=torch.float64)
        start[:, o] = third(h2)[:, o]
        r2 = down(h2, third, start)
        truth = down(x, first, down(h1, second, r2)).unflatten(1, (3, 2)).sum(2).detach()
        shares, _ = relevance(net, TOKENS, "gamma" if gamma else "epsilon", 0.0, gamma)
        np.testing.assert_allclose(shares[:, o], truth, atol=1e-9)


def test_attention_hands_all_to_the_values_and_norms_to_the_entries():
    torch.manual_seed(3)
    matrix = torch.randn(2, 2, dtype=torch.float64)

    def net(t):
        mixed = functional.scaled_dot_product_attention(t @ matrix, t, t)
        return functional.layer_norm(mixed.flatten(1), (6,))[:, :2] * 3.0

    shares, output = relevance(net, TOKENS)
    assert (shares.sum(-1) - output).abs().max() < 1e-5  # values and centred entries only: nothing stays behind
    product, value = relevance(lambda t: (t[:, 0] * t[:, 1])[:, :1], TOKENS)
    np.testing.assert_allclose(product[:, 0, :2], value / 2 * torch.ones(2), atol=1e-12)


def test_an_unknown_rule_is_refused():
    with pytest.raises(RequestError, match="rule"):
        relevance(network(False), TOKENS, "alpha")


def test_guided_gradients_hand_on_what_is_positive():
    net = network(True)
    values, gradient = guided(net, TOKENS)
    x = TOKENS.flatten(1)
    a1 = net[1](x)
    a2 = net[3](torch.relu(a1))
    np.testing.assert_allclose(values, net(TOKENS).detach())
    for o in range(2):
        m = torch.relu(net[5].weight[o].expand(9, -1)) * (a2 > 0)
        m = torch.relu(m @ net[3].weight) * (a1 > 0)
        np.testing.assert_allclose(gradient[:, o].flatten(1), (m @ net[1].weight).detach(), atol=1e-12)
    with pytest.raises(RequestError, match="no ReLU"):
        guided(lambda t: torch.tanh(t).sum((1, 2))[:, None], TOKENS)
