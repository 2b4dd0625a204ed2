"""``pellucid report``: the main job from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pellucid.cli.options import Backbone, Json, Missing, Quiet, SchemaFile, Seed, Source, Target, Type, Unit

if TYPE_CHECKING:
    from pellucid.report.facts import ReportData

__all__ = ["finish", "report"]


def report(
    data: Source,
    target: Target = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The page to write; its numbers go into a .json beside it.")] = Path(
        "report.html"
    ),
    model: Annotated[Path | None, typer.Option("--model", help="Report on this fitted model instead of fitting one.")] = None,
    test: Annotated[Path | None, typer.Option("--test", help="A file of test rows; a fifth of DATA is held out without it.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A first page within a minute: linear model, boosted trees, audit, types.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a report that was interrupted.")] = False,
    backbone: Backbone = "auto",
    time_limit: Annotated[float | None, typer.Option("--time-limit", help="Seconds for the fit.", show_default=False)] = None,
    want: Annotated[
        str | None, typer.Option("--want", help="The wanted answer where the schema has rules of change: a class, or '>= 3.5'.")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option("--against", help="An older table: what has changed since then, and what that cost the model.", show_default=False),
    ] = None,
    fill: Annotated[
        str | None,
        typer.Option("--fill", help="How the fitted model fills missing cells: median, knn ...; learned as a state without it."),
    ] = None,
    schema: SchemaFile = None,
    types: Type = None,
    missing: Missing = None,
    units: Unit = None,
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Audit, fit, compare, explain and try the explanations: one page that works offline."""
    from pellucid.cli.act import wanted
    from pellucid.cli.job import report as make
    from pellucid.cli.models import load
    from pellucid.cli.read import read
    from pellucid.cli.replay import reading
    from pellucid.cli.screen import Bar

    with Bar({}, shown=not (quiet or as_json)) as bar:
        bar("reading the table")
        table = read(data, target=target, schema=schema, types=types, missing=missing, units=units)
        held_out = None if test is None else read(test, types=types, missing=missing, schema=schema)
        older = None if against is None else read(against, types=types, missing=missing, schema=schema)
        made = make(
            table,
            target=target,
            out=out,
            model=None if model is None else load(model),
            test=held_out,
            quick=quick,
            resume=resume,
            seed=seed,
            backbone=backbone,
            time_limit=time_limit,
            want=wanted(want),
            against=older,
            fill=fill,
            progress=bar,
            reading=reading(schema, types, missing, units),
        )
    finish(out, made, as_json=as_json, quiet=quiet)


def finish(out: Path, made: ReportData, *, as_json: bool, quiet: bool) -> None:
    """Say what was made."""
    if as_json:
        typer.echo(out.with_suffix(".json").read_text(encoding="utf-8"))
    elif not quiet:
        from pellucid.cli.screen import say
        from pellucid.report.html import to_text

        say(to_text(made))
        say(f"Written: {out} and {out.with_suffix('.json')}")
