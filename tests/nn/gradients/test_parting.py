"""Parts of sets against closed forms: linear maps, products, biases, whole sets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from pellucid.errors import RequestError
from pellucid.nn.backbones.ft_transformer import FTTransformer
from pellucid.nn.gradients.parting import parts_of_sets

TOKENS = torch.randn(6, 3, 2, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
SINGLES, WHOLE = torch.eye(3, dtype=torch.bool), torch.ones(1, 3, dtype=torch.bool)


def test_a_matrix_takes_the_part_and_splits_its_bias_by_size():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(6, 2)).double()
    parts, output = parts_of_sets(net, TOKENS, SINGLES)
    own = (net[1].weight.view(2, 3, 2) * TOKENS[:, None]).sum(-1).detach()  # (N, O, C)
    rest = own.sum(-1, keepdim=True) - own
    truth = own + net[1].bias.detach()[:, None] * own.abs() / (own.abs() + rest.abs())
    np.testing.assert_allclose(parts, truth.transpose(1, 2), atol=1e-12)
    np.testing.assert_allclose(output, net(TOKENS).detach(), atol=1e-12)


def test_all_columns_are_the_whole_output_and_none_is_nothing():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(6, 8, False), nn.Tanh(), nn.Linear(8, 8, False), nn.ReLU(), nn.Linear(8, 2, False)).double()
    parts, output = parts_of_sets(net, TOKENS, torch.cat([WHOLE, ~WHOLE]))
    np.testing.assert_allclose(parts[:, 0], output, atol=1e-12)
    assert (parts[:, 1] == 0).all()


def test_one_number_to_one_number_is_the_mean_of_both_orders():
    parts, _ = parts_of_sets(lambda t: torch.tanh(t[:, :, 0].sum(1))[:, None], TOKENS, SINGLES)
    a = TOKENS[:, :, 0]
    total = a.sum(1, keepdim=True)
    truth = (torch.tanh(total) - torch.tanh(total - a) + torch.tanh(a)) / 2
    np.testing.assert_allclose(parts[..., 0], truth, atol=1e-12)


@pytest.mark.parametrize("attention", ["kept", "shared"])
def test_a_transformer_parts_without_gaps(attention):
    torch.manual_seed(0)
    net = FTTransformer(3, 8, blocks=2, heads=2, pooling="mean").eval()
    for name, value in net.named_parameters():
        value.data.mul_("bias" not in name)
    tokens = torch.randn(5, 3, 8)
    parts, output = parts_of_sets(lambda t: net(t)[0][:, 0], tokens, torch.cat([SINGLES, WHOLE, ~WHOLE]), attention)
    assert torch.isfinite(parts).all()
    assert (parts[:, 4] == 0).all()
    assert (parts[:, :3].abs().amax((0, 2)) > 0).all()
    if attention == "kept":  # without biases there is nothing else that the answer could be made of
        np.testing.assert_allclose(parts[:, 3], output, atol=1e-5)


def test_where_zero_is_no_place_to_stand_the_derivative_serves():
    parts, _ = parts_of_sets(lambda t: torch.log(t[:, :, 0].abs()), TOKENS, SINGLES)
    assert torch.isfinite(parts).all()


def test_an_unknown_rule_for_attention_is_refused():
    with pytest.raises(RequestError, match="attention"):
        parts_of_sets(lambda t: t[:, 0], TOKENS, SINGLES, "none")
