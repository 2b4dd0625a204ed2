"""Hidden states to outputs, and columns' tokens to hidden states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch._C._functorch import is_functorch_wrapped_tensor

from pellucid.nn.attention import attention_weights
from pellucid.nn.beside import DRAWS
from pellucid.nn.folding import InTurn
from pellucid.nn.layers import only_answers

__all__ = ["POOLINGS", "BlendHead", "IdentityHead", "LabelPool", "MeanPool", "MemberHead", "MomentPool"]


MOST_TURNED = 40
"""Outputs at most whose weights have draws; beyond, these would be larger than the network."""


class MemberHead(nn.Module):
    """One linear head per member: (N, K, H) to (N, K, O).

    Parameters
    ----------
    members, width, n_outputs : K, H, O.
    shared : use one head for all members.
    """

    def __init__(self, members: int, width: int, n_outputs: int, shared: bool = False) -> None:
        super().__init__()
        own = 1 if shared else members
        bound = width**-0.5
        self.weight = nn.Parameter(torch.empty(own, width, n_outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(own, n_outputs).uniform_(-bound, bound))

    def forward(self, hidden: torch.Tensor | InTurn) -> torch.Tensor:
        return self.linear(hidden)

    def linear(self, hidden: torch.Tensor | InTurn) -> torch.Tensor:
        """Return the linear part (N, K, O), in float32."""
        if isinstance(hidden, InTurn):
            return hidden.times(self.weight) + self.bias
        with torch.autocast(hidden.device.type, enabled=False):
            if self.weight.shape[0] == 1:
                if hidden.shape[1] == 1 and not self.training and is_functorch_wrapped_tensor(self.weight):  # see FlatBackbone._act
                    return (hidden.squeeze(1).float() @ self.weight[0] + self.bias).unsqueeze(1)
                return hidden.float() @ self.weight[0] + self.bias
            if hidden.dtype is torch.bfloat16 and only_answers(self, hidden) and not is_functorch_wrapped_tensor(self.weight):
                # answers in half precision: turning all hidden states into float32 first costs more than the product
                return torch.bmm(hidden.transpose(0, 1), self.weight.to(hidden.dtype)).transpose(0, 1).float() + self.bias
            product: torch.Tensor = _ByMember.apply(hidden, self.weight)
            return product + self.bias


class BlendHead(MemberHead):
    """Hidden states (N, K, h) and the backbone's part ``additive`` (N, O) to outputs (N, K, O): a mixture of the members and the part.

    ``(1 - share) * (W_k x + b_k) + share * a``; the members' answers alone where the part is left out. The share is found on rows that
    nothing was learned from (``training/blending.py``). Doubt asks draws of the weights and of the share as well
    (``training/head_doubt.py``), which answers do not read.

    Parameters
    ----------
    members, width, n_outputs : K, h, O.

    Attributes
    ----------
    turns : (K, h + 1, D * O) draws of how far the weights, and last the bias, of each member may lie from these, D * K not below R; zeros
        where none were made, empty where outputs are too many. sways : (R,) draws of how far the share may.
    """

    reads_parts = True
    share: torch.Tensor
    turns: torch.Tensor
    sways: torch.Tensor

    def __init__(self, members: int, width: int, n_outputs: int) -> None:
        super().__init__(members, width, n_outputs)
        self.register_buffer("share", torch.zeros(()))
        each = -(-DRAWS // members) if n_outputs <= MOST_TURNED else 0
        self.register_buffer("turns", torch.zeros(members, width + 1, each * n_outputs))
        self.register_buffer("sways", torch.zeros(DRAWS))

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        for name in ("turns", "sways"):  # networks of earlier versions had no draws
            state.setdefault(prefix + name, getattr(self, name))
        super()._load_from_state_dict(state, prefix, *rest)

    @property
    def turned(self) -> bool:
        """Whether draws of the weights were made."""
        return bool(self.turns.any())

    def forward(self, hidden: torch.Tensor | InTurn, parts: Mapping[str, torch.Tensor] | None = None) -> torch.Tensor:
        return self._blended(self.linear(hidden), (parts or {}).get("additive"))

    def swayed(self, deep: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
        """Return how far the draws of the share move the answers, (N, R, O'), from the members' (N, K, O) and the part's (N, O')."""
        apart = own.float() - deep[..., : own.shape[1]].mean(1)
        out: torch.Tensor = self.sways[:, None] * apart[:, None]
        return out

    def doubted(self, hidden: torch.Tensor | InTurn, own: torch.Tensor | None, moves: torch.Tensor | None) -> torch.Tensor:
        """Return the outputs (N, D * K, O) of each member beside draws of its weights, of the share, and ``moves`` (N, R, O') of the part.

        ``own``: the part, (N, O'), None where it is left out. Member k is at k, K + k, 2 K + k and so on, as ``nn.beside`` has it.
        """
        o = self.weight.shape[2]
        weight, bias = torch.cat([self.weight, self.turns[:, :-1]], 2), torch.cat([self.bias, self.turns[:, -1]], 1)
        every = (hidden.times(weight) if isinstance(hidden, InTurn) else _ByMember.apply(hidden.float(), weight)) + bias
        deep, turned = every[..., :o], every[..., o:].unflatten(2, (-1, o)).transpose(1, 2)
        wide: torch.Tensor = (self._blended(deep, own)[:, None] + (1 - self.share) * turned).flatten(1, 2)
        if own is None or moves is None:
            return wide
        at = torch.arange(wide.shape[1], device=wide.device) % moves.shape[1]
        wide[..., : own.shape[1]] += (self.share * moves + self.swayed(deep, own))[:, at]
        return wide

    def _blended(self, deep: torch.Tensor, own: torch.Tensor | None) -> torch.Tensor:
        if own is None:
            return deep
        place = own.shape[1]  # outputs beyond those of the additive model are the members' alone: spreads, distances of quantiles
        blended = torch.lerp(deep[..., :place], own[:, None].float(), self.share)
        return blended if deep.shape[2] == place else torch.cat([blended, deep[..., place:]], 2)


class _ByMember(torch.autograd.Function):
    """Hidden states (N, K, H) times each member's matrix (K, H, O), in float32: (N, K, O).

    O is small, and matrix products over it take a processor ten times as long in the order of axes that autograd would choose as in
    these. The gradients are products in the hidden states' own precision, like those of all other layers.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(hidden: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return torch.bmm(weight.mT.contiguous(), hidden.float().permute(1, 2, 0)).permute(2, 0, 1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor, torch.Tensor], output: torch.Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden, weight = ctx.saved_tensors
        g = gradient[0].to(hidden.dtype)
        to_hidden = torch.bmm(g.transpose(0, 1), weight.to(g.dtype).mT).transpose(0, 1)
        to_weight = torch.bmm(g.permute(1, 2, 0), hidden.transpose(0, 1)).mT
        return to_hidden, to_weight.to(weight.dtype)


class IdentityHead(nn.Module):
    """The hidden state is the output: for models whose output is a listed sum."""

    def __init__(self, members: int, width: int, n_outputs: int, shared: bool = False) -> None:
        super().__init__()
        del members, shared
        self.width, self.n_outputs = width, n_outputs

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden.float()


class MeanPool(nn.Module):
    """Tokens (N, C, D) to the mean of their positive parts over the columns that are not masked, (N, 1, D).

    Parameters
    ----------
    d_token, n_outputs : D, O.
    """

    def __init__(self, d_token: int, n_outputs: int) -> None:
        super().__init__()
        del n_outputs
        self.width = d_token

    def forward(self, tokens: torch.Tensor, masked: torch.Tensor | None = None) -> torch.Tensor:
        return _mean(torch.relu(tokens), masked)


class MomentPool(nn.Module):
    """Tokens (N, C, D) to first and second moments over the columns, (N, 1, D + R * R).

    Moment probing (Gao and others 2023, arXiv:2307.11342): a linear head on the mean and on a cross-covariance of two projections to R
    entries, which a mean alone cannot tell. The covariance holds products of columns.

    Parameters
    ----------
    d_token, n_outputs : D, O. rank : R. Cost: 2 C D R + C R**2 multiply-adds a row.

    # NOTE[DIFF] One head, linear projections in place of the reference's convolutions over image patches, and a normalisation of the
    # second moments, which brings them to the scale of the first.
    """

    def __init__(self, d_token: int, n_outputs: int, rank: int = 8) -> None:
        super().__init__()
        del n_outputs
        self.width, self.rank = d_token + rank * rank, rank
        self.project = nn.Linear(d_token, 2 * rank, bias=False)
        self.norm = nn.LayerNorm(rank * rank)

    def forward(self, tokens: torch.Tensor, masked: torch.Tensor | None = None) -> torch.Tensor:
        with torch.autocast(tokens.device.type, enabled=False):
            left, right = self.project(tokens.float()).chunk(2, -1)
            products = (left[..., :, None] * right[..., None, :]).flatten(2)
            expected = (_mean(left, masked)[..., :, None] * _mean(right, masked)[..., None, :]).flatten(2)
            second = self.norm(_mean(products, masked) - expected)
            return torch.cat([_mean(torch.relu(tokens.float()), masked), second], -1)


class LabelPool(nn.Module):
    """Tokens (N, C, D) to one score per output, (N, 1, O), by an attention over the columns that each output has of its own.

    Label-dependent attention (Niu, Yin, Song, Guo, Yang 2022, arXiv:2201.06779): every label has a vector, and reads the columns by
    their likeness to it. Use with the identity head: a linear one would mix the labels.

    Parameters
    ----------
    d_token, n_outputs : D, O. Cost: C D (D + 2 O) multiply-adds a row.

    # NOTE[DIFF] The labels' vectors are learned from the start; the paper takes them from a language model's embedding of their names.
    """

    def __init__(self, d_token: int, n_outputs: int) -> None:
        super().__init__()
        self.width = n_outputs
        self.labels = nn.Parameter(torch.empty(n_outputs, d_token).uniform_(-1, 1))
        self.key = nn.Linear(d_token, d_token, bias=False)
        self.weight = nn.Parameter(torch.empty(n_outputs, d_token).uniform_(-(d_token**-0.5), d_token**-0.5))
        self.bias = nn.Parameter(torch.zeros(n_outputs))

    def weights(self, tokens: torch.Tensor, masked: torch.Tensor | None = None) -> torch.Tensor:
        """Return each output's weights of the columns, (N, O, C), which sum to 1 over the columns."""
        return attention_weights(self.labels, self.key(tokens), None if masked is None else masked[:, None])

    def forward(self, tokens: torch.Tensor, masked: torch.Tensor | None = None) -> torch.Tensor:
        with torch.autocast(tokens.device.type, enabled=False):
            tokens = tokens.float()
            read = self.weights(tokens, masked) @ tokens
            return ((read * self.weight).sum(-1) + self.bias)[:, None]


def _mean(tokens: torch.Tensor, masked: torch.Tensor | None) -> torch.Tensor:
    """Return the mean over the columns seen, (N, 1, D)."""
    if masked is None:
        return tokens.mean(1, keepdim=True)
    seen = (~masked)[..., None]
    return torch.where(seen, tokens, 0.0).sum(1, keepdim=True) / seen.sum(1, keepdim=True).clamp(min=1)


POOLINGS: Mapping[str, type[MeanPool] | type[MomentPool] | type[LabelPool]] = {
    "mean": MeanPool, "moments": MomentPool, "label": LabelPool,
}  # fmt: skip
"""Ways from column tokens to one hidden state, by name."""
