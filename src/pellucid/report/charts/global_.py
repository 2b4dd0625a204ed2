"""Figures of a whole table's reasons and of the models compared: importance, scores, power against readability."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pellucid.errors import RequestError
from pellucid.report.charts.style import BLUE, CYCLE, DIVERGING, GREY, ORANGE, SYMBOLS, bars_error, blank, heights, name_lines, safe, wrap
from pellucid.report.words import label, number
from pellucid.results import Explanation, Importance, Importances, Leaderboard

if TYPE_CHECKING:
    import plotly.graph_objects as go


def importance(result: Importance | Explanation, k: int = 15) -> go.Figure:
    """Return the k most important columns as bars with their 95 % interval."""
    what = result.mean_abs() if isinstance(result, Explanation) else result
    frame = what.to_frame().head(k)
    title = f"The {len(frame)} most important of {len(what.columns)} columns" if len(what.columns) > k else "Importance of each column"
    figure = blank(f"{title}, with 95 % intervals", f"{safe(what.method)} ({safe(what.scale)})", height=heights(len(frame), 26))
    spans = [f"{number(v)} ({number(lo)} to {number(hi)})" for v, lo, hi in zip(frame["importance"], frame["low"], frame["high"])]
    figure.add_bar(
        x=frame["importance"].tolist(),
        y=list(range(len(frame))),
        orientation="h",
        marker={"color": BLUE},
        error_x=bars_error(frame["low"], frame["high"], frame["importance"]),
        hoverinfo="text",
        hovertext=[f"{safe(c)}: {s}" for c, s in zip(frame["column"], spans)],
    )
    return name_lines(figure, [wrap(c) for c in frame["column"]])


def seats(result: Importance) -> go.Figure:
    """Return an importance in whole seats as a parliament: one dot a seat, columns side by side in the half circle, largest first."""
    result = result if result.scale == "seats" else result.seats(100)
    total = round(float(result.values.sum()))
    order = [int(j) for j in np.argsort(-result.values, kind="stable") if result.values[j] > 0]
    rings = max(1, round(np.sqrt(total / 6)))
    radius = np.linspace(0.45, 1.0, rings) if rings > 1 else np.array([1.0])
    share = np.floor(total * radius / radius.sum()).astype(int)
    share[-1] += total - share.sum()
    ring = np.repeat(np.arange(rings), share)
    angle = np.concatenate([np.linspace(np.pi, 0, n) if n > 1 else np.array([np.pi / 2]) for n in share])
    place = np.argsort(-angle, kind="stable")
    figure = blank(f"{total} seats by {safe(result.method)}", height=440, legend=True)
    start = 0
    for i, j in enumerate(order):
        mine = place[start : start + round(float(result.values[j]))]
        start += len(mine)
        figure.add_scatter(
            x=radius[ring[mine]] * np.cos(angle[mine]),
            y=radius[ring[mine]] * np.sin(angle[mine]),
            mode="markers",
            name=f"{safe(result.columns[j], 24)}: {len(mine)}",
            marker={"size": 12, "color": CYCLE[i % len(CYCLE)], "symbol": SYMBOLS[(i // len(CYCLE) + i) % len(SYMBOLS)]},
            hoverinfo="name",
        )
    figure.update_layout(
        xaxis={"visible": False},
        yaxis={"visible": False, "scaleanchor": "x"},
        legend={"y": -0.02, "yanchor": "top"},
        margin={"t": 50, "b": 10},
    )
    return figure


def side_by_side(result: Importances, k: int = 15) -> go.Figure:
    """Return each way's importances as shares of their sum, bars side by side, the columns that rank highest first."""
    frame = result.to_frame().head(k)
    place = [result.columns.index(c) for c in frame["column"]]
    shares = 100 * result.shares()[place]
    total = np.maximum(np.nan_to_num(result.values), 0).sum(0)
    figure = blank(
        f"Importance of {len(place)} columns in {len(result.measures)} ways", "share of the way's sum (%)", "",
        heights(len(place), 14 * len(result.measures) + 14), legend=True,
    )  # fmt: skip
    for m, name in enumerate(result.measures):
        scale = 100 / total[m] if total[m] > 0 else np.nan
        figure.add_bar(
            x=shares[:, m],
            y=list(range(len(place))),
            orientation="h",
            name=safe(name, 40),
            marker={"color": CYCLE[m % len(CYCLE)], "pattern": {"shape": ("", "/", ".", "x", "-", "+")[m % 6]}},
            error_x=bars_error(result.interval[place, m, 0] * scale, result.interval[place, m, 1] * scale, shares[:, m]),
            hoverinfo="text",
            hovertext=[f"{safe(result.columns[j])}, {safe(name)}: {number(result.values[j, m])} ({safe(result.units[m])})" for j in place],
        )
    return name_lines(figure, [wrap(result.columns[j]) for j in place])


