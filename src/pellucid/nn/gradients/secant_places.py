"""The rules of differences to a reference for places: largest entries, nearest rows, look-ups; see ``secants``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from pellucid.errors import RequestError
from pellucid.nn.gradients.secant_rules import Rule, secant
from pellucid.nn.gradients.tape import Grads, Step, Tape, nothing, slope

__all__ = ["PLACES", "aligned", "looked_up"]


def _places(step: Step, largest: bool) -> torch.Tensor:
    """Return where the extreme entry stands, with the axis kept."""
    a, axis = step.inputs()[0], _axis(step)
    return a.argmax(axis, keepdim=True) if largest else a.argmin(axis, keepdim=True)


def _axis(step: Step) -> int:
    axis = step.other("dim")
    return int(axis[0] if isinstance(axis, list | tuple) and len(axis) == 1 else axis) if axis not in (None, []) else -1


def extreme(largest: bool) -> Rule:
    """The largest entry: the places of the two passes share the change by how much of the way each leads."""

    def rule(one: Step, two: Step, came: Grads) -> Grads | None:
        m, dims = came[0], one.other("dim")
        if m is None:
            return nothing(one)
        if dims is None or (isinstance(dims, list | tuple) and len(dims) != 1):
            return None
        (a,), (b,), axis = one.inputs(), two.inputs(), _axis(one)
        m = m if one.other("keepdim", False) else m.unsqueeze(axis)
        i, j = _places(one, largest), _places(two, largest)
        d, e = a.gather(axis, i) - a.gather(axis, j), b.gather(axis, i) - b.gather(axis, j)
        first = torch.where(i == j, 0.5, secant(d, d - e, d.abs() + e.abs(), lambda: torch.full_like(d, 0.5)))
        out = torch.zeros_like(a).scatter_add(axis, i, m * first)
        return [out.scatter_add(axis, j, m * (1 - first))]

    return rule


def aligned(one: Tape) -> Callable[[str, int, Any], Any]:
    """Return a change of the second pass: its nearest rows stand at the places at which the first one has them."""

    def change(name: str, place: int, out: Any) -> Any:
        if name != "topk" or place >= len(one.steps) or one.steps[place].name != "topk" or one.steps[place].other("sorted", True):
            return out
        values, places = out
        order = _order(one.steps[place].outputs[1], places)
        return type(out)((values.gather(-1, order), places.gather(-1, order)))

    return change


def _order(mine: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    """Return the order of ``theirs`` (..., k) that puts what both have at the places it has in ``mine``."""
    same = mine[..., :, None] == theirs[..., None, :]
    match, back_match = same.any(-1), same.any(-2)
    free, left = (torch.argsort(m.to(torch.int8), dim=-1, stable=True) for m in (match, back_match))
    order = torch.empty_like(mine).scatter(-1, free, left)
    return torch.where(match, same.to(torch.int8).argmax(-1), order)


def nearest(one: Step, two: Step, came: Grads) -> Grads | None:
    """``topk``: values like entries looked up; places, whose share came from look-ups, to the scores that let one row in for another."""
    (a,), (b,), (values, places) = one.inputs(), two.inputs(), came
    if one.other("sorted", True) or _axis(one) % a.ndim != a.ndim - 1:
        return None if places is None else _no_places(one)
    i, j = one.outputs[1], two.outputs[1]
    out, share = torch.zeros_like(a), torch.zeros_like(one.outputs[0])
    d, e = a.gather(-1, i) - a.gather(-1, j), b.gather(-1, i) - b.gather(-1, j)
    if values is not None:
        out = out.scatter_add(-1, i, values / 2).scatter_add(-1, j, values / 2)
        share = values * (d + e) / 2
    if places is not None:
        share = share + places
    swap = secant(torch.where(i == j, 0.0, share), d - e, d.abs() + e.abs(), None)
    return [out.scatter_add(-1, i, swap).scatter_add(-1, j, -swap)]


def _no_places(one: Step) -> Grads:
    raise RequestError(
        f"there is no rule for places found by {one.op} in this network", do="use topk(..., sorted=False) over the last axis"
    )


def looked_up(one: Step, two: Step, came: Grads) -> Grads:
    """Entries at places that depend on the row: half by the places of each pass; what the change of place is worth goes to the places.

    For places the number sent back is a share of the answer, not a multiplier: places have no differences.
    """
    m = came[0]
    if m is None:
        return nothing(one)
    swapped = [list(one.flat), list(two.flat)]
    where = [i for i in one.active if not one.flat[i].is_floating_point()]
    for i in where:
        swapped[0][i], swapped[1][i] = two.flat[i], one.flat[i]
    mixed = [Step(s.op, s.name, tuple(f), s.spec, s.active, s.keys, s.outputs, s.made) for s, f in zip((one, two), swapped)]
    crossed = [s.apply(s.inputs())[0] for s in mixed]  # own entries at the other's places
    worth = m * ((one.outputs[0] - crossed[0]) + (crossed[1] - two.outputs[0])) / 2
    out: Grads = []
    values = [i for i in one.active if i not in where]
    halves = [_entries(s, values, m / 2) for s in (one, two)]
    for i in one.active:
        if i in where:
            out.append(_onto(worth, one.flat[i].shape, one))
        else:
            out.append(halves[0][values.index(i)] + halves[1][values.index(i)])
    return out


def _entries(step: Step, values: list[int], m: torch.Tensor) -> list[torch.Tensor]:
    """Return what goes back to the entries looked up, by the places of one pass."""
    if not values:
        return []
    only = Step(step.op, step.name, step.flat, step.spec, tuple(values), (), step.outputs, step.made)
    return [torch.zeros_like(step.flat[i]) if g is None else g for i, g in zip(values, slope(only, only.inputs(), [m]))]


def _onto(worth: torch.Tensor, shape: torch.Size, step: Step) -> torch.Tensor:
    """Return the shares of results summed onto the places they were looked up by."""
    if worth.shape == shape:
        return worth
    if step.name in ("embedding", "index") and worth.shape[: len(shape)] == shape:
        return worth.flatten(len(shape)).sum(-1)
    return _no_places(step)  # type: ignore[return-value]


PLACES: dict[str, Rule] = {
    "amax": extreme(True), "amin": extreme(False), "max": extreme(True), "min": extreme(False), "topk": nearest,
}  # fmt: skip
