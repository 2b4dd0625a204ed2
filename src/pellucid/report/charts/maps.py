"""Figures of a table seen from above: maps of its rows with what stands beside them, scatters, rows that stand for the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pellucid.errors import RequestError, did_you_mean, quote
from pellucid.report.charts.points import add_points, density, legend_below, placed, size_keys, sizes
from pellucid.report.charts.style import BLUE, GREY, ORANGE, bars_error, blank, heights, name_lines, safe, wrap
from pellucid.report.words import cell_text, number
from pellucid.results import Map, Representatives, Scatter
from pellucid.table.cells import written_numbers

if TYPE_CHECKING:
    import plotly.graph_objects as go

DENSE = 20_000
"""Points beyond which a scatter without further channels is drawn as a density."""
MOST_POINTS = 100_000
NAMES = {
    "pca": "principal components", "classical_mds": "classical scaling", "mds": "metric scaling", "sne": "SNE", "tsne": "t-SNE",
    "umap": "UMAP", "autoencoder2d": "code of two numbers",
}  # fmt: skip


def _title(result: Map, by: str = "") -> str:
    name = NAMES.get(result.method, result.method)
    return f"{len(result):,} rows of {safe(result.what, 40)} by {name}{f', coloured by {safe(by, 40)}' if by else ''}"


def _axes(figure: go.Figure, result: Map) -> go.Figure:
    """Give both axes one scale, and names or no ticks where they mean nothing by themselves."""
    named = bool(result.axes[0])
    blind = {"showticklabels": False, "title": {"text": ""}}
    for axis, words in (("xaxis", result.axes[0]), ("yaxis", result.axes[1])):
        figure.update_layout({axis: {"title": {"text": _folded(safe(words, 120)), "font": {"size": 11}}} if named else blind})
    figure.update_layout(yaxis={"scaleanchor": "x", "scaleratio": 1})
    return figure


def _folded(words: str) -> str:
    return words.replace(": ", ":<br>", 1)


def _hover(result: Map) -> list[str]:
    """Return a text for each row: its label, answer, and first cells."""
    some = list(result.data.columns)[:6]
    columns = [[f"{safe(c, 20)}: {safe(cell_text(v), 20)}" for v in result.data[c]] for c in some]
    lead = [f"row {safe(i, 20)}" for i in result.index]
    if result.answers is not None:
        lead = [f"{a}<br>answer: {safe(p, 24)}" for a, p in zip(lead, result.answers["predicted"])]
    return ["<br>".join(line) for line in zip(lead, *columns)]


def points(result: Map, column: str | None = None, units: Any = None) -> go.Figure:
    """Return the map, coloured by a column, by the target where none is named."""
    by = column or result.target
    if by is not None and by not in result.data.columns:
        known = result.data.columns
        raise RequestError(f"there is no column {by!r} on this map", expected=f"one of {quote(known, 12)}", do=did_you_mean(by, known))
    figure = blank(_title(result, by or ""), height=540)
    cells = None if by is None else result.data[by]
    add_points(
        figure,
        result.coordinates[:, 0],
        result.coordinates[:, 1],
        cells,
        name=by or "",
        unit=(units or {}).get(by, ""),
        hover=_hover(result),
    )
    return _axes(legend_below(figure), result)


def predicted(result: Map) -> go.Figure:
    """Return the map coloured by the model's answer; with classes, wrong answers are crosses."""
    if result.answers is None:
        raise RequestError("no model was asked for this map", do="make it with pellucid.map(model, X=...)")
    answer = result.answers["predicted"].set_axis(result.data.index)
    shape = None
    if result.target is not None:
        truth = result.data[result.target]
        numeric = pd.api.types.is_float_dtype(answer)
        off = (written_numbers(truth) - answer).abs() if numeric else None
        wrong = off > 2 * off.median() if off is not None else truth.astype(str) != answer.astype(str)
        words = ("error of up to twice the median", "larger error") if numeric else ("right", "wrong")
        shape = pd.Series(np.where(truth.isna(), "truth unknown", np.where(wrong, f"× {words[1]}", words[0])), result.data.index)
    figure = blank(_title(result, "the model's answer"), height=540)
    add_points(figure, result.coordinates[:, 0], result.coordinates[:, 1], answer, name="answer", hover=_hover(result), shape=shape)
    return _axes(legend_below(figure), result)


def doubt(result: Map) -> go.Figure:
    """Return the map coloured by the model's doubt."""
    if result.answers is None or "doubt" not in result.answers:
        raise RequestError(
            "no doubt is known for this map", do="make it with pellucid.map(model, X=...) of a model with members or classes"
        )
    figure = blank(_title(result, "doubt"), height=540)
    add_points(figure, result.coordinates[:, 0], result.coordinates[:, 1], result.answers["doubt"], name="doubt", hover=_hover(result))
    return _axes(legend_below(figure), result)


