"""ARM-Net: products with learned powers, sparse gates row by row, and exponents that cannot run away."""

from __future__ import annotations

import pytest
import torch

from pellucid.nn.backbones.armnet import LIMIT, ARMNet, ExponentialNeurons
from pellucid.nn.cells import Cells
from pellucid.nn.sparse import entmax
from pellucid.nn.stack import StackedNet
from pellucid.nn.table_net import TableNet
from pellucid.testing.checks_backbone import some_cells, some_sizes


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("alpha", [1.0, 1.5, 2.0])
def test_a_neuron_is_a_product_of_powers_by_gates(alpha: float) -> None:
    torch.manual_seed(0)
    layer, tokens = ExponentialNeurons(5, 4, heads=2, neurons=3, alpha=alpha), draw(7, 5, 4)
    y, gates, powers = layer(tokens)
    assert y.shape == (7, 6, 4)
    assert gates.shape == powers.shape == (7, 6, 5)
    matrix = layer.keys.weight.view(2, 4, 4)
    for n in range(7):
        for p in range(6):
            head, neuron = divmod(p, 3)
            scores = torch.stack([layer.query[head, neuron] @ matrix[head] @ tokens[n, c] / 2 for c in range(5)])
            gate = entmax(scores, alpha)
            torch.testing.assert_close(gates[n, p], gate, rtol=1e-4, atol=1e-5)
            factors = tokens[n].exp() ** (gate * layer.values[p])[:, None]
            torch.testing.assert_close(y[n, p], factors.prod(0), rtol=1e-4, atol=1e-5)


def test_gates_sum_to_one_differ_by_row_and_are_mostly_closed() -> None:
    torch.manual_seed(0)
    gates = ARMNet(12, 8, neurons=16, alpha=2.0).eval()(4 * draw(64, 12, 8))[1]["gates"]
    torch.testing.assert_close(gates.sum(-1), torch.ones(64, 16))
    assert float((gates == 0).float().mean()) > 0.5
    assert float(gates.detach().std(0).mean()) > 0.01


def test_exponents_are_clamped() -> None:
    torch.manual_seed(0)
    net = ARMNet(3, 4, neurons=4, deep=0)
    net.products.values.data.fill_(1000.0)
    tokens = 100 * draw(8, 3, 4).abs()
    y = net.products(tokens)[0]
    assert float(y.detach().max()) == pytest.approx(float(torch.tensor(LIMIT).exp()), rel=1e-5)
    hidden = net.train()(tokens)[0]
    hidden.sum().backward()
    assert torch.isfinite(hidden).all()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


@pytest.mark.parametrize("alpha", [1.0, 1.5, 2.0])
def test_a_masked_column_has_no_gate_and_no_influence(alpha: float) -> None:
    torch.manual_seed(0)
    net, tokens = ARMNet(4, 6, neurons=5, alpha=alpha, width=12, deep=7).eval(), draw(6, 4, 6).requires_grad_()
    masked = torch.zeros(6, 4, dtype=torch.bool)
    masked[:, 1] = True
    hidden, parts = net(tokens, masked)
    assert hidden.shape == (6, 1, 19)
    assert not parts["gates"][..., 1].any()
    hidden.square().sum().backward()
    assert not tokens.grad[:, 1].any()
    assert tokens.grad[:, [0, 2, 3]].abs().amax((0, 2)).gt(0).all()
    kept = [0, 2, 3]
    fewer = net.products.gates(tokens[:, kept])
    torch.testing.assert_close(parts["gates"][..., kept], fewer, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        assert torch.isfinite(net(tokens, torch.ones_like(masked))[0]).all()


def test_one_row_can_be_learned_from() -> None:
    torch.manual_seed(0)
    assert torch.isfinite(ARMNet(3, 1, neurons=2).train()(draw(1, 3, 1))[0]).all()


def test_each_network_of_a_stack_keeps_running_statistics_of_its_own() -> None:
    nets = [TableNet(some_sizes(5), "armnet", 2, d_token=8, seed=s) for s in (0, 1)]
    stack = StackedNet(nets).train()
    cells = Cells(*(torch.stack([t, t.flip(0)]) for t in some_cells(32, 5)))
    stack.learn(cells)
    running = dict(stack.net.named_buffers())["backbone.norm.running_mean"]
    assert not torch.allclose(running[0], running[1])
    assert torch.isfinite(running).all()
    assert not torch.equal(running[0], torch.zeros_like(running[0]))
    stack.eval()
    with torch.no_grad():
        expected = [stack.single(g).eval()(some_cells(7, 5)) for g in (0, 1)]
        torch.testing.assert_close(stack(some_cells(7, 5)), torch.cat(expected, 1))


@pytest.mark.long
def test_the_powers_of_a_planted_product_are_found() -> None:
    """y = x1 x2 / x3 among five columns, tokens = log x: one neuron holds the powers +, +, -."""
    logs = 0.5 * draw(6000, 5)
    y = (logs[:, 0] + logs[:, 1] - logs[:, 2]).exp()
    torch.manual_seed(0)
    neuron, scale = ExponentialNeurons(5, 1, neurons=1, alpha=1.5), torch.nn.Parameter(torch.tensor([1.0, 0.0]))
    optimizer = torch.optim.Adam([*neuron.parameters(), scale], 5e-3)
    for _ in range(3000):
        rows = torch.randint(0, 5000, (256,))
        optimizer.zero_grad()
        out = neuron(logs[rows, :, None])[0][:, 0, 0] * scale[0] + scale[1]
        (out - y[rows]).square().mean().backward()
        optimizer.step()
    with torch.no_grad():
        out, _, powers = neuron(logs[5000:, :, None])
        left = float((out[:, 0, 0] * scale[0] + scale[1] - y[5000:]).square().mean() / y[5000:].var())
    mean = powers.mean((0, 1))
    assert left < 0.05
    assert mean[:2].min() > 0.5
    assert mean[2] < -0.5
    assert mean[3:].abs().max() < 0.2
