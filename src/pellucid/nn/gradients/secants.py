"""Differences to a reference instead of derivatives: contributions that add up on any composed network.

Shrikumar, Greenside, Kundaje 2017, "DeepLIFT", arXiv:1704.02685, the rescale rule, stated for primitive operations. For every operation
and every pair of passes (row, reference) the multipliers m obey ``sum(m_out * (y - y')) = sum(m_in * (a - a'))``, so what comes back to
the tokens adds up to f(x) - f(x') whatever the network is made of.

* what is linear or a product of two: the derivative at the middle of the two passes, which is exact to degree two;
* one number to one number: rise over run; steps (rounding, comparisons) too;
* softmax, log-softmax, log-sum-exp, sparsemax, entmax: weights that sum to 1 have ``dp = s (dz - dt)`` with s the rise over run of their
  function and dt such that the sum stays;
* layer norm: centre, square, mean, inverse root, product, each by the rules above;
* largest entries: each of the two passes' places gets the share of the way on which it leads;
* nearest rows: a row that enters in place of another is credited to the difference of their scores;
* all else: derivatives averaged along the line between the two passes; an operation that does not close that way is refused by name.

# NOTE[DIFF] Shrikumar and others give softmax no rule of its own. Exponential, sum, inverse and product in turn, the usual decomposition,
overflows where all scores of a row move together, which changes nothing; the rule above does not see such a move.
"""

from __future__ import annotations

import torch

from pellucid.errors import RequestError
from pellucid.nn.gradients.secant_places import PLACES, aligned, looked_up
from pellucid.nn.gradients.secant_rules import RULES, STEPS, both_compared, difference, rise_over_run
from pellucid.nn.gradients.slopes import nodes
from pellucid.nn.gradients.tape import SAME, Function, Grads, Step, back, number, record, slope

__all__ = ["contributions"]

ROWS = 128  # rows of a tape: bounds memory
CLOSE, WORST = 1e-6, 1e-3  # of what flows through an operation may be missing where it is averaged along a line: aimed at, and borne

LINEAR = frozenset(
    {
        "view", "_unsafe_view", "reshape", "_reshape_alias", "permute", "transpose", "t", "numpy_T", "expand", "slice", "select",
        "unsqueeze", "squeeze", "split", "split_with_sizes", "chunk", "unbind", "cat", "stack", "hstack", "vstack", "add", "sub", "rsub",
        "neg", "mul", "sum", "mean", "cumsum", "mm", "bmm", "addmm", "baddbmm", "addbmm", "addmv", "mv", "dot", "matmul", "linear",
        "einsum", "constant_pad_nd", "flip", "roll", "diagonal", "repeat", "tile", "movedim", "unfold", "as_strided", "unflatten",
        "flatten", "addcmul", "convolution", "native_batch_norm", "_native_batch_norm_legit_no_training", "index_add", "narrow",
        "select_scatter", "slice_scatter", "tril", "triu", "trace", "swapaxes", "broadcast_to", "avg_pool1d", "scatter",
        "scatter_add", "square_", "atleast_1d", "real",
    }
)  # fmt: skip
"""Of degree two at the most in what depends on the tokens: the derivative at the middle is exact."""
COMPARISONS = frozenset({"gt", "ge", "lt", "le", "eq", "ne"})


def contributions(function: Function, tokens: torch.Tensor, reference: torch.Tensor, rows: int = ROWS) -> tuple[torch.Tensor, ...]:
    """Return (contributions (N, O, C), outputs (N, O), outputs of the reference (N, O)); contributions add up to the difference.

    Parameters
    ----------
    function : tokens (N, C, D) -> outputs (N, O), rows independent.
    tokens, reference : (N, C, D) both.
    rows : rows at a time.

    Raises
    ------
    RequestError : an operation has no rule, or the network takes another way for the reference than for the rows.

    Notes
    -----
    Cost: two forward passes and O passes back per row.

    Examples
    --------
    >>> share, *_ = contributions(lambda t: torch.relu(t.sum((1, 2)))[:, None], torch.tensor([[[3.0], [-1.0]]]), torch.zeros(1, 2, 1))
    >>> share.tolist()
    [[[3.0, -1.0]]]
    """
    parts = [_some(function, t, r) for t, r in zip(tokens.split(rows), reference.split(rows))]
    return tuple(torch.cat(values) for values in zip(*parts))


def _some(function: Function, tokens: torch.Tensor, reference: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    one = record(function, tokens)
    two = record(function, reference, aligned(one))
    if [s.name for s in one.steps] != [s.name for s in two.steps]:
        raise RequestError(
            "the network takes another way for the reference than for the rows, so the two passes cannot be compared",
            expected="a network whose operations do not depend on the cells", do="use method='integrated_gradients'",
        )  # fmt: skip
    shares = []
    for o in range(one.output.shape[1]):
        start = torch.zeros_like(one.output)
        start[:, o] = 1.0
        came = back(one, start, lambda k, c: _rule(one.steps[k], two.steps[k], c))
        shares.append((came * (one.tokens - two.tokens)).sum(-1))
    return torch.stack(shares, 1), one.output, two.output


def _rule(one: Step, two: Step, came: Grads) -> Grads:
    """Return the multipliers of a step's inputs from those of its results."""
    if one.name in SAME:
        return [None if c is None else c.to(a.dtype) if a.is_floating_point() else c for a, c in zip(one.inputs(), came)]
    special = RULES.get(one.name) or PLACES.get(one.name)
    if special is not None and (found := special(one, two, came)) is not None:
        return found
    if one.name in COMPARISONS and len(one.active) == 2:
        return both_compared(one, two, came)
    if any(not a.is_floating_point() for a in one.inputs()) and one.name in ("gather", "index", "embedding", "index_select"):
        return looked_up(one, two, came)
    middle = [(number(a) + number(b)) / 2 for a, b in zip(one.inputs(), two.inputs())]
    if one.name in LINEAR:
        return slope(one, middle, came)
    if _pointwise(one) and len(one.active) == 1:
        return rise_over_run(one, two, came)
    return _averaged(one, two, came)


def _pointwise(step: Step) -> bool:
    return torch.Tag.pointwise in step.op.tags or step.name in STEPS


def _averaged(one: Step, two: Step, came: Grads) -> Grads:
    """The derivative averaged on the line between the passes, with more places until it closes."""
    ends = [(number(a), number(b)) for a, b in zip(one.inputs(), two.inputs())]
    flows = [(c * difference(y, z)) for c, y, z in zip(came, one.outputs, two.outputs) if c is not None]
    wanted, size = sum(float(f.sum()) for f in flows), sum(float(f.abs().sum()) for f in flows)
    for n in (most := (8, 64, 256)):
        total: Grads = [torch.zeros_like(a) for a, _ in ends]
        for place, weight in zip(*nodes(n)):
            found = slope(one, [b + place.to(b) * (a - b) for a, b in ends], came)
            total = [t if f is None else t + weight.to(f) * f for t, f in zip(total, found)]
        got = sum(float((t * difference(a, b)).sum()) for t, (a, b) in zip(total, ends) if t is not None)
        if abs(got - wanted) <= (WORST if n == most[-1] else CLOSE) * size + 1e-12:
            return total
    raise RequestError(
        f"there is no rule for the operation {one.op} of this network, and its derivative does not add up",
        do="use method='integrated_gradients' or 'shapley', or write the module with other operations",
    )
