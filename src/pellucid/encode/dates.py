"""Dates to calendar parts: cyclic pairs for the parts that repeat, one plain number for the year.

The elapsed time itself is a number slot (scaled and binned like any other number); these parts carry season and rhythm.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["CALENDAR", "RANGE", "calendar"]

RANGE: Final = (-62_135_596_800.0, 253_402_300_799.0)
"""Seconds of the first and the last second of the years 1 to 9999, the ones that are read."""

CALENDAR: Final = (
    "month sin",
    "month cos",
    "day of month sin",
    "day of month cos",
    "weekday sin",
    "weekday cos",
    "hour sin",
    "hour cos",
    "weekend",
    "year",
)


def _pair(phase: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    return np.sin(2 * np.pi * phase), np.cos(2 * np.pi * phase)


def calendar(seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return the calendar parts of moments, (N, 10) in the order of ``CALENDAR``; a missing moment gives zeros.

    A moment beyond the years 1 to 9999 has the parts of the nearest second in them.

    Parameters
    ----------
    seconds : (N,) seconds since 1970-01-01 UTC, NaN where missing.

    Examples
    --------
    >>> [round(float(v), 3) for v in calendar(np.array([0.0]))[0, [4, 8]]]  # a Thursday: weekday 3 of 7, no weekend
    [0.434, 0.0]
    """
    known = np.isfinite(seconds)
    moment = np.clip(np.where(known, seconds, 0.0), *RANGE).astype("datetime64[s]")
    day = moment.astype("datetime64[D]")
    month = day.astype("datetime64[M]")
    year = month.astype("datetime64[Y]")
    in_month = (day - month).astype(np.float64)
    days_in_month = ((month + 1).astype("datetime64[D]") - month.astype("datetime64[D]")).astype(np.float64)
    weekday = ((day.astype(np.int64) + 3) % 7).astype(np.float64)
    hour = (moment - day).astype(np.float64) / 86400
    parts = [
        *_pair((month - year).astype(np.float64) / 12),
        *_pair(in_month / days_in_month),
        *_pair(weekday / 7),
        *_pair(hour),
        (weekday >= 5).astype(np.float64),
        (year.astype(np.float64) + 1970 - 2000) / 25,
    ]
    return np.asarray(np.column_stack(parts) * known[:, None], np.float32)
