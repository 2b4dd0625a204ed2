"""A stack of networks equals the separate networks."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from pellucid.nn.cells import Cells
from pellucid.nn.stack import StackedNet
from pellucid.nn.table_net import TableNet

OWN = {"tabm": {"members": 3, "width": 16}, "mlp": {"width": 16}, "ft_transformer": {"heads": 2, "blocks": 2}}


class Plain(nn.Module):
    def __init__(self, n_tokens: int, d_token: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(n_tokens * d_token)  # has state of its own, which vmap cannot write

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.norm(tokens.flatten(1))


def nets(sizes, name, n: int = 3) -> list[TableNet]:
    backbone = Plain if name == "user" else name
    return [TableNet(sizes, backbone, 2, d_token=8, options=OWN.get(name), seed=s).eval() for s in range(n)]


@pytest.fixture(params=[*sorted(OWN), "user"])
def separate(request, sizes) -> list[TableNet]:
    return nets(sizes, request.param)


def test_a_stack_equals_its_networks(separate, cells) -> None:
    stack = StackedNet(separate).eval()
    k = separate[0].n_members
    out = stack(cells)
    assert out.shape == (23, 3 * k, 2)
    for g, net in enumerate(separate):
        torch.testing.assert_close(out[:, g * k : (g + 1) * k], net(cells), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(stack.single(g)(cells), net(cells))
    tokens = stack.tokens(cells)
    assert tokens.shape == (23, 5, 24)
    torch.testing.assert_close(stack.outputs_from_tokens(tokens), out, rtol=1e-5, atol=1e-6)
    parts = stack.parts(tokens)
    assert parts.shape == (23, 5, stack.part_width)
    torch.testing.assert_close(stack.outputs_from_parts(parts), out, rtol=1e-5, atol=1e-6)
    if stack.additive:
        torch.testing.assert_close(stack.outputs_from_parts(parts.sum(1)), out, rtol=1e-5, atol=1e-6)


def test_stacked_perceptrons_take_all_rows_in_one_product_per_network(sizes, cells) -> None:
    stack, batches = StackedNet(nets(sizes, "mlp")).eval(), []

    class Products(TorchDispatchMode):
        def __torch_dispatch__(self, op, types, args=(), kwargs=None):
            if op.overloadpacket.__name__ in ("bmm", "baddbmm"):
                batches.append(args[-1].shape[0])
            return op(*args, **(kwargs or {}))

    total = stack.parts(stack.tokens(cells)).sum(1).detach()
    with torch.no_grad(), Products():
        stack.outputs_from_parts(total)
    assert batches
    assert max(batches) == 3, f"{max(batches)} products for 3 networks"


def test_each_network_reads_its_own_rows_and_gets_its_own_gradient(separate, cells) -> None:
    stack = StackedNet(separate)
    at = torch.stack([torch.arange(5) + g for g in range(3)])
    stack.eval().each(Cells(*(t[at] for t in cells))).square().sum((1, 2, 3)).mean().backward()
    for g, net in enumerate(separate):
        (net(cells.take(at[g])).square().sum() / 3).backward()
        for name, p in net.named_parameters():
            torch.testing.assert_close(stack.net.get_parameter(name).grad[g], p.grad, rtol=1e-4, atol=1e-5)


def test_state_and_reset(separate, sizes, cells) -> None:
    stack = StackedNet(separate).eval()
    other = StackedNet([net.fresh(9) for net in separate]).eval()
    other.load_state_dict(stack.state_dict())
    assert torch.equal(other(cells), stack(cells))
    before = {n: p.clone() for n, p in stack.net.named_parameters()}
    stack.reset(["head"], 4)
    changed = {n.split(".")[0] for n, p in stack.net.named_parameters() if not torch.equal(p, before[n])}
    assert changed == {"head"}
    assert stack.matrices() == separate[0].matrices()


def test_training_mode_draws_dropout_and_trains_state(separate, cells) -> None:
    stack = StackedNet(separate).train()
    torch.manual_seed(0)
    given = Cells(*(t.expand(3, *t.shape) for t in cells))
    assert torch.isfinite(stack.each(given)).all()
    if isinstance(separate[0].backbone, Plain):
        assert (stack.net.get_buffer("backbone.norm.num_batches_tracked") == 1).all()
