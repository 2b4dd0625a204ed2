"""``pellucid fit``: learn from a table and write a model folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pellucid.cli.options import Backbone, Json, Missing, Quiet, SchemaFile, Seed, Source, Target, Task, Type, Unit

__all__ = ["fit"]


def fit(
    data: Source,
    out: Annotated[Path, typer.Option("--out", "-o", help="The model folder to write: income.pellucid.", show_default=False)],
    target: Target = None,
    backbone: Backbone = "auto",
    time_limit: Annotated[
        float | None, typer.Option("--time-limit", help="Seconds; the best state so far is kept.", show_default=False)
    ] = None,
    task: Task = None,
    schema: SchemaFile = None,
    types: Type = None,
    missing: Missing = None,
    units: Unit = None,
    decompose: Annotated[
        list[str] | None,
        typer.Option("--decompose", metavar="COLUMN", help="A column that the answers should not tell, and no input. Repeatable."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a fit that was interrupted, to the same bits.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a model folder that exists.")] = False,
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fit a model and write it as a folder that holds nothing executable."""
    from pellucid.cli.models import estimator_for, work_folder
    from pellucid.cli.output import check_model_place
    from pellucid.cli.read import read

    check_model_place(out, force)
    table = read(data, target=target, schema=schema, types=types, missing=missing, units=units)
    verbose = 0 if quiet or as_json else 1
    model = estimator_for(
        table, task and task.value, backbone=backbone, time_limit=time_limit, random_state=seed, verbose=verbose,
        decompose=decompose or None,
    )  # fmt: skip
    with work_folder(out, resume) as checkpoints:
        model.fit(table, resume=checkpoints)
        model.save(out, force=force)
    if as_json:
        from pellucid.results import plain

        typer.echo(json.dumps({"out": str(out), "record": plain(model.record_)}, indent=1, ensure_ascii=False))
    elif not quiet:
        from pellucid.cli.screen import say
        from pellucid.estimators.decomposed import sentences

        say(f"Written: {out} ({type(model).__name__} of {table.target!r}, {model.record_['rows']} of {table.n_rows} rows)")
        told = sentences(model.record_["training"]["decompose"]) if decompose else ()
        for line in (model.record_["split"], *model.record_["caveats"], *told):
            say(f"  {line}")
