"""Infidelity and sensitivity against captum, with the same perturbations."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.evaluate.infidelity import infidelity
from pellucid.evaluate.max_sensitivity import sensitivity

torch = pytest.importorskip("torch")
metrics = pytest.importorskip("captum.metrics")
pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def ground():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)).double()
    return net, torch.randn(12, 5, dtype=torch.float64), torch.randn(12, 5, dtype=torch.float64)


def test_infidelity_equals_captum(ground):
    """captum multiplies the perturbation with the attribution: a removed column to a baseline of 0 has the perturbation x."""
    net, x, values = ground
    draw, removed = np.random.default_rng(0), []

    def perturb(inputs):
        mask = torch.as_tensor(draw.random(inputs.shape) < 0.5)
        removed.append(mask.numpy())
        return mask.double(), torch.where(mask, torch.zeros_like(inputs), inputs)

    theirs = metrics.infidelity(lambda t: net(t)[:, 0], perturb, x, values, n_perturb_samples=6, max_examples_per_batch=12)
    with torch.no_grad():
        moved = np.stack([(net(x) - net(torch.where(torch.as_tensor(m), torch.zeros_like(x), x)))[:, 0].numpy() for m in removed[-6:]], 1)
    ours = infidelity(values.numpy(), np.stack(removed[-6:], 1), moved)
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)


def test_sensitivity_equals_captum(ground):
    net, x, _ = ground
    draw, moves = np.random.default_rng(1), []

    def explain(inputs):
        if isinstance(inputs, tuple):  # captum hands over and takes tuples
            return (explain(inputs[0]),)
        with torch.enable_grad():  # captum asks without gradients
            leaf = inputs.detach().clone().requires_grad_(True)
            return torch.autograd.grad(net(leaf).sum(), leaf)[0]

    def perturb(inputs):
        inputs = inputs[0] if isinstance(inputs, tuple) else inputs
        moves.append(torch.as_tensor(draw.uniform(-0.02, 0.02, inputs.shape)))
        return (inputs + moves[-1],)

    theirs = metrics.sensitivity_max(explain, x, perturb, n_perturb_samples=5, max_examples_per_batch=12)
    own = explain(x).numpy()[..., None]
    others = np.stack([explain(x + m).numpy()[..., None] for m in moves[-5:]])
    ours = sensitivity(own, others) / np.linalg.norm(own[..., 0], axis=1)
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)
