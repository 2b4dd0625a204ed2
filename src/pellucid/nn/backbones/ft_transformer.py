"""FT-Transformer: every column a token, a [CLS] token that gathers the answer.

Gorishniy, Rubachev, Khrulkov, Babenko 2021, arXiv:2106.11959, pre-norm, without a normalisation before the first attention.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

from pellucid.errors import RequestError
from pellucid.nn.layers import dropout

__all__ = ["Attention", "Block", "FTTransformer", "attention_weights"]


def attention_weights(q: torch.Tensor, k: torch.Tensor, masked: torch.Tensor | None = None) -> torch.Tensor:
    """Return scaled dot-product attention weights (..., T, S) of queries (..., T, E) to keys (..., S, E).

    Vaswani and others 2017, arXiv:1706.03762. Keys ``masked`` (broadcastable to (..., T, S), True = hidden) get weight exactly 0.
    """
    scores = q @ k.mT * q.shape[-1] ** -0.5
    if masked is not None:
        scores = scores.masked_fill(masked, -torch.inf)
    weights: torch.Tensor = scores.softmax(-1)
    return weights


class Attention(nn.Module):
    """Multi-head self-attention over T tokens, (N, T, D) to (N, T', D).

    Parameters
    ----------
    d_token, heads : D, and the number of heads; D must be a multiple of it.
    dropout : share of the attention weights set to 0 while training.
    """

    def __init__(self, d_token: int, heads: int = 8, dropout: float = 0.2) -> None:
        super().__init__()
        if d_token % heads:
            raise RequestError("d_token is no multiple of heads", expected=f"a multiple of {heads}", got=str(d_token))
        self.heads, self.dropout = heads, dropout
        # queries, keys and values are one product
        self.joint = nn.Linear(d_token, 3 * d_token)
        self.out = nn.Linear(d_token, d_token)
        for layer in (self.joint, self.out):
            nn.init.zeros_(layer.bias)

    def heads_of(self, x: torch.Tensor, queries: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return queries (N, heads, T', E) of the first T' tokens, and keys and values (N, heads, T, E) of all."""
        d = x.shape[-1]
        if queries == x.shape[1]:
            q, k, v = self.joint(x).chunk(3, -1)
        else:
            q = functional.linear(x[:, :queries], self.joint.weight[:d], self.joint.bias[:d])
            k, v = functional.linear(x, self.joint.weight[d:], self.joint.bias[d:]).chunk(2, -1)
        return tuple(t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (q, k, v))

    def forward(self, x: torch.Tensor, queries: int, masked: torch.Tensor | None = None) -> torch.Tensor:
        """Attend from the first ``queries`` tokens to all tokens but those ``masked`` (N, T)."""
        q, k, v = self.heads_of(x, queries)
        mask = None if masked is None else ~masked[:, None, None, :]
        out = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=self.dropout if self.training else 0.0)
        return self.out(out.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def weights(self, x: torch.Tensor, masked: torch.Tensor | None = None) -> torch.Tensor:
        """Return the attention weights of all heads, (heads, N, T, T)."""
        q, k, _ = self.heads_of(x, x.shape[1])
        return attention_weights(q, k, None if masked is None else masked[:, None, None, :]).transpose(0, 1)


class Block(nn.Module):
    """Attention and a position-wise gated network, each with normalisation before, residual around and dropout after.

    Parameters
    ----------
    d_token, heads : D, number of heads.
    attention_dropout, ffn_dropout, residual_dropout : the three dropouts.
    ffn_factor : inner width over D.
    norm_first : normalise before the attention (the first block of an FT-Transformer must not).
    attention, feed_forward, residual, norm : switch the parts of the block off.
    """

    def __init__(
        self, d_token: int, heads: int = 8, attention_dropout: float = 0.2, ffn_dropout: float = 0.1, residual_dropout: float = 0.0,
        ffn_factor: float = 4 / 3, norm_first: bool = True, attention: bool = True, feed_forward: bool = True, residual: bool = True,
        norm: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        inner = max(1, int(d_token * ffn_factor))
        self.ffn_dropout, self.residual_dropout, self.residual = ffn_dropout, residual_dropout, residual
        self.norm_attention = nn.LayerNorm(d_token) if norm and norm_first and attention else nn.Identity()
        self.attention = Attention(d_token, heads, attention_dropout) if attention else None
        self.norm_ffn = nn.LayerNorm(d_token) if norm and feed_forward else nn.Identity()
        self.up = nn.Linear(d_token, 2 * inner) if feed_forward else None
        self.down = nn.Linear(inner, d_token) if feed_forward else None

    def forward(self, x: torch.Tensor, queries: int, masked: torch.Tensor | None = None) -> torch.Tensor:
        """Return the first ``queries`` tokens, transformed."""
        if self.attention is not None:
            x = self._add(x[:, :queries], self.attention(_fp32(self.norm_attention, x), queries, masked))
        else:
            x = x[:, :queries]
        if self.up is not None and self.down is not None:
            u, v = self.up(_fp32(self.norm_ffn, x)).chunk(2, -1)
            x = self._add(x, self.down(dropout(u * torch.relu(v), self.ffn_dropout, self.training)))
        return x

    def _add(self, x: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
        change = dropout(change, self.residual_dropout, self.training)
        return x + change if self.residual else change


class FTTransformer(nn.Module):
    """Transformer blocks over [CLS] and the columns' tokens: (N, C, D) to hidden states (N, 1, D).

    The last block is computed for the token that is read only. ``explained`` is the slow path that also returns the attention.

    Parameters
    ----------
    n_tokens, d_token : C, D.
    blocks, heads : number of blocks, and of heads.
    attention_dropout, ffn_dropout, residual_dropout, ffn_factor : of the blocks.
    pooling : ``"cls"`` (read the added token) or ``"mean"`` (the mean of all columns' tokens; no token is added).
    """

    additive = False
    stackable = False  # the framework's attention kernel knows no batching rule; a stack calls its networks in turn
    members = 1

    def __init__(
        self, n_tokens: int, d_token: int, blocks: int = 3, heads: int = 8, attention_dropout: float = 0.2, ffn_dropout: float = 0.1,
        residual_dropout: float = 0.0, ffn_factor: float = 4 / 3, pooling: str = "cls",
    ) -> None:  # fmt: skip
        super().__init__()
        if pooling not in ("cls", "mean"):
            raise RequestError(f"unknown pooling {pooling!r}", expected="'cls' or 'mean'")
        del n_tokens
        self.width, self.pooling = d_token, pooling
        if pooling == "cls":
            self.cls = nn.Parameter(torch.empty(d_token).uniform_(-(d_token**-0.5), d_token**-0.5))
        self.blocks = nn.ModuleList(
            Block(d_token, heads, attention_dropout, ffn_dropout, residual_dropout, ffn_factor, norm_first=i > 0) for i in range(blocks)
        )
        self.norm = nn.LayerNorm(d_token)

    def _start(self, tokens: torch.Tensor, masked: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Put [CLS] in front, which no mask hides."""
        if self.pooling == "mean":
            return tokens, masked
        x = torch.cat([self.cls.expand(len(tokens), 1, -1), tokens], 1)
        return x, None if masked is None else functional.pad(masked, (1, 0), value=False)

    def _end(self, x: torch.Tensor, masked: torch.Tensor | None) -> torch.Tensor:
        hidden = torch.relu(_fp32(self.norm, x.float()))
        if self.pooling == "cls":
            return hidden[:, :1]
        if masked is None:
            return hidden.mean(1, keepdim=True)
        seen = (~masked)[..., None]
        return (hidden * seen).sum(1, keepdim=True) / seen.sum(1, keepdim=True).clamp(min=1)

    def forward(self, tokens: torch.Tensor, masked: torch.Tensor | None = None) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Return (hidden (N, 1, D), no parts). Columns ``masked`` (N, C) have exactly no influence."""
        if masked is not None:
            tokens = torch.where(masked[..., None], 0.0, tokens)
        x, hidden_keys = self._start(tokens, masked)
        for i, block in enumerate(self.blocks):
            last = i == len(self.blocks) - 1 and self.pooling == "cls"
            x = block(x, 1 if last else x.shape[1], hidden_keys)
        return self._end(x, masked), {}

    def explained(self, tokens: torch.Tensor, masked: torch.Tensor | None = None) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Return the same hidden state, with ``tokens`` (N, T, D) after the last block and ``attention`` (L, heads, N, T, T).

        T counts [CLS], which comes first: row 0 of the attention says where the answer was gathered.
        """
        x, hidden_keys = self._start(tokens if masked is None else torch.where(masked[..., None], 0.0, tokens), masked)
        maps = []
        for block in self.blocks:
            maps.append(block.attention.weights(_fp32(block.norm_attention, x), hidden_keys))  # type: ignore[union-attr,operator,arg-type]
            x = block(x, x.shape[1], hidden_keys)
        return self._end(x, masked), {"attention": torch.stack(maps), "tokens": x}


def _fp32(norm: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Normalise in float32 whatever the surrounding precision."""
    with torch.autocast(x.device.type, enabled=False):
        return norm(x.float())  # type: ignore[no-any-return]
