"""A text cell with its words highlighted, and the strongest of them as bars with errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pellucid.errors import RequestError, did_you_mean, quote
from pellucid.report.charts.style import DOWN, GREY, UP, bars_error, blank, heights, name_lines, safe, signed, unit_of
from pellucid.report.words import number
from pellucid.results import Words

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["words"]

LINE = 84
STRONG = 0.15
"""Share of the strongest word's value from which a word is marked."""


def words(result: Words, row: int = 0, column: str | None = None, output: int = 0, k: int = 12) -> go.Figure:
    """Return one text cell: what raises the answer bold with ▲, what lowers it in italics with ▼, the k strongest words as bars below."""
    if not 0 <= row < len(result):
        raise RequestError("there is no such row among the words", expected=f"row from 0 to {len(result) - 1}", got=str(row))
    if column is not None and column not in result.columns:
        raise RequestError(
            f"there is no text column {column!r}", expected=f"one of {quote(result.columns, 12)}", do=did_you_mean(column, result.columns)
        )
    name = column or max(result.columns, key=lambda c: float(np.abs(result.values[c][row]).sum()))
    tokens, values = result.words[name][row], result.values[name][row][:, output]
    error = None if result.error is None else result.error[name][row][:, output]
    most = float(np.abs(values).max(initial=0.0))
    order = [int(j) for j in np.argsort(-np.abs(values), kind="stable")[:k]]
    lines = _marked(tokens, values, STRONG * most)
    title = f"Words of {safe(name, 40)} in row {safe(result.data.index[row], 20)}: what the answer loses without each"
    told = "<br>".join(lines) or "the cell is missing"
    figure = blank(
        f"{title}<br><br><span style='font-size:12px'>{told}</span>",
        safe(unit_of(result, output), 60),
        height=heights(len(order), 26, 150 + 18 * len(lines)),
    )
    shown = values[order]
    half = np.zeros(len(order)) if error is None else 1.96 * error[order]
    figure.add_bar(
        x=shown,
        y=list(range(len(order))),
        orientation="h",
        hoverinfo="text",
        marker=signed(shown),
        error_x=bars_error(shown - half, shown + half, shown),
        hovertext=[f"{safe(tokens[j])}: {number(v, h or None)}" for j, v, h in zip(order, shown, half)],
    )
    figure.add_vline(x=0, line={"color": GREY, "width": 1})
    figure.update_layout(margin={"t": 84 + 18 * max(1, len(lines))})
    return name_lines(figure, [safe(tokens[j], 26) for j in order])


def _marked(tokens: tuple[str, ...], values: np.ndarray, least: float, most_lines: int = 8) -> list[str]:
    """Return the cell as lines of at most about LINE characters, words from ``least`` on marked."""
    lines, size = [""], 0
    for word, value in zip(tokens, values):
        text = safe(word, 60)
        if size + len(word) > LINE and lines[-1]:
            if len(lines) == most_lines:
                lines[-1] += " …"
                break
            lines.append("")
            size = 0
        strong = least > 0 and abs(value) >= least
        shown = (
            (f"<b><span style='color:{UP}'>{text}▲</span></b>" if value > 0 else f"<i><span style='color:{DOWN}'>{text}▼</span></i>")
            if strong
            else text
        )
        lines[-1] += (" " if lines[-1] else "") + shown
        size += len(word) + 1
    return [line for line in lines if line]
