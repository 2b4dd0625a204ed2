"""Answers that are lists, as tables and as figures: rules, neighbours, what a person can change, cells to ask, rows found, selections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid.errors import RequestError
from pellucid.intervals import Z95, error_of_mean, wilson
from pellucid.report.charts.style import BLUE, GREEN, GREY, ORANGE, bars_error, blank, heights, line_at, name_lines, safe, wrap
from pellucid.report.words import cell_text, number, percent
from pellucid.results import Actions, Decision, FoundRows, Inquiry, Neighbours, Resemblance, Rules, Selection

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["actions", "asked", "decision", "found", "neighbours", "options", "resemblance", "rules", "selection"]

MOST = 40


def table(title: str, head: Sequence[str], lines: Sequence[Sequence[str]], widths: Sequence[float] | None = None) -> go.Figure:
    """Return lines of text as a table figure; every cell is escaped."""
    figure = blank(title, height=min(900, 130 + 30 * (len(lines) + 1)))
    columns: list[Sequence[str]] = list(zip(*lines)) if lines else [() for _ in head]
    figure.add_table(
        columnwidth=list(widths) if widths is not None else None,
        header={
            "values": [f"<b>{safe(h)}</b>" for h in head],
            "align": "left",
            "fill": {"color": "#e8ecef"},
            "font": {"color": "#222"},
            "height": 28,
        },
        cells={
            "values": [[safe(c, 300) for c in column] for column in columns],
            "align": "left",
            "fill": {"color": "#fff"},
            "font": {"color": "#222"},
            "height": 26,
        },
    )
    figure.update_layout(margin={"l": 8, "r": 8, "t": 60, "b": 8})
    return figure


def rules(result: Rules, row: int | None = None) -> go.Figure:
    """Return the rules as a table with precision, its interval and coverage; the title says how well they copy the model."""
    shown = [r for r in result.rules if row is None or r.row is None or r.row == _label(result, row)][:MOST]
    low, high = result.fidelity_interval
    fidelity = f"; fidelity {number(result.fidelity)} ({number(low)} to {number(high)})" if np.isfinite(result.fidelity) else ""
    lines = [
        (
            *([cell_text(r.row)] if any(s.row is not None for s in shown) else []),
            " and ".join(r.conditions) or "always",
            r.outcome,
            f"{number(r.precision)} ({number(r.interval[0])} to {number(r.interval[1])})",
            percent(r.coverage),
            *([number(r.value)] if any(s.value is not None for s in shown) else []),
        )
        for r in shown
    ]
    head = [
        *(["row"] if any(s.row is not None for s in shown) else []),
        "if",
        "then the model answers",
        "precision, 95 %",
        "of rows",
        *(["part of the sum"] if any(s.value is not None for s in shown) else []),
    ]
    widths = [*([0.5] if head[0] == "row" else []), 3.2, 1.4, 1.7, 0.8, *([1.0] if head[-1] == "part of the sum" else [])]
    return table(f"Rules by {safe(result.method)}{fidelity}", head, lines, widths)


def _label(result: Rules, row: int) -> object:
    labels = list(dict.fromkeys(r.row for r in result.rules if r.row is not None))
    if labels and not 0 <= row < len(labels):
        raise RequestError("there is no such row in the rules", expected=f"row from 0 to {len(labels) - 1}", got=str(row))
    return labels[row] if labels else None


def neighbours(result: Neighbours, row: int = 0, columns: int = 8) -> go.Figure:
    """Return the rows named for one row as a table: distance or weight, then their cells."""
    if not 0 <= row < len(result):
        raise RequestError("there is no such row among the neighbours", expected=f"row from 0 to {len(result) - 1}", got=str(row))
    part = result.rows(row)
    names = [str(c) for c in part.columns][:columns]
    head = [
        "row",
        *(["distance"] if result.distance is not None else []),
        *([f"weight, {o}" for o in result.outputs] if result.weight is not None else []),
        *names,
    ]
    lines = []
    for k in range(len(part)):
        lead = [cell_text(part.index[k])]
        lead += [number(result.distance[row, k])] if result.distance is not None else []
        lead += [number(v) for v in result.weight[row, k]] if result.weight is not None else []
        lines.append([*lead, *(cell_text(part[c].iloc[k]) for c in part.columns[:columns])])
    told = f"; credibility {number(result.credibility[row])}" if result.credibility is not None else ""
    return table(f"Known rows behind the answer to row {safe(result.index[row], 20)} ({safe(result.method)}){told}", head, lines)


def resemblance(result: Resemblance, row: int = 0, columns: int = 15) -> go.Figure:
    """Return what makes a row resemble the known row most like it: how far the likeness falls without each cell, with 95 % intervals."""
    if not 0 <= row < len(result):
        raise RequestError("there is no such row in the resemblance", expected=f"row from 0 to {len(result) - 1}", got=str(row))
    order = np.argsort(-result.falls[row, 0], kind="stable")[:columns]
    value, half = result.falls[row, 0, order], 1.96 * result.error[row, 0, order]
    cells = {c: (one, two) for c, one, two, _ in result.top(row, 0, len(result.columns))}
    names = [result.columns[j] for j in order]
    told = [f"{cell_text(cells[c][0])} and {cell_text(cells[c][1])}" if c in result.data.columns else "" for c in names]
    known = safe(result.known.index[result.positions[row, 0]], 20)
    figure = blank(
        f"Why row {safe(result.index[row], 20)} resembles known row {known} (similarity {number(result.similarity[row, 0], 0.01)})",
        "fall of the similarity when the cell is replaced", height=heights(len(order), 28, 130),
    )  # fmt: skip
    figure.add_bar(
        x=value,
        y=list(range(len(order))),
        orientation="h",
        marker={"color": BLUE},
        error_x=bars_error(value - half, value + half, value),
        hoverinfo="text",
        hovertext=[f"{safe(c)}: {number(v, h or None)}; cells {safe(t, 80)}" for c, v, h, t in zip(names, value, half, told)],
    )
    return name_lines(figure, [wrap(f"{c}: {t}" if t else c, 34) for c, t in zip(names, told)])


def actions(result: Actions, row: int | None = None) -> go.Figure:
    """Return how far each column that may change responds, with 95 % intervals: of one row, or the mean over rows not there yet."""
    if row is not None and not 0 <= row < len(result):
        raise RequestError("there is no such row among the actions", expected=f"row from 0 to {len(result) - 1}", got=str(row))
    asking = np.flatnonzero(~result.reached) if row is None else np.array([row])
    share = result.responsiveness[asking]
    usable = np.isfinite(share).any(0) if len(share) else np.zeros(len(result.columns), bool)
    value = np.array([np.nanmean(share[:, j]) if usable[j] else np.nan for j in range(len(result.columns))])
    order = [j for j in np.argsort(-np.nan_to_num(value, nan=-1), kind="stable") if usable[j]]
    if row is not None:
        low, high = (result.interval[row, order, e] for e in (0, 1))
    else:
        half = Z95 * np.array([float(error_of_mean(share[np.isfinite(share[:, j]), j])) for j in order])
        low, high = (value[order] - half).clip(0), (value[order] + half).clip(max=1)
    whose = f"row {safe(result.index[row], 20)}" if row is not None else f"{len(asking)} rows not there yet"
    figure = blank(
        f"What a change of one column alone can do: {whose}, wanted: {safe(result.want, 60)}",
        "share of the allowed changes that reach it (%)",
        height=heights(len(order), 28, 130),
    )
    figure.add_bar(
        x=100 * value[order],
        y=list(range(len(order))),
        orientation="h",
        marker={"color": BLUE},
        error_x=bars_error(100 * low, 100 * high, 100 * value[order]),
        hoverinfo="text",
        hovertext=[
            f"{safe(result.columns[j])}: {percent(value[j])}; {safe(result.rules.get(result.columns[j], 'free'), 80)}" for j in order
        ],
    )
    figure.update_layout(xaxis={"range": [0, 105]})
    return name_lines(figure, [wrap(result.columns[j]) for j in order])


def options(result: Actions, row: int | None = None) -> go.Figure:
    """Return the joint changes that reach the wanted answer as a table."""
    frame = result.options if row is None else result.options[result.options["row"] == result.index[row]]
    names = [c for c in ("row", "what", "prediction", "changes", "distance", "plausible", "valid") if c in frame.columns]
    names += [c for c in frame.columns if c not in (*names, "option")]
    lines = [
        [number(v) if isinstance(v, float) else cell_text(v) for v in line] for line in frame[names].head(MOST).itertuples(index=False)
    ]
    widths = [3.0 if frame[c].map(lambda v: len(str(v))).max() > 30 else 1.0 for c in names] if len(frame) else None
    return table(f"Changes within the rules that give {safe(result.want, 60)}", names, lines, widths)


def asked(result: Inquiry) -> go.Figure:
    """Return the share of rows decided as on all cells, by how many were asked, with its 95 % interval; bars say where asking ended."""
    curve = result.curve
    names = list(curve.columns)
    x, share, error = (curve[c].to_numpy(float) for c in names[:3])
    figure = blank("Decided as on all cells, by the number of cells asked", "cells asked", "share of rows (%)", height=340)
    ended = np.bincount(result.n_asked, minlength=len(x))[: len(x)] / max(1, len(result))
    figure.add_bar(
        x=x,
        y=100 * ended,
        marker={"color": "rgba(127,127,127,.3)"},
        name="rows settled there",
        hoverinfo="text",
        hovertext=[percent(float(e)) for e in ended],
    )
    figure.add_scatter(
        x=x,
        y=100 * share,
        mode="lines+markers",
        line={"color": BLUE},
        name="agree with the whole row",
        hoverinfo="x+y",
        error_y={"type": "data", "array": np.nan_to_num(196 * error), "color": GREY, "thickness": 1.3},
    )
    figure.update_layout(yaxis={"range": [0, 105]}, showlegend=True, margin={"t": 84})
    return figure


def found(result: FoundRows, columns: int = 8) -> go.Figure:
    """Return the rows found as a table: what they are answered, against the highest known row, and how unlike known rows they are."""
    names = [str(c) for c in result.data.columns][:columns]
    head = ["for", "answer", "highest known", "less familiar than", *names]
    lines = [
        [
            str(result.output[i]),
            number(result.activation[i]),
            number(result.best_known[i]),
            f"{number(result.percentile[i])} % of known rows",
            *(cell_text(v) for v in result.data.iloc[i, :columns]),
        ]
        for i in range(len(result))
    ]
    return table(f"Rows the model answers highest ({safe(result.scale)}); no one entered them", head, lines)


def selection(result: Selection, row: int | None = None, k: int = 30) -> go.Figure:
    """Return the measured number of each column, the chosen ones filled; of rows: of one, or the share of rows in which it is chosen."""
    value, low, high, chosen, axis = _chosen(result, row)
    order = np.argsort(-np.nan_to_num(value, nan=-np.inf), kind="stable")[:k]
    whose = f", row {safe(result.index[row], 20)}" if result.index is not None and row is not None else ""
    promise = f"at most {percent(result.level, 0)} false discoveries ({safe(result.control)})"
    title = f"{int(chosen.sum())} of {len(result.columns)} columns chosen{whose}: {promise}"
    figure = blank(title, axis, height=heights(len(order), 26, 130), legend=True)
    for on, name, colour, symbol in ((True, "chosen", GREEN, "circle"), (False, "not chosen", ORANGE, "circle-open")):
        places = [i for i, j in enumerate(order) if bool(chosen[j]) is on]
        at = [int(order[i]) for i in places]
        figure.add_scatter(
            x=value[at],
            y=places,
            mode="markers",
            name=name,
            marker={"color": colour, "symbol": symbol, "size": 11, "line": {"width": 2}},
            hoverinfo="text",
            error_x=bars_error(low[at], high[at], value[at]),
            hovertext=[_evidence(result, j, row) for j in at],
        )
    line_at(figure, 0.0, "", "dot")
    return name_lines(figure, [wrap(result.columns[j]) for j in order])


def _chosen(result: Selection, row: int | None) -> tuple[Any, Any, Any, Any, str]:
    """Return (number of each column (P,), the ends of its 95 % interval, whether it is chosen, what the number is)."""
    flags, statistic = np.atleast_2d(result.chosen), np.atleast_2d(result.statistic)
    if result.index is not None and row is None:
        share = flags.mean(0)
        low, high = wilson(flags.sum(0), len(flags))
        return 100 * share, 100 * low, 100 * high, flags.any(0), "rows in which it is chosen (%)"
    at = 0 if result.index is None or row is None else row
    if not 0 <= at < len(flags):
        raise RequestError("there is no such row in the selection", expected=f"row from 0 to {len(flags) - 1}", got=str(row))
    value = statistic[at].astype(float)
    return value, value, value, flags[at], f"statistic of {safe(result.method)}"


def _evidence(result: Selection, j: int, row: int | None) -> str:
    if result.index is not None and row is None:
        return safe(result.columns[j])
    of = lambda a: number(float(np.atleast_2d(a)[row or 0, j]))  # noqa: E731
    told = [f"{name} {of(a)}" for name, a in (("p", result.p_values), ("e", result.e_values)) if a is not None]
    return f"{safe(result.columns[j])}{': ' + ', '.join(told) if told else ''}"


def decision(result: Decision) -> go.Figure:
    """Return what each rule costs a row on held-out rows, cheapest on top; the chosen rule with its 95 % interval."""
    frame = result.to_frame()
    names, cost = [str(v) for v in frame.iloc[:, 0]], frame["cost"].to_numpy(float)
    ours = np.array([n == "this rule" for n in names])
    low, high = (np.where(ours, end, cost) for end in result.interval)
    figure = blank(
        f"What mistakes cost under each rule, on {result.n_rows:,} held-out rows", "mean cost of a row", height=heights(len(names), 30)
    )
    figure.add_bar(
        x=cost,
        y=list(range(len(names))),
        orientation="h",
        marker={"color": BLUE},
        error_x=bars_error(low, high, cost),
        hoverinfo="text",
        hovertext=[f"{safe(n)}: {number(c)}" for n, c in zip(names, cost)],
    )
    return name_lines(figure, [wrap(n) for n in names])
