"""Figures of what changed, and of what was changed: shift and its cost, rates by group, learning curves, repairs, fills, parted models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pellucid.errors import RequestError
from pellucid.report.charts.style import (
    BLUE,
    CYCLE,
    DASHES,
    GREY,
    ORANGE,
    SYMBOLS,
    bars_error,
    blank,
    faded,
    heights,
    name_lines,
    safe,
    wrap,
)
from pellucid.report.words import clean, number, percent
from pellucid.report.words import label as metric_name
from pellucid.results import CostOfShift, Fills, GroupTable, LearningCurve, Parting, Repairs, Shift

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST = 25
Z95 = 1.959963984540054
SHARES = ("prevalence", "selection_rate", "tpr", "fpr", "fnr", "ppv", "accuracy", "coverage", "abstain_rate")
SAID = {
    "prevalence": "have it", "selection_rate": "marked", "tpr": "found among those who have it", "fpr": "marked among those who do not",
    "fnr": "missed among those who have it", "ppv": "right among those marked", "accuracy": "right", "coverage": "covered",
    "abstain_rate": "refused", "bias": "mean error", "mae": "mean absolute error", "rmse": "root mean squared error",
}  # fmt: skip


def _hatched(shape: str) -> dict[str, object]:
    """Return a pattern of white lines over a bar of colour."""
    return {"shape": shape, "fillmode": "overlay", "fgcolor": "rgba(255,255,255,.85)", "solidity": 0.15}


def drift(result: Shift) -> go.Figure:
    """Return how far each column moved, as a multiple of what tables that do not differ show, furthest on top."""
    table = result.to_frame().iloc[:MOST]
    limit = table["by_chance"].to_numpy(float).clip(1e-12)
    times, changed = table["effect"].to_numpy(float) / limit, table["changed"].to_numpy(bool)
    figure = blank(
        f"What changed: {int(result.drift['changed'].sum())} of {len(result.drift)} columns beyond chance",
        "effect / effect by chance (95 %)", height=heights(len(table), 26, 130), legend=True,
    )  # fmt: skip
    for mine, name, colour, hatch in ((changed, "changed", ORANGE, "/"), (~changed, "no more than chance", GREY, "")):
        if mine.any():
            figure.add_bar(
                x=times[mine], y=np.flatnonzero(mine), orientation="h", name=name,
                marker={"color": colour, "pattern": _hatched(hatch)},
                hoverinfo="text",
                hovertext=[
                    f"{safe(r['column'])}: {number(float(r['effect']))} {safe(r['effect_unit'])}, chance below "
                    f"{number(float(r['by_chance']))}, q {number(float(r['q']))}"
                    for _, r in table[mine].iterrows()
                ],
            )  # fmt: skip
    figure.add_vline(x=1.0, line={"color": GREY, "dash": "dash", "width": 1.5})
    return name_lines(figure, [wrap(clean(c, 40)) for c in table["column"]])


def cost(result: CostOfShift | Shift) -> go.Figure:
    """Return how much of the change of the loss each change is answerable for, with 95 % bars; parts add up."""
    found = result.cost if isinstance(result, Shift) else result
    if found is None:
        raise RequestError("this shift has no cost", expected="a model and labels in the new table", do="pass model= to shift")
    order = np.argsort(-np.abs(found.shares), kind="stable")[:MOST]
    shares, error, place = found.shares[order], Z95 * found.error[order], np.arange(len(order))
    unit = f" ({safe(found.unit)})" if found.unit else ""
    title = f"What the change cost: {safe(found.loss)} {number(found.before)} before, {number(found.after)} after"
    figure = blank(title, f"share of the change{unit}, worse to the right", height=heights(len(order), 28, 130))
    worse = shares > 0
    for mine, colour, hatch in ((worse, ORANGE, "/"), (~worse, BLUE, "")):
        figure.add_bar(
            x=shares[mine], y=place[mine], orientation="h",
            marker={"color": colour, "pattern": _hatched(hatch)},
            error_x=bars_error((shares - error)[mine], (shares + error)[mine], shares[mine]), hoverinfo="text",
            hovertext=[
                f"{safe(found.players[j])}: {number(float(found.shares[j]))} +- {number(float(Z95 * found.error[j]))}" for j in order[mine]
            ],
        )  # fmt: skip
    figure.add_vline(x=0.0, line={"color": GREY, "width": 1})
    return name_lines(figure, [wrap(clean(found.players[j], 50)) for j in order])


def rates(result: GroupTable) -> go.Figure:
    """Return the rates of each group with 95 % bars; grey is how far equal groups of these sizes lie apart (95 %)."""
    measures = [m for m in result.rates if m in SHARES] or [m for m in result.rates if m in SAID]
    factor = 100.0 if measures[0] in SHARES else 1.0
    unit = next((g.unit for g in result.gaps.values() if g.unit), "")
    x = "share of rows (%)" if factor > 1 else f"error{f' ({safe(unit)})' if unit else ''}"
    groups = result.groups[: len(CYCLE)]
    event = f", event {safe(result.event, 30)!r}" if result.event else ""
    above = 56 + 19 * (len(groups) + 1)  # where the figure is narrow each group has a line of its own in the legend
    figure = blank(f"By {safe(result.by, 40)}{event}", x, height=heights(len(measures), 16 + 14 * len(groups), above + 76), legend=True)
    figure.update_layout(margin={"t": above})
    places = [k for k, m in enumerate(measures) if m in result.gaps and np.isfinite(result.gaps[m].by_chance_95)]
    if places:
        wide = factor * np.array([result.gaps[measures[k]].by_chance_95 for k in places])
        middle = factor * np.array([_pooled(result, measures[k]) for k in places])
        figure.add_bar(
            x=wide, base=middle - wide / 2, y=places, orientation="h", width=0.8, marker={"color": faded(GREY, 0.28)},
            name="equal groups (95 %)", hoverinfo="skip",
        )  # fmt: skip
    for i, group in enumerate(groups):
        y = np.arange(len(measures)) + (i - (len(groups) - 1) / 2) * 0.7 / max(len(groups), 1)
        found = [result.rates[m][group] for m in measures]
        value, low, high = (factor * np.array([getattr(r, end) for r in found]) for end in ("value", "low", "high"))
        told = np.array([r.told for r in found])
        symbol = [SYMBOLS[i] if t else f"{SYMBOLS[i]}-open" for t in told]
        figure.add_scatter(
            x=value, y=y, mode="markers", name=f"{safe(group, 30)} ({result.rows[group]:,} rows)",
            marker={"symbol": symbol, "size": 9, "color": CYCLE[i]}, error_x=bars_error(low, high, value), hoverinfo="text",
            hovertext=[
                f"{safe(group)}, {m.replace('_', ' ')}: {number(float(v))} of {r.rows:,} rows{'' if r.told else '; too few to tell'}"
                for m, v, r in zip(measures, value, found)
            ],
        )  # fmt: skip
    return name_lines(figure, [wrap(SAID.get(m, m.replace("_", " ")), 24) for m in measures])


def _pooled(result: GroupTable, measure: str) -> float:
    of = [r for r in result.rates[measure].values() if r.rows and np.isfinite(r.value)]
    return float(np.average([r.value for r in of], weights=[r.rows for r in of])) if of else float("nan")


def learning(result: LearningCurve) -> go.Figure:
    """Return the score of each model by number of training rows, with 95 % bars, and from where a model is better than the reference."""
    table = result.to_frame()
    lines = list(dict.fromkeys(zip(table["model"], table["noise"])))
    figure = blank(f"Would more rows help? Against {safe(result.reference, 30)}", "training rows", metric_name(result.metric), 420, True)
    models, noises = list(dict.fromkeys(table["model"])), list(dict.fromkeys(table["noise"]))
    for model, noise in lines:
        mine = table[(table["model"] == model) & (table["noise"] == noise)].sort_values("rows")
        i, j = models.index(model), noises.index(noise)
        label = f"{safe(model, 30)}{f', {percent(noise, 0)} wrong labels' if noise else ''}"
        figure.add_scatter(
            x=mine["rows"] * (1 + 0.012 * (i - (len(models) - 1) / 2)), y=mine["score"], mode="lines+markers", name=label,
            line={"color": CYCLE[i % len(CYCLE)], "dash": DASHES[j % len(DASHES)]},
            marker={"symbol": SYMBOLS[i % len(SYMBOLS)], "size": 8}, error_y=bars_error(mine["low"], mine["high"], mine["score"]),
            hoverinfo="text", hovertext=[f"{label}: {number(float(s))} with {n:,} rows" for s, n in zip(mine["score"], mine["rows"])],
        )  # fmt: skip
    sizes = sorted(set(table["rows"]))
    figure.update_xaxes(type="log", tickvals=sizes, ticktext=[f"{n:,}" for n in sizes])
    for (model, noise), size in result.overtakes.items():
        if size is not None and not noise and model != result.reference:
            figure.add_vline(x=size, line={"color": GREY, "dash": DASHES[(models.index(model) + 1) % len(DASHES)], "width": 1.5})
            # plotly places a note on a logarithmic axis by its logarithm
            figure.add_annotation(
                x=float(np.log10(size)), y=1, yref="paper", yanchor="bottom", xanchor="right", showarrow=False,
                text=f"{safe(model, 20)} better from {size:,}", font={"size": 11},
            )  # fmt: skip
    return figure


def repairs(result: Repairs) -> go.Figure:
    """Return how many cells of each column should change, by rule; hatched where the rule is not sure enough to be applied unasked."""
    if not len(result):
        raise RequestError("there is no proposal to draw", do="nothing needs repair")
    table = result.to_frame()
    count_of = dict(table["column"].value_counts())
    columns, rules = list(count_of)[:MOST], list(table["rule"].value_counts().index)
    sure = int((table["confidence"] >= 0.9).sum())
    figure = blank(
        f"{len(table):,} {'cell' if len(table) == 1 else 'cells'} probably wrong, {sure:,} sure enough to be repaired",
        "cells",
        height=heights(len(columns), 28, 160),
        legend=True,
    )
    for i, rule in enumerate(rules[: len(CYCLE)]):
        for certain in (True, False):
            mine = table[(table["rule"] == rule) & ((table["confidence"] >= 0.9) == certain)]
            count = [int((mine["column"] == c).sum()) for c in columns]
            if any(count):
                figure.add_bar(
                    x=count, y=list(range(len(columns))), orientation="h", name=f"{safe(rule, 40)}{'' if certain else ' (unsure)'}",
                    marker={"color": CYCLE[i], "pattern": _hatched("" if certain else "/")},
                )  # fmt: skip
    figure.update_layout(barmode="stack", xaxis={"dtick": _step(int(max(count_of.values())))})
    return name_lines(figure, [wrap(clean(c, 40)) for c in columns])


def _step(most: int) -> int:
    """Return a whole step of 1, 2 or 5 by powers of ten that makes at most six marks up to ``most``."""
    steps = [int(k * 10**p) for p in range(10) for k in (1, 2, 5)]
    return next((s for s in steps if 5 * s >= most), steps[-1])


def fills(result: Fills) -> go.Figure:
    """Return what filling did to each column: distance from the observed cells, and the change of its spread; crosses are distorted."""
    return fill_effects(result.effects)


def fill_effects(effects: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Return the same from one mapping per filled column, as in ``Fills.effects``."""
    if not effects:
        raise RequestError("no cell was filled", do="nothing needs drawing")
    table, cells = pd.DataFrame([dict(e) for e in effects]), sum(int(e["cells"]) for e in effects)
    table = table.sort_values("distance", ascending=False, kind="stable").iloc[:MOST]
    figure = blank(
        f"What filling {cells:,} cells did to {len(effects)} column{'s' if len(effects) > 1 else ''}",
        "change",
        height=heights(len(table), 34, 150),
        legend=True,
    )
    bent = table["distorted"].to_numpy(bool)
    shown = (
        ("distance", "distance from the observed cells (0 to 1)", BLUE, "circle"),
        ("variance_ratio", "variance, lost or won (share)", ORANGE, "square"),
        ("correlation_change", "largest change of a correlation", CYCLE[2], "diamond"),
    )
    for i, (key, name, colour, symbol) in enumerate(shown):
        value = np.array([np.nan if v is None else float(v) for v in table[key]]) if key in table else np.full(len(table), np.nan)
        value = value - 1 if key == "variance_ratio" else value
        if np.isfinite(value).any():
            figure.add_scatter(
                x=value, y=np.arange(len(table)) + 0.22 * (i - 1), mode="markers", name=name,
                marker={"color": colour, "size": 10, "symbol": [f"{symbol}-x-open" if b else symbol for b in bent]},
                hoverinfo="text", hovertext=[safe(w, 200) for w in table["words"]],
            )  # fmt: skip
    figure.add_vline(x=0.0, line={"color": GREY, "width": 1})
    return name_lines(figure, [
        wrap(f"{clean(c, 24)}: {clean(r, 20)}, {percent(s, 0)}", 30) for c, r, s in zip(table["column"], table["rule"], table["share"])
    ])  # fmt: skip


