"""TabTransformer: categories listen to each other, numbers go past them.

Huang, Khetan, Cvitkovic, Karnin 2020, arXiv:2012.06678.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import nn

from pellucid.nn.backbones.ft_transformer import Block
from pellucid.nn.cells import CellSizes
from pellucid.nn.layers import in_fp32, relu_dropout, uniform

__all__ = ["TabTransformer"]


class TabTransformer(nn.Module):
    """Transformer blocks over the tokens of categories, then a perceptron over them and the rest: hidden (N, 1, W).

    Parameters
    ----------
    n_tokens, d_token : C, D. sizes : tells which columns are categories.
    layers, heads : of the transformer.
    width, blocks, dropout : of the perceptron.
    attention_dropout, ffn_dropout : of the transformer.
    attend_numbers : all columns attend, numbers too: our extension, for tables in which numbers and categories combine.
    normalise : bring what passes by to mean 0 and deviation 1 within each row, as the paper does.

    Parts
    -----
    ``contextual`` (N, A, D): the attending columns' vectors after the transformer, by ``explained``, with ``attention``
    (L, heads, N, A, A). A counts the attending columns, in the order of the table.

    # NOTE[DIFF] The paper normalises after each addition; normalising before trains without a long warm-up.
    # NOTE[DIFF] Numbers pass by as tokens, not as bare values, so that every encoder of numbers can be used, and without the layer
    # normalisation: they come scaled, and dividing a row by its own spread hides how large its numbers are (one split of
    # wine_quality_white: RMSE .728 with it, .721 without). The perceptron has ReLU, not SELU (.744, with the normalisation).
    # NOTE[DIFF] Three layers at the start, not six: on a processor the layers are nearly all of the time.
    # NOTE[DIFF] The perceptron's width is the recipe's, not four times that of its input, and it has no batch normalisation.
    """

    additive = False
    stackable = False  # the framework's attention kernel knows no batching rule
    members = 1
    wants = ("sizes",)
    attending: torch.Tensor
    passing: torch.Tensor

    def __init__(
        self, n_tokens: int, d_token: int, sizes: CellSizes, layers: int = 3, heads: int = 8, width: int = 256, blocks: int = 2,
        dropout: float = 0.1, attention_dropout: float = 0.1, ffn_dropout: float = 0.1, attend_numbers: bool = False,
        normalise: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        attending = range(n_tokens) if attend_numbers else sorted(set(sizes.code_columns))
        passing = sorted(set(range(n_tokens)) - set(attending))
        self.width, self.dropout = width, dropout
        self.register_buffer("attending", torch.tensor(list(attending), dtype=torch.int64), persistent=False)
        self.register_buffer("passing", torch.tensor(passing, dtype=torch.int64), persistent=False)
        self.column_width = max(1, d_token // 8) if attending else 0
        if attending:
            self.column = nn.Parameter(uniform((len(attending), self.column_width), d_token**-0.5))
        self.layers = nn.ModuleList(
            Block(d_token, heads, attention_dropout, ffn_dropout, ffn_factor=4.0, gate="gelu") for _ in range(layers if attending else 0)
        )
        self.norm = nn.LayerNorm(len(passing) * d_token) if normalise and passing else nn.Identity()
        sizes_of = [n_tokens * d_token, *[width] * blocks]
        self.mlp = nn.ModuleList(nn.Linear(n_in, n_out) for n_in, n_out in pairwise(sizes_of))

    def _start(self, tokens: torch.Tensor, masked: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the attending tokens, their last entries replaced by a vector that says which column speaks, and their mask."""
        x = tokens.index_select(1, self.attending)
        if len(self.layers):
            own = self.column.to(x.dtype).expand(x.shape[0], -1, -1)
            x = torch.cat([x[..., : x.shape[-1] - self.column_width], own], -1)
        return x, None if masked is None else masked.index_select(1, self.attending)

    def _end(self, x: torch.Tensor, tokens: torch.Tensor, hidden: torch.Tensor | None) -> torch.Tensor:
        if hidden is not None:
            x = torch.where(hidden[..., None], 0.0, x)
        h = torch.cat([x.flatten(1), in_fp32(self.norm, tokens.index_select(1, self.passing).flatten(1))], -1)
        for layer in self.mlp:
            h = relu_dropout(layer(h), self.dropout, self.training)
        return h[:, None]

    def forward(self, tokens: torch.Tensor, masked: torch.Tensor | None = None) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Return (hidden (N, 1, W), no parts). Columns ``masked`` (N, C) have exactly no influence."""
        tokens = tokens if masked is None else torch.where(masked[..., None], 0.0, tokens)
        x, hidden = self._start(tokens, masked)
        for block in self.layers:
            x = block(x, x.shape[1], hidden)
        return self._end(x, tokens, hidden), {}

    def explained(self, tokens: torch.Tensor, masked: torch.Tensor | None = None) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Return the same hidden state with the contextual vectors and the attention maps."""
        tokens = tokens if masked is None else torch.where(masked[..., None], 0.0, tokens)
        x, hidden = self._start(tokens, masked)
        maps = []
        for block in self.layers:
            maps.append(block.attention.weights(block.norm_attention(x), hidden))  # type: ignore[union-attr,operator]
            x = block(x, x.shape[1], hidden)
        parts = {"contextual": x, "attention": torch.stack(maps).permute(2, 0, 1, 3, 4)} if maps else {}
        return self._end(x, tokens, hidden), parts
