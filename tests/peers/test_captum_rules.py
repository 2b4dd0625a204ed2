"""Noise, DeepLIFT, relevance and guided gradients beside captum's, on networks that captum covers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from pellucid.explain.smooth import noisy_gradients
from pellucid.nn.gradients import token_gradients
from pellucid.nn.gradients.relevance import guided, relevance
from pellucid.nn.gradients.secants import contributions

pytestmark = pytest.mark.peer


def layers(act=nn.ReLU, bias=True):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16, bias), act(), nn.Linear(16, 12, bias), act(), nn.Linear(12, 3, bias)).double()


def network(act=nn.ReLU, bias=True):
    return nn.Sequential(nn.Flatten(), layers(act, bias))


TOKENS, REFERENCE = (torch.randn(8, 3, 2, generator=torch.Generator().manual_seed(k), dtype=torch.float64) for k in (1, 2))


@pytest.mark.parametrize("act", [nn.ReLU, nn.Tanh, nn.Sigmoid, nn.Softplus, nn.ELU])
def test_deep_lift(act):
    attr = pytest.importorskip("captum.attr")
    net = network(act)
    share, *_ = contributions(net, TOKENS, REFERENCE)
    for o in range(3):
        theirs = attr.DeepLift(net).attribute(TOKENS.clone(), REFERENCE, target=o).detach().sum(2)
        np.testing.assert_allclose(share[:, o], theirs, atol=1e-5)


def test_relevance_without_biases():
    attr = pytest.importorskip("captum.attr")
    net = layers(bias=False)
    share, _ = relevance(lambda t: net(t.flatten(1)), TOKENS, epsilon=0.0)
    for o in range(3):
        theirs = attr.LRP(net).attribute(TOKENS.flatten(1), target=o).detach().view(8, 3, 2).sum(2)
        np.testing.assert_allclose(share[:, o], theirs, atol=1e-5)


def test_guided_gradients():
    attr = pytest.importorskip("captum.attr")
    net = network()
    _, gradient = guided(net, TOKENS)
    for o in range(3):
        theirs = attr.GuidedBackprop(net).attribute(TOKENS.clone(), target=o).detach()
        np.testing.assert_allclose(gradient[:, o], theirs, atol=1e-5)


@pytest.mark.parametrize(("kind", "name"), [("smoothgrad", "mean"), ("smoothgrad_sq", "square"), ("vargrad", "variance")])
def test_noise_tunnel_by_equal_noise(kind, name):
    attr = pytest.importorskip("captum.attr")
    net, seen = network(nn.Tanh), []

    def watched(t):
        seen.append(t.detach().clone())
        return net(t)

    tunnel = attr.NoiseTunnel(attr.Saliency(watched))
    theirs = tunnel.attribute(TOKENS[:1].clone(), nt_type=kind, nt_samples=20, stdevs=0.3, target=1, abs=False).detach()
    noisy = torch.cat([t for t in seen if len(t) > 1])[-20:]
    _, gradient = token_gradients(net, noisy)
    ours, _ = noisy_gradients(gradient[:, 1])
    np.testing.assert_allclose(ours[name], theirs[0], atol=1e-5)
