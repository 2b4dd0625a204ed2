"""``pellucid compare``: one kind of model on several sets of columns, or windows of time, with each group's errors beside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pellucid.cli.options import Backbone, Json, Missing, Quiet, SchemaFile, Seed, Source, Target, Type, Unit, several

__all__ = ["compare"]

HEAD = ("set", "columns", "score", "low", "high", "difference", "difference_low", "difference_high", "calibration_error")


def compare(
    data: Source,
    target: Target = None,
    windows: Annotated[
        list[float] | None, typer.Option("--window", help="Only dated columns of so many months before the latest. Repeatable.")
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=COLUMN", help="A set of columns: labs=egfr_*,age. Repeatable, also for one set."),
    ] = None,
    by: Annotated[
        str | None, typer.Option("--by", help="Errors and calibration for the groups of this column.", show_default=False)
    ] = None,
    backbone: Backbone = "auto",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the lines: .parquet, .csv or .csv.gz.", show_default=False)] = None,
    schema: SchemaFile = None,
    types: Type = None,
    missing: Missing = None,
    units: Unit = None,
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare sets of columns and windows of time on the same rows, with paired intervals."""
    from pellucid.cli.output import FRAMES, check_writable, write_frame
    from pellucid.cli.read import read
    from pellucid.cli.screen import say
    from pellucid.cli.screen import table as grid
    from pellucid.evaluate import feature_sets

    if not (sets or windows):
        raise typer.BadParameter(
            "say what to compare: sets of columns (--set body=bmi --set body=age), or windows of months (--window 12)", param_hint="--set"
        )
    if out is not None:
        check_writable(out, FRAMES)
    table = read(data, target=target, schema=schema, types=types, missing=missing, units=units)
    chosen = {
        name: [p for text in texts for p in ([text] if text in table.columns else text.split(","))]
        for name, texts in several("set", sets).items()
    }
    made = feature_sets(table, chosen or None, windows=tuple(windows or ()), model=backbone, by=by, random_state=seed)
    frame = made.to_frame()
    if out is not None:
        write_frame(out, frame)
    if as_json:
        typer.echo(made.to_json())
        return
    if quiet:
        return
    head = [h for h in HEAD if h in frame]
    grid(f"{made.board.metric.replace('_', ' ')}, against {made.board.reference!r}", head, _lines(frame[head]))
    if made.groups:
        groups = made.groups_frame()
        shown = [c for c in ("set", "group", "rows", "accuracy", "fpr", "fnr", "mae", "bias", "calibration_slope", "remark") if c in groups]
        for m in shown[3:-1]:
            spans = zip(groups[m], groups[f"{m}_low"], groups[f"{m}_high"])
            groups[m] = [f"{v:.3g} ({a:.3g} to {b:.3g})" if v == v else "cannot tell" for v, a, b in spans]
        grid(f"By {by}, with 95 % intervals", [c.replace("_", " ") for c in shown], _lines(groups[shown]))
    say(made.words)


def _lines(frame: Any) -> list[list[str]]:
    return [[f"{v:.4g}" if isinstance(v, float) else str(v) for v in row] for row in frame.itertuples(index=False)]
