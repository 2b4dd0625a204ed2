"""The options that several commands share, each defined once."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Backbone",
    "Json",
    "Level",
    "Missing",
    "ModelFolder",
    "Quiet",
    "SchemaFile",
    "Seed",
    "Source",
    "Target",
    "Task",
    "TaskName",
    "Type",
    "Unit",
    "pairs",
    "several",
]

ModelFolder = Annotated[Path, typer.Argument(help="A model folder that fit wrote.", show_default=False)]
Source = Annotated[Path, typer.Argument(help="A CSV or Parquet file, compressed or not.", show_default=False)]
Target = Annotated[str | None, typer.Option("--target", "-t", help="The column to predict.", show_default=False)]
Type = Annotated[list[str] | None, typer.Option("--type", metavar="COLUMN=TYPE", help="A column's type: zip=category. Repeatable.")]
Missing = Annotated[list[str] | None, typer.Option("--missing", metavar="COLUMN=CODE", help="A code for 'missing': age=-999. Repeatable.")]
Unit = Annotated[list[str] | None, typer.Option("--unit", metavar="COLUMN=UNIT", help="A number's unit: age=years. Repeatable.")]
SchemaFile = Annotated[Path | None, typer.Option("--schema", help="Read types, units and roles from this file (see audit --write-schema).")]
Backbone = Annotated[str, typer.Option("--backbone", help="The kind of model (see: pellucid methods backbone).")]
Seed = Annotated[int, typer.Option("--seed", help="The same seed gives the same answers on one machine.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


class TaskName(StrEnum):
    """What kind of target it is."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"


Task = Annotated[TaskName | None, typer.Option("--task", help="What the target is; its column's type says without it.", show_default=False)]


class Level(StrEnum):
    """How grave a finding is."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


def pairs(option: str, given: Iterable[str] | None) -> dict[str, str]:
    """Return ``["zip=category"]`` as a dictionary; the last ``=`` divides, because column names may hold one."""
    return {name: values[-1] for name, values in several(option, given).items()}


def several(option: str, given: Iterable[str] | None) -> dict[str, list[str]]:
    """Return ``["age=-999", "age=0"]`` as ``{"age": ["-999", "0"]}``."""
    out: dict[str, list[str]] = {}
    for text in given or ():
        name, equals, value = text.rpartition("=")
        if not (name and equals):
            raise typer.BadParameter(f"{text!r} is not of the form COLUMN=VALUE", param_hint=f"--{option}")
        out.setdefault(name, []).append(value)
    return out
