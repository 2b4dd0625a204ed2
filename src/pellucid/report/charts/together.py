"""Figures of columns that act together: matrix, pairs with errors, and their range over nearly equal models (halo and swarm)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pellucid.errors import RequestError, quote
from pellucid.intervals import error_of_mean
from pellucid.report.charts.style import BLUE, DIVERGING, GREY, ORANGE, SEQUENTIAL, bars_error, blank, heights, name_lines, safe, wrap
from pellucid.report.words import number
from pellucid.results import FloatArray, Interactions
from pellucid.results.owed import owed_of

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["halo", "matrix", "pairs", "swarm"]

TOP = 14


def _of(result: Interactions, row: int | None, output: int) -> tuple[FloatArray, FloatArray | None, str]:
    """Return (one value per set (S,), its standard error or None, whose they are in words)."""
    if row is not None:
        if not 0 <= row < len(result.by_set):
            raise RequestError("there is no such row in the interactions", expected=f"row from 0 to {len(result.by_set) - 1}", got=str(row))
        label = row if result.data is None else result.data.index[row]
        error = None if result.error is None else result.error[row, :, output]
        return result.by_set[row, :, output], error, f"row {safe(label, 20)}"
    values = result.by_set[:, :, output]
    n = len(values)
    if n == 1:
        return values[0], None if result.error is None else result.error[0, :, output], "the whole table"
    size = np.abs(values)
    return size.mean(0), error_of_mean(size), f"{n} rows, mean size"


def matrix(result: Interactions, row: int | None = None, output: int = 0, k: int = TOP) -> go.Figure:
    """Return the pairs as a square, single columns on the diagonal, the columns that take part most; numbers on hover with their errors."""
    values, error, whose = _of(result, row, output)
    grid = result.matrix(np.repeat(values[:, None], len(result.outputs), 1))[:, :, 0]
    off = np.abs(grid - np.diag(np.diag(grid))).sum(0)
    order = np.sort(np.argsort(-off, kind="stable")[:k])
    shown = grid[np.ix_(order, order)]
    error_of = None if error is None else result.matrix(np.repeat(error[:, None], len(result.outputs), 1))[:, :, 0][np.ix_(order, order)]
    has = np.zeros_like(grid, bool)
    place = {c: j for j, c in enumerate(result.columns)}
    for names in result.sets:
        if len(names) <= 2:
            has[place[names[0]], place[names[-1]]] = has[place[names[-1]], place[names[0]]] = True
    shown = np.where(has[np.ix_(order, order)], shown, np.nan)
    labels = [safe(result.columns[j], 18) for j in order]
    most = float(np.nanmax(np.abs(shown))) if np.isfinite(shown).any() else 1.0
    signed = bool((np.nan_to_num(shown) < 0).any())
    title = f"Columns together ({safe(result.index)}), {whose}; on the diagonal alone"
    figure = blank(title, "", height=max(300, 150 + 26 * len(order)))
    figure.add_heatmap(
        z=shown.tolist(),
        x=list(range(len(order))),
        y=list(range(len(order))),
        zmin=-most if signed else 0.0,
        zmax=most or 1.0,
        colorscale=[list(c) for c in (DIVERGING if signed else SEQUENTIAL)],
        xgap=1,
        ygap=1,
        hoverinfo="text",
        colorbar={"thickness": 8, "len": 0.8, "title": {"text": safe(result.scale, 16), "font": {"size": 10}}},
        text=[[f"{v:.2g}" if np.isfinite(v) else "" for v in line] for line in _sparse(shown)] if len(order) <= 10 else None,
        texttemplate="%{text}" if len(order) <= 10 else None,
        textfont={"size": 10},
        hovertext=[
            [_told(labels[i], labels[j], shown[i, j], None if error_of is None else error_of[i, j]) for j in range(len(order))]
            for i in range(len(order))
        ],
    )
    name_lines(figure, labels)
    name_lines(figure, labels, "x")
    figure.update_layout(xaxis={"tickangle": -40}, plot_bgcolor="rgba(127,127,127,.12)")
    return figure


def _sparse(grid: FloatArray) -> FloatArray:
    """Return the grid with what is next to nothing beside its largest value left out, so that the labels can be read."""
    most = np.nanmax(np.abs(grid)) if np.isfinite(grid).any() else 1.0
    return np.where(np.abs(grid) >= 0.1 * most, grid, np.nan)


def _told(a: str, b: str, value: float, error: float | None) -> str:
    names = a if a == b else f"{a} with {b}"
    return (
        f"{names}: not measured"
        if not np.isfinite(value)
        else f"{names}: {number(value)}{'' if error is None else f' ± {number(1.96 * error)}'}"
    )


def pairs(result: Interactions, row: int | None = None, output: int = 0, k: int = TOP) -> go.Figure:
    """Return the k sets of two columns or more with the largest values, with 95 % intervals; ranges over other models as a second line."""
    values, error, whose = _of(result, row, output)
    several = [s for s, names in enumerate(result.sets) if len(names) > 1]
    if not several:
        if len(result.columns) < 2:
            raise RequestError("there are no pairs of one column", expected="interactions of at least two columns or groups")
        raise RequestError("these interactions hold single columns only", do="ask for options={'order': 2}")
    order = [several[s] for s in np.argsort(-np.abs(values[several]), kind="stable")[:k]]
    shown = values[order]
    half = np.zeros(len(order)) if error is None else 1.96 * error[order]
    ranged = result.low is not None and result.high is not None
    what = "Which columns the network relates" if owed_of(result) else "What columns add together"
    figure = blank(
        f"{what} ({safe(result.index)}), {whose}{', with 95 % intervals' if error is not None else ''}",
        safe(result.scale),
        height=heights(len(order), 28, 130),
        legend=ranged,
    )
    names = [" × ".join(result.sets[s]) for s in order]
    figure.add_bar(
        x=shown,
        y=list(range(len(order))),
        orientation="h",
        name="this model",
        hoverinfo="text",
        marker={
            "color": [ORANGE if v < 0 else BLUE for v in shown],
            "pattern": {
                "shape": ["/" if v < 0 else "" for v in shown],
                "fillmode": "replace",
                "solidity": 0.6,
            },
        },
        error_x=bars_error(np.maximum(shown - half, 0.0 if whose.endswith("size") else -np.inf), shown + half, shown),
        hovertext=[f"{safe(n)}: {number(v, h or None)}" for n, v, h in zip(names, shown, half)],
    )
    if ranged:
        low, high = (np.asarray(a)[0 if row is None else row, order, output] for a in (result.low, result.high))
        for i, (lo, hi) in enumerate(zip(low, high)):
            figure.add_scatter(
                x=[lo, hi],
                y=[i + 0.3, i + 0.3],
                mode="lines+markers",
                name="range over nearly equal models",
                showlegend=i == 0,
                line={"color": GREY, "width": 2},
                marker={"symbol": "line-ns-open", "size": 8, "color": GREY},
                hoverinfo="text",
                hovertext=[f"{number(lo)} to {number(hi)}"] * 2,
            )
    figure.add_vline(x=0, line={"color": GREY, "width": 1})
    return name_lines(figure, [wrap(n, 24) for n in names])


def _cloud(result: Interactions) -> pd.DataFrame:
    if result.swarm is None or not len(result.swarm):
        raise RequestError("these interactions speak of one model", do="explain with method='rashomon', or choose kind='matrix'")
    return result.swarm


def swarm(result: Interactions, k: int = TOP) -> go.Figure:
    """Return every nearly equal model as a point on its pair's line, the loss as colour, this model as a diamond (Li et al. 2023)."""
    cloud = _cloud(result)
    names = cloud.groupby("columns", sort=False)["fis"].agg(lambda v: v.abs().max()).sort_values(ascending=False).index[:k].tolist()
    figure = blank(
        "Columns together in every model that is nearly as good", safe(result.scale), height=heights(len(names), 40, 130, 240), legend=True
    )
    for i, name in enumerate(names):
        part = cloud[cloud["columns"] == name]
        own = (part["model"] == "the model").to_numpy()
        for mask, symbol, label in ((~own, "circle", "nearly equal model"), (own, "diamond", "this model")):
            some = part[mask]
            figure.add_scatter(
                x=some["fis"].tolist(),
                y=(i + _wiggle(len(some))).tolist(),
                mode="markers",
                name=label,
                showlegend=i == 0,
                hoverinfo="text",
                marker={
                    "symbol": symbol,
                    "size": 12 if symbol == "diamond" else 6,
                    "opacity": 1 if symbol == "diamond" else 0.75,
                    "line": {"width": 1, "color": GREY},
                    "coloraxis": "coloraxis",
                    "color": some["loss"].tolist(),
                },
                error_x=bars_error(some["fis"] - 1.96 * some["error"], some["fis"] + 1.96 * some["error"], some["fis"])
                if symbol == "diamond"
                else None,
                hovertext=[f"{safe(m, 40)}: {number(f)}, loss {number(lo)}" for m, f, lo in zip(some["model"], some["fis"], some["loss"])],
            )
    figure.add_vline(x=0, line={"color": GREY, "width": 1})
    figure.update_layout(
        coloraxis={
            "colorscale": [list(c) for c in SEQUENTIAL],
            "colorbar": {"title": {"text": "loss"}, "thickness": 8, "len": 0.7, "nticks": 4},
        }
    )
    return name_lines(figure, [wrap(n, 24) for n in names])


