"""Near copies: rows that differ by less than rounding does, beyond what chance brings together, and those that stand in two parts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pellucid.audit.duplicates import HANDFUL, parts_of
from pellucid.audit.neighbours import coordinates, nearest
from pellucid.audit.view import ALPHA, BoolArray, FloatArray, IntArray, View, listed, share
from pellucid.random import stream
from pellucid.results import Finding
from pellucid.table import ColumnType

__all__ = ["find"]

CLOSE = 0.05
"""Near copies lie closer than this share of the usual distance between neighbours."""
ROWS = 10_000
LEAST_NUMBERS = 3
FINE = 0.2
"""Share of different values from which on a column of numbers brings rows together by its differences, and not by equal cells."""


def find(view: View) -> list[Finding]:
    """Return near copies (not exact ones), and which of them stand on both sides of the plan.

    The distance to the nearest other row is compared with its median over rows. Among independent rows of d number columns, distances
    below a share c of it have a chance of about ln 2 c^d; what goes beyond that (at ``ALPHA``) is told. Below three number columns
    nothing can
    be told. Definition of closeness after Northcutt, Athalye, Mueller 2021 (arXiv:2103.14749), whose share is larger. Cost: neighbours
    of at most 10,000 rows.
    """
    names = tuple(n for n in view.features if n != view.table.target)
    numbers = [n for n in names if view.is_number(n) and np.nanstd(view.numbers(n)) > 0]
    # of a column with few values, two rows agree exactly or not at all: it brings nothing nearer
    fine = sum(len(np.unique(view.numbers(n))) > FINE * len(view) for n in numbers)
    rows = view.sample
    rows = rows if len(rows) <= ROWS else np.sort(stream(view.seed, "audit", "near").choice(rows, ROWS, replace=False))
    points = coordinates(view, names, rows)
    if fine < LEAST_NUMBERS or len(rows) < 50:
        return []
    # exact copies are told elsewhere: one of each is looked at
    first = np.unique(points, axis=0, return_index=True)[1]
    rows, points = rows[np.sort(first)], points[np.sort(first)]
    if len(rows) < 50:
        return []
    distance, at = nearest(points, 1)
    return list(_near(view, rows, distance[:, 0], at[:, 0], fine, names))


def _of_other_names(view: View, a: IntArray, b: IntArray) -> BoolArray:
    """Return which pairs of rows (n,) differ in a text: two things of two names, however alike their numbers."""
    texts = [view.codes(n) for n in view.features if view.kind(n) is ColumnType.TEXT]
    return np.any([c[a] != c[b] for c in texts], axis=0) if texts else np.zeros(len(a), np.bool_)


def _near(view: View, rows: IntArray, distance: FloatArray, at: IntArray, fine: int, names: tuple[str, ...]) -> Iterator[Finding]:
    from scipy.stats import poisson

    usual = float(np.median(distance))
    near = (distance < CLOSE * usual) & ~_of_other_names(view, rows, rows[at])
    expected = len(rows) * np.log(2) * CLOSE**fine
    if usual <= 0 or not near.any() or near.sum() <= poisson.isf(ALPHA, max(expected, 1e-9)) + 1:
        return
    pairs = np.unique(np.sort(np.column_stack([rows[near], rows[at[near]]]), axis=1), axis=0)
    concerned = np.unique(pairs)
    differing = [n for n in names if (view.codes(n)[pairs[:, 0]] != view.codes(n)[pairs[:, 1]]).any()]
    few = f"; looked for among {len(rows):,} of {len(view):,} rows" if len(rows) < len(view) else ""
    words = (
        f"{share(len(concerned), len(view))} have a near copy: closer than {100 * CLOSE:.0f} % of the usual distance between neighbours, "
    )
    words += f"where {expected:.1f} would by chance; the copies differ a little in {listed(differing)}{few}"
    remedy = "find out whether they are the same thing recorded twice; keep the copies of one thing in one part (with_roles(group=...))"
    severity = "medium" if len(concerned) > max(0.01 * len(view), HANDFUL) else "low"
    yield view.finding(
        "near duplicates", severity, differing, words, remedy, rows=concerned, figures={"pairs": len(pairs), "by chance": expected}
    )
    for name, part in parts_of(view.plan).items():
        learned = parts_of(view.plan).get("train", np.zeros(0, np.int64))
        across = (np.isin(pairs, part) & np.isin(pairs[:, ::-1], learned)) if name != "train" else np.zeros_like(pairs, bool)
        both = np.unique(pairs[across])
        if len(both):
            words = f"{share(len(both), len(part))} of the part '{name}' have a near copy in the part 'train'; figures measured "
            words += "there flatter the model"
            severity = "high" if len(both) > 0.01 * len(part) else "medium"
            yield view.finding("near duplicates: across splits", severity, differing, words, remedy, rows=both, figures={"part": name})
