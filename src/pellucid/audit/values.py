"""Cells that cannot be right, or look odd beside the rest of their column. Nothing is repaired."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pellucid.audit.forms import several_forms
from pellucid.audit.names import first_row_as_names, title_as_names
from pellucid.audit.rows_alike import unlike, voters
from pellucid.audit.steps import widest_step_chance
from pellucid.audit.totals import totals
from pellucid.audit.view import ALPHA, FloatArray, IntArray, View, amount, listed, more, share
from pellucid.results import Finding
from pellucid.results.text import spelt
from pellucid.table import ColumnType
from pellucid.table.hints import is_identifier_name

__all__ = ["edit_distance", "find", "fold", "may_be_slip", "range_of", "rare_spellings", "slips", "unit_slip"]

RANGES: tuple[tuple[str, float, float, str], ...] = (
    (r"age|ages", 0, 120, "an age in years"),
    (r"percent|percentage|pct", 0, 100, "a percentage"),
    (r"latitude|lat", -90, 90, "degrees of latitude"),
    (r"longitude|lon|lng", -180, 180, "degrees of longitude"),
    (r"probability|proba", 0, 1, "a probability"),
    (r"(hours|hrs) (per|a|each) week|weekly hours", 0, 168, "hours a week"),
    (r"(hours|hrs) (per|a|each) day|daily hours", 0, 24, "hours a day"),
    (r"days (per|a|each) week", 0, 7, "days a week"),
    (r"(birth|build|built|construction) year|year (of )?(birth|built|construction)", 1000, 2100, "a year"),
    (r"price|count|number of .+|height|weight|length|width|duration", 0, np.inf, "it cannot be negative"),
)
OTHER_UNIT = re.compile(r"\s*[+-]?\d[\d.,]*\s*[^\W\d_]+")
SERIAL = re.compile(r"(^| )(date|dates|datum|dob|birthday)( |$)")
DAYS = (20_000, 60_000)
"""Days since 1899-12-30, as spreadsheets count: from 1954 to 2064."""
FACTORS = ((1000.0, "1,000"), (100.0, "100"), (2.20462, "2.2046 (pounds and kilograms)"), (2.54, "2.54 (inches and centimetres)"))
OF_FACTOR = {
    2.20462: re.compile(r"(^| )(weight|mass|wt|lb|lbs|pound|pounds|kg|kilo|kilos|kilograms)( |$)"),
    2.54: re.compile(r"(^| )(height|length|width|depth|size|diameter|in|inch|inches|cm|ft|foot|feet|mm|m)( |$)"),
}
"""What a column's name or unit says where a factor other than a power of ten is likely."""
BULK = 10
"""Cells of another unit are told beside at least so many different numbers: small counts lie apart by themselves."""
RARE_SHARE = 0.005
TIMES = 20
NAMES, ALIKE = 20, 0.2
"""Among so many frequent levels, a larger share of which lies within two slips of another, spelling tells nothing."""
MOST_LEVELS = 2_000


def find(view: View) -> list[Finding]:
    """Return names like cells, unreadable and impossible cells, columns in several forms, rare spellings, unit slips, spikes, tails."""
    numbers = [n for n in view.inputs if view.is_number(n)]
    if view.target is not None and view.is_number(view.target.name):
        numbers.append(view.target.name)
    found = [*first_row_as_names(view), *title_as_names(view), *totals(view)]
    found += [
        f
        for name in numbers
        for f in (*_unreadable(view, name), *_impossible(view, name), *_slip(view, name), *_serial(view, name), *_spike(view, name))
    ]
    words = [n for n in view.table.columns if view.kind(n).is_level]
    found += [f for name in view.inputs if not view.is_number(name) for f in several_forms(view, name)]
    return [*found, *(f for name in words for f in (*_spellings(view, name), *_same_letters(view, name))), *_tails(view, numbers)]


def _unreadable(view: View, name: str) -> Iterator[Finding]:
    rows = np.flatnonzero(view.unreadable(name))
    if not len(rows):
        return
    cells = list(dict.fromkeys(map(str, view.table.frame[name].iloc[rows[:1000]])))
    unit = view.table.schema[name].unit
    kind = "dates" if view.kind(name) is ColumnType.DATE else f"numbers of '{unit}'" if unit else "numbers"
    words = f"'{name}' has {share(len(rows), len(view))} that are no {kind}: {listed(cells)}"
    convert = f"convert those of another unit to {unit}, " if unit and any(OTHER_UNIT.match(c) for c in cells) else ""
    remedy = f"{convert}correct them, or read the table with missing={{'{name}': [...]}}; a model refuses the column as it is"
    yield view.finding("values: unreadable", "high", (name,), words, remedy, rows=rows, figures={"cells": cells[:20]})