def parting(result: Parting) -> go.Figure:
    """Return how well probes from outside tell each sensitive column from the state behind the answers, before and after."""
    models = [str(r["model"]) for r in result.board.rows]
    free = result.board.rows[-1]
    gain = f"{result.board.metric.replace('_', ' ')} {free['difference']:+.3g}"
    figure = blank(
        f"What the answers' state still tells ({gain})", "area under the curve of a probe, 0.5 is chance",
        height=heights(len(result.columns), 46, 150), legend=True,
    )  # fmt: skip
    null = np.array([result.told[models[-1]][c]["null"] for c in result.columns])
    figure.add_bar(
        x=2 * (null - 0.5), base=1 - null, y=list(range(len(null))), orientation="h", width=0.8, marker={"color": faded(GREY, 0.28)},
        name="chance (95 %)", hoverinfo="skip",
    )  # fmt: skip
    for i, model in enumerate(models):
        found = [result.told[model][c] for c in result.columns]
        value, low, high = (np.array([f[k] for f in found]) for k in ("auc", "low", "high"))
        figure.add_scatter(
            x=value, y=np.arange(len(found)) + 0.3 * (i - 0.5), mode="markers", name=model, error_x=bars_error(low, high, value),
            marker={"color": CYCLE[i], "symbol": SYMBOLS[i], "size": 10},
        )  # fmt: skip
    figure.update_xaxes(range=[0.4, 1.02])
    return name_lines(figure, [wrap(clean(c, 40)) for c in result.columns])
