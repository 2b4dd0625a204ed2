"""Do the stated standard errors cover? The values on trial are compared with a computation of eight times the effort."""

from __future__ import annotations

import numpy as np

from pellucid.evaluate.case import Case, NotTestable, cube
from pellucid.evaluate.figures import bootstrap_mean
from pellucid.protocols import FloatArray
from pellucid.random import integer, stream
from pellucid.results import Explanation, Trial

__all__ = ["run"]

NAME = "error_cover"
FACTOR, LEAST_FACTOR = 8, 3
PROMISE, LIMIT = 0.95, 0.9


def run(case: Case) -> Trial:
    """Return the trial. Cost: one explanation of at most 40 rows with eight times the model rows (three where
    the time is short), on the explanation's own background."""
    made = case.explanation
    if not isinstance(made, Explanation) or made.error is None:
        raise NotTestable("the method states no standard errors: its values are exact, or it makes no promise")
    factor = case.times(FACTOR, LEAST_FACTOR)
    rows = case.pick(factor, 40)
    case.vouch()
    effort = factor * max(1, round(made.n_calls * len(rows) / max(1, len(case.table))))
    # without a precision to stop at, the larger budget is spent
    same, seed = case.compared(), integer(case.seed, "large") % 2**31
    if same is None and case.settings.get("fill") == "conditional" and made.record.seed is not None:
        seed = made.record.seed  # with its own seed the method draws the same background rows again
    large = case.again(case.predictor, case.table.take(rows), background=same, random_state=seed, budget=effort, precision=None)
    own, error, rest = case.own(rows), _error(made)[rows], _error(large)
    apart, total = np.abs(own - cube(large)), np.hypot(error, rest)
    if not (total > 0).any():
        raise NotTestable("the values are exact, so that there is no error to test")
    if not apart.any():
        raise NotTestable(
            "the method draws nothing at random: with more effort it gives the same values, so that chance has no part in them"
        )
    stated = (total > 0).reshape(len(rows), -1)
    counts = stated.any(1)
    inside = (apart <= 1.96 * total).reshape(stated.shape) & stated
    share = bootstrap_mean(inside[counts].sum(1) / stated[counts].sum(1), stream(case.seed, "cover"))
    passed = share.high >= LIMIT
    times = round(factor * getattr(large, "n_calls", 0) / effort)  # the effort of some methods is an option, which no budget raises
    other = f"a computation with {times} times the effort" if times > 1 else "another computation"
    figures = f"{100 * share.value:.0f} % of the values lie within their stated error of {other} ({100 * PROMISE:.0f} % is the promise)"
    words = (
        f"{figures}: the stated errors can be relied on."
        if passed
        else f"{figures}: the stated errors are too small. Read small differences between columns as ties."
    )
    return case.verdict(NAME, share, PROMISE, passed, words, clear=not share.low <= LIMIT <= share.high, rows=len(rows))


def _error(made: object) -> FloatArray:
    """Return the standard errors as (N, P, O); 0 where none are stated."""
    values, error = cube(made), getattr(made, "error", None)  # type: ignore[arg-type]
    return np.zeros(values.shape) if error is None else np.asarray(error, float).reshape(values.shape)
