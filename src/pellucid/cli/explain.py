"""``pellucid explain``: why the model answers as it does, one line per row and output."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pellucid.cli.options import Json, ModelFolder, Quiet, Seed, Source

__all__ = ["explain"]


def explain(
    model: ModelFolder,
    data: Source,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file to write: .parquet, .csv or .csv.gz.", show_default=False)
    ] = None,
    method: Annotated[str, typer.Option("--method", help="How to explain (see: pellucid methods explain).")] = "auto",
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Explain the predictions for the rows of a file."""
    from pellucid.cli.models import load, new_rows
    from pellucid.cli.output import FRAMES, check_writable, write_frame
    from pellucid.cli.screen import Bar, say
    from pellucid.results import Explanation

    if out is None and not as_json:
        raise typer.BadParameter("say where the reasons go, or ask for --json", param_hint="--out")
    if out is not None:
        check_writable(out, FRAMES)
    with Bar({"loading": 2.0, "explaining": 60.0}, shown=not (quiet or as_json)) as bar:
        bar("loading")
        fitted = load(model)
        table = new_rows(data)
        bar("explaining")
        explanation = fitted.explain(table, method=method, random_state=seed)
    if out is not None:
        write_frame(out, explanation.to_frame())
    if as_json:
        typer.echo(explanation.to_json())
    elif not quiet:
        lines = f"{len(table)} rows" if isinstance(explanation, Explanation) else f"{len(explanation.to_frame())} lines"
        most = f"; the most weight: {', '.join(explanation.mean_abs().top(3))}" if isinstance(explanation, Explanation) else ""
        say(f"Written: {out} ({lines} by {explanation.method}{most})")
