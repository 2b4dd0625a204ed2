"""Column types and the description of one column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from pellucid.table.rules import FREE, Rule

__all__ = ["Column", "ColumnType", "Role"]


class ColumnType(StrEnum):
    """What the cells of a column are.

    ``NUMBER`` a quantity; ``CATEGORY`` levels without order; ``ORDERED`` levels with an order; ``BOOLEAN`` two opposite levels;
    ``DATE`` a moment;
    ``TEXT`` words; ``IDENTIFIER`` names a row and says nothing else; ``CONSTANT`` at most one distinct value.
    """

    NUMBER = "number"
    CATEGORY = "category"
    ORDERED = "ordered"
    BOOLEAN = "boolean"
    DATE = "date"
    TEXT = "text"
    IDENTIFIER = "identifier"
    CONSTANT = "constant"

    @property
    def is_level(self) -> bool:
        """True for the types whose cells are one of a few levels."""
        return self in (ColumnType.CATEGORY, ColumnType.ORDERED, ColumnType.BOOLEAN)


class Role(StrEnum):
    """What a column is used for."""

    FEATURE = "feature"
    TARGET = "target"
    WEIGHT = "weight"
    GROUP = "group"
    ORDER = "order"
    IGNORE = "ignore"


@dataclass(frozen=True)
class Column:
    """The description of one column.

    Attributes
    ----------
    name, type, role : as the user knows it, what its cells are, what it is used for.
    unit : unit of a number, empty where none was given.
    missing : cell texts that mean "missing" besides empty cells (``"?"``, ``"-999"``).
    levels : the levels of a level type, as canonical text; in order for ``ORDERED``.
    decimal : decimal mark of numbers written as text, ``"."`` or ``","``.
    date_format : ``strptime`` format of dates written as text; ``"epoch_s"`` or ``"epoch_ms"`` for numbers; None where they are dates
        already.
    suffix : unit that stands behind the numbers written as text, with the blank before it (``" kg"``).
    sensitive : True where decisions must be watched by this column's groups.
    rule : what a person may change; see :class:`~pellucid.table.rules.Rule`.
    evidence : why this type was chosen.
    """

    name: str
    type: ColumnType
    role: Role = Role.FEATURE
    unit: str = ""
    missing: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()
    decimal: str = "."
    date_format: str | None = None
    suffix: str = ""
    sensitive: bool = False
    rule: Rule = FREE
    evidence: str = field(default="", compare=False)

    @property
    def is_usable(self) -> bool:
        """True where a model may read the column."""
        return self.role is Role.FEATURE and self.type not in (ColumnType.IDENTIFIER, ColumnType.CONSTANT)

    @property
    def cell_unit(self) -> str:
        """The unit to be put behind a cell as it is written: none where it stands there already."""
        return "" if self.suffix else self.unit

    @property
    def use(self) -> str:
        """What the column is used for, in a word: its role, and ``"not read"`` where a model has no use for a feature of this type.

        Examples
        --------
        >>> [Column("a", kind).use for kind in (ColumnType.NUMBER, ColumnType.IDENTIFIER, ColumnType.CONSTANT)]
        ['feature', 'not read', 'not read']
        """
        return "not read" if self.role is Role.FEATURE and not self.is_usable else str(self.role)

    def to_dict(self) -> dict[str, Any]:
        """Return the description as plain JSON types, defaults left out."""
        out: dict[str, Any] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name in ("name", "type") or value != f.default:
                out[f.name] = list(value) if isinstance(value, tuple) else value.to_dict() if isinstance(value, Rule) else value
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Column:
        """Return the column that :meth:`to_dict` described."""
        known = {f.name for f in fields(cls)}
        kept: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k in known}
        if "rule" in kept:
            kept["rule"] = Rule.of(kept["rule"], str(data.get("name")))
        return cls(**kept | {"type": ColumnType(kept["type"]), "role": Role(kept.get("role", "feature"))})
