"""Weights that make the old rows look like the new ones. Letters: n old rows, m new rows, C columns, H buckets."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from pellucid.audit.scores import auc
from pellucid.audit.shift.drift import total_variation
from pellucid.audit.shift.pair import Pair, pair
from pellucid.audit.shift.ratio import effective_size, ratio
from pellucid.audit.view import FloatArray, IntArray
from pellucid.errors import RequestError
from pellucid.results import RunRecord, Weights

__all__ = ["hashed", "weigh"]

BUCKETS = 10_000
BINS = 20
LEAST, FEWEST = 0.01, 20.0
APART = 0.9
"""Tables that a classifier tells apart no better than this overlap; what weights then lack is rows."""
LIMITS = (1 / 50, 50.0)


def weigh(old: Any, new: Any, *, method: str, target: str | None, random_state: Any) -> Weights:
    """Return the weights. See :func:`pellucid.audit.shift.reweigh`."""
    started = time.perf_counter()
    if method not in ("classifier", "hashed"):
        raise RequestError(f"unknown method {method!r}", expected="'classifier' or 'hashed'")
    two = pair(old, new, target=target, random_state=random_state)
    if method == "classifier":
        if not two.usable:
            raise RequestError("no column can be compared by a classifier", do="use method='hashed', which reads texts too")
        made = ratio(two, two.usable)
        whole = np.full(len(two.old), np.nan)
        whole[made.rows[0]] = made.old
        told, clipped = made.auc, made.clipped
        if not made.overlaps:
            _refuse(told, effective_size(made.old))
    else:
        whole, told = hashed(two)
        clipped = float(((whole <= LIMITS[0]) | (whole >= LIMITS[1])).mean())
    known = np.isfinite(whole)
    values = np.where(known, whole, 0.0)
    values = values / values[known].mean()
    effective = effective_size(values[known])
    if effective < max(FEWEST, LEAST * known.sum()):
        _refuse(told, effective)
    gaps = _distance(two, known.astype(float)), _distance(two, values)
    words = f"weights bring the columns' mean distance from {gaps[0]:.3g} to {gaps[1]:.3g}; {known.sum():,} weighted rows say as much as "
    words += f"{effective:,.0f} rows, {100 * clipped:.1f} % of the weights are at their limit"
    caveats: tuple[str, ...] = ("only the columns may have changed, not the relation of the target to them",)
    caveats += () if known.all() else (f"rows beyond {known.sum():,} drawn ones have weight 0",)
    caveats += ("columns are taken as independent, with a share of their joint change lost",) if method == "hashed" else ()
    record = RunRecord("reweigh", {"method": method}, two.seed, two.old.fingerprint, time.perf_counter() - started, caveats=caveats)
    return Weights(values, method, effective, clipped, told, *gaps, words, record, two.old.table.index)


def _refuse(told: float, effective: float) -> None:
    if told < APART:
        raise RequestError(
            "too few rows would be left of the old table", expected=f"weighted rows that say as much as {FEWEST:.0f} rows or more",
            got=f"as much as {effective:.1f} rows", do="compare larger tables",
        )  # fmt: skip
    raise RequestError(
        f"the tables hardly overlap: a classifier tells their rows apart with AUC {told:.3f}",
        do="no weights can make one look like the other; see pld.shift for the columns that changed, and leave out those that only one has",
    )


def hashed(two: Pair) -> tuple[FloatArray, float]:
    """Return (weights (n,), area under the curve of them) by the ratio of cell counts in H hashed buckets.

    A cell is its column and its level, its bin of equal mass (numbers), or each of its words (texts); the ratio of a row is the product
    over its cells. Xie, Santurkar, Ma, Liang 2023, arXiv:2302.03169.

    # NOTE[DIFF] words and pairs of words there, cells of columns here; and the counts get half a count each, so that none is 0.
    """
    log = np.zeros(len(two.old))
    other = np.zeros(len(two.new))
    for name in two.names:
        for a, b in _buckets(two, name):
            gain = _log_ratio(a, b)
            for rows, total in ((a, log), (b, other)):
                total += np.where(rows >= 0, gain[np.maximum(rows, 0)], 0.0).sum(0)
    told = auc(np.concatenate([log, other]), np.arange(len(log) + len(other)) >= len(log))
    return np.clip(np.exp(np.clip(log, -20, 20)), *LIMITS), told


def _log_ratio(a: IntArray, b: IntArray) -> FloatArray:
    """Return the log ratio of shares of each bucket (H,), new over old."""
    one, two = (np.bincount(x[x >= 0], minlength=BUCKETS) for x in (a, b))
    there = (one + two) > 0
    size = max(int(there.sum()), 1)
    ratio = np.log((two + 0.5) / (two.sum() + 0.5 * size)) - np.log((one + 0.5) / (one.sum() + 0.5 * size))
    return np.where(there, ratio, 0.0)


def _buckets(two: Pair, name: str) -> list[tuple[IntArray, IntArray]]:
    """Return bucket numbers (1 or W, n) and (1 or W, m) of a column's cells, -1 where there is none."""
    if two.is_number(name):
        x, y = two.numbers(name)
        known = x[np.isfinite(x)]
        if not len(known):
            return []
        edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1]))
        return [tuple(np.where(np.isfinite(v), np.searchsorted(edges, v, "right"), BINS + 1)[None] for v in (x, y))]  # type: ignore[list-item]
    one, other, texts, _ = two.levels(name)
    if str(two.old.kind(name)) != "text":
        place = np.array([*(_bucket(t) for t in texts), BUCKETS - 1], np.int64)
        return [(place[one][None], place[other][None])]
    words = [[_bucket(w) for w in t.casefold().split()[:50]] for t in texts]
    wide = max(map(len, words), default=0)
    table = np.full((len(texts) + 1, max(wide, 1)), -1, np.int64)
    for k, line in enumerate(words):
        table[k, : len(line)] = line
    return [(table[one].T, table[other].T)]


def _bucket(text: str) -> int:
    import hashlib

    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "little") % (BUCKETS - 1)


def _distance(two: Pair, weights: FloatArray) -> float:
    """Return the mean over columns of the distance of means (in standard deviations) or of shares, old rows weighted."""
    out: list[float] = []
    for name in two.usable:
        if two.is_number(name):
            x, y = two.numbers(name)
            here = np.isfinite(x) & (weights > 0)
            if here.any() and np.isfinite(y).any() and np.nanstd(y) > 0:
                out.append(float(abs(np.average(x[here], weights=weights[here]) - np.nanmean(y)) / np.nanstd(y)))
        else:
            one, other, texts, _ = two.levels(name)
            a = np.bincount(one[one >= 0], weights=weights[one >= 0], minlength=len(texts))
            out.append(total_variation(a / max(a.sum(), 1e-12) * 1e6, np.bincount(other[other >= 0], minlength=len(texts))))
    return float(np.mean(out)) if out else float("nan")
