"""What the templates print: the verdict, the figures with their text twins, the tables, each number with its definition."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from pellucid.report import words as w
from pellucid.report.answers import gravest
from pellucid.report.assemble import assemble
from pellucid.report.board import board_of, ladder, number_of
from pellucid.report.definitions import GLOSSARY, METRICS, SCALES, trial_definition
from pellucid.report.facts import ReportData, Score
from pellucid.report.plots import Plot, plots_of
from pellucid.report.rows import KINDS, payload
from pellucid.report.sights import map_lines, points_payload, representative_lines
from pellucid.report.twins import WORDS
from pellucid.results import Explanation, Importance

__all__ = ["context"]

REPAIRS = 10
"""Proposals that the page lists; its twin holds them all."""
SURE = 0.9

KIND_WORDS = {
    "typical": "reasons nearest to the usual ones for this answer",
    "borderline": "set without exactly one class, or among the widest tenth of intervals",
    "wrong": "answer is not the truth, or the truth lies outside the interval",
    "unfamiliar": "less familiar than 95 % of training rows",
    "refused": "an answer should be withheld",
}


_BETTER = {"coverage": "should equal the promise", "set_size": "smaller is more decided", "width": "smaller is more decided"}


def _with_whole(data: ReportData) -> list[Score]:
    """Groups, each metric led by its figure on all test rows, so that a group is read against the whole."""
    out: list[Score] = []
    for metric in dict.fromkeys(g.metric for g in data.groups):
        out += [s for s in data.scores if s.metric == metric and metric != "coverage"] + [g for g in data.groups if g.metric == metric]
    return out


def _score_line(s: Score) -> dict[str, Any]:
    step = (s.high - s.low) / 2 if math.isfinite(s.high - s.low) else None
    return {
        "metric": w.label(s.metric),
        "term": s.metric,
        "of": w.clean(s.of, 80),
        "unit": w.clean(s.unit, 20),
        "n": s.n,
        "value": number_of(s.value, step),
        "low": number_of(s.low, step),
        "high": number_of(s.high, step),
        "null": number_of(s.null, step),
        "null_words": "promised" if s.metric == "coverage" else w.clean(s.null_words),
        "better": _BETTER.get(s.metric, "higher is better" if s.higher_is_better else "smaller is better"),
    }


def _findings(data: ReportData, points: Mapping[str, Any]) -> list[dict[str, Any]]:
    on_map = [len(f["points"]) for f in points.get("findings", ())] or [0] * len(data.findings)
    return [
        {
            "severity": f.severity,
            "kind": w.clean(f.kind, 80).replace("_", " "),
            "columns": [w.clean(c, 60) for c in f.columns[:12]],
            "more": max(0, len(f.columns) - 12),
            "evidence": w.clean(f.evidence, 600),
            "remedy": w.clean(f.remedy, 600),
            "n": len(f.rows),
            "rows": w.position_list(f.rows, 200),
            "at": at,
            "points": on_map[at],
            "trial": None if f.trial is None else {"status": _status(f.trial.verdict), "words": w.clean(f.trial.words, 400)},
        }
        for at, f in enumerate(gravest(data))
    ]


def _attention(data: ReportData) -> list[dict[str, str]]:
    """The verdicts that a map of attention is never shown without."""
    if data.attention is None:
        return []
    tried = data.attention.with_trials(data.trials).verdicts()
    return [
        {"name": w.clean(name, 60).replace("_", " "), "status": _status(v), "words": w.capital(w.clean(words, 600))}
        for name, v, words in tried
    ]


def _depth_words(data: ReportData) -> str:
    """Return whether the classes come apart from layer to layer, or only from end to end."""
    frame = None if data.seen is None else data.seen.layers
    if frame is None or len(frame) < 3:
        return ""
    deep: Any = list((frame[~frame["beside"]] if "beside" in frame else frame).itertuples())
    first, last, fallen = deep[0], deep[-1], [b for a, b in pairwise(deep) if a.silhouette - b.silhouette > b.error]
    far = last.silhouette - first.silhouette
    apart = "come apart" if far > 2 * last.error else "draw together" if far < -2 * last.error else "are no farther apart at the end"
    ends = [w.number(r.silhouette, r.error) for r in (first, last)]
    words = f"From the cells ({ends[0]}) to the outputs ({ends[1]}) the classes {apart}"
    if not fallen:
        return f"{words}, and in no layer on the way do they stand closer together than in the one before."
    words += (
        f", but not layer by layer: in {w.join(w.clean(r.layer, 40) for r in fallen)} they stand closer together than in the one before"
    )
    return f"{words}. A layer also holds what the next one does not read, so that a fall here is no loss of what tells the classes apart."


def _layers(data: ReportData) -> list[dict[str, str]]:
    """How far the classes stand apart, layer by layer."""
    frame = None if data.seen is None else data.seen.layers
    if frame is None:
        return []
    lines: Any = frame.itertuples()
    return [
        {
            "layer": w.clean(r.layer, 40) + (", beside the others" if getattr(r, "beside", False) else ""),
            "value": w.number(r.silhouette, r.error),
            "pm": w.number(1.96 * r.error, r.error),
            "n": f"{int(r.rows):,}",
        }
        for r in lines
    ]


def _status(verdict: str) -> str:
    return "untested" if verdict == "not testable" else verdict


def _trials(data: ReportData, plots: dict[str, Plot]) -> list[dict[str, Any]]:
    """Trials by method, the main method first, failures first within a method."""
    rank = {"fail": 0, "not testable": 1, "pass": 2}
    main = data.explanation.record.method if data.explanation is not None else None
    order = sorted(enumerate(data.trials), key=lambda t: (t[1].subject != main, t[1].subject, rank[t[1].verdict]))
    out = []
    for i, t in order:
        step = (t.interval[1] - t.interval[0]) / 2
        out.append(
            {
                "key": t.subject,
                "name": w.clean(t.name, 60).replace("_", " "),
                "status": _status(t.verdict),
                "words": w.clean(t.words, 600),
                "figure": number_of(t.figure, step),
                "low": number_of(t.interval[0], step),
                "high": number_of(t.interval[1], step),
                "null": number_of(t.null),
                "what": trial_definition(t.name),
                "seed": t.record.seed,
                "plot": plots.get(f"trial{i}"),
            }
        )
    return out


def _provenance(data: ReportData) -> list[tuple[str, list[tuple[str, str]]]]:
    pairs = lambda m: [(w.clean(k, 60), w.clean(v, 200)) for k, v in m.items()]  # noqa: E731
    table = [
        ("file", w.clean(data.source)),
        ("fingerprint of the table", w.clean(data.fingerprint)),
        ("rows", f"{data.n_rows:,}"),
        ("columns", f"{data.n_columns:,}"),
    ]
    out = [
        ("Table", table),
        ("Rows used for", [(w.clean(k), f"{v:,}") for k, v in data.split.items()]),
        ("Model settings", pairs(data.settings)),
    ]
    if data.explanation is not None:
        r = data.explanation.record
        method = [
            ("method", w.clean(r.method)),
            ("seed", str(r.seed)),
            ("model rows evaluated", f"{r.n_calls:,}"),
            ("seconds", w.number(r.duration)),
            *pairs(r.settings),
        ]
        out.append(("Explanation", method))
    out += [
        ("Seeds", pairs(data.seeds)),
        ("Seconds", [(w.clean(k), w.number(v)) for k, v in data.durations.items()]),
        ("Versions", pairs(data.versions)),
    ]
    return [(name, lines) for name, lines in out if lines]


def _terms(data: ReportData) -> dict[str, tuple[str, str]]:
    """Every word with a definition: key -> (heading, sentence)."""
    used = {
        s.metric: s.definition or METRICS.get(s.metric, "")
        for s in (*data.scores, *data.groups, data.coverage, data.set_size)
        if s is not None
    }
    used |= {"ece": METRICS["ece"]} if data.calibration is not None else {}
    board = data.leaderboard.metric if data.leaderboard is not None else ""
    used |= {board: METRICS[board]} if board in METRICS and board not in used else {}
    scale = data.explanation.scale if data.explanation is not None else ""
    out = {k: (w.label(k), d) for k, d in used.items() if d}
    return out | {k: (k, d) for k, d in SCALES.items() if k == scale} | {k: (k, d) for k, d in GLOSSARY.items()}


def _methods(data: ReportData, methods: Mapping[str, str], trials: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each explanation method with its badge and its trials; the main one is open, and so is one that failed."""
    shown = {e.record.method for e in (data.explanation, data.importance, *data.others) if e is not None}
    shown |= set() if data.attention is None else {data.attention.method}
    main = data.explanation.record.method if data.explanation is not None else None
    words = {"pass": "passed", "fail": "failed", "untested": "without a verdict"}
    out = []
    for method, status in methods.items():
        own = [t for t in trials if t["key"] == method]
        count = ", ".join(f"{sum(t['status'] == k for t in own)} {v}" for k, v in words.items() if any(t["status"] == k for t in own))
        line = {"name": w.clean(method, 60), "status": status, "shown": method in shown, "count": count or "no trial was run"}
        out.append(line | {"trials": own, "open": method == main or status == "fail"})
    return out


