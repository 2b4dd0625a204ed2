"""The additive model: its sum, its pure terms, its screen of pairs."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from listed_sums import build, check_the_direction, check_the_sum, shaken, train, trained

from pellucid.errors import RequestError
from pellucid.nn.backbones.pairs import pair_gains, screen_pairs
from pellucid.nn.cells import Cells
from pellucid.testing.checks_backbone import some_cells, some_sizes


def test_the_terms_add_up_after_training() -> None:
    net, cells = trained("additive")
    assert net.backbone.pairs == tuple(combinations(range(5), 2))
    assert net.named_parts(cells)["pairs"].shape == (300, 10, 2)
    check_the_sum(net, cells)


def test_terms_are_centred_and_pure() -> None:
    net, cells = trained("additive")
    for _ in range(300):  # the running means come to rest on the trained tokens
        with torch.no_grad():
            net.train()(cells)
    parts = net.eval().named_parts(cells)
    own = parts["contributions"].detach()
    spread = own.std(0)
    assert float((own.mean(0).abs() / spread.clamp(min=0.1)).max()) < 0.02
    # over independent columns (every number of column 0 with every number of column 2) a pair says nothing of one column alone
    a, b = cells.numbers[:40, 0], cells.numbers[:, 1]
    n = 40 * 300
    numbers = torch.stack([a.repeat_interleave(300), b.repeat(40), torch.zeros(n)], 1)
    grid = Cells(numbers, torch.zeros(n, 3, dtype=torch.bool), torch.full((n, 2), 2), torch.zeros(n, 0, 0))
    with torch.no_grad():
        pair = net.named_parts(grid)["pairs"][:, net.backbone.pairs.index((0, 2))].view(40, 300, 2)
    assert float(pair.std()) > 0.01
    # the missing cells of column 2 stand at a learned number, so its mean is that of the training rows but for them
    assert float(pair.detach().mean(1).abs().max()) < 0.1 * float(pair.abs().max())


def test_masked_columns_stand_at_their_means() -> None:
    net, cells = trained("additive")
    tokens = net.tokens(cells)
    masked = torch.zeros(300, 5, dtype=torch.bool)
    masked[:, 1] = True
    moved = tokens.clone()
    moved[:, 1] += 1
    with torch.no_grad():
        assert torch.equal(net.outputs_from_tokens(tokens, masked), net.outputs_from_tokens(moved, masked))
        own = net.backbone.explained(tokens, masked)[1]["contributions"][:, 1]
    assert float((own - own[:1]).abs().max()) < 1e-5


def test_gains_equal_the_sums_taken_pair_by_pair() -> None:
    rng = np.random.default_rng(0)
    codes, y = rng.integers(0, 3, (200, 4)), rng.normal(size=(200, 1))
    weights = rng.integers(1, 4, 200).astype(float)
    gains = pair_gains(codes, 3, y, weights)
    w = weights / weights.mean()
    z = np.eye(3)[codes].reshape(200, -1)
    centred = y[:, 0] - np.average(y[:, 0], weights=w)
    left = centred - z @ np.linalg.solve(z.T @ (z * w[:, None]) + np.eye(12), z.T @ (w * centred))
    noise = np.average(left**2, weights=w)
    for i, j in combinations(range(4), 2):
        expected = 0.0
        for a in range(3):
            for b in range(3):
                cell = (codes[:, i] == a) & (codes[:, j] == b)
                expected += (w * left)[cell].sum() ** 2 / w[cell].sum() / noise - 1
        assert gains[i, j] == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_the_screen_finds_planted_pairs() -> None:
    cells, sizes = some_cells(3000, 7), some_sizes(7)
    x, c = cells.numbers.numpy(), cells.codes.numpy()
    noise = np.random.default_rng(0).normal(size=3000)
    y = 2 * x[:, 0] + x[:, 1] * x[:, 2] + (c[:, 0] == 3) * x[:, 3] + np.sin(x[:, 1]) + 0.5 * noise
    assert set(screen_pairs(cells, sizes, y[:, None], None, 2)) == {(2, 4), (1, 6)}
    assert screen_pairs(cells, sizes, y[:, None], None, 1, barred=(2, 4)) == ((1, 6),)
    assert screen_pairs(cells, sizes, y[:, None], None, 0) == ()


def test_it_learns_curves_and_a_product() -> None:
    sizes, cells, new = some_sizes(5), some_cells(2000, 5), some_cells(1000, 5, seed=1)
    target = lambda c: (torch.sin(2 * c.numbers[:, 0]) + c.numbers[:, 1] * c.numbers[:, 2] + 0.5 * (c.codes[:, 0] == 3))[:, None]  # noqa: E731
    loose = {"smooth": 1e-5, "ridge": 1e-5, "shrink": 0.0, "shrink_pairs": 0.0}
    net = train(build("additive", outputs=1, sizes=sizes, pairs=((2, 4),), **loose), cells, target(cells), 250, 0.03)
    with torch.no_grad():
        left = (net(new)[:, 0] - target(new)).var() / target(new).var()
    assert float(left) < 0.1  # four knots draw a sine roughly
    alone = train(build("additive", outputs=1, sizes=sizes, pairs=(), **loose), cells, target(cells), 250, 0.03)
    with torch.no_grad():
        assert float((alone(new)[:, 0] - target(new)).var() / target(new).var()) > 0.2


@pytest.mark.parametrize("sign", [1, -1])
def test_monotone_columns_go_one_way(sign: int) -> None:
    net, _ = trained("additive", monotone=((0, sign),))
    assert all(0 not in pair for pair in net.backbone.pairs)
    check_the_direction(net, 0, sign)
    check_the_direction(shaken(net), 0, sign)


def test_pairs_that_do_not_exist_are_refused() -> None:
    for pairs in (((0, 0),), ((0, 5),), ((1, 2, 3),)):
        with pytest.raises(RequestError, match="no pair"):
            build("additive", pairs=pairs)
    with pytest.raises(RequestError, match="monotone"):
        build("additive", monotone={7: 1})
