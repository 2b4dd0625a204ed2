"""TabTransformer: who attends, what passes by, and the meaning a level gets from its row."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pellucid.nn.backbones.tabtransformer import TabTransformer
from pellucid.nn.table_net import TableNet
from pellucid.testing.checks_backbone import some_sizes

SIZES = some_sizes(5)  # numbers at 0, 2, 4; levels at 1, 3


def made(**options) -> TabTransformer:
    torch.manual_seed(0)
    return TabTransformer(5, 8, SIZES, **{"layers": 2, "heads": 2, "width": 16, **options}).eval()


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_only_categories_attend_unless_numbers_are_let_in() -> None:
    tokens = draw(6, 5, 8)
    assert made().explained(tokens)[1]["attention"].shape == (6, 2, 2, 2, 2)
    assert made(attend_numbers=True).explained(tokens)[1]["attention"].shape == (6, 2, 2, 5, 5)
    other = tokens.clone()
    other[:, [0, 2, 4]] += 1.0
    torch.testing.assert_close(made().explained(other)[1]["contextual"], made().explained(tokens)[1]["contextual"])
    assert not torch.allclose(made()(other)[0], made()(tokens)[0])  # they do reach the perceptron


def test_the_same_level_has_another_vector_in_another_row() -> None:
    net, tokens = made(), draw(2, 5, 8)
    tokens[1, 1] = tokens[0, 1]  # the same level of column 1, beside another level of column 3
    contextual = net.explained(tokens)[1]["contextual"]
    assert not torch.allclose(contextual[0, 0], contextual[1, 0], atol=1e-3)
    tokens[1, 3] = tokens[0, 3]
    contextual = net.explained(tokens)[1]["contextual"]
    torch.testing.assert_close(contextual[0], contextual[1])


def test_a_vector_shared_by_all_levels_says_which_column_speaks() -> None:
    net, tokens = made(), draw(3, 5, 8)
    start = net._start(tokens, None)[0]
    torch.testing.assert_close(start[..., :7], tokens[:, [1, 3], :7])
    torch.testing.assert_close(start[..., 7:], net.column.expand(3, 2, 1))
    # equal tokens of two columns are told apart by it
    tokens[:, 3] = tokens[:, 1]
    contextual = net.explained(tokens)[1]["contextual"]
    assert not torch.allclose(contextual[:, 0], contextual[:, 1], atol=1e-3)


@pytest.mark.parametrize("normalise", [False, True])
def test_numbers_pass_side_by_side_normalised_where_asked(normalise: bool) -> None:
    net, tokens = made(normalise=normalise), draw(3, 5, 8)
    flat = tokens[:, [0, 2, 4]].flatten(1)
    scaled = (flat - flat.mean(1, keepdim=True)) / (flat.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    expected = scaled if normalise else flat
    seen = []
    net.mlp[0].register_forward_hook(lambda module, given, out: seen.append(given[0]))
    net(tokens)
    torch.testing.assert_close(seen[0][:, 16:], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("attend_numbers", [False, True])
def test_a_masked_column_has_no_influence_and_both_paths_agree(attend_numbers: bool) -> None:
    net, tokens = made(attend_numbers=attend_numbers), draw(6, 5, 8)
    for column in range(5):
        masked = torch.zeros(6, 5, dtype=torch.bool)
        masked[:, column] = True
        given = tokens.clone().requires_grad_()
        hidden = net(given, masked)[0]
        torch.testing.assert_close(hidden, net.explained(given, masked)[0])
        hidden.square().sum().backward()
        assert not given.grad[:, column].any()
        assert all(bool(given.grad[:, other].any()) for other in range(5) if other != column)


def test_tables_of_numbers_alone_and_of_levels_alone_are_served() -> None:
    for sizes in (
        replace(SIZES, n_columns=3, number_columns=(0, 1, 2), code_columns=(), cardinalities=()),
        replace(SIZES, n_columns=2, number_columns=(), bins=(), code_columns=(0, 1)),
    ):
        net = TableNet(sizes, "tabtransformer", 2, d_token=8)
        tokens = draw(4, sizes.n_columns, 8)
        net.outputs_from_tokens(tokens).sum().backward()
        dead = [n for n, p in net.backbone.named_parameters() if p.grad is None]
        assert not dead
