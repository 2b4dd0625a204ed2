"""``pellucid explain``: why the model answers as it does, one line per row and output; as a figure and in plain words too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pellucid.cli.options import Json, ModelFolder, Quiet, Seed, Source

if TYPE_CHECKING:
    from pellucid.results import Trial

__all__ = ["explain", "option_value", "options_of"]

OWED_SECONDS = 20.0


def explain(
    model: ModelFolder,
    data: Source,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file to write: .parquet, .csv or .csv.gz.", show_default=False)
    ] = None,
    method: Annotated[str, typer.Option("--method", help="How to explain (see: pellucid methods explain).")] = "auto",
    option: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="NAME=VALUE", help="A setting of the method's own: order=2, columns=age,city. Repeatable."),
    ] = None,
    output: Annotated[str | None, typer.Option("--output", help="The class or target to speak of.", show_default=False)] = None,
    fill: Annotated[
        str, typer.Option("--fill", help="What an absent column holds: marginal, conditional, baseline, missing.")
    ] = "marginal",
    budget: Annotated[
        str | None, typer.Option("--budget", help="Most model rows (100000) or time (30s, 2min).", show_default=False)
    ] = None,
    chart: Annotated[Path | None, typer.Option("--chart", help="Draw the answer into this .html file; it works offline.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="Which figure (an unknown one lists them).", show_default=False)] = None,
    row: Annotated[int | None, typer.Option("--row", help="Position of the row to draw, from 0.", show_default=False)] = None,
    column: Annotated[str | None, typer.Option("--column", help="Column to draw.", show_default=False)] = None,
    words: Annotated[int, typer.Option("--words", help="Say the reasons of this many rows in sentences.")] = 0,
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Explain the predictions for the rows of a file."""
    from pellucid.cli.models import load, new_rows
    from pellucid.cli.output import FRAMES, check_writable, write_frame
    from pellucid.cli.screen import Bar, say
    from pellucid.errors import RequestError
    from pellucid.results import Explanation
    from pellucid.results.owed import Tried

    if out is None and chart is None and words < 1 and not as_json:
        raise typer.BadParameter("say where the reasons go (or --chart, --words), or ask for --json", param_hint="--out")
    for place, endings in ((out, FRAMES), (chart, (".html", ".htm"))):
        if place is not None:
            check_writable(place, endings)
    settings = options_of(option)
    with Bar({"loading": 2.0, "explaining": 60.0}, shown=not (quiet or as_json)) as bar:
        bar("loading")
        fitted = load(model)
        table = new_rows(data)
        bar("explaining")
        asked: dict[str, Any] = {"options": settings} if settings else {}
        spend: Any = int(budget) if budget is not None and budget.isdigit() else budget
        made = fitted.explain(table, method=method, output=output, fill=fill, budget=spend, random_state=seed, **asked)
        trials = _owed(made, fitted, table, seed)
        if isinstance(made, Tried):
            made = made.with_trials(trials)
    if words > 0 and not isinstance(made, Explanation):
        raise RequestError(f"{made.method!r} gives no reasons of single rows to tell", do="leave --words out, or choose method shapley")
    if out is not None:
        write_frame(out, made.to_frame())
    if chart is not None:
        _draw(made, chart, trials, kind=kind, row=row, column=column, units={c.name: c.cell_unit for c in fitted.schema_ if c.cell_unit})
    if as_json:
        typer.echo(made.to_json())
    elif not quiet:
        for i in range(min(words, len(made)) if words > 0 else 0):
            say(f"{made.words(i, trials=trials)}\n")
        lines = f"{len(table)} rows" if isinstance(made, Explanation) else f"{len(made.to_frame())} lines"
        most = f"; the most weight: {', '.join(made.mean_abs().top(3))}" if isinstance(made, Explanation) else ""
        files = " and ".join(str(p) for p in (out, chart) if p is not None)
        told = getattr(made, "words", None)  # of explanations a method: --words asks for it
        if isinstance(told, str) and told:
            say(told)
        for line in _verdicts(made, trials):
            say(line)
        if files:
            say(f"Written: {files} ({lines} by {made.method}{most})")


def _owed(made: Any, fitted: Any, table: Any, seed: int) -> list[Trial]:
    """Return the verdicts that what reads attention is not shown without, as far as a model without its training rows can be tried."""
    from pellucid.evaluate import trial
    from pellucid.results.owed import RETRAINS, owed_of

    names = [n for n in owed_of(made) if n not in RETRAINS]
    return trial(made, fitted, table, budget=OWED_SECONDS, names=names, random_state=seed) if names else []


def _verdicts(made: Any, trials: list[Trial]) -> list[str]:
    """Return the verdicts in lines, those that are owed and were not run among them."""
    from pellucid.results.owed import OWED, owed_of, verdict_line

    lines = [verdict_line(t.name, t.verdict, t.words) for t in trials]
    more = "it retrains, and a saved model has no training rows (pellucid report tries it)"
    return [*lines, *(verdict_line(n, "not testable", f"{OWED[n]}; {more}.") for n in owed_of(made, trials))]


def _draw(made: Any, path: Path, trials: list[Trial], **wanted: Any) -> None:
    """Write one figure as a page that asks for nothing from outside."""
    from pellucid.cli.output import write_text
    from pellucid.report.charts import chart

    figure = chart(made, wanted["kind"], wanted["row"], wanted["column"], units=wanted["units"], trials=trials)
    write_text(path, figure.to_html(include_plotlyjs=True, full_html=True, config={"displaylogo": False}))


def options_of(given: list[str] | None) -> dict[str, Any]:
    """Return ``["order=2"]`` as ``{"order": 2}``; the first ``=`` divides."""
    out: dict[str, Any] = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not (name.strip() and equals):
            raise typer.BadParameter(f"{text!r} is not of the form NAME=VALUE", param_hint="--option")
        out[name.strip()] = option_value(value)
    return out


def option_value(text: str) -> Any:
    """Return what a value on the command line means: a number, true, false, none, JSON, a list by commas, else the text.

    Examples
    --------
    >>> option_value("2"), option_value("none"), option_value("age,city"), option_value('["a,b"]'), option_value("k-sii")
    (2, None, ['age', 'city'], ['a,b'], 'k-sii')
    """
    known = {"true": True, "false": False, "none": None, "null": None}
    if text.strip().lower() in known:
        return known[text.strip().lower()]
    try:
        return json.loads(text)
    except ValueError:
        return [option_value(part.strip()) for part in text.split(",")] if "," in text else text
