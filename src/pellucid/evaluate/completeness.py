"""Completeness: do the values add up to what the model answered?

Source: the efficiency axiom, Shapley 1953; completeness, Sundararajan, Taly and Yan 2017, arXiv:1703.01365.
"""

from __future__ import annotations

import numpy as np

from pellucid import registry
from pellucid.errors import RequestError
from pellucid.evaluate.case import Case, NotTestable
from pellucid.evaluate.figures import Figure
from pellucid.results import Explanation, Interactions, Trial

__all__ = ["run"]

NAME = "completeness"
LIMIT, GRADIENT_LIMIT = 1e-5, 1e-3
"""Largest gap as a share of the output range: of methods that remove columns, and of those that integrate gradients."""


def run(case: Case) -> Trial:
    """Return the trial; the gap is computed anew from the model's answers. Cost: N model rows."""
    made = case.explanation
    limit = _limit(made)
    answers = case.view().raw(case.table)
    base = np.asarray(made.base_values, float).reshape(len(answers), -1)  # type: ignore[union-attr]
    others = np.zeros((0, answers.shape[1])) if case.background is None else case.view().raw(case.background)
    span = np.ptp(np.concatenate([answers, base, others]), axis=0).max()
    if not span > 0:
        raise NotTestable("the model gives the same answer to every row")
    gap = np.abs(answers - base - case.values.sum(1)).max() / span
    passed = bool(gap <= limit)
    size = f"the largest gap is {gap:.1e} of the range of the answers (at most {limit:.0e} is asked)"
    words = (
        f"The contributions of the columns add up to the model's answer in every row: {size}. Nothing was left out."
        if passed
        else f"The contributions of the columns do not add up to the model's answer: {size}. Part of the answer is not explained."
    )
    worst = int(np.abs(answers - base - case.values.sum(1)).max(1).argmax())
    return case.verdict(NAME, Figure(gap, gap, gap), limit, passed, words, rows=len(answers), worst_row=worst, output_range=float(span))


def _limit(made: object) -> float:
    """Return the gap the method promises to keep, or stop where it promises nothing."""
    if isinstance(made, Interactions) and made.gap is not None:
        return LIMIT  # the sets add up, each counted once
    if not isinstance(made, Explanation):
        raise NotTestable("the method promises no sum per row")
    try:
        entry = registry.get("explain", made.record.method)
    except RequestError:
        if made.gap is None:
            raise NotTestable("the method does not promise that its values add up") from None
        return LIMIT
    if "completeness" not in entry.axioms:
        raise NotTestable("the method does not promise that its values add up")
    return GRADIENT_LIMIT if "gradients" in entry.needs else LIMIT
