"""What all figures share: colours that colour-blind readers tell apart, escaped text, one quiet layout.

Colours are those of Okabe and Ito (2008, jfly.uni-koeln.de/color). Colour never speaks alone: a sign, a hatch or a shape says the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid.report.words import clean
from pellucid.results.verdicts import VERDICT_WORDS

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from pellucid.results import Trial

BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442"
GREY = "#7f7f7f"
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, RED, SKY)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "cross")
UP, DOWN = RED, BLUE
RANKS = ((0.0, BLUE), (0.5, "#b8a9c9"), (1.0, RED))
"""Low to high rank of a cell; the middle is grey-violet so that both ends stay apart in greyscale too."""
DIVERGING = ((0.0, "#01498c"), (0.25, "#6fa8d6"), (0.5, "#f2f0ec"), (0.75, "#e8935a"), (1.0, "#a33a00"))
"""Below 0 blue, above 0 orange-brown, 0 nearly white: told apart in all common kinds of colour-blindness."""
SEQUENTIAL = ((0.0, "#f3f6f9"), (0.35, "#9cc3de"), (0.7, "#2f7ab4"), (1.0, "#08306b"))
"""Little to much, by lightness alone."""


def safe(value: Any, most: int = 60) -> str:
    """Return text from data as a label: plotly reads tags and entities in labels, so both are turned into plain characters."""
    return clean(value, most).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def unit_of(result: Any, output: int) -> str:
    """Return what the values of an explanation's output are in: units of a target name it, log-odds and probabilities do not."""
    return f"{result.scale} of {result.outputs[output]}" if result.scale in ("log-odds", "probability") else str(result.scale)


def faded(colour: str, share: float = 0.18) -> str:
    """Return a colour ``#rrggbb`` as a see-through one, for bands."""
    return f"rgba({int(colour[1:3], 16)},{int(colour[3:5], 16)},{int(colour[5:7], 16)},{share})"


def wrap(text: str, width: int = 26) -> str:
    """Return escaped text broken over two lines at a space near ``width``, the rest cut."""
    if len(clean(text, 1000)) <= width:
        return safe(text)
    words, lines = clean(text, 2 * width).split(" "), [""]
    for word in words:
        if len(lines[-1]) + len(word) + 1 > width and lines[-1] and len(lines) < 2:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "<br>".join(safe(line, width + 4) for line in lines)


def heights(n: int, each: int = 30, rest: int = 110, least: int = 170) -> int:
    """Return the height in pixels of a figure with n lines."""
    return max(least, rest + each * n)


