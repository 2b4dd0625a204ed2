"""Marks of a change in how the table is made: levels never seen, another unit, cells that are missing all at once."""

from __future__ import annotations

import numpy as np

from pellucid.audit.shift.pair import Pair
from pellucid.audit.values import FACTORS
from pellucid.audit.view import ALPHA, FloatArray, amount, listed, share
from pellucid.results import Finding
from pellucid.results.text import percent
from pellucid.table import ColumnType

__all__ = ["gaps", "levels", "slip", "units"]

NEAR = 0.03  # of a factor, on the log10 scale
JUMP = 0.05


def levels(pair: Pair) -> list[Finding]:
    """Return columns with levels that the old table does not know. Cost: one pass per level column."""
    found = []
    for name in pair.names:
        if pair.is_number(name) or pair.old.kind(name) in (ColumnType.TEXT, ColumnType.IDENTIFIER):
            continue
        _, codes, texts, known = pair.levels(name)
        rows = np.flatnonzero(codes >= known)
        if len(rows) <= max(2, 0.001 * len(codes)):
            continue
        words = f"'{name}' has {share(len(rows), len(codes))} with levels that the old table does not know: {listed(texts[known:])}"
        remedy = "a model treats them as unseen: ask whether they are new, or old ones under another name"
        severity = "high" if len(rows) > 0.05 * len(codes) else "medium"
        found.append(
            pair.new.finding("shift: new levels", severity, (name,), words, remedy, rows=rows, figures={"levels": list(texts[known:])[:50]})
        )
    return found


def slip(a: FloatArray, b: FloatArray) -> float | None:
    """Return the factor by which the new numbers are too large (below 1: too small), where a known one brings them home, or None.

    The logarithms of the medians must differ by that of the factor to 0.03, and the numbers, once divided, must lie like the old ones:
    half as far as before at most, by Kolmogorov's distance.
    """
    from scipy.stats import ks_2samp

    a, b = a[np.isfinite(a)], b[np.isfinite(b)]
    if len(a) < 30 or len(b) < 30 or (a > 0).mean() < 0.9 or (b > 0).mean() < 0.9:
        return None
    ratio = float(np.log10(np.median(b[b > 0]) / np.median(a[a > 0])))
    before = ks_2samp(a, b, method="asymp").statistic
    for factor, _ in FACTORS:
        for times in (factor, 1 / factor):
            near = before > 0.3 and abs(ratio) > 2 * NEAR and abs(ratio - np.log10(times)) < NEAR
            if near and ks_2samp(a, b / times, method="asymp").statistic < 0.5 * before:
                return float(times)
    return None


def units(pair: Pair) -> list[Finding]:
    """Return number columns that came in another unit. Cost: two sorts per number column."""
    found = []
    for name in pair.names:
        if pair.old.kind(name) is not ColumnType.NUMBER:
            continue
        a, b = pair.numbers(name)
        times = slip(a, b)
        if times is None:
            continue
        unit = pair.old.table.schema[name].unit
        verb, shown = ("divided", times) if times > 1 else ("multiplied", 1 / times)
        words = f"'{name}' seems to have come in another unit: its median went from {amount(float(np.nanmedian(a)), unit)} to "
        words += f"{amount(float(np.nanmedian(b)))}, and {verb} by {amount(shown)} the new numbers lie like the old ones"
        remedy = "convert the column at the source before any model reads it"
        found.append(pair.new.finding("shift: unit", "high", (name,), words, remedy, rows=np.arange(len(b)), figures={"factor": times}))
    return found


def gaps(pair: Pair) -> list[Finding]:
    """Return columns whose share of missing cells has changed by more than 5 points, beyond chance. Cost: one pass per column."""
    from scipy.stats import norm

    found = []
    for name in pair.names:
        one, two = pair.old.missing(name), pair.new.missing(name)
        p, q = float(one.mean()), float(two.mean())
        both = (one.sum() + two.sum()) / (len(one) + len(two))
        error = float(np.sqrt(max(both * (1 - both), 1e-300) * (1 / len(one) + 1 / len(two))))
        if abs(q - p) <= JUMP or abs(q - p) < norm.isf(ALPHA / (2 * len(pair.names))) * error:
            continue
        words = f"'{name}' is missing in {percent(q)} of the new rows, where it was in {percent(p)} of the old ones"
        remedy = "ask whether a source fell away or a form changed; a model learned from the old share of gaps"
        severity = "high" if abs(q - p) > 0.3 else "medium"
        found.append(
            pair.new.finding("shift: missing", severity, (name,), words, remedy, rows=np.flatnonzero(two), figures={"old": p, "new": q})
        )
    return found
