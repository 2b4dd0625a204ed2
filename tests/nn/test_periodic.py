"""Sines and cosines of numbers: the lecture's figures, closed forms, and that what is learned is learned."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pellucid.errors import RequestError
from pellucid.nn.embeddings.periodic import PBLD, PLR, Periodic, PLRLite, periodic

BINS = [np.array([0.0, 1.0])] * 3


@pytest.mark.parametrize(("x", "expected"), [(1.0, [0, 0, 1, 1]), (1.25, [1, 0, 0, -1]), (3.75, [-1, 0, 0, -1])])
def test_lecture_values(x: float, expected: list[float]) -> None:
    found = periodic(torch.tensor([[x]], dtype=torch.float64), torch.tensor([1.0, 2.0], dtype=torch.float64))
    assert found[0, 0].tolist() == pytest.approx(expected, abs=1e-6)


def test_the_encoding_has_the_frequencies_of_its_column() -> None:
    layer, x = Periodic(BINS, 7, scale=0.5), torch.randn(5, 3)
    out = layer(x, torch.zeros(5, 3, dtype=torch.bool))
    for j in range(3):
        for i in range(3):
            angle = 2 * math.pi * layer.frequencies[j, i] * x[:, j]
            torch.testing.assert_close(out[:, j, i], angle.sin())
            torch.testing.assert_close(out[:, j, 3 + i], angle.cos())
    assert torch.equal(out[..., 6], x)


def test_frequencies_are_within_three_scales_and_learned_only_when_asked_to() -> None:
    layer = Periodic([np.array([0.0, 1.0])] * 500, 20, scale=0.2)
    assert float(layer.frequencies.detach().abs().max()) <= 0.6
    # the truncated normal's spread is 0.986 of the scale; 5,000 draws tell it to 1 %
    assert float(layer.frequencies.detach().std()) == pytest.approx(0.2 * 0.9866, rel=0.05)
    fixed = Periodic(BINS, 4, trainable=False)
    assert "frequencies" in fixed.state_dict()
    assert [n for n, _ in fixed.named_parameters()] == ["gap"]


def test_gradients_reach_the_frequencies_and_equal_finite_differences() -> None:
    c = torch.tensor([[0.3, 0.7], [1.1, 0.2]], dtype=torch.float64, requires_grad=True)
    x = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(periodic, (x, c))


def test_plr_equals_its_definition() -> None:
    x, missing = torch.randn(6, 3), torch.zeros(6, 3, dtype=torch.bool)
    missing[0, 1] = True
    for layer in (PLR(BINS, 5, 4), PLRLite(BINS, 5, 4)):
        out = layer(x, missing)
        for j in range(3):
            k = 0 if isinstance(layer, PLRLite) else j
            own = torch.relu(periodic(x, layer.frequencies)[:, j] @ layer.weight[k] + layer.bias[k])
            torch.testing.assert_close(out[~missing[:, j], j], own[~missing[:, j]])
        assert torch.equal(out[0, 1], layer.gap[1])


def test_lite_has_one_map_for_all_columns() -> None:
    assert PLR(BINS, 5, 4).weight.numel() == 3 * PLRLite(BINS, 5, 4).weight.numel()


def test_pbld_equals_its_definition_and_moves_a_tenth_as_fast() -> None:
    layer, x = PBLD(BINS, 4, 6), torch.randn(6, 3)
    out = layer(x, torch.zeros(6, 3, dtype=torch.bool))
    w, b = layer.frequencies / 10, layer.phases / 10
    assert float(b.detach().abs().max()) <= math.pi
    for j in range(3):
        waves = torch.cos(2 * math.pi * x[:, [j]] * w[j] + b[j])
        torch.testing.assert_close(out[:, j], torch.cat([x[:, [j]], waves @ layer.weight[j] + layer.bias[j]], 1), rtol=1e-4, atol=1e-5)


def test_a_wave_is_fitted_where_a_line_cannot() -> None:
    """Least squares on the encoding of one column: a sine of two periods is told by waves, not by the number."""
    x = torch.linspace(-1, 1, 200)[:, None]
    y = torch.sin(4 * math.pi * x[:, 0])
    layer = PLR([np.array([0.0, 1.0])], 48, scale=1.0)
    none = torch.zeros(200, 1, dtype=torch.bool)
    left = []
    for features in (layer(x, none)[:, 0].detach(), torch.cat([x, torch.ones_like(x)], 1)):
        fit = features @ torch.linalg.lstsq(features, y[:, None]).solution
        left.append(float((fit[:, 0] - y).square().mean() / y.var()))
    assert left[0] < 0.02
    assert left[1] > 0.8


@pytest.mark.parametrize("kind", [Periodic, PBLD])
def test_a_token_of_one_number_is_refused(kind: type) -> None:
    with pytest.raises(RequestError, match="d_token of at least 2"):
        kind(BINS, 1)
