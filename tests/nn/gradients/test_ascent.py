"""Climbing and the bottleneck against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pellucid.nn.gradients.ascent import Cloud, Ladder, bits, climb

KEPT = torch.randn(200, 3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
WEIGHTS = torch.tensor([[1.0, 0.0], [-2.0, 0.0], [0.0, 3.0]], dtype=torch.float64)


def ladder():
    """Two numbers from -2 to 2 and a column of four levels."""
    line = torch.linspace(-2, 2, 65, dtype=torch.float64)
    tokens = torch.zeros(3, 65, 2, dtype=torch.float64)
    tokens[:2, :, 0] = line
    tokens[2, :4, 1] = torch.tensor([0.1, -1.0, 0.9, 0.3])
    return Ladder(tokens, torch.tensor([65, 65, 4]), torch.tensor([True, True, False]))


def test_a_linear_unit_ends_at_the_bounds_with_the_signs_of_its_weights():
    places = climb(lambda t: (t * WEIGHTS).sum((1, 2)), ladder(), torch.full((3, 3), 1.0), KEPT, torch.ones(3), 0.0, 0.0, 300, 0.1)
    np.testing.assert_allclose(places[:, 0], 64, atol=1.5)
    np.testing.assert_allclose(places[:, 1], 0, atol=1.5)
    assert (places[:, 2] == 2).all()  # the level of the largest product


@pytest.mark.parametrize("ridge", [1.0, 2.0])
def test_with_a_squared_penalty_the_place_is_weight_over_twice_the_penalty(ridge):
    scale = float((KEPT * WEIGHTS).sum((1, 2)).std())
    function = lambda t: (t * WEIGHTS).sum((1, 2)) / scale  # noqa: E731
    places = climb(function, ladder(), torch.full((1, 3), 30.0), KEPT, torch.ones(3), 0.0, ridge, 600, 0.05)
    # in units of half the range (2), the derivative 2 w / scale equals 2 ridge z
    truth = 32 + 32 * np.clip(2 * np.array([1.0, -2.0]) / scale / (2 * ridge), -1, 1)
    np.testing.assert_allclose(places[0, :2], truth, atol=1.0)


def test_a_plausible_solution_lies_near_a_known_row():
    start = torch.full((4, 3), 32.0)
    function = lambda t: t[:, :2, 0].sum(1)  # noqa: E731
    far, near = (climb(function, ladder(), start, KEPT[:20], torch.ones(3), p, 0.0, 200, 0.1) for p in (0.0, 20.0))
    assert (near[:, :2] < far[:, :2]).all()


def test_two_outputs_in_one_search_end_as_in_two():
    start = torch.tensor([[10.0, 20, 1], [50.0, 30, 2], [40.0, 5, 0], [20.0, 60, 3]])
    sign = torch.tensor([1.0, 1, -1, -1])
    group = torch.tensor([0, 0, 1, 1])
    given = (KEPT, torch.ones(3), 0.5, 0.3, 100, 0.1, 0.2)
    both = climb(lambda t: sign * (t * WEIGHTS).sum((1, 2)), ladder(), start, *given, group=group)
    one = [climb(lambda t, s=s: s * (t * WEIGHTS).sum((1, 2)), ladder(), start[group == g], *given) for g, s in ((0, 1.0), (1, -1.0))]
    np.testing.assert_allclose(both, torch.cat(one), atol=1e-6)


def _bits(function, beta=0.1):
    noise = torch.randn(10, 3, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return bits(function, KEPT[:6] * 1.5, Cloud.of(KEPT), noise, beta, float(function(KEPT).std()))


def test_an_unread_column_lets_nothing_through():
    found, moved = _bits(lambda t: 2 * t[:, 0, 0] - t[:, 1, 1])
    assert (found[:, 2] < 0.01).all()
    assert (found[:, :2].max(1).values > 0.1).all()
    assert (found >= 0).all()
    assert moved.shape == (6,)


def test_more_weight_lets_less_through_and_moves_the_answer_more():
    function = lambda t: torch.tanh((t * WEIGHTS).sum((1, 2)))  # noqa: E731
    (much, little_moved), (little, much_moved) = _bits(function, 0.01), _bits(function, 10.0)
    assert (little.sum(1) < much.sum(1)).all()
    assert (much_moved > little_moved).all()


def test_the_unit_of_a_token_does_not_matter():
    scale = torch.tensor([1.0, 100.0, 0.01], dtype=torch.float64)[:, None]
    function = lambda t: (t * WEIGHTS).sum((1, 2))  # noqa: E731
    noise = torch.randn(4, 3, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    one, _ = bits(function, KEPT[:5], Cloud.of(KEPT), noise, 0.5, 1.0)
    two, _ = bits(lambda t: function(t / scale - 3), (KEPT[:5] + 3) * scale, Cloud.of((KEPT + 3) * scale), noise, 0.5, 1.0)
    np.testing.assert_allclose(two, one, atol=1e-3)


def test_a_token_on_a_line_counts_as_one_number_and_noise_stays_on_the_line():
    along = torch.tensor([0.6, -0.8], dtype=torch.float64)
    on_line = KEPT[:, :, :1] * along
    cloud = Cloud.of(on_line)
    assert cloud.rank.tolist() == [1, 1, 1]
    drawn = torch.einsum("cde,sce->scd", cloud.factor, torch.randn(50, 3, 2, dtype=torch.float64))
    assert (drawn @ torch.tensor([0.8, 0.6], dtype=torch.float64)).abs().max() < 1e-9
    torch.testing.assert_close(drawn.square().sum(-1).mean().sqrt(), KEPT[:, :, 0].std(), rtol=0.3, atol=0)
