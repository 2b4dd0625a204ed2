"""From the options of a command to a table."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pellucid.cli.options import pairs, several
from pellucid.table import Schema, Table, read_table

__all__ = ["read"]


def read(
    data: Path,
    *,
    target: str | None = None,
    schema: Path | None = None,
    types: Iterable[str] | None = None,
    missing: Iterable[str] | None = None,
    units: Iterable[str] | None = None,
) -> Table:
    """Return the table of a file, under the types, missing codes, units and roles that the options name."""
    known = None if schema is None else Schema.load(schema)
    table = read_table(data, target=target, types=pairs("type", types) or None, missing=several("missing", missing) or None, schema=known)
    return table.with_units(**pairs("unit", units))
