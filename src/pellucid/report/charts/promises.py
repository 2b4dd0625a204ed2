"""Figures of promises: coverage by group, the error among fewer and fewer answers, bets against a promise, rows to label."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pellucid.report.charts.style import BLUE, CYCLE, DASHES, GREY, ORANGE, RED, bars_error, blank, faded, heights, name_lines, safe, wrap
from pellucid.report.words import clean, number, percent
from pellucid.results import Coverage, NextRows, RiskCoverage, Watch

if TYPE_CHECKING:
    import plotly.graph_objects as go

_LOOK = {
    "kept": (BLUE, "circle"),
    "short": (BLUE, "triangle-down"),
    "broken": (RED, "x"),
    "more than promised": (ORANGE, "triangle-up"),
    "cannot tell": (GREY, "circle-open"),
}


def coverage(result: Coverage) -> go.Figure:
    """Return the share of truths held in each group, with Wilson bars, the promise, and in grey where chance alone would put it."""
    table = result.table.iloc[::-1].reset_index(drop=True)
    place = np.arange(len(table))
    by = f" by {safe(result.grouping, 40)}" if result.grouping else ""
    figure = blank(f"How often the truth lies inside{by}", "share of rows (%)", height=heights(len(table), 30, 150), legend=True)
    known = np.isfinite(table["expected_low"].to_numpy(float))
    if known.any():
        figure.add_bar(
            x=100 * (table["expected_high"] - table["expected_low"])[known],
            base=100 * table["expected_low"][known],
            y=place[known],
            orientation="h",
            width=0.7,
            marker={"color": faded(GREY, 0.3)},
            name="if the promise is kept (95 %)",
            hoverinfo="skip",
        )
    figure.add_scatter(
        x=100 * table["level"],
        y=place,
        mode="markers",
        marker={"symbol": "line-ns-open", "size": 18, "color": GREY},
        name="promised",
        hoverinfo="skip",
    )
    for verdict, (colour, symbol) in _LOOK.items():
        mine = (table["verdict"] == verdict).to_numpy()
        if not mine.any():
            continue
        rows = table[mine]
        share, low, high = (100 * rows[c].to_numpy(float) for c in ("share", "low", "high"))
        bars = bars_error(low, high, share)
        figure.add_scatter(
            x=share,
            y=place[mine],
            mode="markers",
            marker={"symbol": symbol, "size": 10, "color": colour},
            name=verdict,
            error_x=bars,
            hoverinfo="text",
            hovertext=[
                f"{safe(g)}: {percent(s)} of {n:,} rows, promised {percent(v, 0)}"
                for g, s, n, v in zip(rows["group"], rows["share"], rows["n"], rows["level"])
            ],
        )
    several = table["level"].nunique() > 1
    names = [wrap(f"{clean(g, 40)}, {percent(v, 0)}" if several else clean(g, 40)) for g, v in zip(table["group"], table["level"])]
    return name_lines(figure, names)


def selective(result: RiskCoverage) -> go.Figure:
    """Return the error among the answers given against the share that is given, with its 95 % band, a random order, and groups."""
    y = f"{result.loss}{f' ({result.unit})' if result.unit else ''}"
    figure = blank(
        f"What withholding answers wins: area {number(result.area)}, least {number(result.best)}, random {number(result.overall)}",
        "share of rows answered, the surest first (%)",
        safe(y),
        legend=True,
    )
    x = 100 * result.coverage
    figure.add_scatter(
        x=np.r_[x, x[::-1]],
        y=np.r_[result.low, result.high[::-1]],
        mode="lines",
        fill="toself",
        fillcolor=faded(BLUE, 0.2),
        line={"width": 0},
        hoverinfo="skip",
        name="95 % band",
    )
    figure.add_scatter(x=x, y=result.risk, mode="lines", line={"color": BLUE}, name=f"by {safe(result.doubt, 30)}")
    figure.add_scatter(
        x=[x[0], 100], y=[result.overall] * 2, mode="lines", line={"color": GREY, "dash": "dash"}, name="random order", hoverinfo="skip"
    )
    for i, name in enumerate(dict.fromkeys(result.groups["group"]) if len(result.groups) else ()):
        mine = result.groups[result.groups["group"] == name]
        figure.add_scatter(
            x=100 * mine["coverage"],
            y=mine["risk"],
            mode="lines+markers",
            line={"color": CYCLE[(i + 1) % len(CYCLE)], "dash": DASHES[(i + 1) % len(DASHES)], "width": 1.5},
            name=safe(name, 30),
            hoverinfo="text",
            hovertext=[f"{safe(name)}: {percent(a)} of the group answered, {number(r)}" for a, r in zip(mine["accepted"], mine["risk"])],
        )
    return figure


def watch(result: Watch) -> go.Figure:
    """Return the wealth of bets against the promise after each row, on a log scale, with the height that counts as proof."""
    state = f"coverage {result.broken} its band" if result.broken else "no break noticed"
    figure = blank(f"Bets against the promise of {percent(result.level, 0)}: {state}", "rows seen", "wealth, started at 1", legend=True)
    x = np.arange(1, len(result) + 1)
    step = max(1, len(x) // 2000)
    for name, wealth, colour, dash in (
        ("covers too few", result.below, RED, "solid"), ("covers too many", result.above, BLUE, "dot"),
    ):  # fmt: skip
        figure.add_scatter(x=x[::step], y=np.maximum(wealth, 1e-6)[::step], mode="lines", name=name, line={"color": colour, "dash": dash})
    figure.add_hline(y=result.limit, line={"color": GREY, "dash": "dash"}, annotation={"text": f"alarm at {result.limit:.0f}"})
    return figure.update_yaxes(type="log")


def next_rows(result: NextRows) -> go.Figure:
    """Return the rows to label, the first on top, by their doubt."""
    n = min(len(result), 40)
    figure = blank(f"{n} rows to label next", f"doubt ({safe(result.kind)}, {safe(result.unit)})", height=heights(n, 24))
    figure.add_bar(
        x=result.doubt[:n][::-1],
        y=list(range(n)),
        orientation="h",
        marker={"color": BLUE},
        hoverinfo="text",
        hovertext=[f"row {safe(i)}: {number(float(d))}" for i, d in zip(result.index[:n][::-1], result.doubt[:n][::-1])],
    )
    return name_lines(figure, [f"row {safe(i, 20)}" for i in result.index[:n][::-1]])
