"""Hidden states of a network, layer by layer: what each stage hands to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from pellucid.errors import RequestError
from pellucid.nn.cells import Cells
from pellucid.nn.heads import BlendHead
from pellucid.nn.table_net import TableNet

__all__ = ["BESIDE", "FIRST", "HEAD", "LAST", "layer_names", "layer_state", "stages_told"]

FIRST, BESIDE, LAST, HEAD = "tokens", "additive", "last", "head"


def layer_names(net: TableNet) -> tuple[str, ...]:
    """Return the names of the layers, input side first: ``"tokens"``, the backbone's stages, ``"last"`` (the hidden state that the head
    reads).

    Where the head reads a second thing, the output of an additive model beside the hidden state, that is a layer too: ``"additive"``. A
    model without a share in the answer is not evaluated, and no layer.
    """
    device = next(net.parameters()).device
    with torch.no_grad():
        seen = _watched(net, lambda: net.outputs_from_tokens(torch.zeros(2, net.n_columns, net.d_token, device=device)), 2)
    beside = (BESIDE,) if _has_beside(net) else ()
    return (FIRST, *seen, *beside, LAST)


def _has_beside(net: TableNet) -> bool:
    return isinstance(net.head, BlendHead) and not net.embedding.apart


def layer_state(net: TableNet, cells: Cells, layer: str) -> torch.Tensor:
    """Return the state of one layer (N, H): members, columns and whatever else a layer has side by side."""
    if layer == FIRST:
        return net.tokens(cells).flatten(1)
    if layer == LAST:
        return net.hidden(cells).flatten(1)
    if layer == BESIDE and _has_beside(net):
        return net.named_parts(cells)[BESIDE].flatten(1)
    seen = _watched(net, lambda: net(cells), cells.n_rows)
    if layer not in seen:
        raise RequestError(f"there is no layer {layer!r}", expected=f"one of {', '.join(layer_names(net))}")
    return seen[layer].flatten(1)


@contextmanager
def stages_told(net: nn.Module, told: Callable[[str], None]) -> Iterator[None]:
    """Call ``told`` with the name of each stage of a network, or of a stack of them, when it has ended, ``"head"`` last of all."""
    one: Any = getattr(net, "net", net)
    with _heard([*_stages(one.backbone), (HEAD, one.head)], lambda name, _: told(name)):
        yield


@contextmanager
def _heard(stages: Iterable[tuple[str, nn.Module]], hear: Callable[[str, Any], None]) -> Iterator[None]:
    """Call ``hear`` with the name of each stage and what it gives."""
    hooks = [module.register_forward_hook(lambda _, given, out, name=name: hear(name, out)) for name, module in stages]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _watched(net: TableNet, run: Callable[[], Any], n: int) -> dict[str, torch.Tensor]:
    """Return what the backbone's stages gave while ``run`` ran: name -> (n, ...), in the order in which they first spoke."""
    seen: dict[str, torch.Tensor] = {}

    def keep(name: str, out: Any) -> None:
        first = out[0] if isinstance(out, tuple) else out
        if isinstance(first, torch.Tensor) and first.shape[0] == n and first.is_floating_point():
            seen[name] = first.clone()  # what comes next may work in place

    with _heard(_stages(net.backbone), keep):
        run()
    return seen


def _stages(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield (name, stage): the items of lists of blocks, other children as they are, and so on into children that hold such lists."""
    for name, child in module.named_children():
        if isinstance(child, nn.ModuleList | nn.Sequential):
            yield from ((f"{prefix}{name}.{i}", block) for i, block in child.named_children())
        elif any(isinstance(c, nn.ModuleList) for c in child.children()):
            yield from _stages(child, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", child
