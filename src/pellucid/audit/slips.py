"""Numbers off by a power of ten, judged by the rest of their row: a decimal point that slipped, or another unit.

A number of 250 may be usual in its column and ten times too large for its row. The other columns tell the size of each cell; where a cell
misses it by one, two or three powers of ten, and hits it once these are taken off, it is named. After the check of units by conditional
prediction that Hellerstein 2008 ("Quantitative data cleaning for large databases", UNECE) describes for keying errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pellucid.audit.scores import design, fit_out_of_fold
from pellucid.audit.view import FloatArray, IntArray, View, amount, share
from pellucid.random import stream
from pellucid.results import Finding
from pellucid.table import ColumnType

__all__ = ["PointSlip", "find", "point_slips"]

POWERS = np.array([-3, -2, -1, 1, 2, 3])
MOST_COLUMNS, MOST_INPUTS = 24, 40
FIT_ROWS = 10_000
FEWEST = 50
SPREAD = 0.12
"""Most spread (a robust standard deviation, in powers of ten) of what the other columns leave open: one power is then eight of them."""
NEAR = 0.3
"""A cell hits its size once the powers are taken off where it lies within a factor of two."""
VALLEY = 0.25
"""Most cells half-way to a power of ten, as a share of those at one on the same side: where there are more, sizes merely vary."""


@dataclass(frozen=True)
class PointSlip:
    """Cells of one column off by powers of ten.

    Attributes
    ----------
    rows : positions. powers : (n,) the power of ten that each is too large by; negative: too small. expected : (n,) what the rest of
        the row says. spread : of the others around what their rows say, in powers of ten.
    """

    column: str
    rows: IntArray
    powers: IntArray
    expected: FloatArray
    spread: float


def find(view: View) -> list[Finding]:
    """Return numbers that fit their row only with another decimal point."""
    return [_finding(view, slip) for slip in point_slips(view)]


def _finding(view: View, slip: PointSlip) -> Finding:
    x, unit = view.numbers(slip.column), view.table.schema[slip.column].unit
    told = [amount(float(f"{e:.2g}"), unit) for e in slip.expected]
    shown = [f"{amount(float(x[r]), unit)} where the row says about {e}" for r, e in zip(slip.rows, told)]
    words = f"'{slip.column}' has {share(len(slip.rows), len(view))} off by a power of ten for their row: {', '.join(shown[:3])}"
    words += f" and {len(shown) - 3:,} more" if len(shown) > 3 else ""
    words += f"; the others lie within a factor of {10 ** (2 * slip.spread):.3g} of what their rows say (95 %)"
    remedy = "look for a decimal point or a unit that slipped, and correct the cells at the source"
    figures = {"powers": {int(r): int(p) for r, p in zip(slip.rows[:1000], slip.powers)}, "spread": slip.spread}
    severity = "medium"
    return view.finding("slips: decimal point", severity, (slip.column,), words, remedy, rows=slip.rows, figures=figures, sampled=True)


def point_slips(view: View) -> list[PointSlip]:
    """Return the columns with such cells; at most 24 columns are looked at, those of most distinct values first.

    Notes
    -----
    Cost: two small boosted trees on at most 10,000 rows per column, which answer for each other's rows and for the rest of the sample.
    """
    numbers = [n for n in view.features if view.kind(n) is ColumnType.NUMBER]
    target = view.table.target
    if target is not None and view.kind(target) is ColumnType.NUMBER and target not in numbers:
        numbers.append(target)
    usable = [n for n in numbers if _has_sizes(view.numbers(n)[view.sample])]
    usable.sort(key=lambda n: -len(np.unique(view.codes(n)[view.sample])))
    return [found for name in usable[:MOST_COLUMNS] for found in _column(view, name)]


def _has_sizes(x: FloatArray) -> bool:
    """Return whether nearly all numbers have one sign and are not 0, so that their logarithm is their size."""
    known = x[~np.isnan(x)]
    if len(known) < FEWEST:
        return False
    one_sign = max(int((known > 0).sum()), int((known < 0).sum()))
    return one_sign >= 0.98 * len(known) and len(np.unique(known)) >= 10


def _column(view: View, name: str) -> Iterator[PointSlip]:
    x = view.numbers(name)
    sign = 1.0 if (x > 0).sum() >= (x < 0).sum() else -1.0
    rows = view.sample[(sign * x[view.sample]) > 0]
    size = np.log10(sign * x[rows])
    expected = _expected(view, name, rows, size)
    off = size - expected
    middle = float(np.median(off))
    spread = max(1.4826 * float(np.median(np.abs(off - middle))), 1e-3)
    spread = max(spread, float(np.quantile(np.abs(off - middle), 0.9)) / 1.645)  # the shoulders count as well as the middle
    if spread > SPREAD:
        return
    off = off - middle
    power = POWERS[np.argmin(np.abs(off[:, None] - POWERS), axis=1)]
    hit = np.abs(off - power) <= NEAR
    for side in (-1, 1):
        half_way = int(((side * off > 0.35) & (side * off < 1 - NEAR)).sum())
        hit &= (np.sign(off) != side) | (half_way <= VALLEY * int((hit & (np.sign(off) == side)).sum()))
    if not hit.any() or hit.sum() > 0.2 * len(rows):
        return
    home = size[hit] - power[hit]
    inside = (home >= size[~hit].min()) & (home <= size[~hit].max())
    if inside.mean() < 0.9:
        return
    yield PointSlip(name, rows[hit], power[hit].astype(np.int64), sign * 10 ** (expected[hit] + middle), spread)


def _expected(view: View, name: str, rows: IntArray, size: FloatArray) -> FloatArray:
    """Return the size (n,) that the other columns give each row, by trees that did not see it."""
    others = [c for c in (*view.features, *([view.table.target] if view.table.target else [])) if c != name]
    others = [c for c in dict.fromkeys(others) if view.kind(c) not in (ColumnType.TEXT, ColumnType.IDENTIFIER)][:MOST_INPUTS]
    if not others:
        return np.full(len(rows), float(np.median(size)))
    matrix, is_level = design(view, tuple(others), rows)
    draw = stream(view.seed, "audit", "slips", name)
    # a size that is far out teaches the trees nothing
    low, high = np.quantile(size, [0.03, 0.97])
    fold = draw.integers(0, 2, len(rows))
    if len(rows) > FIT_ROWS:
        fold = np.where(draw.random(len(rows)) < FIT_ROWS / len(rows), fold, 2)
    return fit_out_of_fold(matrix, is_level, size.clip(low, high), fold, view.seed, iterations=40, leaves=15, learn=(0, 1))[:, 0]
