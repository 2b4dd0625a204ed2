"""Members of a network one after the other, with their scales folded into matrices: for answers alone.

While learning, members share a matrix and differ by scales of what goes in and what comes out, and every operation acts on all members at
once: tensors (N, K, h) that no cache holds. Without gradients the scales go into a matrix of each member, which is made once and kept as
long as the weights stay as they are, and one member's states (N, h) never leave the cache. Letters: N rows, K members, h width, O outputs.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import nn
from torch._C._functorch import is_functorch_wrapped_tensor

__all__ = ["Folded", "Folding", "InTurn", "folded", "in_turn", "linear_relu", "unwatched"]

Folded = tuple[torch.Tensor, torch.Tensor]
"""Matrices (K, out, in), or (1, out, in) where all members share one; biases (K, out) or (1, out)."""


SOME = 1024
"""States turned into float32 at a time."""


class Folding(Protocol):
    """A layer whose members can be told apart."""

    def fold(self, kind: torch.dtype) -> Folded:
        """Return the matrices and biases of the members in one precision."""


class _Kept(NamedTuple):
    """What was made of which parameters (a new one may come to lie where an old one was), and what they were then."""

    of: tuple[weakref.ref[torch.Tensor], ...]
    stamp: tuple[Any, ...]
    made: Folded


_kept: weakref.WeakKeyDictionary[nn.Module, dict[torch.dtype, _Kept]] = weakref.WeakKeyDictionary()
"""By layer and precision: explanations ask in two of them, in turn."""


def folded(layer: nn.Module, kind: torch.dtype) -> Folded:
    """Return what :meth:`Folding.fold` of a layer gives, kept until one of its parameters is written to or replaced.

    Every write that autograd would notice is noticed (an optimiser's step, a loaded state, a copy); one through ``.data`` is not. Weights
    that are computed (parametrized, or put in for one call) are folded anew each time. What is kept is no part of the layer: it is neither
    copied nor saved with it.
    """
    own = [p for p in layer._parameters.values() if p is not None]
    if hasattr(layer, "parametrizations") or not all(isinstance(p, nn.Parameter) for p in own):
        return _made(layer, kind)
    stamp = tuple((p.data_ptr(), p._version) for p in own)
    of_layer = _kept.setdefault(layer, {})
    known = of_layer.get(kind)
    if known is not None and known.stamp == stamp and all(ref() is p for ref, p in zip(known.of, own)):
        return known.made
    made = _made(layer, kind)
    of_layer[kind] = _Kept(tuple(weakref.ref(p) for p in own), stamp, made)
    return made


def _made(layer: Any, kind: torch.dtype) -> Folded:
    with torch.inference_mode(False), torch.no_grad():
        if isinstance(layer, nn.Linear):
            return layer.weight.to(kind)[None], layer.bias.to(kind)[None]
        made: Folded = layer.fold(kind)
        return made


def linear_relu(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Return ReLU of ``x @ weight.T + bias``, for answers alone; on processors in half precision by one pass, a quarter faster."""
    half = x.dtype is torch.bfloat16 and x.device.type == "cpu" and torch.backends.mkldnn.is_available()
    if half and hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        out: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "relu", [], "")
        return out
    return nn.functional.linear(x, weight, bias).relu_()


def _relu(x: torch.Tensor) -> torch.Tensor:
    """Return ReLU of ``x``; of bfloat16 on processors by its bits, five times as fast.

    As whole numbers the bits of what is below 0 are below 0 too. (So are those of a NaN with the sign set, which would become 0.
    Cells hold none: a missing number is 0 beside a mark that it is missing, and infinite ones are refused.)
    """
    if x.dtype is torch.bfloat16 and x.device.type == "cpu":
        return x.view(torch.int16).clamp_min(0).view(x.dtype)
    return x.relu()


@dataclass(frozen=True)
class InTurn:
    """The hidden states (N, h) of K members, made when they are asked for and to be read once.

    Attributes
    ----------
    states : yields K tensors. n, members, width : N, K, h.
    """

    states: Iterator[torch.Tensor]
    n: int
    members: int
    width: int

    def times(self, weight: torch.Tensor) -> torch.Tensor:
        """Return each member's states times its matrix, weight (K, h, O) or (1, h, O), in float32: (N, K, O)."""
        each = weight.mT.contiguous()  # O is small: products over it are several times as fast in this order of axes
        out = weight.new_empty((self.members, weight.shape[2], self.n), dtype=torch.float32)
        for k, state in enumerate(self.states):  # a product in half precision would round the answers themselves
            own = each[min(k, len(each) - 1)]
            for begin in range(0, self.n, SOME):  # the states in float32 stay in the cache
                end = min(begin + SOME, self.n)
                torch.mm(own, state[begin:end].float().T, out=out[k, :, begin:end])
        return out.permute(2, 0, 1)


def in_turn(layers: Sequence[Any], given: torch.Tensor, members: int, kind: torch.dtype, summed: bool) -> InTurn:
    """Return the members' states after linear layers with a ReLU behind each.

    Parameters
    ----------
    layers : a :class:`~pellucid.nn.layers.FirstStage`, and layers that are :class:`Folding` or linear.
    given : flat tokens (N, C * D), or with ``summed`` the first layer's pre-activations (N, K * h).
    kind : precision of the products.
    """
    first, *rest = layers
    flat, width = given.to(kind), first.width
    begin = None if summed else folded(first, kind)
    later = [folded(layer, kind) for layer in rest]

    def states() -> Iterator[torch.Tensor]:
        for k in range(members):
            x = _relu(flat[:, k * width : (k + 1) * width]) if begin is None else _of_member(begin, flat, k)
            for layer in later:
                x = _of_member(layer, x, k)
            yield x

    # the states of one member are made at once: between them and their product nothing else then lies in memory
    return InTurn(iter(list(states())) if members == 1 else states(), len(flat), members, later[-1][0].shape[1] if later else width)


def _of_member(layer: Folded, x: torch.Tensor, k: int) -> torch.Tensor:
    matrix, bias = layer
    return linear_relu(x, matrix[min(k, len(matrix) - 1)], bias[min(k, len(bias) - 1)])


def unwatched(*modules: nn.Module) -> bool:
    """Return whether nobody listens to what the modules or those inside them give, and none of their weights is one of many at once."""
    every = [m for module in modules for m in module.modules()]
    if any(m._forward_hooks or m._forward_pre_hooks for m in every):
        return False
    return not any(is_functorch_wrapped_tensor(p) for m in every for p in m._parameters.values() if p is not None)
