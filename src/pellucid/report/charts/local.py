"""Figures of one row or of the rows of an explanation: waterfall, beeswarm, dependence, errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pellucid.errors import RequestError, did_you_mean, quote
from pellucid.report.charts.style import (
    DOWN,
    GREY,
    RANKS,
    UP,
    bars_error,
    blank,
    heights,
    name_lines,
    safe,
    signed,
    unit_of,
    whole_steps,
    wrap,
)
from pellucid.report.words import cell, number
from pellucid.results import Explanation, FloatArray, Interactions
from pellucid.table.cells import written_numbers

if TYPE_CHECKING:
    import plotly.graph_objects as go

TOP = 10
MOSTLY = 0.9
"""Share of cells that read as numbers from which on a column written as text is drawn as numbers."""


def waterfall(result: Explanation, row: int = 0, output: int = 0, k: int = TOP, units: dict[str, str] | None = None) -> go.Figure:
    """Return the figure of one row: from the base to the prediction, one bar per column with the cell as the user wrote it.

    The k largest contributions are drawn, the others as one bar. Bars to the right are plain, bars to the left hatched; whiskers are 95 %.
    Values that do not add up to the prediction are bars from 0, one for each of the k largest.
    """
    import plotly.graph_objects as go

    _check_row(result, row)
    if not result.adds_up:
        return _side_by_side(result, row, output, k, units or {})
    base, answer = _at(result.base_values, row, output), _at(result.predictions, row, output)
    names, steps, half = _steps(result, row, output, k, units or {})
    title = f"Why row {safe(result.data.index[row], 20)} is answered {number(answer)}: steps from the base {number(base)}"
    figure = blank(title, safe(unit_of(result, output)), height=heights(len(names) + 2))
    ends = base + np.cumsum(steps)
    texts = [("+" if s >= 0 else "−") + number(abs(s), h or None) for s, h in zip(steps, half)]
    _add_steps(figure, names, steps, ends, half, texts)
    figure.add_trace(
        go.Scatter(
            x=[base, answer],
            y=[0, len(names) + 1],
            mode="markers+text",
            marker={"symbol": ["line-ns-open", "diamond"], "size": 12, "color": GREY},
            text=[number(base), number(answer)],
            textposition="middle right",
            hoverinfo="skip",
            cliponaxis=False,
        )
    )
    figure.add_scatter(
        x=np.maximum(ends - steps, ends) + half,
        y=list(range(1, len(names) + 1)),
        mode="text",
        text=[f" {t}" for t in texts],
        textposition="middle right",
        hoverinfo="skip",
        cliponaxis=False,
    )
    path_x, path_y = np.repeat([base, *ends], 2), np.r_[0, np.repeat(np.arange(1, len(names) + 1), 2), len(names) + 1]
    figure.add_scatter(x=path_x, y=path_y, mode="lines", line={"color": GREY, "width": 1, "dash": "dot"}, hoverinfo="skip")
    low, high = float(path_x.min()), float((np.maximum(ends - steps, ends) + half).max(initial=float(path_x.max())))
    low = min(low, float((np.minimum(ends - steps, ends) - half).min(initial=low)))
    figure.update_layout(xaxis={"range": [low - 0.04 * (high - low), high + 0.18 * (high - low)]})
    return name_lines(figure, ["base: no column known", *names, "this row's answer"])


def _steps(result: Explanation, row: int, output: int, k: int, units: dict[str, str]) -> tuple[list[str], FloatArray, FloatArray]:
    """Return (names, steps, half widths of their intervals) of the k largest contributions and of all others together, in their order."""
    values = result.cube()[row, :, output]
    error = None if result.error is None else result.error.reshape(result.cube().shape)[row, :, output]
    order = np.argsort(-np.abs(values), kind="stable")
    main, rest = order[:k], order[k:]
    names, steps = _names(result, row, main, units), values[main]
    half = np.zeros(len(main)) if error is None else 1.96 * error[main]
    if len(rest):
        names.append(f"{len(rest)} other columns")
        steps = np.append(steps, values[rest].sum())
        half = np.append(half, 0.0 if error is None else 1.96 * np.sqrt((error[rest] ** 2).sum()))
    return names, steps, half


def _add_steps(figure: go.Figure, names: list[str], steps: FloatArray, ends: FloatArray, half: FloatArray, texts: list[str]) -> None:
    """Draw one bar per step up to its end, with its whisker."""
    figure.add_bar(
        x=steps,
        base=ends - steps,
        y=list(range(1, len(steps) + 1)),
        orientation="h",
        marker=signed(steps),
        error_x=bars_error(-half, half, np.zeros(len(half))),
        hovertext=[f"{n}: {t}" for n, t in zip(names, texts)],
        hoverinfo="text",
    )


def _side_by_side(result: Explanation, row: int, output: int, k: int, units: dict[str, str]) -> go.Figure:
    """Return the figure of one row whose values make no sum: bars from 0, the k largest, whiskers of 95 %."""
    values = result.cube()[row, :, output]
    main = np.argsort(-np.abs(values), kind="stable")[:k]
    half = np.zeros(len(main)) if result.error is None else 1.96 * result.error.reshape(result.cube().shape)[row, main, output]
    bars, names = values[main], _names(result, row, main, units)
    texts = [("−" if v < 0 else "" if result.says == "sizes" else "+") + number(abs(v), h or None) for v, h in zip(bars, half)]
    answer = number(_at(result.predictions, row, output))
    title = f"Row {safe(result.data.index[row], 20)}, answered {answer}: each column by {safe(result.method, 40)}. The bars do not add up"
    figure = blank(title, safe(unit_of(result, output)), height=heights(len(names)))
    figure.add_bar(
        x=bars,
        y=list(range(len(names))),
        orientation="h",
        marker=signed(bars),
        error_x=bars_error(bars - half, bars + half, bars),
        hovertext=[f"{n}: {t}" for n, t in zip(names, texts)],
        hoverinfo="text",
    )
    ends, places = np.maximum(bars, 0) + half, list(range(len(names)))  # to the right of every bar: to the left stand the names
    words = {"text": [f" {t}" for t in texts], "textposition": "middle right", "hoverinfo": "skip", "cliponaxis": False}
    figure.add_scatter(x=ends, y=places, mode="text", **words)
    low, high = min(0.0, float((bars - half).min(initial=0.0))), float(ends.max(initial=0.0))
    figure.update_layout(xaxis={"range": [low - 0.04 * (high - low), high + 0.18 * (high - low)]})
    return name_lines(figure, names)


def _names(result: Explanation, row: int, columns: np.ndarray, units: dict[str, str]) -> list[str]:
    """Return the names of some columns with the row's cells, as the lines of a figure."""
    return [wrap(cell(c, _cell(result, row, c), units.get(c, ""), most=28), 34) for c in (result.columns[j] for j in columns)]