def _agreement(data: ReportData) -> list[dict[str, str]]:
    """How far other methods name the same columns as the main one: order of importance, and the leading column of each row."""
    main = data.explanation
    if main is None or not len(main):
        return []
    size = pd.Series(main.mean_abs().values, index=list(main.columns))
    lead = np.abs(main.cube()).mean(2).argmax(1)
    out = []
    several: list[Explanation | Importance] = [*data.others, *([data.importance] if data.importance is not None else [])]
    for e in several:
        if e.columns != main.columns or len(e.columns) < 3:
            continue
        whole = e.mean_abs() if isinstance(e, Explanation) else e
        order = float(size.rank().corr(pd.Series(np.abs(whole.values), index=list(e.columns)).rank()))
        rows = float((np.abs(e.cube()).mean(2).argmax(1) == lead).mean()) if isinstance(e, Explanation) else math.nan
        top = w.join(w.clean(c, 40) for c in whole.top(3))
        line = {"method": w.clean(e.record.method, 60), "top": top, "order": w.number(order, 0.01)}
        out.append(line | {"rows": w.percent(rows, 0) if math.isfinite(rows) else "whole table"})
    return out


def _rules(data: ReportData) -> dict[str, Any] | None:
    """The model in rules, with how well they copy it."""
    r = data.rules
    if r is None or not r.rules:
        return None
    # rules that do not copy the model would be read as its reasons all the same
    shown = r.rules if r.record.settings.get("speaks_for_the_model", True) else ()
    low, high = r.fidelity_interval
    half = lambda a, b: (b - a) / 2  # noqa: E731
    lines = [
        {
            "if": [w.clean(c, 160) for c in rule.conditions],
            "then": w.clean(rule.outcome, 80),
            "precision": number_of(rule.precision, half(*rule.interval)),
            "low": number_of(rule.interval[0], half(*rule.interval)),
            "high": number_of(rule.interval[1], half(*rule.interval)),
            "coverage": number_of(100 * rule.coverage, 0.5, "%"),
        }
        for rule in sorted(shown, key=lambda rule: -rule.coverage)[:16]
    ]
    ends = {
        "fidelity": number_of(r.fidelity, half(low, high)),
        "low": number_of(low, half(low, high)),
        "high": number_of(high, half(low, high)),
    }
    return {
        "lines": lines,
        "words": f"{w.capital(w.clean(r.words, 400)).rstrip('.')}.",
        "scale": w.clean(r.scale, 80),
        "method": w.clean(r.method, 60),
        **ends,
    }


