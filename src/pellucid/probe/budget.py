"""How much a question may cost: model rows, seconds, or neither."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.errors import RequestError

__all__ = ["Budget", "too_small"]


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


def too_small(what: str, least: int, asked: int | None) -> RequestError:
    """Return the error of a budget of model rows that does not pay for ``what``, with what would."""
    return RequestError(
        f"the budget is too small for {what}",
        expected=f"at least {least} model rows",
        got=str(asked),
        do="raise budget=, explain fewer rows at a time, or pass fewer rows as background=",
    )