def kept(result: Map) -> go.Figure:
    """Return the map coloured by how many of its nearest rows each row keeps: where the map is to be believed."""
    if result.kept is None:
        raise RequestError("what each row keeps is not known for this map")
    figure = blank(_title(result, "nearest rows kept"), height=540)
    add_points(
        figure,
        result.coordinates[:, 0],
        result.coordinates[:, 1],
        pd.Series(100 * result.kept),
        name="nearest rows kept",
        unit="%",
        hover=_hover(result),
    )
    return _axes(legend_below(figure), result)


def beside(result: Map, which: str, column: str | None = None) -> go.Figure:
    """Return the map beside its second seed, its other perplexity, or the map of column-shuffled rows."""
    from plotly.subplots import make_subplots

    places = {"second": result.second, "perplexity": result.other, "noise": result.noise}[which]
    words = {
        "second": f"{result.second_words}, disparity {number(result.disparity, 0.01)}",
        "perplexity": f"{result.other_words}, disparity {number(result.other_disparity, 0.01)}",
        "noise": "column-shuffled rows: nothing to see here",
    }[which]
    if places is None:
        raise RequestError(f"this map has no {which!r} beside it", got=result.second_words or result.other_words or "none")
    by = column or result.target
    cells = None if by is None or by not in result.data.columns else result.data[by]
    house = blank(_title(result, by or ""), height=460).layout
    figure = make_subplots(cols=2, rows=1, horizontal_spacing=0.04, subplot_titles=["the map", _broken(safe(words, 120))])
    figure.update_layout(**{k: house[k] for k in ("template", "title", "font", "paper_bgcolor", "plot_bgcolor", "hoverlabel")})
    for k, at in enumerate((result.coordinates, places)):
        plain = cells if k == 0 or which != "noise" else None  # a shuffled row has no target
        add_points(figure, at[:, 0], at[:, 1], plain, name=by or "", at={"row": 1, "col": k + 1}, legend=k == 0)
    for which_axis in ("", "2"):
        light = {"showgrid": True, "gridcolor": "rgba(127,127,127,.22)", "zeroline": False, "showticklabels": False}
        figure.update_layout(
            {f"xaxis{which_axis}": light, f"yaxis{which_axis}": light | {"scaleanchor": f"x{which_axis}", "scaleratio": 1}}
        )
    figure.update_annotations(font={"size": 11})
    legend_below(figure, 460)
    return figure.update_layout(margin={"t": 92, "l": 10, "r": 10})


def _broken(words: str, width: int = 44) -> str:
    """Return words over several lines."""
    lines = [""]
    for word in words.split(" "):
        if len(lines[-1]) + len(word) > width and lines[-1]:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "<br>".join(lines)


def quality(result: Map) -> go.Figure:
    """Return the figures of quality with 95 % intervals, beside those of column-shuffled rows."""
    frame = result.figures
    figure = blank(
        "How far the map is to be believed, against column-shuffled rows",
        "figure (1 is perfect)",
        height=heights(len(frame), 34, 150),
        legend=True,
    )
    at = np.arange(len(frame))
    for values, errors, name, colour, symbol, shift in (
        ("value", "error", "this map", BLUE, "circle", -0.12),
        ("noise", "noise_error", "column-shuffled rows", ORANGE, "diamond-open", 0.12),
    ):  # fmt: skip
        half = 1.96 * frame[errors].to_numpy()
        v = frame[values].to_numpy()
        figure.add_scatter(
            x=v, y=at + shift, mode="markers", name=name, marker={"color": colour, "symbol": symbol, "size": 10},
            error_x=bars_error(v - half, v + half, v), hoverinfo="text",
            hovertext=[
                f"{f}: {number(a, h or None)} ± {number(h)}<br>{safe(w, 120)}"
                for f, a, h, w in zip(frame["figure"], v, half, frame["words"])
            ],
        )  # fmt: skip
    low = float(min(0.0, frame["value"].min(), frame["noise"].min()))
    figure.update_layout(xaxis={"range": [low - 0.02, 1.04]})
    return name_lines(figure, [wrap(f) for f in frame["figure"]])


def loadings(result: Map, k: int = 12) -> go.Figure:
    """Return what the columns weigh on the two axes: bars for the slots that weigh most."""
    if result.loadings is None:
        raise RequestError("this map is not linear: columns do not weigh on its axes", expected="a map by 'pca'")
    frame = result.loadings.assign(size=lambda f: np.hypot(f["x"], f["y"])).nlargest(k, "size")
    figure = blank("What each column weighs on the two axes", "weight", height=heights(len(frame), 34, 150), legend=True)
    for axis, colour, hatch in (("x", BLUE, ""), ("y", ORANGE, "/")):
        figure.add_bar(
            x=frame[axis], y=list(range(len(frame))), orientation="h", name=f"{axis} axis",
            marker={
                "color": colour,
                "pattern": {"shape": hatch, "fillmode": "overlay", "fgcolor": "rgba(255,255,255,.85)", "solidity": 0.15},
            },
        )  # fmt: skip
    return name_lines(figure, [wrap(f"{c} {p}".strip()) for c, p in zip(frame["column"], frame["part"])])


