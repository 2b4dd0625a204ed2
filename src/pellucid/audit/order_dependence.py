"""Are rows that lie next to each other in the file also alike? Then they are not independent draws, and a random split flatters."""

from __future__ import annotations

import numpy as np

from pellucid.audit.neighbours import coordinates, nearest
from pellucid.audit.view import ALPHA, IntArray, View, listed
from pellucid.random import stream
from pellucid.results import Finding

__all__ = ["find", "gap_test"]

ROWS = 3000
NEIGHBOURS = 10
DRAWS = 200
LEAST = 0.03  # of the gap that random pairs have


def gap_test(neighbours: IntArray, seed: int, draws: int = DRAWS) -> tuple[float, float, float]:
    """Return (mean distance in row order of neighbouring pairs, the same by chance, z) for the neighbours (n, k) of n rows in order.

    By chance: the same pairs under shuffled row numbers. Cost: ``draws`` passes over the n k pairs.
    """
    n = len(neighbours)
    rng = stream(seed, "audit", "order")

    def gap(place: IntArray) -> float:
        return float(np.abs(place[neighbours] - place[:, None]).mean() / n)

    null = np.array([gap(rng.permutation(n)) for _ in range(draws)])
    own = gap(np.arange(n))
    return own, float(null.mean()), float((own - null.mean()) / max(float(null.std(ddof=1)), 1e-12))


def find(view: View) -> list[Finding]:
    """Return a finding where near neighbours stand closer in row order than chance has it.

    Idea after Cummings, Snorrason, Mueller 2023, arXiv:2305.15696.

    # NOTE[DIFF] there the distribution of gaps is compared by a statistic of Kolmogorov and Smirnov; here their mean, whose spread under
    shuffled row numbers is near normal, so that a level of 1 % can be kept with 200 draws.
    """
    names = tuple(n for n in view.features if n != view.table.target)
    rows = view.sample
    rows = rows if len(rows) <= ROWS else np.sort(stream(view.seed, "audit", "order rows").choice(rows, ROWS, replace=False))
    whole = _gaps(view, names, rows)
    if whole is None or not _alike(whole):
        return []
    # a sorted column is alike in neighbours by itself: whether the rows are is told by the others
    ordered = [n for n in names if view.is_number(n) and _sorted(view, n)]
    others = _gaps(view, tuple(n for n in names if n not in ordered), rows) if ordered else whole
    alike = others is not None and _alike(others)
    own, usual, z = others if alike and others is not None else whole
    words = f"neighbouring rows are alike: rows with nearly the same cells stand {own * len(view):,.0f} rows apart on average, "
    words += f"where {usual * len(view):,.0f} would be chance ({100 * (1 - own / usual):.0f} % less, z {z:.1f})"
    remedy = "find out what orders them: several rows of one person (with_roles(group=...)), time (with_roles(order=...)), or a sorted file"
    if alike:
        words += "; the rows are no independent draws" + (f", beyond being sorted by {listed(ordered)}" if ordered else "")
    else:
        words = f"the rows are sorted by {listed(ordered)}; "
        words += "the other columns alone show no order" if others is not None else "what the other columns alone would show cannot be told"
        remedy = f"if it is the order in which they came about, say so (with_roles(order='{ordered[0]}')): the split then keeps to it"
    severity = "medium" if alike and own < 0.8 * usual else "low"
    figures = {"gap": own, "by chance": usual, "z": z}
    return [view.finding("order dependence", severity, names[:20], words, remedy, figures=figures, sampled=True)]


def _gaps(view: View, names: tuple[str, ...], rows: IntArray) -> tuple[float, float, float] | None:
    """Return the gap test of rows by some columns; None where these are few, or most rows are equal in them."""
    points = coordinates(view, names, rows) if names else np.zeros((len(rows), 0))
    if len(rows) < 100 or points.shape[1] < 1 or len(np.unique(points, axis=0)) < 0.5 * len(rows):
        return None
    return gap_test(nearest(points, NEIGHBOURS)[1], view.seed)


def _alike(gaps: tuple[float, float, float]) -> bool:
    """Return whether like rows stand nearer together than chance would have it, and by enough to matter."""
    from scipy.stats import norm

    own, usual, z = gaps
    return bool(z <= norm.ppf(ALPHA) and own <= (1 - LEAST) * usual)


def _sorted(view: View, name: str) -> bool:
    """Return whether a column of numbers or dates of many values never falls, or never rises."""
    x = view.numbers(name)
    steps = np.diff(x[~np.isnan(x)])
    return bool(len(steps) > 100 and np.count_nonzero(steps) > len(steps) / 2 and ((steps >= 0).all() or (steps <= 0).all()))
