"""TANGOS against hand-worked and automatic derivatives, and what its two weights do to a trained network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.func import jacrev
from torch.nn.attention import SDPBackend, sdpa_kernel

from pellucid.errors import RequestError
from pellucid.nn.cells import Cells, CellSizes
from pellucid.nn.regularizers.base import Trace
from pellucid.nn.regularizers.tangos import Tangos, columns_held, jacobian, overlap, specialisation, unit_map
from pellucid.nn.stack import StackedNet
from pellucid.nn.table_net import TableNet
from pellucid.training.loop import fit_network
from pellucid.training.objectives import regression
from pellucid.training.recipe import TrainSettings, builder

OWN = {
    "mlp": {"width": 12, "blocks": 3, "dropout": 0.4}, "tabm": {"members": 2, "width": 8, "blocks": 3},
    "tabm_mini": {"members": 3, "width": 8}, "ft_transformer": {"heads": 2, "blocks": 2}, "resnet": {"width": 8},
}  # fmt: skip


def two_units() -> tuple[TableNet, torch.Tensor]:
    """Two columns of width 1, two open hidden units with the weights [[3, 4], [4, -3]] and [[1, 2], [0, 5]] above them."""
    edges = np.array([-1.0, 1.0], np.float32)
    sizes = CellSizes(2, (edges, edges), (), 0, (0, 1), (), ())
    net = TableNet(sizes, "mlp", 1, d_token=1, options={"width": 2, "blocks": 2, "dropout": 0.0})
    with torch.no_grad():
        net.backbone.first.weight.copy_(torch.tensor([[3.0, 4.0], [4.0, -3.0]]))
        net.backbone.first.bias.fill_(100.0)
        net.backbone.blocks[0].weight.copy_(torch.tensor([[1.0, 2.0], [0.0, 5.0]]))
        net.backbone.blocks[0].bias.fill_(100.0)
    return net, torch.tensor([[[0.3], [-0.2]], [[1.0], [0.5]]])


def test_the_penalty_of_two_units_is_that_worked_by_hand() -> None:
    net, tokens = two_units()
    hidden = net.backbone(tokens)[0]
    # J = [[1, 2], [0, 5]] @ [[3, 4], [4, -3]] = [[11, -2], [20, -15]]
    assert jacobian(net, tokens, torch.arange(2))[0, ..., 0].tolist() == [[11.0, -2.0], [20.0, -15.0]]
    mean = (11 + 2 + 20 + 15) / 4
    cosine = (11 * 20 + 2 * 15) / (125**0.5 * 25)
    trace = Trace(tokens, hidden, {}, net.head(hidden))
    torch.testing.assert_close(Tangos(0.5, 3.0).penalty(net, trace), torch.full((2,), 0.5 * mean + 3 * cosine))
    torch.testing.assert_close(Tangos(0.0, 1.0, pairs=7).penalty(net, trace), torch.full((2,), cosine))


def test_a_closed_unit_has_no_attribution() -> None:
    net, tokens = two_units()
    with torch.no_grad():
        net.backbone.blocks[0].bias.copy_(torch.tensor([100.0, -1e4]))
    slopes = jacobian(net, tokens, torch.arange(2))[..., 0]
    assert slopes[:, 1].abs().sum() == 0
    assert overlap(slopes).abs().sum() == 0


@pytest.mark.parametrize("name", sorted(OWN))
def test_the_jacobian_is_that_of_automatic_differentiation(sizes, cells, name) -> None:
    net = TableNet(sizes, name, 2, d_token=6, options=OWN[name], seed=1).train()
    with torch.no_grad():
        for weight in net.backbone.parameters():  # members' scales start at 1, and must count where they do not
            weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel())))
    tokens, units = net.tokens(cells).detach(), torch.tensor([5, 0, 3])
    found = jacobian(net, tokens, units)
    assert net.backbone.training, "dropout is on again afterwards"
    net.eval()
    with sdpa_kernel(SDPBackend.MATH):
        expected = torch.stack([jacrev(lambda t: net._run(net.backbone(t[None]))[0].flatten(1)[0, units])(row) for row in tokens])
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


def test_attributions_match_finite_differences(sizes, cells) -> None:
    net = TableNet(sizes, "mlp", 1, d_token=4, options={"width": 16, "blocks": 2, "dropout": 0.0}).double().eval()
    cells = cells._replace(numbers=cells.numbers.double(), vectors=cells.vectors.double())
    tokens = net.tokens(cells).detach().double()
    slopes = jacobian(net, tokens, torch.arange(16))
    step = 1e-6 * torch.randn(tokens.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    moved = (net.backbone(tokens + step)[0] - net.backbone(tokens - step)[0])[:, 0] / 2
    torch.testing.assert_close(moved / 1e-6, (slopes * step[:, None]).sum((2, 3)) / 1e-6, atol=1e-3, rtol=1e-3)


def test_drawn_pairs_estimate_all_pairs() -> None:
    attributions = torch.rand(64, 40, 9, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    full, drawn = float(overlap(attributions).mean()), float(overlap(attributions, 2000).mean())
    assert abs(drawn - full) < 0.05 * full
    brute = np.mean([abs(np.dot(a, b)) for i, a in enumerate(unit(attributions[0])) for j, b in enumerate(unit(attributions[0])) if i < j])
    assert float(overlap(attributions)[0]) == pytest.approx(brute, rel=1e-4)


def unit(rows: torch.Tensor) -> np.ndarray:
    return (rows / rows.norm(dim=1, keepdim=True)).double().numpy()


def test_the_penalty_reaches_the_weights_of_every_network_of_a_stack(sizes, cells) -> None:
    def made(seed: int) -> TableNet:
        given = (("tangos", (("lambda1", 1.0), ("units", 12))),)
        still = {"category_dropout": 0.0}
        return TableNet(sizes, "mlp", 1, d_token=4, options={"width": 12, "dropout": 0.0}, embedding=still, regularizers=given, seed=seed)

    nets = [made(s) for s in range(3)]
    stack = StackedNet(nets)
    learned = stack.learn(Cells(*(t.expand(3, *t.shape) for t in cells)))
    learned.penalty.sum().backward()
    for g, net in enumerate(nets):
        alone = net.learn(cells).penalty
        alone.sum().backward()
        torch.testing.assert_close(learned.penalty[g], alone, rtol=1e-4, atol=1e-6)  # all 12 units are taken: nothing is left to chance
        grad = stack.net.get_parameter("backbone.first.weight").grad[g]
        torch.testing.assert_close(grad, net.backbone.first.weight.grad, rtol=1e-4, atol=1e-5)


def test_some_rows_and_units_stand_for_all() -> None:
    net, _ = two_units()
    net = TableNet(net._arguments["sizes"], "mlp", 1, d_token=1, options={"width": 24, "blocks": 2, "dropout": 0.0}, seed=2)
    tokens = torch.randn(400, 2, 1, generator=torch.Generator().manual_seed(0))
    hidden = net.backbone(tokens)[0]
    trace = Trace(tokens, hidden, {}, net.head(hidden))
    full = Tangos(1.0, 1.0, units=24, rows=400).penalty(net, trace).detach()
    torch.manual_seed(0)
    some = [Tangos(1.0, 1.0, units=12, rows=50).penalty(net, trace).detach() for _ in range(300)]
    assert all(p.shape == (400,) and (p[50:] == 0).all() for p in some)
    assert float(torch.stack(some).mean()) == pytest.approx(float(full[:50].mean()), rel=0.05)
    torch.testing.assert_close(Tangos(1.0, 1.0, units=24, rows=50).penalty(net, trace)[:50].detach(), 8 * full[:50])


def test_columns_held_and_refusals() -> None:
    assert columns_held(torch.tensor([[8.0, 1.0, 1.0], [5.0, 4.0, 1.0], [0.0, 0.0, 0.0]])).tolist() == [2, 2, 0]
    assert columns_held(torch.eye(3)).tolist() == [1, 1, 1]
    with pytest.raises(RequestError, match="compares hidden units"):
        Tangos(units=1)


def trained(lambda1: float, lambda2: float) -> tuple[float, float]:
    """Return (mean columns that hold 90 % of a unit, mean absolute cosine) of a network trained on a planted table."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 6))
    y = x[:, 0] * x[:, 1] + np.sin(2 * x[:, 2]) + 0.5 * x[:, 3]
    edges = np.linspace(-2, 2, 5, dtype=np.float32)
    sizes = CellSizes(6, (edges,) * 6, (), 0, tuple(range(6)), (), ())
    t = torch.tensor(x, dtype=torch.float32)
    cells = Cells(t, torch.zeros_like(t, dtype=torch.bool), torch.zeros(600, 0, dtype=torch.int64), torch.zeros(600, 0, 0))
    given = () if lambda1 == lambda2 == 0 else (("tangos", (("lambda1", lambda1), ("lambda2", lambda2))),)
    settings = TrainSettings(
        backbone="mlp", width=32, blocks=2, d_token=4, dropout=0.0, batch=64, steps=250, patience=99, muon_lr=0.0, lr=5e-3,
        regularizers=given, precision="fp32", compile=False,
    )  # fmt: skip
    every = np.arange(600)
    fitted = fit_network(
        builder(sizes, settings, 1), cells, y, None, [(every[:500], every[:0])], regression(y), settings, threads=1, device="cpu"
    )  # fmt: skip
    held = columns_held(unit_map(fitted.net, cells)).double()
    tokens = fitted.net.tokens(cells)
    slopes = torch.linalg.vector_norm(jacobian(fitted.net, tokens, torch.arange(32)).detach(), dim=3)
    return float(held[held > 0].mean()), float(overlap(slopes).mean())


def test_lambda1_narrows_units_and_lambda2_parts_them() -> None:
    free, narrow, parted = trained(0, 0), trained(10.0, 0), trained(0, 1.0)
    assert narrow[0] < free[0] - 0.5
    assert parted[1] < 0.8 * free[1]


def test_specialisation_is_the_mean_size() -> None:
    assert specialisation(torch.tensor([[[1.0, -3.0], [0.0, 0.0]]])).tolist() == [1.0]
