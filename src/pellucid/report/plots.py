"""The figures of the page: each with a sentence for readers who do not see it, and its numbers as a table where they are few."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pellucid.intervals import Z95, error_of_mean
from pellucid.report import words as w
from pellucid.report.charts import chart
from pellucid.report.charts.certainty import doubt, intervals
from pellucid.report.charts.changes import SAID, fill_effects
from pellucid.report.charts.data import missing_cells
from pellucid.report.charts.local import ranks
from pellucid.report.charts.trials import has_curve, has_parts, history
from pellucid.report.facts import ReportData
from pellucid.results import CostOfShift, Importance, Interactions, Rate
from pellucid.results.verdicts import VERDICT_WORDS

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["Plot", "plots_of"]


@dataclass(frozen=True)
class Plot:
    """One figure: its key on the page, plotly's JSON, a sentence for readers who do not see it, and its numbers as a table."""

    key: str
    figure: dict[str, Any]
    alt: str
    height: int
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def _plot(key: str, figure: go.Figure, alt: str, head: Sequence[str] = (), rows: Sequence[Sequence[str]] = ()) -> Plot:
    return Plot(key, json.loads(figure.to_json()), alt, int(figure.layout.height or 360), tuple(head), tuple(tuple(r) for r in rows))


def _bars(key: str, what: Importance) -> Plot:
    frame = what.to_frame().head(15)
    columns = (frame[k].tolist() for k in ("column", "importance", "low", "high"))
    rows = [(w.clean(c), w.ranged(v, lo, hi, brackets="")) for c, v, lo, hi in zip(*columns)]
    alt = f"Bars: the most important columns are {w.join(w.clean(c, 40) for c in what.top(3))}."
    return _plot(key, chart(what), alt, ("column", f"{w.clean(what.method)} ({w.clean(what.scale)}), 95 % interval"), rows)


def _readable(cells: pd.Series) -> bool:
    """Whether cells can stand along an axis: numbers, dates, or a few levels; not names and sentences."""
    return ranks(cells)[1] or cells.nunique() <= 12


def _why_plots(data: ReportData) -> dict[str, Plot]:
    out: dict[str, Plot] = {}
    e = data.explanation
    if e is not None and len(e):
        out["importance"] = _bars("importance", e.mean_abs())
    if data.importance is not None:
        out["global"] = _bars("global", data.importance)
    if e is not None and len(e) > 1:
        alt = "One point per row and column: place is the contribution, colour the rank of the cell. The rows above hold the same numbers."
        out["beeswarm"] = _plot("beeswarm", chart(e, "beeswarm"), alt)
        readable = (c for c in e.mean_abs().to_frame()["column"] if c in e.data.columns and _readable(e.data[c]))
        for i, column in enumerate(readable):
            if i < 2:
                alt = f"Points: contribution of {w.clean(column, 60)} against its cell, one point per row."
                figure = chart(e, "dependence", column=column, units=data.unit_of, interactions=_pairs_of(data))
                out[f"dependence{i}"] = _plot(f"dependence{i}", figure, alt)
    for i, trial in enumerate(data.trials):
        if e is not None and trial.subject == e.record.method and (has_curve(trial) or has_parts(trial)):
            kind = "curve" if has_curve(trial) else "badge"
            out[f"trial{i}"] = _plot(
                f"trial{i}", chart(trial, kind), f"What the trial {w.clean(trial.name, 60).replace('_', ' ')} measured."
            )
    return out


def _pairs_of(data: ReportData) -> Interactions | None:
    """Return the interactions where they speak of the explained outputs."""
    known = data.interactions is not None and data.explanation is not None and data.interactions.outputs == data.explanation.outputs
    return data.interactions if known else None