MANY_INSIDE, CONTINUED = 5, 0.25
"""Values just inside a range, and how many as a share of them lie just beyond where the range is none of the column."""


def _plain_name(name: str) -> str:
    return " ".join(w for w in re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()) if w)


def _rule(name: str) -> tuple[str, float, float, str] | None:
    """Return the range that the name of a column implies."""
    text = _plain_name(name)
    return next((r for r in RANGES if re.search(rf"(^| )({r[0]})( |$)", text)), None)


def range_of(view: View, name: str) -> tuple[float, float] | None:
    """Return the range that the name of a column of numbers implies, in its unit; None where it implies none, or values run past it."""
    bounds = _bounds(view, name)
    return None if bounds is None or _runs_past(view.numbers(name), *bounds) is not None else bounds


def _bounds(view: View, name: str) -> tuple[float, float] | None:
    rule = _rule(name)
    if rule is None or (rule[3].startswith("an age") and view.table.schema[name].unit not in ("", "years", "year")):
        return None
    return rule[1], rule[2]


def _impossible(view: View, name: str) -> Iterator[Finding]:
    if view.kind(name) is ColumnType.DATE:
        low, high, what = -2.2e9, 4.102e9, "a date between 1900 and 2100"
    else:
        bounds, rule = _bounds(view, name), _rule(name)
        if bounds is None or rule is None:
            return
        (low, high), what = bounds, rule[3]
    x = view.numbers(name)
    rows = np.flatnonzero((x < low) | (x > high))
    if not len(rows) or len(rows) > 0.2 * len(x):  # so many: the name means something else (standardised, in months)
        return
    if view.kind(name) is not ColumnType.DATE and (runs := _runs_past(x, low, high)) is not None:
        inside, beyond, end = runs
        words = f"'{name}' is not {what} as its name says: its values run past {amount(end)} without a break, "
        words += f"{beyond:,} just beyond and {inside:,} just before; the largest is {amount(float(np.nanmax(x)))}"
        remedy = f"say what it is measured in: with_units({name}='months'), for one; if it is {what} after all, look at these rows"
        yield view.finding("values: another unit", "low", (name,), words, remedy, rows=rows, figures={"beyond": beyond, "inside": inside})
        return
    shown = [str(view.table.frame[name].iloc[r]) for r in rows[:1000]]
    shown = list(dict.fromkeys(shown))
    between = f"between {amount(low)} and {amount(high)}" if np.isfinite(high) and view.kind(name) is not ColumnType.DATE else ""
    why = f"its name says {what} {between}".strip() if not what.startswith("it ") else f"{what} by its name"
    words = f"'{name}' has {share(len(rows), len(x))} out of range ({listed(shown)}); {why}"
    remedy = f"correct them, or if they are codes read the table with missing={{'{name}': [...]}}"
    yield view.finding("values: impossible", "medium", (name,), words, remedy, rows=rows, figures={"cells": shown[:20]})


def _runs_past(x: FloatArray, low: float, high: float) -> tuple[int, int, float] | None:
    """Return (values just inside, just beyond, the end) of a range that values run past as if it were no end; None where it is one.

    A tenth of the range on either side is counted: of a range that nothing can leave, what lies beyond are single slips and codes.
    """
    if not np.isfinite(high - low):
        return None
    step = 0.1 * (high - low)
    inside, beyond = int(((x > high - step) & (x <= high)).sum()), int(((x > high) & (x <= high + step)).sum())
    return (inside, beyond, high) if inside >= MANY_INSIDE and beyond >= CONTINUED * inside and len(np.unique(x[x > high])) > 2 else None


