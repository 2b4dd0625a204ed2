"""One proposed change of a cell, and how proposals of several rules are put together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pellucid.audit.view import FloatArray, View
from pellucid.encode.written import as_written
from pellucid.table import ColumnType

__all__ = ["Proposal", "best", "number_cells"]

TARGET = 0.8
"""A label or a target is never changed unasked: proposals for it are at most this sure."""
AGREED = 0.97


@dataclass(frozen=True)
class Proposal:
    """The cell at (row, column) should hold ``new``, says ``rule``; None: missing."""

    row: int
    column: str
    new: Any
    rule: str
    confidence: float
    reason: str


def best(view: View, proposals: Iterable[Proposal]) -> list[Proposal]:
    """Return one proposal per cell, the surest; where two rules propose the same it is surer than each. In table order."""
    cells: dict[tuple[int, str], Proposal] = {}
    for p in proposals:
        p = replace(p, confidence=min(p.confidence, TARGET)) if p.column == view.table.target else p
        held = cells.get((p.row, p.column))
        if held is not None and held.rule != p.rule and _alike(held.new, p.new) and min(held.confidence, p.confidence) >= 0.75:
            rule, sure = f"{held.rule}, {p.rule}", max(AGREED, held.confidence) if p.column != view.table.target else TARGET
            cells[p.row, p.column] = replace(held, rule=rule, confidence=sure)
        elif held is None or p.confidence > held.confidence:
            cells[p.row, p.column] = p
    at = {c: j for j, c in enumerate(view.table.columns)}
    return sorted(cells.values(), key=lambda p: (p.row, at[p.column]))


def _alike(a: Any, b: Any) -> bool:
    try:
        return bool(np.isclose(float(a), float(b), rtol=1e-6))
    except (TypeError, ValueError):
        return bool(a == b)


def number_cells(view: View, column: str, values: FloatArray) -> list[Any]:
    """Return numbers as cells of the column, as it writes them."""
    description = view.table.schema[column]
    tidy = np.array([float(f"{v:.12g}") for v in values])
    return as_written(tidy, description, view.table.frame[column], description.type is ColumnType.DATE)
