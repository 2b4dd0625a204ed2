"""The command line that makes a report again: what was asked, and how the table was read."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pellucid.table import ColumnType, Role, Schema
from pellucid.table.parse import is_null_word
from pellucid.table.rules import FREE

if TYPE_CHECKING:
    from pellucid.cli.job import Job

__all__ = ["line", "reading"]


def line(job: Job, source: str, target: str) -> str:
    """Return the command line of a job. A model is called MODEL and a schema SCHEMA where the page does not know in which file it lies."""
    options = {
        "--target": target,
        "--model": "MODEL" if job.model is not None else None,
        "--test": job.test.source and Path(job.test.source).name if job.test is not None else None,
        "--backbone": job.backbone if isinstance(job.backbone, str) and job.backbone != "auto" and job.model is None else None,
        "--time-limit": f"{job.time_limit:g}" if job.time_limit else None,
        "--want": _wanted(job.want),
        "--against": job.against.source and Path(job.against.source).name if job.against is not None else None,
        "--fill": job.fill if isinstance(job.fill, str) else None,
    }
    given = [word for name, value in options.items() if value for word in (name, str(value))]
    read = [*job.reading] or _of_schema(job.table.schema)
    return shlex.join(["pellucid", "report", source, *given, *read, *(["--quick"] if job.quick else []), "--seed", str(job.seed)])


def reading(schema: Path | None, types: Iterable[str] | None, missing: Iterable[str] | None, units: Iterable[str] | None) -> list[str]:
    """Return the options by which a command read its table, as they were given.

    Examples
    --------
    >>> reading(None, ["zip=category"], None, ["age=years"])
    ['--type', 'zip=category', '--unit', 'age=years']
    """
    several = (("--type", types), ("--missing", missing), ("--unit", units))
    words = [word for option, values in several for value in values or () for word in (option, value)]
    return words if schema is None else ["--schema", schema.name, *words]


def _of_schema(schema: Schema) -> list[str]:
    """Return the options that read a table as this schema says; what options cannot say (roles, rules, an order of levels) takes a file."""
    if schema.rules or any(
        c.role not in (Role.FEATURE, Role.TARGET) or c.sensitive or c.rule != FREE or (_by_user(c) and c.type is ColumnType.ORDERED)
        for c in schema
    ):
        return ["--schema", "SCHEMA"]
    types = [f"{c.name}={c.type}" for c in schema if _by_user(c)]
    codes = [f"{c.name}={code}" for c in schema for code in c.missing if not is_null_word(code)]
    return reading(None, types, codes, [f"{c.name}={c.unit}" for c in schema if c.unit != c.suffix.strip()])


def _by_user(column: Any) -> bool:
    return str(column.evidence).startswith("set by the user")


def _wanted(want: Any) -> str | None:
    """Return a wanted answer as ``--want`` reads it; the inverse of :func:`pellucid.cli.act.wanted`."""
    if isinstance(want, Mapping):
        return ",".join(f"{label}:{share:g}" for label, share in want.items()) if len(want) == 1 else "WANTED"
    if isinstance(want, Sequence) and not isinstance(want, str):
        return ",".join(f"{v:g}" for v in want)
    return None if want is None else str(want)
