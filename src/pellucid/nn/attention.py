"""Attention: how much each token listens to each other token, by several rules with one face.

A rule turns queries (N, heads, T, E), keys and values (N, heads, S, E) into mixtures of the values. ``hidden`` (broadcastable to
(N, heads, T, S), True = hidden) forbids keys to every rule: their weight is exactly 0, and so is any gradient through it. With it
attention is "masked": to missing or withheld columns, or to the columns that an order forbids.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

from pellucid.errors import RequestError
from pellucid.nn.layers import dropout, uniform
from pellucid.nn.small_attention import SMALL, attend, softmax, wide

__all__ = ["RULES", "Additive", "Attention", "Dot", "Gaussian", "GlobalQuery", "Scaled", "attention_weights", "hide", "importance_factor"]

Hidden = torch.Tensor | None


def hide(scores: torch.Tensor, hidden: Hidden) -> torch.Tensor:
    """Return scores with the hidden ones so low that their softmax weight is exactly 0.

    The lowest finite number, not minus infinity: where all keys are hidden the weights are equal and finite.
    """
    return scores if hidden is None else scores.masked_fill(hidden, torch.finfo(scores.dtype).min)


def attention_weights(q: torch.Tensor, k: torch.Tensor, masked: Hidden = None) -> torch.Tensor:
    """Return scaled dot-product attention weights (..., T, S) of queries (..., T, E) to keys (..., S, E).

    Vaswani and others 2017, arXiv:1706.03762. Keys ``masked`` (broadcastable to (..., T, S), True = hidden) get weight exactly 0.
    """
    return softmax(hide(q @ k.mT * q.shape[-1] ** -0.5, masked))


class Dot(nn.Module):
    """Scores are inner products (Luong, Pham, Manning 2015, arXiv:1508.04025). Their variance grows with E.

    Parameters
    ----------
    heads, width : number of heads, E. Cost: 2 T S E multiply-adds a head and row.

    Attributes
    ----------
    asks : True where the rule reads queries.
    scale : what makes scores of inner products, for rules that let :class:`Attention` form them in a faster way; else None.
    """

    asks = True
    scale: float | None = None

    def __init__(self, heads: int, width: int) -> None:
        super().__init__()
        self.heads, self.width = heads, width

    def scores(self, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        """Return the scores (N, heads, T, S), before the softmax."""
        return q @ k.mT

    def weights(self, q: torch.Tensor, k: torch.Tensor, hidden: Hidden = None) -> torch.Tensor:
        """Return the weights (N, heads, T, S), which sum to 1 over S."""
        return softmax(hide(self.scores(q, k), hidden))

    def shares(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, hidden: Hidden = None) -> torch.Tensor:
        """Return the weighted value (N, heads, S, E) of each key for the first query: their sum is what it hears."""
        return self.weights(q[..., :1, :], k, hidden).mT * v

    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, hidden: Hidden = None, p: float = 0.0) -> torch.Tensor:
        """Return the mixed values (N, heads, T, E); a share ``p`` of the weights is dropped while training."""
        mixed: torch.Tensor = dropout(self.weights(q, k, hidden), p, self.training) @ v
        return mixed


class Scaled(Dot):
    """Inner products over the root of E (Vaswani and others 2017, arXiv:1706.03762).

    By the framework's kernel. :class:`Attention` goes past it where it knows a faster way: one query, or few tokens.
    """

    def __init__(self, heads: int, width: int) -> None:
        super().__init__(heads, width)
        self.scale = width**-0.5

    def scores(self, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = q @ k.mT * q.shape[-1] ** -0.5
        return scores

    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, hidden: Hidden = None, p: float = 0.0) -> torch.Tensor:
        mask = None if hidden is None else torch.zeros_like(hidden, dtype=q.dtype).masked_fill(hidden, torch.finfo(q.dtype).min)
        mixed: torch.Tensor = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=p if self.training else 0.0)
        return mixed


class Additive(Dot):
    """Scores by a small network: ``w . tanh(A q + B k)`` (Bahdanau, Cho, Bengio 2014, arXiv:1409.0473).

    Parameters
    ----------
    heads, width : number of heads, E.
    key_width : of the keys, where it is another one. inner : width of the small network.

    Cost: T S inner tanh a head and row; slower and larger than products.
    """

    def __init__(self, heads: int, width: int, key_width: int | None = None, inner: int = 8) -> None:
        super().__init__(heads, width)
        keys = key_width or width
        self.of_query = nn.Parameter(uniform((heads, width, inner), width**-0.5))
        self.of_key = nn.Parameter(uniform((heads, keys, inner), keys**-0.5))
        self.vote = nn.Parameter(uniform((heads, inner), inner**-0.5))

    def scores(self, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        both = torch.tanh((q @ self.of_query)[..., :, None, :] + (k @ self.of_key)[..., None, :, :])
        return (both * self.vote[:, None, None]).sum(-1)


class GlobalQuery(Dot):
    """One learned query a head for all tokens: weights (N, heads, 1, S), so cost and memory grow with S, not with its square.

    After LAMA (Mehta, Rangwala, Ramakrishnan 2019, arXiv:1912.00835): several attention distributions from one global query, by an
    affinity of low rank.
    # NOTE[DIFF] The query is a learned vector, for a row has no recurrent state to make it from; the projection of the keys is the
    # attention's own and its E columns a head are the low rank. The mixture is given back to every token.
    """

    asks = False

    def __init__(self, heads: int, width: int) -> None:
        super().__init__(heads, width)
        self.query = nn.Parameter(uniform((heads, 1, width), 1.0))

    def scores(self, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.query.to(k.dtype) @ k.mT * k.shape[-1] ** -0.5
        return scores


class Gaussian(Dot):
    """Weights are products of learned normal densities around the row's mean key, normalised over its tokens.

    Gaussian adaptive attention (Ioannides, Chadha, Elkins 2024, arXiv:2401.11143). For every head and entry e of the keys: with mean m
    and variance s of the row's keys over its tokens, ``log w = -sum_g (k - m - offset_g)^2 / (2 s spread_g^2)`` up to the constant that
    makes w sum to 1. A large weight says "near a learned centre", which need not mean "important".

    Parameters
    ----------
    heads, width : number of heads, E. gaussians : G.

    # NOTE[DIFF] The reference returns each value times its weight, so a token hears of others by m and s alone and [CLS] of nothing:
    # here the weighted sum over the tokens is added. Weights stand relative to 1 / S, else values fade as tables get wider. Heads split
    # the token's entries, not the columns. All in log space and float32.
    """

    asks = False

    def __init__(self, heads: int, width: int, gaussians: int = 5) -> None:
        super().__init__(heads, width)
        self.offset = nn.Parameter(torch.zeros(heads, 1, 1, gaussians))
        self.log_spread = nn.Parameter(torch.randn(heads, 1, 1, gaussians))

    def entry_weights(self, k: torch.Tensor, hidden: Hidden = None) -> torch.Tensor:
        """Return the weights (N, heads, S, E), which sum to 1 over S for each entry."""
        k = k.float()
        seen = torch.ones_like(k[..., :1]) if hidden is None else (~hidden).to(k.dtype).mT.expand_as(k[..., :1])
        count = seen.sum(-2, keepdim=True).clamp(min=1)
        apart = k - (k * seen).sum(-2, keepdim=True) / count
        variance = (apart.square() * seen).sum(-2, keepdim=True) / count + 1e-5
        # the sum over g of a_g (x - o_g)^2 is one quadratic in x: no axis of G is ever made
        precision = (-2 * self.log_spread).exp()
        square, line = precision.sum(-1), (precision * self.offset).sum(-1)
        log = -(square * apart.square() - 2 * line * apart) / (2 * variance)
        if hidden is not None:
            log = log.masked_fill(hidden.mT, torch.finfo(log.dtype).min)
        # weights below e^-30 are all the same to a sum, and the smallest floats are slow to work with
        weights = (log - log.logsumexp(-2, keepdim=True)).clamp(min=-30.0).exp()
        return weights if hidden is None else weights.masked_fill(hidden.mT, 0.0)

    def weights(self, q: torch.Tensor, k: torch.Tensor, hidden: Hidden = None) -> torch.Tensor:
        return self.entry_weights(k, hidden).mean(-1)[..., None, :]

    def shares(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, hidden: Hidden = None) -> torch.Tensor:
        return self.entry_weights(k, hidden) * v

    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, hidden: Hidden = None, p: float = 0.0) -> torch.Tensor:
        with torch.autocast(k.device.type, enabled=False):
            weighted = dropout(self.entry_weights(k, hidden), p, self.training) * v.float()
            count = v.shape[-2] if hidden is None else (~hidden).sum(-1, keepdim=True)
            return count * weighted + weighted.sum(-2, keepdim=True)


RULES: Mapping[str, type[Dot]] = {
    "scaled": Scaled, "dot": Dot, "additive": Additive, "gaussian": Gaussian, "global_query": GlobalQuery,
}  # fmt: skip
"""Attention rules by name."""


def importance_factor(passed: torch.Tensor) -> torch.Tensor:
    """Return each column's importance, 0 (least) to 1 (most), (C,), from what the columns pass on, (N, C, D).

    # NOTE[DIFF] Ioannides, Chadha, Elkins 2024 scale the mean weight. A mean weight says where the network looks, and on planted rules
    # it named columns of noise whose values later cancel out; so the spread over rows of what a column passes on is scaled instead
    # (after the norms of Kobayashi, Kuribayashi, Yokoi, Inui 2020, arXiv:2004.10102).
    """
    spread = (passed - passed.mean(0)).square().sum(-1).mean(0).sqrt()
    return (spread - spread.min()) / (spread.max() - spread.min()).clamp(min=1e-12)


class Attention(nn.Module):
    """Multi-head self-attention over T tokens, (N, T, D) to (N, T', D).

    Parameters
    ----------
    d_token, heads : D, and the number of heads; D must be a multiple of it.
    dropout : share of the attention weights set to 0 while training.
    rule : one of ``RULES``.
    """

    def __init__(self, d_token: int, heads: int = 8, dropout: float = 0.2, rule: str = "scaled") -> None:
        super().__init__()
        if d_token % heads:
            raise RequestError("d_token is no multiple of heads", expected=f"a multiple of {heads}", got=str(d_token))
        if rule not in RULES:
            raise RequestError(f"unknown attention {rule!r}", expected=f"one of {', '.join(RULES)}")
        self.heads, self.dropout = heads, dropout
        self.rule = RULES[rule](heads, d_token // heads)
        # queries (where they are asked for), keys and values are one product
        self.joint = nn.Linear(d_token, (3 if self.rule.asks else 2) * d_token)
        self.out = nn.Linear(d_token, d_token)
        for layer in (self.joint, self.out):
            nn.init.zeros_(layer.bias)

    def heads_of(self, x: torch.Tensor, queries: int, joint: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return queries (N, heads, T', E) of the first T' tokens, and keys and values (N, heads, T, E) of all."""
        d = x.shape[-1]
        if not self.rule.asks:
            k, v = (self.joint(x) if joint is None else joint).chunk(2, -1)
            q = k[:, :0]
        elif queries == x.shape[1]:
            q, k, v = (self.joint(x) if joint is None else joint).chunk(3, -1)
        else:
            q = functional.linear(x[:, :queries], self.joint.weight[:d], self.joint.bias[:d])
            k, v = functional.linear(x, self.joint.weight[d:], self.joint.bias[d:]).chunk(2, -1)
        return tuple(t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (q, k, v))

    def forward(self, x: torch.Tensor, queries: int, masked: Hidden = None, joint: torch.Tensor | None = None) -> torch.Tensor:
        """Attend from the first ``queries`` tokens to all tokens but those ``masked`` (N, T).

        ``joint``: what :attr:`joint` makes of all tokens, where it is known and all of them ask.
        """
        hidden = None if masked is None else masked[:, None, None, :]
        scale = self.rule.scale
        if scale is not None and queries == 1 < x.shape[1]:
            return self.out(self._first(x, scale, hidden))  # type: ignore[no-any-return]
        if scale is not None and x.shape[1] <= SMALL and x.device.type == "cpu":
            heard, _ = attend(self.joint(x) if joint is None else joint, self.heads, hidden, self.dropout if self.training else 0.0, scale)
            return self.out(heard[:, :queries])  # type: ignore[no-any-return]
        q, k, v = self.heads_of(x, queries, joint)
        out = self.rule(q, k, v, hidden, self.dropout)[..., :queries, :]
        mixed: torch.Tensor = self.out(out.transpose(1, 2).flatten(2))
        return mixed.expand(-1, queries, -1)  # one mixture for all where the rule asks no queries

    def _first(self, x: torch.Tensor, scale: float, hidden: Hidden) -> torch.Tensor:
        """Return what the first token hears, (N, 1, D), with no key and no value of any token made.

        A score is ``q . (K x + b) = (K' q) . x + q . b``, and ``q . b`` is the same for all keys; values are mixed after the tokens are.
        So the products with K and V are one a row, not one a token.
        """
        (q, k, v), d = self.joint.weight.chunk(3), x.shape[-1]
        k, v = (w.unflatten(0, (self.heads, -1)) for w in (k, v))  # (heads, E, D)
        asked = functional.linear(x[:, 0], q, self.joint.bias[:d]).unflatten(-1, (self.heads, -1))
        asked = torch.bmm(asked.transpose(0, 1), k).transpose(0, 1)
        with torch.autocast(x.device.type, enabled=False):
            x = wide(x)
            scores = torch.bmm(wide(asked) * scale, x.mT)
            weights = dropout(softmax(hide(scores, None if hidden is None else hidden[:, 0])), self.dropout, self.training)
            heard = torch.bmm(weights, x)
        values = torch.bmm(heard.transpose(0, 1), v.mT).transpose(0, 1)
        # dropped weights do not sum to 1, so the bias of the values is heard by their sum
        values = values + weights.sum(-1, keepdim=True) * self.joint.bias[2 * d :].unflatten(0, (self.heads, -1))
        first: torch.Tensor = values.flatten(1)[:, None]
        return first

    def weights(self, x: torch.Tensor, masked: Hidden = None) -> torch.Tensor:
        """Return the attention weights of all heads, (heads, N, T, T)."""
        q, k, _ = self.heads_of(x, x.shape[1])
        maps = self.rule.weights(q, k, None if masked is None else masked[:, None, None, :])
        return maps.expand(-1, -1, x.shape[1], -1).transpose(0, 1)

    def passed(self, x: torch.Tensor, masked: Hidden = None) -> torch.Tensor:
        """Return what each token passes to the first one, (N, T, D); with the output's bias their sum is what it hears from all."""
        q, k, v = self.heads_of(x, 1)
        shares = self.rule.shares(q, k, v, None if masked is None else masked[:, None, None, :])
        return functional.linear(shares.transpose(1, 2).flatten(2), self.out.weight)
