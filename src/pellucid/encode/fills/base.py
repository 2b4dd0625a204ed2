"""What all fills share: the matrix they read, the rows' order and random numbers, and their state.

Letters: N rows, C columns, T columns that are to be filled.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError

__all__ = ["Columns", "Fill", "FloatArray", "Ints", "Rows", "mode_of", "typical"]

FloatArray = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Columns:
    """The columns of the matrix.

    Attributes
    ----------
    names : the C columns. is_level : (C,) the values are places among levels, 0 to L - 1; a level that training did not have is L.
    levels : per column its levels in order; empty for numbers. ordered : (C,) the levels have an order.
    """

    names: tuple[str, ...]
    is_level: npt.NDArray[np.bool_]
    ordered: npt.NDArray[np.bool_]
    levels: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Rows:
    """What a fill may know of rows besides their cells.

    Attributes
    ----------
    counters : (N,) uint64 a random number per row, for draws. order : (N,) what sorts the rows, or None. group : (N,) or None.
    """

    counters: npt.NDArray[np.uint64]
    order: FloatArray | None = None
    group: Ints | None = None


class Fill(ABC):
    """One way to fill.

    ``fit`` learns from training rows alone; ``fill`` answers for any rows with what was learned. ``learned`` holds plain arrays.

    Attributes
    ----------
    options : names of the settings and their defaults. ordered : True where the answer depends on the rows before and after.
    numbers_only : True where levels cannot be answered by this rule: they get their most frequent level.
    """

    options: ClassVar[Mapping[str, Any]] = {}
    ordered: ClassVar[bool] = False
    numbers_only: ClassVar[bool] = False

    def __init__(self, **given: Any) -> None:
        unknown = sorted(set(given) - set(self.options) - {"indicator"})
        if unknown:
            known = [*self.options, "indicator"]
            raise RequestError(f"a fill has no option {unknown[0]!r}", expected=f"one of {', '.join(known)}", where=type(self).__name__)
        self.given = dict(given)
        self.set = {**self.options, **given}
        self.learned: dict[str, Any] = {}

    @abstractmethod
    def fit(self, values: FloatArray, columns: Columns, targets: Ints, seed: int) -> Self:
        """Learn from training rows (N, C), NaN where missing; ``targets`` (T,) are the columns to be filled."""

    @abstractmethod
    def fill(self, values: FloatArray, columns: Columns, targets: Ints, rows: Rows) -> FloatArray:
        """Return (N, T): what stands in the target columns where they are missing."""

    def state(self) -> dict[str, Any]:
        """Return what :meth:`from_state` needs, as plain JSON types and arrays."""
        return {"given": self.given, "learned": dict(self.learned)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Return the fill that :meth:`state` described."""
        self = cls(**state["given"])
        self.learned = {k: np.asarray(v, np.float64) if isinstance(v, list) else v for k, v in state["learned"].items()}
        return self


def mode_of(values: FloatArray) -> float:
    """Return the most frequent value, the smallest of those that tie; 0 where there is none.

    Examples
    --------
    >>> mode_of(np.array([22.0, 20.0, 21.0, 21.0, np.nan])), mode_of(np.array([2.0, 1.0]))
    (21.0, 1.0)
    """
    found, count = np.unique(values[~np.isnan(values)], return_counts=True)
    return float(found[np.argmax(count)]) if len(found) else 0.0


def typical(values: FloatArray, columns: Columns, targets: Ints) -> FloatArray:
    """Return per target the median of a number and the most frequent level: what stands in where a rule has no answer."""
    each = [values[:, j] for j in targets]
    known = [v[~np.isnan(v)] for v in each]
    return np.array([mode_of(v) if columns.is_level[j] or not len(k) else float(np.median(k)) for v, k, j in zip(each, known, targets)])
