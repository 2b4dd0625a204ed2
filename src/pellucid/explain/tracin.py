"""TracIn on the last layer: which way would one step of training on a kept row push the answer?"""

from __future__ import annotations

import numpy as np

from pellucid.errors import RequestError
from pellucid.explain.last_layer import LastLayer
from pellucid.explain.nearest_rows import data_of, known_answers
from pellucid.explain.question import Question
from pellucid.explain.representer import named, scale_of
from pellucid.protocols import FloatArray
from pellucid.results import Neighbours

__all__ = ["explain"]


def explain(question: Question) -> Neighbours:
    """Return, for the kept rows that count most, the change of the output by one gradient step on the row, (y_i - p_i) <h_i, h_t>.

    Pruthi, Liu, Kale, Sundararajan 2020, arXiv:2002.08484. The probabilities and values p_i are the model's own; nothing is refitted.
    Cost: two forward passes per row and N M H multiplications.

    # NOTE[DIFF] of the trained weights alone, not summed over checkpoints, which are not kept; the step has the rate 1 / M; and the output
    of the row is followed, not its loss, since a new row has no label.
    """
    k = int(question.options["k"])
    if k < 1:
        raise RequestError("k cannot be used", expected="at least 1", got=str(k))
    layer, caveats = LastLayer.of(question)
    question.view.n_calls += len(question.kept)
    raw = np.asarray(question.view.inner.raw(question.kept), np.float64)
    push = -_slope(question, layer, raw) / len(layer.kept)
    positions, weight = named(question, lambda rows: (rows @ layer.kept.T)[:, :, None] * push * layer.scale, layer.rows, k)
    return Neighbours(
        index=question.table.index, positions=positions, data=data_of(question, None if caveats else known_answers(question)[0]),
        outputs=question.view.outputs, scale=scale_of(question), method=question.method, weight=weight,
        record=question.record({}, (*caveats, "of the trained weights alone: steps earlier in training are not followed")),
    )  # fmt: skip


def _slope(question: Question, layer: LastLayer, raw: FloatArray) -> FloatArray:
    """Return dL/dz (M, O) at the model's own answers."""
    if layer.task == "numbers":
        return 2 * ((raw - layer.center) / layer.scale - layer.target)
    p = raw if question.view.scale == "probability" else 1 / (1 + np.exp(-raw))
    return np.asarray(p - layer.target)