def rank_agreement(result: Importances) -> go.Figure:
    """Return the rank correlations of the ways."""
    names = [wrap(n, 18) for n in result.measures]
    told = f", unrelated orders stay below {number(result.chance, 0.01)}" if np.isfinite(result.chance) else ""
    figure = blank(f"Rank correlation of the ways over {len(result.columns)} columns{told}", height=heights(len(names), 44, 170))
    figure.add_heatmap(
        z=result.correlation.tolist(), x=list(range(len(names))), y=list(range(len(names))), zmin=-1, zmax=1, xgap=1, ygap=1,
        colorscale=[list(c) for c in DIVERGING], colorbar={"thickness": 8}, texttemplate="%{z:.2f}", hoverinfo="skip",
    )  # fmt: skip
    name_lines(figure, names)
    return name_lines(figure, names, "x")


def _column(board: Leaderboard, name: str) -> np.ndarray:
    return np.array([np.nan if row.get(name) is None else float(row[name]) for row in board.rows])


def leaderboard(result: Leaderboard) -> go.Figure:
    """Return each model's score with its 95 % interval; the reference is a filled diamond and a dashed line."""
    names = [str(row["model"]) for row in result.rows]
    score, low, high = (_column(result, n) for n in ("score", "low", "high"))
    figure = blank(
        f"{label(result.metric)} of each model on the same test rows, with 95 % intervals",
        label(result.metric),
        height=heights(len(names), 34),
    )
    is_reference = [n == result.reference for n in names]
    figure.add_scatter(
        x=score,
        y=list(range(len(names))),
        mode="markers",
        error_x=bars_error(low, high, score),
        hoverinfo="text",
        marker={
            "size": 10,
            "color": [ORANGE if r else BLUE for r in is_reference],
            "symbol": ["diamond" if r else "circle" for r in is_reference],
        },
        hovertext=[f"{safe(n)}: {number(s)} ({number(lo)} to {number(hi)})" for n, s, lo, hi in zip(names, score, low, high)],
    )
    for place, reference in enumerate(is_reference):
        if reference and np.isfinite(score[place]):
            figure.add_vline(x=float(score[place]), line={"color": GREY, "dash": "dash", "width": 1})
    return name_lines(figure, [wrap(n) + (" (reference)" if r else "") for n, r in zip(names, is_reference)])


def power_readability(result: Leaderboard) -> go.Figure:
    """Return score against the measured size of an explanation: how many columns carry 90 % of an average row's contributions."""
    size, score = _column(result, "explanation_size"), _column(result, "score")
    keep = np.isfinite(size) & np.isfinite(score)
    if not keep.any():
        raise RequestError(
            "no model of this comparison has a measured explanation size", do="compare with explanations, or choose kind='leaderboard'"
        )
    names = [str(row["model"]) for row, k in zip(result.rows, keep) if k]
    low, high = _column(result, "low")[keep], _column(result, "high")[keep]
    title = "Power against readability: few columns to read is left, measured, not opinion"
    figure = blank(title, "columns that carry 90 % of an average row's contributions", label(result.metric), height=380)
    figure.add_scatter(
        x=size[keep],
        y=score[keep],
        mode="markers+text",
        text=[safe(n, 20) for n in names],
        textposition="top center",
        cliponaxis=False,
        error_y=bars_error(low, high, score[keep]),
        hoverinfo="x+y+text",
        marker={"size": 11, "color": BLUE, "symbol": [SYMBOLS[i % len(SYMBOLS)] for i in range(len(names))]},
    )
    return figure
