"""Building blocks shared by the backbones."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch._C._functorch import is_functorch_wrapped_tensor
from torch.overrides import has_torch_function_unary

from pellucid.nn.draws import dropout_mask, shared_mask, shares_masks
from pellucid.nn.folding import Folded

__all__ = [
    "EnsembleLinear",
    "FirstStage",
    "dropout",
    "in_fp32",
    "look_up",
    "only_answers",
    "relu_dropout",
    "scaled_relu_dropout",
    "uniform",
]


def dropout(x: torch.Tensor, p: float, training: bool) -> torch.Tensor:
    """Return ``x`` with a share ``p`` of its entries set to 0 and the rest scaled up; the same entries of all rows within ``sharing``."""
    if p > 0 and (shared := shared_mask(x.shape, p, x.device, x.dtype)) is not None:
        return x * shared
    if not training or p <= 0:
        return x
    return x * dropout_mask(x.shape, p, x.device, x.dtype)


class _ReluDropout(torch.autograd.Function):
    """ReLU and dropout in one: the backward pass needs the result alone, so one tensor is kept instead of two."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: torch.Tensor, mask: torch.Tensor, scale: float) -> torch.Tensor:
        return torch.relu(x).mul_(mask)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor, torch.Tensor, float], output: torch.Tensor) -> None:
        ctx.save_for_backward(output)
        ctx.scale = inputs[2]

    @staticmethod
    def backward(ctx: Any, *gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (out,) = ctx.saved_tensors
        return torch.ops.aten.threshold_backward(gradient[0], out, 0.0).mul_(ctx.scale), None, None


def relu_dropout(x: torch.Tensor, p: float, training: bool) -> torch.Tensor:
    """Return ReLU of ``x`` with :func:`dropout`, by one pass less each way."""
    if not training or p <= 0 or torch.compiler.is_compiling():
        return dropout(torch.relu(x), p, training)
    out: torch.Tensor = _ReluDropout.apply(x, dropout_mask(x.shape, p, x.device, x.dtype), 1 / (1 - p))
    return out


class _ScaledReluDropout(torch.autograd.Function):
    """``relu(bias + x * scale) * mask`` with scales and biases of the members: what a layer of TabM does after its product.

    Autograd would take five passes over all members more: it keeps the sum apart from its ReLU, and multiplies by constants of 1.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor, mask: torch.Tensor, share: float) -> torch.Tensor:
        return torch.addcmul(bias.to(x.dtype), x, scale.to(x.dtype)).relu_().mul_(mask)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, float], output: torch.Tensor) -> None:
        ctx.save_for_backward(inputs[0], inputs[1], output)
        ctx.share, ctx.kind = inputs[4], inputs[2].dtype

    @staticmethod
    def backward(ctx: Any, *gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, None, None]:
        x, scale, out = ctx.saved_tensors
        inside = torch.ops.aten.threshold_backward(gradient[0], out, 0.0)  # still to be divided by the share that is kept: later, on less
        to_scale = (inside * x).sum(0).to(scale.dtype) / ctx.share
        to_bias = inside.sum(0).to(ctx.kind) / ctx.share
        return inside * (scale / ctx.share).to(x.dtype), to_scale, to_bias, None, None


def only_answers(layer: nn.Module, x: torch.Tensor) -> bool:
    """Return whether nothing but the values is wanted: no gradient, no dropout, no operation that is recorded or batched over networks."""
    if layer.training or shares_masks() or torch.is_grad_enabled() or torch.compiler.is_compiling():
        return False
    return not (has_torch_function_unary(x) or is_functorch_wrapped_tensor(x))


def scaled_relu_dropout(x: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor, p: float, training: bool) -> torch.Tensor:
    """Return ReLU of ``bias + x * scale`` with :func:`dropout`; x (N, K, h), scale and bias (K, h)."""
    if not training or p <= 0 or torch.compiler.is_compiling():
        return relu_dropout(torch.addcmul(bias.to(x.dtype), x, scale.to(x.dtype)), p, training)
    out: torch.Tensor = _ScaledReluDropout.apply(x, scale, bias, dropout_mask(x.shape, p, x.device, x.dtype), 1 - p)
    return out


class _LookUp(torch.autograd.Function):
    """Rows of a table, whose gradient a processor adds up five times as fast as by the framework's embedding."""

    generate_vmap_rule = True

    @staticmethod
    def forward(table: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        return nn.functional.embedding(places, table)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor, torch.Tensor], output: torch.Tensor) -> None:
        table, places = inputs
        ctx.rows = table.shape[0]
        ctx.save_for_backward(places)

    @staticmethod
    def backward(ctx: Any, *gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        (places,) = ctx.saved_tensors
        rows = gradient[0].flatten(0, -2)
        return torch.index_add(rows.new_zeros(ctx.rows, rows.shape[-1]), 0, places.flatten(), rows), None


def look_up(table: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Return the rows (..., D) of a table (R, D) at places (...), int64 below R."""
    if table.device.type != "cpu":  # accelerators add in an order of chance that way
        return nn.functional.embedding(places, table)
    out: torch.Tensor = _LookUp.apply(table, places)
    return out


class FirstStage(nn.Module):
    """Tokens (N, C, D) to the members' first pre-activations (N, K, h), by way of one part per column.

    Every member sees its own scaled copy of the tokens: member i's matrix is ``W * r_i``. The product acts column by column, so it is a
    sum of one part per column. Whichever is smaller is scaled: the matrix, or a batch of fewer rows than the matrix has.

    Parameters
    ----------
    n_tokens, d_token, width : C, D, h.
    members : K.
    scale_in : each member has input scales r, one draw from N(0, 1) per column as the reference does for embedded columns.
    scale_out : each member has output scales (1 at the start) and a bias of its own (one draw for all).
    """

    def __init__(self, n_tokens: int, d_token: int, width: int, members: int = 1, scale_in: bool = False, scale_out: bool = False) -> None:
        super().__init__()
        self.n_tokens, self.d_token, self.width, self.members = n_tokens, d_token, width, members
        flat = n_tokens * d_token
        self.weight = nn.Parameter(uniform((width, flat), flat**-0.5))
        if scale_in:
            self.scale_in = nn.Parameter(torch.randn(members, n_tokens, 1).expand(-1, -1, d_token).reshape(members, -1).clone())
        else:
            self.register_parameter("scale_in", None)
        if scale_out:
            self.scale_out = nn.Parameter(torch.ones(members, width))
            self.bias = nn.Parameter(uniform((width,), flat**-0.5).expand(members, -1).clone())
        else:
            self.register_parameter("scale_out", None)
            self.bias = nn.Parameter(uniform((width,), flat**-0.5))

    def matrix(self) -> torch.Tensor:
        """Return the stacked matrix (K * h, C * D)."""
        if self.scale_in is None:
            return self.weight
        kind = self.kind()
        return (self.weight.to(kind) * self.scale_in.to(kind)[:, None]).flatten(0, 1)

    def kind(self) -> torch.dtype:
        """Return the precision of products here: what a batch is multiplied by is made in it too, at half the cost."""
        device = self.weight.device.type
        return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else self.weight.dtype

    def total(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the product of a row's tokens with the stacked matrix, (N, K * h)."""
        flat = tokens.flatten(1)
        # an exported graph has one way for any number of rows
        if self.scale_in is None or torch.compiler.is_exporting() or flat.shape[0] > self.width:
            return nn.functional.linear(flat, self.matrix())
        return nn.functional.linear((flat[:, None] * self.scale_in.to(flat.dtype)).flatten(0, 1), self.weight).view(flat.shape[0], -1)

    def parts(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return each column's part of the pre-activations, (N, C, K * h): scales are in it, and an equal share of the bias."""
        few = self.scale_in is not None and len(tokens) < self.width  # of fewer rows than the matrix has, the rows are scaled
        matrix, bias = (self.weight, self._bias) if few else self._stacked()
        given = self._scaled(tokens) if few else tokens
        by_column = matrix.view(-1, self.n_tokens, self.d_token).permute(1, 2, 0)
        out = torch.bmm(given.transpose(0, 1), by_column).transpose(0, 1)
        if few:
            out = out.unflatten(0, (len(tokens), self.members)).transpose(1, 2)  # (N, C, K, h)
            out = (out if self.scale_out is None else out * self.scale_out).flatten(2)
        return out + bias / self.n_tokens

    def _scaled(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return each member's tokens of every row, (N * K, C, D)."""
        assert self.scale_in is not None
        return (tokens[:, None] * self.scale_in.view(self.members, self.n_tokens, self.d_token)).flatten(0, 1)

    @property
    def _bias(self) -> torch.Tensor:
        return self.bias.expand(self.members, -1).flatten()

    def _stacked(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the stacked matrix (K * h, C * D) with all scales in it, and the stacked bias (K * h,)."""
        matrix = self.matrix()
        if self.scale_out is not None:
            matrix = matrix * self.scale_out.to(matrix.dtype).flatten()[:, None]
        return matrix, self._bias

    def forward(self, total: torch.Tensor) -> torch.Tensor:
        """Return the pre-activations (N, K, h) from what :meth:`total` gives (N, K * h)."""
        x = total.unflatten(1, (self.members, self.width))
        bias = self.bias.to(x.dtype)
        return x + bias if self.scale_out is None else torch.addcmul(bias, x, self.scale_out.to(x.dtype))

    def fold(self, kind: torch.dtype) -> Folded:
        """Return each member's matrix (K, h, C * D) with all scales in it, and biases."""
        matrix = self.weight[None] if self.scale_in is None else self.weight * self.scale_in[:, None]
        if self.scale_out is None:
            return matrix.to(kind), self.bias.to(kind)[None]
        return (matrix * self.scale_out[..., None]).to(kind), self.bias.to(kind)

    def answered(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return ReLU of the pre-activations (N, K, h), for answers alone: the scales go into the matrix."""
        kind, (matrix, bias) = self.kind(), self._stacked()
        flat = torch.addmm(bias.to(kind), tokens.flatten(1).to(kind), matrix.to(kind).T).relu_()
        out: torch.Tensor = flat.unflatten(1, (self.members, self.width))
        return out

    def activated(self, total: torch.Tensor, p: float) -> torch.Tensor:
        """Return ReLU of :meth:`forward` with dropout."""
        if only_answers(self, total):
            return torch.relu_(self(total))  # fresh from the sum
        if self.scale_out is None:
            return relu_dropout(self(total), p, self.training)
        x = total.unflatten(1, (self.members, self.width))
        return scaled_relu_dropout(x, self.scale_out, self.bias, p, self.training)


class EnsembleLinear(nn.Module):
    """One linear layer for K members, (N, K, in) to (N, K, out): ``s_i * (W (r_i * x)) + b_i`` with W shared.

    Wen, Tran, Ba 2020, arXiv:2002.06715; used as in TabM (Gorishniy, Kotelnikov, Babenko 2024, arXiv:2410.24210): r = s = 1 at the
    start and one draw of the bias for all members.
    """

    def __init__(self, n_in: int, n_out: int, members: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(uniform((n_out, n_in), n_in**-0.5))
        self.scale_in = nn.Parameter(torch.ones(members, n_in))
        self.scale_out = nn.Parameter(torch.ones(members, n_out))
        self.bias = nn.Parameter(uniform((n_out,), n_in**-0.5).expand(members, -1).clone())

    def fold(self, kind: torch.dtype) -> Folded:
        """Return each member's matrix (K, out, in) and bias (K, out), the scales in the matrix."""
        matrix = (self.weight * self.scale_in[:, None]).mul_(self.scale_out[..., None])
        return matrix.to(kind), self.bias.to(kind)

    def product(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``W (r_i * x)``, (N, K, out)."""
        # rows and members as one axis: batched over networks too (vmap), the product is then one call per network
        flat = nn.functional.linear((x * self.scale_in.to(x.dtype)).flatten(0, -2), self.weight)
        product: torch.Tensor = flat.unflatten(0, x.shape[:-1])
        return product

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        product = self.product(x)
        kind = product.dtype  # half the width under autocast, where the passes over all members cost as much as the product
        return torch.addcmul(self.bias.to(kind), product, self.scale_out.to(kind))

    def activated(self, x: torch.Tensor, p: float) -> torch.Tensor:
        """Return ReLU of :meth:`forward` with dropout.

        For answers alone the scales go into a matrix of each member where that is smaller than the rows: two passes over all members less.
        """
        if only_answers(self, x) and not is_functorch_wrapped_tensor(self.weight) and x.ndim == 3 and len(x) >= self.weight.shape[0]:
            each = (self.weight.to(x.dtype) * self.scale_in.to(x.dtype)[:, None]).mul_(self.scale_out.to(x.dtype)[..., None])
            out: torch.Tensor = torch.baddbmm(self.bias.to(x.dtype)[:, None], x.transpose(0, 1), each.mT)
            return out.relu_().transpose(0, 1)
        return scaled_relu_dropout(self.product(x), self.scale_out, self.bias, p, self.training)


def in_fp32(norm: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Return ``norm(x)`` in float32 whatever the surrounding precision."""
    with torch.autocast(x.device.type, enabled=False):
        return norm(x.float())  # type: ignore[no-any-return]


def uniform(shape: tuple[int, ...], bound: float) -> torch.Tensor:
    """Return a tensor of draws from U(-bound, bound)."""
    return torch.empty(shape).uniform_(-bound, bound)
