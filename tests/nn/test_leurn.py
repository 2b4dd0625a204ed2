"""LEURN: its staircase, its sum, its rules."""

from __future__ import annotations

import pytest
import torch
from listed_sums import check_the_direction, check_the_sum, shaken, trained

from pellucid.nn.backbones.leurn import intervals, levels_inside, quantised, staircase


def test_the_staircase_and_its_gradient() -> None:
    x = torch.tensor([-2.0, -0.3, 0.0, 0.3, 2.0], requires_grad=True)
    at = x.detach()
    assert quantised(at, 2).tolist() == [-1, -1, 1, 1, 1]
    assert quantised(at, 3).tolist() == [-1, 0, 0, 0, 1]
    torch.testing.assert_close(quantised(at, 0), torch.tanh(at))
    assert float((quantised(at, 1001) - torch.tanh(at)).abs().max()) < 1e-3
    for levels in (2, 3, 9):
        step = staircase(levels)
        assert len(step) == levels - 1
        climbed = quantised(step + 1e-4, levels) - quantised(step - 1e-4, levels)
        torch.testing.assert_close(climbed, torch.full_like(step, 2 / (levels - 1)))
    quantised(x, 2).sum().backward()
    torch.testing.assert_close(x.grad, 1 - torch.tanh(x.detach()) ** 2)


@pytest.mark.parametrize("options", [{}, {"levels": 0}, {"levels": 5, "layers": 2}, {"layers": 1}])
def test_the_findings_add_up_after_training(options: dict) -> None:
    net, cells = trained("leurn", number="stack", **options)
    check_the_sum(net, cells)
    parts = net.named_parts(cells)
    torch.testing.assert_close(parts["rules"].sum(2), parts["contributions"])


def test_intervals_are_the_tightest() -> None:
    torch.manual_seed(0)
    x, t = torch.randn(6, 3), torch.randn(6, 3, 4, 2)
    low, high = intervals(x, t)
    for n in range(6):
        for c in range(3):
            checked = t[n, c].flatten().tolist()
            below, above = [v for v in checked if v <= x[n, c]], [v for v in checked if v > x[n, c]]
            assert low[n, c] == max(below, default=-torch.inf)
            assert high[n, c] == min(above, default=torch.inf)


@pytest.mark.parametrize("levels", [2, 3, 9])
def test_inside_its_intervals_a_row_keeps_its_output(levels: int) -> None:
    net, cells = trained("leurn", number="stack", levels=levels)
    parts = net.named_parts(cells)
    low, high = intervals(net.tokens(cells)[..., 0], parts["thresholds"])
    generator = torch.Generator().manual_seed(0)
    tokens = net.tokens(cells).detach().clone()
    for column in (0, 2, 4):  # numbers, all of them moved at once
        a, b = low[:, column].clamp(min=-5), high[:, column].clamp(max=5)
        tokens[:, column] = (a + (0.001 + 0.998 * torch.rand(300, generator=generator)) * (b - a))[:, None]
    with torch.no_grad():
        before, after = net(cells), net.outputs_from_tokens(tokens)
    assert float((before - after).abs().max()) < 1e-5
    outside = tokens.clone()
    outside[:, 0] = (high[:, 0].clamp(max=5) + 0.01)[:, None]
    with torch.no_grad():
        assert float((before - net.outputs_from_tokens(outside)).abs().max()) > 1e-3


def test_levels_inside_are_those_that_change_nothing() -> None:
    net, cells = trained("leurn", number="stack")
    parts, tokens = net.named_parts(cells), net.tokens(cells).detach()
    levels = net.embedding.levels.table[:5].detach()  # of the first level column, column 1 of the table
    inside = levels_inside(levels, tokens[:, 1], parts["thresholds"][:, 1])
    assert bool(inside[torch.arange(300), cells.codes[:, 0]].all())  # its own level
    with torch.no_grad():
        for s in range(5):
            swapped = tokens.clone()
            swapped[:, 1] = levels[s]
            same = (net.outputs_from_tokens(swapped) - net(cells)).abs().amax((1, 2)) < 1e-5
            assert bool(same[inside[:, s]].all())


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("levels", [2, 0])
def test_monotone_columns_go_one_way(sign: int, levels: int) -> None:
    net, _ = trained("leurn", number="stack", levels=levels, monotone={0: sign, 4: 1})
    for column, way in ((0, sign), (4, 1)):
        check_the_direction(net, column, way)
    check_the_direction(shaken(net), 0, sign)
