"""The points of the maps as the page needs them: cells and answers once, places per map, everything in short codes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.report.answers import gravest
from pellucid.report.charts.maps import NAMES
from pellucid.report.charts.points import MOST_LEVELS, is_number
from pellucid.report.facts import ReportData, Seen
from pellucid.report.words import cell_text, clean, number
from pellucid.results import Map
from pellucid.table.cells import written_numbers

__all__ = ["map_lines", "points_payload", "representative_lines"]

COLUMNS = 40
REASONS = 4
GRID = 4095
MOST_TEXTS = 200


def points_payload(data: ReportData) -> dict[str, Any]:
    """Return what the page's maps draw, as plain JSON types; empty where there is nothing to see."""
    seen = data.seen
    if seen is None or not seen.maps:
        return {}
    out: dict[str, Any] = {
        "id": seen.positions.tolist(),
        "columns": [_column(seen.data[c], c, data.unit_of.get(c, "")) for c in [str(n) for n in seen.data.columns][:COLUMNS]],
        "target": clean(data.target, 80),
        "held": None if seen.held is None else seen.held.astype(int).tolist(),
        "maps": [_places(m, rows) for m, rows in zip(seen.maps, seen.rows)],
        "findings": _findings(data, seen),
        "unit": clean(data.target_unit, 20),
    }
    if seen.answers is not None:
        out["answers"] = {str(k): _column(seen.answers[k], str(k), "") for k in seen.answers}
    if seen.reasons is not None and seen.explained is not None:
        out["reasons"] = _reasons(data, seen)
    return out


def _column(cells: pd.Series, name: str, unit: str) -> dict[str, Any]:
    """Return a column as numbers, or as codes into its texts; None for missing."""
    head = {"name": clean(name, 80), "unit": clean(unit, 20)}
    if is_number(cells) and not pd.api.types.is_datetime64_any_dtype(cells):
        values = written_numbers(cells).to_numpy(np.float64)
        return head | {"values": [_short(v) for v in values]}
    texts = [None if v is None or v is pd.NA or v is pd.NaT or v != v else clean(cell_text(v), 60) for v in cells.tolist()]
    count = pd.Series([t for t in texts if t is not None], dtype=object).value_counts()
    levels = count.index.tolist()
    at = {t: k for k, t in enumerate(levels)}
    kept = None if len(levels) > max(MOST_TEXTS, MOST_LEVELS) else 1
    return head | {"codes": [-1 if t is None else at[t] for t in texts], "levels": levels, "many": kept is None}


def _short(value: float) -> float | None:
    return float(f"{value:.5g}") if math.isfinite(value) else None


def _places(made: Map, rows: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Return places on a grid of 4,096 lines, one scale for both axes."""
    low, size = made.coordinates.min(0), max(float(np.ptp(made.coordinates, axis=0).max()), 1e-300)
    x, y = np.round((made.coordinates - low) / size * GRID).astype(int).T.tolist()
    kept = [] if made.kept is None else np.round(100 * made.kept).astype(int).tolist()
    return {
        "title": f"{clean(made.what, 60)}, {NAMES.get(made.method, clean(made.method, 30))}", "x": x, "y": y, "rows": rows.tolist(),
        "kept": kept,
        "axes": [clean(a, 120) for a in made.axes],
    }  # fmt: skip


def _findings(data: ReportData, seen: Seen) -> list[dict[str, Any]]:
    """Return which points each finding names, in the order of the list on the page."""
    place = {int(p): i for i, p in enumerate(seen.positions)}
    out = []
    for f in gravest(data):
        points = [place[int(r)] for r in f.rows if int(r) in place]
        out.append({"name": clean(f.kind, 60).replace("_", " "), "points": points, "n": len(f.rows)})
    return out


def _reasons(data: ReportData, seen: Seen) -> dict[str, Any]:
    """Return of each explained point the columns that move its answer most, with what they move it by."""
    e = seen.reasons
    assert e is not None and seen.explained is not None and seen.answers is not None  # noqa: PT018
    cube = e.cube()
    output = np.zeros(len(e), np.int64)
    names = {str(o): k for k, o in enumerate(e.outputs)}
    if cube.shape[2] > 1:
        output = np.array([names.get(str(v), 0) for v in seen.answers["predicted"].to_numpy()[seen.explained]], np.int64)
    values = cube[np.arange(len(e)), :, output]
    top = np.argsort(-np.abs(values), axis=1, kind="stable")[:, :REASONS]
    sizes = np.take_along_axis(values, top, 1)
    full = np.full(len(seen.positions), -1)
    if data.positions is not None:
        at = {int(p): i for i, p in enumerate(data.positions)}
        full = np.array([at.get(int(p), -1) for p in seen.positions])
    return {
        "columns": [clean(c, 80) for c in e.columns],
        "points": seen.explained.tolist(),
        "top": top.reshape(-1).tolist(),
        "by": [_short(float(v)) for v in sizes.reshape(-1)],
        "each": top.shape[1],
        "output": [clean(o, 60) for o in e.outputs],
        "of": output.tolist() if cube.shape[2] > 1 else None,
        "scale": clean(e.scale, 40),
        "method": clean(e.record.method, 40),
        "full": full.tolist(),
    }


def map_lines(data: ReportData) -> list[dict[str, Any]]:
    """Return each map in words and figures: title, rows, figures beside those of shuffled columns, what stands beside it, cautions."""
    if data.seen is None:
        return []
    out = []
    for made in data.seen.maps:
        lines: Any = made.figures.itertuples()
        figures = [
            {
                "name": r.figure,
                "value": number(r.value, r.error),
                "pm": number(1.96 * r.error, r.error) if math.isfinite(r.error) else "unknown",
                "noise": number(r.noise, r.error),
                "words": r.words,
            }
            for r in lines
        ]
        own = [f"{clean(k, 40)} {number(float(v), abs(float(v)) / 100 or None)}" for k, v in (made.losses or {}).items()]
        beside = [
            f"{clean(words, 120)}: disparity {number(apart, 0.01)} (0 is the same map)"
            for there, words, apart in (
                (made.second, made.second_words, made.disparity), (made.other, made.other_words, made.other_disparity),
            )
            if there is not None
        ]  # fmt: skip
        title = f"{clean(made.what, 60)}, {NAMES.get(made.method, clean(made.method, 30))}"
        cautions = [f"{clean(c, 300).rstrip('.')}." for c in made.caveats]
        axes = [f"{where}: {clean(a, 160)}" for where, a in zip(("across", "up"), made.axes) if a]
        out.append({"title": title, "n": len(made), "figures": figures, "own": own, "beside": beside, "cautions": cautions, "axes": axes})
    return out


def representative_lines(data: ReportData) -> dict[str, Any] | None:
    """Return the rows that stand for the others, their leading cells, and how much better they do than as many random rows."""
    r = None if data.seen is None else data.seen.representatives
    if r is None:
        return None
    columns = list(r.data.columns)[:8]
    lines = [
        {"row": clean(i, 30), "stands": f"{int(n):,}", "central": number(float(c), 0.01), "cells": [clean(cell_text(v), 40) for v in cells]}
        for i, n, c, cells in zip(r.index, r.stands_for, r.centrality, r.data[columns].itertuples(index=False))
    ]
    mean, low, high = (number(v, 0.01) for v in r.chance)
    return {"columns": [clean(c, 60) for c in columns], "lines": lines, "coverage": number(r.coverage, 0.01), "chance": mean, "low": low,
            "high": high,             "n": len(r.all_index)}  # fmt: skip
