"""Piecewise-linear embeddings of numbers.

Gorishniy, Rubachev, Babenko 2022, arXiv:2203.05556; version B of Gorishniy, Kotelnikov, Babenko 2024, arXiv:2410.24210.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch._C._functorch import is_functorch_wrapped_tensor
from torch.overrides import has_torch_function_unary

from pellucid.errors import RequestError
from pellucid.nn.layers import only_answers, uniform

__all__ = ["Bins", "Linear", "PiecewiseLinear", "PiecewiseLinearA", "piecewise_linear"]


def _on_curves(curve: torch.Tensor, at: torch.Tensor, share: torch.Tensor, used: torch.Tensor) -> torch.Tensor:
    """Return (N, Sn, D) from curves (Sn, T, D), the places (Sn * N,) of the numbers' bins, the shares of them, and which bins are used."""
    rises = curve * used  # what stands in padding is never read
    below = (torch.cumsum(rises, 1) - rises).flatten(0, 1)
    out = torch.addcmul(below.index_select(0, at), curve.flatten(0, 1).index_select(0, at), share[:, None])
    placed: torch.Tensor = out.unflatten(0, (len(used), -1)).transpose(0, 1)
    return placed


class _OnCurves(torch.autograd.Function):
    """:func:`_on_curves` with a gradient.

    It is added up in the bins and then summed from the last bin on, for a number counts in every bin below its own. Encoding all numbers
    would cost T entries a number in several passes; this costs D.
    """

    @staticmethod
    def forward(ctx: Any, curve: torch.Tensor, at: torch.Tensor, share: torch.Tensor, used: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(at, share, used)
        return _on_curves(curve, at, share, used)

    @staticmethod
    def backward(ctx: Any, *gradient: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        at, share, used = ctx.saved_tensors
        g = gradient[0].transpose(0, 1).flatten(0, 1)
        empty = g.new_zeros(used.shape[0] * used.shape[1], 2 * g.shape[1])
        both = empty.index_add(0, at, torch.cat([g, g * share[:, None]], 1))
        whole, inside = both.unflatten(0, used.shape[:2]).chunk(2, 2)
        above = whole.sum(1, keepdim=True) - torch.cumsum(whole, 1)
        return torch.addcmul(inside, above, used), None, None, None


class Bins(nn.Module):
    """Bins of number columns: affine maps and bounds that turn a number into its piecewise-linear encoding.

    ``e = clamp(shift + slope * x, low, high)`` with arrays of shape (Sn, T); T is the widest column's number of bins. A column's last
    bin sits in slot T - 1, so that columns of unequal resolution share one clamp; slots between are padding and stay 0.

    Parameters
    ----------
    bins : Sn arrays of increasing edges.
    clip : False lets the first bin go on below the smallest edge and the last one above the largest.
    """

    slope: torch.Tensor
    shift: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor
    edges: torch.Tensor
    slots: torch.Tensor

    def __init__(self, bins: Sequence[npt.NDArray[np.floating]], clip: bool = False) -> None:
        super().__init__()
        widest = max((len(edges) - 1 for edges in bins), default=1)
        shape = (len(bins), widest)
        slope, shift, low, high = np.zeros(shape), np.zeros(shape), np.zeros(shape), np.ones(shape)
        inner, places = np.full((len(bins), max(widest - 1, 1)), np.inf), np.full(shape, widest - 1)
        for j, edges in enumerate(bins):
            left = np.asarray(edges, np.float64)
            gap = np.diff(left)
            if len(left) < 2 or (gap <= 0).any() or not np.isfinite(left).all():
                raise RequestError(f"the bin edges of number slot {j} are unusable", expected="at least two finite, increasing edges")
            slots = np.r_[np.arange(len(gap) - 1), widest - 1]
            slope[j, slots], shift[j, slots] = 1 / gap, -left[:-1] / gap
            inner[j, : len(gap) - 1], places[j, : len(gap)] = left[1:-1], slots
            if not clip:
                low[j, slots[0]], high[j, widest - 1] = -np.inf, np.inf
        for name, values in (("slope", slope), ("shift", shift), ("low", low), ("high", high), ("edges", inner)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32), persistent=False)
        self.register_buffer("slots", torch.from_numpy(places + widest * np.arange(len(bins))[:, None]), persistent=False)

    @property
    def shape(self) -> torch.Size:
        """(Sn, T)."""
        return self.slope.shape

    def encode(self, numbers: torch.Tensor) -> torch.Tensor:
        """Return the encoding (N, Sn, T) of numbers (N, Sn), float32.

        Only the first and the last slot have bounds of their own; one clamp with two numbers is up to nine times as fast as one with
        tensors.
        """
        line = torch.addcmul(self.shift, self.slope, numbers[..., None])
        if has_torch_function_unary(numbers):  # operations are being recorded: one that writes into no slice can be followed
            return line.clamp(self.low, self.high)
        out = line.clamp(0, 1)
        for t in (0, -1):
            out[..., t] = line[..., t].clamp(self.low[:, t], self.high[:, t])
        return out

    def forward(self, numbers: torch.Tensor, curve: torch.Tensor) -> torch.Tensor:
        """Return ``sum_t e_t(x) curve_t`` (N, Sn, D) of numbers (N, Sn) under curves (Sn, T, D).

        The bin is looked up: below it the curve has risen by all it rises there, inside it by a share. Numbers are encoded where operations
        are recorded, where their own gradient is asked for, in stacks that learn, and on accelerators, which would add gradients up in an
        order of chance.
        """
        if torch.compiler.is_compiling() or has_torch_function_unary(numbers):
            return torch.bmm(self.encode(numbers).transpose(0, 1), curve).transpose(0, 1)
        learned, stacked = torch.is_grad_enabled(), is_functorch_wrapped_tensor(numbers) or is_functorch_wrapped_tensor(curve)
        if learned and (stacked or numbers.requires_grad or numbers.device.type != "cpu"):
            return torch.bmm(self.encode(numbers).transpose(0, 1), curve).transpose(0, 1)
        by_column = numbers.T.contiguous()
        if stacked:  # searching is wrong there
            bin_of = (by_column[..., None] >= self.edges[:, None]).sum(-1)
        else:
            bin_of = torch.searchsorted(self.edges, by_column, right=True)
        at = self.slots.gather(1, bin_of.clamp(max=self.slots.shape[1] - 1)).flatten()
        share = (self.shift.flatten()[at] + self.slope.flatten()[at] * by_column.flatten()).clamp(
            self.low.flatten()[at], self.high.flatten()[at]
        )
        used = (self.slope != 0).to(curve.dtype)[..., None]
        placed: torch.Tensor = _OnCurves.apply(curve, at, share, used) if learned else _on_curves(curve, at, share, used)
        return placed


def piecewise_linear(numbers: torch.Tensor, bins: Sequence[npt.NDArray[np.floating]], clip: bool = False) -> torch.Tensor:
    """Return the piecewise-linear encoding (N, Sn, T) of numbers (N, Sn).

    Component t of a column is 0 below bin t, 1 above it and rises linearly inside. With ``clip=False`` the first bin goes on below
    the smallest edge and the last one above the largest.

    Examples
    --------
    >>> piecewise_linear(torch.tensor([[1.25]]), [np.array([0.0, 1.0, 2.0, 3.0])])[0, 0].tolist()
    [1.0, 0.25, 0.0]
    """
    return Bins(bins, clip).encode(numbers.float())


class PiecewiseLinear(nn.Module):
    """Numbers (N, Sn) to embeddings (N, Sn, D).

    Version B is ``w x + b + sum_t e_t(x) v_t`` with v = 0 at the start, so that each column begins as a line; version A is
    ``sum_t e_t(x) v_t + b``; version L is the line alone. A missing number has a vector of its own.

    Parameters
    ----------
    bins : Sn arrays of increasing edges.
    d_token : D.
    version : ``"B"``, ``"A"`` or ``"L"``.
    activation : apply ReLU (customary with version A).
    """

    def __init__(self, bins: Sequence[npt.NDArray[np.floating]], d_token: int, version: str = "B", activation: bool = False) -> None:
        super().__init__()
        if version not in ("A", "B", "L"):
            raise RequestError(f"unknown version {version!r} of the number embedding", expected="'B', 'A' or 'L'")
        self.version, self.activation = version, activation
        self.bins = Bins(bins)
        n, widest = self.bins.shape
        if version != "A":
            self.line = nn.Parameter(uniform((n, d_token), d_token**-0.5))
            if version == "B":
                self.curve = nn.Parameter(torch.zeros(n, widest, d_token))
            self.bias = nn.Parameter(uniform((n, d_token), d_token**-0.5))
        else:
            # the bound is each column's own number of bins, as in the reference
            own = torch.tensor([(len(e) - 1) ** -0.5 for e in bins])[:, None]
            used = (self.bins.slope != 0).float()[..., None]
            self.curve = nn.Parameter(uniform((n, widest, d_token), 1.0) * own[..., None] * used)
            self.bias = nn.Parameter(uniform((n, d_token), 1.0) * own)
        self.gap = nn.Parameter(uniform((n, d_token), d_token**-0.5))

    def forward(self, numbers: torch.Tensor, missing: torch.Tensor) -> torch.Tensor:
        if self.version == "L":
            out = torch.addcmul(self.bias, self.line, numbers[..., None])
        else:
            out = self.bias + self.bins(numbers, self.curve)
            if self.version == "B":
                out = torch.addcmul(out, self.line, numbers[..., None])
        if self.activation:
            out = torch.relu(out)
        if only_answers(self, numbers) and not is_functorch_wrapped_tensor(missing) and not missing.any():
            return out
        return torch.where(missing[..., None], self.gap, out)


class PiecewiseLinearA(PiecewiseLinear):
    """Version A with ReLU, the embedding of the 2022 paper (``Q-LR`` and ``T-LR`` there, by the kind of the bins)."""

    def __init__(self, bins: Sequence[npt.NDArray[np.floating]], d_token: int, activation: bool = True) -> None:
        super().__init__(bins, d_token, "A", activation)


class Linear(PiecewiseLinear):
    """The line alone, ``w x + b``: the number part of the feature tokenizer (Gorishniy and others 2021, arXiv:2106.11959)."""

    def __init__(self, bins: Sequence[npt.NDArray[np.floating]], d_token: int, activation: bool = False) -> None:
        super().__init__(bins, d_token, "L", activation)
