"""Fills that look at the rows before and after: forward, backward, on the line between. They need a declared order, and stay in the group.

Where there is no row to look at (before the first known cell of a group, after the last) the training median or most frequent level stands
in; interpolation keeps the nearest known cell there. Levels are never put on a line: they take the last one known.
"""

from __future__ import annotations

from typing import Self

import numpy as np

from pellucid.encode.fills.base import Columns, Fill, FloatArray, Ints, Rows, typical
from pellucid.errors import RequestError

__all__ = ["Backward", "Forward", "Interpolate", "last_known"]


class _Ordered(Fill):
    """A fill along the rows in their order, within their group."""

    ordered = True

    def fit(self, values: FloatArray, columns: Columns, targets: Ints, seed: int) -> Self:
        self.learned["typical"] = typical(values, columns, targets)
        return self

    def fill(self, values: FloatArray, columns: Columns, targets: Ints, rows: Rows) -> FloatArray:
        if rows.order is None:
            raise RequestError("this fill copies from neighbouring rows and needs their order", do="name the column: with_roles(order=...)")
        group = np.zeros(len(values), np.int64) if rows.group is None else rows.group
        by = np.lexsort((rows.order, group))  # equal moments keep the order of the rows
        n, new = len(by), np.diff(group[by]) != 0
        start = np.maximum.accumulate(np.where(np.r_[True, new], np.arange(n), 0))
        end = _turned(np.maximum.accumulate(np.where(np.r_[new, True][::-1], np.arange(n), 0)), n)
        out = np.empty((len(values), len(targets)))
        for t, j in enumerate(targets):
            v = values[by, j]
            found = self._along(v, rows.order[by], start, end, bool(columns.is_level[j]))
            out[by, t] = np.where(np.isnan(found), float(np.asarray(self.learned["typical"])[t]), found)
        return out

    def _along(self, v: FloatArray, at: FloatArray, start: Ints, end: Ints, is_level: bool) -> FloatArray:
        raise NotImplementedError  # each fill's own


def _turned(index: Ints, n: int) -> Ints:
    """Return indexes seen from the other end."""
    return np.asarray(n - 1 - index[::-1])


def last_known(v: FloatArray, start: Ints) -> Ints:
    """Return per row the position of the last known cell at or before it and not before ``start``, -1 where there is none."""
    at = np.maximum.accumulate(np.where(np.isnan(v), -1, np.arange(len(v))))
    return np.asarray(np.where(at >= start, at, -1))


def _picked(v: FloatArray, at: Ints) -> FloatArray:
    return np.where(at >= 0, v[np.maximum(at, 0)], np.nan)


def _next_known(v: FloatArray, end: Ints) -> Ints:
    back = last_known(v[::-1], _turned(end, len(v)))[::-1]
    return np.asarray(np.where(back >= 0, len(v) - 1 - back, -1))


class Forward(_Ordered):
    """The last known cell before it in the group."""

    def _along(self, v: FloatArray, at: FloatArray, start: Ints, end: Ints, is_level: bool) -> FloatArray:
        return _picked(v, last_known(v, start))


class Backward(_Ordered):
    """The next known cell after it in the group. Where the order is time this looks ahead: what is predicted may leak."""

    def _along(self, v: FloatArray, at: FloatArray, start: Ints, end: Ints, is_level: bool) -> FloatArray:
        return _picked(v, _next_known(v, end))


class Interpolate(_Ordered):
    """The place on the straight line between the known cells before and after, by the values of the order column."""

    def _along(self, v: FloatArray, at: FloatArray, start: Ints, end: Ints, is_level: bool) -> FloatArray:
        left, right = last_known(v, start), _next_known(v, end)
        before, after = _picked(v, left), _picked(v, right)
        if is_level:
            return np.where(np.isnan(before), after, before)
        a, b = at[np.maximum(left, 0)], at[np.maximum(right, 0)]
        part = np.divide(at - a, b - a, out=np.full(len(v), 0.5), where=(left >= 0) & (right >= 0) & (b > a))
        line = before + (after - before) * part
        return np.where(np.isnan(before), after, np.where(np.isnan(after), before, line))
