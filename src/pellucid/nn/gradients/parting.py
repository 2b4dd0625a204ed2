"""The part that some columns have in every activation of a pass, carried forward operation by operation.

Contextual decomposition (Murdoch, Liu, Yu 2018, arXiv:1801.05453; Singh, Murdoch, Yu 2019, arXiv:1806.05337; for transformers: Hsu and
others 2025, arXiv:2407.00886). Every activation is ``part + rest``; the part of the tokens are the columns of a set.

* a matrix: of the part; a bias is split as the sizes of the two results;
* one number to one number, and everything else: half of what the part adds to the rest, and half of what it adds to nothing;
* a product of two: the same, which is half of part times whole and whole times part;
* attention weights stay those of the whole row (``attention="kept"``) or follow the general rule (``"shared"``);
* layer norm: the part less its own mean, in the scale of the whole row.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from pellucid.errors import RequestError
from pellucid.nn.gradients.relevance import MATRICES, PRODUCTS
from pellucid.nn.gradients.secants import LINEAR
from pellucid.nn.gradients.tape import SAME, Function, Step, Tape, number, record, slope, weights

__all__ = ["parts_of_sets"]

ROWS = 512


def parts_of_sets(
    function: Function, tokens: torch.Tensor, sets: torch.Tensor, attention: str = "kept", rows: int = ROWS
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (parts of the outputs (N, S, O), outputs (N, O)).

    Parameters
    ----------
    function : tokens (N, C, D) -> outputs (N, O), rows independent.
    sets : (S, C) bool, the columns of each set.
    attention : ``"kept"`` or ``"shared"``, see above.
    rows : passes at a time.

    Notes
    -----
    Cost: about five forward passes per row and set.

    Examples
    --------
    >>> net = lambda t: (t[:, 0] * t[:, 1] + t[:, 2])
    >>> parts, _ = parts_of_sets(net, torch.tensor([[[2.0], [3.0], [4.0]]]), torch.tensor([[True, False, False], [True, True, False]]))
    >>> parts[0, :, 0].tolist()
    [3.0, 6.0]
    """
    if attention not in ("kept", "shared"):
        raise RequestError(f"attention={attention!r} cannot be used", expected="'kept' or 'shared'")
    n_sets, found, outputs = len(sets), [], []
    for part in tokens.split(max(1, rows // n_sets)):
        wide = part.repeat_interleave(n_sets, 0)
        tape = record(function, wide)
        inside = sets.to(part.device).repeat(len(part), 1)[..., None]
        found.append(_forward(tape, torch.where(inside, tape.tokens, 0.0), attention == "kept").unflatten(0, (-1, n_sets)))
        outputs.append(tape.output[::n_sets])
    return torch.cat(found), torch.cat(outputs)


def _forward(tape: Tape, part: torch.Tensor, kept: bool) -> torch.Tensor:
    """Return the part of the output (N, O)."""
    held, mixing = {id(tape.tokens): part}, weights(tape) if kept else frozenset[int]()
    with torch.inference_mode(False), torch.no_grad():
        for step in tape.steps:
            given = [held.get(key) for key in step.keys]
            if all(g is None for g in given):
                continue
            for key, made in zip(step.made, _rule(step, given, mixing)):
                held[key] = made
    return held.get(id(tape.output), torch.zeros_like(tape.output))


def _rule(step: Step, given: Sequence[torch.Tensor | None], mixing: frozenset[int]) -> list[torch.Tensor]:
    """Return the parts of a step's results; results that are no numbers have none."""
    if not step.outputs or not step.outputs[0].is_floating_point():
        return []
    if step.name in SAME:
        return [g.to(step.outputs[0].dtype) for g in given if g is not None]
    real = [i for i, a in enumerate(step.inputs()) if a.is_floating_point()]
    fixed = [step.keys[i] in mixing for i in real]
    if step.name in PRODUCTS and any(fixed) and not all(fixed):
        real = [i for i, f in zip(real, fixed) if not f]
    only = Step(
        step.op, step.name, step.flat, step.spec, tuple(step.active[i] for i in real), tuple(step.keys[i] for i in real), step.outputs,
        step.made,
    )  # fmt: skip
    part = [torch.zeros_like(a) if g is None else g for a, g in zip(only.inputs(), [given[i] for i in real])]
    if step.name in LINEAR and (step.name not in PRODUCTS or len(real) == 1):
        return _linear(only, part)
    if step.name == "native_layer_norm" and only.active == (0,):
        return [_normalised(only, part[0])]
    return _in_both_orders(only, part)


def _linear(step: Step, part: list[torch.Tensor]) -> list[torch.Tensor]:
    """The image of the part; of a bias its share by size."""
    none = step.apply([torch.zeros_like(a) for a in part])
    image = [_minus(p, z) for p, z in zip(step.apply(part), none)]
    if step.name not in MATRICES and step.name not in ("native_batch_norm", "_native_batch_norm_legit_no_training"):
        return image
    return [i + _share(_minus(o, z) - i, i, torch.nan_to_num(z, 0.0, 0.0, 0.0)) for i, o, z in zip(image, step.outputs, none)]


def _share(rest: torch.Tensor, part: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    size = part.abs() + rest.abs()
    share: torch.Tensor = bias * part.abs() / torch.where(size > 0, size, 1.0)
    return share


def _minus(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.where(a == b, 0.0, a - b)  # two infinities are equal


def _normalised(step: Step, part: torch.Tensor) -> torch.Tensor:
    (a,), weight, bias = step.inputs(), step.other("weight"), step.other("bias")
    axes = list(range(-len(step.other("normalized_shape")), 0))
    scale = (a.var(axes, correction=0, keepdim=True) + step.other("eps")).rsqrt()
    image: torch.Tensor = (part - part.mean(axes, keepdim=True)) * scale
    image = image if weight is None else image * weight
    if bias is None:
        return image
    return image + _share(step.outputs[0] - bias - image, image, bias)


def _in_both_orders(step: Step, part: list[torch.Tensor]) -> list[torch.Tensor]:
    """Half of what the part adds to the rest and half of what it adds to nothing; where 0 is no place to stand, the derivative."""
    whole = [number(a) for a in step.inputs()]
    rest = [_minus(a, p) for a, p in zip(whole, part)]
    ways = [step.apply(v) for v in (rest, part, [torch.zeros_like(a) for a in whole])]
    out = []
    for k, result in enumerate(step.outputs):
        if not result.is_floating_point():
            continue
        without, alone, none = (w[k] for w in ways)
        both = (_minus(result, without) + _minus(alone, none)) / 2
        if not bool(torch.isfinite(both).all()):
            both = torch.where(torch.isfinite(both), both, _by_derivative(step, whole, part, k))
        out.append(torch.nan_to_num(both, 0.0, 0.0, 0.0))
    return out


def _by_derivative(step: Step, whole: list[torch.Tensor], part: list[torch.Tensor], k: int) -> torch.Tensor:
    """Return the derivative in the direction of the part, for operations of one number to one number."""
    shape = step.outputs[k].shape
    at, along = [a.expand(shape) for a in whole], [p.expand(shape) for p in part]
    found = slope(step, at, [torch.ones(shape, dtype=step.outputs[k].dtype, device=step.outputs[k].device)])
    return torch.stack([torch.zeros_like(p) if f is None else f * p for f, p in zip(found, along)]).sum(0)
