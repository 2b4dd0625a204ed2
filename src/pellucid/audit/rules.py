"""The rules that a model keeps of its training rows, so that an answer can name what a new row breaks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pellucid.audit.conformance import learned
from pellucid.audit.dependencies import decided, made_of
from pellucid.audit.view import View
from pellucid.table import Table
from pellucid.training.rules import MISSING, Rule, keys

__all__ = ["rules_of"]

FEWEST = 200
"""Fewer rows make rules by chance."""
SPEAKS = 3
"""A deciding cell that stands in fewer rows says nothing."""


def rules_of(table: Table, seed: int = 0) -> tuple[Rule, ...]:
    """Return the rules that nearly all rows keep: sums, products, orders, ratios that a group fixes, columns that decide another.

    Parameters
    ----------
    table : the N training rows; a rule reads what a model reads, as new rows have no answer. seed : of the sample that is looked at.

    Notes
    -----
    Cost: that of ``pellucid.audit.conformance.learned`` and ``pellucid.audit.dependencies``.

    Examples
    --------
    >>> import pandas as pd
    >>> from pellucid.table import read_table
    >>> net = [k % 37 + k / 4 for k in range(400)]
    >>> frame = pd.DataFrame({"net": net, "tax": [k * k % 23 for k in range(400)]})
    >>> [rule.words for rule in rules_of(read_table(frame.assign(total=frame["net"] + frame["tax"])))]
    ['total = net + tax', 'net <= total']
    """
    if len(table) < FEWEST:
        return ()
    view = View(table, seed=seed)
    return (*_made(view), *_conforming(view), *_decided(view))


def _made(view: View) -> Iterator[Rule]:
    for m in made_of(view):
        kind, weights = ("sum", (1.0, 1.0)) if m.sign == "+" else ("product", ())
        words = f"{m.total} = {m.left} {m.sign} {m.right}"
        yield Rule(kind, (m.total, m.left, m.right), words, len(view), m.holds, weights, 0.0, m.width)


def _conforming(view: View) -> Iterator[Rule]:
    for r in learned(view):
        yield Rule("sum" if r.kind == "equation" else r.kind, r.columns, r.words, r.support, r.holds, **r.law)


def _decided(view: View) -> Iterator[Rule]:
    seen: set[frozenset[str]] = set()
    for d in decided(view):
        if frozenset((d.by, d.of)) in seen:
            continue  # each decides the other: one of the two is enough
        seen.add(frozenset((d.by, d.of)))
        given, found = (keys(view.table, c) for c in (d.by, d.of))
        there = (given != MISSING) & (found != MISSING)
        levels, at = np.unique(given[there].astype(str), return_inverse=True)
        texts, of = np.unique(found[there].astype(str), return_inverse=True)
        pairs = at.astype(np.int64) * len(texts) + of
        each, count = np.unique(pairs, return_counts=True)
        order = np.lexsort((each, -count, each // len(texts)))
        top = order[np.unique(each[order] // len(texts), return_index=True)[1]]  # per level of the first the pair that occurs most
        size = np.bincount(at)
        said = {str(levels[p // len(texts)]): str(texts[p % len(texts)]) for p in each[top] if size[p // len(texts)] >= SPEAKS}
        yield Rule("decides", (d.by, d.of), f"{d.by} decides {d.of}", int(there.sum()), d.holds, said=said)
