"""Figures of the table: findings by severity, missing cells, which cells are missing together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pellucid.report.charts.style import BLUE, GREY, ORANGE, RED, blank, heights, name_lines, safe, wrap
from pellucid.report.words import clean
from pellucid.results import SEVERITIES, Finding

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from pellucid.report.facts import ColumnFact, MissingPattern

_LOOK = {"high": (RED, "x"), "medium": (ORANGE, "/"), "low": (BLUE, "")}


def findings(results: Sequence[Finding]) -> go.Figure:
    """Return how many findings of each kind there are, by severity, gravest kinds on top."""
    kinds = list(dict.fromkeys(f.kind for f in sorted(results, key=lambda f: -SEVERITIES.index(f.severity))))
    figure = blank(f"{len(results)} findings by kind and severity", "findings", height=heights(len(kinds), 30, 130), legend=True)
    for severity in reversed(SEVERITIES):
        count = [sum(f.kind == k and f.severity == severity for f in results) for k in kinds]
        colour, hatch = _LOOK[severity]
        if any(count):
            figure.add_bar(
                x=count,
                y=list(range(len(kinds))),
                orientation="h",
                name=f"{severity} severity",
                marker={
                    "color": colour,
                    "pattern": {"shape": hatch, "fillmode": "overlay", "fgcolor": "rgba(255,255,255,.85)", "solidity": 0.15},
                },
            )
    figure.update_layout(barmode="stack", xaxis={"dtick": max(1, len(results) // 10)})
    return name_lines(figure, [wrap(k.replace("_", " ")) for k in kinds])


def missing_cells(columns: Sequence[ColumnFact], n_rows: int, k: int = 25) -> go.Figure:
    """Return the share of missing cells in each column that has any, most first."""
    some = sorted((c for c in columns if c.n_missing), key=lambda c: -(c.n_missing or 0))[:k]
    share = [100 * (c.n_missing or 0) / max(n_rows, 1) for c in some]
    figure = blank(
        f"Missing cells, {len(some)} column{'s' * (len(some) > 1)} with any", "missing cells (% of rows)", height=heights(len(some), 26)
    )
    figure.add_bar(
        x=share,
        y=list(range(len(some))),
        orientation="h",
        marker={"color": BLUE},
        text=[f"{s:.3g} %" for s in share],
        textposition="outside",
        cliponaxis=False,
        hoverinfo="text",
        hovertext=[f"{safe(c.name)}: {c.n_missing:,} of {n_rows:,} rows" for c in some],
    )
    figure.update_layout(xaxis={"range": [0, 1.18 * max([*share, 1e-9])]})
    return name_lines(figure, [wrap(c.name) for c in some])


def missing_pattern(pattern: MissingPattern, k: int = 12) -> go.Figure:
    """Return which columns are missing together: one line per pattern, a mark where the cell is missing, rows at the right."""
    grid, count = np.asarray(pattern.patterns, bool)[:k], np.asarray(pattern.counts)[:k]
    rows, columns = np.nonzero(grid)
    there = np.nonzero(~grid)
    figure = blank("Which cells are missing together: the commonest patterns", "", height=heights(len(grid), 28, 190))
    figure.add_scatter(
        x=columns,
        y=rows,
        mode="markers",
        marker={"symbol": "square", "size": 16, "color": RED},
        hoverinfo="text",
        hovertext=[f"{safe(pattern.columns[c])} missing in {int(count[r]):,} rows" for r, c in zip(rows, columns)],
    )
    figure.add_scatter(x=there[1], y=there[0], mode="markers", marker={"symbol": "circle", "size": 4, "color": GREY}, hoverinfo="skip")
    name_lines(figure, [f"{int(n):,} rows{'' if g.any() else ' (complete)'}" for n, g in zip(count, grid)])
    return name_lines(figure, [safe(clean(c, 22)) for c in pattern.columns], "x")
