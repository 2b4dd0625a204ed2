"""The same report for machines (JSON) and for a terminal (text)."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pellucid.report.answers import gravest
from pellucid.report.assemble import Verdict, assemble
from pellucid.report.facts import ReportData
from pellucid.report.words import clean, label, number, position_list, score_text
from pellucid.results import plain
from pellucid.results.verdicts import VERDICT_WORDS

__all__ = ["to_json", "to_text"]

WORDS = VERDICT_WORDS | {"untested": "NOT TESTED", "caution": "CAUTION"}


def to_json(data: ReportData) -> str:
    """Return the verdict and every number behind the page as JSON text. NaN and infinities are null; a replay differs in times only."""
    return json.dumps({"format": 1, "verdict": plain(assemble(data)), "data": data.to_dict()}, ensure_ascii=False)


def to_text(data: ReportData) -> str:
    """Return the report as plain text of about two screens, gravest first."""
    verdict = assemble(data)
    return "\n".join([*_head(data, verdict), *_body(data, verdict)]) + "\n"


def _head(data: ReportData, verdict: Verdict) -> Iterator[str]:
    title = clean(data.title)
    yield from (title, "=" * len(title))
    yield f"{data.n_rows:,} rows, {data.n_columns:,} columns, from {clean(data.source)}"
    if data.target:
        yield f"target: {clean(data.target)} ({data.task}); model: {clean(data.model) or 'none'}"
    yield from ("", f"[{WORDS[verdict.use_status]}] {verdict.use}")
    if verdict.score:
        yield verdict.score
    yield from verdict.rivals
    yield ""
    for line in verdict.lines:
        yield f"{line.question:<13}[{WORDS[line.status]}] {line.words}"
        yield from (f"{'':<13}{d}" for d in line.details)


def _body(data: ReportData, verdict: Verdict) -> Iterator[str]:
    yield from ("", "Weakest points")
    yield from (f"{i}. {w}" for i, w in enumerate(verdict.weak, 1))
    if not verdict.weak:
        yield "None found by the checks that ran."
    yield from ("", "What this report cannot tell")
    yield from (f"- {u}" for u in verdict.unknown)
    if data.importance is not None or data.explanation is not None:
        what = data.importance if data.importance is not None else data.explanation.mean_abs()  # type: ignore[union-attr]
        yield from ("", f"Most important columns ({clean(what.method)}, {clean(what.scale)})")
        for row in what.to_frame().head(10).itertuples():
            yield f"  {clean(row.column, 40):<40} {number(row.importance)} ({number(row.low)} to {number(row.high)})"
    if data.trials:
        yield from ("", "Trials of the explanations")
        yield from (f"  [{WORDS[t.verdict]}] {clean(t.subject)}, {clean(t.name)}: {clean(t.words, 400)}" for t in data.trials)
    if len(data.scores) > 1 or data.groups or data.unscored:
        yield from ("", "Further figures")
        yield from (f"  {label(s.metric)}, {clean(s.of)}: {score_text(s)}" for s in (*data.scores[1:], *data.groups))
        yield from (f"  without a score, {clean(words, 300)}" for words in data.unscored)
    if data.parted:
        yield from ("", "What the answers give away", *(f"  {clean(s, 600)}" for s in data.parted))
    yield from ("", f"Findings ({len(data.findings)})")
    for f in gravest(data):
        columns, rows = ", ".join(clean(c, 40) for c in f.columns[:6]), f"rows {position_list(f.rows, 8)}" if len(f.rows) else ""
        where = [w for w in (columns, rows) if w]
        yield f"  [{f.severity}] {clean(f.kind)}" + (f": {'; '.join(where)}" if where else "")
        yield f"    {clean(f.evidence, 600)} -> {clean(f.remedy, 400)}"
    if data.command:
        yield from ("", f"Replay: {clean(data.command, 1000)}")
