"""Figures of the inside of a network: attention by layer and head, what heads add, regions of single units on two columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pellucid.errors import RequestError
from pellucid.intervals import Z95, error_of_mean
from pellucid.report.charts.style import (
    BLUE,
    CYCLE,
    DIVERGING,
    ORANGE,
    SEQUENTIAL,
    bars_error,
    blank,
    heights,
    name_lines,
    safe,
    whole_steps,
)
from pellucid.report.words import cell_text, number
from pellucid.results import AttentionMaps, HeadImportance, Heads, LayerProbes, LayerRelevance, UnitMaps
from pellucid.table.cells import written_numbers

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["attention", "bias", "head_importance", "heads", "layers", "relevance", "units"]


def attention(result: AttentionMaps, row: int | None = None) -> go.Figure:
    """Return the map of attention, its layer and head chosen from a list: who looks (lines) at whom (columns)."""
    _, layers, heads, t, _ = result.values.shape
    choices: list[tuple[str, int | None, int | None]] = [("all layers and heads, mean", None, None)]
    choices += [(f"layer {la}, mean of heads", la, None) for la in range(layers)] if layers > 1 else []
    choices += [(f"layer {la}, head {h}", la, h) for la in range(layers) for h in range(heads)] if heads > 1 else []
    names = [safe(c, 18) for c in result.tokens]
    whose = f"row {safe(result.index[row], 20)}" if row is not None else f"mean of {len(result)} rows"
    figure = blank(
        f"Where the network looks, {whose}: a line shares 100 % of its attention", "is looked at", "looks", height=max(360, 190 + 26 * t)
    )
    for i, (_, layer, head) in enumerate(choices):
        grid = 100 * result.mean(layer, head, row)
        figure.add_heatmap(
            z=grid.tolist(),
            x=list(range(t)),
            y=list(range(t)),
            visible=i == 0,
            zmin=0,
            zmax=float(grid.max()) or 1.0,
            xgap=1,
            ygap=1,
            colorscale=[list(c) for c in SEQUENTIAL],
            colorbar={"ticksuffix": " %", "thickness": 8, "len": 0.8},
            hoverinfo="text",
            hovertext=[[f"{a} gives {b} {number(grid[x, y])} %" for y, b in enumerate(names)] for x, a in enumerate(names)],
        )
    name_lines(figure, names)
    name_lines(figure, names, "x")
    buttons = [
        {"label": label, "method": "restyle", "args": [{"visible": [k == i for k in range(len(choices))]}]}
        for i, (label, *_) in enumerate(choices)
    ]
    if len(choices) > 1:
        menu = {
            "name": "layer and head",
            "buttons": buttons,
            "x": 0,
            "xanchor": "left",
            "y": 1.02,
            "yanchor": "bottom",
            "bgcolor": "#fff",
            "font": {"color": "#222"},
            "pad": {"b": 4},
        }
        figure.update_layout(updatemenus=[menu], margin={"t": 100})
    figure.update_layout(xaxis={"tickangle": -40})
    return figure


def heads(result: Heads, output: int = 0) -> go.Figure:
    """Return what each head adds to the answer, the mean size over rows, by layer, with 95 % intervals."""
    frame = result.to_frame()
    frame = frame[frame["output"] == result.outputs[output]].sort_values(["layer", "head"])
    n = len(result.values)
    half = np.nan_to_num(Z95 * error_of_mean(np.abs(result.values[..., output]))).reshape(-1)
    size = frame["size"].to_numpy(float)
    figure = blank(
        f"What each attention head adds to {safe(result.outputs[output], 40)}, mean size over {n} rows",
        f"size ({safe(result.scale)})",
        height=heights_of(len(frame)),
    )
    names = [f"layer {la}, head {h}" for la, h in zip(frame["layer"], frame["head"])]
    figure.add_bar(
        x=size,
        y=list(range(len(frame))),
        orientation="h",
        marker={"color": BLUE},
        error_x=bars_error(np.maximum(size - half, 0.0), size + half, size),
        hoverinfo="text",
        hovertext=[f"{a}: {number(s, h or None)}, with its sign {number(v)}" for a, s, h, v in zip(names, size, half, frame["value"])],
    )
    return name_lines(figure, names)


def head_importance(result: HeadImportance) -> go.Figure:
    """Return the rise of the loss without each head, with 95 % intervals, coloured and hatched by pattern; diamonds are the estimate."""
    frame = result.to_frame()
    figure = blank(
        f"Attention heads taken out one at a time; the estimate ranks them alike by {number(result.agreement, 0.01)}",
        f"rise of the {safe(result.unit)}", height=heights_of(len(frame)), legend=True,
    )  # fmt: skip
    told = {r["pattern"]: r["looks_at"] for r in result.patterns().to_dict("records")}
    value, half = frame["value"].to_numpy(), 1.96 * np.nan_to_num(frame["error"].to_numpy())
    for k, looks in told.items():
        at = np.flatnonzero(frame["pattern"].to_numpy() == k)
        figure.add_bar(
            x=value[at], y=at.tolist(), orientation="h", width=0.8,  # of few bars alone, plotly would make them as wide as their gaps
            name=f"pattern {k}: {safe(looks, 60)}",
            marker={"color": CYCLE[(k - 1) % len(CYCLE)], "pattern": {"shape": ("", "/", ".", "x", "-", "+")[(k - 1) % 6]}},
            error_x=bars_error(value[at] - half[at], value[at] + half[at], value[at]), hoverinfo="text",
            hovertext=[f"{number(value[i])} ± {number(half[i])}, looks at {number(frame['strength'].iloc[i], 0.1)} tokens" for i in at],
        )  # fmt: skip
    figure.add_scatter(
        x=frame["estimate"], y=list(range(len(frame))), mode="markers", name="estimate from one pass back", hoverinfo="x",
        marker={"symbol": "diamond-open", "size": 8, "color": "#111"},
    )  # fmt: skip
    figure.update_layout(barmode="overlay")
    whose = [f"network {k}, " for k in frame["network"]] if "network" in frame else [""] * len(frame)
    return name_lines(figure, [f"{w}layer {la}, head {h}" for w, la, h in zip(whose, frame["layer"], frame["head"])])


def layers(result: LayerProbes, k: int = 20) -> go.Figure:
    """Return what a linear model reads in each layer, input side first."""
    shown = list(range(min(k, len(result.quantities))))
    names = [safe(result.quantities[q], 24) + ("" if result.kinds[q] == "column" else f" [{result.kinds[q]}]") for q in shown]
    grid, error = result.readable[:, shown].T, result.error[:, shown].T
    figure = blank("What can be read in each layer: R² of a linear model on held-out rows", height=heights(len(shown), 26, 170))
    figure.add_heatmap(
        z=grid.clip(0, 1).tolist(), x=list(range(len(result.layers))), y=list(range(len(shown))), zmin=0, zmax=1, xgap=1, ygap=1,
        colorscale=[list(c) for c in SEQUENTIAL], colorbar={"thickness": 8}, hoverinfo="text",
        hovertext=[
            [f"{n} in {safe(la)}: {number(v, 1.96 * e or None)} ± {number(1.96 * e)}" for la, v, e in zip(result.layers, *pair)]
            for n, pair in zip(names, zip(grid, error))
        ],
    )  # fmt: skip
    name_lines(figure, names)
    return name_lines(figure, [safe(la, 24) for la in result.layers], "x")


def bias(result: LayerProbes) -> go.Figure:
    """Return what each column does to the answer beside its share of the last layer: they need not go together."""
    frame = result.bias()
    if frame.empty:
        raise RequestError("no column of this network can be told by its cells", do="choose kind='layers'")
    layer = f"share of the layer {safe(result.layers[-1])}"
    figure = blank(
        f"Effect on the answer and {layer}: a large share is no large effect", "share of the variance (%)",
        height=heights(len(frame), 34), legend=True,
    )  # fmt: skip
    place = list(range(len(frame)))
    effect, half = 100 * frame["effect"].to_numpy(), 196 * frame["error"].to_numpy()
    figure.add_bar(
        x=effect, y=place, orientation="h", name="effect on the answer", marker={"color": BLUE},
        error_x=bars_error(effect - half, effect + half, effect), hoverinfo="x+name",
    )  # fmt: skip
    figure.add_bar(
        x=100 * frame["variance"].to_numpy(), y=place, orientation="h", name=layer,
        marker={"color": ORANGE, "pattern": {"shape": "/"}}, hoverinfo="x+name",
    )  # fmt: skip
    return name_lines(figure, [safe(c, 24) for c in frame["quantity"]])


def relevance(result: LayerRelevance) -> go.Figure:
    """Return the share of the relevance that each layer's own weights handle, with 95 % intervals, the layers input side first."""
    at = np.flatnonzero(np.isfinite(result.values))
    if not len(at):
        raise RequestError("no layer of this network has weights to be ranked by", do="look at to_frame()")
    figure = blank(
        f"Relevance that goes through each layer's own weights, {len(result.index)} rows", "share of the sizes (%)",
        height=heights_of(len(at)),
    )  # fmt: skip
    value, half = 100 * result.values[at], 196 * np.nan_to_num(result.error[at])
    kept = np.abs(result.constants).mean((1, 2))[at]
    figure.add_bar(
        x=value, y=list(range(len(at))), orientation="h", marker={"color": BLUE},
        error_x=bars_error(value - half, value + half, value), hoverinfo="text",
        hovertext=[
            f"{safe(result.layers[k])}: {number(v, h or None)} ± {number(h)} %; its constants keep {number(c)} of the answer "
            f"({safe(result.scale)}, mean size)"
            for k, v, h, c in zip(at, value, half, kept)
        ],
    )  # fmt: skip
    return name_lines(figure, [safe(result.layers[k], 24) for k in at])


