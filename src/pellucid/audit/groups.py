"""Groups of people: who is hardly there, and how the target differs between groups beyond chance."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from pellucid.audit.view import ALPHA, FloatArray, IntArray, Target, View, more
from pellucid.intervals import wilson
from pellucid.random import stream
from pellucid.results import Finding
from pellucid.results.text import percent
from pellucid.table import ColumnType

__all__ = ["find", "gap_null", "groups_of", "watched_columns"]

FEWEST = 30
PART = 0.2  # of an equal share
MOST_LEVELS = 12
DRAWS = 1000
PEOPLE = re.compile(
    r"\b(sex|gender|race|races|racial|ethnic\w*|religion|religious|nationality|disab\w+|caste|skin|age ?group|minority|foreign\w*)\b"
)


def watched_columns(view: View) -> list[str]:
    """Return the columns whose groups are watched: declared sensitive, else category columns whose names speak of people."""
    declared = [n for n in view.table.schema.sensitive if n in view.inputs]
    if declared:
        return declared
    spoken = [n for n in view.features if view.kind(n).is_level and n != view.table.target]
    return [n for n in spoken if PEOPLE.search(_name_words(n)) and len(view.levels(n)[1]) <= 40]


def _name_words(name: str) -> str:
    """Return the words of a name, ``applicantRace2`` and ``applicant_race`` alike; ``terrace`` stays a word of its own."""
    return re.sub(r"[^a-z]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())


def find(view: View) -> list[Finding]:
    """Return under-represented groups and differences of the target between groups."""
    watched = watched_columns(view)
    found = [f for name in watched for f in _small(view, name)]
    found += list(_small_elsewhere(view, set(watched)))
    if view.target is not None:
        for name in watched:
            if name != view.target.name:
                found += list(_gap(view, view.target, name, len(watched)))
    return found


def groups_of(view: View, name: str) -> tuple[IntArray, list[str]]:
    """Return (codes, names) of a column's groups; numbers are cut at their quartiles, which are named in the user's units."""
    if not view.is_number(name):
        codes, texts = view.levels(name)
        return codes, list(texts)
    x = view.numbers(name)
    values = np.unique(x[~np.isnan(x)])
    if len(values) <= MOST_LEVELS or view.kind(name) is ColumnType.DATE:
        return view.codes(name), [f"{v:g}" for v in values]
    edges = np.unique(np.nanquantile(x, [0.25, 0.5, 0.75]))
    codes = np.where(np.isnan(x), -1, np.searchsorted(edges, x, side="left"))
    ends = [float(np.nanmin(x)), *edges, float(np.nanmax(x))]
    unit = view.table.schema[name].unit
    names = [f"{a:g} to {b:g}" if i == 0 else f"over {a:g} to {b:g}" for i, (a, b) in enumerate(pairwise(ends))]
    return codes, [f"{n} {unit}".strip() for n in names]


def _small(view: View, name: str) -> Iterator[Finding]:
    codes, names = groups_of(view, name)
    count = np.bincount(codes[codes >= 0], minlength=len(names))
    n, there = int(count.sum()), int((count > 0).sum())
    if there < 2 or n < 50:
        return
    small = [i for i in np.argsort(count, kind="stable") if 0 < count[i] < PART * n / there]
    if not small:
        return
    shown = ", ".join(f"'{names[i]}' {count[i]:,} ({100 * count[i] / n:.1f} %)" for i in small[:6]) + (
        f" and {len(small) - 6} more" if len(small) > 6 else ""
    )
    cannot = [names[i] for i in small if count[i] < FEWEST]
    words = f"groups of '{name}' with few of the {n:,} rows: {shown}"
    words += f"; below {FEWEST} rows nothing can be said about how the model treats them" if cannot else ""
    remedy = "collect more rows of these groups; read every figure for them with its interval"
    rows = np.flatnonzero(np.isin(codes, small))
    figures = {names[i]: int(count[i]) for i in small[:50]}
    yield view.finding("groups: under-represented", "medium", (name,), words, remedy, rows=rows, figures=figures)


def _small_elsewhere(view: View, watched: set[str]) -> Iterator[Finding]:
    """Tell, in one remark, categories with few rows in the columns that are not watched."""
    few: list[str] = []
    columns, rows = [], np.zeros(len(view), bool)
    for name in view.features:
        if name in watched or name == view.table.target or not view.kind(name).is_level:
            continue
        codes, names = view.levels(name)
        count = np.bincount(codes[codes >= 0], minlength=len(names))
        if len(names) > MOST_LEVELS or int(count.sum()) < 50 * len(names):
            continue
        small = [i for i in range(len(names)) if 0 < count[i] < FEWEST]
        if small:
            columns.append(name)
            rows |= np.isin(codes, small)
            few += [f"'{name}' = '{names[i]}' ({count[i]})" for i in small]
    if few:
        shown = ", ".join(few[:6]) + more(few, 6)
        words = f"levels with fewer than {FEWEST} rows: {shown}; the model's answers for them cannot be checked"
        yield view.finding(
            "groups: small levels", "low", columns, words, "collect more rows or join levels that mean the same", rows=np.flatnonzero(rows)
        )


def gap_null(sizes: IntArray, values: IntArray | FloatArray, seed: int, draws: int = DRAWS) -> FloatArray:
    """Return group means (draws, groups) when ``values`` (n,) are dealt to groups of ``sizes`` at random.

    0/1 values are dealt exactly; numbers as normal group means with the variance of dealing without replacement.
    """
    rng, n = stream(seed, "audit", "groups"), int(sizes.sum())
    if values.dtype.kind in "iub":
        return np.asarray(rng.multivariate_hypergeometric(sizes, int(values.sum()), size=draws) / sizes)
    noise = rng.normal(size=(draws, len(sizes))) * np.sqrt(values.var() / sizes)
    return np.asarray(values.mean() + noise - (noise * sizes).sum(1, keepdims=True) / n)  # a deal's means average to the whole mean


def _extremes(means: FloatArray, sizes: IntArray) -> tuple[FloatArray, IntArray, IntArray, FloatArray]:
    """Return (evidence against equality, highest, lowest group, their gap) per row of ``means`` (draws, groups); sizes weigh the choice.

    The highest and lowest are chosen in standard errors: the plain maximum and minimum are mostly the smallest groups.
    """
    centre = (means * sizes).sum(1, keepdims=True) / sizes.sum()
    z = (means - centre) * np.sqrt(sizes)
    high, low, rows = z.argmax(1), z.argmin(1), np.arange(len(means))
    return (z**2).sum(1), high, low, means[rows, high] - means[rows, low]


def _gap(view: View, target: Target, name: str, tests: int) -> Iterator[Finding]:
    codes, names = groups_of(view, name)
    known = (codes >= 0) & target.present
    count = np.bincount(codes[known], minlength=len(names))
    large = np.flatnonzero(count >= FEWEST)
    unknown = {names[i]: int(count[i]) for i in np.flatnonzero((count > 0) & (count < FEWEST))}
    left_out = [f"'{g}' ({n})" for g, n in unknown.items()]
    if len(large) < 2:
        return
    rows = np.flatnonzero(known & np.isin(codes, large))
    group, sizes = np.searchsorted(large, codes[rows]), count[large]
    labels = _events(target)
    for label, values in labels:
        y = values[rows]
        means = np.bincount(group, weights=y) / sizes
        evidence, high, low, gap = _extremes(means[None], sizes)
        null_evidence, _, _, null_gap = _extremes(gap_null(sizes, y, view.seed), sizes)
        limit = float(np.quantile(null_evidence, 1 - ALPHA / (tests * len(labels))))
        if evidence[0] <= limit or gap[0] <= (0.02 if target.is_classes else 0.05 * float(y.std())):
            continue
        spread = np.bincount(group, weights=(y - means[group]) ** 2) / np.maximum(sizes - 1, 1)
        text = _words(target, label, [(names[large[i]], float(means[i]), int(sizes[i]), float(spread[i])) for i in (high[0], low[0])])
        p = (1 + int((null_evidence >= evidence[0]).sum())) / (1 + len(null_evidence))
        words = f"{text}; {_gap_words(target, float(gap[0]), float(null_gap.mean()))} (p {'<' if p < 0.0011 else '='} {max(p, 0.001):.2g})"
        words += _beyond(target, [names[i] for i in large], means, sizes, int(high[0]), int(low[0]))
        words += f"; left out, having fewer than {FEWEST} rows: {', '.join(left_out[:6])}{more(left_out, 6)}" if left_out else ""
        remedy = "a difference in the data, not proof of unfairness: ask where it comes from, and compare the model's errors by group"
        severity = "medium" if target.is_classes and gap[0] > 0.1 else "low"
        each = {names[i]: float(m) for i, m in zip(large, means)}
        figures = {
            "gap": float(gap[0]),
            "by chance": float(null_gap.mean()),
            "95 % by chance": float(np.quantile(null_gap, 0.95)),
            "p": p,
            "means": each,
            "left out": unknown,
        }
        yield view.finding("groups: difference", severity, (name, target.name), words, remedy, figures=figures)


def _beyond(target: Target, names: list[str], means: FloatArray, sizes: IntArray, high: int, low: int) -> str:
    """Return in words the groups that lie outside the two that are told, which have more rows to show it."""
    outside = [g for g in np.argsort(-sizes, kind="stable") if means[g] > means[high] or means[g] < means[low]]
    said = [f"'{names[g]}' {percent(means[g]) if target.is_classes else f'{means[g]:.4g}'} ({sizes[g]:,} rows)" for g in outside]
    return f"; outside these two, of fewer rows: {', '.join(said[:4])}{more(said, 4)}" if said else ""


def _gap_words(target: Target, gap: float, by_chance: float) -> str:
    if target.is_classes:
        return f"a gap of {100 * gap:.1f} points, where equal groups of these sizes show {100 * by_chance:.1f} by chance"
    return f"a gap of {gap:.4g}{' ' + target.unit if target.unit else ''}, where equal groups of these sizes show {by_chance:.2g} by chance"


def _events(target: Target) -> list[tuple[str, IntArray | FloatArray]]:
    if not target.is_classes:
        return [(target.name, target.values)]
    events = [(label, (target.codes == i).astype(np.int64)) for i, label in enumerate(target.labels)]
    return list(events[1:] if len(events) == 2 else events[:5])


def _words(target: Target, label: str, groups: list[tuple[str, float, int, float]]) -> str:
    """Return groups (name, mean, rows, variance) with 95 % intervals, in the user's units."""
    if target.is_classes:
        ends = [[float(end) for end in wilson(mean * n, n)] for _, mean, n, _ in groups]
        one = [f"'{g}' {percent(m)} ({percent(low)} to {percent(high)}, {n:,} rows)" for (g, m, n, _), (low, high) in zip(groups, ends)]
        return f"'{target.name}' is '{label}' in {' and '.join(one)}"
    unit = f" {target.unit}" if target.unit else ""
    half = [1.96 * (variance / n) ** 0.5 for _, _, n, variance in groups]
    one = [f"'{g}' {m:.4g}{unit} ({m - h:.4g} to {m + h:.4g}, {n:,} rows)" for (g, m, n, _), h in zip(groups, half)]
    return f"the mean of '{target.name}' is {' and '.join(one)}"
