"""How much a question may cost: model rows, seconds, or neither."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.errors import RequestError

__all__ = ["FEWER_ROWS", "Budget", "too_small"]


@dataclass(frozen=True)
class Budget:
    """Most model rows in total, most seconds, or neither."""

    rows: int | None = None
    seconds: float | None = None

    @classmethod
    def of(cls, budget: Any) -> Budget:
        """Return the budget from an integer number of model rows or text such as ``"30s"`` or ``"2min"``.

        Examples
        --------
        >>> Budget.of("2min").seconds, Budget.of(5000).rows
        (120.0, 5000)
        """
        if budget is None or isinstance(budget, Budget):
            return budget or cls()
        if isinstance(budget, str):
            for unit, factor in (("min", 60.0), ("s", 1.0)):
                number = budget.strip().removesuffix(unit).strip()
                if budget.strip().endswith(unit) and number.replace(".", "", 1).isdigit() and float(number) > 0:
                    return cls(seconds=float(number) * factor)
        elif isinstance(budget, int | float | np.number) and not isinstance(budget, bool) and budget >= 1:
            return cls(rows=int(budget))
        raise RequestError(
            "the budget cannot be used", expected="a number of model rows such as 100_000, or seconds such as '30s'", got=repr(budget)
        )


FEWER_ROWS = "explain fewer rows at a time"
FEWER_PAIRS = f"{FEWER_ROWS}, or pass fewer rows as background="


def too_small(what: str, least: float, asked: int | None, do: str = FEWER_PAIRS) -> RequestError:
    """Return the error of a budget of model rows that does not pay for ``what``, with what would; ``do``: what helps but raising it."""
    return RequestError(
        f"the budget is too small {what}".rstrip(),
        expected=f"at least {math.ceil(least)} model rows",
        got=str(asked),
        do=f"raise budget=, {do if ',' in do else f'or {do}'}",
    )