def _further_plots(data: ReportData) -> dict[str, Plot]:
    """Figures of what was asked beyond one number per column: pairs, curves, changes, units, attention."""
    out: dict[str, Plot] = {}
    if data.interactions is not None and any(len(s) > 1 for s in data.interactions.sets):
        pairs, top = data.interactions, data.interactions.top(8)
        size = np.abs(pairs.by_set)
        half = Z95 * error_of_mean(size)
        place = {s: k for k, s in enumerate(pairs.sets)}
        rows = [
            (w.clean(" × ".join(s), 120), w.ranged(v, max(v - h, 0.0), v + h, brackets=""))
            for s, v, h in ((s, float(size.mean(0)[place[s], 0]), float(half[place[s], 0])) for s, _ in top)
        ]
        alt = f"Bars: most together act {w.clean(' and '.join(top[0][0]), 120)}."
        out["pairs"] = _plot("pairs", chart(pairs, "pairs"), alt, ("columns", f"mean size ({w.clean(pairs.scale)}), 95 % interval"), rows)
        if len(pairs.columns) > 2:
            out["matrix"] = _plot("matrix", chart(pairs, "matrix"), "Square of columns by columns: how much each pair adds together.")
    out |= _curve_plots(data)
    if data.actions is not None and len(data.actions.columns) and not data.actions.reached.all():
        alt = f"Bars: how often a change of one column alone gives {w.clean(data.actions.want, 60)}."
        out["actions"] = _plot("actions", chart(data.actions), alt)
    if data.units is not None:
        out["units"] = _plot(
            "units", chart(data.units), f"Maps: what single units answer to {w.clean(' and '.join(data.units.columns), 120)}."
        )
    if data.attention is not None:
        tried = data.attention.with_trials(data.trials)
        told = ", ".join(f"{VERDICT_WORDS[v]} {name.replace('_', ' ')}" for name, v, _ in tried.verdicts())
        alt = f"Map: which column looks at which; layer and head can be chosen. Trials: {told}."
        out["attention"] = _plot("attention", chart(tried), alt)
    if data.heads is not None:
        lines = [
            (str(r["pattern"]), str(r["heads"]), w.clean(str(r["looks_at"]), 160), w.number(float(r["strength"]), 0.1))
            for r in data.heads.patterns().to_dict("records")
        ]
        head = ("pattern", "heads", "looks at", "tokens looked at")
        out["heads"] = _plot("heads", chart(data.heads), f"Bars: {w.clean(data.heads.words, 300)}.", head, lines)
    return out | _cluster_plots(data)


def _cluster_plots(data: ReportData) -> dict[str, Plot]:
    """Rows grouped by what decided them, and what decides each group; nothing where all rows are one."""
    made = data.clusters
    if made is None or len(made.summary) < 2:
        return {}
    each: Any = list(made.summary.itertuples())
    lines = [
        (f"{r.cluster}", f"{r.rows:,}", w.clean(r.decided_by, 160), w.clean(r.rule, 200), w.percent(r.precision, 0), w.percent(r.covers, 0))
        for r in each
    ]
    head = ("cluster", "rows", "share of the reasons", "rule on its cells", "precision", "covers")
    out = {"clusters": _plot("clusters", chart(made, "rows"), f"Points: {w.clean(made.words, 300)}.", head, lines)}
    if made.wrong is not None:
        rates = [
            (f"{r.cluster}", f"{r.wrong:,} of {r.rows:,}", w.ranged(r.rate, r.low, r.high, brackets=""), w.number(r.p_value)) for r in each
        ]
        heads = ("cluster", "wrong rows", "share, 95 % interval", "chance of as many")
        out["cluster_errors"] = _plot("cluster_errors", chart(made, "wrong"), f"Bars: {w.clean(made.words, 300)}.", heads, rates)
    return out


def _curve_plots(data: ReportData) -> dict[str, Plot]:
    out: dict[str, Plot] = {}
    curve = data.curves
    for i, column in enumerate(curve.columns[:4] if curve is not None else ()):
        assert curve is not None
        at, values, interval, share = (m[column] for m in (curve.points, curve.values, curve.interval, curve.share))
        rows = [
            (w.cell_text(p), w.ranged(float(v[0]), float(ends[0, 0]), float(ends[0, 1]), brackets=""), w.percent(float(s)))
            for p, v, ends, s in zip(at, values, interval, share)
        ]
        head = (w.clean(column, 60), f"{w.clean(curve.method)} of {w.clean(curve.outputs[0], 40)}, 95 % interval", "of rows")
        alt = f"Curve: how the answer runs along {w.clean(column, 60)}; grey bars show where the rows are."
        out[f"curve{i}"] = _plot(f"curve{i}", chart(curve, column=column, units=data.unit_of), alt, head, rows)
    return out


def _certain_plots(data: ReportData) -> dict[str, Plot]:
    out: dict[str, Plot] = {}
    curve, p = data.calibration, data.prediction
    if curve is not None:
        ends = zip(curve.predicted, curve.observed, curve.low, curve.high, curve.count)
        rows = [(w.number(a), w.ranged(b, lo, hi, brackets=""), f"{int(n):,}") for a, b, lo, hi, n in ends]
        alt = f"Points: observed share against predicted probability in {len(rows)} bins, with the band of a perfectly calibrated model."
        out["reliability"] = _plot("reliability", chart(curve), alt, ("predicted", "observed, 95 % interval", "rows"), rows)
    out |= _promise_plots(data)
    if p is None or p.point.ndim > 1:
        return out
    if p.low is not None and p.high is not None:
        figure = intervals(p, data.truth, unit=data.target_unit)
        out["interval"] = _plot("interval", figure, "Predictions of single rows with their intervals and, where known, the truth.")
    if p.probabilities is not None:
        top = p.probabilities.max(1)
        alt = f"Histogram: half of the answers have a probability of {w.number(float(np.median(top)))} or more."
        out["probabilities"] = _plot("probabilities", chart(p, "probabilities"), alt)
    if p.aleatoric is not None and p.epistemic is not None:
        out["doubt"] = _plot("doubt", doubt(p, data.target_unit), "One point per row: noise in the target across, lack of knowledge up.")
    if p.familiarity is not None:
        low = float(np.mean(np.asarray(p.familiarity) < 5))
        out["familiarity"] = _plot(
            "familiarity", chart(p, "familiarity"), f"Histogram: {w.percent(low)} of the rows are less familiar than 95 % of training rows."
        )
    return out