def _told(data: ReportData) -> list[str]:
    """What holds for the explanations of all rows: their trials, and what is not known."""
    if data.explanation is None or not len(data.explanation):
        return []
    told = data.explanation.words(0, trials=data.trials, units=data.unit_of)
    return [
        w.clean(s, 600)
        for s in told.sentences[told.n_own :]
        if s.rstrip(".") not in {c.rstrip(".") for c in data.explanation.record.caveats}
    ]


def _repairs(data: ReportData) -> dict[str, Any] | None:
    """The surest proposals, and what is read as missing."""
    found = data.repairs
    if found is None:
        return None
    each: Any = found.to_frame().head(REPAIRS).itertuples()
    lines = [
        {
            "row": f"{int(r.row):,}", "column": w.clean(r.column, 60), "old": w.clean(w.cell_text(r.old), 60),
            "new": "missing" if r.new is None else w.clean(w.cell_text(r.new), 60), "rule": w.clean(r.rule, 40),
            "confidence": w.number(float(r.confidence), 0.01), "reason": w.clean(r.reason, 300),
        }
        for r in each
    ]  # fmt: skip
    read = [
        f"{w.clean(c, 60)}: {w.join(f'{w.clean(word, 30)} ({n:,} cells)' for word, n in words.items())}"
        for c, words in found.read_as_missing.items()
    ]
    return {"n": len(found), "sure": int((found.confidence >= SURE).sum()), "lines": lines, "read": read[:20]}


