"""The rules of differences to a reference for operations that are neither linear nor one number to one number; see ``secants``."""

from __future__ import annotations

from collections.abc import Callable

import torch

from pellucid.nn.gradients.tape import Grads, Step, nothing, number, slope

__all__ = ["RULES", "STEPS", "Rule", "both_compared", "difference", "rise_over_run", "secant"]

Rule = Callable[[Step, Step, Grads], Grads | None]
"""(row's step, reference's step, what came back) to what goes back; None where the rule does not fit these arguments."""
STEPS = frozenset({"floor", "ceil", "round", "trunc", "sign", "gt", "ge", "lt", "le", "eq", "ne", "logical_not", "bitwise_not"})
"""Operations that jump: no derivative is ever asked of them."""


def difference(one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
    """Return one - two, 0 where they are equal (two infinities are)."""
    one, two = number(one), number(two)
    return torch.where(one == two, 0.0, one - two)


def secant(rise: torch.Tensor, run: torch.Tensor, size: torch.Tensor, otherwise: Callable[[], torch.Tensor] | None) -> torch.Tensor:
    """Return rise over run; ``otherwise`` (0 if None) where the run is lost in rounding beside numbers of this ``size``."""
    least = 0.0 if otherwise is None else 64 * torch.finfo(run.dtype).eps * size + 1e-30
    clear = run.abs() > least
    ratio = torch.where(clear, rise, 0.0) / torch.where(clear, run, 1.0)
    if otherwise is None or bool(clear.all()):
        return ratio
    return torch.where(clear, ratio, torch.nan_to_num(otherwise(), 0.0, 0.0, 0.0))


def rise_over_run(one: Step, two: Step, came: Grads) -> Grads:
    """One number to one number; an input that is stretched over more results gets the sum."""
    (a,), (b,), y, z = one.inputs(), two.inputs(), one.outputs[0], two.outputs[0]
    m = came[0]
    if m is None:
        return nothing(one)
    a, b = number(a), number(b)
    wide, narrow = (t.expand_as(y) for t in (a, b))

    def derivative() -> torch.Tensor:
        (found,) = slope(one, [(wide + narrow) / 2], [torch.ones_like(number(y))])
        return torch.zeros_like(wide) if found is None else found

    ratio = secant(
        difference(y, z).to(wide.dtype), difference(wide, narrow), wide.abs() + narrow.abs(), None if one.name in STEPS else derivative
    )
    return [(m.to(ratio.dtype) * ratio).sum_to_size(a.shape)]


# ---------------------------------------------------------------- products, quotients, choices


def _divided(one: Step, two: Step, came: Grads) -> Grads:
    """a / b as a times 1 / b."""
    if len(one.active) == 1:
        linear = one.active[0] == 0
        return slope(one, one.inputs(), came) if linear else rise_over_run(one, two, came)
    (a, b), (c, d), m = one.inputs(), two.inputs(), came[0]
    if m is None:
        return nothing(one)
    to_a = m * (1 / b + 1 / d) / 2
    to_b = -m * (a + c) / 2 / (b * d)
    return [to_a.sum_to_size(a.shape), to_b.sum_to_size(b.shape)]


def _larger(one: Step, two: Step, came: Grads) -> Grads:
    """The larger (or smaller) of two as half their sum and half the size of their difference."""
    if len(one.active) == 1:
        return rise_over_run(one, two, came)
    (a, b), (c, d), m = one.inputs(), two.inputs(), came[0]
    if m is None:
        return nothing(one)
    sign = 1.0 if one.name == "maximum" else -1.0
    up, down = a - b, c - d
    half = sign * secant(up.abs() - down.abs(), up - down, up.abs() + down.abs(), lambda: torch.sign(up + down)) / 2
    return [(m * (0.5 + half)).sum_to_size(a.shape), (m * (0.5 - half)).sum_to_size(b.shape)]


def _chosen(one: Step, two: Step, came: Grads) -> Grads:
    """``where`` and ``masked_fill``: the condition, as 0 or 1, times one value, and what is left of 1 times the other."""
    m = came[0]
    if m is None:
        return nothing(one)
    order = (1, 2, 0) if one.name == "masked_fill" else (0, 1, 2)
    truth, yes, no = ([number(t.flat[i]) if isinstance(t.flat[i], torch.Tensor) else t.flat[i] for t in (one, two)] for i in order)
    kept = (truth[0] + truth[1]) / 2
    ways = [
        lambda: m * ((yes[0] + yes[1]) / 2 - (no[0] + no[1]) / 2),
        lambda: m * kept,
        lambda: m * (1 - kept),
    ]
    return [ways[order.index(i)]().sum_to_size(one.flat[i].shape) for i in one.active]


def both_compared(one: Step, two: Step, came: Grads) -> Grads:
    """A comparison of two numbers as a step of their difference."""
    (a, b), (c, d), m = one.inputs(), two.inputs(), came[0]
    if m is None:
        return nothing(one)
    ratio = m * secant(difference(one.outputs[0], two.outputs[0]), (a - b) - (c - d), a.abs(), None)
    return [ratio.sum_to_size(a.shape), (-ratio).sum_to_size(b.shape)]


def _logical(one: Step, two: Step, came: Grads) -> Grads:
    """And, as a product of 0 and 1."""
    if len(one.active) == 1:
        return rise_over_run(one, two, came)
    m = came[0]
    if m is None:
        return nothing(one)
    (a, b), (c, d) = ([number(t) for t in s.inputs()] for s in (one, two))
    return [(m * (b + d) / 2).sum_to_size(a.shape), (m * (a + c) / 2).sum_to_size(b.shape)]


def _gated(one: Step, two: Step, came: Grads) -> Grads:
    """``glu``: the first half times the sigmoid of the second."""
    m, axis = came[0], one.other("dim", -1)
    if m is None:
        return nothing(one)
    (u, v), (u2, v2) = (t.chunk(2, axis) for t in (one.inputs()[0], two.inputs()[0]))
    s, s2 = torch.sigmoid(v), torch.sigmoid(v2)
    flat = torch.sigmoid((v + v2) / 2)
    rise = secant(s - s2, v - v2, v.abs() + v2.abs(), lambda: flat * (1 - flat))
    return [torch.cat([m * (s + s2) / 2, m * (u + u2) / 2 * rise], axis)]


# ---------------------------------------------------------------- weights that sum to one


def _of_exponential(high: torch.Tensor, low: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Return the rise over run of the exponential between u and v, where it is ``high`` and ``low``."""
    return secant(high - low, difference(u, v), u.abs() + v.abs() + 1.0, lambda: (high * low).sqrt())


def _weights(one: Step, two: Step, came: Grads) -> Grads:
    m, axis = came[0], one.other("dim", -1)
    if m is None:
        return nothing(one)
    s = _softmax_slopes(one.inputs()[0], two.inputs()[0], axis)
    return [_centred(s, m, axis).to(one.inputs()[0].dtype)]


def _log_weights(one: Step, two: Step, came: Grads) -> Grads:
    m, axis = came[0], one.other("dim", -1)
    if m is None:
        return nothing(one)
    s = _softmax_slopes(one.inputs()[0], two.inputs()[0], axis)
    return [m - m.sum(axis, keepdim=True) * s / s.sum(axis, keepdim=True).clamp(min=1e-30)]


def _log_sum(one: Step, two: Step, came: Grads) -> Grads:
    m, axis = came[0], one.other("dim")
    if m is None:
        return nothing(one)
    if not one.other("keepdim", False):
        for a in sorted(d % one.inputs()[0].ndim for d in axis):
            m = m.unsqueeze(a)
    s = _softmax_slopes(one.inputs()[0], two.inputs()[0], axis)
    return [m * s / s.sum(axis, keepdim=True).clamp(min=1e-30)]


def _softmax_slopes(z: torch.Tensor, w: torch.Tensor, axis: int | list[int]) -> torch.Tensor:
    """Return the rise over run of exp(z - log-sum-exp) between two passes."""
    z, w = (number(t) for t in (z, w))
    u, v = (t - t.logsumexp(axis, keepdim=True) for t in (z, w))
    return torch.nan_to_num(_of_exponential(u.exp(), v.exp(), torch.nan_to_num(u, neginf=-1e4), torch.nan_to_num(v, neginf=-1e4)), 0.0)


def _centred(s: torch.Tensor, m: torch.Tensor, axis: int) -> torch.Tensor:
    """Return s (m - mean of m by s): the way back of ``dp = s (dz - dt)`` with dt such that the dp sum to 0."""
    return s * (m - (s * m).sum(axis, keepdim=True) / s.sum(axis, keepdim=True).clamp(min=1e-30))


def _sparse_weights(power: int) -> Rule:
    """sparsemax (1) and entmax (2): ``relu(z / power - t) ** power``, t such that they sum to 1."""

    def rule(one: Step, two: Step, came: Grads) -> Grads:
        (z,), (w,), p, q, m = one.inputs(), two.inputs(), one.outputs[0], two.outputs[0], came[0]
        if m is None:
            return nothing(one)
        u, v = (_before(scores / power, weights, power) for scores, weights in ((z, p), (w, q)))
        flat = torch.relu((u + v) / 2)
        s = secant(p - q, u - v, u.abs() + v.abs(), lambda: (flat > 0).to(p.dtype) if power == 1 else 2 * flat)
        # where no weight changes, any slopes close: those of the support
        s = torch.where(s.sum(-1, keepdim=True) > 0, s, (p > 0).to(s.dtype))
        return [_centred(s, m, -1) / power]

    return rule


def _before(scores: torch.Tensor, weights: torch.Tensor, power: int) -> torch.Tensor:
    """Return scores less the threshold, which the largest weight tells."""
    top = weights.argmax(-1, keepdim=True)
    threshold = scores.gather(-1, top) - weights.gather(-1, top) ** (1 / power)
    return scores - threshold


# ---------------------------------------------------------------- normalisation


def _normalised(one: Step, two: Step, came: Grads) -> Grads | None:
    """``native_layer_norm`` over the last axes."""
    m = came[0]
    if m is None or one.active != (0,):
        return nothing(one) if m is None else None
    axes = list(range(-len(one.other("normalized_shape")), 0))
    (a,), (b,), eps = one.inputs(), two.inputs(), one.other("eps")
    weight = one.other("weight")
    m = m if weight is None else m * weight
    c, d = (t - t.mean(axes, keepdim=True) for t in (a, b))
    came_back = _scaled_back(m, c, d, axes, eps)
    return [came_back - came_back.mean(axes, keepdim=True)]


def _root_mean(one: Step, two: Step, came: Grads) -> Grads | None:
    """``rms_norm`` over the last axes."""
    m = came[0]
    if m is None or one.active != (0,):
        return nothing(one) if m is None else None
    axes = list(range(-len(one.other("normalized_shape")), 0))
    (a,), (b,), weight, eps = one.inputs(), two.inputs(), one.other("weight"), one.other("eps")
    eps = torch.finfo(a.dtype).eps if eps is None else eps
    return [_scaled_back(m if weight is None else m * weight, a, b, axes, eps)]


def _scaled_back(m: torch.Tensor, c: torch.Tensor, d: torch.Tensor, axes: list[int], eps: float) -> torch.Tensor:
    """Return the way back through ``c / sqrt(mean(c^2) + eps)``: square, mean, inverse root, product."""
    v, w = ((t * t).mean(axes, keepdim=True) + eps for t in (c, d))
    root, other = v.sqrt(), w.sqrt()
    to_scale = (m * (c + d) / 2).sum(axes, keepdim=True)
    to_mean = -to_scale / (root * other * (root + other))  # rise over run of the inverse root
    count = c[(slice(0, 1),) * (c.ndim - len(axes))].numel()
    return m * (1 / root + 1 / other) / 2 + to_mean * (c + d) / count


RULES: dict[str, Rule] = {
    "_softmax": _weights, "_safe_softmax": _weights, "softmax": _weights, "_log_softmax": _log_weights, "log_softmax": _log_weights,
    "logsumexp": _log_sum, "sparsemax": _sparse_weights(1), "entmax15": _sparse_weights(2), "native_layer_norm": _normalised,
    "_fused_rms_norm": _root_mean, "rms_norm": _root_mean, "glu": _gated, "div": _divided, "maximum": _larger, "minimum": _larger,
    "where": _chosen, "masked_fill": _chosen, "bitwise_and": _logical, "logical_and": _logical,
}  # fmt: skip