_VERDICT = {"short": "short of {}, within what was promised"}


def _promise_plots(data: ReportData) -> dict[str, Plot]:
    out: dict[str, Plot] = {}
    if data.promise is not None and len(data.promise) > 1:
        head = ("rows", "promised", "held", "count", "verdict")
        rows = [
            (w.clean(g), w.percent(v, 0), w.ranged(s, lo, hi, brackets=""), f"{int(n):,}", _VERDICT.get(k, k).format(w.percent(v, 0)))
            for g, v, s, lo, hi, n, k in data.promise.table[["group", "level", "share", "low", "high", "n", "verdict"]].itertuples(
                index=False
            )
        ]
        out["promise"] = _plot("promise", chart(data.promise), w.clean(data.promise.words, 300), head, rows)
    if data.silence is not None:
        out["silence"] = _plot(
            "silence", chart(data.silence), "Line: share of wrong answers as fewer are given, the surest first, and by chance."
        )
    return out


def _data_plots(data: ReportData) -> dict[str, Plot]:
    out: dict[str, Plot] = {}
    if len({f.kind for f in data.findings}) < len(data.findings) > 3:  # bars of one finding each say nothing
        out["findings"] = _plot(
            "findings", chart(list(data.findings)), f"Bars: {len(data.findings)} findings by kind; the list above holds them all."
        )
    if any(c.n_missing for c in data.columns):
        some = sorted((c for c in data.columns if c.n_missing), key=lambda c: -(c.n_missing or 0))
        rows = [(w.clean(c.name), f"{c.n_missing:,}", w.percent((c.n_missing or 0) / max(data.n_rows, 1))) for c in some[:50]]
        alt = f"Bars: most missing is {w.clean(some[0].name, 60)}."
        out["missing"] = _plot("missing", missing_cells(data.columns, data.n_rows), alt, ("column", "missing cells", "of rows"), rows)
    if data.filled:
        out["fills"] = _fills(data.filled)
    if data.repairs is not None and len(data.repairs):
        out["repairs"] = _plot("repairs", chart(data.repairs), "Bars: how many cells of each column are probably wrong, by rule.")
    if data.missing is not None and len(data.missing.columns) > 1:
        names = [w.clean(c, 60) for c in data.missing.columns]
        shown = list(zip(data.missing.patterns, data.missing.counts))[:12]
        lines = [(", ".join(n for n, m in zip(names, p) if m) or "none", f"{int(c):,}") for p, c in shown]
        out["pattern"] = _plot("pattern", chart(data.missing), "Which columns are missing together.", ("missing together", "rows"), lines)
    return out | _group_plots(data) | _shift_plots(data)


def _fills(effects: Sequence[Mapping[str, Any]]) -> Plot:
    head = ("column", "rule", "filled cells", "distance from the observed cells", "variance, filled over observed", "what it did")
    rows = [
        (
            w.clean(e["column"], 60), w.clean(e["rule"], 30), f"{int(e['cells']):,} ({w.percent(float(e['share']))})",
            w.number(float(e["distance"]), 0.001), w.number(float(e["variance_ratio"]), 0.01), w.clean(e["words"], 300),
        )
        for e in (dict(e) | {"variance_ratio": np.nan if e["variance_ratio"] is None else e["variance_ratio"]} for e in effects)
    ]  # fmt: skip
    bent = [w.clean(e["column"], 40) for e in effects if e["distorted"]]
    alt = f"Points: filling distorted {w.join(bent)}." if bent else "Points: filling distorted no column beyond what chance would."
    return _plot("fills", fill_effects(effects), alt, head, rows)


