"""Numbers and cells in words: one way to print a figure, one way to make text from data safe to show."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["METRICS", "UNKNOWN", "cell", "cell_text", "clean", "join", "number", "percent", "shorten", "spelt"]

METRICS = {"roc_auc": "ROC AUC", "rmse": "RMSE", "mae": "MAE", "r2": "R²", "log_loss": "log loss", "ece": "calibration error (ECE)"}
"""Names of metrics for people."""

UNKNOWN = "unknown"

# Controls, line breaks and marks that turn the direction of text could make one cell pass for another, or end a line early.
_HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def clean(value: Any, most: int = 200) -> str:
    """Return text from data in one visible line: hidden characters become ``·``, and what is longer than ``most`` ends in ``…``."""
    text = _HIDDEN.sub("·", str(value))
    return shorten(text, most)


def spelt(value: Any) -> str:
    """Return text from data with hidden characters spelt out: what cannot be seen may be what is wrong with a cell.

    Examples
    --------
    >>> spelt("6.2\\x1a")
    '6.2\\\\x1a'
    """
    return _HIDDEN.sub(lambda c: c[0].encode("unicode_escape").decode(), str(value))


def shorten(text: str, most: int) -> str:
    """Return ``text``, cut to ``most`` characters with ``…`` at its end."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _decimals(step: float) -> int:
    """Number of decimals that shows ``step`` with two significant digits."""
    return max(0, min(10, 1 - math.floor(math.log10(step))))


def number(value: Any, step: float | None = None, unit: str = "") -> str:
    """Return a number with as many digits as its doubt leaves.

    Parameters
    ----------
    value : the number; None, NaN and infinities are "unknown".
    step : half width of its interval; the last two digits of the half width are the last shown. None shows four significant digits.
    unit : written behind it.

    Examples
    --------
    >>> number(0.867123, 0.0067), number(1234567.8), number(float("nan"))
    ('0.8671', '1,234,568', 'unknown')
    """
    if value is None or not math.isfinite(float(value)):
        return UNKNOWN
    x = float(value)
    size = abs(x)
    if step is not None and math.isfinite(step) and step >= 1e-5:
        text = f"{x:,.{_decimals(step)}f}"
    elif size != 0 and (size >= 1e15 or size < 1e-3):
        text = f"{x:.3g}"
    elif x == int(x):
        text = f"{int(x):,}"
    else:
        text = f"{x:,.{max(0, 3 - math.floor(math.log10(size)))}f}".rstrip("0").rstrip(".") if size < 1000 else f"{x:,.0f}"
    text = text.replace("-", "\u2212") if float(text.replace(",", "")) != 0 else text.lstrip("-")
    return f"{text} {unit}" if unit else text


def percent(share: float, digits: int | None = 1) -> str:
    """Return a share as a percentage, or "unknown"; ``digits`` after the point, None: as many as a share that was asked for has.

    Examples
    --------
    >>> percent(0.2), percent(0.2, 0), percent(0.2, None), percent(0.975, None)
    ('20.0 %', '20 %', '20 %', '97.5 %')
    """
    if not math.isfinite(share):
        return UNKNOWN
    return f"{100 * share:.4g} %" if digits is None else f"{100 * share:.{digits}f} %"


def join(parts: Iterable[str], last: str = "and") -> str:
    """Return ``a, b and c``."""
    every = list(parts)
    return every[0] if len(every) == 1 else f"{', '.join(every[:-1])} {last} {every[-1]}" if every else ""


def cell_text(value: Any) -> str:
    """Return one cell as the user would write it; missing cells are said to be missing."""
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float | np.floating) and math.isnan(value)):
        return "missing"
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, pd.Timestamp | np.datetime64 | datetime.datetime):
        stamp = pd.Timestamp(value)
        return str(stamp.date()) if stamp == stamp.normalize() else stamp.isoformat(sep=" ")
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return f"{float(value):.10g}"
    return clean(value)


def cell(name: str, value: Any, unit: str = "", most: int = 80) -> str:
    """Return a column, cut to ``most`` characters, with its cell, cut to as many: ``age = 37 years``."""
    text = shorten(cell_text(value), most)
    return f"{clean(name, most)} = {text} {unit}" if unit and text != "missing" else f"{clean(name, most)} = {text}"
