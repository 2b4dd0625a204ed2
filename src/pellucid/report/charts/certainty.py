"""Figures of certainty: reliability, intervals, probabilities, and doubt split into noise and lack of knowledge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid.errors import RequestError
from pellucid.report.charts.style import BLUE, CYCLE, GREY, ORANGE, SYMBOLS, bars_error, blank, name_lines, safe
from pellucid.report.words import clean, number, percent
from pellucid.results import Prediction

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from pellucid.report.facts import Calibration


def reliability_chart(curve: Calibration) -> go.Figure:
    """Return observed share against predicted probability, with Wilson bars, the diagonal, the null band and the rows per bin.

    Inside the grey band a bin looks as it would for a perfectly calibrated model on as many rows.
    """
    title = f"Predicted probability against observed share, {curve.n or int(np.sum(curve.count)):,} rows ({safe(curve.output)})"
    figure = blank(title, "predicted probability", "observed share", height=420, legend=True)
    null_low, null_high = _null_band(curve)
    band_x = np.r_[curve.predicted, curve.predicted[::-1]]
    band_y = np.r_[null_high, null_low[::-1]]
    figure.add_scatter(
        x=band_x,
        y=band_y,
        mode="lines",
        fill="toself",
        fillcolor="rgba(127,127,127,.22)",
        line={"width": 0},
        hoverinfo="skip",
        name="null: if calibrated (95 %)",
    )
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": GREY, "dash": "dash", "width": 1.5}, name="perfect", hoverinfo="skip"
    )
    texts = [
        f"predicted {number(p)}, observed {number(o)}, {int(c):,} rows" for p, o, c in zip(curve.predicted, curve.observed, curve.count)
    ]
    figure.add_scatter(
        x=curve.predicted,
        y=curve.observed,
        mode="lines+markers",
        name="this model (95 % intervals)",
        hovertext=texts,
        hoverinfo="text",
        marker={"size": 8, "color": BLUE},
        line={"color": BLUE, "width": 1},
        error_y=bars_error(curve.low, curve.high, curve.observed),
    )
    share = np.asarray(curve.count, float) / max(float(np.max(curve.count)), 1.0)
    figure.add_bar(
        x=curve.predicted,
        y=0.12 * share,
        width=0.02,
        marker={"color": ORANGE, "opacity": 0.8},
        name="rows per bin",
        hovertext=texts,
        hoverinfo="text",
    )
    figure.update_layout(xaxis={"range": [-0.02, 1.02]}, yaxis={"range": [-0.02, 1.04]})
    return figure


def _null_band(curve: Calibration) -> tuple[Any, Any]:
    """Return where 95 % of the observed shares of a perfectly calibrated model lie: given, or binomial at each bin's mean prediction."""
    if curve.null_low is not None and curve.null_high is not None:
        return curve.null_low, curve.null_high
    from scipy.stats import binom

    count = np.maximum(np.asarray(curve.count), 1)
    return binom.ppf(0.025, count, curve.predicted) / count, binom.ppf(0.975, count, curve.predicted) / count


def intervals(result: Prediction, truth: Any = None, k: int = 60, unit: str = "") -> go.Figure:
    """Return predictions of up to k rows with their intervals, smallest prediction first; truths outside are crosses."""
    if result.low is None or result.high is None:
        raise RequestError("these predictions have no intervals", do="ask for them with model.uncertainty(X, level=0.9)")
    point, low, high = (np.asarray(a, float) for a in (result.point, result.low, result.high))
    order = np.argsort(point, kind="stable")
    order = order[np.unique(np.linspace(0, len(order) - 1, min(k, len(order))).astype(int))]
    place = np.arange(len(order))
    title = f"Prediction with its {percent(result.level, 0)} interval, {len(order)} of {len(point)} rows, smallest first"
    figure = blank(title, "row, in order of prediction", f"answer ({safe(unit)})" if unit else "answer", legend=True)
    finite = np.isfinite(low[order]) & np.isfinite(high[order])
    figure.add_scatter(
        x=place,
        y=point[order],
        mode="markers",
        marker={"color": BLUE, "size": 5},
        name="prediction and interval",
        error_y=bars_error(np.where(finite, low[order], np.nan), np.where(finite, high[order], np.nan), point[order]),
    )
    if truth is not None:
        true = np.asarray(truth, float)[order]
        inside = (true >= low[order]) & (true <= high[order])
        figure.add_scatter(
            x=place[inside],
            y=true[inside],
            mode="markers",
            marker={"color": ORANGE, "size": 7, "symbol": "circle-open"},
            name="truth, inside",
        )
        figure.add_scatter(
            x=place[~inside], y=true[~inside], mode="markers", marker={"color": "#D55E00", "size": 9, "symbol": "x"}, name="truth, outside"
        )
    return figure


def probabilities(result: Prediction) -> go.Figure:
    """Return how often the model gives which probability to its answer: sure answers at the right, guesses at the left."""
    if result.probabilities is None:
        raise RequestError("these predictions have no probabilities", do="ask a classifier, or choose kind='interval'")
    top = result.probabilities.max(1)
    floor = 1 / result.probabilities.shape[1]
    count, edges = np.histogram(top, bins=np.linspace(floor, 1, 21))
    figure = blank(f"Probability of the answer given, {len(top):,} rows", "probability of the answer", "rows", height=300)
    figure.add_bar(x=(edges[:-1] + edges[1:]) / 2, y=count, width=0.9 * np.diff(edges), marker={"color": BLUE})
    return figure


