"""``pellucid map``: the rows of a table, or of a model's layer, on one page; also scatters and rows that stand for the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pellucid.cli.options import Json, Quiet, SchemaFile, Seed, Source, Target, Type, Unit, pairs

if TYPE_CHECKING:
    from pellucid.table import Table

__all__ = ["map"]

MANY = 20_000
LIGHT = ("points", "quality", "loadings", "loss")
"""What is drawn of more rows than that: every further figure of all rows takes 60 bytes a row of the page."""


def map(
    data: Source,
    out: Annotated[Path, typer.Option("--out", "-o", help="The page to write.")] = Path("map.html"),
    method: Annotated[
        str, typer.Option("--method", help="pca, tsne, mds, scatter, representatives ...: see pellucid methods map.")
    ] = "pca",
    target: Target = None,
    model: Annotated[Path | None, typer.Option("--model", help="A model folder: its answers colour the rows.", show_default=False)] = None,
    layer: Annotated[str | None, typer.Option("--layer", help="With --model: map this layer, such as last.", show_default=False)] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", metavar="NAME=VALUE", help="A setting of the method: rows=2000, x=age. Repeatable.")
    ] = None,
    schema: SchemaFile = None,
    types: Type = None,
    units: Unit = None,
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Put the rows of a table on a plane, with figures of how far to believe it."""
    from pellucid.cli.models import load
    from pellucid.cli.output import check_writable, write_text
    from pellucid.cli.read import read
    from pellucid.cli.screen import Bar, say
    from pellucid.maps import map as look
    from pellucid.report.html import figures_html

    check_writable(out, (".html", ".htm"))
    with Bar({"reading the table": 2.0, "mapping": 20.0, "writing the page": 2.0}, shown=not (quiet or as_json)) as bar:
        bar("reading the table")
        subject = None if model is None else load(model)
        known = target if subject is None or target is not None else _target(subject, data)
        table = read(data, target=known, schema=schema, types=types, missing=None, units=units)
        bar("mapping")
        asked: dict[str, Any] = {"method": method, "random_state": seed, "options": _options(option), "layer": layer}
        made: Any = look(table, **asked) if subject is None else look(subject, X=table, **asked)
        bar("writing the page")
        head, rows = _table(made)
        title = f"{data.name}: {method}{f' of layer {layer}' if layer else ''}"
        write_text(out, figures_html(title, _figures(made, table), _notes(made), head, rows))
    if as_json:
        typer.echo(json.dumps({"out": str(out)} | {"rows": len(made), "figures": [dict(zip(head, r)) for r in rows]}, ensure_ascii=False))
    elif not quiet:
        for words in _notes(made):
            say(words)
        say(f"Written: {out} ({out.stat().st_size / 1e6:.1f} MB)")


def _target(model: Any, data: Path) -> str | None:
    """Return the model's target where the file holds it: rows to come have none."""
    from pellucid.cli.job import target_of
    from pellucid.table import read_table

    name = target_of(model)
    return name if name in read_table(data).columns else None


def _options(given: list[str] | None) -> dict[str, Any]:
    """Return options as the method reads them: whole numbers, numbers, ``none``, or names."""

    def value(text: str) -> Any:
        if text.lower() == "none":
            return None
        for kind in (int, float):
            try:
                return kind(text)
            except ValueError:
                continue
        return text

    return {k: value(v) for k, v in pairs("option", given).items()}


def _figures(made: Any, table: Table) -> list[Any]:
    """Return the map and what stands beside it; scatters and chosen rows have one figure."""
    from pellucid.report.charts import chart, kinds
    from pellucid.results import Map

    if not isinstance(made, Map):
        return [chart(made)]
    units = {c.name: c.cell_unit for c in table.schema if c.cell_unit}
    there = {
        "points": True, "predicted": made.answers is not None, "doubt": made.answers is not None and "doubt" in made.answers,
        "quality": True,
        "kept": made.kept is not None,
        "second": made.second is not None, "perplexity": made.other is not None, "noise": made.noise is not None,
        "loadings": made.loadings is not None, "loss": made.trace is not None and len(made.trace) > 1,
    }  # fmt: skip
    kept = [k for k in kinds(made) if there[k] and (len(made) <= MANY or k in LIGHT)]
    return [chart(made, kind, units=units) for kind in kept]


def _notes(made: Any) -> tuple[str, ...]:
    return tuple(f"{c.rstrip('.')}." for c in getattr(made, "caveats", made.record.caveats))


def _table(made: Any) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return head and lines of the table below the figures."""
    from pellucid.report.words import cell_text, number
    from pellucid.results import Map, Representatives

    if isinstance(made, Map):
        each: Any = made.figures.itertuples()
        lines: list[tuple[str, ...]] = [
            (r.figure, f"{number(r.value, r.error)} ± {number(1.96 * r.error, r.error)}", number(r.noise, r.error), r.words) for r in each
        ]
        lines += [(str(k), number(float(v)), "", "the method's own figure") for k, v in (made.losses or {}).items()]
        return ("figure", "this map, ± 95 %", "rows with shuffled columns", "what it says"), lines
    if isinstance(made, Representatives):
        frame = made.to_frame()
        return tuple(str(c) for c in frame.columns), [tuple(cell_text(v) for v in line) for line in frame.itertuples(index=False)]
    return ("column", "channel", "missing cells"), [(c, k, f"{made.missing[c]:,}") for k, c in made.channels.items()]
