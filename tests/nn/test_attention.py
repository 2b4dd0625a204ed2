"""The attention rules against their formulas, the framework, and each other; pooling of tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from pellucid.errors import RequestError
from pellucid.nn.attention import RULES, Additive, Attention, Dot, Gaussian, Scaled, importance_factor
from pellucid.nn.backbones.ft_transformer import FTTransformer, LabelTransformer
from pellucid.nn.heads import LabelPool, MeanPool, MemberHead, MomentPool


def draws(*shapes: tuple[int, ...], seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in shapes]


def trained(net: torch.nn.Module, x: torch.Tensor, y: torch.Tensor, steps: int, lr: float = 3e-3, batch: int = 256, loss=None) -> float:
    """Train on all but the last quarter of the rows; return the mean loss of that quarter."""
    torch.manual_seed(0)
    loss = loss or (lambda out, goal: (out.reshape(goal.shape) - goal).square().mean())
    optimizer, cut = torch.optim.Adam(net.parameters(), lr), 3 * len(x) // 4
    for _ in range(steps):
        rows = torch.randint(0, cut, (batch,))
        optimizer.zero_grad()
        loss(net(x[rows]), y[rows]).backward()
        optimizer.step()
    with torch.no_grad():
        return float(loss(net.eval()(x[cut:]), y[cut:]))


class Net(torch.nn.Module):
    """Numbers to tokens (a line per column), a backbone, a linear head or none."""

    def __init__(self, columns: int, d_token: int, backbone: torch.nn.Module, outputs: int = 1, head: bool = True) -> None:
        super().__init__()
        self.line = torch.nn.Parameter(torch.randn(columns, d_token, generator=torch.Generator().manual_seed(5)))
        self.shift = torch.nn.Parameter(torch.randn(columns, d_token, generator=torch.Generator().manual_seed(6)))
        self.backbone = backbone
        self.head = MemberHead(1, backbone.width, outputs) if head else torch.nn.Identity()

    def tokens(self, x: torch.Tensor) -> torch.Tensor:
        return x[..., None] * self.line + self.shift

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.backbone(self.tokens(x))[0])


# -- the rules against their formulas ----------------------------------------------------------------------------------------


def test_the_scaled_rule_equals_the_frameworks_kernel_and_its_own_weights() -> None:
    q, k, v = draws((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 4))
    hidden = torch.rand(2, 1, 1, 7, generator=torch.Generator().manual_seed(1)) < 0.3
    hidden[..., 0] = False
    for mask in (None, hidden):
        expected = functional.scaled_dot_product_attention(q, k, v, attn_mask=None if mask is None else ~mask)
        rule = Scaled(3, 4).eval()
        torch.testing.assert_close(rule(q, k, v, mask), expected, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(rule.weights(q, k, mask) @ v, expected, rtol=1e-5, atol=1e-6)


def test_the_dot_rule_equals_the_matrix_formula_and_its_variance_grows_with_the_width() -> None:
    q, k, v = draws((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 4))
    scores = torch.einsum("nhte,nhse->nhts", q, k)
    weights = scores.exp() / scores.exp().sum(-1, keepdim=True)
    torch.testing.assert_close(Dot(3, 4).eval()(q, k, v), torch.einsum("nhts,nhse->nhte", weights, v), rtol=1e-5, atol=1e-6)
    for width in (4, 64):
        q, k = draws((1, 1, 300, width), (1, 1, 300, width))
        assert float(Dot(1, width).scores(q, k).var()) == pytest.approx(width, rel=0.1)
        assert float(Scaled(1, width).scores(q, k).var()) == pytest.approx(1, rel=0.1)


def test_the_additive_rule_equals_the_formula_written_out_also_for_keys_of_another_width() -> None:
    torch.manual_seed(0)
    rule = Additive(2, 4, key_width=6, inner=3).eval()
    q, k, v = draws((1, 2, 3, 4), (1, 2, 5, 6), (1, 2, 5, 4))
    for h in range(2):
        for t in range(3):
            scores = torch.stack(
                [rule.vote[h] @ torch.tanh(rule.of_query[h].T @ q[0, h, t] + rule.of_key[h].T @ k[0, h, s]) for s in range(5)]
            )
            torch.testing.assert_close(rule(q, k, v)[0, h, t], scores.softmax(0) @ v[0, h], rtol=1e-5, atol=1e-6)


def test_the_gaussian_rule_is_a_product_of_densities_that_sums_to_one() -> None:
    torch.manual_seed(0)
    rule = Gaussian(2, 3, gaussians=4).eval()
    rule.offset.data.normal_()
    rule.log_spread.data.mul_(0.3)
    k, v = draws((2, 2, 6, 3), (2, 2, 6, 3))
    found = rule.entry_weights(k)
    torch.testing.assert_close(found.sum(-2), torch.ones(2, 2, 3))
    variance = k.var(-2, unbiased=False, keepdim=True)[..., None] + 1e-5
    apart = (k - k.mean(-2, keepdim=True))[..., None] - rule.offset
    spread = rule.log_spread.exp()
    density = torch.exp(-apart.square() / (2 * variance * spread.square())) / (2 * torch.pi * spread.square()).sqrt()
    product = density.double().prod(-1)
    torch.testing.assert_close(found.double(), product / product.sum(-2, keepdim=True), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(rule(k, k, v), 6 * found * v + (found * v).sum(-2, keepdim=True), rtol=1e-5, atol=1e-6)
    # far from every centre each density is 0 in float32: their quotient still stands
    rule.log_spread.data.fill_(-6.0)
    assert torch.isfinite(rule.entry_weights(1e3 * k)).all()
    torch.testing.assert_close(rule.entry_weights(1e3 * k).sum(-2), torch.ones(2, 2, 3))


def test_the_global_query_gives_one_distribution_a_head_to_all_tokens() -> None:
    torch.manual_seed(0)
    attention, (x,) = Attention(8, 2, rule="global_query").eval(), draws((3, 5, 8))
    maps = attention.weights(x)
    assert maps.shape == (2, 3, 5, 5)
    torch.testing.assert_close(maps, maps[:, :, :1].expand_as(maps))
    k, v = (t.unflatten(-1, (2, 4)).transpose(1, 2) for t in attention.joint(x).chunk(2, -1))
    weights = (torch.einsum("he,nhse->nhs", attention.rule.query[:, 0], k) / 2).softmax(-1)
    expected = attention.out(torch.einsum("nhs,nhse->nhe", weights, v).flatten(1))
    torch.testing.assert_close(attention(x, 5), expected[:, None].expand(-1, 5, -1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_drops_in_and_its_last_block_for_one_token_equals_the_whole(rule: str) -> None:
    torch.manual_seed(0)
    net, (tokens,) = FTTransformer(4, 8, blocks=2, heads=2, attention=rule), draws((6, 4, 8))
    net.train()(tokens)[0].square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in net.parameters())
    hidden, parts = net.eval().explained(tokens)
    torch.testing.assert_close(hidden, net(tokens)[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(parts["attention"].sum(-1), torch.ones(6, 2, 2, 5))


@pytest.mark.parametrize("rule", RULES)
def test_what_tokens_pass_on_adds_up_to_what_the_first_one_hears(rule: str) -> None:
    torch.manual_seed(0)
    attention, (x,) = Attention(8, 2, rule=rule).eval(), draws((3, 5, 8))
    heard = attention(x, 1)[:, 0] - attention.out.bias
    passed = attention.passed(x)
    if rule == "gaussian":  # which gives each token its own value, too
        heard = heard - 5 * passed[:, 0]
    torch.testing.assert_close(passed.sum(1), heard, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pooling", ["cls", "mean", "moments", "label"])
@pytest.mark.parametrize("rule", RULES)
def test_a_masked_column_has_no_influence_and_no_gradient(rule: str, pooling: str) -> None:
    torch.manual_seed(0)
    net, (tokens,) = FTTransformer(4, 8, 3, blocks=2, heads=2, attention=rule, pooling=pooling).eval(), draws((6, 4, 8))
    masked = torch.zeros(6, 4, dtype=torch.bool)
    masked[:, 1] = True
    tokens.requires_grad_()
    hidden, _ = net(tokens, masked)
    hidden.square().sum().backward()
    assert not tokens.grad[:, 1].any()
    assert tokens.grad[:, [0, 2, 3]].abs().amax((0, 2)).gt(0).all()
    torch.testing.assert_close(net(tokens[:, [0, 2, 3]])[0], hidden, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        assert torch.isfinite(net(tokens, torch.ones_like(masked))[0]).all()  # nothing left to hear


def test_unknown_rules_are_refused() -> None:
    with pytest.raises(RequestError, match="unknown attention"):
        Attention(8, 2, rule="hard")


# -- memory ------------------------------------------------------------------------------------------------------------------


class Written(TorchDispatchMode):
    """Counts the bytes of all results."""

    def __init__(self) -> None:
        super().__init__()
        self.total, self.largest = 0, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for t in torch.utils._pytree.tree_leaves(out):
            if isinstance(t, torch.Tensor) and not t._is_view():
                self.total += t.nbytes
                self.largest = max(self.largest, t.nbytes)
        return out


def test_a_global_query_needs_less_than_half_the_memory_of_full_attention_on_500_columns() -> None:
    (tokens,) = draws((4, 500, 16))
    found = {}
    for rule in ("scaled", "global_query"):
        torch.manual_seed(0)
        net = FTTransformer(500, 16, blocks=2, heads=4, attention=rule, pooling="mean").train()
        with Written() as written:
            net(tokens)[0].sum().backward()
        found[rule] = written
    assert found["global_query"].total < 0.5 * found["scaled"].total
    assert found["global_query"].largest < 0.5 * found["scaled"].largest


# -- pooling -----------------------------------------------------------------------------------------------------------------


def test_moments_are_the_mean_and_the_cross_covariance() -> None:
    torch.manual_seed(0)
    pool, (tokens,) = MomentPool(6, 1, rank=2), draws((3, 5, 6))
    found = pool(tokens)
    torch.testing.assert_close(found[:, 0, :6], torch.relu(tokens).mean(1))
    left, right = pool.project(tokens).chunk(2, -1)
    for n in range(3):
        covariance = np.cov(left[n].detach().numpy().T, right[n].detach().numpy().T, bias=True)[:2, 2:]
        expected = pool.norm(torch.from_numpy(covariance.astype(np.float32)).flatten())
        torch.testing.assert_close(found[n, 0, 6:], expected, rtol=1e-4, atol=1e-5)


def test_poolings_read_the_columns_seen_alone() -> None:
    (tokens,) = draws((3, 5, 6))
    masked = torch.zeros(3, 5, dtype=torch.bool)
    masked[:, 2] = True
    for kind in (MeanPool, MomentPool, LabelPool):
        torch.manual_seed(0)
        pool = kind(6, 2)
        assert pool(tokens).shape == (3, 1, pool.width)
        torch.testing.assert_close(pool(tokens, masked), pool(tokens[:, [0, 1, 3, 4]]), rtol=1e-5, atol=1e-6)


@pytest.mark.long
def test_moments_beat_the_mean_on_products_of_columns() -> None:
    (x,) = draws((4000, 4))
    y = x[:, 0] * x[:, 1] + x[:, 2] * x[:, 3]
    left = {}
    for pooling in ("mean", "moments"):
        torch.manual_seed(0)
        net = Net(4, 16, FTTransformer(4, 16, blocks=0, pooling=pooling))
        left[pooling] = trained(net, x, y, 600, lr=1e-2) / float(y.var())
    assert left["moments"] < 0.5 * left["mean"]


@pytest.mark.long
def test_each_class_reads_the_column_that_speaks_for_it() -> None:
    """Column c alone speaks for class c, of three; columns 3 to 5 are noise."""
    (x,) = draws((6000, 6))
    logits = 4 * x[:, :3]
    y = torch.distributions.Categorical(logits=logits).sample()
    torch.manual_seed(0)
    net = Net(6, 16, LabelTransformer(6, 16, 3, blocks=0), head=False)
    trained(net, x, y, 800, loss=lambda out, goal: functional.cross_entropy(out[:, 0], goal))
    weights = net.backbone.explained(net.tokens(x[:1000]))[1]["label_attention"].mean(0)
    assert weights.argmax(1).tolist() == [0, 1, 2]


@pytest.mark.long
def test_the_importance_factor_of_gaussian_attention_ranks_planted_columns_above_noise() -> None:
    (x,) = draws((4000, 8))
    y = 2 * x[:, 1] + x[:, 4].square() + x[:, 6]
    torch.manual_seed(0)
    net = Net(8, 16, FTTransformer(8, 16, blocks=1, heads=2, attention="gaussian", attention_dropout=0.0, ffn_dropout=0.0))
    left = trained(net, x, y, 600, lr=5e-3) / float(y.var())
    assert left < 0.2
    with torch.no_grad():
        factor = importance_factor(net.backbone.passed(net.tokens(x[:1000]))[:, 0, 1:])
    assert float(factor.min()) == 0.0
    assert float(factor.max()) == 1.0
    assert set(factor.topk(3).indices.tolist()) == {1, 4, 6}
