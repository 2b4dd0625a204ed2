"""The record of every operation that a network applies to tokens, and the way back along it.

Rules that replace derivatives (differences to a reference, relevance) are stated for primitive operations. Written for layers they miss
what is not a layer: products, normalisations inside a block, functions called by name. So the pass itself is recorded, operation by
operation below autograd, and any composed network is covered, a user's own module too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from pellucid.errors import RequestError
from pellucid.nn.gradients.units import Whole

__all__ = ["SAME", "WEIGHTS", "Function", "Grads", "Rule", "Step", "Tape", "back", "nothing", "number", "record", "slope", "weights"]

Function = Callable[[torch.Tensor], torch.Tensor]
Grads = list[torch.Tensor | None]

SAME = frozenset({"detach", "alias", "clone", "_to_copy", "lift_fresh", "contiguous", "copy"})
"""Operations that hand on what they are given. ``detach`` cuts gradients, not the function."""
WEIGHTS = frozenset({"_softmax", "_safe_softmax", "softmax", "sparsemax", "entmax15"})
"""Operations whose results sum to 1."""
_SHAPE_ONLY = frozenset(
    {
        "new_zeros", "new_ones", "new_empty", "new_full", "zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like",
        "new_empty_strided", "sym_size", "sym_numel", "sym_stride", "is_same_size", "_local_scalar_dense",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One operation that reads at least one tensor that depends on the tokens.

    Attributes
    ----------
    op, name : the operator, and its name without overload.
    flat, spec : its arguments, flattened, and how they fold back.
    active : places in ``flat`` of the tensors that depend on the tokens. keys : their identities.
    outputs, made : its results, and their identities.
    """

    op: Any
    name: str
    flat: tuple[Any, ...]
    spec: Any
    active: tuple[int, ...]
    keys: tuple[int, ...]
    outputs: tuple[torch.Tensor, ...]
    made: tuple[int, ...]

    def inputs(self) -> list[torch.Tensor]:
        """Return the tensors that depend on the tokens."""
        return [self.flat[i] for i in self.active]

    def apply(self, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return the operation's results on other inputs in place of the active ones."""
        flat = list(self.flat)
        for i, value in zip(self.active, inputs):
            flat[i] = value
        args, kwargs = pytree.tree_unflatten(flat, self.spec)
        out = _functional(self.op)(*args, **kwargs)
        return [t for t in (out if isinstance(out, tuple | list) else [out]) if isinstance(t, torch.Tensor)]

    def other(self, name: str, default: Any = None) -> Any:
        """Return an argument by its name in the operator's schema."""
        args, kwargs = pytree.tree_unflatten(list(self.flat), self.spec)
        names = [a.name for a in self.op._schema.arguments]
        given = {**dict(zip(names, args)), **kwargs}
        return given.get(name, next((a.default_value for a in self.op._schema.arguments if a.name == name), default))


@dataclass(frozen=True)
class Tape:
    """All steps of one pass from tokens (N, C, D) to outputs (N, O)."""

    steps: tuple[Step, ...]
    tokens: torch.Tensor
    output: torch.Tensor


Rule = Callable[[int, Grads], Grads]
"""(place of the step, what came back to its results) to what goes back to its active inputs."""


def record(function: Function, tokens: torch.Tensor, change: Callable[[str, int, Any], Any] | None = None) -> Tape:
    """Return the record of ``function(tokens)``.

    Parameters
    ----------
    function : tokens (N, C, D) -> outputs (N, O), rows independent, evaluated once.
    change : (operation, number of its call among those recorded, result) -> result; lets a step of the pass be replaced on the way.

    Raises
    ------
    RequestError : the function writes into a tensor of which another view is read afterwards.

    Notes
    -----
    Cost: one forward pass; every intermediate result is kept until the tape is dropped.
    """
    with torch.inference_mode(False), torch.no_grad():
        leaf = tokens.detach().clone()
        recorder = _Recorder(leaf, change)
        # the framework's fused attention has no primitives inside; its plain form has
        with sdpa_kernel(SDPBackend.MATH), Whole(), recorder:
            out = function(leaf)
        recorder.check((id(out),), "the result")
    return Tape(tuple(recorder.steps), leaf, out)


def back(tape: Tape, start: torch.Tensor, rule: Rule, watch: Mapping[int, list[torch.Tensor]] | None = None) -> torch.Tensor:
    """Return what comes back to the tokens (N, C, D) when ``start`` (N, O) is sent back along the tape by a rule.

    ``watch`` collects, for the steps it names, what came back to their first result.
    """
    held: dict[int, torch.Tensor] = {id(tape.output): start}
    with torch.inference_mode(False), torch.no_grad():
        for place in reversed(range(len(tape.steps))):
            step = tape.steps[place]
            came = [held.pop(key, None) for key in step.made]
            if all(c is None for c in came):
                continue
            if watch is not None and place in watch and came[0] is not None:
                watch[place].append(came[0])
            for key, share in zip(step.keys, rule(place, came)):
                if share is not None:
                    held[key] = held[key] + share if key in held else share
    return held.get(id(tape.tokens), torch.zeros_like(tape.tokens))


def weights(tape: Tape) -> frozenset[int]:
    """Return the identities of what is made of softmax, sparsemax or entmax weights alone: how values are mixed, not values.

    Relevance and parts of activations leave them as they are where they multiply something else.
    """
    found: set[int] = set()
    for step in tape.steps:
        if step.name in WEIGHTS or all(key in found for key in step.keys):
            found.update(step.made)
    return frozenset(found)


def slope(step: Step, at: Sequence[torch.Tensor], came: Grads) -> Grads:
    """Return the ordinary derivative of a step at ``at``, applied backwards to what came."""
    with torch.inference_mode(False), torch.enable_grad():
        leaves = [number(a).detach().clone().requires_grad_(True) for a in at]
        # an operation may hand back its own argument; a fresh node keeps results apart from leaves
        outs = step.apply([leaf.view_as(leaf) for leaf in leaves])
        pairs = [(o, c) for o, c in zip(outs, came) if c is not None and o.requires_grad]
        if not pairs:
            return [None] * len(leaves)
        grads = torch.autograd.grad([o for o, _ in pairs], leaves, [c.to(o.dtype) for o, c in pairs], allow_unused=True)
    return list(grads)


def nothing(step: Step) -> Grads:
    """Return that nothing goes back to any input."""
    return [None] * len(step.active)


def number(value: torch.Tensor) -> torch.Tensor:
    """Return truth values and places as numbers, all else as it is."""
    return value if value.is_floating_point() else value.to(torch.get_default_dtype())


def _functional(op: Any) -> Any:
    """Return the form of an operator that writes into nothing, and that asks no particular order in memory."""
    name = op._schema.name.split("::")
    if name[1] in ("view", "_unsafe_view") and op._overloadname == "default":
        return torch.ops.aten.reshape.default
    if not name[1].endswith("_") or not op._schema.is_mutable:
        return op
    return getattr(getattr(getattr(torch.ops, name[0]), name[1][:-1]), op._overloadname)


class _Recorder(TorchDispatchMode):
    """Writes down every operation that reads what depends on the tokens."""

    def __init__(self, tokens: torch.Tensor, change: Callable[[str, int, Any], Any] | None) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self.change = change
        self._active: dict[int, torch.Tensor] = {id(tokens): tokens}
        self._storages: dict[int, set[int]] = {tokens.untyped_storage().data_ptr(): {id(tokens)}}
        self._stale: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = func._schema.name.split("::")[1]
        flat, spec = pytree.tree_flatten((args, dict(kwargs or {})))
        active = tuple(i for i, a in enumerate(flat) if isinstance(a, torch.Tensor) and id(a) in self._active)
        if not active or name in _SHAPE_ONLY:
            writes = func._schema.is_mutable and bool(flat) and id(flat[0]) in self._active
            return self._written(func, name, args, kwargs, flat, spec, active) if writes else func(*args, **(kwargs or {}))
        keys = tuple(id(flat[i]) for i in active)
        self.check(keys, name)
        return self._written(func, name, args, kwargs, flat, spec, active)

    def check(self, keys: tuple[int, ...], name: str) -> None:
        """Refuse to read a tensor whose memory was written to through another view."""
        if self._stale.intersection(keys):
            raise RequestError(
                f"the network writes into a tensor of which another view is read afterwards ({name})", do="write x = f(x) for f_(x)"
            )

    def _written(
        self, func: Any, name: str, args: Any, kwargs: Any, flat: list[Any], spec: Any, active: tuple[int, ...]
    ) -> Any:  # fmt: skip
        keys = tuple(id(flat[i]) for i in active)
        mutable = func._schema.is_mutable
        held = [a.clone() if mutable and i in active else a for i, a in enumerate(flat)]
        if mutable:
            self._overwrite(flat[0])
        out = func(*args, **(kwargs or {}))
        if self.change is not None:
            out = self.change(name, len(self.steps), out)
        outputs = tuple(t for t in (out if isinstance(out, tuple | list) else [out]) if isinstance(t, torch.Tensor))
        plain = name[:-1] if mutable and name.endswith("_") else name
        self.steps.append(Step(func, plain, tuple(held), spec, active, keys, outputs, tuple(id(t) for t in outputs)))
        for t in outputs:
            self._active[id(t)] = t
            self._storages.setdefault(t.untyped_storage().data_ptr(), set()).add(id(t))
        return out

    def _overwrite(self, target: torch.Tensor) -> None:
        shared = self._storages.get(target.untyped_storage().data_ptr(), set())
        self._stale |= shared - {id(target)}
        self._stale.discard(id(target))
