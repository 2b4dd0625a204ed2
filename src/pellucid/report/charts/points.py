"""How points are drawn: colours, sizes and shapes that stand for cells, with legends in the user's units; places of levels; density.

Up to six levels get a colour of Okabe and Ito and a count each, the others are grey; numbers run along a scale that rises in lightness for
every reader (Nunez, Anderton and Renslow 2018, doi:10.1371/journal.pone.0199239). Letters: N points.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.report.charts.style import CYCLE, GREY, SYMBOLS, safe
from pellucid.report.words import number
from pellucid.table.cells import written_numbers

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["RISING", "add_points", "density", "is_number", "legend_below", "levels_of", "placed", "sizes"]

RISING = ((0.0, "#00224e"), (0.25, "#3f4d6e"), (0.5, "#7d7c78"), (0.75, "#bcad6c"), (1.0, "#fdd835"))
MOST_LEVELS = 6
GL_POINTS = 2000
"""Points beyond which they are drawn by the graphics card."""
FEW_VALUES = 20

F64 = npt.NDArray[np.float64]


def is_number(cells: pd.Series) -> bool:
    """Return whether cells run along a scale: numbers of more than six values, or moments."""
    if pd.api.types.is_datetime64_any_dtype(cells):
        return True
    if isinstance(cells.dtype, pd.CategoricalDtype) or pd.api.types.is_bool_dtype(cells):
        return False
    numeric = written_numbers(cells)
    return bool(numeric.notna().sum() >= 0.9 * max(1, cells.notna().sum()) and numeric.nunique() > MOST_LEVELS)


def scaled(cells: pd.Series) -> F64:
    """Return cells as numbers, moments as days since 1970."""
    if pd.api.types.is_datetime64_any_dtype(cells):
        return np.asarray((pd.to_datetime(cells, utc=True) - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1), np.float64)
    return written_numbers(cells).to_numpy(np.float64)


def levels_of(cells: pd.Series, most: int = MOST_LEVELS) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Return (code of each cell (N,), names): the commonest levels by name, then "other levels" and "missing" where there are any."""
    text = cells.astype(object).where(cells.notna(), None)
    count = text[text.notna()].astype(str).value_counts()
    kept = sorted(count.index[:most])
    at = {level: k for k, level in enumerate(kept)}
    codes = np.array([-1 if v is None else at.get(str(v), -2) for v in text], np.int64)
    names = [f"{safe(level, 28)} ({int(count[level]):,})" for level in kept]
    for code, words in ((-2, "other levels"), (-1, "missing")):
        if (codes == code).any():
            names.append(f"{words} ({int((codes == code).sum()):,})")
            codes[codes == code] = len(names) - 1
    return codes, names


def look(names: list[str], k: int) -> str:
    """Return the colour of the k-th name of :func:`levels_of`."""
    return GREY if names[k].startswith(("other levels (", "missing (")) else CYCLE[k % len(CYCLE)]


def placed(cells: pd.Series, seed: int) -> tuple[Any, dict[str, Any], str]:
    """Return (places (N,) along an axis, layout of the axis, what to add to its title).

    Levels stand at whole numbers, and so many rows at few values are spread a little, so that they do not hide each other.
    """
    draw = np.random.default_rng(seed)
    if pd.api.types.is_datetime64_any_dtype(cells):
        return cells.dt.tz_localize(None).to_numpy(), {}, ""  # as a clock there showed it
    numeric = written_numbers(cells)
    if numeric.notna().sum() >= 0.9 * max(1, cells.notna().sum()):
        values = numeric.to_numpy(np.float64)
        distinct = np.unique(values[np.isfinite(values)])
        if 1 < len(distinct) <= FEW_VALUES and len(values) > 10 * len(distinct):
            return values + np.diff(distinct).min() * draw.uniform(-0.3, 0.3, len(values)), {}, ", spread a little"
        return values, {}, ""
    codes, names = levels_of(cells, 24)
    axis = {"tickvals": list(range(len(names))), "ticktext": names, "range": [-0.6, len(names) - 0.4]}
    return codes + draw.uniform(-0.3, 0.3, len(codes)), axis, ", spread a little"


