"""Figures of how the answer runs along a column: the curve with its interval, curves of single rows, and where the rows are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pellucid.errors import RequestError, did_you_mean, quote
from pellucid.report.charts.style import BLUE, CYCLE, DASHES, GREY, SYMBOLS, blank, faded, safe
from pellucid.report.words import cell_text, number, percent
from pellucid.results import Curve

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["curves", "panels"]

MOST_LINES = 60
MOST_OUTPUTS = 6


def curves(result: Curve, column: str | None = None, output: int | None = None, units: dict[str, str] | None = None) -> go.Figure:
    """Return the curve of one column, or of all of a few: mean with 95 % band, grey lines of single rows, grey bars where rows are.

    Parameters
    ----------
    column : one panel; None draws up to nine.
    output : one output; None draws up to six, told apart by dash and colour.
    """
    if column is not None and column not in result.columns:
        known = result.columns
        raise RequestError(f"there is no curve of {column!r}", expected=f"one of {quote(known, 12)}", do=did_you_mean(column, known))
    names = [column] if column is not None else list(result.columns[:9])
    return panels(result, names, output, units or {})


def panels(result: Curve, names: list[str], output: int | None, units: dict[str, str]) -> go.Figure:
    """Return one panel per column, side by side."""
    from plotly.subplots import make_subplots

    outputs = list(range(min(len(result.outputs), MOST_OUTPUTS))) if output is None else [output]
    across = min(3, len(names))
    down = -(-len(names) // across)
    titles = [safe(n, 40) + (f" ({safe(units[n], 20)})" if units.get(n) else "") for n in names]
    kind = {"ale": "accumulated local effect", "pdp": "mean answer", "ice": "answers"}.get(result.method, "answer")
    one = f" of {safe(result.outputs[outputs[0]], 40)}" if len(outputs) == 1 and result.scale in ("log-odds", "probability") else ""
    frame = blank(
        f"{kind.capitalize()} along {titles[0] if len(names) == 1 else 'each column'}, with 95 % bands",
        height=360 if down == 1 else 60 + 300 * down,
        legend=len(outputs) > 1,
    )
    figure = make_subplots(
        rows=down,
        cols=across,
        specs=[[{"secondary_y": True}] * across for _ in range(down)],
        subplot_titles=None if len(names) == 1 else titles,
        horizontal_spacing=0.1,
        vertical_spacing=0.18 if down > 1 else 0,
    )
    marks = list(figure.layout.annotations)
    figure.update_layout(frame.layout)
    figure.update_layout(annotations=marks)
    for i, name in enumerate(names):
        _panel(figure, result, name, outputs, {"row": i // across + 1, "col": i % across + 1}, first=i == 0)
        figure.update_xaxes(
            title={"text": titles[i] if len(names) == 1 else ""},
            showgrid=True,
            gridcolor="rgba(127,127,127,.22)",
            automargin=True,
            zeroline=False,
            row=i // across + 1,
            col=i % across + 1,
        )
        if i % across == 0:
            figure.update_yaxes(
                title={"text": f"{kind} ({safe(result.scale, 30)}{one})", "font": {"size": 11}},
                secondary_y=False,
                row=i // across + 1,
                col=1,
            )
    figure.update_yaxes(showgrid=True, gridcolor="rgba(127,127,127,.22)", zeroline=False, automargin=True, secondary_y=False)
    figure.update_layout(bargap=0.05)
    figure.update_annotations(font={"size": 12}, selector={"showarrow": False})
    if len(names) > 1 and len(outputs) > 1:
        figure.update_layout(legend={"y": 1.1 if down > 1 else 1.16}, margin={"t": 120}, height=figure.layout.height + 40)
    return figure


def _places(points: Any) -> tuple[np.ndarray, list[str] | None, np.ndarray]:
    """Return (x (G,), names of levels or None for numbers and dates, whether a place is the missing cell (G,))."""
    cells = pd.Series(list(points), dtype=object)
    missing = cells.isna().to_numpy()
    known = cells[~missing]
    if len(known) and all(isinstance(v, int | float | np.number) and not isinstance(v, bool | np.bool_) for v in known):
        x = cells.astype(float).to_numpy()
        span = np.ptp(x[~missing]) or 1.0
        return np.where(missing, x[~missing].max() + 0.1 * span, x), None, missing
    if len(known) and all(isinstance(v, pd.Timestamp | np.datetime64) for v in known):
        when = pd.to_datetime(cells)
        return when.fillna(when.max() + 0.1 * (when.max() - when.min())).to_numpy(), None, missing
    return np.arange(len(cells), dtype=float), [safe(cell_text(v), 18) for v in cells], missing


def _panel(figure: go.Figure, result: Curve, name: str, outputs: list[int], at: dict[str, int], *, first: bool) -> None:
    x, levels, missing = _places(result.points[name])
    share, values, interval = (np.asarray(m[name], float) for m in (result.share, result.values, result.interval))
    width = None
    if levels is None and (~missing).sum() > 1 and x.dtype.kind == "f":
        width = _widths(x)
    figure.add_bar(
        x=x,
        y=share,
        width=width,
        marker={"color": "rgba(127,127,127,.28)"},
        name="share of rows",
        showlegend=False,
        secondary_y=True,
        hoverinfo="text",
        hovertext=[f"{percent(float(s))} of rows" for s in share],
        **at,
    )
    figure.update_yaxes(
        range=[0, 4.5 * max(float(share.max(initial=0.0)), 1e-9)],
        showticklabels=False,
        showgrid=False,
        secondary_y=True,
        zeroline=False,
        **at,
    )
    every = [values[:, outputs], interval[:, outputs]]
    if name in result.lines and levels is None:
        every.append(np.asarray(result.lines[name], float)[:MOST_LINES, :, outputs[0]])
        _rows(figure, x, every[-1], missing, at)
    low_end, high_end = _ends(every)
    figure.update_yaxes(range=[low_end - 0.3 * (high_end - low_end), high_end + 0.06 * (high_end - low_end)], secondary_y=False, **at)
    line = ~missing if levels is None else np.zeros(len(x), bool)
    for k, o in enumerate(outputs):
        colour = CYCLE[k % len(CYCLE)] if len(outputs) > 1 else BLUE
        low, high = interval[:, o, 0], interval[:, o, 1]
        told = [f"{safe(result.outputs[o], 40)}: {number(v)} ({number(lo)} to {number(hi)})" for v, lo, hi in zip(values[:, o], low, high)]
        if line.any():
            if np.isfinite(low[line]).any() and len(outputs) <= 3:
                figure.add_scatter(
                    x=np.r_[x[line], x[line][::-1]],
                    y=np.r_[high[line], low[line][::-1]],
                    fill="toself",
                    mode="lines",
                    line={"width": 0},
                    fillcolor=faded(colour),
                    hoverinfo="skip",
                    showlegend=False,
                    **at,
                )
            figure.add_scatter(
                x=x[line],
                y=values[line, o],
                mode="lines+markers",
                name=safe(result.outputs[o], 40),
                showlegend=first and len(outputs) > 1,
                line={"color": colour, "dash": DASHES[k % len(DASHES)] if len(outputs) > 1 else "solid", "width": 2},
                marker={"size": 4, "symbol": SYMBOLS[k % len(SYMBOLS)]},
                hoverinfo="x+text",
                hovertext=[t for t, on in zip(told, line) if on],
                **at,
            )
        rest = ~line
        if rest.any():
            shift = 0.0 if levels is None or len(outputs) == 1 else (k - (len(outputs) - 1) / 2) * 0.12
            figure.add_scatter(
                x=x[rest] if levels is None else x[rest] + shift,
                y=values[rest, o],
                mode="markers",
                hoverinfo="text",
                hovertext=[t for t, on in zip(told, rest) if on],
                marker={"size": 9, "symbol": SYMBOLS[k % len(SYMBOLS)] if levels is not None else "x-thin-open", "color": colour},
                showlegend=first and len(outputs) > 1 and not line.any(),
                name=safe(result.outputs[o], 40),
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": np.nan_to_num(high - values[:, o])[rest].clip(0),
                    "arrayminus": np.nan_to_num(values[:, o] - low)[rest].clip(0),
                    "color": GREY,
                    "thickness": 1.3,
                },
                **at,
            )
    if levels is not None:
        figure.update_xaxes(tickvals=list(range(len(levels))), ticktext=levels, **at)
    elif missing.any():
        figure.add_annotation(
            x=x[missing][0], y=1.0, yref="y domain", text="missing", showarrow=False, font={"size": 10, "color": GREY}, **at
        )


def _widths(x: np.ndarray) -> np.ndarray:
    """Return how wide each bar may be so that none overlaps its neighbours: its smaller gap, at most a twentieth of the axis."""
    order = np.argsort(x, kind="stable")
    gaps = np.r_[np.inf, np.diff(x[order]), np.inf]
    out = np.empty(len(x))
    out[order] = np.minimum(np.minimum(gaps[:-1], gaps[1:]), np.ptp(x) / 20)
    return out


def _ends(parts: list[Any]) -> tuple[float, float]:
    """Return the smallest and the largest finite number, never the same."""
    every = np.concatenate([np.ravel(p) for p in parts])
    every = every[np.isfinite(every)]
    low, high = (float(every.min()), float(every.max())) if len(every) else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _rows(figure: go.Figure, x: Any, lines: Any, missing: Any, at: dict[str, int]) -> None:
    """Draw curves of single rows as one faint trace, breaks between them."""
    shown, at_x = lines[:, ~missing], list(x[~missing])
    figure.add_scatter(
        x=[v for _ in shown for v in (*at_x, None)],
        y=[v for line in shown.tolist() for v in (*line, None)],
        mode="lines",
        line={"color": "rgba(127,127,127,.35)", "width": 1},
        hoverinfo="skip",
        name="single rows",
        showlegend=False,
        **at,
    )
