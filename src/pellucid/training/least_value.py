"""The least value that a target can have, as its training rows show it: intervals need not reach below. Letters: N rows, O targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.protocols import FloatArray

__all__ = ["LeastValue"]

FEWEST = 100
"""Rows below which nothing is concluded: the next one of n + 1 alike rows is the first below 0 with chance 1 / (n + 1) at most."""
NEAR = 0.1
"""How near 0, in standard deviations, the smallest value lies where 0 is the end of the values and not only far below them."""

INSTEAD = "at 0 they would be nearer to any such target; networks with loss='poisson' never answer below 0"


@dataclass(frozen=True)
class LeastValue:
    """Where intervals of numbers begin at the lowest.

    Attributes
    ----------
    least : (O,) 0 for targets that are never negative, such as counts and amounts, else -inf. rows : how many showed it.
    """

    least: FloatArray
    rows: int

    @classmethod
    def found(cls, values: npt.ArrayLike) -> LeastValue | None:
        """Return what values (N, O) show; None where no target ends at 0.

        A target does if none of 100 values or more is below 0 and they come close to it: the smallest is 0, or 1 among whole numbers, or
        within a tenth of their standard deviation. Values that stay away from 0 say nothing of it: a temperature may fall below.

        Examples
        --------
        >>> counts = np.random.default_rng(0).poisson(2.0, size=(200, 1))
        >>> LeastValue.found(counts).least.tolist()
        [0.0]
        >>> print(LeastValue.found(counts - 1), LeastValue.found(counts + 20.5))
        None None
        """
        y = np.asarray(values, np.float64)
        if len(y) < FEWEST or not np.isfinite(y).all():
            return None
        lowest, spread = y.min(0), y.std(0)
        whole = (y == np.round(y)).all(0) & (lowest <= 1)
        ends = (lowest >= 0) & (spread > 0) & (whole | (lowest <= NEAR * spread))
        return cls(np.where(ends, 0.0, -np.inf), len(y)) if ends.any() else None

    def cut(self, low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray, npt.NDArray[np.bool_]]:
        """Return the ends (N, O) of intervals without what lies below, and in which rows (N,) that was anything.

        What holds no possible value is left as one point. Ends at infinity stay: nothing was excluded there.
        """
        beyond = (low < self.least) & np.isfinite(low)
        return np.where(beyond, self.least, low), np.where(beyond, np.maximum(high, self.least), high), np.asarray(beyond.any(1))

    def words(self, cut: npt.NDArray[np.bool_], point: FloatArray) -> str:
        """Return what was done to the intervals of rows (N,) where ``cut``, and why, and that answers (N,) or (N, O) were left alone."""
        below = ((point.reshape(len(cut), -1) < 0) & np.isfinite(self.least)).any(1)
        left = f"; {below.sum():,} answers are below 0 themselves and stay as the model gives them ({INSTEAD})" if below.any() else ""
        rows = f"none of {self.rows:,} training rows has a target below 0"
        return f"{rows}, so {cut.sum():,} of {len(cut):,} intervals, which reached below it, begin at 0{left}"

    def state(self) -> dict[str, Any]:
        """Return what :meth:`from_state` needs."""
        return {"ends": np.isfinite(self.least).tolist(), "rows": self.rows}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> LeastValue:
        """Return what :meth:`state` described."""
        return cls(np.where(np.asarray(state["ends"], bool), 0.0, -np.inf), int(state["rows"]))