def _check_row(result: Explanation, row: int) -> None:
    if not 0 <= row < len(result):
        raise RequestError("there is no such row in the explanation", expected=f"row from 0 to {len(result) - 1}", got=str(row))


def _at(values: Any, row: int, output: int) -> float:
    return float(values[row, output] if np.ndim(values) == 2 else values[row])


def _cell(result: Explanation, row: int, column: str) -> Any:
    return result.data[column].iloc[row] if column in result.data.columns else "(group of columns)"


def ranks(cells: pd.Series) -> tuple[np.ndarray, bool]:
    """Return each cell's rank from 0 to 1 (NaN where missing; levels as they sort), and whether the cells are numbers or dates."""
    if isinstance(cells.dtype, pd.CategoricalDtype) and cells.cat.ordered:
        return cells.cat.codes.where(cells.notna()).rank(pct=True).to_numpy(float), True
    numeric = written_numbers(cells)
    if pd.api.types.is_datetime64_any_dtype(cells):
        numeric = cells.astype("int64").where(cells.notna())
    is_number = bool(numeric.notna().sum() >= MOSTLY * max(1, cells.notna().sum()))
    return (numeric if is_number else cells.astype(str).where(cells.notna())).rank(pct=True).to_numpy(float), is_number


def _spread(values: np.ndarray) -> np.ndarray:
    """Return vertical offsets in [-0.36, 0.36] so that points of one strip do not lie on each other."""
    if not len(values) or np.ptp(values) == 0:
        return np.linspace(-0.3, 0.3, len(values)) if len(values) > 1 else np.zeros(len(values))
    box = np.floor(60 * (values - values.min()) / np.ptp(values)).astype(int)
    place = pd.Series(box).groupby(box).cumcount().to_numpy()
    side = np.where(place % 2, -1, 1) * ((place + 1) // 2)
    return np.asarray(0.36 * side / max(np.abs(side).max(), 8))


def beeswarm(result: Explanation, output: int = 0, k: int = 12) -> go.Figure:
    """Return one strip per column: a point is a row, its place the contribution, its colour the rank of its cell, named on hover."""
    values = result.cube()[:, :, output]
    order = np.argsort(-np.abs(values).mean(0), kind="stable")[:k]
    what = unit_of(result, output)
    title = f"Contribution of each cell to {safe(result.outputs[output], 40)}, {len(result)} rows"
    figure = blank(title, f"contribution ({safe(what)})", height=heights(len(order), 34, 130))
    for place, j in enumerate(order):
        column = result.columns[j]
        known = column in result.data.columns
        rank, is_number = ranks(result.data[column]) if known else (np.full(len(result), np.nan), False)
        texts = [safe(cell(column, c)) for c in result.data[column]] if known else [safe(column)] * len(result)
        missing = np.isnan(rank)
        figure.add_scatter(
            x=values[:, j],
            y=place + _spread(values[:, j]),
            mode="markers",
            hovertext=[f"{t}: {v:+.3g}" for t, v in zip(texts, values[:, j])],
            hoverinfo="text",
            customdata=list(range(len(result))),
            marker={
                "size": 6,
                "opacity": 0.8,
                "line": {"width": 0.4, "color": "rgba(127,127,127,.8)"},
                "cmin": 0,
                "cmax": 1,
                "colorscale": [list(c) for c in RANKS],
                "color": np.where(missing, 0.5, rank),
                "symbol": np.where(missing, "x-thin-open", "circle" if is_number else "square"),
                "showscale": place == 0,
                "colorbar": {
                    "tickvals": [0, 1],
                    "ticktext": ["low cell", "high cell"],
                    "len": 0.6,
                    "thickness": 8,
                },
            },
        )
    figure.add_vline(x=0, line={"color": GREY, "width": 1})
    return name_lines(figure, [wrap(result.columns[j]) for j in order])


def dependence(
    result: Explanation, column: str, output: int = 0, unit: str = "", partner: str | None = None, pairs: Interactions | None = None
) -> go.Figure:
    """Return the contribution of one column against its cell; level columns get one strip per level, commonest first.

    The colour is the rank of the cell of the column that acts most together with it: by ``pairs`` where interactions are given, else the
    one that goes furthest with what the column's own cell leaves over; ``partner`` names one, ``""`` leaves colour to the sign.
    """
    if column not in result.columns or column not in result.data.columns:
        raise RequestError(
            f"there is no column {column!r} in the explanation",
            expected=f"one of {quote(result.columns, 12)}",
            do=did_you_mean(column, result.columns),
        )
    values, cells = result.cube()[:, result.columns.index(column), output], result.data[column]
    other, how = (partner or None, "as asked") if partner is not None else strongest_partner(result, column, output, pairs)
    what = unit_of(result, output)
    axis = safe(column) + (f" ({safe(unit)})" if unit else "")
    coloured = f"; colour: cell of {safe(other, 30)}, {how}" if other is not None else ""
    figure = blank(f"{safe(column)}: contribution against cell, {len(result)} rows{coloured}", axis, f"contribution ({safe(what)})")
    figure.add_hline(y=0, line={"color": GREY, "width": 1})
    half = None if result.error is None else 1.96 * result.error.reshape(result.cube().shape)[:, result.columns.index(column), output]
    errors = None if half is None else {"type": "data", "array": half.tolist(), "color": "rgba(127,127,127,.5)", "thickness": 1, "width": 0}
    rows = np.arange(len(result))
    marker = _colours(values, None if other is None else result.data[other], rows)
    _, is_number = ranks(cells)
    if is_number:
        x = cells if pd.api.types.is_datetime64_any_dtype(cells) else written_numbers(cells)
        texts = [f"{cell(column, c)}{_beside(result, other, i)}: {v:+.3g}" for i, (c, v) in enumerate(zip(cells, values))]
        figure.add_scatter(
            x=x.tolist(),
            y=values,
            mode="markers",
            marker=marker,
            error_y=errors,
            customdata=rows.tolist(),
            hoverinfo="text",
            hovertext=[safe(t, 200) for t in texts],
        )
        figure.update_xaxes(**whole_steps(x))
        return figure
    names = cells.astype(object).where(cells.notna(), "missing").map(str)
    levels = names.value_counts().index[:12].tolist()
    place = names.map({name: i for i, name in enumerate(levels)})
    inside = place.notna().to_numpy()
    wiggle = np.linspace(-0.25, 0.25, int(inside.sum())) if inside.sum() > 1 else np.zeros(int(inside.sum()))
    marker = _colours(values[inside], None if other is None else result.data[other][inside], rows[inside])
    texts = [f"{n}{_beside(result, other, i)}: {v:+.3g}" for n, v, i in zip(names[inside], values[inside], rows[inside])]
    figure.add_scatter(
        x=place[inside].to_numpy(float) + wiggle,
        y=values[inside],
        mode="markers",
        marker=marker,
        customdata=rows[inside].tolist(),
        hovertext=[safe(t, 200) for t in texts],
        hoverinfo="text",
    )
    return name_lines(figure, [safe(n, 18) for n in levels], "x")


def _beside(result: Explanation, other: str | None, row: int) -> str:
    return "" if other is None else f", {cell(other, result.data[other].iloc[row], most=30)}"


def _colours(values: np.ndarray, cells: pd.Series | None, rows: np.ndarray) -> dict[str, Any]:
    """Return plotly's marker: by the rank of another column's cells, or by the sign; filled above 0, hollow below."""
    marker: dict[str, Any] = {"size": 7, "opacity": 0.8, "symbol": np.where(values >= 0, "circle", "circle-open")}
    if cells is None:
        return marker | {"size": 6, "color": np.where(values >= 0, UP, DOWN)}
    rank, is_number = ranks(cells)
    ends = ["low cell", "high cell"] if is_number else [safe(v, 14) for v in np.sort(cells.dropna().astype(str).unique())[[0, -1]]]
    bar = {"tickvals": [0, 1], "ticktext": ends, "len": 0.6, "thickness": 8}
    shown = np.where(np.isnan(rank), 0.5, rank)
    return marker | {
        "color": shown,
        "colorscale": [list(c) for c in RANKS],
        "cmin": 0,
        "cmax": 1,
        "showscale": True,
        "colorbar": bar,
        "line": {"width": 1.2 if len(rows) < 2000 else 0},
    }


def strongest_partner(result: Explanation, column: str, output: int = 0, pairs: Interactions | None = None) -> tuple[str | None, str]:
    """Return the column that acts most together with ``column``, and how that is known; (None, "") where there is none.

    With ``pairs`` the pair of the largest mean size. Else what the contributions leave over once their mean along the cell (in eight bins)
    is taken away is compared with the ranks of the other columns; a correlation that chance reaches in one of twenty such searches is none.
    """
    if pairs is not None and column in pairs.columns:
        size = np.abs(pairs.by_set[..., min(output, pairs.by_set.shape[2] - 1)]).mean(0)
        own = [(float(size[s]), n[0] if n[1] == column else n[1]) for s, n in enumerate(pairs.sets) if len(n) == 2 and column in n]
        own = [(v, name) for v, name in own if v > 0 and name in result.data.columns]
        return (max(own)[1], "its strongest interaction") if own else (None, "")
    known = [c for c in result.columns if c != column and c in result.data.columns]
    if len(result) < 30 or not known:
        return None, ""
    values, own_rank = result.cube()[:, result.columns.index(column), output], np.nan_to_num(ranks(result.data[column])[0], nan=0.0)
    bins = np.minimum((8 * own_rank).astype(int), 7)
    mean = np.bincount(bins, values, 8) / np.maximum(np.bincount(bins, minlength=8), 1)
    rest = values - mean[bins]
    best: tuple[float, str | None] = (0.0, None)
    for name in known:
        rank = np.nan_to_num(ranks(result.data[name])[0], nan=0.5) - 0.5
        for with_it in (rank, rank * (own_rank - 0.5)):
            if rest.std() > 0 and with_it.std() > 0:
                best = max(best, (abs(float(np.corrcoef(rest, with_it)[0, 1])), name), key=lambda b: b[0])
    chance = np.sqrt(2 * np.log(2 * len(known) / 0.05)) / np.sqrt(len(result))
    return (best[1], "which goes furthest with the rest") if best[0] > chance else (None, "")


def errors(result: Explanation, row: int = 0, output: int = 0, k: int = 15) -> go.Figure:
    """Return how firmly one row's values are known: each with its 95 % interval; neighbours that cannot be told apart are hollow (tied)."""
    _check_row(result, row)
    values = result.cube()[row, :, output]
    order = np.argsort(-np.abs(values), kind="stable")[:k]
    shown = values[order]
    error = np.zeros(len(order)) if result.error is None else result.error.reshape(result.cube().shape)[row, order, output]
    beside = np.abs(np.diff(np.abs(shown))) < 1.96 * np.hypot(error[1:], error[:-1])  # the order of these two is not settled
    tied = np.r_[beside, False] | np.r_[False, beside]
    noise = "exact values" if result.error is None or not (error > 0).any() else "with 95 % intervals; hollow: order not settled"
    figure = blank(
        f"How firmly the reasons of row {safe(result.data.index[row], 20)} are known, {noise}",
        safe(result.scale),
        height=heights(len(order), 26),
    )
    figure.add_scatter(
        x=shown,
        y=list(range(len(order))),
        mode="markers",
        hoverinfo="text",
        error_x=bars_error(shown - 1.96 * error, shown + 1.96 * error, shown),
        marker={
            "size": 10,
            "color": [UP if v >= 0 else DOWN for v in shown],
            "symbol": ["circle-open" if t else "circle" for t in tied],
            "line": {"width": 2},
        },
        hovertext=[f"{safe(result.columns[j])}: {number(v)} ± {number(1.96 * e)}" for j, v, e in zip(order, shown, error)],
    )
    figure.add_vline(x=0, line={"color": GREY, "width": 1})
    return name_lines(figure, [wrap(cell(result.columns[j], _cell(result, row, result.columns[j]), most=28), 34) for j in order])