def blank(title: str, x: str = "", y: str = "", height: int = 360, legend: bool = False) -> go.Figure:
    """Return an empty figure in the house layout: title at the left, light grid, no frame, transparent ground."""
    import plotly.graph_objects as go

    axis = {"showgrid": True, "gridcolor": "rgba(127,127,127,.22)", "zeroline": False, "automargin": True, "ticks": ""}
    layout = go.Layout(  # made at once: updates of an empty layout take plotly four times as long
        template="none",
        title={
            "text": title,
            "x": 0,
            "y": 1,
            "xref": "container",
            "yref": "container",
            "xanchor": "left",
            "yanchor": "top",
            "pad": {"l": 8, "t": 12},
            "font": {"size": 14},
        },
        font={"family": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif", "size": 12, "color": "#333"},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        xaxis=axis | {"title": {"text": x}},
        yaxis=axis | {"title": {"text": y}},
        margin={"l": 10, "r": 24, "t": 84 if legend else 56, "b": 48},
        height=height,
        showlegend=legend,
        legend={"orientation": "h", "x": 0, "y": 1.0, "xanchor": "left", "yanchor": "bottom"},
        hoverlabel={"align": "left", "namelength": -1},
        bargap=0.35,
    )
    return go.Figure(layout=layout)


def name_lines(figure: go.Figure, names: Sequence[str], axis: str = "y") -> go.Figure:
    """Put names at positions 0, 1, ... of an axis, first name on top. Positions are numbers, so that equal names stay apart."""
    n = len(names)
    span = [n - 0.5, -0.5] if axis == "y" else [-0.5, n - 0.5]
    figure.update_layout({f"{axis}axis": {"tickvals": list(range(n)), "ticktext": list(names), "range": span, "showgrid": False}})
    return figure


def signed(values: Iterable[float]) -> dict[str, Any]:
    """Return the marker of bars whose sign is told by colour and, for whoever sees none, by hatching: values below 0 are hatched."""
    below = [not v >= 0 for v in values]
    return {
        "color": [DOWN if b else UP for b in below],
        "pattern": {"shape": ["/" if b else "" for b in below], "fillmode": "replace", "solidity": 0.6},
    }


def line_at(figure: go.Figure, x: float, words: str, dash: str = "dash") -> None:
    """Draw a vertical line that is named at its top."""
    figure.add_vline(
        x=x, line={"color": GREY, "dash": dash, "width": 1.5}, annotation={"text": words, "font": {"size": 11}, "yanchor": "bottom"}
    )


def whole_steps(values: Any) -> dict[str, int]:
    """Return an axis whose ticks are whole, for a few whole numbers; nothing for others: there is no class 1.5."""
    x = np.asarray(values)
    x = x[np.isfinite(x)] if x.dtype.kind in "fiu" else x[:0]
    return {"dtick": 1} if len(x) and (x == np.rint(x)).all() and np.ptp(x) <= 12 else {}


def bars_error(low: Any, high: Any, value: Any) -> dict[str, Any]:
    """Return plotly's error bar from interval ends; unknown ends draw none."""
    low, high, value = (np.asarray(a, float) for a in (low, high, value))
    up, down = np.nan_to_num(high - value), np.nan_to_num(value - low)
    shown = bool(((up > 0) | (down > 0)).any())
    return {
        "type": "data",
        "symmetric": False,
        "array": up.clip(0).tolist(),
        "arrayminus": down.clip(0).tolist(),
        "visible": shown,
        "thickness": 1.3,
        "width": 4,
        "color": GREY,
    }


def fold_title(figure: go.Figure, width: int = 84) -> go.Figure:
    """Break a long title over lines, because plotly does not; the figure grows by them."""
    text = figure.layout.title.text or ""
    lines = _folded(text, width)
    if len(lines) > 1 and "<span" not in text and "<br>" not in text:
        figure.update_layout(title={"text": "<br>".join(lines)}, margin={"t": (figure.layout.margin.t or 56) + 18 * (len(lines) - 1)})
        figure.update_layout(height=(figure.layout.height or 360) + 18 * (len(lines) - 1))
    return figure


def told_trials(figure: go.Figure, trials: Sequence[Trial], owed: Sequence[str] = ()) -> go.Figure:
    """Write the verdicts of trials under the title, failures first; ``owed`` are trials without a verdict, which were not run."""
    if not trials and not owed:
        return figure
    word = {v: VERDICT_WORDS[v] for v in ("fail", "not testable", "pass")}
    names = {v: [t.name for t in trials if t.verdict == v] + (list(owed) if v == "not testable" else []) for v in word}
    told = [f"{word[v]}: {', '.join(safe(n.replace('_', ' '), 40) for n in some)}" for v, some in names.items() if some]
    lines = [line for text in told for line in _folded(text, 90)]
    title = figure.layout.title.text or ""
    more = "".join(f"<br>{line}" for line in lines)
    top = (figure.layout.margin.t or 56) + 17 * len(lines)
    figure.update_layout(title={"text": title + more}, margin={"t": top}, height=(figure.layout.height or 360) + 17 * len(lines))
    return figure


def _folded(text: str, width: int) -> list[str]:
    """Return escaped text in lines; entities stay whole, because words do."""
    lines = [""]
    for word in text.split(" "):
        if len(lines[-1]) + len(word) > width and lines[-1]:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
