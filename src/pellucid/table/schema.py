"""The frozen description of a table: its columns, their types, units and roles, and the rules of change."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pellucid.errors import ColumnError, ModelFileError, RequestError, quote
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
            raise ColumnError(f"there is no column {name!r}", expected=f"one of {quote(self._by_name, 12)}")
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

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

    def with_units(self, **units: str) -> Schema:
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

    def with_rules(self, *joint: str, **rules: str | tuple[float, float]) -> Schema:
        """Return a schema with rules of change.

        Each is ``"free"``, ``"never"``, ``"up"``, ``"down"`` or (low, high); joint rules are conditions in text.
        """
        for name, rule in rules.items():
            if not (rule in ("free", "never", "up", "down") or (isinstance(rule, list | tuple) and len(rule) == 2)):
                raise RequestError(
                    f"the rule for {name!r} cannot be used", expected="'free', 'never', 'up', 'down' or a (low, high) pair", got=repr(rule)
                )
        edited = self._edit_each(rules, lambda rule: {"rule": rule if isinstance(rule, str) else tuple(rule)})
        return replace(edited, rules=self.rules + joint)

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
        """Write the schema as JSON."""
        Path(path).write_text(json.dumps(self.to_dict(), indent=1, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Schema:
        """Read a schema from JSON."""
        try:
            return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ModelFileError("the schema file cannot be read", where=str(path), got=str(error)) from error