def _group_plots(data: ReportData) -> dict[str, Plot]:
    """Rates of groups with their intervals, one figure a grouping column."""
    out = {}
    for i, table in enumerate(data.group_tables):
        of = [m for m in table.rates if m in SAID]
        head = ("group", "rows", *(SAID[m] for m in of))
        lines = [
            (w.clean(g, 60), f"{n:,}", *(_rate(table.rates[m][g]) for m in of)) for g, n in table.rows.items()
        ]  # fmt: skip
        out[f"groups{i}"] = _plot(f"groups{i}", chart(table), w.clean(table.words, 1500), head, lines)
    return out


def _rate(rate: Rate) -> str:
    told = w.ranged(rate.value, rate.low, rate.high, brackets="")
    if rate.told:
        return told
    return f"{told}; cannot tell, {rate.rows:,} row{'s' * (rate.rows > 1)}" if rate.rows else "no rows to tell from"


def _shift_plots(data: ReportData) -> dict[str, Plot]:
    """What has changed, and what each change cost; would more rows help."""
    out: dict[str, Plot] = {}
    if data.shift is not None:
        each: Any = data.shift.to_frame().itertuples()
        lines = [
            (w.clean(r.column, 60), f"{w.number(float(r.effect), 0.001)} {w.clean(r.effect_unit, 20)}", w.number(float(r.by_chance), 0.001),
             w.number(float(r.q)), "changed" if r.changed else "no more than chance")
            for r in each
        ]  # fmt: skip
        head = ("column", "effect", "95 % of unchanged tables stay below", "q", "verdict")
        out["drift"] = _plot("drift", chart(data.shift), f"Bars: {w.clean(data.shift.words, 300)}", head, lines)
        if data.shift.cost is not None:
            out["cost"] = _cost(data.shift.cost)
    if data.learning is not None and len({r["rows"] for r in data.learning.rows}) > 1:
        some: Any = data.learning.to_frame().itertuples()
        rows = [(w.clean(r.model, 40), f"{int(r.rows):,}", w.ranged(r.score, r.low, r.high, brackets="")) for r in some]
        name = f"{w.label(data.learning.metric)}, 95 % interval"
        out["learning"] = _plot("learning", chart(data.learning), w.clean(data.learning.words, 300), ("model", "training rows", name), rows)
    return out


def _cost(cost: CostOfShift) -> Plot:
    each: Any = cost.to_frame().itertuples()
    lines = [
        (w.clean(r.change, 80), w.ranged(r.share, r.share - 1.96 * r.error, r.share + 1.96 * r.error, brackets=""), w.percent(r.part, 0))
        for r in each
    ]
    head = ("change", f"share of the change of the mean {w.clean(cost.loss, 40)}, 95 % interval", "of the whole change")
    return _plot("cost", chart(cost), f"Bars: {w.clean(cost.words, 300)}", head, lines)


def _measured(rows: Sequence[Mapping[str, Any]]) -> int:
    """Return how many models have a score and a measured size of their explanations; no size is None or NaN."""
    both = [[r.get(key) for key in ("explanation_size", "score")] for r in rows]
    return sum(all(v is not None and math.isfinite(v) for v in pair) for pair in both)


def _compare_plots(data: ReportData) -> dict[str, Plot]:
    board, out = data.leaderboard, {}
    if board is not None and board.rows:
        out["leaderboard"] = _plot("leaderboard", chart(board), "Points: the score of each model, with its 95 % interval.")
        if _measured(board.rows) > 1:
            alt = "Score against the measured number of columns that carry 90 % of a row's contributions."
            out["power"] = _plot("power", chart(board, "power_readability"), alt)
    if len(data.history) > 2:
        out["history"] = _plot("history", history(data.history), "Recorded figures during training.")
    return out


_SIDE_BY_SIDE = (
    ("importance", "beeswarm"),
    ("dependence0", "dependence1"),
    ("pairs", "matrix"),
    ("curve0", "curve1"),
    ("curve2", "curve3"),
    ("reliability", "probabilities"),
    ("doubt", "familiarity"),
    ("promise", "silence"),
    ("findings", "missing"),
    ("groups0", "groups1"),
    ("drift", "cost"),
    ("repairs", "fills"),
    ("leaderboard", "power"),
)


def _level(plots: dict[str, Plot]) -> dict[str, Plot]:
    """Give figures that stand side by side the same height."""
    for pair in _SIDE_BY_SIDE:
        height = max((plots[k].height for k in pair if k in plots), default=0)
        for key in (k for k in pair if k in plots):
            layout = plots[key].figure["layout"] | {"height": height}
            plots[key] = replace(plots[key], height=height, figure=plots[key].figure | {"layout": layout})
    return plots


def plots_of(data: ReportData) -> dict[str, Plot]:
    """Return every figure that the facts allow, by its key on the page."""
    return _level(_why_plots(data) | _further_plots(data) | _certain_plots(data) | _data_plots(data) | _compare_plots(data))
