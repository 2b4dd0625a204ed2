"""FT-Transformer: every column a token, a [CLS] token that gathers the answer.

Gorishniy, Rubachev, Khrulkov, Babenko 2021, arXiv:2106.11959, pre-norm, without a normalisation before the first attention.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from pellucid.errors import RequestError
from pellucid.nn.attention import Attention, attention_weights
from pellucid.nn.heads import POOLINGS, LabelPool
from pellucid.nn.layers import dropout, in_fp32

__all__ = ["Attention", "Block", "FTTransformer", "LabelTransformer", "attention_weights"]

GATES = {"relu": torch.relu, "gelu": functional.gelu}


class Block(nn.Module):
    """Attention and a position-wise gated network, each with normalisation before, residual around and dropout after.

    Parameters
    ----------
    d_token, heads : D, number of heads.
    attention_dropout, ffn_dropout, residual_dropout : the three dropouts.
    ffn_factor : inner width over D.
    norm_first : normalise before the attention (the first block of an FT-Transformer must not).
    attention, feed_forward, residual, norm : switch the parts of the block off.
    rule : of the attention, see ``nn.attention.RULES``. gate : ``"relu"`` or ``"gelu"``.
    """

    def __init__(
        self, d_token: int, heads: int = 8, attention_dropout: float = 0.2, ffn_dropout: float = 0.1, residual_dropout: float = 0.0,
        ffn_factor: float = 4 / 3, norm_first: bool = True, attention: bool = True, feed_forward: bool = True, residual: bool = True,
        norm: bool = True, rule: str = "scaled", gate: str = "relu",
    ) -> None:  # fmt: skip
        super().__init__()
        self.gate = GATES[gate]
        inner = max(1, int(d_token * ffn_factor))
        self.ffn_dropout, self.residual_dropout, self.residual = ffn_dropout, residual_dropout, residual
        self.norm_attention = nn.LayerNorm(d_token) if norm and norm_first and attention else nn.Identity()
        self.attention = Attention(d_token, heads, attention_dropout, rule) if attention else None
        self.norm_ffn = nn.LayerNorm(d_token) if norm and feed_forward else nn.Identity()
        self.up = nn.Linear(d_token, 2 * inner) if feed_forward else None
        self.down = nn.Linear(inner, d_token) if feed_forward else None

    def forward(self, x: torch.Tensor, queries: int, masked: torch.Tensor | None = None, joint: torch.Tensor | None = None) -> torch.Tensor:
        """Return the first ``queries`` tokens, transformed; ``joint`` as the attention reads it."""
        if self.attention is not None:
            x = self._add(x[:, :queries], self.attention(in_fp32(self.norm_attention, x), queries, masked, joint))
        else:
            x = x[:, :queries]
        if self.up is not None and self.down is not None:
            u, v = self.up(in_fp32(self.norm_ffn, x)).chunk(2, -1)
            x = self._add(x, self.down(dropout(u * self.gate(v), self.ffn_dropout, self.training)))
        return x

    def _add(self, x: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
        change = dropout(change, self.residual_dropout, self.training)
        return x + change if self.residual else change


class FTTransformer(nn.Module):
    """Transformer blocks over [CLS] and the columns' tokens: (N, C, D) to hidden states (N, 1, H).

    The last block is computed for the token that is read only. ``explained`` is the slow path that also returns the attention.

    Parameters
    ----------
    n_tokens, d_token : C, D.
    n_outputs : O, read by the pooling ``"label"`` alone.
    blocks, heads : number of blocks, and of heads.
    attention_dropout, ffn_dropout, residual_dropout, ffn_factor : of the blocks.
    attention : rule of the attention, one of ``nn.attention.RULES``.
    pooling : ``"cls"`` (read the added token), ``"mean"`` or ``"moments"`` of all columns' tokens, or ``"label"`` (an attention over
        the columns per output; needs the identity head); without ``"cls"`` no token is added.
    """

    additive = False
    stackable = False  # the framework's attention kernel, used for many tokens, knows no batching rule; a stack calls its networks in turn
    members = 1
    wants: tuple[str, ...] = ("n_outputs",)

    def __init__(
        self, n_tokens: int, d_token: int, n_outputs: int = 1, blocks: int = 3, heads: int = 8, attention_dropout: float = 0.2,
        ffn_dropout: float = 0.1, residual_dropout: float = 0.0, ffn_factor: float = 4 / 3, pooling: str = "cls",
        attention: str = "scaled",
    ) -> None:  # fmt: skip
        super().__init__()
        if pooling not in ("cls", *POOLINGS):
            raise RequestError(f"unknown pooling {pooling!r}", expected=f"one of cls, {', '.join(POOLINGS)}")
        del n_tokens
        self.pooling = pooling
        if pooling == "cls":
            self.cls = nn.Parameter(torch.empty(d_token).uniform_(-(d_token**-0.5), d_token**-0.5))
        self.blocks = nn.ModuleList(
            Block(
                d_token, heads, attention_dropout, ffn_dropout, residual_dropout, ffn_factor, norm_first=i > 0, rule=attention
            ) for i in range(blocks)
        )  # fmt: skip
        self.norm = nn.LayerNorm(d_token)
        self.pool = None if pooling == "cls" else POOLINGS[pooling](d_token, n_outputs)
        self.width = d_token if self.pool is None else self.pool.width

    def _start(self, tokens: torch.Tensor, masked: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Put [CLS] in front, which no mask hides."""
        if self.pool is not None:
            return tokens, masked
        x = torch.cat([self.cls.expand(tokens.shape[0], 1, -1), tokens], 1)
        return x, None if masked is None else functional.pad(masked, (1, 0), value=False)

    def _end(self, x: torch.Tensor, masked: torch.Tensor | None) -> torch.Tensor:
        last = in_fp32(self.norm, x)
        return torch.relu(last[:, :1]) if self.pool is None else self.pool(last, masked)

    def forward(self, tokens: torch.Tensor, masked: torch.Tensor | None = None) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Return (hidden (N, 1, H), no parts). Columns ``masked`` (N, C) have exactly no influence."""
        if masked is not None:
            tokens = torch.where(masked[..., None], 0.0, tokens)
        return self._through(*self._start(tokens, masked)), {}

    def _through(self, x: torch.Tensor, masked: torch.Tensor | None = None, joint: torch.Tensor | None = None) -> torch.Tensor:
        """Return the hidden state (N, 1, H) of the tokens x (N, T, D); ``joint`` as the first block reads it."""
        for i, block in enumerate(self.blocks):
            last = i == len(self.blocks) - 1 and self.pool is None
            x = block(x, 1 if last else x.shape[1], masked, None if i else joint)
        return self._end(x, masked)

    def parts(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return each token (N, C, D) beside what the first attention makes of it, its query, key and value, (N, C, 4 D).

        No normalisation comes before that product, so it is the cell's own: rows composed of known cells are spared it. The tokens alone
        where the first block is the last one too, which makes no such product.
        """
        return torch.cat([tokens, self.blocks[0].attention.joint(tokens)], -1) if self._early else tokens  # type: ignore[union-attr,operator]

    def from_parts(self, parts: torch.Tensor) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Return what :meth:`forward` returns, for parts."""
        if not self._early:
            return self.forward(parts)
        if self.pool is None:
            parts = torch.cat([self.parts(self.cls[None, None]).to(parts.dtype).expand(len(parts), 1, -1), parts], 1)
        x, joint = parts.tensor_split([self.norm.normalized_shape[0]], -1)
        return self._through(x, None, joint), {}

    @property
    def _early(self) -> bool:
        return len(self.blocks) > (self.pool is None)

    def explained(self, tokens: torch.Tensor, masked: torch.Tensor | None = None) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Return the same hidden state, with ``tokens`` (N, T, D) after the last block and ``attention`` (N, L, heads, T, T).

        T counts [CLS], which comes first: row 0 of the attention says where the answer was gathered. The pooling ``"label"`` adds
        ``label_attention`` (N, O, C).
        """
        x, hidden_keys = self._start(tokens if masked is None else torch.where(masked[..., None], 0.0, tokens), masked)
        maps = []
        for block in self.blocks:
            maps.append(block.attention.weights(in_fp32(block.norm_attention, x), hidden_keys))  # type: ignore[union-attr,operator,arg-type]
            x = block(x, x.shape[1], hidden_keys)
        parts = {"tokens": x}
        if maps:
            parts["attention"] = torch.stack(maps).permute(2, 0, 1, 3, 4)
        if isinstance(self.pool, LabelPool):
            parts["label_attention"] = self.pool.weights(in_fp32(self.norm, x), masked)
        return self._end(x, masked), parts

    def passed(self, tokens: torch.Tensor, masked: torch.Tensor | None = None) -> torch.Tensor:
        """Return what each token passes to the first one (with ``"cls"``: to the answer) in each block, (N, L, T, D).

        Read with ``nn.attention.importance_factor``.
        """
        x, hidden_keys = self._start(tokens if masked is None else torch.where(masked[..., None], 0.0, tokens), masked)
        given = []
        for block in self.blocks:
            given.append(block.attention.passed(in_fp32(block.norm_attention, x), hidden_keys))  # type: ignore[union-attr,operator,arg-type]
            x = block(x, x.shape[1], hidden_keys)
        return torch.stack(given, 1)


class LabelTransformer(FTTransformer):
    """The transformer whose outputs each read the columns by weights of their own; for the identity head.

    Parameters
    ----------
    n_tokens, d_token, n_outputs : C, D, O. options : as for :class:`FTTransformer`.

    The weights are over tokens that the blocks have mixed: with ``blocks=0`` they are over the columns alone.
    """

    def __init__(self, n_tokens: int, d_token: int, n_outputs: int = 1, **options: Any) -> None:
        super().__init__(n_tokens, d_token, n_outputs, **{"blocks": 1, "pooling": "label", **options})