def _learning(data: ReportData) -> list[str]:
    """What the last step of each learning curve brought, and what was left out."""
    made = data.learning
    out: list[str] = []
    if made is None:
        return out
    table = made.to_frame()
    for model, mine in table[table["noise"] == 0].groupby("model", sort=False):
        if len(mine) < 2:
            continue
        each: Any = mine.sort_values("rows").tail(2).itertuples()
        few, many = ((f"{int(r.rows):,}", w.ranged(r.score, r.low, r.high)) for r in each)
        out.append(
            f"From {few[0]} to {many[0]} training rows the {w.label(made.metric)} of {w.clean(model, 40)} went from {few[1]} to {many[1]}."
        )
    return [*out, w.clean(made.words, 600), *(f"{w.capital(w.clean(c, 300))}." for c in made.record.caveats)]


def _changes(data: ReportData) -> dict[str, Any] | None:
    """What the people of the explained rows can change, in counts."""
    a = data.actions
    if a is None:
        return None
    asking = ~a.reached
    helped = set(a.options["row"]) if len(a.options) else set()
    return {
        "want": w.clean(a.want, 120),
        "asking": int(asking.sum()),
        "reached": int(a.reached.sum()),
        "helped": sum(1 for i in np.flatnonzero(asking) if a.index[i] in helped),
        "fixed": int((a.fixed & asking).sum()),
        "rules": [(w.clean(c, 60), w.clean(words, 120)) for c, words in list(a.rules.items())[:30]],
    }


def _caveats(data: ReportData) -> list[str]:
    several = (
        data.explanation,
        data.prediction,
        data.leaderboard,
        data.interactions,
        data.curves,
        data.rules,
        data.neighbours,
        data.actions,
        data.attention,
        data.clusters,
        data.repairs,
        data.learning,
        data.shift,
    )
    records = [r.record for r in several if r is not None]
    return list(dict.fromkeys([w.clean(c, 400) for c in data.caveats] + [w.clean(c, 400) for r in records for c in r.caveats]))


def _doubt_caveats(data: ReportData) -> list[str]:
    """Return what the reader of the two kinds of doubt must know beside them: of which part of the answer no members speak."""
    caveats = () if data.prediction is None else data.prediction.record.caveats
    return [f"{w.capital(w.clean(c, 400))}." for c in caveats if "additive model" in c]


