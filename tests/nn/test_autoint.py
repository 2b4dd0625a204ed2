"""AutoInt against the paper's equations written out, and what it learns that a linear model cannot."""

from __future__ import annotations

import pytest
import torch

from pellucid.errors import RequestError
from pellucid.nn.backbones.autoint import AutoInt, InteractionLayer
from pellucid.nn.stack import StackedNet
from pellucid.nn.table_net import TableNet
from pellucid.testing.checks_backbone import some_cells, some_sizes


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_a_layer_equals_the_equations_written_out() -> None:
    torch.manual_seed(0)
    layer, x = InteractionLayer(4, 6, heads=2).eval(), draw(3, 5, 4)
    out, maps = layer(x)
    q, k, v, kept = torch.relu(x @ layer.joint.weight.T + layer.joint.bias).split(6, -1)
    for n in range(3):
        for head in range(2):
            at = slice(3 * head, 3 * head + 3)
            weights = (q[n, :, at] @ k[n, :, at].T / 3**0.5).exp()
            weights = weights / weights.sum(1, keepdim=True)
            torch.testing.assert_close(maps[n, head], weights)
            mixed = torch.relu(weights @ v[n, :, at] + kept[n, :, at])
            joined = mixed if head == 0 else torch.cat([joined, mixed], 1)  # noqa: F821
        torch.testing.assert_close(out[n], torch.nn.functional.layer_norm(joined, (6,)), rtol=1e-4, atol=1e-5)


def test_the_perceptron_stands_beside_the_attention() -> None:
    torch.manual_seed(0)
    both, tokens = AutoInt(4, 8, layers=2, attention_width=6, deep=10).eval(), draw(7, 4, 8)
    hidden = both(tokens)[0]
    assert hidden.shape == (7, 1, 4 * 6 + 10)
    torch.testing.assert_close(hidden[..., 24:], both.deep(tokens)[0])
    alone = AutoInt(4, 8, layers=2, attention_width=6, deep=0).eval()
    alone.load_state_dict({k: v for k, v in both.state_dict().items() if not k.startswith("deep.")})
    torch.testing.assert_close(hidden[..., :24], alone(tokens)[0])


def test_the_maps_are_of_all_layers_and_a_masked_column_has_no_influence() -> None:
    torch.manual_seed(0)
    net, tokens = AutoInt(4, 8, layers=2, attention_width=6, deep=5).eval(), draw(7, 4, 8).requires_grad_()
    masked = torch.zeros(7, 4, dtype=torch.bool)
    masked[:, 1] = True
    hidden, parts = net.explained(tokens, masked)
    torch.testing.assert_close(hidden, net(tokens, masked)[0])
    assert parts["attention"].shape == (7, 2, 2, 4, 4)
    assert not parts["attention"][..., 1].any()
    hidden.square().sum().backward()
    assert not tokens.grad[:, 1].any()
    assert tokens.grad[:, [0, 2, 3]].abs().amax((0, 2)).gt(0).all()
    with pytest.raises(RequestError, match="no multiple of heads"):
        AutoInt(4, 8, heads=4, attention_width=6)


@pytest.mark.parametrize("name", ["autoint", "excelformer"])
def test_networks_side_by_side_answer_as_each_alone(name: str) -> None:
    nets = [TableNet(some_sizes(5), name, 2, d_token=8, seed=s).eval() for s in (0, 1)]
    with torch.no_grad():
        found, parts = StackedNet(nets).eval()(some_cells(7, 5)), StackedNet(nets).eval().named_parts(some_cells(7, 5))
        torch.testing.assert_close(found, torch.cat([net(some_cells(7, 5)) for net in nets], 1), rtol=1e-5, atol=1e-6)
        for g, net in enumerate(nets):
            torch.testing.assert_close(parts["attention"][g], net.named_parts(some_cells(7, 5))["attention"], rtol=1e-5, atol=1e-6)


@pytest.mark.long
def test_it_learns_a_product_of_three_columns_that_a_linear_model_misses() -> None:
    x = draw(8000, 6).sign()
    y = x[:, 0] * x[:, 2] * x[:, 5]
    torch.manual_seed(0)
    net = AutoInt(6, 8, layers=3, attention_width=32, deep=0)
    vectors, head = torch.nn.Parameter(draw(2, 6, 8, seed=3)), torch.nn.Linear(net.width, 1)
    optimizer = torch.optim.Adam([*net.parameters(), vectors, *head.parameters()], 2e-3)

    def answer(rows: torch.Tensor) -> torch.Tensor:
        return head(net(rows[..., None] * vectors[0] + vectors[1])[0])[:, 0, 0]

    for _ in range(1500):
        rows = torch.randint(0, 6000, (256,))
        optimizer.zero_grad()
        (answer(x[rows]) - y[rows]).square().mean().backward()
        optimizer.step()
    with torch.no_grad():
        wrong = float((answer(x[6000:]).sign() != y[6000:]).float().mean())
    line = torch.linalg.lstsq(torch.nn.functional.pad(x[:6000], (0, 1), value=1.0), y[:6000, None]).solution
    linear = float(((torch.nn.functional.pad(x[6000:], (0, 1), value=1.0) @ line)[:, 0].sign() != y[6000:]).float().mean())
    assert linear > 0.4
    assert wrong < 0.02
