"""Influence: how the answer would move if a training row were left out of the last layer's fit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pellucid.errors import RequestError
from pellucid.explain.last_layer import LastLayer
from pellucid.explain.nearest_rows import data_of, known_answers
from pellucid.explain.question import Question
from pellucid.explain.representer import named, scale_of
from pellucid.protocols import FloatArray
from pellucid.results import Neighbours
from pellucid.results.text import percent

__all__ = ["explain", "left_out"]

MOST = 3000  # weights of the last layer whose second derivatives are held at once


def explain(question: Question) -> Neighbours:
    """Return, for the kept rows that count most, the answer less the answer that the last layer would give without them.

    Koh, Liang 2017, arXiv:1703.04730, with the leverage of the row left out (Pregibon 1981, doi:10.1214/aos/1176345513): exact for
    numbers, one Newton step for classes. The last layer is fitted again with the penalty ``strength``.
    Cost: two forward passes per row, one convex fit, and the inverse of a matrix of (H O) squared entries, at most 3,000 squared.
    """
    strength, k = float(question.options["strength"]), int(question.options["k"])
    if not strength > 0 or k < 1:
        raise RequestError("these options cannot be used", expected="strength above 0, k at least 1", got=str(dict(question.options)))
    layer, caveats = LastLayer.of(question)
    layer, kept_share = _reduced(layer)
    fit = layer.fit_l2(strength)
    effect = left_out(layer, fit.theta, strength)
    positions, weight = named(question, lambda rows: effect(rows) * layer.scale, layer.rows, k)
    words = ["influence is that on a last layer fitted again"]
    if kept_share < 0.999:
        words.append(f"the last layer was cut to the directions that hold {percent(kept_share)} of its variance")
    return Neighbours(
        index=question.table.index, positions=positions, data=data_of(question, None if caveats else known_answers(question)[0]),
        outputs=question.view.outputs, scale=scale_of(question), method=question.method, weight=weight,
        record=question.record({"stationary": fit.gap, "variance_kept": kept_share}, (*caveats, *words)),
    )  # fmt: skip


def _reduced(layer: LastLayer) -> tuple[LastLayer, float]:
    """Return the layer in the directions that the kept rows span, at most ``MOST`` weights in all, and the share of variance they hold."""
    _, size, directions = np.linalg.svd(layer.kept, full_matrices=False)
    rank = min(int((size > 1e-10 * size[0]).sum()), max(1, MOST // layer.target.shape[1]))
    turn = directions[:rank].T
    share = float(np.square(size[:rank]).sum() / np.square(size).sum())
    return LastLayer(layer.rows @ turn, layer.kept @ turn, layer.target, layer.task, layer.center, layer.scale), share


def left_out(layer: LastLayer, theta: FloatArray, l2: float) -> Callable[[FloatArray], FloatArray]:
    """Return a function from rows (n, H) to the outputs less those without each kept row, (n, M, O).

    With z = H' theta, g_i = dL_i/dz and W_i its derivative: theta - theta_(-i) = -A (h_i, (1 - W_i V_i)^-1 g_i), A the inverse of the
    summed second derivatives, V_i the block of A at h_i. For the squared error and l2 = 0 this is the closed form
    (X'X)^-1 x_i r_i / (1 - leverage_i) of linear regression.
    """
    kept, m = layer.kept, len(layer.kept)
    h, o = theta.shape
    z = kept @ theta
    bend = layer.curvature(z)  # (M, O, O)
    second = np.einsum("mi,mab,mj->aibj", kept, bend, kept, optimize=True).reshape(o * h, o * h)
    inverse = np.linalg.inv(second + 2 * l2 * m * np.eye(o * h)).reshape(o, h, o, h)
    block = np.einsum("mi,aibj,mj->mab", kept, inverse, kept, optimize=True)
    slope = np.linalg.solve(np.eye(o) - bend @ block, layer.slope(z)[:, :, None])[:, :, 0]

    def effect(rows: FloatArray) -> FloatArray:
        out = np.zeros((len(rows), m, o))
        for a in range(o):
            for b in range(o):
                out[:, :, a] -= (rows @ inverse[a, :, b, :] @ kept.T) * slope[:, b]
        return out

    return effect
