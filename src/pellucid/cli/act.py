"""``pellucid act``: what the people of a file can change to get the wanted answer, or which cells need not be asked of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from pellucid.cli.options import Json, ModelFolder, Quiet, Seed, Source

__all__ = ["act", "read_rules", "shares_beside", "wanted"]


def act(
    model: ModelFolder,
    data: Source,
    want: Annotated[
        str | None, typer.Option("--want", "-w", help="The wanted class, or a condition on a number: '>= 3.5'.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file to write: .parquet, .csv or .csv.gz.", show_default=False)
    ] = None,
    rules: Annotated[
        Path | None, typer.Option("--rules", help='A JSON file of what may change: {"age": "never", "joint": ["hours <= 60"]}.')
    ] = None,
    method: Annotated[str, typer.Option("--method", help="What to answer (see: pellucid methods act).")] = "auto",
    budget: Annotated[
        str | None, typer.Option("--budget", help="Most model rows (100000) or time (30s, 2min).", show_default=False)
    ] = None,
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say what the people of a file can change, within rules, to get the wanted answer."""
    from pellucid.act import act as asked
    from pellucid.cli.models import load, new_rows
    from pellucid.cli.output import FRAMES, check_writable, write_frame
    from pellucid.cli.screen import Bar, say
    from pellucid.results import Actions

    if out is None and not as_json:
        raise typer.BadParameter("say where the answers go, or ask for --json", param_hint="--out")
    if out is not None:
        check_writable(out, FRAMES)
    given = None if rules is None else read_rules(rules)
    with Bar({"loading": 2.0, "searching": 60.0}, shown=not (quiet or as_json)) as bar:
        bar("loading")
        fitted = load(model)
        table = new_rows(data)
        bar("searching")
        spend: Any = int(budget) if budget is not None and budget.isdigit() else budget
        made: Any = asked(fitted, table, want=wanted(want), rules=given, method=method, budget=spend, random_state=seed)
    if out is not None:
        joint = isinstance(made, Actions) and made.method in ("recourse", "counterfactual")
        write_frame(out, _lines(made) if joint else made.to_frame())
        if made.method == "recourse":
            write_frame(shares_beside(out), made.to_frame())
    if as_json:
        typer.echo(made.to_json())
    elif not quiet:
        say(f"Written: {out} ({_words(made)})")
        for caveat in made.record.caveats:
            say(f"  {caveat}")


def _lines(made: Any) -> Any:
    """Return one line per option, and one per row without any that says why."""
    import pandas as pd

    parts = [f for f in (made.options, made.unreached) if len(f)]
    return pd.concat(parts, ignore_index=True) if parts else made.options.assign(why="")


def _words(made: Any) -> str:
    if not hasattr(made, "reached"):
        return f"{len(made)} rows, {int(made.n_asked.mean() * 10) / 10} of {len(made.columns)} cells asked on average"
    words = f"{len(made)} rows, {int(made.reached.sum())} with {made.want} already"
    if len(made.options) or len(made.unreached):
        words += f", {made.options['row'].nunique()} can reach it, {len(made.unreached)} were shown no way"
    return words


def wanted(text: str | None) -> Any:
    """Return what ``--want`` says: a label or condition as it stands, ``low,high`` as a pair, ``class:0.8`` with its least probability.

    Examples
    --------
    >>> wanted("yes"), wanted("10,20"), wanted("yes:0.8")
    ('yes', (10.0, 20.0), {'yes': 0.8})
    """
    if text is None:
        return None
    low, comma, high = text.partition(",")
    if comma and _number(low) and _number(high):
        return float(low), float(high)
    label, colon, share = text.rpartition(":")
    return {label: float(share)} if colon and _number(share) else text


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def read_rules(path: Path) -> Any:
    """Return the rules of a JSON file: an object of columns, or a list of objects and joint rules in text."""
    from pellucid.errors import SourceError

    if not path.is_file():
        raise SourceError("there is no such file of rules", where=str(path), do="check the path")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SourceError(
            "the file of rules cannot be read", where=str(path), got=str(error), do="write JSON, or check the path"
        ) from error


def shares_beside(out: Path) -> Path:
    """Return the name of the file of responsiveness: ``actions.parquet`` -> ``actions.single.parquet``.

    Examples
    --------
    >>> shares_beside(Path("actions.csv.gz")).name
    'actions.single.csv.gz'
    """
    ending = ".csv.gz" if out.name.lower().endswith(".csv.gz") else out.suffix
    return out.with_name(f"{out.name[: len(out.name) - len(ending)]}.single{ending}")
