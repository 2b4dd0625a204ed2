"""Do the rows of a rare level look like those of the level it is spelt like? A slip of spelling does not change the rest of its row."""

from __future__ import annotations

from math import comb

import numpy as np

from pellucid.audit.scores import bins_of
from pellucid.audit.view import ALPHA, FloatArray, IntArray, View
from pellucid.random import stream
from pellucid.table import ColumnType

__all__ = ["alike", "unlike", "voters"]

VOTERS, VOTING_ROWS, MOST_COLUMNS = 8, 20_000, 40


def voters(view: View, name: str, codes: IntArray) -> list[IntArray]:
    """Return up to eight other columns as bins (N,), those that tell most of this one's levels (``codes`` (N,)) first."""
    others = [c for c in view.features if c != name and view.kind(c) is not ColumnType.TEXT][:MOST_COLUMNS]
    rows = view.sample
    if len(rows) > VOTING_ROWS:
        rows = np.sort(stream(view.seed, "audit", "voters").choice(rows, VOTING_ROWS, replace=False))
    told = []
    for c in others:
        bins = bins_of(view, c, rows)
        x, y = bins, np.maximum(codes[rows], 0)
        joint = np.unique(x.astype(np.int64) * (int(y.max()) + 1) + y, return_counts=True)[1] / len(rows)
        alone = [np.bincount(v)[np.bincount(v) > 0] / len(rows) for v in (x, y)]
        told.append(float((joint * np.log(joint)).sum() - sum((p * np.log(p)).sum() for p in alone)))
    every = np.arange(len(view))
    return [bins_of(view, others[k], every) for k in np.argsort(told)[::-1][:VOTERS]]


def alike(bins: list[IntArray], its: np.ndarray) -> FloatArray:
    """Return (N,) how much more like the rows ``its`` (N, true or false) each row is than like all rows: naive Bayes' log odds."""
    score = np.zeros(len(its))
    for b in bins:
        size = int(b.max()) + 1
        inside = (np.bincount(b[its], minlength=size) + 0.5) / (its.sum() + 0.5 * size)
        overall = (np.bincount(b, minlength=size) + 0.5) / (len(b) + 0.5 * size)
        score += np.log(inside / overall)[b]
    return score


def unlike(view: View, bins: list[IntArray], codes: IntArray, i: int, j: int) -> bool:
    """Return whether the rows of level i are no draw from those of j: with a chance of at most 1 % said of rows that are.

    Two looks, half of the chance each: how unlike j each row is, among j's own rows, by Fisher's product of chances; and whether
    some number of all rows of i lies beyond all those of j.
    """
    from scipy.stats import chi2

    mine, its = codes == i, codes == j
    k, n = int(mine.sum()), int(its.sum())
    score = alike(bins, its)
    # rows of j helped to make its score and i's did not: the row itself is at least 1 of the n + 1
    chance = (1 + np.searchsorted(np.sort(score[its]), score[mine], side="right")) / (n + 1)
    if bins and chi2.sf(-2 * np.log(chance).sum(), 2 * k) < ALPHA / 2:
        return True
    columns = [c for c in view.features if view.is_number(c)][:MOST_COLUMNS]
    return 2 * len(columns) / comb(n + k, k) < ALPHA / 2 and any(_beyond(view.numbers(c), mine, its) for c in columns)


def _beyond(x: FloatArray, mine: np.ndarray, its: np.ndarray) -> bool:
    here, there = x[mine], x[its & ~np.isnan(x)]
    if np.isnan(here).any() or not len(there):
        return False
    return bool(here.min() > there.max() or here.max() < there.min())
