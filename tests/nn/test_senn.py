"""The self-explaining network: its sum, and coefficients that hold still."""

from __future__ import annotations

import pytest
import torch
from listed_sums import check_the_direction, check_the_sum, shaken, trained

from pellucid.nn.table_net import TableNet


@pytest.mark.parametrize("number", ["plain", "ple"])
def test_concepts_times_coefficients_add_up_after_training(number: str) -> None:
    net, cells = trained("senn", number=number, width=32)
    check_the_sum(net, cells)
    parts = net.named_parts(cells)
    torch.testing.assert_close(parts["coefficients"] * parts["concepts"][..., None], parts["contributions"])
    assert float(parts["coefficients"].std(0).max()) > 0.01, "every row has the same coefficients"


def test_a_concept_reads_its_own_column() -> None:
    net, cells = trained("senn", width=32)
    tokens = net.tokens(cells)
    moved = tokens.clone()
    moved[:, 2] += 1
    with torch.no_grad():
        apart = (net.backbone._concepts(moved) - net.backbone._concepts(tokens)).abs().amax(0)
    assert apart[2] > 0
    assert float(apart[[0, 1, 3, 4]].max()) == 0


@torch.no_grad()
def _lipschitz(net: TableNet, tokens: torch.Tensor) -> float:
    """Return the mean over rows of the largest change of the coefficients over the distance moved, by 20 small random moves."""
    generator = torch.Generator().manual_seed(0)
    at = net.backbone._coefficients(tokens)
    ratios = []
    for _ in range(20):
        step = 0.05 * torch.randn(tokens.shape, generator=generator)
        change = (net.backbone._coefficients(tokens + step) - at).square().sum((1, 2)).sqrt()
        ratios.append(change / step.square().sum((1, 2)).sqrt())
    return float(torch.stack(ratios).amax(0).mean())


def test_the_penalty_holds_the_coefficients_still() -> None:
    (free, cells), (held, _) = trained("senn", width=32, stability=0.0), trained("senn", width=32, stability=0.1)
    assert _lipschitz(held, held.tokens(cells)) < 0.7 * _lipschitz(free, free.tokens(cells))


def test_the_penalty_is_paid_while_learning_alone() -> None:
    net, cells = trained("senn", width=32)
    assert float(net.learn(cells).penalty.abs().max()) == 0
    assert float(net.train().learn(cells).penalty.min()) > 0


@pytest.mark.parametrize("sign", [1, -1])
def test_monotone_columns_go_one_way(sign: int) -> None:
    net, _ = trained("senn", width=32, monotone={0: sign, 4: 1})
    for column, way in ((0, sign), (4, 1)):
        check_the_direction(net, column, way)
    check_the_direction(shaken(net), 0, sign)