def _wiggle(n: int) -> FloatArray:
    return np.linspace(-0.25, 0.25, n) if n > 1 else np.zeros(n)


def halo(result: Interactions, pair: str | None = None) -> go.Figure:
    """Return where the nearly equal models of one pair lie: the factors of the two columns, colour the interaction, the outermost joined.

    Li et al. 2023, arXiv:2305.10181, halo plot. The line is the edge of the set as far as it was searched: the models that spend most of
    the tolerance, by direction from this model. For a pair named ``"a x b"``; None takes the one whose score varies most.
    """
    cloud = _cloud(result)
    known = list(dict.fromkeys(cloud["columns"]))
    spread = cloud.groupby("columns", sort=False)["fis"].agg(lambda v: v.max() - v.min())
    name = pair if pair is not None else str(spread.idxmax())
    if name not in known:
        raise RequestError(f"there is no pair {name!r}", expected=f"one of {quote(known, 8)}")
    part = cloud[(cloud["columns"] == name) & cloud["factor_first"].notna() & cloud["factor_second"].notna()]
    a, b, own = part["factor_first"].to_numpy(float), part["factor_second"].to_numpy(float), (part["model"] == "the model").to_numpy()
    first, second = part["first"].iloc[0], part["second"].iloc[0]
    title = f"Nearly equal models of {safe(first, 30)} and {safe(second, 30)}: how they act together"
    figure = blank(title, f"factor of {safe(first, 40)}", f"factor of {safe(second, 40)}", height=420)
    edge = outline(a, b, part["loss"].to_numpy(float), own)
    figure.add_scatter(x=a[edge], y=b[edge], mode="lines", line={"color": GREY, "dash": "dot"}, hoverinfo="skip", name="edge of the set")
    figure.add_scatter(
        x=a,
        y=b,
        mode="markers",
        hoverinfo="text",
        name="models",
        marker={
            "size": np.where(own, 16, 9),
            "symbol": np.where(own, "diamond", "circle"),
            "color": part["fis"].tolist(),
            "colorscale": [list(c) for c in DIVERGING],
            "cmid": 0,
            "line": {"width": 1, "color": GREY},
            "colorbar": {"title": {"text": "acting<br>together"}, "thickness": 8, "len": 0.8},
        },
        hovertext=[
            f"{safe(m, 40)}: {number(f)} ± {number(1.96 * e)}, loss {number(lo)}"
            for m, f, e, lo in zip(part["model"], part["fis"], part["error"], part["loss"])
        ],
    )
    return figure


def outline(a: FloatArray, b: FloatArray, loss: FloatArray, own: Any, directions: int = 48) -> Any:
    """Return places of the models that spend most of the tolerance in each direction from (1, 1), in order round it and closed."""
    rise = loss - (loss[own].min() if own.any() else loss.min())
    angle = np.arctan2(b - 1.0, a - 1.0)
    away = np.hypot(a - 1.0, b - 1.0) > 1e-12
    box = np.floor((angle + np.pi) / (2 * np.pi) * directions).astype(int) % directions
    best = [max((i for i in np.flatnonzero(away & (box == d))), key=lambda i: rise[i], default=-1) for d in range(directions)]
    kept = np.array([i for i in best if i >= 0], int)
    order = kept[np.argsort(angle[kept], kind="stable")]
    return np.append(order, order[:1])
