"""Kolmogorov-Arnold network: its splines, its curves, its shares, its selectors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from listed_sums import build, check_the_direction, check_the_sum, shaken, train, trained
from scipy.interpolate import BSpline

from pellucid.errors import RequestError
from pellucid.nn.backbones.kan import KAN, KANLayer, importance
from pellucid.nn.cells import Cells, CellSizes
from pellucid.nn.splines import b_spline, even_spline, rising, smooth_clip, uniform_knots


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_splines_equal_scipys(degree: int) -> None:
    knots = uniform_knots(-1.0, 1.0, 5, degree)
    x = torch.linspace(-1, 1, 101, dtype=torch.float64)
    ours = b_spline(x, knots, degree).numpy()
    theirs = BSpline.design_matrix(x.numpy().clip(-1 + 1e-6, 1 - 1e-6), knots.double().numpy(), degree).toarray()
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    np.testing.assert_allclose(ours.sum(1), 1, atol=1e-6)
    assert float(b_spline(torch.tensor([9.0, -9.0]), knots, degree).abs().max()) == 0


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_even_splines_equal_the_recursion(degree: int) -> None:
    x = torch.linspace(-3, 3, 301, dtype=torch.float64)
    expected = b_spline(x, uniform_knots(-3.0, 3.0, 7, degree), degree)
    torch.testing.assert_close(even_spline(x, -3.0, 3.0, 7, degree), expected, atol=1e-5, rtol=0)


def test_degree_one_is_the_piecewise_linear_curve_through_its_coefficients() -> None:
    knots, c = uniform_knots(-3.0, 3.0, 6, 1), torch.randn(7, generator=torch.Generator().manual_seed(0))
    x = torch.linspace(-2.9, 2.9, 50)
    expected = np.interp(x.numpy(), np.linspace(-3, 3, 7), c.numpy())
    np.testing.assert_allclose((b_spline(x, knots, 1) @ c).numpy(), expected, atol=1e-5)


def test_rising_coefficients_make_a_curve_that_never_falls() -> None:
    c = rising(torch.randn(20, 8, generator=torch.Generator().manual_seed(0)))
    x = smooth_clip(torch.linspace(-50, 50, 2001))
    curve = b_spline(x, uniform_knots(-3.0, 3.0, 5, 3), 3) @ c.T
    assert float(curve.diff(dim=0).min()) >= -1e-5


@pytest.mark.parametrize("hidden", [(), (6,), (5, 4)])
def test_the_shares_add_up_after_training(hidden: tuple[int, ...]) -> None:
    net, cells = trained("kan", hidden=hidden)
    check_the_sum(net, cells)


def test_without_hidden_layers_the_shares_are_the_curves() -> None:
    net, cells = trained("kan", hidden=(), d_token=1)
    x = net.tokens(cells)[:, 2, 0].detach()
    curve = net.backbone.curves(2, x) - net.backbone.curves(2, torch.zeros(1))
    torch.testing.assert_close(net.named_parts(cells)["contributions"][:, 2], curve, rtol=1e-4, atol=1e-5)


def test_a_layer_is_the_sum_of_its_edges() -> None:
    torch.manual_seed(0)
    layer = KANLayer(4, 3)
    x = 2 * torch.randn(20, 4)
    torch.testing.assert_close(layer(x), layer.edges(x).sum(2), rtol=1e-4, atol=1e-5)


def _two_numbers(n: int, seed: int) -> tuple[Cells, torch.Tensor]:
    x = torch.rand(n, 2, generator=torch.Generator().manual_seed(seed)) * 4 - 2
    cells = Cells(x, torch.zeros(n, 2, dtype=torch.bool), torch.zeros(n, 0, dtype=torch.int64), torch.zeros(n, 0, 0))
    return cells, (torch.sin(x[:, 0]) + x[:, 1] ** 2)[:, None]


SIZES = CellSizes(2, (np.linspace(-2, 2, 5, dtype=np.float32),) * 2, (), 0, (0, 1), (), ())


@pytest.mark.parametrize(("hidden", "degree"), [((), 3), ((), 1), ((5,), 3)])
def test_it_fits_a_sine_and_a_square(hidden: tuple[int, ...], degree: int) -> None:
    (cells, y), (new, truth) = _two_numbers(1000, 0), _two_numbers(1000, 1)
    net = train(build("kan", outputs=1, d_token=1, sizes=SIZES, hidden=hidden, degree=degree, penalty=0.0), cells, y, 300, 0.03)
    with torch.no_grad():
        left = (net(new)[:, 0] - truth).square().mean() / truth.var()
    assert 1 - float(left) > 0.99
    if not hidden:  # the drawn curves are the truth's, up to a constant
        grid = torch.linspace(-1.9, 1.9, 50)
        for column, right in ((0, torch.sin(grid)), (1, grid**2)):
            drawn = net.backbone.curves(column, grid)[:, 0]
            assert float(torch.corrcoef(torch.stack([drawn, right]))[0, 1]) > 0.99


def test_the_selectors_rank_what_matters_first() -> None:
    cells, y = _two_numbers(1000, 0)
    x = torch.cat([cells.numbers, torch.randn(1000, 2, generator=torch.Generator().manual_seed(2))], 1)
    wide = Cells(x, torch.zeros(1000, 4, dtype=torch.bool), cells.codes, cells.vectors)
    sizes = CellSizes(4, (np.linspace(-2, 2, 5, dtype=np.float32),) * 4, (), 0, (0, 1, 2, 3), (), ())
    net = train(build("kan", outputs=1, d_token=1, sizes=sizes, hidden=(), penalty=0.03), wide, y, 300, 0.03)
    loss = lambda out: (out - y).square().mean()  # noqa: E731
    for selector in ("L1", "L2", "SI", "KO"):
        found = importance(net.backbone, net.tokens(wide), selector, loss).detach()
        assert found.shape == (4,)
        assert float(found[:2].min()) > 2 * float(found[2:].max()), selector
    with pytest.raises(RequestError, match="selector"):
        importance(net.backbone, net.tokens(wide), "KO")
    torch.manual_seed(0)
    free, held = KAN(4, 1, 1, penalty=0.0), KAN(4, 1, 1, penalty=1.0)
    assert float(free(x[..., None])[1]["penalty"].detach().max()) == 0 < float(held(x[..., None])[1]["penalty"].detach().min())


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("hidden", [(), (8,), (6, 6)])
def test_monotone_columns_go_one_way(sign: int, hidden: tuple[int, ...]) -> None:
    net, cells = trained("kan", hidden=hidden, monotone={0: sign})
    check_the_sum(net, cells)
    check_the_direction(net, 0, sign)
    check_the_direction(shaken(net), 0, sign)
