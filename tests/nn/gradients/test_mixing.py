"""Attention weights found on the way to the output are the maps a network shows, and their slopes are derivatives."""

from __future__ import annotations

import pytest
import torch

from pellucid.errors import RequestError
from pellucid.nn.backbones.autoint import AutoInt
from pellucid.nn.backbones.ft_transformer import FTTransformer
from pellucid.nn.gradients.mixing import attention_slopes


@pytest.mark.parametrize(("make", "size", "heads"), [
    (lambda: FTTransformer(4, 8, blocks=2, heads=2), 5, 2), (lambda: AutoInt(4, 8, layers=2, heads=2, attention_width=8, deep=0), 4, 2),
])  # fmt: skip
def test_the_weights_are_the_maps(make, size, heads):
    torch.manual_seed(0)
    net, tokens = make().eval(), torch.randn(3, 4, 8)
    layers = attention_slopes(lambda t: net(t)[0][:, 0, :2], tokens, heads, size)
    maps = net.explained(tokens)[1]["attention"]
    assert len(layers) == maps.shape[1]
    for k, (weights, slope) in enumerate(layers):
        torch.testing.assert_close(weights, maps[:, k, :, : weights.shape[2]].detach(), atol=1e-6, rtol=1e-5)
        assert slope.shape == (3, 2, *weights.shape[1:])
        assert slope.abs().max() > 0


def test_the_slope_of_a_weight_is_what_its_value_adds():
    tokens = torch.randn(2, 3, 4)
    function = lambda t: ((t @ t.mT).softmax(-1) @ t).sum((1, 2))[:, None]  # noqa: E731
    ((weights, slope),) = attention_slopes(function, tokens, 1, 3)
    torch.testing.assert_close(weights[:, 0], (tokens @ tokens.mT).softmax(-1))
    torch.testing.assert_close(slope[:, 0, 0], tokens.sum(2)[:, None].expand(-1, 3, -1))


def test_a_network_without_attention_is_refused():
    with pytest.raises(RequestError, match="no attention"):
        attention_slopes(lambda t: t.sum((1, 2))[:, None], torch.ones(1, 2, 2), 1, 2)
