"""``pellucid methods``: what there is, with needs, cost and source."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from pellucid.cli.options import Json

__all__ = ["methods"]


def methods(
    kind: Annotated[
        str | None,
        typer.Argument(help="backbone, explain, act, select, uncertainty, audit, shift, remedy, trial ...", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the methods: what each does, needs and costs, and where it comes from."""
    from pellucid.registry import KINDS, entries
    from pellucid.results import plain

    chosen = entries(kind)
    if as_json:
        typer.echo(json.dumps([plain(e) | {"target": str(e.target)} for e in chosen], indent=1, ensure_ascii=False))
        return
    from pellucid.cli.screen import table

    for k in KINDS if kind is None else (kind,):
        lines = [(e.name, e.summary, ", ".join(e.needs) or e.takes, e.cost, e.source) for e in chosen if e.kind == k]
        if lines:
            table(k, ("name", "what", "needs", "cost", "source"), lines)
