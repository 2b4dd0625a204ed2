"""Functions that a tape keeps whole: their parts (sorting, running sums) have no good rule, the whole has one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from pellucid.nn import sparse

__all__ = ["Whole"]


def _operator(name: str, function: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a function with a derivative as an operator of the framework, which a tape sees as one step, inside ``vmap`` too."""
    made: Any = torch.library.custom_op(f"pellucid::{name}", function.forward, mutates_args=(), schema="(Tensor z) -> Tensor")
    made.register_vmap(lambda info, dims, z: (made(z.movedim(dims[0], 0)), 0))
    made.register_autograd(function.backward, setup_context=function.setup_context)
    operator: Callable[[torch.Tensor], torch.Tensor] = made
    return operator


_WHOLE = {
    sparse.SparsemaxFunction: _operator("sparsemax", sparse.SparsemaxFunction),
    sparse.Entmax15Function: _operator("entmax15", sparse.Entmax15Function),
}


class Whole(TorchFunctionMode):
    """While it is on, sparsemax and entmax are single operators."""

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is sparse.exact:
            return _WHOLE[args[0]](args[1])
        return func(*args, **(kwargs or {}))
