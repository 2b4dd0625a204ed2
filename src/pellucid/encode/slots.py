"""The slot map: which tensor slot came from which column, and how.

Every answer is in the user's columns because this map is reversible: each slot names its source column, its kind and its transform.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

__all__ = ["Slot", "SlotMap"]

SlotKind = Literal["number", "code", "vector"]


@dataclass(frozen=True)
class Slot:
    """One tensor slot.

    Attributes
    ----------
    column : name of the source column.
    kind : ``"number"``, ``"code"`` or ``"vector"``: the tensor it lies in.
    position : its position on that tensor's slot axis.
    transform : what made it: ``"scaled"``, ``"rank"``, ``"level"``, ``"elapsed"``, ``"calendar"``, ``"n-grams"``,
        ``"gap"`` (whether the cell was filled).
    """

    column: str
    kind: SlotKind
    position: int
    transform: str


@dataclass(frozen=True)
class SlotMap:
    """All slots of a table, and the columns they add back to."""

    columns: tuple[str, ...]
    slots: tuple[Slot, ...]

    def __iter__(self) -> Iterator[Slot]:
        return iter(self.slots)

    def of(self, column: str) -> tuple[Slot, ...]:
        """Return the slots of one column."""
        return tuple(s for s in self.slots if s.column == column)

    def source(self, kind: SlotKind) -> tuple[int, ...]:
        """Return, per slot of one kind, the index of its source column."""
        at = {c: i for i, c in enumerate(self.columns)}
        return tuple(at[s.column] for s in self.slots if s.kind == kind)
