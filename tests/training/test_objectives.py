"""Losses against their definitions, answers, and weights as repetitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from pellucid.errors import ArgumentError, RequestError
from pellucid.training.objectives import Objective, classification, regression


def test_cross_entropy_is_the_mean_over_members() -> None:
    torch.manual_seed(0)
    raw, y = torch.randn(7, 3, 4), torch.randint(0, 4, (7,))
    expected = torch.stack([functional.cross_entropy(raw[:, k], y, reduction="none") for k in range(3)], 1).mean(1)
    torch.testing.assert_close(classification(4).losses(raw, y), expected)


def test_two_classes_have_one_output_the_log_odds_of_the_second() -> None:
    torch.manual_seed(0)
    o, raw, y = classification(2), torch.randn(7, 3, 1) * 5, torch.randint(0, 2, (7,))
    assert o.n_outputs == 1
    expected = functional.binary_cross_entropy_with_logits(raw[..., 0], y[:, None].expand(-1, 3).float(), reduction="none").mean(1)
    torch.testing.assert_close(o.losses(raw, y), expected)
    answers = o.answers(raw)
    assert answers.shape == (7, 3, 2)
    torch.testing.assert_close(answers.sum(2), torch.ones(7, 3, dtype=torch.float64))
    torch.testing.assert_close((answers[..., 1] / answers[..., 0]).log(), raw[..., 0].double())
    assert torch.isfinite(o.losses(torch.full((2, 1, 1), 1e6), torch.tensor([0, 1]))).all()


def test_regression_is_standardised_and_answers_are_in_the_targets_unit() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=(50, 2)) * [1e6, 1e-3] + [5e8, 3]
    o = regression(y)
    prepared = o.prepare(y)
    torch.testing.assert_close(prepared.mean(0), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(prepared.square().mean(0), torch.ones(2), atol=1e-3, rtol=0)
    np.testing.assert_allclose(o.answers(prepared[:, None])[:, 0].numpy(), y, rtol=1e-6)
    raw = torch.randn(50, 3, 2)
    torch.testing.assert_close(o.losses(raw, prepared), (raw - prepared[:, None]).square().mean((1, 2)))


def test_a_constant_target_does_not_divide_by_zero() -> None:
    y = np.full(9, 0.1)
    assert np.isfinite(regression(y).prepare(y)).all()


def test_weights_are_repetitions() -> None:
    rng = np.random.default_rng(0)
    y, w = rng.normal(size=40), rng.integers(0, 4, 40)
    weighted, repeated = regression(y, w.astype(float)), regression(np.repeat(y, w))
    np.testing.assert_allclose([weighted.center, weighted.scale], [repeated.center, repeated.scale], rtol=1e-12)


def test_class_weight_multiplies_row_weights() -> None:
    o = classification(3, [1, 2, 5])
    assert o.row_weights(np.array([0, 2, 1]), np.array([1.0, 0.5, 1])).tolist() == [1, 2.5, 2]
    with pytest.raises(RequestError, match="class_weight does not fit"):
        classification(2, [1, 2, 3])


def test_a_users_loss() -> None:
    y = np.array([0.0, 1, 2])
    o = regression(y).with_loss(lambda raw, target: (raw - target).abs()[:, 0])
    raw = torch.randn(3, 2, 1)
    torch.testing.assert_close(o.losses(raw, o.prepare(y)), (raw - o.prepare(y)[:, None]).abs().mean((1, 2)))
    with pytest.raises(ArgumentError, match="one value per row"):
        regression(y).with_loss(lambda raw, target: raw.mean()).losses(raw, o.prepare(y))
    with pytest.raises(ArgumentError, match="loss cannot be used"):
        o.with_loss("mae")  # type: ignore[arg-type]


@pytest.mark.parametrize("objective", [classification(3, [1, 2, 3]), regression(np.arange(8.0).reshape(4, 2))])
def test_state_goes_round(objective: Objective) -> None:
    again = Objective.from_state(objective.state())
    assert again.state() == objective.state()
    assert again.task == objective.task
