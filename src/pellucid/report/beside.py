"""What stands beside a single row: its slices, rows answered for like reasons, known rows near it, units, words, ways to change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.report.facts import ReportData
from pellucid.report.words import cell, cell_text, clean, number
from pellucid.results import Explanation

__all__ = ["alike", "beside", "slices"]

MOST_LEVELS = 8
MOST_SLICES = 5
MOST_WORDS = 80
STANDS_OUT = 1.0
"""Standard deviations from its mean from which on a unit is shown as one that stands out."""

Ints = npt.NDArray[np.int64]


def slices(data: ReportData, wrong: npt.NDArray[np.bool_]) -> dict[str, list[str]]:
    """Return what the rows can be filtered by: name -> the value of each of the N rows (right or wrong, answer, truth, groups)."""
    e, p = data.explanation, data.prediction
    if e is None:
        return {}
    out: dict[str, list[str]] = {}
    if data.truth is not None and p is not None and wrong.any() and not wrong.all():
        yes, no = ("wrong", "right") if p.probabilities is not None else ("truth outside the interval", "truth inside")
        out["error"] = [yes if w else no for w in wrong]
    if p is not None and p.probabilities is not None and p.point.ndim == 1:
        out["answer"] = [clean(cell_text(v), 60) for v in p.point]
        if data.truth is not None:
            out["true class"] = [clean(cell_text(v), 60) for v in data.truth]
    levels = [c.name for c in data.columns if c.type in ("category", "ordered", "boolean") and c.name in e.data.columns]
    for name in levels:
        cells = [clean(cell_text(v), 60) for v in e.data[name]]
        if 2 <= len(set(cells)) <= MOST_LEVELS and len(out) < MOST_SLICES:
            out[clean(name, 60)] = cells
    return {k: v for k, v in out.items() if 2 <= len(set(v)) <= 24}


def alike(e: Explanation, k: int = 5) -> Ints:
    """Return for each row the k rows whose contributions lie nearest to its own, (N, k); cost N^2 P O."""
    flat = e.cube().reshape(len(e), -1)
    square = (flat**2).sum(1)
    distance = square[:, None] + square[None] - 2 * flat @ flat.T
    np.fill_diagonal(distance, np.inf)
    return np.argsort(distance, axis=1, kind="stable")[:, : min(k, max(0, len(e) - 1))].astype(np.int64)


def beside(data: ReportData, i: int, place: Mapping[int, int], near: Ints) -> dict[str, Any]:
    """Return what the page shows beside the i-th row; ``place`` maps rows of the explanation to rows of the page."""
    out: dict[str, Any] = {"like": [place[int(j)] for j in near[i] if int(j) in place]}
    assert data.explanation is not None  # the caller has looked
    told = data.explanation.words(i, output=_output(data, i), units=data.unit_of)
    out["told"] = list(told.sentences[: told.n_own])
    for name, found in (
        ("known", _known(data, i)),
        ("units", _units(data, i, place)),
        ("text", _text(data, i)),
        ("change", _change(data, i)),
    ):
        if found:
            out[name] = found
    return out


def _output(data: ReportData, i: int) -> int:
    """Return the output a row is told of: that of its answer, the first where there is none."""
    e, p = data.explanation, data.prediction
    names = [str(n) for n in e.outputs] if e is not None else []
    answer = str(p.point[i]) if p is not None and p.point.ndim == 1 else ""
    return names.index(answer) if answer in names else 0


def _known(data: ReportData, i: int, k: int = 5) -> dict[str, Any]:
    """Return the known rows nearest to a row: distance, the cells that weigh most in its answer, and their true answer."""
    n, e = data.neighbours, data.explanation
    if n is None or e is None:
        return {}
    part = n.rows(i).iloc[:k]
    answers = [c for c in part.columns if c not in e.columns]
    order = np.argsort(-np.abs(e.cube()[i, :, _output(data, i)]), kind="stable")
    shown = [e.columns[j] for j in order if e.columns[j] in part.columns][:4]
    lines = [
        {
            "row": clean(part.index[r], 30),
            "distance": number(n.distance[i, r]) if n.distance is not None else "",
            "truth": ", ".join(cell_text(part[c].iloc[r]) for c in answers),
            "cells": [clean(cell_text(part[c].iloc[r]), 40) for c in shown],
        }
        for r in range(len(part))
    ]
    credible = None if n.credibility is None else number(float(n.credibility[i]), 0.01)
    return {"columns": [clean(c, 60) for c in shown], "rows": lines, "credibility": credible}


def _units(data: ReportData, i: int, place: Mapping[int, int]) -> list[dict[str, Any]]:
    """Return the units that stand out in a row, each with other rows in which it is as active."""
    u = data.units
    if u is None:
        return []
    away = (u.activation - u.activation.mean(0)) / np.maximum(u.activation.std(0), 1e-12)
    return [
        {
            "name": clean(u.units[k], 30),
            "size": number(float(away[i, k]), 0.1),
            "rows": [place[j] for j in u.rows_like(k, i, 5) if j in place],
        }
        for k in u.strongest(i)
        if abs(away[i, k]) >= STANDS_OUT
    ]


def _text(data: ReportData, i: int) -> list[dict[str, Any]]:
    """Return the words of a row's text cells, each with its value as a share of the row's largest."""
    t = data.texts
    if t is None:
        return []
    o = min(_output(data, i), len(t.outputs) - 1)
    most = max((float(np.abs(t.values[c][i][:, o]).max(initial=0.0)) for c in t.columns), default=0.0)
    out = []
    for c in t.columns:
        words, values = t.words[c][i][:MOST_WORDS], t.values[c][i][:MOST_WORDS, o]
        if words:
            shares = [round(float(v) / most, 3) if most > 0 else 0.0 for v in values]
            told = [number(float(v)) for v in values]
            more = len(t.words[c][i]) - len(words)
            out.append({"column": clean(c, 60), "words": [clean(w, 60) for w in words], "shares": shares, "values": told, "more": more})
    return out


def _change(data: ReportData, i: int) -> dict[str, Any]:
    """Return what this person can change: the ways found, or why there is none."""
    a = data.actions
    if a is None:
        return {}
    label = a.index[i]
    want = clean(a.want, 100)
    if bool(a.reached[i]):
        return {"want": want, "words": "This row has the wanted answer already."}
    ways: dict[Any, list[str]] = {}
    for line in a.changes[a.changes["row"] == label].itertuples():
        unit = data.unit_of.get(str(line.column), "")
        ways.setdefault(line.option, []).append(
            f"{cell(str(line.column), line.before, most=40)} → {cell_text(line.after)}{' ' + unit if unit else ''}"
        )
    why = a.unreached.loc[a.unreached["row"] == label, "why"].tolist()
    words = "" if ways else clean(why[0], 300) if why else "No change within the rules was found that reaches it."
    fixed = "No change of one column alone reaches it." if bool(a.fixed[i]) else ""
    return {"want": want, "words": words or fixed, "ways": [", ".join(w) for w in ways.values()]}
