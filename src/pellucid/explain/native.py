"""The network's own listed sum: for models whose answer is the sum of one term per column."""

from __future__ import annotations

import numpy as np

from pellucid.errors import RequestError
from pellucid.explain.question import Question
from pellucid.results import Explanation

__all__ = ["explain"]

CLOSE = 1e-5


def explain(question: Question) -> Explanation:
    """Return the terms of the network's own sum (N, P, O), nothing estimated; terms of two columns are halved between them.

    For ``additive`` (Lou and others 2013, doi:10.1145/2487575.2487579), ``leurn``, ``kan``, ``senn`` and modules of one's own that show
    ``contributions`` and ``bias``. They add up to the answer to 1e-5 for numbers and for two classes in log-odds; a caveat says where they
    do not: more classes, whose scores are normalised together, and networks that are several, whose probabilities are averaged.
    Cost: one forward pass per row.
    """
    view = question.view
    parts, answers = view.named_parts(question.table), view.raw(question.table)
    if "contributions" not in parts:
        raise RequestError(
            "the answer of this network is no listed sum", do="use a backbone that is, such as 'additive', or method='shapley'"
        )
    if view.scale == "probability":
        raise RequestError("the network's sum is in log-odds, not in probabilities", do="leave scale out")
    terms = np.array(parts["contributions"])
    pairs = parts.get("pairs")
    if pairs is not None and pairs.shape[1]:
        for p, (i, j) in enumerate(parts["pair_columns"][0].astype(int)):
            terms[:, i] += pairs[:, p] / 2
            terms[:, j] += pairs[:, p] / 2
    values = question.players.sum_over_columns(view.linear(terms).transpose(0, 2, 1)).transpose(0, 2, 1)
    base = view.linear(parts["bias"], shift=True)
    off = float(np.abs(answers - base - values.sum(1)).max() / max(float(np.ptp(answers)), 1e-12))
    caveats = [] if pairs is None or not pairs.shape[1] else ["terms of two columns are halved between them"]
    if off > CLOSE:
        caveats.append(
            "the terms add up to the network's scores before they are normalised or averaged, not to the answer; gap shows by how much"
        )
    return question.answer(values, base, answers, caveats=caveats)
