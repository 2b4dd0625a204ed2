"""``pellucid demo``: the main job on a table that everybody has, with faults planted in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pellucid.cli.options import Json, Quiet, Seed

__all__ = ["demo"]


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="The page to write; its numbers go into a .json beside it.")] = Path(
        "report.html"
    ),
    quick: Annotated[bool, typer.Option("--quick", help="Linear model and boosted trees only.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a demonstration that was interrupted.")] = False,
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Report on scikit-learn's diabetes records in original units, with planted faults that the page must find."""
    from pellucid.cli.job import report
    from pellucid.cli.planted import FAULTS, TARGET, planted_table
    from pellucid.cli.report import finish
    from pellucid.cli.screen import Bar

    caveat = f"This is a demonstration. Planted in the records, to be found by this page: {'; '.join(FAULTS)}"
    with Bar({}, shown=not (quiet or as_json)) as bar:
        made = report(
            planted_table(seed),
            target=TARGET,
            out=out,
            quick=quick,
            resume=resume,
            seed=seed,
            progress=bar,
            title="Progression of diabetes after one year (442 patients)",
            name="diabetes records (scikit-learn), original units",
            command="pellucid demo" + (f" --seed {seed}" if seed else ""),
            caveats=(caveat,),
        )
    finish(out, made, as_json=as_json, quiet=quiet)
