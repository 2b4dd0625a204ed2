"""``pellucid predict``: answers for new rows, with their certainty and reasons where asked."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pellucid.cli.options import Json, ModelFolder, Quiet, Seed, Source

if TYPE_CHECKING:
    import pandas as pd

    from pellucid.table import Table

__all__ = ["answers", "decided", "new_levels", "predict", "reasons_beside", "rows_that_break_rules"]

BROKEN_SHOWN = 5


def predict(
    model: ModelFolder,
    data: Source,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file to write: .parquet, .csv or .csv.gz.", show_default=False)
    ] = None,
    method: Annotated[str | None, typer.Option("--explain", help="Write the reasons too, by this method, beside the answers.")] = None,
    certainty: Annotated[bool, typer.Option("--certainty", help="Add interval or set, kinds of doubt, familiarity and refusals.")] = False,
    cost: Annotated[
        str | None, typer.Option("--cost", metavar="COSTS", help="Add the cheapest answers: yes/no=5,no/yes=1 (true/answered=cost).")
    ] = None,
    level: Annotated[float, typer.Option("--level", help="The share of intervals or sets that must hold the truth.")] = 0.9,
    score: Annotated[
        str, typer.Option("--score", help="How intervals or sets are made: auto, absolute, normalised, quantile; lac, aps, raps.")
    ] = "auto",
    groups: Annotated[
        str | None, typer.Option("--groups", help="Keep the promise in each group of this column.", show_default=False)
    ] = None,
    max_risk: Annotated[
        float | None, typer.Option("--max-risk", help="Refuse answers until at most this share of the others is wrong.", show_default=False)
    ] = None,
    tolerance: Annotated[
        float | None, typer.Option("--tolerance", help="With --max-risk: a number farther off than this is wrong.", show_default=False)
    ] = None,
    familiarity: Annotated[
        str, typer.Option("--familiarity", help="The measure of familiarity: neighbours, or one fitted with the model.")
    ] = "neighbours",
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Predict the rows of a file with a fitted model."""
    from pellucid.cli.models import identified, load, new_rows
    from pellucid.cli.output import FRAMES, check_writable, to_json, write_frame
    from pellucid.cli.screen import Bar, say

    if out is None and not as_json:
        raise typer.BadParameter("say where the answers go, or ask for --json", param_hint="--out")
    if out is not None:
        check_writable(out, FRAMES)
    _check_certainty(certainty, score=score, groups=groups, max_risk=max_risk, tolerance=tolerance, familiarity=familiarity, level=level)
    with Bar({"loading": 2.0, "predicting": 2.0, "explaining": 60.0 if method else 0.0}, shown=not (quiet or as_json)) as bar:
        bar("loading")
        fitted = load(model)
        table = new_rows(data)
        bar("predicting")
        asked = {"score": score, "groups": groups, "max_risk": max_risk, "tolerance": tolerance, "familiarity": familiarity}
        frame, guarantee = answers(fitted, table, level if certainty else None, **asked)
        if cost is not None:
            frame.insert(1, "decision", decided(fitted, table, cost))
        frame = identified(fitted, table, frame)
        broken, strange = rows_that_break_rules(fitted, table), new_levels(fitted, table)
        reasons = None
        if method:
            bar("explaining")
            reasons = fitted.explain(table, method=method, random_state=seed).to_frame()
    if out is not None:
        write_frame(out, frame)
        if reasons is not None:
            write_frame(reasons_beside(out), reasons)
    if as_json:
        typer.echo(
            to_json(
                {"answers": frame}
                | ({} if reasons is None else {"reasons": reasons})
                | ({"guarantee": guarantee} if certainty else {})
                | ({"broken_rules": broken} if broken else {})
                | ({"new_levels": strange} if strange else {})
            )
        )
    elif not quiet:
        from pellucid.errors import quote

        say(f"Written: {out} ({len(frame)} rows)" + ("" if reasons is None or out is None else f" and {reasons_beside(out)}"))
        for promise in guarantee:
            say(f"  {promise}")
        for name, levels in strange.items():
            say(f"The column {name!r} holds levels that the training rows did not have, read as unknown: {quote(levels)}.")
        if broken:
            some = "row breaks a rule" if len(broken) == 1 else "rows break rules"
            say(f"{len(broken)} {some} that the training rows keep; their answers stand, but look at the cells:")
            for row, text in list(broken.items())[:BROKEN_SHOWN]:
                say(f"  row {row} {text}")


def _check_certainty(asked: bool, **given: Any) -> None:
    """Refuse settings of a certainty that was not asked for: who limits the risk must not get answers without a limit."""
    usual = {name: p.default for name, p in inspect.signature(predict).parameters.items()}
    if not asked and (changed := [name for name, value in given.items() if value != usual[name]]):
        raise typer.BadParameter("it sets how certainty is told: add --certainty", param_hint=f"--{changed[0].replace('_', '-')}")


def rows_that_break_rules(fitted: Any, table: Table) -> dict[int, str]:
    """Return by row (from 0) the rules that it breaks though the training rows keep them, in words."""
    from pellucid.training.rules import broken_rules
    from pellucid.uncertainty.truth import new_rows

    rules = fitted.rules()
    texts = broken_rules(rules, new_rows(fitted, table))[0] if rules else ()
    return {i: text for i, text in enumerate(texts) if text}


def new_levels(fitted: Any, table: Table) -> dict[str, list[str]]:
    """Return by column the levels that no training row had: they are read as unknown, and the answer leans on the other columns."""
    from pellucid.uncertainty.truth import new_rows

    read = new_rows(fitted, table)
    columns = [c for c in read.schema if c.is_usable and c.type.is_level and c.levels]
    found = {c.name: sorted(set(read.levels(c.name)[1]) - set(c.levels)) for c in columns}
    return {name: levels for name, levels in found.items() if levels}


def reasons_beside(out: Path) -> Path:
    """Return the name of the file of reasons: ``answers.parquet`` -> ``answers.reasons.parquet``.

    Examples
    --------
    >>> reasons_beside(Path("answers.csv.gz")).name
    'answers.reasons.csv.gz'
    """
    ending = ".csv.gz" if out.name.lower().endswith(".csv.gz") else out.suffix
    return out.with_name(f"{out.name[: len(out.name) - len(ending)]}.reasons{ending}")


def decided(fitted: Any, table: Table, cost: str) -> Any:
    """Return the cheapest class of each row for costs such as ``yes/no=5,no/yes=1``."""
    from pellucid.errors import RequestError
    from pellucid.estimators.decision import read_costs

    if not hasattr(fitted, "decide"):
        raise RequestError("costs of mistakes are for classes", got="a model of numbers", do="leave out --cost")
    return fitted.decide(table, cost=read_costs(cost, fitted.classes_))


def answers(fitted: Any, table: Table, level: float | None, **asked: Any) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return (one line per row, what is promised): prediction, ``p_<class>``, and what a Prediction holds where ``level`` is given."""
    import numpy as np
    import pandas as pd

    if level is not None:
        found = fitted.uncertainty(table, level=level, **asked)
        return found.to_frame().reset_index(drop=True), found.guarantee
    if hasattr(fitted, "predict_proba"):
        probabilities = fitted.predict_proba(table)
        out = {"prediction": fitted.answer_of(probabilities)}
        out |= {f"p_{c}": probabilities[:, j] for j, c in enumerate(fitted.classes_)}
        return pd.DataFrame(out), ()
    point = np.asarray(fitted.predict(table))
    out = {"prediction": point} if point.ndim == 1 else {f"prediction_{j}": point[:, j] for j in range(point.shape[1])}
    return pd.DataFrame(out), ()
