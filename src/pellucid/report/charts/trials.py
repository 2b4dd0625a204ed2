"""Figures of trials: the figure against its null, and the curves behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid.errors import RequestError
from pellucid.report.charts.style import (
    BLUE,
    CYCLE,
    DASHES,
    GREEN,
    GREY,
    RED,
    SYMBOLS,
    bars_error,
    blank,
    heights,
    line_at,
    name_lines,
    safe,
    wrap,
)
from pellucid.report.words import clean, number
from pellucid.results import Trial

if TYPE_CHECKING:
    import plotly.graph_objects as go

_LOOK = {"pass": ("circle", GREEN, "PASS"), "fail": ("x", RED, "FAIL"), "not testable": ("circle-open", GREY, "NOT TESTED")}


def badge_chart(result: Trial) -> go.Figure:
    """Return the trial's figure with its 95 % interval against its null, the verdict as word, shape and colour; its parts below."""
    symbol, colour, word = _LOOK[result.verdict]
    name = result.name.replace("_", " ")
    parts = [(name, result.figure, *result.interval)] if np.isfinite(result.figure) else []
    parts += [(k.replace("_", " "), *v) for k, v in _triples(result).items() if v[0] != result.figure or k == "signed"]
    title = f"{word}: {safe(name)} of {safe(result.subject or result.record.method)}, with 95 % intervals"
    figure = blank(title, safe(clean(result.details.get("unit", "figure"), 80)), height=heights(len(parts), 34, 130))
    if parts:
        value, low, high = zip(*(p[1:] for p in parts))
        figure.add_scatter(
            x=value,
            y=list(range(len(parts))),
            mode="markers",
            marker={"size": 12, "symbol": symbol, "color": colour},
            error_x=bars_error(low, high, value),
            hoverinfo="text",
            hovertext=[f"{number(v)} ({number(lo)} to {number(hi)})" for v, lo, hi in zip(value, low, high)],
        )
    if np.isfinite(result.null):
        line_at(figure, float(result.null), f"null {number(result.null)}")
    return name_lines(figure, [wrap(p[0]) for p in parts])


def _triples(result: Trial) -> dict[str, tuple[float, float, float]]:
    """Further figures with intervals in the details, kept as (value, low, high)."""
    out: dict[str, tuple[float, float, float]] = {}
    for key, value in result.details.items():
        triple = isinstance(value, list | tuple) and len(value) == 3 and all(isinstance(v, float | int) for v in value)
        if triple and value[1] <= value[0] <= value[2]:
            out[key] = (float(value[0]), float(value[1]), float(value[2]))
    return out


def curve(result: Trial) -> go.Figure:
    """Return the curve in ``details["curve"]``: steps of (name or number, figure, further figures), in order, with the null as a line.

    ``details["curve_names"]`` names the figures; without it they are the order of sizes and the order with signs.
    """
    if not has_curve(result):
        raise RequestError(f"the trial {result.name!r} kept no curve", do="choose kind='badge'")
    steps = result.details["curve"]
    names = result.details.get("curve_names", ("order of sizes", "order with signs"))
    words = isinstance(steps[0][0], str)
    x = list(range(len(steps))) if words else [float(s[0]) for s in steps]
    title = f"{_LOOK[result.verdict][2]}: {safe(result.name.replace('_', ' '))} of {safe(result.subject or result.record.method)}"
    axis = "weights replaced, up to this layer" if words else "step"
    figure = blank(title, axis, "agreement with the original" if words else "figure", height=340, legend=len(steps[0]) > 2)
    for i in range(len(steps[0]) - 1):
        figure.add_scatter(
            x=x,
            y=[s[i + 1] for s in steps],
            name=safe(names[i] if i < len(names) else f"figure {i + 1}"),
            mode="lines+markers",
            line={"color": CYCLE[i % len(CYCLE)], "dash": DASHES[i % len(DASHES)]},
            marker={"symbol": SYMBOLS[i % len(SYMBOLS)], "size": 7},
        )
    if np.isfinite(result.null):
        note = {"text": f"null {number(result.null)}", "font": {"size": 11}}
        figure.add_hline(y=float(result.null), line={"color": GREY, "dash": "dash"}, annotation=note)
    return name_lines(figure, [safe(s[0], 16) for s in steps], "x") if words else figure


def has_curve(result: Trial) -> bool:
    """Return whether the trial kept a curve to draw."""
    steps = result.details.get("curve")
    return isinstance(steps, list | tuple) and len(steps) > 1 and all(isinstance(s, list | tuple) and len(s) > 1 for s in steps)


def has_parts(result: Trial) -> bool:
    """Return whether the trial kept further figures with intervals beside its own."""
    return bool(_triples(result))


def overview(results: Sequence[Trial]) -> go.Figure:
    """Return several trials, one line each: figure with interval, null as a tick, verdict as shape and colour."""
    shown = [t for t in results if np.isfinite(t.figure)]
    figure = blank("Each trial's figure with its 95 % interval; the tick is its null", "figure", height=heights(len(shown), 34))
    for verdict, (symbol, colour, word) in _LOOK.items():
        rows = [i for i, t in enumerate(shown) if t.verdict == verdict]
        if not rows:
            continue
        value = [shown[i].figure for i in rows]
        figure.add_scatter(
            x=value,
            y=rows,
            mode="markers",
            name=word,
            marker={"symbol": symbol, "color": colour, "size": 11},
            error_x=bars_error([shown[i].interval[0] for i in rows], [shown[i].interval[1] for i in rows], value),
            hoverinfo="x+name",
        )
    nulls = [(t.null, i) for i, t in enumerate(shown) if np.isfinite(t.null)]
    if nulls:
        figure.add_scatter(
            x=[n for n, _ in nulls],
            y=[i for _, i in nulls],
            mode="markers",
            name="null",
            hoverinfo="x+name",
            marker={"symbol": "line-ns-open", "size": 18, "color": GREY, "line": {"width": 2}},
        )
    figure.update_layout(showlegend=True)
    return name_lines(figure, [wrap(f"{t.name.replace('_', ' ')} ({t.subject})", 24) for t in shown])


def history(steps: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Return the training curve: each recorded figure against the step, but for counts and rates of the loop: beside them no loss shows."""
    key = next((k for k in ("step", "epoch") if steps and k in steps[0]), None)
    x = [row[key] for row in steps] if key else list(range(len(steps)))
    names = [
        k for k in (steps[0] if steps else {}) if k not in (key, "seconds", "best", "epoch", "lr") and isinstance(steps[0][k], int | float)
    ]
    figure = blank("Training, as recorded", key or "evaluation", "figure", height=320, legend=True)
    for i, name in enumerate(names[:4]):
        y = [row.get(name) for row in steps]
        figure.add_scatter(
            x=x, y=y, mode="lines", name=safe(name.replace("_", " ")), line={"color": (BLUE, *CYCLE[1:])[i], "dash": DASHES[i]}
        )
    return figure
