"""``pellucid audit``: can this table be trusted? Needs no target and fits no network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pellucid.cli.options import Json, Level, Missing, Quiet, SchemaFile, Seed, Source, Target, Type, Unit
from pellucid.errors import RequestError

if TYPE_CHECKING:
    from pellucid.results import Finding, Repairs, Shift
    from pellucid.table import Table

__all__ = ["audit"]

MOST_COLUMNS = 40
"""Columns of one type share a line of a table with more of them."""
FEW_ROWS = 100
PROVEN = {"pass": "confirmed", "fail": "not confirmed", "not testable": "cannot be tried"}
"""Verdicts of a trial as a reader of findings says them: what passes is the suspicion, not the table."""


def audit(
    data: Source,
    target: Target = None,
    schema: SchemaFile = None,
    write_schema: Annotated[
        Path | None, typer.Option("--write-schema", help="Write the inferred schema here, to be corrected and used again.")
    ] = None,
    strict: Annotated[
        Level | None, typer.Option("--strict", help="Leave with exit code 4 where a finding is this grave or graver.")
    ] = None,
    repairs: Annotated[
        Path | None, typer.Option("--repairs", help="Write proposed repairs of cells here, as CSV or Parquet; the data stay as they are.")
    ] = None,
    types: Type = None,
    missing: Missing = None,
    units: Unit = None,
    against: Annotated[
        Path | None,
        typer.Option("--against", help="An older table: tell what has changed since then.", show_default=False),
    ] = None,
    model: Annotated[
        Path | None, typer.Option("--model", help="With --against: a model folder, to tell what each change cost it.", show_default=False)
    ] = None,
    prove: Annotated[bool, typer.Option("--prove", help="Try each finding: the score with and without its remedy.")] = False,
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Look for what is wrong with a table: gaps, copies, leaks, odd values, wrong labels; or for what has changed since an older one."""
    from pellucid.audit import audit as find
    from pellucid.cli.guard import FINDINGS
    from pellucid.cli.output import write_frame, write_text
    from pellucid.cli.read import read
    from pellucid.cli.screen import Bar
    from pellucid.cli.spoken import spoken_findings

    _check(model, against, prove, write_schema, repairs)
    stages = {"reading the table": 2.0, "looking for faults": 8.0} | ({} if repairs is None else {"proposing repairs": 5.0})
    with Bar(stages, shown=not (quiet or as_json)) as bar:
        bar("reading the table")
        table = read(data, target=target, schema=schema, types=types, missing=missing, units=units)
        if write_schema is not None:
            write_text(write_schema, json.dumps(table.schema.to_dict(), indent=1, ensure_ascii=False) + "\n")
        bar("looking for faults")
        changes = None
        if against is not None:
            older = read(against, target=target, schema=schema, types=types, missing=missing, units=units)
            changes = _changes(older, table, model, seed)
        findings = find(table, seed=seed) if changes is None else list(changes.findings)
        if prove:
            from pellucid.evaluate import prove as proven

            findings = proven(findings, table, random_state=seed)
        findings = spoken_findings(findings)
        proposals = None
        if repairs is not None:
            from pellucid.audit.repair import repair

            bar("proposing repairs")
            proposals = repair(table, seed=seed)
            write_frame(repairs, proposals.to_frame())
    if as_json:
        more = {} if changes is None else {"shift": changes.to_dict()}
        told = _as_dict(table, findings) | more | ({} if proposals is None else {"repairs": proposals.to_dict()})
        typer.echo(json.dumps(told, indent=1, ensure_ascii=False))
    elif not quiet:
        _show_all(table, findings, changes, proposals, repairs)
    order = [level.value for level in Level]
    if strict is not None and any(order.index(f.severity) >= order.index(strict.value) for f in findings):
        raise typer.Exit(FINDINGS)


def _check(model: Path | None, against: Path | None, prove: bool, write_schema: Path | None, repairs: Path | None) -> None:
    """Raise before the work begins where options contradict each other, or a file could not be written at its end."""
    from pellucid.cli.output import FRAMES, check_writable

    if model is not None and against is None:
        raise RequestError("--model tells what changes cost a model", do="give the older table too: --against old.csv")
    if prove and against is not None:
        raise RequestError("--prove tries faults of one table", do="leave out --against")
    if write_schema is not None:
        check_writable(write_schema)
    if repairs is not None:
        check_writable(repairs, FRAMES)


def _show_all(table: Table, findings: list[Finding], changes: Shift | None, proposals: Repairs | None, repairs: Path | None) -> None:
    """Print what was found, what has changed since an older table, and what is proposed."""
    from pellucid.cli.screen import say

    if changes is not None:
        _show_changes(changes)
    _show(table, findings)
    if changes is None:
        say(_looked_for(table))
    if proposals is not None:
        _show_repairs(proposals, repairs)


def _changes(older: Table, newer: Table, model: Path | None, seed: int) -> Shift:
    """Return what changed from the older table to the newer one, whose cells are read again under the older one's types."""
    from pellucid.audit.shift import shift

    fitted = None
    if model is not None:
        from pellucid.estimators import load

        fitted = load(model)
    return shift(older, newer, model=fitted, random_state=seed)