def doubt(result: Prediction, unit: str = "") -> go.Figure:
    """Return each row's doubt split in two: noise in the target (aleatoric) across, lack of knowledge (epistemic) up.

    unit : the target's, where it is a number with one.
    """
    if result.aleatoric is None or result.epistemic is None:
        raise RequestError(
            "the doubt of these predictions is not split", do="fit with members, so that noise and lack of knowledge can be told apart"
        )
    unit = "nats" if result.probabilities is not None else f"{safe(unit, 30)}²" if unit else "squared units of the target"
    noise, lack = np.asarray(result.aleatoric, float), np.asarray(result.epistemic, float)
    share = float(np.nansum(lack) / max(np.nansum(lack) + np.nansum(noise), 1e-300))
    size = "under 1 %" if 0 < share < 0.01 else percent(share, 0)
    title = f"Two kinds of doubt, {len(noise):,} rows: {size} of all doubt is lack of knowledge"
    figure = blank(
        title, f"noise in the target, aleatoric ({unit})", f"not known, epistemic ({unit})", legend=result.probabilities is not None
    )
    labels = [clean(p, 40) for p in result.point] if result.probabilities is not None else ["rows"] * len(noise)
    names = list(dict.fromkeys([clean(c, 40) for c in result.classes])) if result.probabilities is not None else ["rows"]
    figure.update_layout(margin={"t": 56 + 18 * min(len(names), 8)})
    for i, name in enumerate(names):
        rows = [k for k, p in enumerate(labels) if p == name]
        figure.add_scatter(
            x=noise[rows],
            y=lack[rows],
            mode="markers",
            name=f"answered {safe(name, 30)}",
            hoverinfo="x+y",
            marker={"color": CYCLE[i % len(CYCLE)], "symbol": SYMBOLS[i % len(SYMBOLS)], "size": 7, "opacity": 0.75},
        )
    ends = [[0, 1.06 * float(np.nanmax(v, initial=0.0)) or 1] for v in (noise, lack)]  # sizes: 0 belongs on both axes
    return figure.update_layout(xaxis={"range": ends[0]}, yaxis={"range": ends[1]})


def familiarity(result: Prediction) -> go.Figure:
    """Return how familiar the rows are: percentiles among training rows set aside; ordinary rows fill all heights evenly."""
    if result.familiarity is None:
        raise RequestError("these predictions have no familiarity")
    count, edges = np.histogram(np.asarray(result.familiarity, float), bins=20, range=(0, 100 if np.nanmax(result.familiarity) > 1 else 1))
    figure = blank(
        f"Familiarity of {len(result):,} rows, percentile among training rows set aside",
        "familiarity (0 = like nothing seen)",
        "rows",
        height=300,
    )
    figure.add_bar(x=(edges[:-1] + edges[1:]) / 2, y=count, width=0.9 * np.diff(edges), marker={"color": BLUE})
    label = {"text": "ordinary rows", "font": {"size": 11}, "bgcolor": "rgba(255,255,255,0.85)"}
    figure.add_hline(y=len(result) / 20, line={"color": GREY, "dash": "dash"}, annotation=label)
    return figure


def samples(result: Prediction, row: int, output: int | None = None) -> go.Figure:
    """Return how the members' answers to one row are spread: one bar a bin, the answer given as a line."""
    if result.samples is None:
        raise RequestError("the members' answers were not kept", do="ask for them with model.uncertainty(X, samples=True)")
    of_classes = result.probabilities is not None
    at = output if output is not None else int(result.probabilities[row].argmax()) if result.probabilities is not None else 0
    values = np.asarray(result.samples[row, :, at], float)
    spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    what = f"probability of {safe(result.classes[at], 30)}, before calibration" if of_classes else "answer"
    title = f"What {len(values)} members answer to row {row}: spread {number(spread)}"
    figure = blank(title, what, "members", height=300)
    count, edges = np.histogram(values, bins=int(np.clip(np.sqrt(len(values)) * 1.5, 5, 30)))
    figure.add_bar(x=(edges[:-1] + edges[1:]) / 2, y=count, width=0.9 * np.diff(edges), marker={"color": BLUE}, hoverinfo="x+y")
    figure.add_vline(x=float(values.mean()), line={"color": ORANGE, "width": 2}, annotation={"text": "mean", "font": {"size": 11}})
    return figure


def one_row(result: Prediction, row: int) -> go.Figure:
    """Return the class probabilities of one row; classes in its conformal set are plain, the others hatched."""
    if result.probabilities is None:
        raise RequestError("these predictions have no probabilities", do="choose kind='interval'")
    chances = result.probabilities[row]
    inside = set(map(str, result.set[row])) if result.set is not None else set(map(str, result.classes))
    order = np.argsort(-chances, kind="stable")[:12]
    figure = blank(
        f"Probability of each class, row {row}; hatched = outside the {percent(result.level, 0)} set",
        "probability",
        height=120 + 30 * len(order),
    )
    marks = ["" if str(result.classes[j]) in inside else "/" for j in order]
    figure.add_bar(
        x=chances[order],
        y=list(range(len(order))),
        orientation="h",
        marker={"color": BLUE, "pattern": {"shape": marks, "fillmode": "overlay"}},
        text=[number(c, 0.01) for c in chances[order]],
        textposition="outside",
        cliponaxis=False,
        hoverinfo="skip",
    )
    figure.update_layout(xaxis={"range": [0, 1.1]})
    return name_lines(figure, [safe(result.classes[j], 30) for j in order])
