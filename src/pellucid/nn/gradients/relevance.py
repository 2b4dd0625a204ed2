"""Shares of the output itself, and guided gradients: rules for single operations, sent back along one pass.

Layer-wise relevance propagation (Bach and others 2015, doi:10.1371/journal.pone.0130140; the gamma rule: Montavon and others 2019,
doi:10.1007/978-3-030-28954-6_10, here for activations of both signs). The share of an activation a is a times its multiplier; the output's
multiplier is 1.

* a matrix on activations: ``a_i w_ij / (sum_i a_i w_ij + epsilon)`` of the share that sum has; a bias keeps its own;
* one number to one number: rise over run from 0;
* a product of two: half to each; where one of them is made of attention weights, all to the other (Ali and others 2022,
  arXiv:2202.07304), and so for gates and the scale of layer norm;
* all else: the derivative, whose remainder stays behind.

What stays behind (biases, remainders) is f(x) less the sum of the shares; it is given back with them.
"""

from __future__ import annotations

import torch

from pellucid.errors import RequestError
from pellucid.nn.gradients.tape import SAME, Function, Grads, Rule, Step, Tape, back, nothing, number, record, slope, weights

__all__ = ["MATRICES", "ROWS", "derivative", "guided", "relevance", "way_back"]

ROWS = 256
PRODUCTS = frozenset({"mm", "bmm", "addmm", "baddbmm", "addmv", "mv", "matmul", "linear", "convolution", "mul", "addcmul", "dot"})
MATRICES = PRODUCTS - {"mul", "addcmul"}
CURVES = frozenset(
    {
        "relu", "gelu", "silu", "tanh", "elu", "selu", "celu", "leaky_relu", "softplus", "abs", "clamp", "clamp_min", "clamp_max", "pow",
        "square", "sqrt", "hardtanh", "mish", "sin", "threshold", "sign", "floor", "round", "asinh", "atan",
    }
)  # fmt: skip
"""One number to one number, 0 (or nearly 0) at 0."""
KINKED = frozenset({"relu", "leaky_relu", "threshold", "relu6", "prelu"})


