"""Numbers off by a power of ten, judged by the rest of their row: a decimal point that slipped, or another unit.

A number of 250 may be usual in its column and ten times too large for its row. The other columns tell the size of each cell; where a cell
misses it by one, two or three powers of ten, and hits it once these are taken off, it is named: where trees and a sum of logarithms agree
that it does, and either the misses of the other cells do not fall so slowly that a tail reaches as far, or the cells lie nearer to powers
of ten than those of a tail would. After the check of units by conditional prediction that Hellerstein 2008 ("Quantitative data cleaning for
large databases", UNECE) describes for keying errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pellucid.audit.off_sizes import off_sizes
from pellucid.audit.row_sizes import RowSizes, row_sizes, sized_columns
from pellucid.audit.steps import step_chance
from pellucid.audit.view import ALPHA, FloatArray, IntArray, View, amount, share
from pellucid.results import Finding

__all__ = ["PointSlip", "find", "point_slips"]

POWERS = np.array([-3, -2, -1, 1, 2, 3])
SPREAD = 0.12
"""Most spread (a robust standard deviation, in powers of ten) of what the other columns leave open: one power is then eight of them."""
NEAR = 0.3
"""A cell hits its size once the powers are taken off where it lies within a factor of two."""
FEW, SAME = 5, 3
"""Among so many cells or more, those that mostly repeat are a level or a floor, as log(1 + 1) is, and no slips of the hand."""
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
    """Return numbers that fit their row only with another decimal point, and those that do not fit it with any."""
    slipped = point_slips(view)
    return [*(_finding(view, slip) for slip in slipped), *off_sizes(view, {s.column: s.rows for s in slipped})]


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
    names = sized_columns(view)
    return [found for name in names for found in _column(row_sizes(view, name), name, ALPHA / len(names))]


def _column(told: RowSizes, name: str, alpha: float) -> Iterator[PointSlip]:
    rows, size, expected = told.rows[: told.taught], told.size[: told.taught], told.trees[: told.taught]
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
    near = np.abs(_nearer(told, off))
    hit &= near >= 0.5
    if not hit.any() or hit.sum() > 0.2 * len(rows):
        return
    far = max(int((near >= 1 - NEAR).sum()), int(hit.sum()))
    if step_chance(near, far) > alpha and _by_chance(np.abs(off - power)[hit], far, spread) > ALPHA:
        return
    home = size[hit] - power[hit]
    inside = (home >= size[~hit].min()) & (home <= size[~hit].max())
    if inside.mean() < 0.9 or (hit.sum() >= FEW and len(np.unique(size[hit])) <= hit.sum() / SAME):
        return
    yield PointSlip(name, rows[hit], power[hit].astype(np.int64), told.sign * 10 ** (expected[hit] + middle), spread)


def _nearer(told: RowSizes, off: FloatArray) -> FloatArray:
    """Return how far off cells are (n,) by the opinion that is nearer, 0 where they differ in the side: trees do not reach far rows."""
    if told.total is None:
        return off
    other = told.size[: told.taught] - told.total[: told.taught]
    other = other - np.median(other)
    near = np.where(np.abs(off) < np.abs(other), off, other)
    return np.asarray(np.where(off * other > 0, near, 0.0))


def _by_chance(miss: FloatArray, far: int, spread: float) -> float:
    """Return the chance that of ``far`` cells anywhere on the scale of powers so many lie as near to a power as the worst ``miss`` (k,)."""
    from scipy.stats import binom

    return float(binom.sf(len(miss) - 1, far, min(1.0, 2 * max(float(miss.max()), spread))))
