"""Rows grouped by what decided them: the rows with their nearest, and what decides each cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pellucid.errors import RequestError
from pellucid.report.charts.style import BLUE, CYCLE, RED, SEQUENTIAL, bars_error, blank, heights, line_at, name_lines, safe, wrap
from pellucid.report.words import number
from pellucid.results import Clusters

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["reasons", "rows", "wrong"]

MARKS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "hexagon", "triangle-down")
COLUMNS = 12


def rows(result: Clusters) -> go.Figure:
    """Return the rows as points, joined to their nearest by reasons; colour and shape by cluster, wrong rows with a ring."""
    figure = blank(
        f"Rows by what decided them: {safe(result.words, 300)}", "first axis of the reasons", "second axis", height=460, legend=True
    )
    ends = result.places[result.edges]
    gaps = np.full((len(ends), 1, 2), np.nan)
    path = np.concatenate([ends, gaps], 1).reshape(-1, 2)
    figure.add_scatter(
        x=path[:, 0], y=path[:, 1], mode="lines", line={"color": "rgba(127,127,127,.25)", "width": 1}, hoverinfo="skip", showlegend=False
    )
    told = result.summary["decided_by"].tolist()
    for g in range(1, len(result.summary) + 1):
        at = result.rows(g)
        figure.add_scatter(
            x=result.places[at, 0],
            y=result.places[at, 1],
            mode="markers",
            name=f"cluster {g}: {len(at)} rows",
            marker={"size": 7, "color": CYCLE[(g - 1) % len(CYCLE)], "symbol": MARKS[(g - 1) % len(MARKS)]},
            hoverinfo="text",
            hovertext=[f"row {safe(result.index[i], 20)}, cluster {g}: {safe(told[g - 1], 120)}" for i in at],
        )
    if result.wrong is not None and result.wrong.any():
        at = np.flatnonzero(result.wrong)
        figure.add_scatter(
            x=result.places[at, 0],
            y=result.places[at, 1],
            mode="markers",
            name="wrong",
            marker={"size": 13, "color": RED, "symbol": "circle-open", "line": {"width": 1.5}},
            hoverinfo="text",
            hovertext=[f"row {safe(result.index[i], 20)}: of the {safe(result.wrong_words, 80)}" for i in at],
        )
    return figure


def reasons(result: Clusters) -> go.Figure:
    """Return which share of the reasons each column has in each cluster, the columns with the largest shares first."""
    order = np.argsort(-result.shares.max(0), kind="stable")[:COLUMNS]
    grid = 100 * result.shares[:, order]
    names = [wrap(result.columns[j], 18) for j in order]
    groups = [f"cluster {g}, {n} rows" for g, n in zip(result.summary["cluster"], result.summary["rows"])]
    shown = [[number(100 * v, 196 * e or None) for v, e in zip(*some)] for some in zip(result.shares[:, order], result.error[:, order])]
    figure = blank(f"What decides each cluster of rows ({safe(result.scale)})", height=heights(len(groups), 40, 190))
    figure.add_heatmap(
        z=grid.tolist(),
        x=list(range(len(order))),
        y=list(range(len(groups))),
        zmin=0,
        xgap=1,
        ygap=1,
        colorscale=[list(c) for c in SEQUENTIAL],
        colorbar={"ticksuffix": " %", "thickness": 8},
        hoverinfo="text",
        hovertext=[
            [f"{group}: {safe(result.columns[j])} {share} %" for j, share in zip(order, shares)] for group, shares in zip(groups, shown)
        ],
    )
    name_lines(figure, groups)
    name_lines(figure, names, "x")
    figure.update_layout(xaxis={"tickangle": -40})
    return figure


def wrong(result: Clusters) -> go.Figure:
    """Return the share of wrong rows in each cluster with 95 % intervals; the line is the share in all rows."""
    if result.wrong is None:
        raise RequestError("which rows are wrong is not known", do="pass y=, or choose kind='rows'")
    s = result.summary
    figure = blank(f"Where the wrong rows lie: {safe(result.wrong_words, 80)}", "share of the cluster's rows (%)", height=heights(len(s)))
    figure.add_bar(
        x=(100 * s["rate"]).tolist(),
        y=list(range(len(s))),
        orientation="h",
        marker={"color": BLUE},
        error_x=bars_error(100 * s["low"], 100 * s["high"], 100 * s["rate"]),
        hoverinfo="text",
        hovertext=[f"{w} of {n} rows; by chance as many: p = {number(p)}" for w, n, p in zip(s["wrong"], s["rows"], s["p_value"])],
    )
    line_at(figure, 100 * float(s["null"].iloc[0]), "all rows")
    return name_lines(figure, [f"cluster {g}" for g in s["cluster"]])
