"""Is a row like those of training? And where an answer should be withheld, with the reason in words."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pellucid.protocols import FloatArray
from pellucid.table import Table
from pellucid.training.familiarity import Familiarity, odd_columns

__all__ = ["STRICT", "familiar", "refusals"]

BoolArray = npt.NDArray[np.bool_]
STRANGE = 1.0
STRICT = 0.99
ODD = 10.0


def familiar(fitted: Familiarity, table: Table) -> tuple[FloatArray, tuple[str | None, ...]]:
    """Return (percentile (N,), odd column of each row).

    The percentile is taken among held-out training rows; 0 is like nothing seen. The odd column is the one farthest beyond its usual
    distance from the nearest training rows; None from the 10th percentile on, where no column is odd.
    """
    percent, excess = fitted.score(table)
    names = odd_columns(excess, fitted.columns)
    return percent, tuple(name if is_odd else None for name, is_odd in zip(names, (percent < ODD).tolist()))


def refusals(
    n: int,
    level: float,
    sets: BoolArray | None,
    nothing: BoolArray | None,
    unbounded: bool,
    percent: FloatArray | None,
    odd: tuple[str | None, ...] | None,
) -> tuple[BoolArray, tuple[str, ...]]:
    """Return (refused (N,), N reasons): no class fits, every class fits, nothing is bounded, or stranger than 99 of 100 training rows.

    ``sets`` (N, O) at ``level`` and ``nothing`` (N,), where no class fits even at 99 %, for classes; None for numbers. An empty set at a
    lower level is no reason: a model that is right more often than ``level`` must leave some sets empty to keep its promise.
    ``percent``, ``odd`` as from :func:`familiar`, None where unknown.
    """
    reasons = np.full(n, "", object)

    def add(rows: BoolArray, text: str) -> None:
        reasons[rows] = np.where(reasons[rows] == "", text, reasons[rows] + "; " + text)

    if unbounded:
        add(np.ones(n, bool), f"too few held-out rows to exclude anything at {level:.0%}")
    elif sets is not None:
        if nothing is not None:
            add(nothing, f"no class fits, even at {max(level, STRICT):.0%}")
        add(np.asarray(sets.all(axis=1)), f"every class is possible at {level:.0%}")
    if percent is not None:
        strange = percent < STRANGE
        columns = np.array([c or "" for c in odd] if odd else [""] * n, object)
        for name in dict.fromkeys(columns[strange]):
            where = f", most of all in '{name}'" if name else ""
            add(np.logical_and(strange, columns == name), f"stranger than 99 of 100 training rows{where}")
    return reasons != "", tuple(reasons.tolist())
