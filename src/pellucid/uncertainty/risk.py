"""When to keep silent: a limit on doubt, given or found so that few of the answers are wrong. Letters: n held-out rows, N rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import ArgumentError, RequestError
from pellucid.protocols import FloatArray
from pellucid.results.text import number, percent
from pellucid.training.risk_control import Control, control

__all__ = ["abstain_rule", "refused_by_doubt"]

BoolArray = npt.NDArray[np.bool_]


def abstain_rule(promises: Any, task: str, max_risk: float, tolerance: float | None = None) -> Control:
    """Return the doubt above which answers are withheld, so that at most ``max_risk`` of those given are wrong, with 95 % confidence.

    An answer is wrong if it is not the true class, or farther from the truth than ``tolerance``, in the target's unit. The thresholds that
    are tried are fixed without the held-out rows: even steps of probability, or quantiles of the spreads of other rows.

    Angelopoulos, Bates, Candes, Jordan and Lei 2021, arXiv:2110.01052. Cost: one sort of the held-out rows.
    """
    ranked = getattr(promises, "ranked", None)
    if ranked is None:
        raise RequestError("no row was held out whose doubt and error are known", do="fit one target on more rows, or set refuse_above=")
    if task == "classification":
        if tolerance is not None:
            raise ArgumentError("tolerance is for numbers", do="leave it out")
        return control(ranked.doubt, ranked.error > 0, ranked.grid, max_risk)
    if tolerance is None or not tolerance > 0:
        raise ArgumentError(
            "max_risk needs to know from when on a number is wrong", expected="tolerance=, in the target's unit", got=repr(tolerance)
        )
    return control(ranked.doubt, ranked.error > tolerance, ranked.grid, max_risk)


def refused_by_doubt(
    promises: Any,
    doubt: FloatArray | None,
    task: str,
    refuse_above: float | None,
    max_risk: float | None,
    tolerance: float | None,
    unit: str = "",
) -> tuple[tuple[BoolArray, str] | None, list[str]]:
    """Return ((rows beyond the limit (N,), reason), words on the rule), or (None, []) where no limit was set.

    ``unit``: of numbers; empty where it is not known.
    """
    if refuse_above is None and max_risk is None:
        if tolerance is not None:
            raise ArgumentError("tolerance goes with max_risk", do="add max_risk=, or leave tolerance out")
        return None, []
    if refuse_above is not None and max_risk is not None:
        raise ArgumentError("refuse_above and max_risk are two ways to set one limit", do="give one of them")
    if doubt is None:
        raise RequestError("the doubt of these answers is not known", do="fit one target with held-out rows")
    what = "chance of being wrong" if task == "classification" else "size of the error to expect"

    def amount(limit: float) -> str:
        return percent(limit, None) if task == "classification" else number(limit, unit=unit or "in the target's unit")

    if refuse_above is not None:
        return (doubt > refuse_above, f"the {what} is above {amount(refuse_above)}"), []
    assert max_risk is not None
    found = abstain_rule(promises, task, max_risk, tolerance)
    if not np.isfinite(found.threshold) and found.threshold < 0:
        return (np.ones(len(doubt), bool), f"no limit keeps wrong answers at {percent(max_risk, None)} or less"), [found.words]
    limit = f"{amount(found.threshold)}, the limit for a risk of {percent(max_risk, None)}"
    return (doubt > found.threshold, f"the {what} is above {limit}"), [found.words]
