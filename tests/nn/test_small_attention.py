"""Attention among few tokens against the formula written out: values, first and second derivatives, under vmap, with dropout."""

from __future__ import annotations

import pytest
import torch
from torch.func import grad, vjp, vmap

from pellucid.nn.attention import Attention, hide
from pellucid.nn.draws import dropout_mask, seed_draws
from pellucid.nn.small_attention import PIECE, attend, softmax


def written_out(joint: torch.Tensor, heads: int, hidden: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    q, k, v = (t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in joint.chunk(3, -1))
    weights = hide(q @ k.mT * q.shape[-1] ** -0.5, hidden).softmax(-1)
    return (weights @ v).transpose(1, 2).flatten(2), weights


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("kind", ["all", "order", "columns"])
@pytest.mark.parametrize(("n", "t", "heads", "e"), [(5, 7, 2, 4), (70, 15, 8, 24), (3, 16, 2, 4), (1, 5, 1, 3), (2, 70, 2, 3)])
def test_values_and_derivatives_equal_the_formula(n: int, t: int, heads: int, e: int, kind: str) -> None:
    joint, torch_draw = draw(n, t, 3 * heads * e).requires_grad_(), torch.Generator().manual_seed(0)
    hidden = {"all": None, "order": torch.ones(t, t).triu(1).bool(), "columns": torch.rand(n, 1, 1, t, generator=torch_draw) < 0.3}[kind]
    found, expected = attend(joint, heads, hidden), written_out(joint, heads, hidden)
    torch.testing.assert_close(found, expected)
    if hidden is not None:
        assert not found[1][hidden.expand_as(found[1]) & ~hidden.expand_as(found[1]).all(-1, keepdim=True)].any()
    by = [draw(*x.shape) for x in expected]
    torch.testing.assert_close(torch.autograd.grad(found, joint, by), torch.autograd.grad(expected, joint, by))
    twice = []
    for rule in (attend, written_out):
        mixed, weights = rule(joint, heads, hidden)
        (slope,) = torch.autograd.grad((mixed * by[0]).sum() + (weights * by[1]).square().sum(), joint, create_graph=True)
        twice.append(torch.autograd.grad(slope.square().sum(), joint)[0])
    torch.testing.assert_close(*twice)


def test_a_batch_is_worked_on_in_several_pieces_here() -> None:
    assert PIECE < 70 * 15 * 3 * 8 * 24


def test_each_result_can_be_differentiated_alone() -> None:
    joint = draw(2, 5, 12).requires_grad_()
    for i in (0, 1):
        slopes = [torch.autograd.grad(rule(joint, 2)[i].square().sum(), joint)[0] for rule in (attend, written_out)]
        torch.testing.assert_close(*slopes)


def test_stacks_of_networks_and_batches_of_gradients_are_right() -> None:
    joint = draw(4, 3, 7, 24)
    torch.testing.assert_close(vmap(lambda x: attend(x, 2)[0])(joint), torch.stack([written_out(x, 2)[0] for x in joint]))
    found, expected = (vmap(grad(lambda x, rule=rule: rule(x, 2)[0].square().sum()))(joint) for rule in (attend, written_out))
    torch.testing.assert_close(found, expected)
    slopes = []
    for rule in (attend, written_out):
        x = joint[0].clone().requires_grad_()
        mixed, pull = vjp(lambda y, rule=rule: rule(y, 2)[0], x)
        several = vmap(lambda g, pull=pull: pull(g)[0])(draw(3, *mixed.shape))
        slopes.append(torch.autograd.grad(several.square().sum(), x)[0])  # as TANGOS does
    torch.testing.assert_close(*slopes)


def test_short_softmax_rows_equal_the_frameworks() -> None:
    for n in (1, 15, 16, 17, 70):
        scores = draw(3, 2, n)
        torch.testing.assert_close(softmax(scores), scores.softmax(-1))
    assert softmax(torch.randn(2, 5, dtype=torch.bfloat16)).dtype == torch.float32


def test_half_precision_comes_out_as_it_went_in_and_near_the_exact_answer() -> None:
    joint = draw(6, 15, 96)
    half = joint.bfloat16().requires_grad_()
    mixed, weights = attend(half, 4)
    assert (mixed.dtype, weights.dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(mixed.double(), written_out(half.double(), 4)[0], rtol=1e-2, atol=1e-2)
    (slope,) = torch.autograd.grad(mixed.sum(), half)
    exact = half.detach().double().requires_grad_()
    (expected,) = torch.autograd.grad(written_out(exact, 4)[0].sum(), exact)
    torch.testing.assert_close(slope.double(), expected, rtol=2e-2, atol=2e-2)


def test_where_every_key_is_hidden_the_weights_are_equal() -> None:
    mixed, weights = attend(draw(2, 5, 12), 2, torch.ones(5, 5, dtype=torch.bool))
    torch.testing.assert_close(weights, torch.full((2, 2, 5, 5), 0.2, dtype=torch.float64))
    assert torch.isfinite(mixed).all()


def test_dropout_hits_its_share_keeps_the_mean_and_the_weights_shown_are_whole() -> None:
    joint = torch.randn(400, 9, 24, generator=torch.Generator().manual_seed(0))
    whole, _ = attend(joint, 2)
    kept = []
    for seed in range(200):
        seed_draws(seed)
        mixed, weights = attend(joint[:20], 2, p=0.25)
        torch.testing.assert_close(weights.sum(-1), torch.ones(20, 2, 9))
        kept.append(mixed)
    error = torch.stack(kept).mean(0) - whole[:20]
    assert float(error.abs().mean()) < 3 * float(torch.stack(kept).std(0).mean()) / 200**0.5
    # values of 1 are heard with the sum of the weights that are left
    ones = joint.clone()
    ones[..., 16:] = 1.0
    equal = torch.cat([torch.zeros_like(ones[..., :16]), ones[..., 16:]], -1)
    seed_draws(3)
    heard = attend(equal, 2, p=0.25)[0].unflatten(-1, (2, 4))[..., 0]
    kept_share = heard * 9 * 0.75  # a binomial of 9 draws
    torch.testing.assert_close(kept_share, kept_share.round(), atol=1e-4, rtol=0)
    assert float(kept_share.mean()) / 9 == pytest.approx(0.75, abs=0.01)
    assert float(dropout_mask((1000, 100), 0.25, joint.device, joint.dtype).mean()) == pytest.approx(1.0, abs=0.02)


# -- what attention makes of it ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["scaled", "dot"])
@pytest.mark.parametrize("queries", [1, 3, 15])
@pytest.mark.parametrize("part_hidden", [False, True])
def test_attention_and_its_gradients_equal_the_full_computation(rule: str, queries: int, part_hidden: bool) -> None:
    torch.manual_seed(0)
    attention, x = Attention(16, 4, rule=rule).eval(), torch.randn(6, 15, 16, requires_grad=True)
    torch.nn.init.normal_(attention.joint.bias)
    masked = torch.rand(6, 15) < 0.4 if part_hidden else None
    q, k, v = attention.joint(x).chunk(3, -1)
    q, k, v = (t.unflatten(-1, (4, 4)).transpose(1, 2) for t in (q * (1 if rule == "scaled" else 2), k, v))
    full = attention.out(written_out_heads(q, k, v, masked))[:, :queries]
    found = attention(x, queries, masked)
    torch.testing.assert_close(found, full, rtol=1e-5, atol=1e-5)
    by, wanted = torch.randn_like(full), [x, *attention.parameters()]
    for a, b in zip(torch.autograd.grad(found, wanted, by), torch.autograd.grad(full, wanted, by)):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=2e-5)


def written_out_heads(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, masked: torch.Tensor | None) -> torch.Tensor:
    weights = hide(q @ k.mT / 2, None if masked is None else masked[:, None, None, :]).softmax(-1)
    return (weights @ v).transpose(1, 2).flatten(2)


def test_one_query_with_dropout_hears_what_the_dropped_weights_give() -> None:
    """With zero queries all weights are equal, so what is heard is a mean over the kept tokens: where those are 1, a count."""
    attention = Attention(4, 1, dropout=0.25)
    with torch.no_grad():
        attention.joint.weight.zero_()
        attention.joint.bias[8:] = 1.0  # the values are their bias, 1
        attention.out.weight.copy_(torch.eye(4))
    heard = attention.train()(torch.randn(4000, 8, 4), 1)[:, 0, 0]
    counts = heard.detach() * 8 * 0.75
    torch.testing.assert_close(counts, counts.round(), atol=1e-4, rtol=0)
    assert float(counts.mean()) == pytest.approx(6.0, abs=0.1)
    assert float(counts.var()) == pytest.approx(8 * 0.25 * 0.75, rel=0.15)
