"""Integrated gradients on tokens: the gradient averaged on the way from a reference row, exact up to a stated completeness gap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError
from pellucid.execution import to_numpy
from pellucid.explain.gradient import reference_tokens
from pellucid.explain.question import Question
from pellucid.nn.gradients import integrated
from pellucid.nn.gradients.secants import contributions
from pellucid.protocols import FloatArray
from pellucid.results import Explanation

if TYPE_CHECKING:
    import torch

    from pellucid.probe.view import View

__all__ = ["explain"]

NODES = 8
DEPTH = 7  # 2^7 pieces of one path at the most; what does not close on the shortest ones is a jump
ROUNDING = 64 * float(np.finfo(np.float32).eps)
TOLERANCE = 1e-3


def explain(question: Question) -> Explanation:
    """Return integrated gradients (N, P, O) from the reference row, with the path refined until the sum closes.

    Sundararajan, Taly and Yan 2017, arXiv:1703.01365. The path is straight in the space of tokens, so categories take part. A row is done
    when its values add up to f(x) - f(reference) within ``precision`` (default 1e-3) of the larger of that difference and a tenth of the
    range of the answers over the kept rows. ``error`` is that of the rule on the pieces, told by how far its nodes disagree; 0 for columns
    equal to the reference. Cost: 10 forward and 8 O backward passes per piece of the path; one piece where it is smooth.

    Notes
    -----
    # NOTE[DIFF] the sum must close on every piece of the path too. Pieces that do not are halved, because with a kink (ReLU, the edge of a
    bin) the error of a fixed rule falls as one over the nodes, and that of halving as a power of two. A jump (staircases, nearest rows) has
    no gradient: the piece that holds it, 1/128 of the path, gets the differences of DeepLIFT, operation by operation.
    """
    import torch

    view = question.view
    tokens = view.tokens(question.table)
    reference, words = reference_tokens(question, tokens)
    with torch.inference_mode():
        end, start = (to_numpy(view.from_tokens(t)) for t in (tokens, reference))
        kept = to_numpy(view.from_tokens(view.tokens(question.kept)))
    tolerance = (question.precision or TOLERANCE) * np.maximum(np.abs(end - start), 0.1 * np.ptp(kept, axis=0))
    # what single precision cannot resolve is no fault of the path: a nearly constant network would be halved for ever
    tolerance = np.maximum(tolerance, ROUNDING * np.maximum(np.abs(end), np.abs(start)) + 1e-9)
    values = np.zeros((len(end), end.shape[1], len(question.players)))
    error, jumped = np.zeros_like(values), np.zeros(len(end), bool)
    left, share = np.arange(len(end)), 8.0
    while len(left) and share <= 512:  # many pieces may each keep their tolerance and miss it together
        values[left], error[left], jumped[left] = _along(question, tokens[left], reference[left], tolerance[left] / share)
        left = left[(np.abs(values[left].sum(-1) - (end - start)[left]) > tolerance[left]).any(1)]
        share *= 8
    caveats = [words]
    if jumped.any():
        caveats.append(
            f"in {int(jumped.sum())} rows gradients do not add up where the network jumps or bends sharply: differences were taken there"
        )
    if len(left):
        caveats.append(f"the values of {len(left)} rows do not add up within the tolerance")
    values, error = values.transpose(0, 2, 1), error.transpose(0, 2, 1)
    return question.answer(values, start, end, error=error, settings={"nodes": NODES, "path": "tokens"}, caveats=caveats)


def _along(
    question: Question, tokens: torch.Tensor, reference: torch.Tensor, tolerance: FloatArray
) -> tuple[FloatArray, FloatArray, npt.NDArray[np.bool_]]:
    """Return sums over pieces of the path, each halved until it closes within ``tolerance`` (N, O), their errors, and who jumps (N,)."""
    import torch

    view, sums = question.view, question.players.sum_over_columns
    out, jumps = np.zeros((len(tokens), tolerance.shape[1], len(question.players))), np.zeros(len(tokens), bool)
    square = np.zeros_like(out)
    row, low, width = np.arange(len(tokens)), np.zeros(len(tokens)), 1.0
    for depth in range(DEPTH + 1):
        at = torch.as_tensor(row)
        change, start = tokens[at] - reference[at], torch.as_tensor(low).to(tokens)[:, None, None]
        first, last = reference[at] + start * change, reference[at] + (start + width) * change
        part, doubt = (to_numpy(a) for a in integrated(view.from_tokens, last, first, NODES))
        with torch.inference_mode():
            rise = to_numpy(view.from_tokens(last) - view.from_tokens(first))
        closed = (np.abs(part.sum(-1) - rise) <= tolerance[row]).all(1)
        if depth == DEPTH and not closed.all():
            part[~closed], jumps[row[~closed]] = _by_differences(view, last[~closed], first[~closed], part[~closed])
            closed[:] = True
        np.add.at(out, row[closed], sums(part[closed]))
        np.add.at(square, row[closed], np.square(sums(doubt[closed])))  # pieces err apart from each other
        if closed.all():
            break
        width /= 2
        low = np.concatenate([low[~closed], low[~closed] + width])
        row = np.tile(row[~closed], 2)
    return out, np.sqrt(square), jumps


def _by_differences(view: View, last: torch.Tensor, first: torch.Tensor, gradients: FloatArray) -> tuple[FloatArray, bool]:
    """Return (N, O, C) of pieces that gradients do not close, and whether differences do: not where an operation has no rule."""
    try:
        found, *_ = contributions(view.from_tokens, last, first)
    except RequestError:
        return gradients, False
    return to_numpy(found), True
