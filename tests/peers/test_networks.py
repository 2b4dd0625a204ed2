"""Our networks against the reference packages, with copied weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pellucid.nn.cells import Cells, CellSizes
from pellucid.nn.embeddings import PiecewiseLinear, piecewise_linear
from pellucid.nn.table_net import TableNet

pytestmark = pytest.mark.peer


def _bins(rng: np.random.Generator, sizes: tuple[int, ...]) -> list[np.ndarray]:
    return [np.sort(rng.normal(size=k + 1)).astype(np.float32) for k in sizes]


def test_piecewise_linear_encoding_equals_rtdl() -> None:
    rne = pytest.importorskip("rtdl_num_embeddings")
    rng = np.random.default_rng(0)
    bins = _bins(rng, (1, 2, 7, 30))
    x = torch.tensor(rng.normal(size=(300, 4)) * 2, dtype=torch.float32)
    theirs = rne.PiecewiseLinearEncoding([torch.tensor(b) for b in bins])(x)
    ours = piecewise_linear(x, bins)
    flat = torch.cat([ours[:, j, [*range(t - 1), -1]] for j, t in enumerate((1, 2, 7, 30))], 1)
    torch.testing.assert_close(flat, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("version", ["A", "B"])
def test_piecewise_linear_embedding_equals_rtdl(version: str) -> None:
    rne = pytest.importorskip("rtdl_num_embeddings")
    rng = np.random.default_rng(0)
    bins = _bins(rng, (2, 7, 30))
    x = torch.tensor(rng.normal(size=(300, 3)), dtype=torch.float32)
    theirs = rne.PiecewiseLinearEmbeddings([torch.tensor(b) for b in bins], 6, activation=False, version=version)
    ours = PiecewiseLinear(bins, 6, version)
    torch.nn.init.normal_(theirs.linear.weight)
    ours.curve.data = theirs.linear.weight.data
    if version == "B":
        ours.line.data, ours.bias.data = theirs.linear0.weight.data, theirs.linear0.bias.data
    else:
        ours.bias.data = theirs.linear.bias.data
    none = torch.zeros(300, 3, dtype=torch.bool)
    torch.testing.assert_close(ours(x, none), theirs(x), rtol=1e-4, atol=1e-4)


def _mixed(n: int = 50) -> tuple[Cells, list[int]]:
    g = torch.Generator().manual_seed(0)
    x, cards = torch.randn(n, 3, generator=g), [3, 5]
    codes = torch.stack([torch.randint(0, c, (n,), generator=g) for c in cards], 1)
    return Cells(x, torch.zeros_like(x, dtype=torch.bool), codes, torch.zeros(n, 0, 0)), cards


@pytest.mark.parametrize("arch", ["tabm", "tabm-mini"])
def test_tabm_equals_the_tabm_package(arch: str) -> None:
    """Levels are one-hot there and rows of a table here: with the identity as table both are the same network."""
    rne, tabm = pytest.importorskip("rtdl_num_embeddings"), pytest.importorskip("tabm")
    torch.manual_seed(0)
    bins = _bins(np.random.default_rng(0), (4, 6, 9))
    cells, cards = _mixed()
    d = 6
    embed = rne.PiecewiseLinearEmbeddings([torch.tensor(b) for b in bins], d, activation=False, version="B")
    torch.nn.init.normal_(embed.linear.weight)
    theirs = tabm.TabM.make(
        n_num_features=3, cat_cardinalities=cards, d_out=2, num_embeddings=embed, arch_type=arch, k=4, n_blocks=3, d_block=20, dropout=0.1
    ).eval()
    for name, p in theirs.named_parameters():
        if name.endswith((".r", ".s", ".bias")) or "affine" in name:
            p.data += 0.3 * torch.randn_like(p)
    sizes = CellSizes(5, tuple(bins), tuple(cards), 0, (0, 1, 2), (3, 4), ())
    ours = TableNet(sizes, arch.replace("-", "_"), 2, d_token=d, options={"members": 4, "width": 20, "blocks": 3}).eval()
    numbers = ours.embedding.numbers
    numbers.curve.data, numbers.line.data, numbers.bias.data = embed.linear.weight.data, embed.linear0.weight.data, embed.linear0.bias.data
    ours.embedding.levels.table.data = torch.cat([torch.eye(c, d) for c in cards])
    # their columns of a one-hot level are the first c of our d
    at = torch.cat([torch.arange(3 * d), *(3 * d + j * d + torch.arange(c) for j, c in enumerate(cards))])
    weights = {n.removeprefix("backbone."): p.data for n, p in theirs.named_parameters()}

    def spread(value: torch.Tensor) -> torch.Tensor:
        wide = torch.zeros(value.shape[0], 5 * d)
        wide[:, at] = value
        return wide

    first = ours.backbone.first
    first.weight.data = spread(weights["blocks.0.0.weight"])
    first.bias.data = weights["blocks.0.0.bias"]
    if arch == "tabm":
        first.scale_in.data, first.scale_out.data = spread(weights["blocks.0.0.r"]), weights["blocks.0.0.s"]
    else:
        first.scale_in.data = spread(
            next(p.data for n, p in theirs.named_parameters() if n.startswith("minimal") or n.endswith("affine.weight"))
        )
    for i, block in enumerate(ours.backbone.blocks, 1):
        block.weight.data, block.bias.data = weights[f"blocks.{i}.0.weight"], weights[f"blocks.{i}.0.bias"]
        if arch == "tabm":
            block.scale_in.data, block.scale_out.data = weights[f"blocks.{i}.0.r"], weights[f"blocks.{i}.0.s"]
    ours.head.weight.data, ours.head.bias.data = theirs.output.weight.data, theirs.output.bias.data
    with torch.no_grad():
        torch.testing.assert_close(ours(cells), theirs(cells.numbers, cells.codes), rtol=1e-4, atol=1e-4)


def test_ft_transformer_equals_rtdl() -> None:
    rtdl = pytest.importorskip("rtdl_revisiting_models")
    torch.manual_seed(0)
    cells, cards = _mixed()
    theirs = rtdl.FTTransformer(
        n_cont_features=3, cat_cardinalities=cards, d_out=2, n_blocks=3, d_block=16, attention_n_heads=4, attention_dropout=0.2,
        ffn_d_hidden=None, ffn_d_hidden_multiplier=4 / 3, ffn_dropout=0.1, residual_dropout=0.0,
    ).eval()  # fmt: skip
    sizes = CellSizes(5, (np.array([-1, 1], np.float32),) * 3, tuple(cards), 0, (0, 1, 2), (3, 4), ())
    ours = TableNet(sizes, "ft_transformer", 2, d_token=16, options={"heads": 4}, embedding={"number": "linear"}).eval()
    w = dict(theirs.named_parameters())
    ours.embedding.numbers.line.data, ours.embedding.numbers.bias.data = w["cont_embeddings.weight"].data, w["cont_embeddings.bias"].data
    tables = [w[f"cat_embeddings.embeddings.{j}.weight"].data + w["cat_embeddings.bias"].data[j] for j in range(2)]
    ours.embedding.levels.table.data = torch.cat(tables)
    ours.backbone.cls.data = w["cls_embedding.weight"].data.flatten()
    for i, block in enumerate(ours.backbone.blocks):
        at = f"backbone.blocks.{i}"
        for part in ("weight", "bias"):
            getattr(block.attention.joint, part).data = torch.cat([w[f"{at}.attention.W_{x}.{part}"].data for x in "qkv"])
            getattr(block.attention.out, part).data = w[f"{at}.attention.W_out.{part}"].data
            getattr(block.up, part).data, getattr(block.down, part).data = (
                w[f"{at}.ffn.linear1.{part}"].data,
                w[f"{at}.ffn.linear2.{part}"].data,
            )
            getattr(block.norm_ffn, part).data = w[f"{at}.ffn_normalization.{part}"].data
            if i:
                getattr(block.norm_attention, part).data = w[f"{at}.attention_normalization.{part}"].data
    for part in ("weight", "bias"):
        getattr(ours.backbone.norm, part).data = w[f"backbone.output.normalization.{part}"].data
    ours.head.weight.data, ours.head.bias.data = (
        w["backbone.output.linear.weight"].data.T[None],
        w["backbone.output.linear.bias"].data[None],
    )
    with torch.no_grad():
        torch.testing.assert_close(ours(cells)[:, 0], theirs(cells.numbers, cells.codes), rtol=1e-4, atol=1e-5)
