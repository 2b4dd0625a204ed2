"""What the tests of backbones whose output is a listed sum share: a short training, and the two promises."""

from __future__ import annotations

from typing import Any

import torch

from pellucid.nn.cells import Cells, CellSizes
from pellucid.nn.stack import StackedNet
from pellucid.nn.table_net import TableNet
from pellucid.testing.checks_backbone import some_cells, some_sizes


def build(
    name: str, outputs: int = 2, d_token: int = 4, number: str = "plain", sizes: CellSizes | None = None, seed: int = 0, **options: Any
):
    """Return an untrained network with the identity head."""
    embedding = {"number": number, "category_dropout": 0.0}
    return TableNet(
        sizes or some_sizes(5), name, outputs, d_token=d_token, options=options, head="identity", embedding=embedding, seed=seed
    )


def train(net: TableNet, cells: Cells, target: torch.Tensor, steps: int = 60, lr: float = 0.02) -> TableNet:
    """Return the network after some steps on the squared error of all rows, penalties included."""
    optimizer = torch.optim.Adam(net.parameters(), lr)
    torch.manual_seed(0)
    net.train()
    for _ in range(steps):
        learned = net.learn(cells)
        loss = (learned.outputs[:, 0] - target).square().mean() + learned.penalty.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net.eval()


def trained(name: str, **options: Any) -> tuple[TableNet, Cells]:
    """Return a network trained on a rule with an interaction, and the cells it learned from."""
    cells = some_cells(300, 5)
    x = cells.numbers
    target = torch.stack([x[:, 0] + 0.5 * x[:, 1] * x[:, 2] + 0.3 * cells.codes[:, 0], torch.sin(2 * x[:, 1]) - x[:, 2]], 1)
    return train(build(name, **options), cells, target), cells


@torch.no_grad()
def check_the_sum(net: TableNet, cells: Cells) -> None:
    """Bias and all listed terms add up to the output, for one network and for each of a stack."""
    out, parts = net(cells)[:, 0], net.named_parts(cells)
    n = cells.n_rows
    assert parts["contributions"].shape == (n, net.n_columns, net.n_outputs)
    assert parts["bias"].shape == (n, net.n_outputs)
    total = parts["bias"] + parts["contributions"].sum(1)
    if "pairs" in parts:
        total = total + parts["pairs"].sum(1)
    assert float((total - out).abs().max()) < 1e-5
    torch.testing.assert_close(parts["hidden"][:, 0], out, rtol=1e-5, atol=1e-5)
    stack = StackedNet([net, net.fresh(7).eval()]).eval()
    torch.testing.assert_close(stack.named_parts(cells)["contributions"][0], parts["contributions"], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def check_the_direction(net: TableNet, column: int, sign: int, n: int = 50) -> None:
    """Along 200 values of a number column, from 50 rows, every output goes one way only; and it does move."""
    cells = some_cells(n, net.n_columns, seed=5)
    slot = column // 2  # of some_sizes: even columns are numbers
    grid = torch.linspace(-4, 4, 200)
    numbers, missing = cells.numbers.repeat_interleave(200, 0), cells.missing.repeat_interleave(200, 0)
    numbers[:, slot], missing[:, slot] = grid.repeat(n), False
    wide = Cells(numbers, missing, cells.codes.repeat_interleave(200, 0), cells.vectors.repeat_interleave(200, 0))
    out = net(wide)[:, 0].view(n, 200, -1)
    rises = sign * out.diff(dim=1)
    assert float(rises.min()) >= -1e-5, f"the output turns back by {float(-rises.min()):.2g} along column {column}"
    assert float((sign * (out[:, -1] - out[:, 0])).max()) > 1e-3, "the output does not move along the column at all"


@torch.no_grad()
def shaken(net: TableNet, size: float = 0.5) -> TableNet:
    """Return the network with noise on every weight: a promise by construction must hold there too."""
    generator = torch.Generator().manual_seed(3)
    for p in net.parameters():
        p.add_(size * torch.randn(p.shape, generator=generator))
    return net