def unit_slip(x: FloatArray, alpha: float = ALPHA) -> tuple[IntArray, float, str] | None:
    """Return (positions, factor, its words) of a small cluster of positive numbers that a known factor would bring home, or None.

    The cluster must be cut off by an empty stretch, hold 3 distinct values and 0.1 % to 20 % of the rows, and lie inside the bulk of the
    others once divided, which is narrower than the factor. By itself a tail like that of the others has such a stretch with chance
    ``alpha`` at most: numbers that pass through 0 lie ever wider apart on the scale of factors, and so do the largest of a heavy tail.
    Small whole numbers, whose logarithms lie apart anyway, are left alone.
    """
    at = np.flatnonzero(x > 0)
    if len(at) < 50 or len(at) < 0.9 * int(np.isfinite(x).sum()):
        return None
    order = at[np.argsort(x[at], kind="stable")]
    logs = np.log10(x[order])
    steps, whole = np.diff(logs), bool(np.all(x[order] == np.round(x[order])))
    least, most = max(3, int(np.ceil(0.001 * len(at)))), int(0.2 * len(at))
    for upper in (True, False):
        where = np.arange(len(logs) - most - 1, len(logs) - least) if upper else np.arange(least - 1, most)
        cut = int(where[np.argmax(steps[where])])
        few, many = (logs[cut + 1 :], logs[: cut + 1]) if upper else (logs[: cut + 1], logs[cut + 1 :])
        low, high = np.quantile(many, [0.05, 0.95])
        far = x[order[cut + 1]] - x[order[cut]] > (10 if whole else 0)
        if steps[cut] < max(0.1, 0.2 * (high - low)) or len(np.unique(few)) < 3 or not far:
            continue
        if widest_step_chance(x[order] if upper else 1 / x[order], len(few), least, most) > alpha / 2:
            continue
        for factor, words in FACTORS:
            # where the bulk is wider than the factor, cells of another unit would mostly lie inside it, and those apart are its tail
            if high - low >= np.log10(factor) or len(np.unique(many)) < BULK:
                continue
            shifted = few - np.log10(factor) * (1 if upper else -1)
            inside = ((shifted >= many.min()) & (shifted <= many.max())).mean() > 0.9
            if inside and abs(np.median(shifted) - np.median(many)) < 0.5 * max(high - low, 0.02):
                return (order[cut + 1 :] if upper else order[: cut + 1]), factor if upper else 1 / factor, words
    return None


def _slip(view: View, name: str) -> Iterator[Finding]:
    if view.kind(name) is not ColumnType.NUMBER or is_identifier_name(name):
        return
    found = unit_slip(view.numbers(name), ALPHA / sum(view.kind(n) is ColumnType.NUMBER for n in view.table.columns))
    if found is None:
        return
    rows, factor, times = found
    x, unit = view.numbers(name), view.table.schema[name].unit
    rest = np.delete(x, rows)
    usual = f"{amount(float(np.nanquantile(rest, 0.05)))} to {amount(float(np.nanquantile(rest, 0.95)), unit)}"
    verb = "divided" if factor > 1 else "multiplied"
    ends = f"{amount(float(x[rows].min()))} to {amount(float(x[rows].max()), unit)}"
    words = f"'{name}' has {share(len(rows), len(x))} apart from the others, at {ends}; "
    words += f"{verb} by {times} they fall among the rest (90 % of which lie at {usual})"
    of = OF_FACTOR.get(max(factor, 1 / factor))
    named = of is None or of.search(f"{_plain_name(name)} {_plain_name(unit)}")
    remedy = "probably another unit: convert these cells at the source"
    if not named:
        remedy = "another unit, or a group of its own: look at these rows"
    figures = {"factor": factor}
    yield view.finding("values: unit slip", "medium" if named else "low", (name,), words, remedy, rows=np.sort(rows), figures=figures)


def _serial(view: View, name: str) -> Iterator[Finding]:
    """Tell whole numbers of a column called a date that are days as spreadsheets count them."""
    if view.kind(name) is not ColumnType.NUMBER or not SERIAL.search(_plain_name(name)) or view.table.schema[name].unit:
        return
    x = view.numbers(name)
    known = x[~np.isnan(x)]
    if len(np.unique(known)) < 20 or known.min() < DAYS[0] or known.max() > DAYS[1]:
        return
    ends = [str(np.datetime64("1899-12-30") + int(v)) for v in (known.min(), known.max())]
    words = (
        f"'{name}' is called a date and holds numbers from {known.min():,.0f} to {known.max():,.0f}: as spreadsheets count days these are "
    )
    words += f"{ends[0]} to {ends[1]}"
    remedy = "if so, format the column as dates in the spreadsheet and save it again: as it is, it is read as a quantity"
    yield view.finding("values: serial dates", "low", (name,), words, remedy, figures={"first": ends[0], "last": ends[1]})