def heights_of(n: int) -> int:
    """Return the height of a figure of n lines."""
    return heights(n, 24)


def _axis(cells: Any) -> tuple[Any, list[str] | None]:
    """Return (places, names of levels or None): numbers stay numbers where no cell is missing."""
    series = pd.Series(list(cells), dtype=object)
    if series.notna().all() and all(isinstance(v, int | float | np.number) and not isinstance(v, bool | np.bool_) for v in series):
        return series.astype(float).tolist(), None
    return list(range(len(series))), [safe(cell_text(v), 16) for v in series]


def units(result: UnitMaps, row: int | None = None, k: int = 6) -> go.Figure:
    """Return maps of the units that vary most and of the answer (last), on the two columns; circles are the rows asked."""
    from plotly.subplots import make_subplots

    if row is not None and not 0 <= row < len(result.index):
        raise RequestError("there is no such row in the unit maps", expected=f"row from 0 to {len(result.index) - 1}", got=str(row))
    chosen = list(range(min(k - 1, len(result)))) if row is None else result.strongest(row, k - 1)
    shown = [
        (
            result.units[u] + (f", r = {result.weights[u]:+.2f}" if np.isfinite(result.weights[u]) else ""),
            result.values[u],
        )
        for u in chosen
    ]
    shown.append((f"the answer: {safe(result.outputs[0], 30)}", result.answers[0]))
    across = min(3, len(shown))
    down = -(-len(shown) // across)
    figure = make_subplots(
        rows=down,
        cols=across,
        subplot_titles=[safe(t, 48) for t, _ in shown],
        horizontal_spacing=0.07,
        vertical_spacing=0.2 if down > 1 else 0,
    )
    marks = list(figure.layout.annotations)
    first, second = (safe(c, 30) for c in result.columns)
    held = f"; other cells as in row {safe(result.held, 20)}" if result.held is not None else ""
    held += "; r: correlation of a unit with the answer"
    figure.update_layout(blank(f"What units answer to {first} and {second}{held}", height=100 + 260 * down).layout)
    figure.update_layout(annotations=marks)
    figure.update_annotations(font={"size": 11})
    (x, x_names), (y, y_names) = _axis(result.x), _axis(result.y)
    for i, (_, grid) in enumerate(shown):
        at = {"row": i // across + 1, "col": i % across + 1}
        signed = bool(np.nanmin(grid) < 0 < np.nanmax(grid))
        most = float(np.abs(grid).max()) or 1.0
        figure.add_heatmap(
            x=x,
            y=y,
            z=grid.tolist(),
            showscale=False,
            colorscale=[list(c) for c in (DIVERGING if signed else SEQUENTIAL)],
            hoverongaps=False,
            zmin=-most if signed else float(grid.min()),
            zmax=most if signed else float(grid.max()) or 1.0,
            hovertemplate="%{z:.4g}<extra></extra>",
            **at,
        )
        _points(figure, result, row, x_names, y_names, at)
        for update, places, names in ((figure.update_xaxes, x, x_names), (figure.update_yaxes, y, y_names)):
            update(**(whole_steps(places) if names is None else {"tickvals": list(range(len(names))), "ticktext": names}), **at)
        figure.update_xaxes(title={"text": first if i // across == down - 1 else "", "font": {"size": 11}}, automargin=True, **at)
        figure.update_yaxes(title={"text": second if i % across == 0 else "", "font": {"size": 11}}, automargin=True, **at)
    return figure


def _points(figure: go.Figure, result: UnitMaps, row: int | None, x_names: Any, y_names: Any, at: dict[str, int]) -> None:
    """Draw the rows asked where both columns are numbers; one row as a diamond."""
    if x_names is not None or y_names is not None:
        return
    cells = result.points.apply(written_numbers).to_numpy(float)
    inside = (cells >= [min(result.x), min(result.y)]).all(1) & (cells <= [max(result.x), max(result.y)]).all(1)
    rows = np.flatnonzero(inside)[:150] if row is None else np.array([row])
    marker = {
        "size": 4 if row is None else 12,
        "symbol": "circle-open" if row is None else "diamond",
        "color": "#111",
        "opacity": 0.55 if row is None else 1,
    }
    figure.add_scatter(
        x=cells[rows, 0],
        y=cells[rows, 1],
        mode="markers",
        marker=marker,
        showlegend=False,
        hoverinfo="text",
        hovertext=[f"row {safe(result.index[i], 20)}" for i in rows],
        **at,
    )
