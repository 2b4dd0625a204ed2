"""``pellucid export``: a model folder as one ONNX file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pellucid.cli.options import Json, ModelFolder, Quiet

__all__ = ["export"]


def export(
    model: ModelFolder,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write: income.onnx.", show_default=False)],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a fitted network as an ONNX file that answers from raw cells, without Pellucid or torch."""
    from pellucid.cli.models import load
    from pellucid.cli.screen import say

    written = load(model).export(out, force=force)
    size = written.stat().st_size
    if as_json:
        typer.echo(json.dumps({"out": str(written), "bytes": size}))
    elif not quiet:
        say(f"Written: {written} ({size / 1e6:.1f} MB)")
