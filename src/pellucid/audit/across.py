"""What stands on both sides of a split though it should not: rows of one person, and rows from after the ones that are judged."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pellucid.audit.duplicates import parts_of
from pellucid.audit.leakage import ranks
from pellucid.audit.view import FloatArray, IntArray, View, share
from pellucid.results import Finding
from pellucid.table import ColumnType, Role

__all__ = ["find", "moments"]


def find(view: View) -> list[Finding]:
    """Return groups cut in two by the plan, and, where an order is declared, parts that are judged on the past of what was learned.

    Groups are those of the declared group column, and the values of identifiers that repeat. Cost: one pass over these columns.
    """
    parts = {k: v[v < len(view)] for k, v in parts_of(view.plan).items()}
    learned = parts.pop("train", np.zeros(0, np.int64))
    if not len(learned):
        return []
    found = []
    for name, rows in parts.items():
        for column in _grouping(view):
            found += list(_shared(view, column, name, learned, rows))
        order = view.table.schema.role(Role.ORDER)
        if order is not None and len(rows):
            found += list(_past(view, order, name, learned, rows))
    return found


def _grouping(view: View) -> list[str]:
    declared = view.table.schema.role(Role.GROUP)
    repeated = []
    for c in view.table.schema:
        if c.name != declared and c.type is ColumnType.IDENTIFIER and c.role is not Role.IGNORE:
            codes = view.codes(c.name)
            count = np.bincount(codes[codes >= 0], minlength=1)
            if (count > 1).sum() > 0.05 * max((count > 0).sum(), 1):
                repeated.append(c.name)
    return ([declared] if declared else []) + repeated


def _shared(view: View, column: str, part: str, learned: IntArray, rows: IntArray) -> Iterator[Finding]:
    codes = view.codes(column)
    both = rows[np.isin(codes[rows], codes[learned]) & (codes[rows] >= 0)]
    if not len(both):
        return
    groups = np.unique(codes[both])
    words = f"{share(len(both), len(rows))} of the part '{part}' belong to one of {len(groups):,} groups of '{column}' that "
    words += "the part 'train' holds too; "
    words += "figures measured there tell how well known groups are recognised, not how new ones fare"
    remedy = f"split by group: with_roles(group='{column}')"
    severity = "high" if len(both) > 0.05 * len(rows) else "medium"
    yield view.finding("across: groups", severity, (column,), words, remedy, rows=both, figures={"part": part, "groups": len(groups)})


def moments(view: View, order: str) -> FloatArray:
    """Return (N,) numbers that rise with the cells of the order column; numbers written as text count as numbers."""
    return view.codes(order).astype(float) if view.is_number(order) else ranks(view, order)


def _past(view: View, order: str, part: str, learned: IntArray, rows: IntArray) -> Iterator[Finding]:
    moment = moments(view, order)
    last = float(np.median(moment[rows]))
    later = learned[moment[learned] > last]
    if len(later) <= 0.01 * len(learned):
        return
    words = f"{share(len(later), len(learned))} of the part 'train' come after the middle of the part '{part}' by '{order}': "
    words += "the model is judged on a past it has seen the future of"
    remedy = "train on the earlier rows and judge on the later ones (the built-in plan does so where an order is declared)"
    yield view.finding(
        "across: time", "high", (order,), words, remedy, rows=later, figures={"part": part, "share": len(later) / len(learned)}
    )
