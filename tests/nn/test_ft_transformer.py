"""Attention and the transformer block, against the framework's own kernel and against the slow path."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from pellucid.errors import RequestError
from pellucid.nn.backbones.ft_transformer import Attention, Block, FTTransformer, attention_weights


def test_weights_equal_the_frameworks_kernel_also_with_a_mask() -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, 7, 4) for _ in range(3))
    mask = torch.rand(2, 1, 1, 7) < 0.3
    mask[..., 0] = False
    weights = attention_weights(q, k, mask)
    assert not weights[mask.expand_as(weights)].any()
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, 7))
    torch.testing.assert_close(weights @ v, functional.scaled_dot_product_attention(q, k, v, attn_mask=~mask), rtol=1e-5, atol=1e-6)


def test_one_head_equals_single_attention_and_the_frameworks_module() -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 5, 8)
    for heads in (1, 4):
        ours, theirs = Attention(8, heads).eval(), torch.nn.MultiheadAttention(8, heads, batch_first=True).eval()
        theirs.in_proj_weight.data, theirs.in_proj_bias.data = ours.joint.weight.data, ours.joint.bias.data
        theirs.out_proj.weight.data, theirs.out_proj.bias.data = ours.out.weight.data, ours.out.bias.data
        expected, maps = theirs(x, x, x, average_attn_weights=False)
        torch.testing.assert_close(ours(x, 5), expected, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(ours.weights(x), maps.transpose(0, 1), rtol=1e-5, atol=1e-6)
    q, k, v = ours.joint(x).chunk(3, -1)
    single = Attention(8, 1).eval()
    single.load_state_dict(ours.state_dict())
    torch.testing.assert_close(single(x, 5), ours.out(attention_weights(q, k) @ v), rtol=1e-5, atol=1e-6)


def test_the_last_block_for_one_token_equals_the_whole_block() -> None:
    torch.manual_seed(0)
    block, x = Block(8, 2).eval(), torch.randn(3, 5, 8)
    torch.testing.assert_close(block(x, 1), block(x, 5)[:, :1], rtol=1e-5, atol=1e-6)


def test_the_explaining_path_gives_the_same_answer_and_all_maps() -> None:
    torch.manual_seed(0)
    net, tokens = FTTransformer(4, 8, blocks=3, heads=2).eval(), torch.randn(6, 4, 8)
    hidden, parts = net.explained(tokens)
    torch.testing.assert_close(hidden, net(tokens)[0], rtol=1e-5, atol=1e-6)
    assert parts["attention"].shape == (6, 3, 2, 5, 5)
    assert parts["tokens"].shape == (6, 5, 8)
    torch.testing.assert_close(parts["attention"].sum(-1), torch.ones(6, 3, 2, 5))


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_masked_columns_get_no_attention(pooling: str) -> None:
    torch.manual_seed(0)
    net, tokens = FTTransformer(4, 8, blocks=2, heads=2, pooling=pooling).eval(), torch.randn(6, 4, 8)
    masked = torch.zeros(6, 4, dtype=torch.bool)
    masked[:, 1] = True
    hidden, parts = net.explained(tokens, masked)
    torch.testing.assert_close(hidden, net(tokens, masked)[0], rtol=1e-5, atol=1e-6)
    column = 2 if pooling == "cls" else 1
    assert not parts["attention"][..., column].any()
    # without the column altogether the answer is the same
    torch.testing.assert_close(net(tokens[:, [0, 2, 3]])[0], hidden, rtol=1e-5, atol=1e-6)


def test_the_first_block_is_not_normalised_before_attention() -> None:
    net = FTTransformer(4, 8, blocks=2, heads=2)
    assert isinstance(net.blocks[0].norm_attention, torch.nn.Identity)
    assert isinstance(net.blocks[1].norm_attention, torch.nn.LayerNorm)


@pytest.mark.parametrize("off", ["attention", "feed_forward", "residual", "norm"])
def test_each_part_of_the_block_can_be_switched_off_and_the_rest_trains(off: str) -> None:
    torch.manual_seed(0)
    block, x = Block(8, 2, attention_dropout=0, ffn_dropout=0, **{off: False}), torch.randn(16, 5, 8)
    goal = x.mean(1)
    optimizer = torch.optim.Adam(block.parameters(), 0.01)
    losses = []
    for _ in range(60):
        loss = (block(x, 1)[:, 0] - goal).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


def test_unusable_settings_are_refused() -> None:
    with pytest.raises(RequestError, match="no multiple of heads"):
        FTTransformer(4, 10, heads=4)
    with pytest.raises(RequestError, match="unknown pooling"):
        FTTransformer(4, 8, pooling="max")


@pytest.mark.parametrize(
    ("columns", "blocks", "pooling", "attention"),
    [(4, 2, "cls", "scaled"), (4, 1, "cls", "scaled"), (4, 1, "mean", "scaled"), (66, 2, "cls", "scaled"), (4, 2, "cls", "gaussian")],
)
def test_what_the_first_attention_makes_of_cells_can_be_made_beforehand(columns: int, blocks: int, pooling: str, attention: str) -> None:
    torch.manual_seed(0)
    net = FTTransformer(columns, 8, blocks=blocks, heads=2, pooling=pooling, attention=attention).eval()
    own, other, chosen = torch.randn(5, columns, 8), torch.randn(5, columns, 8), torch.rand(5, columns, 1) < 0.5
    composed = torch.where(chosen, net.parts(own), net.parts(other))
    early = composed.shape[-1] > 8
    assert early == (blocks > (pooling == "cls"))
    torch.testing.assert_close(net.from_parts(composed)[0], net(torch.where(chosen, own, other))[0], rtol=1e-5, atol=1e-6)
    if early:  # its product is read, not made again
        changed = torch.cat([composed[..., :8], torch.randn_like(composed[..., 8:])], -1)
        assert (net.from_parts(changed)[0] - net.from_parts(composed)[0]).abs().max() > 1e-3
