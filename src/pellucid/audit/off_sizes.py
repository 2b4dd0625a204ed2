"""Cells far from what the rest of their row says, by whatever factor: a height of 0, a width typed from the next column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pellucid.audit.row_sizes import SPREAD, SPREADS, RowSizes, robust_weights, row_sizes, sized_columns, spread_of
from pellucid.audit.steps import step_chance
from pellucid.audit.view import ALPHA, FloatArray, IntArray, View, amount, share
from pellucid.results import Finding
from pellucid.table import ColumnType

__all__ = ["OffSizes", "off_cells", "off_sizes"]

TWICE = float(np.log10(2))
BY_ITSELF = 0.02
"""Chance of so wide a step by itself from which on nothing is said: of 200 clean tables one was named, without this limit nine."""
APART = 1.5
"""Named cells are off at least so many times as far as the farthest of those left; a tail may have such a step too: see ``chance``."""
MOST = 0.02
LONE = 5.0
MANY = 20.0
"""Where the row says so many, a count is hardly ever 0: by Poisson's law in 2 of a thousand million rows."""
FEW, ROWS = 5, 4_000
LEAST, RUN, FREQUENT = 6, 6.0, 5.0
"""A 0 ends a scale where it is as near to the next number as two pairs of the least six, which lie within a factor of six, and at most so
many times as frequent."""
SHARED = 0.9
OCTAVE = 2.0
"""The numbers of misses just beyond and just inside a place, each within this factor of it, tell whether they grow more numerous there."""
EMPTY = 0.5
"""Most misses just inside, as a share of those just beyond, where a group of cells stands for itself."""


@dataclass(frozen=True)
class OffSizes:
    """Cells of one column far off their rows.

    Attributes
    ----------
    rows : (n,) positions. expected : (n,) what the rest of the row says; NaN where it was not asked.
    off : (n,) how far off, in powers of ten, by the opinion that is nearer. usual : how far off the farthest of the other cells is.
    zero : whether the cells are all 0. chance : how often a tail as heavy as that of the other cells has such a step by itself.
    inside : of a group that no step parts, how many other cells lie within half as far; -1 where a step parts the cells. ``chance`` is then
        how often any tail that falls has so many farther out.
    """

    column: str
    rows: IntArray
    expected: FloatArray
    off: FloatArray
    usual: float
    zero: bool
    chance: float = 0.0
    inside: int = -1


def off_sizes(view: View, told: Mapping[str, IntArray] | None = None) -> list[Finding]:
    """Return a finding for each column with such cells; of each row only the cell that makes the others look wrong, but every 0.

    ``told`` : by column the rows that are named already.
    """
    found, tests = off_cells(view), len(sized_columns(view))
    wrong = {cells.column for cells in found if cells.zero}
    found = [cells for cells in found if not cells.zero or not _shared(view, cells.rows, wrong)]
    zeros = {int(r) for cells in found if cells.zero for r in cells.rows}
    by_row: dict[int, list[str]] = {}
    for cells in (c for c in found if not c.zero):
        for row in cells.rows.tolist():
            by_row.setdefault(row, []).append(cells.column)
    blamed = {row: names[0] if len(names) == 1 else _culprit(view, row, names) for row, names in by_row.items()}
    out = []
    for cells in found:
        known = (told or {}).get(cells.column, np.zeros(0, np.int64))
        kept = np.array([cells.zero or (r not in zeros and blamed[r] == cells.column) for r in cells.rows.tolist()])
        kept &= ~np.isin(cells.rows, known)
        if kept.any() and cells.chance <= BY_ITSELF:
            out.append(_finding(view, cells, kept, tests))
    return out


