"""Figures of features and factors in a network: how complex, how early learned, how far apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pellucid.errors import RequestError
from pellucid.report.charts.style import (
    BLUE,
    CYCLE,
    DASHES,
    ORANGE,
    SEQUENTIAL,
    SYMBOLS,
    bars_error,
    blank,
    heights,
    name_lines,
    safe,
)
from pellucid.report.words import number

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from pellucid.results import FactorGeometry, FeatureComplexity

__all__ = ["complexity", "geometry", "over_time", "overlap"]

MOST = 25


def complexity(result: FeatureComplexity) -> go.Figure:
    """Return how much of the network each feature takes, beside how much the answers follow it, the simplest on top."""
    order = result.order()[:MOST]
    figure = blank(
        "How much of the network a feature takes", "share, 0 to 1", height=heights(len(order), 34, 160), legend=True
    )  # fmt: skip
    place, value, half = np.arange(len(order)), result.complexity[order], 1.96 * result.complexity_error[order]
    figure.add_bar(
        x=value, y=place, orientation="h", name="complexity (0: the first layer holds it)", marker={"color": BLUE},
        error_x=bars_error(value - half, value + half, value), hoverinfo="x+name",
    )  # fmt: skip
    figure.add_bar(
        x=result.importance[order], y=place, orientation="h", name="share of the answers that it tells alone",
        marker={"color": ORANGE, "pattern": {"shape": "/"}}, hoverinfo="x+name",
    )  # fmt: skip
    return name_lines(figure, [safe(result.features[q], 24) for q in order])


def over_time(result: FeatureComplexity) -> go.Figure:
    """Return how well the last layer holds each feature along the training; a ring marks from where on it stays."""
    if not len(result.steps):
        raise RequestError("the training was not watched", do="pass options={'refit': model.refitter()}")
    figure = blank("When features are learned", "share of the planned training (%)", "R² of a linear model of the last layer", 420, True)
    for i, q in enumerate(result.order()[: len(CYCLE)]):
        name, line = safe(result.features[q], 24), result.over_time[:, q].clip(0, 1)
        figure.add_scatter(
            x=100 * result.steps, y=line, mode="lines", name=f"{name} ({number(float(result.complexity[q]), 0.01)})",
            line={"color": CYCLE[i], "dash": DASHES[i % len(DASHES)]},
        )  # fmt: skip
        if np.isfinite(result.learned[q]):
            at = int(np.argmin(np.abs(result.steps - result.learned[q])))
            figure.add_scatter(
                x=[100 * result.steps[at]], y=[line[at]], mode="markers", showlegend=False, hoverinfo="text",
                hovertext=[f"{name} is held from {number(100 * float(result.learned[q]), 1)} % on"],
                marker={"color": CYCLE[i], "symbol": f"{SYMBOLS[i % len(SYMBOLS)]}-open", "size": 11},
            )  # fmt: skip
    return figure


def geometry(result: FactorGeometry) -> go.Figure:
    """Return linearity and orthogonality of each column in the last layer with 95 % bars, the largest column on top."""
    order = np.argsort(-result.size[-1], kind="stable")[:MOST]
    last = safe(result.layers[-1], 24)
    asked = f"Do the columns add up in {last}?" if result.answers == 1 else f"Does {last} keep the columns apart?"
    figure = blank(f"{asked} ({number(float(result.score[-1]), 0.01)})", "1: wholly",
                   height=heights(len(order), 34, 160), legend=True)  # fmt: skip
    shown = (("linearity", BLUE, "circle", -0.15), ("orthogonality", ORANGE, "square", 0.15))
    for name, colour, symbol, offset in shown:
        value, half = getattr(result, name)[-1][order], 1.96 * getattr(result, f"{name}_error")[-1][order]
        figure.add_scatter(
            x=value, y=np.arange(len(order)) + offset, mode="markers", name=name, marker={"color": colour, "symbol": symbol, "size": 10},
            error_x=bars_error(value - half, value + half, value), hoverinfo="x+name",
        )  # fmt: skip
    figure.update_xaxes(range=[-0.05, 1.08])
    return name_lines(
        figure, [f"{safe(result.columns[j], 24)} ({number(100 * float(result.size[-1, j]), 1)} % of the layer)" for j in order]
    )


def overlap(result: FactorGeometry) -> go.Figure:
    """Return the squared cosines between the vectors of two columns in the last layer."""
    order = np.argsort(-result.size[-1], kind="stable")[:MOST]
    grid, names = result.overlap[np.ix_(order, order)], [safe(result.columns[j], 20) for j in order]
    figure = blank(f"Directions that columns share in {safe(result.layers[-1], 24)}", height=heights(len(order), 26, 190))
    figure.add_heatmap(
        z=grid.tolist(), x=list(range(len(order))), y=list(range(len(order))), zmin=0, zmax=1, xgap=1, ygap=1,
        colorscale=[list(c) for c in SEQUENTIAL], colorbar={"thickness": 8}, hoverinfo="text",
        hovertext=[[f"{a} and {b}: {number(float(v), 0.01)}" for b, v in zip(names, line)] for a, line in zip(names, grid)],
    )  # fmt: skip
    name_lines(figure, names)
    return name_lines(figure, names, "x")
