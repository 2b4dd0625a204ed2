"""Scaled dot-product attention among few tokens: all weights of a row are written out, in a form that processors are quick at.

The framework's kernel is made for long texts. With 15 tokens most of its time goes to softmax rows that do not fill a register, to
copies between layouts and to fresh random bits; the products themselves are a small part.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from pellucid.nn.draws import dropout_mask

__all__ = ["LANES", "SMALL", "attend", "softmax", "wide"]

LANES = 16  # float32 numbers in the widest vector register of a processor
PIECE = 1 << 19  # numbers of queries, keys and values worked on at once, which stay in a core's cache
SMALL = 64  # tokens up to which this form is the faster one


def wide(x: torch.Tensor) -> torch.Tensor:
    """Return ``x`` at least in float32."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def softmax(scores: torch.Tensor) -> torch.Tensor:
    """Return the softmax over the last axis, at least in float32.

    A processor takes ten times as long for rows of 15 scores as for rows of 16, so short rows are filled up.
    """
    scores, n = wide(scores), scores.shape[-1]
    extra = _filling(n, scores.device)
    return functional.pad(scores, (0, extra), value=-torch.inf).softmax(-1)[..., :n] if extra else scores.softmax(-1)


def attend(
    joint: torch.Tensor, heads: int, hidden: torch.Tensor | None = None, p: float = 0.0, scale: float | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mixed values (N, T, W) of tokens that attend to each other, and the weights (N, heads, T, T).

    Parameters
    ----------
    joint : queries, keys and values side by side, (N, T, 3 W).
    heads : number of heads, of E = W / heads entries each.
    hidden : True where token i must not hear token j, broadcastable to (N, heads, T, T) with no axis of heads; their weight is exactly 0.
        Where all are hidden the weights are equal.
    p : share of the weights that is dropped before values are mixed.
    scale : of the scores, the root of 1 / E if None.

    Notes
    -----
    Softmax and sums are float32 whatever the surrounding precision. Cost: 2 T T W multiply-adds a row forward, twice that backward.
    """
    n, t, extra = *joint.shape[:2], _filling(joint.shape[1], joint.device)
    with torch.autocast(joint.device.type, enabled=False):
        # keys that fill up have no weight even beside keys that are all hidden
        dtype = torch.promote_types(joint.dtype, torch.float32)
        bias = functional.pad(torch.zeros(1, 1, t, dtype=dtype, device=joint.device), (0, extra), value=-torch.inf)
        if hidden is not None:
            low = bias.new_zeros(hidden.shape).masked_fill(hidden, torch.finfo(bias.dtype).min)
            bias = bias + functional.pad(low[(None,) * (4 - low.ndim)], (0, extra))
            bias = bias[0] if len(bias) == 1 else bias.expand(-1, heads, t, -1).flatten(0, 1)
        mask = dropout_mask((n * heads, t, t + extra), p, bias.device, bias.dtype) if p > 0 else None
        scale = (joint.shape[-1] // 3 // heads) ** -0.5 if scale is None else scale
        if torch.compiler.is_exporting():  # pieces are for a cache's sake, and their number is the batch's
            mixed, weights = _heard(joint, bias, mask, heads, scale)
        else:
            mixed, weights = _Attend.apply(joint, bias, mask, heads, scale)
    return mixed, weights.unflatten(0, (-1, heads))[..., :t]


def _filling(n: int, device: torch.device) -> int:
    """Return how many places rows of n numbers lack to fill registers, 0 where that does not matter."""
    return -n % LANES if device.type == "cpu" and n <= SMALL else 0


def _pack(joint: torch.Tensor, heads: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return queries (N * heads, T, E), keys and values (N * heads, T + filling, E) in one copy, the filling 0."""
    filled = (0, 0, 0, _filling(joint.shape[1], joint.device))
    parts = wide(joint).unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    q, k, v = functional.pad(parts, filled).flatten(1, 2).unbind()
    return q[:, : joint.shape[1]], k, v


def _by_token(x: torch.Tensor, heads: int) -> torch.Tensor:
    """Return (N, T, heads, E) from (N * heads, T, E)."""
    by_token: torch.Tensor = x.unflatten(0, (-1, heads)).transpose(1, 2)
    return by_token


class _Attend(torch.autograd.Function):
    """Attention whose backward pass makes queries, keys and values anew, where autograd would keep and copy many forms of them.

    Rows are worked on in pieces that stay in a core's cache. The weights are a second result, so that the backward pass is a function of
    inputs and results and can be differentiated again.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(
        joint: torch.Tensor, bias: torch.Tensor, mask: torch.Tensor | None, heads: int, scale: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        results = [_heard(j, b, m, heads, scale) for j, (b, m) in _pieces(joint, heads, bias, mask)]
        return torch.cat([mixed for mixed, _ in results]), torch.cat([weights for _, weights in results])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, torch.Tensor]) -> None:
        joint, _, mask, ctx.heads, ctx.scale = inputs
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(joint, mask, output[1])

    @staticmethod
    def backward(ctx: Any, *gradient: torch.Tensor | None) -> tuple[torch.Tensor | None, None, None, None, None]:
        joint, mask, weights = ctx.saved_tensors
        of_mixed, of_weights = gradient
        if of_mixed is None and of_weights is None:
            return None, None, None, None, None
        if of_mixed is None:
            of_mixed = of_weights.new_zeros(*joint.shape[:2], joint.shape[2] // 3)  # type: ignore[union-attr]
        with torch.autocast(joint.device.type, enabled=False):
            pieces = _pieces(joint, ctx.heads, mask, weights, of_weights)
            rows = [len(j) for j, _ in pieces]
            slopes = [_slope(j, g, m, w, by_w, ctx.heads, ctx.scale) for (j, (m, w, by_w)), g in zip(pieces, of_mixed.split(rows))]
            return torch.cat(slopes), None, None, None, None


def _pieces(joint: torch.Tensor, heads: int, *others: torch.Tensor | None) -> list[tuple[torch.Tensor, list[Any]]]:
    """Return pieces of some rows of ``joint`` (N, T, 3 W), each with the same rows of the others, (N * heads, ...), (1, ...) or None."""
    n = max(1, PIECE // max(1, joint[:1].numel()))
    parts = joint.split(n)
    cut = [[t] * len(parts) if t is None or len(t) == 1 else t.split(n * heads) for t in others]
    return [(part, [c[i] for c in cut]) for i, part in enumerate(parts)]


def _heard(
    joint: torch.Tensor, bias: torch.Tensor, mask: torch.Tensor | None, heads: int, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mixed values (N, T, W) and the weights (N * heads, T, T + filling)."""
    q, k, v = _pack(joint, heads)
    weights = torch.baddbmm(bias, q, k.mT, alpha=scale).softmax(-1)
    mixed = torch.bmm(weights if mask is None else weights * mask, v)
    return _by_token(mixed, heads).flatten(2).to(joint.dtype), weights


def _slope(
    joint: torch.Tensor, of_mixed: torch.Tensor, mask: torch.Tensor | None, weights: torch.Tensor, of_weights: torch.Tensor | None,
    heads: int, scale: float,
) -> torch.Tensor:  # fmt: skip
    """Return the gradient by ``joint`` from those by the two results."""
    t = joint.shape[1]
    q, k, v = _pack(joint, heads)
    g = wide(of_mixed).unflatten(-1, (heads, -1)).transpose(1, 2).flatten(0, 1)
    heard = torch.bmm(g, v.mT)
    if mask is not None:
        heard = heard * mask
    if of_weights is not None:
        heard = heard + of_weights
    of_scores = torch._softmax_backward_data(heard, weights, -1, weights.dtype) * scale
    dropped = weights if mask is None else weights * mask
    parts = torch.bmm(of_scores, k), torch.bmm(of_scores.mT, q)[:, :t], torch.bmm(dropped.mT, g)[:, :t]
    return torch.stack([_by_token(x, heads) for x in parts], 2).flatten(2).to(joint.dtype)
