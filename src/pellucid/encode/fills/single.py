"""Fills that look at one column alone: its mode, mean, median, a constant, or draws from what was observed.

What they do to a column, where a share m is missing completely at random (Little and Rubin 2002, doi:10.1002/9781119013563, chapter 4): a
single value multiplies the variance by 1 - m and a correlation by sqrt(1 - m); draws keep the variance and multiply a correlation by 1 - m.
"""

from __future__ import annotations

from typing import Self

import numpy as np

from pellucid.encode.fills.base import Columns, Fill, FloatArray, Ints, Rows, mode_of
from pellucid.errors import RequestError
from pellucid.random import integer, mix

__all__ = ["Constant", "Learned", "Mean", "Median", "Mode", "Sample"]


class _OneValue(Fill):
    """A fill with one value per column."""

    def fit(self, values: FloatArray, columns: Columns, targets: Ints, seed: int) -> Self:
        self.learned["values"] = np.array([self._value(values[:, j], columns, int(j)) for j in targets])
        return self

    def _value(self, values: FloatArray, columns: Columns, j: int) -> float:
        raise NotImplementedError  # each fill's own

    def fill(self, values: FloatArray, columns: Columns, targets: Ints, rows: Rows) -> FloatArray:
        return np.broadcast_to(np.asarray(self.learned["values"]), (len(values), len(targets)))


class Learned(Fill):
    """Nothing is put there: missing stays a state of its own, whose meaning the model learns."""

    def fit(self, values: FloatArray, columns: Columns, targets: Ints, seed: int) -> Self:
        return self

    def fill(self, values: FloatArray, columns: Columns, targets: Ints, rows: Rows) -> FloatArray:
        return np.full((len(values), len(targets)), np.nan)


class Mode(_OneValue):
    """The most frequent value; of several the smallest number, or the first level in order."""

    def _value(self, values: FloatArray, columns: Columns, j: int) -> float:
        return mode_of(values)


class Mean(_OneValue):
    """The mean of a number; levels have none and get their most frequent one."""

    numbers_only = True

    def _value(self, values: FloatArray, columns: Columns, j: int) -> float:
        known = values[~np.isnan(values)]
        return mode_of(values) if columns.is_level[j] or not len(known) else float(known.mean())


class Median(_OneValue):
    """The median of a number, the lower middle of ordered levels; other levels get their most frequent one."""

    numbers_only = True

    def _value(self, values: FloatArray, columns: Columns, j: int) -> float:
        known = np.sort(values[~np.isnan(values)])
        if columns.is_level[j] and columns.ordered[j] and len(known):
            return float(known[(len(known) - 1) // 2])
        return mode_of(values) if columns.is_level[j] or not len(known) else float(np.median(known))


class Constant(_OneValue):
    """A value of the user's: ``value``, by default 0 for numbers and the level ``missing`` for levels, which is then one of its own."""

    options = {"value": None}  # noqa: RUF012

    def _value(self, values: FloatArray, columns: Columns, j: int) -> float:
        given = self.set["value"]
        if columns.is_level[j]:
            return float(columns.levels[j].index("missing" if given is None else str(given)))
        try:
            return 0.0 if given is None else float(given)
        except (TypeError, ValueError) as error:
            raise RequestError(
                f"the number column {columns.names[j]!r} cannot be filled with a text", got=repr(given), do="give a number"
            ) from error


class Sample(Fill):
    """A draw from what was observed in training: a random place among at most 1,000 quantiles of the sorted values."""

    KEPT = 1000

    def fit(self, values: FloatArray, columns: Columns, targets: Ints, seed: int) -> Self:
        kept = np.zeros((self.KEPT, len(targets)))
        for t, j in enumerate(targets):
            known = np.sort(values[~np.isnan(values[:, j]), j])
            if len(known):
                kept[:, t] = known[((np.arange(self.KEPT) + 0.5) / self.KEPT * len(known)).astype(np.int64)]
        self.learned = {"kept": kept, "seed": seed}
        return self

    def fill(self, values: FloatArray, columns: Columns, targets: Ints, rows: Rows) -> FloatArray:
        kept = np.asarray(self.learned["kept"]).reshape(self.KEPT, -1)
        salt = np.array([integer(int(self.learned["seed"]), "fill", columns.names[j]) for j in targets], np.uint64)
        place = (mix(rows.counters[:, None] ^ salt) >> np.uint64(11)).astype(np.float64) / 2.0**53
        return np.asarray(np.take_along_axis(kept, (place * self.KEPT).astype(np.int64), 0))
