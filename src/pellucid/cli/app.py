"""The list of commands. Only typer is imported here; each command imports what it needs when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from pellucid.cli import act, audit, compare, demo, explain, export, fit, map, methods, predict, report, selfcheck
from pellucid.cli.guard import guarded

__all__ = ["app"]

app = typer.Typer(
    name="pellucid",
    help="Deep learning on a single table that answers for itself: why, how certain, and can the data be trusted.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"pellucid {version('pellucid')}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")] = False,
) -> None:
    pass


COMMANDS = (
    *(demo.demo, report.report, audit.audit, fit.fit, predict.predict, explain.explain, export.export, act.act, map.map),
    compare.compare,
    *(methods.methods, selfcheck.selfcheck),
)
for command in COMMANDS:
    app.command()(guarded(command))
