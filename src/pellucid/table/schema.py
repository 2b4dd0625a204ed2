"""The frozen description of a table: its columns, their types, units and roles, and the rules of change."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pellucid.errors import ColumnError, ModelFileError, RequestError, did_you_mean, quote
from pellucid.files import whole
from pellucid.table.rules import Rule
from pellucid.table.types import Column, ColumnType, Role

__all__ = ["Schema"]

FORMAT = 1


@dataclass(frozen=True)
class Schema:
    """Columns in order. Inferred once, editable through ``with_...``, saved with every model.

    Examples
    --------
    >>> schema = Schema((Column("age", ColumnType.NUMBER), Column("sex", ColumnType.CATEGORY, levels=("F", "M"))))
    >>> schema.with_units(age="years")["age"].unit
    'years'
    """

    columns: tuple[Column, ...]
    rules: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        seen: set[str] = set()
        double = [c.name for c in self.columns if c.name in seen or seen.add(c.name)]  # type: ignore[func-returns-value]
        if double:
            raise ColumnError(
                "column names are not unique", got=quote(dict.fromkeys(double)), do="rename the columns so that each name occurs once"
            )

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {c.name: c for c in self.columns}

    def __getitem__(self, name: str) -> Column:
        if name not in self._by_name:
            hint = did_you_mean(name, self._by_name)
            raise ColumnError(f"there is no column {name!r}", expected=f"one of {quote(self._by_name, 12)}", do=hint)
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def __repr__(self) -> str:
        """One line per column: name, type, role where it is no feature, unit, and why this type."""
        lines = []
        for c in self.columns[:30]:
            kind = c.type.value + (f" [{c.unit}]" if c.unit else "") + ("" if c.role is Role.FEATURE else f", {c.role.value}")
            lines.append(f"  {c.name}: {kind}" + (f" ({c.evidence})" if c.evidence else ""))
        more = len(self.columns) - len(lines)
        return "\n".join(["Schema:", *lines, *([f"  ... and {more} more columns"] if more else [])])

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns, in order."""
        return tuple(c.name for c in self.columns)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the columns a model reads, in order."""
        return tuple(c.name for c in self.columns if c.is_usable)

    @property
    def identifiers(self) -> tuple[str, ...]:
        """Names of the identifier columns: row labels, never inputs."""
        return tuple(c.name for c in self.columns if c.type is ColumnType.IDENTIFIER)

    @property
    def sensitive(self) -> tuple[str, ...]:
        """Names of the sensitive columns."""
        return tuple(c.name for c in self.columns if c.sensitive)

    def role(self, role: Role) -> str | None:
        """Return the name of the column in this role, or None."""
        return next((c.name for c in self.columns if c.role is role), None)

    @property
    def target(self) -> str | None:
        """Name of the target column, or None."""
        return self.role(Role.TARGET)

    def select(self, names: Iterable[str]) -> Schema:
        """Return the schema of some columns, in the given order."""
        return replace(self, columns=tuple(self[n] for n in names))

    def edit(self, name: str, **changes: Any) -> Schema:
        """Return a schema in which one column's description is changed."""
        old = self[name]
        return replace(self, columns=tuple(replace(c, **changes) if c is old else c for c in self.columns))

    def _edit_each(self, values: Mapping[str, Any], change: Callable[[Any], dict[str, Any]]) -> Schema:
        schema = self
        for name, value in values.items():
            schema = schema.edit(name, **change(value))
        return schema

    def with_units(self, /, **units: str) -> Schema:
        """Return a schema with units of numbers: ``with_units(age="years")``."""
        return self._edit_each(units, lambda unit: {"unit": unit})

    def with_roles(self, **roles: str | Sequence[str] | None) -> Schema:
        """Return a schema with roles.

        ``target=``, ``weight=``, ``group=``, ``order=`` take one name each, ``ignore=`` and ``sensitive=`` several.
        """
        schema = self
        for role, names in roles.items():
            several = (names,) if isinstance(names, str) else tuple(names or ())
            if role == "sensitive":
                schema = replace(schema, columns=tuple(replace(c, sensitive=c.name in several) for c in schema.columns))
                for n in several:
                    schema[n]
                continue
            if role not in Role._value2member_map_ or role == "feature":
                raise RequestError(f"unknown role {role!r}", expected="target, weight, group, order, ignore or sensitive")
            if role != "ignore":  # one column at a time holds these roles
                old = schema.role(Role(role))
                schema = schema.edit(old, role=Role.FEATURE) if old is not None else schema
            for n in several:
                schema = schema.edit(n, role=Role(role))
        return schema

    def with_rules(self, /, *joint: str, **rules: Any) -> Schema:
        """Return a schema with rules of what a person may change.

        Parameters
        ----------
        joint : rules that join columns, in text: ``"if job == 'student' then hours <= 20"``; see :mod:`pellucid.table.conditions`.
        rules : per column ``"free"``, ``"never"``, ``"up"``, ``"down"``, ``"integer"``, (low, high), a list of allowed levels, or a mapping
            of ``move``, ``low``, ``high``, ``step`` and ``allowed``. A rule takes the place of the column's old one.

        Examples
        --------
        >>> schema = Schema((Column("age", ColumnType.NUMBER), Column("hours", ColumnType.NUMBER)))
        >>> schema.with_rules("hours <= age", age="never", hours={"low": 10, "high": 60, "step": 5})["hours"].rule.words()
        'at least 10, at most 60, in steps of 5'
        """
        from pellucid.table.conditions import parse

        edited = self
        for name, value in rules.items():
            edited = edited.edit(name, rule=_fitting(Rule.of(value, name), self[name]))
        for text in joint:
            parse(text, self)
        return replace(edited, rules=(*self.rules, *(t for t in joint if t not in self.rules)))

    def to_dict(self) -> dict[str, Any]:
        """Return the schema as plain JSON types."""
        return {"format": FORMAT, "columns": [c.to_dict() for c in self.columns], "rules": list(self.rules)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Schema:
        """Return the schema that :meth:`to_dict` described."""
        try:
            if int(data["format"]) > FORMAT:
                raise ModelFileError(
                    "the schema was written by a newer version", expected=f"format {FORMAT}", got=str(data["format"]), do="update pellucid"
                )
            return cls(tuple(Column.from_dict(c) for c in data["columns"]), tuple(data.get("rules", ())))
        except (KeyError, TypeError, AttributeError) as error:
            raise ModelFileError(
                "this is not a schema", got=f"{type(error).__name__}: {error}", do="write one with --write-schema"
            ) from error

    def save(self, path: str | Path) -> None:
        """Write the schema as JSON, whole or not at all."""
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False)
        with whole(path) as place:
            place.write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Schema:
        """Read a schema from JSON."""
        try:
            return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ModelFileError("the schema file cannot be read", where=str(path), got=str(error)) from error


def _fitting(rule: Rule, column: Column) -> Rule:
    """Return the rule, or an error where it speaks of what the column's type does not have."""
    number, ordered = column.type is ColumnType.NUMBER, column.type in (ColumnType.NUMBER, ColumnType.DATE, ColumnType.ORDERED)
    bounds = rule.low is not None or rule.high is not None or rule.step is not None
    if bounds and not number:
        raise RequestError(f"bounds and steps are for numbers, and {column.name!r} is {column.type}", do="give a list of allowed levels")
    if rule.move in ("up", "down") and not ordered:
        raise RequestError(f"{rule.move!r} needs an order, and {column.name!r} is {column.type}", do="set its type to ordered or number")
    if rule.allowed is not None and not column.type.is_level:
        raise RequestError(f"a list of levels is for levels, and {column.name!r} is {column.type}", do="give (low, high)")
    return rule
