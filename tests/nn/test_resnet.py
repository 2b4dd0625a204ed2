"""ResNet: the equations of a block by hand, its norms in evaluation and in stacks."""

from __future__ import annotations

import pytest
import torch

from pellucid.nn.backbones.resnet import ResidualBlock, ResNet
from pellucid.nn.cells import Cells
from pellucid.nn.stack import StackedNet
from pellucid.nn.table_net import TableNet


def test_a_block_adds_its_change_to_what_it_reads() -> None:
    torch.manual_seed(0)
    block, x = ResidualBlock(4, 6, 0.3, 0.2, 0.1).eval(), torch.randn(5, 4)
    block.norm.mean.normal_()
    scaled = (x - block.norm.mean) / (block.norm.var + 1e-5).sqrt()
    change = torch.relu(scaled @ block.up.weight.T + block.up.bias) @ block.down.weight.T + block.down.bias
    torch.testing.assert_close(block(x), x + change, rtol=1e-5, atol=1e-6)


def test_the_whole_backbone_by_hand() -> None:
    torch.manual_seed(0)
    net, tokens = ResNet(3, 2, width=8, blocks=2), torch.randn(7, 3, 2)
    for _ in range(3):
        net(torch.randn(64, 3, 2))
    net.eval()
    x = tokens.flatten(1) @ net.first.weight.T + net.first.bias
    for block in net.blocks:
        x = block(x)
    hidden, _ = net(tokens)
    torch.testing.assert_close(hidden[:, 0], torch.relu(net.norm(x)), rtol=1e-5, atol=1e-6)
    assert hidden.shape == (7, 1, 8)


def test_masked_columns_have_no_influence() -> None:
    torch.manual_seed(0)
    net, tokens, masked = ResNet(3, 2, width=8).eval(), torch.randn(7, 3, 2), torch.zeros(7, 3, dtype=torch.bool)
    masked[:, 1] = True
    other = tokens.clone()
    other[:, 1] += 9
    assert torch.equal(net(tokens, masked)[0], net(other, masked)[0])
    assert not torch.equal(net(tokens)[0], net(other)[0])


@pytest.mark.parametrize("rows", [1, 2])
def test_it_learns_from_batches_of_one_row(rows: int) -> None:
    net = ResNet(3, 2, width=8).train()
    net(torch.randn(rows, 3, 2))[0].sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())


@pytest.mark.parametrize("backbone", ["resnet", "tabnet", "tree_mimic"])
def test_a_stack_learns_as_its_networks_alone(backbone: str, sizes, cells) -> None:
    """Outputs, penalties, gradients and running records of a stack equal those of each network on its own rows."""
    options = {} if backbone == "tree_mimic" else {"dropout": 0.0} if backbone == "resnet" else {"group": 8}
    nets = [TableNet(sizes, backbone, 2, d_token=4, options=options, embedding={"category_dropout": 0.0}, seed=s) for s in range(3)]
    stack = StackedNet(nets).train()
    rows = torch.stack([torch.randperm(23, generator=torch.Generator().manual_seed(g))[:20] for g in range(3)])
    learned = stack.learn(cells.take(rows))
    (learned.outputs.square().sum() + learned.penalty.sum()).backward()
    for g, net in enumerate(nets):
        alone = net.train().learn(Cells(*(t[rows[g]] for t in cells)))
        torch.testing.assert_close(learned.outputs[g], alone.outputs, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(learned.penalty[g], alone.penalty, rtol=1e-4, atol=1e-5)
        (alone.outputs.square().sum() + alone.penalty.sum()).backward()
        for name, p in net.named_parameters():
            torch.testing.assert_close(stack.net.get_parameter(name).grad[g], p.grad, rtol=1e-3, atol=1e-3)
        for name, buffer in net.named_buffers():
            torch.testing.assert_close(stack.net.get_buffer(name)[g], buffer, rtol=1e-4, atol=1e-5)
