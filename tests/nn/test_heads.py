"""The members' head: its own order of products gives the plain ones' values and gradients."""

from __future__ import annotations

import pytest
import torch

from pellucid.nn.folding import linear_relu
from pellucid.nn.heads import MemberHead


def _both(hidden: torch.Tensor, head: MemberHead) -> tuple[torch.Tensor, torch.Tensor]:
    return head(hidden), torch.einsum("nkh,kho->nko", hidden, head.weight) + head.bias


@pytest.mark.parametrize("members", [1, 3])
def test_values_and_first_and_second_gradients_equal_the_plain_product(members: int) -> None:
    torch.manual_seed(0)
    head, hidden = MemberHead(members, 7, 2), torch.randn(5, members, 7, requires_grad=True)
    found = []
    for out in _both(hidden, head):
        (slope,) = torch.autograd.grad(out.square().sum(), hidden, create_graph=True)
        found.append((out, slope, *torch.autograd.grad(slope.square().sum(), [hidden, head.weight, head.bias])))
    for one, other in zip(*found):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_half_the_width_in_gives_float32_out_and_gradients_of_the_inputs_kinds() -> None:
    torch.manual_seed(0)
    head, hidden = MemberHead(3, 64, 2), torch.randn(50, 3, 64).bfloat16().requires_grad_()
    out = head(hidden)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, _both(hidden.float(), head)[1], rtol=1e-5, atol=1e-5)
    to_hidden, to_weight = torch.autograd.grad(out.square().sum(), [hidden, head.weight])
    plain = torch.autograd.grad(_both(hidden.float(), head)[1].square().sum(), [hidden, head.weight])
    assert to_hidden.dtype == torch.bfloat16
    assert to_weight.dtype == torch.float32
    # bfloat16 keeps 8 bits: each product is off by up to 2^-8 of its size
    for one, other in zip((to_hidden.float(), to_weight), plain):
        assert (one - other).abs().max() < 0.02 * other.abs().max()


def test_networks_side_by_side_get_the_gradients_of_each_alone() -> None:
    torch.manual_seed(0)
    heads = [MemberHead(3, 7, 2) for _ in range(4)]
    hidden = torch.randn(4, 5, 3, 7)
    weights = torch.stack([h.weight.detach() for h in heads])

    def loss(weight: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(heads[0], {"weight": weight, "bias": heads[0].bias.detach()}, (x,)).square().sum()

    together = torch.func.vmap(torch.func.grad(loss))(weights, hidden)
    each = torch.stack([torch.func.grad(loss)(w, x) for w, x in zip(weights, hidden)])
    torch.testing.assert_close(together, each, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("by_member", [True, False])
def test_half_precision_reads_hidden_states_as_they_lie(by_member: bool) -> None:
    torch.manual_seed(0)
    head, hidden = MemberHead(3, 64, 2).eval(), torch.randn(50, 3, 64)
    if by_member:  # rows of one member side by side in memory
        hidden = hidden.transpose(0, 1).contiguous().transpose(0, 1)
    with torch.inference_mode():
        torch.testing.assert_close(head(hidden.bfloat16()), head(hidden), rtol=0.05, atol=0.02)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bias", [True, False])
def test_relu_in_the_products_pass_is_relu_of_the_product(kind: torch.dtype, bias: bool) -> None:
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(64, 32, bias=bias), torch.randn(40, 64)
    with torch.inference_mode():
        out = linear_relu(x.to(kind), layer.weight.to(kind), None if layer.bias is None else layer.bias.to(kind))
    rough = kind is torch.bfloat16
    assert out.dtype is kind
    torch.testing.assert_close(out.float(), torch.relu(layer(x)), rtol=0.02 if rough else 1e-6, atol=0.02 if rough else 1e-6)
