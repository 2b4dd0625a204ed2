"""Do the stated standard errors cover? Values are made once more with eight times the budget and compared."""

from __future__ import annotations

import numpy as np

from pellucid.evaluate.case import Case, NotTestable, cube
from pellucid.evaluate.figures import bootstrap_mean
from pellucid.protocols import FloatArray
from pellucid.random import integer, stream
from pellucid.results import Explanation, Trial

__all__ = ["run"]

NAME = "error_cover"
FACTOR = 8
PROMISE, LIMIT = 0.95, 0.9


def run(case: Case) -> Trial:
    """Return the trial. Cost: one explanation of at most 40 rows at the stated settings, and one with eight times the model rows."""
    made = case.explanation
    if not isinstance(made, Explanation) or made.error is None:
        raise NotTestable("the method states no standard errors: its values are exact, or it makes no promise")
    rows = case.pick(1 + FACTOR, 40)
    case.vouch()
    small = case.explain(case.predictor, rows, seed=integer(case.seed, "small") % 2**31, background=case.background)
    error = _error(small)
    if error is None or not isinstance(small, Explanation) or not (error > 0).any():
        raise NotTestable("on fewer background rows the values are exact, so that there is no error to test")
    # without a precision to stop at, the larger budget is spent
    large = case.again(
        case.predictor, case.table.take(rows), background=case.background, random_state=integer(case.seed, "large") % 2**31,
        budget=FACTOR * max(1, small.n_calls), precision=None,
    )  # fmt: skip
    rest = _error(large)
    total = error if rest is None else np.hypot(error, rest)
    inside = np.abs(cube(small) - cube(large)) <= 1.96 * total
    stated = (error > 0).reshape(len(error), -1)
    counts = stated.any(1)
    per_row = (inside.reshape(stated.shape) & stated)[counts].sum(1) / stated[counts].sum(1)
    share = bootstrap_mean(per_row, stream(case.seed, "cover"))
    passed = share.high >= LIMIT
    figures = (
        f"{100 * share.value:.0f} % of the values lie within their stated error of a computation with {FACTOR} times the budget "
        f"({100 * PROMISE:.0f} % is the promise)"
    )
    words = (
        f"{figures}: the stated errors can be relied on."
        if passed
        else f"{figures}: the stated errors are too small. Read small differences between columns as ties."
    )
    return case.verdict(NAME, share, PROMISE, passed, words, rows=len(rows))


def _error(made: object) -> FloatArray | None:
    """Return the standard errors as (N, P, O)."""
    error = getattr(made, "error", None)
    return None if error is None else np.asarray(error, float).reshape(*np.shape(error)[:2], -1)
