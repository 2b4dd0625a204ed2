"""The training pass that is written out by hand against the same network through its modules."""

from __future__ import annotations

import copy

import pytest
import torch

from pellucid.nn.backbones.tabnet import TabNet
from pellucid.nn.backbones.tabnet_pass import Places


def _pair(**options: object) -> tuple[TabNet, TabNet]:
    """Return a network whose norms differ from their start, and a copy that goes through the modules."""
    torch.manual_seed(0)
    ours = TabNet(5, **{"d_token": 1, "n_d": 4, "n_a": 3, "group": 16, "lambda_sparse": 0.5, **options})  # type: ignore[arg-type]
    for name, p in ours.named_parameters():
        if "norm" in name:
            p.data += 0.3 * torch.randn_like(p)
    other = copy.deepcopy(ours)
    other._learns = lambda *_: False  # type: ignore[method-assign]
    return ours, other


def _step(net: TabNet, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return results, gradients and records of one pass."""
    g = torch.Generator().manual_seed(1)
    tokens = tokens.clone().requires_grad_()
    hidden, parts = net(tokens)
    goal = (hidden * torch.randn(hidden.shape, generator=g)).sum() + (parts["penalty"] * torch.randn(len(tokens), generator=g)).sum()
    goal.backward()
    found = {"hidden": hidden.detach(), "penalty": parts["penalty"].detach(), "tokens": tokens.grad}
    return found | {n: p.grad for n, p in net.named_parameters()} | {n: b.clone() for n, b in net.named_buffers()}  # type: ignore[return-value]


# a group of 16: whole groups; 9 left (their own group); 3 left (they join the last one); less than a group; one and a bit; two rows
@pytest.mark.parametrize("rows", [64, 57, 51, 11, 19, 2])
def test_results_gradients_and_records_are_the_same(rows: int) -> None:
    ours, other = _pair()
    tokens = torch.randn(rows, 5, 1)
    one, two = _step(ours, tokens), _step(other, tokens)
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=2e-3, atol=2e-4, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize(
    "options",
    [
        {"d_token": 3}, {"mask": "entmax"}, {"n_shared": 0}, {"n_own": 0}, {"n_steps": 1}, {"n_steps": 4, "gamma": 1.1},
        {"lambda_sparse": 0.0}, {"pace": 0.2}, {"n_a": 1},
    ],
)  # fmt: skip
def test_every_form_of_the_network_is_covered(options: dict) -> None:
    ours, other = _pair(**options)
    tokens = torch.randn(40, 5, ours.d_token)
    one, two = _step(ours, tokens), _step(other, tokens)
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=2e-3, atol=2e-4, msg=lambda text, name=name: f"{name}: {text}")


def test_gradients_equal_finite_differences() -> None:
    """Along a random direction of the last layers' matrix, in the loss of the training pass itself."""
    net = _pair(momentum=0.0)[0]
    tokens, weight = torch.randn(48, 5, 1), net.steps[0].layers[3].weight

    def loss() -> torch.Tensor:
        hidden, parts = net(tokens)
        return hidden.square().mean() + parts["penalty"].mean()

    loss().backward()
    direction = torch.randn_like(weight)
    ends = []
    with torch.no_grad():
        for sign in (1, -1):
            weight += sign * 2e-3 * direction
            ends.append(float(loss()))
            weight -= sign * 2e-3 * direction
    assert (ends[0] - ends[1]) / 4e-3 == pytest.approx(float((weight.grad * direction).sum()), rel=0.05, abs=1e-3)


def test_who_needs_the_modules_gets_them() -> None:
    net, tokens = _pair()[0], torch.randn(6, 5, 1)
    assert net._learns(6, None)
    assert not net._learns(1, None)
    assert not net._learns(6, torch.zeros(6, 5, dtype=torch.bool))
    assert not TabNet(5, 1, gamma=1.0)._learns(6, None)
    seen = []
    torch.func.vmap(lambda t: seen.append(net._learns(6, None)) or t)(tokens)
    assert seen == [False]
    assert not net.eval()._learns(6, None)


def test_a_weight_changed_before_the_way_back_is_noticed() -> None:
    net = _pair()[0]
    hidden, _ = net(torch.randn(20, 5, 1))
    with torch.no_grad():
        net.shared[0].weight.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        hidden.sum().backward()


@pytest.mark.parametrize("rows", [64, 57, 51, 11])
def test_rows_keep_their_order_and_added_places_hold_zero(rows: int) -> None:
    size = 16
    n, left = divmod(rows, size)
    blocks = {64: ((0, 4, 16),), 57: ((0, 3, 16), (48, 1, 9)), 51: ((0, 2, 16), (32, 1, 19)), 11: ((0, 1, 11),)}[rows]
    places, x = Places(blocks, torch.device("cpu")), torch.randn(rows, 3)
    filled = places.fill(x)
    assert torch.equal(places.rows_of(filled), x)
    torch.testing.assert_close(filled.sum(1), x.sum(0))
    torch.testing.assert_close((places.grouped(filled).sum(2) * places.share[:, 0])[:, 0], x[: places.sizes[0]].mean(0))
    assert torch.equal(places.clear(torch.ones_like(filled)) != 0, places.fill(torch.ones(rows, 3)) != 0)
    assert (n, left) == divmod(sum(places.sizes), size)