def _culprit(view: View, row: int, names: list[str]) -> str:
    """Return the column of ``names`` without whose cell the others fit their row best: a wrong cell makes those read from it look wrong."""
    every = sized_columns(view)
    logs = np.log10(np.abs(np.column_stack([view.numbers(n) for n in every])) + 1e-300)
    few = view.sample[:: -(-len(view.sample) // ROWS)]
    known, here = logs[few], logs[row]
    usable = np.isfinite(here) & (here > -300)
    known = np.where(np.isfinite(known) & (known > -300), known, np.nanmedian(known, axis=0))
    at = [every.index(n) for n in names]
    return names[int(np.argmin([max(_miss(known, here, b, c, usable) for b in at if b != c) for c in at]))]


def _miss(known: FloatArray, here: FloatArray, of: int, without: int, usable: np.ndarray) -> float:
    """Return how far off the cell ``of`` is by a sum of the row's other logarithms (C,) without one of them."""
    by = np.array([j for j in np.flatnonzero(usable) if j not in (of, without)], np.int64)
    x = np.column_stack([known[:, by], np.ones(len(known))])
    weights = robust_weights(x, x.T @ x + 1e-6 * len(x) * np.eye(x.shape[1]), known[:, of])
    return abs(float(here[of] - np.append(here[by], 1.0) @ weights))


def off_cells(view: View) -> list[OffSizes]:
    """Return the columns with cells that two opinions, trees and a sum of logarithms, both find far too large or too small.

    Far: twice, and eight times the spread of what the opinions leave open, and half as far again as any cell that is left. A 0 counts as
    half of the last decimal place; among whole numbers, which may be counts, only where no other is below a fifth of the usual one, or
    where the rows say 20 or more and no level of another column goes with it.

    Notes
    -----
    Cost: as :func:`~pellucid.audit.row_sizes.row_sizes`, shared with the slips of decimal points.
    """
    return [cells for name in sized_columns(view) for cells in _column(view, name, row_sizes(view, name))]


def _column(view: View, name: str, told: RowSizes) -> list[OffSizes]:
    if told.total is None:
        return []
    each = [told.size - told.trees, told.size - told.total]
    each = [o - np.median(o[: told.taught]) for o in each]
    spread = max(spread_of(o[: told.taught]) for o in each)
    if spread > SPREAD:
        return []
    near = np.where(np.abs(each[0]) < np.abs(each[1]), each[0], each[1])
    off = np.where(each[0] * each[1] > 0, near, 0.0)
    x = view.numbers(name)
    zero = x[told.rows] == 0
    least, expected = max(TWICE, SPREADS * spread), told.sign * 10 ** (told.size - near)
    named = _apart(np.where(zero, 0.0, np.abs(off)), least)
    group = _group(np.where(zero, 0.0, np.abs(off)), least) if not named.any() else None
    named = named if group is None else group[0]
    usual = float(np.abs(off[~named & ~zero]).max(initial=0.0))
    out = []
    steps = max(1, min(int((np.abs(off) >= least).sum()), int(MOST * len(off))))
    no_count = _is_size(x) or bool(zero.any() and (expected[zero] * told.sign >= MANY).mean() > 0.9 and not _of_a_level(view, x == 0))
    if zero.any() and no_count and not _is_next(x) and bool((-off[zero] >= max(least, APART * usual)).mean() > 0.9):
        rows = np.flatnonzero(x == 0)
        others = np.append(np.abs(off[~zero & ~named]), np.maximum(-off[zero], 0.0))
        told_of = np.full(len(x), np.nan)
        told_of[told.rows[zero]] = expected[zero]
        chance = step_chance(others, int(zero.sum()), steps)
        out.append(OffSizes(name, rows, told_of[rows], np.full(len(rows), float(np.median(off[zero]))), usual, True, chance))
    if named.any() and not _is_level(x[told.rows[named]]):
        order = np.flatnonzero(named)[np.argsort(told.rows[named])]
        chance, inside = (step_chance(np.abs(off[~zero]), len(order), steps), -1) if group is None else group[1:]
        out.append(OffSizes(name, told.rows[order], expected[order], off[order], usual, False, chance, inside))
    return out


def _apart(off: FloatArray, least: float) -> np.ndarray:
    """Return (n,) the cells off by ``least`` or more that a step parts from all others; none where they are more than 2 %."""
    order = np.argsort(-off, kind="stable")
    most = min(int((off >= least).sum()), int(MOST * len(off)), len(off) - 1)
    far = off[order[: most + 1]]
    steps = np.flatnonzero(far[:-1] >= APART * np.maximum(far[1:], 1e-9))
    out = np.zeros(len(off), bool)
    if len(steps):
        out[order[: steps[-1] + 1]] = True
    return out


def _group(off: FloatArray, least: float) -> tuple[np.ndarray, float, int] | None:
    """Return ((n,) cells off by ``least`` or more that are more numerous than those just inside, the chance of that, how many those are).

    In a tail of whatever weight misses grow rarer outwards, so that of those within a factor of two of a place at most half lie beyond it,
    but for chance; where most do, they are cells of another kind. None where there is no such place, or more than 2 % lie beyond.
    """
    from scipy.stats import binom

    far = np.sort(off)[::-1]
    most = min(int((off >= least).sum()), int(MOST * len(off)), len(off) - 1)
    if most < FEW:
        return None
    count = np.arange(FEW, most + 1)
    place, rising = far[count - 1], far[::-1]

    def nearer(than: FloatArray) -> IntArray:
        return np.searchsorted(rising, than, side="left")

    # the cell that stands at the place itself is left out: it was chosen
    beyond, inside = nearer(OCTAVE * place) - nearer(place) - 1, nearer(place) - nearer(place / OCTAVE)
    chance = binom.sf(beyond - 1, beyond + inside, 0.5) * len(count)
    good = (chance <= ALPHA) & (inside <= EMPTY * beyond)  # of misses equally frequent on the scale of logarithms: tails fall faster
    if not good.any():
        return None
    best = int(np.argmax(np.where(good, place / np.maximum(far[count], 1e-9), 0.0)))
    return off >= place[best], float(chance[best]), int(inside[best])


def _is_level(x: FloatArray) -> bool:
    """Return whether the cells mostly repeat one value: a level that neither opinion was taught, and no slip of the hand."""
    return bool(len(x) >= FEW and np.unique(x, return_counts=True)[1].max() > len(x) / 2)


def _is_size(x: FloatArray) -> bool:
    """Return whether a 0 in the column can be no count: numbers with decimals, or whole ones that all lie far from 0."""
    known = np.abs(x[~np.isnan(x) & (x != 0)])
    return bool(np.any(known != np.round(known)) or known.min() > np.median(known) / LONE)


def _is_next(x: FloatArray) -> bool:
    """Return whether 0 is the next step below the least numbers, and not much more frequent: the end of a scale, as of years at school."""
    values, count = np.unique(np.abs(x[~np.isnan(x)]), return_counts=True)
    least, times = values[1 : 1 + LEAST], count[1 : 1 + LEAST]
    if len(least) < LEAST or least[-1] > RUN * least[0]:
        return False
    return bool(least[0] <= np.sort(np.diff(least))[-2] and count[0] <= FREQUENT * times.mean())


def _shared(view: View, rows: IntArray, wrong: set[str]) -> bool:
    """Return whether a column that is not ``wrong`` is 0 in most of these rows and in few others: no computer, so none for each pupil."""
    for other in (n for n in view.features if n not in wrong and view.kind(n) is ColumnType.NUMBER):
        own = np.flatnonzero(view.numbers(other) == 0)
        if len(np.intersect1d(own, rows)) > SHARED * max(len(own), len(rows)):
            return True
    return False


def _of_a_level(view: View, zero: np.ndarray) -> bool:
    """Return whether most zeros (N,) stand in levels of another column that mostly hold zeros: rows of another kind, which have none."""
    for name in (n for n in view.features if view.kind(n).is_level):
        codes = view.codes(name) + 1
        share_of = np.bincount(codes, weights=zero) / np.maximum(np.bincount(codes), 1)
        if (share_of[codes[zero]] > 0.5).mean() > 0.5:
            return True
    return False


def _finding(view: View, cells: OffSizes, kept: np.ndarray, tests: int) -> Finding:
    heavy = cells.chance > ALPHA / tests or cells.inside >= 0
    doubt = f"; misses of many sizes occur, and such a step by itself in {1000 * cells.chance:,.0f} of 1,000 columns like this one"
    severity = "low" if heavy else "medium"
    name, rows, expected = cells.column, cells.rows[kept], cells.expected[kept]
    x, unit = view.numbers(name), view.table.schema[name].unit
    others = f"the others lie within a factor of {10**cells.usual:.2g} of what their rows say"
    if cells.zero:
        low, high = (amount(float(f"{v:.2g}"), u) for v, u in ((np.nanmin(expected), ""), (np.nanmax(expected), unit)))
        words = (
            f"'{name}' is 0 in {share(len(rows), len(view))}, where the other cells say about {high if low == high else f'{low} to {high}'}"
        )
        words += f"; no other cell is so far off: {others}" + (f"{doubt}: it may be a size too small to be written" if heavy else "")
        remedy = f"0 probably stands for missing: if so, read the table with missing={{'{name}': [0]}}"
        figures = {"code": "0", "rows": len(rows), "usual": cells.usual, "chance": cells.chance}
        return view.finding("slips: a size of 0", severity, (name,), words, remedy, rows=rows, figures=figures, sampled=True)
    said = [amount(float(f"{e:.2g}"), unit) for e in expected]
    shown = [f"{amount(float(x[r]), unit)} where the row says about {e}" for r, e in zip(rows, said)]
    words = f"'{name}' has {share(len(rows), len(view))} far from what the rest of the row says: {', '.join(shown[:3])}"
    words += (f" and {len(shown) - 3:,} more" if len(shown) > 3 else "") + f"; {others}"
    remedy = "look at these rows: a cell was probably mistyped; correct it at the source, or read it as missing"
    figures = {"expected": {int(r): float(e) for r, e in zip(rows[:1000], expected)}, "usual": cells.usual, "chance": cells.chance}
    if cells.inside >= 0:
        words += f", and only {cells.inside:,} of them half as far as the nearest of these: they are cells of another kind, mistyped or not"
        remedy = "look at these rows: mistyped cells, or rows of another kind; correct at the source what is wrong"
    elif heavy:
        words += f"{doubt}: these may be right"
        remedy = "look at these rows: mistyped cells, or rare but right ones; correct at the source what is wrong"
    return view.finding("slips: unlike the row", severity, (name,), words, remedy, rows=rows, figures=figures, sampled=True)
