"""Columns that depend on each other, and the rows that break it: one column decides another, or a number is the sum or product of two.

Dependencies that hold in all but a few rows are looked for, and the few are named. Which cell is wrong the rule alone cannot tell.
Kivinen, Mannila 1995, doi:10.1016/0304-3975(95)00028-U (approximate dependencies).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pellucid.audit.view import FloatArray, IntArray, View, listed, share
from pellucid.results import Finding
from pellucid.table import ColumnType

__all__ = ["HOLDS", "Decides", "Makes", "decided", "decimals", "find", "made_of", "tick"]

HOLDS = 0.99
"""A dependency holds in at least this share of the rows that can speak of it."""
PLAIN = 0.8
"""A column with one level in more than this share of its rows is decided by nothing: most rows would agree anyhow."""
MOST_LEVEL_COLUMNS, MOST_NUMBER_COLUMNS = 60, 40
FEW_ROWS = 400


@dataclass(frozen=True)
class Decides:
    """Column ``by`` decides column ``of``, but for ``rows``, where ``usual`` (n,) gives the code it would have."""

    by: str
    of: str
    holds: float
    rows: IntArray
    usual: IntArray
    support: IntArray


@dataclass(frozen=True)
class Makes:
    """``total`` is ``left`` plus or times ``right`` to within ``width``, but for ``rows``, where it should be ``should`` (n,)."""

    total: str
    left: str
    right: str
    sign: str
    holds: float
    rows: IntArray
    should: FloatArray
    width: float


def find(view: View) -> list[Finding]:
    """Return dependencies that nearly all rows keep, with the rows that break them."""
    return [*_decided(view), *_made(view)]


def _decided(view: View) -> Iterator[Finding]:
    seen: set[frozenset[str]] = set()
    for d in decided(view):
        if not len(d.rows) or frozenset((d.by, d.of)) in seen:
            continue
        seen.add(frozenset((d.by, d.of)))
        levels = view.levels(d.of)
        cells = [[view.table.frame[c].iloc[r] for c in (d.by, d.of)] for r in d.rows[:3]]
        first = [f"{a} with {b}, elsewhere {levels[1][u]}" for (a, b), u in zip(cells, d.usual)]
        words = f"'{d.by}' decides '{d.of}' in {100 * d.holds:.2f} % of the rows, but not in "
        words += f"{share(len(d.rows), len(view))}: {listed(first)}"
        remedy = "one of the two cells is probably wrong: look at these rows"
        yield view.finding("dependencies: broken", "medium", (d.by, d.of), words, remedy, rows=d.rows, figures={"holds": d.holds})


def _made(view: View) -> Iterator[Finding]:
    for m in made_of(view):
        if len(m.rows):
            r, what = int(m.rows[0]), "sum" if m.sign == "+" else "product"
            cells = [f"{view.numbers(c)[r]:g}" for c in (m.left, m.right, m.total)]
            words = f"'{m.total}' is the {what} of '{m.left}' and '{m.right}' in {100 * m.holds:.2f} % of the rows, but not in "
            words += f"{share(len(m.rows), len(view))}, such as row {r}: {cells[0]} {m.sign} {cells[1]} is not {cells[2]}"
            remedy = "one of the three cells is probably wrong: look at these rows"
            columns = (m.total, m.left, m.right)
            yield view.finding("dependencies: broken", "medium", columns, words, remedy, rows=m.rows, figures={"holds": m.holds})


def decided(view: View) -> list[Decides]:
    """Return which level column is decided by which other; at most 60 columns are looked at.

    A column decides another where in at least 99 % of the rows (those whose level of the first occurs three times or more, nine tenths of
    all at least) the second has the level most usual there, and no level of the second makes up more than 80 % of all rows.

    Notes
    -----
    Cost: one count of pairs for every pair of level columns; a pair that fails on 5,000 rows is not counted in full.
    """
    names = [n for n in view.features if view.kind(n).is_level or (view.kind(n) is ColumnType.NUMBER and _whole(view, n))]
    sizes = {n: len(np.unique(view.codes(n))) for n in names[:MOST_LEVEL_COLUMNS]}
    names = [n for n, size in sizes.items() if 2 < size <= max(50, len(view) / 20) or (size == 2 and view.kind(n).is_level)]
    some = view.sample[:: max(1, len(view.sample) // 5000)]
    out = []
    for by, of in itertools.permutations(names, 2):
        if not view.kind(of).is_level or sizes[by] < 3 or sizes[by] < sizes[of]:
            continue
        quick = _count(view.codes(by)[some], view.codes(of)[some])
        if quick is None or quick[0] < HOLDS - 0.02:
            continue
        found = _count(view.codes(by), view.codes(of))
        if found is not None and found[0] >= HOLDS:
            out.append(Decides(by, of, *found))
    return out


def _whole(view: View, name: str) -> bool:
    x = view.numbers(name)[view.sample[:1000]]
    return bool(np.all(np.isnan(x) | (x == np.round(x))))


def _count(a: IntArray, b: IntArray) -> tuple[float, IntArray, IntArray, IntArray] | None:
    """Return (share that agrees, rows that do not, the code they would have, rows that say so), or None where nothing can be said."""
    known = np.flatnonzero((a >= 0) & (b >= 0))
    if len(known) < FEW_ROWS // 4:
        return None
    x, y = np.unique(a[known], return_inverse=True)[1].reshape(-1), b[known]
    width = int(y.max()) + 1
    if np.bincount(y).max() > PLAIN * len(y):
        return None
    pairs, at, count = np.unique(x.astype(np.int64) * width + y, return_inverse=True, return_counts=True)
    at = at.reshape(-1)
    order = np.lexsort((pairs, -count, pairs // width))
    first = order[np.unique(pairs[order] // width, return_index=True)[1]]  # per level of a the pair that occurs most
    top, total = count[first], np.bincount(x)
    speaks = total[x] >= 3
    if speaks.mean() < 0.9:
        return None
    agree = at == first[x]
    off = np.flatnonzero(speaks & ~agree)
    return float(agree[speaks].mean()), known[off], (pairs[first] % width)[x[off]], top[x[off]]


def made_of(view: View) -> list[Makes]:
    """Return number columns that are the sum or the product of two others; at most 40 columns are looked at.

    Notes
    -----
    Cost: all pairs against all columns on 400 rows; what holds there is checked on the whole table.
    """
    names = [n for n in view.features if view.kind(n) is ColumnType.NUMBER]
    if view.target is not None and view.is_number(view.target.name):
        names.append(view.target.name)
    names = [n for n in names[:MOST_NUMBER_COLUMNS] if len(np.unique(view.codes(n)[view.sample])) > 10]
    if len(names) < 3:
        return []
    some = view.sample[:: max(1, len(view.sample) // FEW_ROWS)]
    x = np.stack([view.numbers(n)[some] for n in names])
    ticks = [tick(row) for row in x]
    out: list[Makes] = []
    for i, j in itertools.combinations(range(len(names)), 2):
        for sign, made in (("+", x[i] + x[j]), ("*", x[i] * x[j])):
            tolerance = np.array([max(t, 1e-9) for t in ticks]) * 1.5
            with np.errstate(invalid="ignore"):
                fits = np.abs(x - made) <= tolerance[:, None] + 1e-9 * np.abs(made)
            there = ~np.isnan(x) & ~np.isnan(made)
            good = np.divide((fits & there).sum(1), np.maximum(there.sum(1), 1))
            for k in np.flatnonzero((good >= HOLDS - 0.03) & (there.sum(1) >= 50)):
                if k not in (i, j) and _speaks(x, i, j, int(k)):
                    out += _checked(view, names[int(k)], names[i], names[j], sign, float(tolerance[k]))
    return out


def tick(x: FloatArray) -> float:
    """Return the last decimal place in which a column is written, at most 1."""
    known = x[~np.isnan(x)]
    return next((10.0**-p for p in range(7) if np.allclose(known, np.round(known, p), rtol=0, atol=10.0 ** -(p + 6))), 1e-9)


def decimals(x: FloatArray) -> int:
    """Return how many decimal places a column is written with."""
    return round(-float(np.log10(tick(x))))


def _speaks(x: FloatArray, i: int, j: int, k: int) -> bool:
    """Return whether both parts matter: a column of almost nothing but zeros or ones makes every other one its own sum or product,
    and one of many digits that differ in the last ones alone is anything's, to what doubles may be off by.
    """
    width = np.nanquantile(x, [0.1, 0.9], axis=1)
    step = (width[1] - width[0]) / max(float(width[1][k] - width[0][k]), 1e-300)
    return bool(min(step[i], step[j]) > 1e-3) and 1e-9 * float(np.nanmax(np.abs(x[k]))) < 0.1 * float(width[1][k] - width[0][k])


def _checked(view: View, total: str, left: str, right: str, sign: str, tolerance: float) -> list[Makes]:
    a, b, t = (view.numbers(n) for n in (left, right, total))
    should = a + b if sign == "+" else a * b
    there = ~np.isnan(should) & ~np.isnan(t)
    with np.errstate(invalid="ignore"):
        off = there & (np.abs(t - should) > tolerance + 1e-9 * np.abs(should))
    holds = 1 - off.sum() / max(int(there.sum()), 1)
    rows = np.flatnonzero(off)
    return [Makes(total, left, right, sign, float(holds), rows, should[rows], tolerance)] if holds >= HOLDS else []
