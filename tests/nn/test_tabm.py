"""TabM's own promises."""

from __future__ import annotations

import pytest
import torch

from pellucid.nn.backbones.mlp import MLP
from pellucid.nn.backbones.tabm import TabM, TabMMini
from pellucid.nn.draws import seed_draws
from pellucid.nn.layers import dropout


def test_members_differ_at_the_start_by_the_first_scales_only() -> None:
    torch.manual_seed(0)
    net = TabM(6, 4, members=5, width=16, blocks=3).eval()
    for name, value in net.named_parameters():
        own = value.shape[0] == 5
        assert not own or name == "first.scale_in" or bool((value == value[:1]).all()), name
    assert len(net.first.scale_in.unique(dim=0)) == 5
    # one draw per column
    by_column = net.first.scale_in.view(5, 6, 4)
    assert torch.equal(by_column, by_column[..., :1].expand_as(by_column))


@pytest.mark.parametrize("rows", [9, 40])  # fewer than the matrix has rows: the tokens are scaled; more: the matrix is
def test_the_first_stage_equals_the_scaled_copies(rows: int) -> None:
    torch.manual_seed(0)
    net = TabM(6, 4, members=5, width=16).eval()
    tokens = torch.randn(rows, 6, 4)
    copies = tokens.flatten(1)[:, None] * net.first.scale_in
    naive = (copies @ net.first.weight.T) * net.first.scale_out + net.first.bias
    found = net.first(net.first.total(tokens))
    torch.testing.assert_close(found, naive, rtol=1e-5, atol=1e-5)
    slope = torch.randn_like(naive)
    for one, other in zip(*(torch.autograd.grad(out, list(net.first.parameters()), slope) for out in (found, naive))):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_mini_is_one_perceptron_on_scaled_copies() -> None:
    torch.manual_seed(0)
    net, one = TabMMini(6, 4, members=5, width=16, blocks=3).eval(), MLP(6, 4, width=16, blocks=3).eval()
    one.load_state_dict({n: v for n, v in net.state_dict().items() if n != "first.scale_in"})
    tokens = torch.randn(9, 6, 4)
    hidden = net(tokens)[0]
    for k in range(5):
        scaled = tokens * net.first.scale_in[k].view(6, 4)
        torch.testing.assert_close(hidden[:, k], one(scaled)[0][:, 0], rtol=1e-4, atol=1e-5)


def test_dropout_keeps_the_expectation_and_follows_its_seed() -> None:
    x = torch.ones(200, 500)
    seed_draws(1)
    one = dropout(x, 0.25, True)
    # 100,000 entries: five standard errors of the share are 0.007
    assert abs((one == 0).float().mean() - 0.25) < 0.007
    assert set(one.unique().tolist()) == {0.0, float(torch.tensor(1 / 0.75))}
    two = dropout(x, 0.25, True)
    assert not torch.equal(one, two)
    seed_draws(1)
    assert torch.equal(dropout(x, 0.25, True), one)
    assert dropout(x, 0.25, False) is x
