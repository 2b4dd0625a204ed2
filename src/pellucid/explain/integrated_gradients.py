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
CUTS = 9
"""Halvings more of a piece in which several columns jump: two jumps that are not within 1/65,536 of the path come apart, and single
precision still knows the halves."""
SPARE = 256
"""Halves that are looked at, beside two of every piece: where all columns jump in many places, as with nearest rows, none parts them."""
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
    no gradient: the piece that holds it, 1/128 of the path, gets the differences of DeepLIFT, operation by operation. They add up exactly.
    Where several columns jump in it, it is halved on until they come apart, and ``error`` holds what the last halving moved.
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
            part[~closed], doubt[~closed], jumps[row[~closed]] = _by_differences(
                view, last[~closed], first[~closed], part[~closed], doubt[~closed], tolerance[row[~closed]]
            )
            closed[:] = True
        np.add.at(out, row[closed], sums(part[closed]))
        np.add.at(square, row[closed], np.square(sums(doubt[closed])))  # pieces err apart from each other
        if closed.all():
            break
        width /= 2
        low = np.concatenate([low[~closed], low[~closed] + width])
        row = np.tile(row[~closed], 2)
    return out, np.sqrt(square), jumps


def _by_differences(
    view: View, last: torch.Tensor, first: torch.Tensor, gradients: FloatArray, doubt: FloatArray, tolerance: FloatArray
) -> tuple[FloatArray, FloatArray, bool]:
    """Return values (N, O, C) of pieces that gradients do not close, their errors, and whether differences do: not where an operation has
    no rule.

    A jump of one column is that column's. Of two in a product of steps, differences over both give each a half, and the path gives all to
    the one that it meets second: pieces in which several columns jump are halved on, and what the last halving moved is the error.
    """
    import torch

    def differences(first: torch.Tensor, last: torch.Tensor) -> FloatArray:
        return to_numpy(contributions(view.from_tokens, last, first)[0])

    at, found, moved = np.arange(len(first)), np.zeros_like(gradients), np.zeros_like(gradients)
    try:
        now = differences(first, last)
        before, spent = np.full(len(now), np.inf), 0
        for _ in range(CUTS):
            if spent > 2 * len(found) + SPARE:
                break
            shared = _shared(now)
            open_ = _still(shared, before, tolerance[at])
            np.add.at(found, at[~open_], now[~open_])
            now, at, before = now[open_], np.tile(at[open_], 2), np.tile(shared[open_], 2)
            keep = torch.as_tensor(open_)
            first, last, moved = first[keep], last[keep], np.zeros_like(gradients)
            if not len(first):
                break
            middle = (first + last) / 2
            first, last = torch.cat([first, middle]), torch.cat([middle, last])
            whole, now, spent = now, differences(first, last), spent + len(first)
            both = now.reshape(2, len(whole), *now.shape[1:]).sum(0)
            lost = (np.abs((both - whole).sum(-1)) > tolerance[at[: len(whole)]]).any(1)  # too short for the precision: the whole stays
            np.add.at(found, at[: len(whole)][lost], whole[lost])
            np.add.at(moved, at[: len(whole)][~lost], (both - whole)[~lost])
            kept = np.tile(~lost, 2)
            now, at, before, first, last = now[kept], at[kept], before[kept], first[torch.as_tensor(kept)], last[torch.as_tensor(kept)]
        np.add.at(found, at, now)
    except RequestError:
        return gradients, doubt, False
    return found, np.abs(moved), True


def _still(shared: FloatArray, before: FloatArray, tolerance: FloatArray) -> npt.NDArray[np.bool_]:
    """Return which pieces (K,) hold a jump of several columns: of a smooth piece, half is left in each half."""
    whole = np.isinf(before)
    return np.asarray((shared > tolerance.min(1)) & (whole | (shared > 0.75 * np.where(whole, 0.0, before))))


def _shared(values: FloatArray) -> FloatArray:
    """Return how much of each piece (K,) more than one column has a part in, from values (K, O, C).

    Examples
    --------
    >>> _shared(np.array([[[2.0, 0.0, 0.0]], [[1.0, 1.0, 0.5]]])).tolist()
    [0.0, 1.0]
    """
    size = np.abs(values)
    return np.asarray(np.minimum(size, size.sum(-1, keepdims=True) - size).max((1, 2)))