def sizes(cells: pd.Series) -> tuple[F64, list[tuple[str, float]]]:
    """Return (diameters (N,) whose area follows the cells, the smallest ones where missing; three labelled ones for the legend)."""
    values = scaled(cells)
    low, middle, high = np.nanquantile(values, [0.02, 0.5, 0.98])
    spread = max(high - low, 1e-300)

    def diameter(v: Any) -> Any:
        return np.sqrt(16 + 240 * np.clip((v - low) / spread, 0, 1))

    moment = pd.api.types.is_datetime64_any_dtype(cells)
    told = [(str(pd.Timestamp(v, unit="D").date()) if moment else number(float(v)), float(diameter(v))) for v in (low, middle, high)]
    return np.where(np.isfinite(values), diameter(np.nan_to_num(values, nan=low)), 3.0), told


def legend_below(figure: go.Figure, height: int = 540) -> go.Figure:
    """Put the legend below the axis, where it may grow without meeting the title."""
    lines = -(-sum(t.showlegend is not False and bool(t.name) for t in figure.data) // 2)
    figure.update_layout(
        showlegend=True, height=height, margin={"t": 64, "b": 62 + 19 * min(lines, 7)},
        legend={"orientation": "h", "x": 0, "y": 0, "yref": "container", "xanchor": "left", "yanchor": "bottom", "itemsizing": "constant"},
    )  # fmt: skip
    return figure


def add_points(
    figure: go.Figure, x: Any, y: Any, colour: pd.Series | None = None, *, name: str = "", unit: str = "", size: Any = None,
    shape: pd.Series | None = None, hover: list[str] | None = None, at: dict[str, Any] | None = None, legend: bool = True,
) -> None:  # fmt: skip
    """Draw points, coloured by cells.

    Parameters
    ----------
    colour : (N,) cells; None draws all in one colour. name, unit : of their column. size : diameters (N,), or None for the usual.
    shape : (N,) cells of few levels; one that begins with a cross is drawn as a cross.
    hover : (N,) escaped texts. at : row and column of a subplot. legend : False leaves it out.
    """
    import plotly.graph_objects as go

    n = len(x)
    kind = go.Scattergl if n > GL_POINTS else go.Scatter
    usual = 7.0 if n < 400 else 5.0 if n < 3000 else 3.5 if n < 20_000 else 2.2
    opacity = 0.85 if n < 3000 else 0.6 if n < 20_000 else 0.35
    x, y = _thin(x), _thin(y)
    marks, kinds = (None, []) if shape is None else levels_of(shape, len(SYMBOLS) - 1)
    forms = ["x" if label.startswith("×") else form for label, form in zip(kinds, (*SYMBOLS, "circle-open"))]
    symbol: Any = "circle" if marks is None else np.asarray(forms, object)[marks]
    texts = None if hover is None else np.asarray(hover, object)

    def trace(rows: Any, marker: dict[str, Any], label: str, shown: bool) -> None:
        cut = lambda a: a[rows] if isinstance(a, np.ndarray) else a  # noqa: E731
        look = {"size": cut(size) if size is not None else usual, "opacity": opacity, "symbol": cut(symbol), "line": {"width": 0}} | marker
        told = {"hoverinfo": "skip"} if texts is None else {"hoverinfo": "text", "hovertext": texts[rows]}
        figure.add_trace(
            kind(x=x[rows], y=y[rows], mode="markers", marker=look, name=label, legendgroup=label, showlegend=shown and legend, **told),
            **(at or {}),
        )

    every = slice(None)
    if colour is None:
        trace(every, {"color": CYCLE[0]}, "rows", False)
    elif is_number(colour):
        _along_a_scale(trace, colour, name, unit, legend)
    elif n > GL_POINTS:
        # one layer for all levels: those drawn last would hide the others
        codes, names = levels_of(colour)
        steps = [[e / len(names), look(names, k)] for k in range(len(names)) for e in (k, k + 1)]
        scale = {"colorscale": steps, "cmin": -0.5, "cmax": len(names) - 0.5, "showscale": False}
        trace(every, {"color": codes.astype(np.uint8), **scale}, safe(name, 24), False)
        for k, label in enumerate(names if legend else []):
            _key(figure, {"color": look(names, k), "size": 8}, f"{safe(name, 24)}: {label}" if k == 0 and name else label, at)
    else:
        codes, names = levels_of(colour)
        for k, label in enumerate(names):
            rows = np.flatnonzero(codes == k)
            trace(rows, {"color": look(names, k)}, f"{safe(name, 24)}: {label}" if k == 0 and name else label, True)
    if legend:
        for k, label in enumerate(kinds):
            _key(figure, {"symbol": forms[k], "color": "#555", "size": 8}, label, at)


def _along_a_scale(trace: Any, colour: pd.Series, name: str, unit: str, legend: bool) -> None:
    values = scaled(colour)
    known = np.flatnonzero(np.isfinite(values))
    low, high = np.quantile(values[known], [0.01, 0.99]) if len(known) else (0.0, 1.0)
    bar: dict[str, Any] = {
        "title": {"text": safe(f"{name}{f' ({unit})' if unit else ''}", 30), "side": "right"},
        "thickness": 12,
        "len": 0.8,
    }
    if pd.api.types.is_datetime64_any_dtype(colour):
        ticks = np.linspace(low, high, 4)
        bar |= {"tickvals": ticks.tolist(), "ticktext": [str(pd.Timestamp(t, unit="D").date()) for t in ticks]}
    scale = {"colorscale": [list(s) for s in RISING], "cmin": float(low), "cmax": float(high), "showscale": legend, "colorbar": bar}
    trace(known, {"color": values[known].astype(np.float32), **scale}, safe(name, 30), False)
    gone = np.flatnonzero(~np.isfinite(values))
    if len(gone):
        trace(gone, {"color": GREY, "symbol": "circle-open"}, f"{safe(name, 24)} missing ({len(gone):,})", True)


def _key(figure: go.Figure, marker: dict[str, Any], label: str, at: dict[str, Any] | None = None) -> None:
    figure.add_scatter(x=[None], y=[None], mode="markers", marker=marker, name=label, hoverinfo="skip", **(at or {}))


def size_keys(figure: go.Figure, told: list[tuple[str, float]], name: str, unit: str) -> None:
    """Add the three sizes of :func:`sizes` to the legend, in the user's unit."""
    for words, diameter in told:
        marker = {"symbol": "circle", "color": "rgba(0,0,0,0)", "size": diameter, "line": {"width": 1.2, "color": "#555"}}
        _key(figure, marker, f"{safe(name, 24)} {words}{f' {safe(unit, 12)}' if unit else ''}")


def _thin(values: Any) -> npt.NDArray[Any]:
    """Return values as an array; numbers in half their length: four digits more than a screen shows."""
    a = np.asarray(values)
    return a.astype(np.float32) if a.dtype.kind == "f" else a


def density(figure: go.Figure, x: F64, y: F64, cells: int = 120) -> None:
    """Draw how many points lie in each small square, on a scale of logarithms; empty squares stay blank."""
    import plotly.graph_objects as go

    count, right, top = np.histogram2d(x, y, bins=cells)
    shade = np.log10(np.where(count > 0, count, np.nan)).T
    most = float(np.nanmax(shade)) if np.isfinite(shade).any() else 0.0
    ticks = np.arange(int(most) + 1)
    figure.add_trace(
        go.Heatmap(
            x=(right[:-1] + right[1:]) / 2, y=(top[:-1] + top[1:]) / 2, z=shade.astype(np.float32), colorscale=[list(s) for s in RISING],
            zmin=0.0, zmax=max(most, 1e-6), hoverongaps=False, hovertemplate="%{text} rows<extra></extra>", text=count.T.astype(np.int32),
            colorbar={
                "title": {"text": "rows", "side": "right"}, "tickvals": ticks.tolist(), "ticktext": [f"{10**int(t):,}" for t in ticks],
                "thickness": 12, "len": 0.8,
            },
        )
    )  # fmt: skip
