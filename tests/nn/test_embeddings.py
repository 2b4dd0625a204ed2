"""Piecewise-linear encodings, the offset table, and one token per column."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pellucid.errors import RequestError
from pellucid.nn.cells import Cells
from pellucid.nn.embeddings import CellEmbedding, LevelTable, PiecewiseLinear, piecewise_linear
from pellucid.nn.embeddings.piecewise import Bins, Linear

EDGES = [np.array([0.0, 1.0, 2.0, 3.0])]


@pytest.mark.parametrize(
    ("x", "clip", "expected"),
    [
        (1.0, False, [1, 0, 0]),
        (1.25, False, [1, 0.25, 0]),
        (3.75, True, [1, 1, 1]),
        (3.75, False, [1, 1, 1.75]),
        (-0.5, False, [-0.5, 0, 0]),
        (-0.5, True, [0, 0, 0]),
    ],
)
def test_lecture_values(x: float, clip: bool, expected: list[float]) -> None:
    assert piecewise_linear(torch.tensor([[x]]), EDGES, clip)[0, 0].tolist() == pytest.approx(expected)


def test_columns_of_unequal_resolution_equal_the_definition() -> None:
    rng = np.random.default_rng(0)
    bins = [np.sort(rng.normal(size=k)) for k in (2, 3, 9, 30)]
    x = rng.normal(size=(200, 4)) * 2
    ours = piecewise_linear(torch.tensor(x, dtype=torch.float32), bins).numpy()
    for j, edges in enumerate(bins):
        e = (x[:, [j]] - edges[:-1]) / np.diff(edges)
        t = len(edges) - 1
        if t > 1:
            e[:, 0], e[:, -1] = np.minimum(e[:, 0], 1), np.maximum(e[:, -1], 0)
            e[:, 1:-1] = e[:, 1:-1].clip(0, 1)
        slots = [*range(t - 1), ours.shape[2] - 1]
        np.testing.assert_allclose(ours[:, j, slots], e, rtol=2e-3, atol=2e-4)
        assert not np.delete(ours[:, j], slots, 1).any()


def test_version_b_starts_as_a_line_and_a_missing_number_has_its_own_vector() -> None:
    layer = PiecewiseLinear([np.linspace(-1, 1, 6)], 4)
    x = torch.tensor([[-0.5], [0.25], [0.9]])
    out = layer(x, torch.tensor([[False], [False], [True]]))
    torch.testing.assert_close(out[:2, 0], layer.line * x[:2] + layer.bias)
    assert torch.equal(out[2], layer.gap)


def test_gradient_of_the_embedding_equals_finite_differences() -> None:
    layer = PiecewiseLinear([np.linspace(-1, 1, 4), np.array([-1.0, 0.3, 1.0])], 3, version="A").double()
    x = torch.tensor([[0.1, -0.4], [0.6, 0.5]], dtype=torch.float64, requires_grad=True)
    none = torch.zeros(2, 2, dtype=torch.bool)
    assert torch.autograd.gradcheck(lambda x: layer(x, none), (x,))


@pytest.mark.parametrize("edges", [[0.0], [0.0, 0.0, 1.0], [1.0, 0.0], [0.0, np.nan]])
def test_unusable_edges_are_refused(edges: list[float]) -> None:
    with pytest.raises(RequestError, match="bin edges of number slot 0"):
        PiecewiseLinear([np.array(edges)], 4)


def test_levels_of_different_columns_never_share_a_row() -> None:
    table = LevelTable((5, 3, 4), 2)
    table.table.data = torch.arange(12.0)[:, None].expand(12, 2).clone()
    codes = torch.stack([torch.arange(60) % s for s in (5, 3, 4)], 1)
    rows = table.eval()(codes)[..., 0].long()
    every = [set(rows[:, j].tolist()) for j in range(3)]
    assert every == [set(range(5)), set(range(5, 8)), set(range(8, 12))]


def test_category_dropout_shows_levels_as_unseen_while_training_only() -> None:
    table = LevelTable((6,), 2, dropout=0.5)
    codes = torch.arange(6).repeat(400)[:, None]
    torch.manual_seed(0)
    hidden = (table.train()(codes)[:, 0] == table.table[1]).all(1).view(400, 6).float().mean(0)
    assert hidden[0] == 0  # missing stays missing
    assert hidden[1] == 1
    # 2,000 draws of one half: five standard errors are 0.056
    assert abs(hidden[2:].mean() - 0.5) < 0.056
    assert torch.equal(table.eval()(codes)[:6, 0], table.table)


def test_every_column_is_one_token_and_its_slots_add_up(sizes, cells) -> None:
    net = CellEmbedding(sizes, 7).eval()
    tokens = net(cells)
    assert tokens.shape == (23, 5, 7)
    slots = net._slots(cells)
    torch.testing.assert_close(tokens[:, 4], slots[:, 2] + slots[:, 5])
    torch.testing.assert_close(tokens[:, 1], slots[:, 3])


def test_column_order_does_not_change_tokens(sizes, cells) -> None:
    one_each = replace(sizes, vector_columns=(4,), number_columns=(0, 2), bins=sizes.bins[:2])
    given = Cells(cells.numbers[:, :2], cells.missing[:, :2], cells.codes, cells.vectors)
    net = CellEmbedding(one_each, 6).eval()
    turned = replace(one_each, number_columns=(4, 1), code_columns=(2, 0), vector_columns=(3,))
    other = CellEmbedding(turned, 6).eval()
    other.load_state_dict(net.state_dict())
    # old column j is new column to[j]
    assert torch.equal(net(given), other(given)[:, [4, 2, 1, 0, 3]])


def test_tokens_stay_float32_inside_autocast(sizes, cells) -> None:
    net = CellEmbedding(sizes, 6).eval()
    with torch.autocast("cpu", torch.bfloat16):
        inside = net(cells)
    assert torch.equal(inside, net(cells))


@pytest.mark.parametrize("number", ["ple", "ple_a", "linear", "plain", "stack", "periodic", "plr", "plr_lite", "pbld", "mlp"])
def test_gradient_reaches_every_parameter(sizes, cells, number: str) -> None:
    net = CellEmbedding(sizes, 6, number=number)
    net(cells).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_the_linear_encoder_reproduces_the_lecture_example() -> None:
    layer = Linear([np.array([0.0, 1.0])], 4)
    layer.line.data[:] = torch.tensor([[0.21, 0.14, 0.31, 0.42]])
    layer.bias.data[:] = 0.43
    out = layer(torch.tensor([[3.3]]), torch.tensor([[False]]))
    assert out.shape == (1, 1, 4)
    assert out[0, 0].tolist() == pytest.approx([1.123, 0.892, 1.453, 1.816])


def test_a_tokenizer_is_bias_plus_value_or_level(sizes, cells) -> None:
    net = CellEmbedding(sizes, 3, number="linear").eval()
    tokens = net(cells)
    known = ~cells.missing[:, 0]
    torch.testing.assert_close(tokens[known, 0], net.numbers.bias[0] + cells.numbers[known, :1] * net.numbers.line[0])
    torch.testing.assert_close(tokens[:, 1], net.levels.table[cells.codes[:, 0]])


@pytest.mark.parametrize("clip", [False, True])
def test_looked_up_bins_equal_the_product_with_the_encoding(clip: bool) -> None:
    edges = [np.array([-1.0, 0.0, 0.25, 3.0]), np.array([0.0, 2.0]), np.array([-5.0, -4.0, 1.0])]
    bins, curve = Bins(edges, clip), torch.randn(3, 3, 5, generator=torch.Generator().manual_seed(0))
    drawn = torch.randn(400, 3, generator=torch.Generator().manual_seed(1)) * 4
    x = torch.cat([drawn, torch.tensor([[-1.0, 0.0, -5.0], [0.25, 2.0, -4.0], [3.0, 1e6, 1.0], [-1e30, -1e30, 1e30]])])
    product = bins(x, curve)
    with torch.no_grad():
        looked_up = bins(x, curve)
    torch.testing.assert_close(looked_up, product, rtol=1e-5, atol=1e-5)
    knots = torch.einsum("nst,std->nsd", piecewise_linear(x, edges, clip), curve)
    torch.testing.assert_close(product, knots, rtol=1e-5, atol=1e-5)


def test_gradients_of_looked_up_bins_are_those_of_the_encoding() -> None:
    edges = [np.array([-1.0, 0.0, 0.25, 3.0]), np.array([0.0, 2.0]), np.array([-5.0, -4.0, 1.0])]
    embedding = PiecewiseLinear(edges, 4)
    draw = torch.Generator().manual_seed(0)
    x, weight = torch.randn(200, 3, generator=draw) * 3, torch.randn(200, 3, 4, generator=draw)
    with torch.no_grad():
        embedding.curve.normal_(generator=draw)
    missing = torch.rand(200, 3, generator=draw) < 0.1
    looked_up = torch.autograd.grad((embedding(x, missing) * weight).sum(), embedding.curve)[0]
    encoded = torch.autograd.grad((embedding(x.clone().requires_grad_(True), missing) * weight).sum(), embedding.curve)[0]
    used = (embedding.bins.slope != 0)[..., None]
    assert int(used.sum()) == 3 + 1 + 2
    torch.testing.assert_close(looked_up * used, encoded * used, rtol=1e-4, atol=1e-3)
