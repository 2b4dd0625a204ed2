"""The gradient engine against closed forms and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pellucid.nn.gradients import doubts, integrated, nodes, token_gradients


def quadratic(outputs=2, size=(3, 2), seed=0):
    draw = torch.Generator().manual_seed(seed)
    flat = size[0] * size[1]
    matrices = torch.randn(outputs, flat, flat, generator=draw, dtype=torch.float64)

    def function(tokens):
        x = tokens.flatten(1)
        return torch.einsum("ni,oij,nj->no", x, matrices, x)

    return function, matrices


def test_gradients_of_a_quadratic_for_every_output_and_batch():
    function, matrices = quadratic()
    tokens = torch.randn(7, 3, 2, dtype=torch.float64)
    truth = torch.einsum("oij,nj->noi", matrices + matrices.transpose(1, 2), tokens.flatten(1)).unflatten(2, (3, 2))
    for batch in (2, 100):
        values, gradient = token_gradients(function, tokens, batch)
        torch.testing.assert_close(values, function(tokens))
        torch.testing.assert_close(gradient, truth)


def test_gradients_match_finite_differences():
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2)).double()
    tokens = torch.randn(4, 3, 2, dtype=torch.float64)
    _, gradient = token_gradients(net, tokens)
    step = 1e-5 * torch.eye(6, dtype=torch.float64).reshape(6, 3, 2)
    with torch.no_grad():
        slope = torch.stack([(net(tokens + s) - net(tokens - s)) / 2e-5 for s in step], -1).unflatten(-1, (3, 2))
    torch.testing.assert_close(gradient, slope, atol=1e-8, rtol=1e-6)


def test_it_works_on_tensors_made_in_inference_mode():
    with torch.inference_mode():
        tokens = torch.ones(1, 1, 1)
        _, gradient = token_gradients(lambda t: (t**3).sum((1, 2))[:, None], tokens)
    assert gradient.item() == pytest.approx(3)


def test_nodes_integrate_polynomials_exactly():
    place, weight = nodes(4)
    for degree in range(8):
        assert float((weight * place**degree).sum()) == pytest.approx(1 / (degree + 1), abs=1e-12)


def test_integrated_gradients_of_a_quadratic_are_complete_with_one_node():
    function, _ = quadratic(seed=1)
    tokens, reference = torch.randn(5, 3, 2, dtype=torch.float64), torch.randn(5, 3, 2, dtype=torch.float64)
    values, _ = integrated(function, tokens, reference, 1)
    torch.testing.assert_close(values.sum(-1), function(tokens) - function(reference))
    torch.testing.assert_close(integrated(function, tokens, reference, 8, batch=3)[0], values)


def test_integrated_gradients_of_a_ridge_function():
    weights = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    function = lambda t: torch.sigmoid(t[:, :, 0] @ weights)[:, None]  # noqa: E731
    tokens, reference = torch.randn(6, 3, 1, dtype=torch.float64), torch.zeros(6, 3, 1, dtype=torch.float64)
    total = function(tokens) - function(reference)
    share = tokens[:, :, 0] * weights
    truth = share / share.sum(1, keepdim=True) * total
    np.testing.assert_allclose(integrated(function, tokens, reference, 32)[0][:, 0], truth, atol=1e-9)


@pytest.mark.parametrize("n", [2, 4, 8])
def test_doubts_are_the_errors_of_steps_and_nothing_for_polynomials(n):
    place, weight = nodes(n)
    steps = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    above = (place > steps[:, None]).double()
    error, told = above @ weight - (1 - steps), above @ doubts(n)
    assert float(told.square().mean()) == pytest.approx(float(error.square().mean()), rel=1e-3)
    for degree in range(n - 1):
        assert abs(float((doubts(n) * place**degree).sum())) < 1e-12


def test_integrated_gradients_tell_the_error_of_a_kink():
    kink = lambda t: torch.relu(t.sum((1, 2)) - 0.6)[:, None]  # noqa: E731
    tokens = torch.ones(1, 2, 1, dtype=torch.float64)
    value, doubt = integrated(kink, tokens, torch.zeros_like(tokens), 8)
    off = (value - 0.7).abs()
    assert 0 < off.max() < 3 * doubt.abs().min()
    value, doubt = integrated(kink, tokens, tokens / 2, 8)  # beyond the kink the gradient is constant
    assert doubt.abs().max() < 1e-12
    assert (value - 0.5).abs().max() < 1e-12