def _spike(view: View, name: str) -> Iterator[Finding]:
    """Tell numbers that pile up at their maximum: capped, or a code."""
    if view.kind(name) is not ColumnType.NUMBER:
        return
    x = view.numbers(name)
    values, count = np.unique(x[~np.isnan(x)], return_counts=True)
    if len(values) < 20 or count.sum() < 100:
        return
    top = int(count[-1])
    near = count[-1 - max(3, len(values) // 10) : -1]
    rule = _rule(name)
    if top < max(10, 0.0025 * count.sum()) or top < 5 * float(np.mean(near)) or (rule is not None and values[-1] == rule[2]):
        return
    is_target = view.target is not None and name == view.target.name
    shown = amount(float(values[-1]), view.table.schema[name].unit)
    words = f"'{name}' is exactly {shown}, its maximum, in {share(top, int(count.sum()))}; "
    words += f"values just below occur {np.mean(near):.1f} times each"
    if values[-1] > 2 * values[-2] > 0:
        words += f" and the next lower one is {amount(float(values[-2]))}: it may be a code"
    remedy = "probably capped or a code: ask what the maximum stands for"
    if is_target:
        remedy = "the target is probably capped: above it the model can only answer the cap; say so, or leave these rows out"
    rows = np.flatnonzero(x == values[-1])
    figures = {"maximum": float(values[-1]), "rows": top, "usual": float(np.mean(near))}
    yield view.finding("values: spike at the maximum", "medium" if is_target else "low", (name,), words, remedy, rows=rows, figures=figures)


def _tails(view: View, numbers: list[str]) -> Iterator[Finding]:
    """Tell columns whose largest values are very far out."""
    far: dict[str, float] = {}
    for name in numbers:
        if view.kind(name) is not ColumnType.NUMBER:
            continue
        x = view.numbers(name)
        x = x[~np.isnan(x)]
        if len(x) < 50:
            continue
        low, middle, high = np.quantile(x, [0.25, 0.5, 0.75])
        if high > low:
            far[name] = float(np.abs(x - middle).max() / (high - low))
    heavy = sorted((n for n in far if far[n] > 30), key=lambda n: -far[n])
    if heavy:
        shown = ", ".join(f"'{n}' ({far[n]:,.0f} times)" for n in heavy[:6]) + more(heavy, 6)
        words = f"heavy tails: the farthest value lies many times the width of the middle half from the median: {shown}"
        remedy = "look at the largest values: means and squared errors are ruled by them; inputs are read as quantiles and do no harm"
        yield view.finding("values: heavy tail", "low", heavy, words, remedy, figures={n: far[n] for n in heavy})


@functools.cache
def _fast() -> Callable[..., Any] | None:
    """Return rapidfuzz's distance, or None where the package is not installed; it counts the same and is faster."""
    try:
        from rapidfuzz.distance import OSA
    except ImportError:
        return None
    distance: Callable[..., Any] = OSA.distance
    return distance


def edit_distance(a: str, b: str, most: int = 2) -> int:
    """Return how many insertions, deletions, changes or swaps of neighbours turn ``a`` into ``b``; ``most`` + 1 where more.

    Examples
    --------
    >>> [edit_distance("Bachelors", w) for w in ("Bachelor", "Bahcelors", "Masters")]
    [1, 1, 3]
    """
    if abs(len(a) - len(b)) > most:
        return most + 1
    fast = _fast()
    return int(fast(a, b, score_cutoff=most)) if fast is not None else _counted(a, b, most)


def _counted(a: str, b: str, most: int) -> int:
    """Return the edit distance by its recurrence; most + 1 where it is more."""
    before: list[int] = []
    last = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        now = [i]
        for j, y in enumerate(b, 1):
            best = min(last[j] + 1, now[-1] + 1, last[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                best = min(best, before[j - 2] + 1)
            now.append(best)
        if min(now) > most:
            return most + 1
        before, last = last, now
    return min(last[-1], most + 1)


def rare_spellings(levels: tuple[str, ...], count: IntArray) -> list[tuple[int, int]]:
    """Return pairs (rare level, frequent level it looks like a slip of).

    Rare: at most 3 rows or 0.5 %, and 20 times rarer than the other. Not paired: levels that differ only in digits, words with a prefix
    of two letters or more (``unpaid``), and words of fewer than four letters unless the column has at most five levels.
    """
    n = int(count.sum())
    rare = [i for i in range(len(levels)) if 0 < count[i] <= max(3, RARE_SHARE * n)][:MOST_LEVELS]
    frequent = [i for i in np.argsort(-count, kind="stable") if count[i] >= TIMES][:200]
    pairs, text = [], {int(i): fold(levels[i]) for i in (*rare, *frequent)}
    if rare and _alike_by_nature([text[int(j)] for j in frequent], len(levels)):
        return []
    for i in rare:
        others = [j for j in frequent if count[j] >= TIMES * count[i] and may_be_slip(text[i], text[j], len(levels))]
        near = [(slips(text[i], text[j]), -int(count[j]), j) for j in others]
        near = [t for t in near if 0 < t[0] <= 2]
        if near:
            pairs.append((i, int(min(near)[2])))
    return pairs


def _alike_by_nature(frequent: list[str], n_levels: int) -> bool:
    """Return whether many frequent levels look like slips of each other, as codes of genes do: that a rare one does is then no sign."""
    if len(frequent) < NAMES:
        return False
    near = [any(a != b and may_be_slip(a, b, n_levels) and slips(a, b) <= 2 for b in frequent) for a in frequent]
    return sum(near) > ALIKE * len(near)


def fold(text: str) -> str:
    """Return a level without what slips of the hand change most: case, blanks, points, hyphens."""
    return re.sub(r"[\s_\-.]+", " ", text.casefold()).strip()


def slips(a: str, b: str) -> int:
    """Return the edit distance, word by word where the words are as many; 3 where a word is changed beyond a slip."""
    mine, its = a.split(), b.split()
    if len(mine) != len(its):
        mine, its = [a], [b]
    total = 0
    for x, y in zip(mine, its):
        distance = edit_distance(x, y)
        total += 3 if distance > (1 if min(len(x), len(y)) < 8 else 2) else distance
    return min(total, 3)


def may_be_slip(a: str, b: str, n_levels: int) -> bool:
    """Return whether the folded text ``a`` is worth an edit distance to ``b``; the cheap tests come first."""
    if abs(len(a) - len(b)) > 2 or len(set(a) ^ set(b)) > 4:  # two slips change at most four letters
        return False
    if re.sub(r"\d+", "#", a) == re.sub(r"\d+", "#", b) or not re.search(r"[^\W\d_]", a):
        return False
    if (a.endswith(b) or b.endswith(a)) and abs(len(a) - len(b)) >= 2:
        return False
    if re.findall(r"\d+", a) != re.findall(r"\d+", b):
        return False
    if min(len(a), len(b)) < 4:
        return n_levels <= 5 and len(a) != len(b) and (a.startswith(b) or b.startswith(a))
    return True


def _spellings(view: View, name: str) -> Iterator[Finding]:
    codes, levels = view.levels(name)
    count = np.bincount(codes[codes >= 0], minlength=len(levels))
    pairs = rare_spellings(levels, count)
    if pairs:
        bins = voters(view, name, codes)  # an ISLAND is no INLAND: a slip of spelling does not move the house
        pairs = [(i, j) for i, j in pairs if not unlike(view, bins, codes, i, j)]
    if not pairs:
        return
    shown = ", ".join(f"'{spelt(levels[i])}' ({count[i]:,}) like '{spelt(levels[j])}' ({count[j]:,})" for i, j in pairs[:5])
    words = f"'{name}' has rare levels spelt almost like frequent ones: {shown}" + more(pairs, 5)
    rows = np.flatnonzero(np.isin(codes, [i for i, _ in pairs]))
    remedy = "correct them at the source if they are slips; nothing is merged by itself"
    figures = {levels[i]: levels[j] for i, j in pairs[:50]}
    severity = "medium" if min(count[i] for i, _ in pairs) <= 3 else "low"  # a slip seldom happens often
    yield view.finding("values: rare spelling", severity, (name,), words, remedy, rows=rows, figures=figures)


def _same_letters(view: View, name: str) -> Iterator[Finding]:
    """Tell levels that differ only by case, blanks, points or hyphens."""
    codes, levels = view.levels(name)
    same: dict[str, list[int]] = {}
    for i, level in enumerate(levels):
        if re.search(r"[^\W\d_]", level):  # '-1' and '1' are two numbers, not two spellings
            same.setdefault(fold(level), []).append(i)
    groups = [g for g in same.values() if len(g) > 1]
    if not groups:
        return
    count = np.bincount(codes[codes >= 0], minlength=len(levels))
    shown = "; ".join(" = ".join(f"'{spelt(levels[i])}' ({count[i]:,})" for i in g) for g in groups[:5])
    words = f"'{name}' has levels that differ only by case, blanks or hyphens: {shown}{more(groups, 5)}"
    minor = [i for g in groups for i in sorted(g, key=lambda i: -count[i])[1:]]
    remedy = "write them alike at the source if they mean the same"
    yield view.finding("values: same letters", "low", (name,), words, remedy, rows=np.flatnonzero(np.isin(codes, minor)))