def _show_changes(changes: Shift) -> None:
    from pellucid.cli import screen

    screen.say(changes.words)
    frame = changes.to_frame()
    names = ["column", "test", "effect", "effect_unit", "by_chance", "q", "psi", "psi_by_chance", "missing_old", "missing_new", "changed"]
    lines = [[f"{v:.3g}" if isinstance(v, float) else v for v in line] for line in frame[names].itertuples(index=False)]
    screen.table(f"{len(frame)} columns compared", names, lines)
    if changes.cost is not None:
        cost = changes.cost.to_frame()
        screen.table(
            f"mean {changes.cost.loss} ({changes.cost.unit})",
            [str(c) for c in cost.columns],
            [[f"{v:.3g}" if isinstance(v, float) else v for v in line] for line in cost.itertuples(index=False)],
        )


def _as_dict(table: Table, findings: list[Finding]) -> dict[str, Any]:
    return {
        "source": table.source,
        "rows": table.n_rows,
        "fingerprint": table.fingerprint(),
        "schema": table.schema.to_dict(),
        "findings": [f.to_dict() for f in findings],
    }


def _show(table: Table, findings: list[Finding]) -> None:
    from pellucid.cli import screen

    lines: list[tuple[str, ...]] = [(c.name, c.type, c.use, c.unit, c.evidence) for c in table.schema]
    lines = lines if len(lines) <= MOST_COLUMNS else _alike(lines)
    size = f"{table.n_rows} row{'s' * (table.n_rows != 1)}, {len(table.schema)} column{'s' * (len(table.schema) != 1)}"
    screen.table(size, ("column", "type", "role", "unit", "why this type"), lines)
    if findings:
        worst = [(f.severity, f.kind, ", ".join(f.columns), _rows(f), f.evidence, f.remedy) for f in findings]
        count = {level.value: sum(f.severity == level.value for f in findings) for level in reversed(Level)}
        title = f"{len(findings)} finding{'s' if len(findings) > 1 else ''}: " + ", ".join(
            f"{n} {level}" for level, n in count.items() if n
        )
        screen.table(title, ("severity", "kind", "columns", "rows", "evidence", "remedy"), worst)
    else:
        screen.say("Nothing was found.")
    tried = [f for f in findings if f.trial is not None]
    if tried:
        shown = [(f.kind, ", ".join(f.columns[:5]), PROVEN[f.trial.verdict], f.trial.words) for f in tried if f.trial is not None]
        screen.table("by their effect", ("finding", "columns", "verdict", "what the remedy does"), shown)


def _alike(lines: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return one line for all columns of one type, role, unit and reason, which names the first of them and counts the rest."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, *facts in lines:
        groups.setdefault(tuple(facts), []).append(name)
    named = {k: ", ".join(v[:3]) + (f" and {len(v) - 3:,} more" if len(v) > 3 else "") for k, v in groups.items()}
    return [(named[k], *k) for k in groups]


def _rows(finding: Finding, most: int = 3) -> str:
    """Return how many rows a finding names, and the first of them."""
    rows = finding.rows
    if not len(rows):
        return ""
    shown = ", ".join(map(str, rows[:most].tolist()))
    return f"{len(rows):,} ({shown}{', ...' if len(rows) > most else ''})"


def _looked_for(table: Table) -> str:
    """Return what was looked for and what could not be, and what to do next."""
    from pellucid.registry import entries

    needed = {e.name: e.needs for e in entries("audit")}
    of_models = {"training rows", "black box", "refit", "gradients"}
    modelled = [name for name, needs in needed.items() if of_models & set(needs)]
    without = [name for name, needs in needed.items() if "labels" in needs and table.target is None and name not in modelled]
    done = [name for name, needs in needed.items() if name not in without and not of_models & set(needs)]
    text = f"Looked for: {', '.join(done)}. Rows count from 0."
    if without:
        text += f" Without --target COLUMN nothing can be said of: {', '.join(without)}."
    text += f" Of a fitted model's rows alone (pellucid report): {', '.join(modelled)}."
    if table.n_rows < FEW_ROWS:
        text = f"{table.n_rows} row{'' if table.n_rows == 1 else 's'} can hardly show a fault: most checks need {FEW_ROWS} or more. {text}"
    return text + " A wrong type is corrected with --type COLUMN=TYPE; --repairs FILE proposes what wrong cells should be."


def _show_repairs(found: Repairs, path: Path | None) -> None:
    from pellucid.cli import screen

    sure = int((found.confidence >= 0.9).sum())
    are = "1 repair is" if len(found) == 1 else f"{len(found)} repairs are"
    screen.say(f"{are} proposed, {sure} with a confidence of 0.9 or more: {path}. Nothing was changed.")
    frame = found.to_frame().head(10)
    if len(frame):
        columns = ["row", "column", "old", "new", "rule", "confidence", "reason"]
        screen.table("the surest", columns, frame[columns].itertuples(index=False))