def context(data: ReportData) -> dict[str, Any]:
    """Return everything that the templates print, as texts and plain numbers."""
    plots = plots_of(data)
    verdict, rows, points = assemble(data), payload(data), points_payload(data)
    quick = data.seen.reasons.record.method if data.seen is not None and data.seen.reasons is not None else ""
    return {
        "data": data,
        "title": w.clean(data.title),
        "source": w.clean(data.source),
        "target": w.clean(data.target, 60),
        "model": w.clean(data.model, 40),
        "verdict": verdict,
        "badge_words": WORDS,
        "ladder": ladder(data),
        "scores": [_score_line(s) for s in data.scores],
        "groups": [_score_line(s) for s in _with_whole(data)],
        "unscored": w.clean("; ".join(data.unscored), 900),
        "parted": [w.clean(s, 600) for s in data.parted],
        "coverage": None if data.coverage is None else _score_line(data.coverage),
        "set_size": None if data.set_size is None else _score_line(data.set_size),
        "guarantee": [] if data.prediction is None else [w.clean(g, 300) for g in data.prediction.guarantee],
        "doubt_caveats": _doubt_caveats(data),
        "silence": "" if data.silence is None else w.capital(w.clean(data.silence.words, 500)),
        "calibration": _calibration(data),
        "board": board_of(data),
        "findings": _findings(data, points),
        "points": points,
        "repairs": _repairs(data),
        "group_words": [w.capital(w.clean(t.words, 1500)) for t in data.group_tables],
        "shift_words": None if data.shift is None else f"{w.clean(data.shift_words, 200)} {w.capital(w.clean(data.shift.words, 900))}",
        "learning_words": _learning(data),
        "map_lines": map_lines(data),
        "layers": _layers(data),
        "depth_words": _depth_words(data),
        "representatives": representative_lines(data),
        "quick_status": verdict.methods.get(quick, "untested") if quick else "",
        "methods": _methods(data, verdict.methods, _trials(data, plots)),
        "agreement": _agreement(data),
        "rules": _rules(data),
        "told": _told(data),
        "changes": _changes(data),
        "head_words": "" if data.heads is None else w.clean(data.heads.words, 300),
        "cluster_words": "" if data.clusters is None else w.capital(w.clean(data.clusters.words, 500)),
        "badges": verdict.methods,
        "attention_trials": _attention(data),
        "columns": [_column(c, data.n_rows) for c in data.columns],
        "caveats": _caveats(data),
        "provenance": _provenance(data),
        "plan": w.clean(data.plan, 600),
        "command": w.clean(data.command, 2000),
        "created": w.clean(data.created),
        "plots": plots,
        "rows": rows,
        "kinds": KINDS,
        "kind_words": KIND_WORDS,
        "status": verdict.methods.get(data.explanation.record.method, "untested") if data.explanation is not None else "untested",
        "terms": _terms(data),
        "figures": {k: p.figure for k, p in plots.items()},
    }


def _column(c: Any, n_rows: int) -> dict[str, str]:
    missing = "" if c.n_missing is None else f"{c.n_missing:,} ({w.percent(c.n_missing / max(n_rows, 1))})" if c.n_missing else "0"
    return {
        "name": w.clean(c.name, 120),
        "type": w.clean(c.type),
        "role": w.clean(c.role),
        "unit": w.clean(c.unit, 30),
        "missing": missing,
        "distinct": "" if c.n_distinct is None else f"{c.n_distinct:,}",
        "evidence": w.clean(c.evidence, 300),
        "example": w.clean(c.example, 120),
    }


def _calibration(data: ReportData) -> dict[str, Any] | None:
    c = data.calibration
    if c is None or not math.isfinite(c.error):
        return None
    step = (c.error_high - c.error_low) / 2 if math.isfinite(c.error_high - c.error_low) else None
    return {
        "error": number_of(c.error, step),
        "low": number_of(c.error_low, step),
        "high": number_of(c.error_high, step),
        "null": number_of(c.null_error, step),
        "null_high": number_of(c.null_error_high, step),
        "before": number_of(c.error_before, step),
        "n": c.n or int(np.sum(c.count)),
    }