def loss(result: Map) -> go.Figure:
    """Return the loss after each step."""
    if result.trace is None or len(result.trace) < 2:
        raise RequestError("this method takes no steps whose loss was kept", expected="a map by 'mds', 'sne' or 'tsne'")
    name = next(iter(result.losses or {}), "loss")
    figure = blank(f"The {name} falls from {number(float(result.trace[0]))} to {number(float(result.trace[-1]))}", "step", name, height=320)
    every = 50 if result.method == "tsne" else 1
    figure.add_scatter(x=every * np.arange(len(result.trace)), y=result.trace, mode="lines", line={"color": BLUE, "width": 2})
    return figure.update_layout(yaxis={"rangemode": "tozero"})


def scatter(result: Scatter) -> go.Figure:
    """Return the scatter; a density where there are more than 20,000 points and no further channels."""
    on = {c: result.channels[c] for c in ("x", "y", "colour", "size", "shape") if c in result.channels}
    drawn = result.data if len(result) <= MOST_POINTS else result.data.sample(MOST_POINTS, random_state=0).sort_index()
    (x, across, more_x), (y, up, more_y) = (placed(drawn[on[k]], seed) for k, seed in (("x", 0), ("y", 1)))
    dense = len(on) == 2 and len(drawn) > DENSE and not (x.dtype.kind == "M" or y.dtype.kind == "M")

    def named(column: str, more: str) -> str:
        unit = result.units.get(column, "")
        return f"{safe(column, 60)}{f' ({safe(unit, 20)})' if unit else ''}{more}"

    figure = blank(_told(result, len(drawn), dense), named(on["x"], more_x), named(on["y"], more_y), height=560)
    figure.update_layout(xaxis=across, yaxis=up)
    if dense:
        density(figure, x, y)
        return figure
    diameters, told = (None, []) if "size" not in on else sizes(drawn[on["size"]])
    colour, shape = (drawn[on[k]] if k in on else None for k in ("colour", "shape"))
    unit = result.units.get(on.get("colour", ""), "")
    hover = None if len(drawn) > DENSE else _cells(result, drawn, on)
    add_points(figure, x, y, colour, name=on.get("colour", ""), unit=unit, size=diameters, shape=shape, hover=hover)
    if told:
        size_keys(figure, told, on["size"], result.units.get(on["size"], ""))
    return legend_below(figure, 600).update_layout(legend={"itemsizing": "trace" if told else "constant"})


def _told(result: Scatter, drawn: int, dense: bool) -> str:
    words = f"{drawn:,} of {result.n_rows:,} rows" if drawn < result.n_rows else f"{drawn:,} rows"
    gone = f"; {result.n_left_out:,} without x or y are left out" if result.n_left_out else ""
    return f"{words}{', as a density' if dense else ''}{gone}"


def _cells(result: Scatter, drawn: pd.DataFrame, on: dict[str, str]) -> list[str]:
    columns = [[f"{safe(c, 24)}: {safe(cell_text(v), 24)}" for v in drawn[c]] for c in on.values()]
    return ["<br>".join(line) for line in zip((f"row {safe(i, 20)}" for i in drawn.index), *columns)]


def representatives(result: Representatives) -> go.Figure:
    """Return how many rows each chosen row stands for, with how central it is."""
    n = len(result)
    share = result.coverage, result.chance[0]
    title = f"{n} rows that stand for the others: likeness {number(share[0], 0.01)}, as many random rows {number(share[1], 0.01)}"
    figure = blank(title, "rows that are most like it", height=heights(n, 44, 130))
    texts = [f" {c:,} rows, {number(float(v), 0.01)} times as central as the average" for c, v in zip(result.stands_for, result.centrality)]
    figure.add_bar(x=result.stands_for, y=list(range(n)), orientation="h", marker={"color": BLUE}, hoverinfo="text", hovertext=texts)
    figure.add_scatter(
        x=result.stands_for, y=list(range(n)), mode="text", text=[f" {number(float(v), 0.1)} × average" for v in result.centrality],
        textposition="middle right", hoverinfo="skip", cliponaxis=False, showlegend=False, textfont={"color": GREY},
    )  # fmt: skip
    figure.update_layout(xaxis={"range": [0, 1.3 * float(result.stands_for.max())]}, showlegend=False)
    columns = [result.what] if result.what in result.data.columns else list(result.data.columns)[:3]
    names = [
        f"row {i}: " + ", ".join(cell_text(v) for v in line) for i, line in zip(result.index, result.data[columns].itertuples(index=False))
    ]
    return name_lines(figure, [wrap(name, 40) for name in names])