def relevance(
    function: Function, tokens: torch.Tensor, rule: str = "epsilon", epsilon: float = 1e-6, gamma: float = 0.25, rows: int = ROWS
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (shares (N, O, C), outputs (N, O)); what the shares do not add up to belongs to biases.

    Parameters
    ----------
    function : tokens (N, C, D) -> outputs (N, O), rows independent.
    rule : ``"epsilon"``, or ``"gamma"``, which favours positive weights and so keeps large shares of both signs from cancelling.
    epsilon : added to every denominator, in standard deviations of the operation's results. gamma : of the gamma rule.
    rows : rows at a time.

    Notes
    -----
    Cost: one forward pass and O passes back per row.

    Examples
    --------
    >>> shares, output = relevance(lambda t: torch.relu(t.sum((1, 2)))[:, None] + 5, torch.tensor([[[3.0], [-1.0]]]))
    >>> [round(s, 3) for s in shares.flatten().tolist()], output.item()
    ([3.0, -1.0], 7.0)
    """
    shares, outputs = [], []
    for part in tokens.split(rows):
        tape = record(function, part)
        shares.append(_each_output(tape, way_back(tape, rule, epsilon, gamma), times_input=True))
        outputs.append(tape.output)
    return torch.cat(shares), torch.cat(outputs)


def way_back(tape: Tape, rule: str, epsilon: float, gamma: float) -> Rule:
    """Return the rule of relevance along a tape; see :func:`relevance`."""
    if rule not in ("epsilon", "gamma"):
        raise RequestError(f"there is no rule {rule!r} of relevance", expected="'epsilon' or 'gamma'")
    mixing, favour = weights(tape), gamma if rule == "gamma" else 0.0

    def one(place: int, came: Grads) -> Grads:
        return _rule(tape.steps[place], came, mixing, epsilon, favour)

    return one


def guided(function: Function, tokens: torch.Tensor, rows: int = ROWS) -> tuple[torch.Tensor, torch.Tensor]:
    """Return outputs (N, O) and gradients (N, O, C, D) in which ReLUs hand on only what is positive.

    Springenberg, Dosovitskiy, Brox, Riedmiller 2014, arXiv:1412.6806.

    Raises
    ------
    RequestError : the network has no ReLU, so there is nothing to guide.
    """
    gradients, outputs = [], []
    for part in tokens.split(rows):
        tape = record(function, part)
        if not any(s.name in KINKED for s in tape.steps):
            raise RequestError("the network has no ReLU, so guided gradients are its gradients", do="use method='gradient'")
        gradients.append(_each_output(tape, _guiding(tape), times_input=False))
        outputs.append(tape.output)
    return torch.cat(outputs), torch.cat(gradients)


def _each_output(tape: Tape, rule: Rule, times_input: bool) -> torch.Tensor:
    """Return what comes back from every output, (N, O, C, D), or (N, O, C) times the tokens and summed over their width."""
    out = []
    for o in range(tape.output.shape[1]):
        start = torch.zeros_like(tape.output)
        start[:, o] = 1.0
        came = back(tape, start, rule)
        out.append((came * tape.tokens).sum(-1) if times_input else came)
    return torch.stack(out, 1)


def _guiding(tape: Tape) -> Rule:
    def one(place: int, came: Grads) -> Grads:
        return _guided(tape.steps[place], came)

    return one


def _guided(step: Step, came: Grads) -> Grads:
    if step.name in SAME:
        return came[:1]
    if step.name in KINKED:
        came = [None if c is None else torch.relu(c) for c in came]
    return derivative(step, came)


def derivative(step: Step, came: Grads) -> Grads:
    """Return the derivative's way back; what chooses (truth values, places) gets nothing."""
    if any(not t.is_floating_point() for t in step.outputs[:1]):
        return nothing(step)
    real = [i for i, a in enumerate(step.inputs()) if a.is_floating_point()]
    only = Step(
        step.op, step.name, step.flat, step.spec, tuple(step.active[i] for i in real), tuple(step.keys[i] for i in real), step.outputs,
        step.made,
    )  # fmt: skip
    found = iter(slope(only, only.inputs(), came))
    return [next(found) if i in real else None for i in range(len(step.active))]


def _rule(step: Step, came: Grads, mixing: frozenset[int], epsilon: float, gamma: float) -> Grads:
    """Return the multipliers of a step's inputs from those of its results."""
    if step.name in SAME:
        return came[:1]
    m = came[0]
    if m is None or not step.outputs[0].is_floating_point():
        return derivative(step, came)
    if step.name in PRODUCTS and len(step.active) > 1:
        return _shared(step, m, mixing)
    if step.name in MATRICES:
        return _through_matrix(step, m, epsilon, gamma)
    if step.name in CURVES and len(step.active) == 1:
        return _from_zero(step, m)
    if step.name == "native_layer_norm" and step.active == (0,):
        return _centred(step, m)
    if step.name == "glu":
        u, v = step.inputs()[0].chunk(2, step.other("dim", -1))
        return [torch.cat([m * torch.sigmoid(v), torch.zeros_like(u)], step.other("dim", -1))]
    if step.name == "div" and len(step.active) == 2:
        return [(m / step.inputs()[1]).sum_to_size(step.inputs()[0].shape), None]
    return derivative(step, came)


def _shared(step: Step, m: torch.Tensor, mixing: frozenset[int]) -> Grads:
    """A product: half to each factor, or all to the one that is not made of attention weights; what is added keeps its own."""
    found = derivative(step, [m])
    factors = [i for i, place in enumerate(step.active) if step.name not in ("addmm", "baddbmm", "addcmul", "addmv") or place > 0]
    if len(factors) < 2:
        return found
    fixed = [step.keys[i] in mixing for i in factors]
    for i, is_fixed in zip(factors, fixed):
        if any(fixed) and not all(fixed):
            found[i] = None if is_fixed else found[i]
        elif (whole := found[i]) is not None:
            found[i] = whole / 2
    return found


def _through_matrix(step: Step, m: torch.Tensor, epsilon: float, gamma: float) -> Grads:
    """Each product ``a_i w_ij`` by its size in the sum; with ``gamma`` products of the sum's own sign count more."""
    (a,) = step.inputs()
    z = step.outputs[0] - step.apply([torch.zeros_like(a)])[0]
    least = epsilon * z.std(correction=0) + torch.finfo(z.dtype).tiny
    if not gamma:
        return slope(step, [a], [m * z / torch.where(z < 0, z - least, z + least)])
    up, down = (_signed(step, sign) for sign in (1, -1))
    most, lack = torch.relu(a), -torch.relu(-a)
    none = torch.zeros_like(a)

    def image(of: Step, at: torch.Tensor) -> torch.Tensor:
        return of.apply([at])[0] - of.apply([none])[0]

    positive = z >= 0
    favoured = torch.where(positive, image(up, most) + image(down, lack), image(up, lack) + image(down, most))
    ratio = m * z / torch.where(positive, z + gamma * favoured + least, z + gamma * favoured - least)
    of_same, of_other = torch.where(positive, ratio, 0.0), torch.where(positive, 0.0, ratio)

    def back_to(of: Step, r: torch.Tensor) -> torch.Tensor:
        (found,) = slope(of, [a], [r])
        return none if found is None else found

    where_up, where_down = back_to(up, of_same) + back_to(down, of_other), back_to(down, of_same) + back_to(up, of_other)
    return [back_to(step, ratio) + gamma * torch.where(a >= 0, where_up, where_down)]


def _signed(step: Step, sign: int) -> Step:
    """Return the step with the positive, or the negative, part of its matrix; a bias, which is added, stays as it is."""
    added = step.name in ("addmm", "baddbmm", "addmv")
    flat = tuple(
        sign * torch.relu(sign * f)
        if isinstance(f, torch.Tensor) and f.is_floating_point() and f.ndim > 1 and i not in step.active and not (added and i == 0)
        else f
        for i, f in enumerate(step.flat)
    )
    return Step(step.op, step.name, flat, step.spec, step.active, step.keys, step.outputs, step.made)


def _from_zero(step: Step, m: torch.Tensor) -> Grads:
    """One number to one number: rise over run from 0, the derivative next to it."""
    (a,) = step.inputs()
    a = number(a)
    rise = step.outputs[0] - step.apply([torch.zeros_like(a)])[0]
    far = a.expand_as(rise).abs() > 64 * torch.finfo(a.dtype).eps
    ratio = torch.where(far, rise, 0.0) / torch.where(far, a, 1.0)
    if not bool(far.all()):
        (flat,) = slope(step, [a.expand_as(rise)], [torch.ones_like(rise)])
        ratio = ratio if flat is None else torch.where(far, ratio, torch.nan_to_num(flat, 0.0, 0.0, 0.0))
    return [(m * ratio).sum_to_size(a.shape)]


def _centred(step: Step, m: torch.Tensor) -> Grads:
    """Layer norm with its scale held: entries less their mean, times what the row's spread came to."""
    weight, (a,) = step.other("weight"), step.inputs()
    axes = list(range(-len(step.other("normalized_shape")), 0))
    m = (m if weight is None else m * weight) * (a.var(axes, correction=0, keepdim=True) + step.other("eps")).rsqrt()
    return [m - m.mean(axes, keepdim=True)]
