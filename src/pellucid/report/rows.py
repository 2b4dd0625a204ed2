"""Single rows to open: which ones are worth it, and what the page needs to draw each of them on demand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.report.beside import alike, beside, slices
from pellucid.report.facts import ReportData
from pellucid.report.words import cell_text, clean, number, percent
from pellucid.results import Explanation, Prediction

__all__ = ["KINDS", "payload", "row_kinds"]

KINDS = ("typical", "borderline", "wrong", "unfamiliar", "refused")
_STEPS = 14
_ROWS = 400
_CELLS = 60
_BUDGET = 2_000_000

BoolArray = npt.NDArray[np.bool_]


def row_kinds(data: ReportData) -> dict[str, BoolArray]:
    """Return for each kind of row which of the N explained rows are of it.

    ``typical``: the rows whose contributions lie nearest to the median of their answer (up to 5 per class, or per third of the
    predictions). ``borderline``: a conformal set without exactly one class, or the widest tenth of the intervals. ``wrong``: the answer is
    not the true class, or the truth lies outside the interval. ``unfamiliar``: familiarity below 5. ``refused``: an answer is withheld.
    """
    n = 0 if data.explanation is None else len(data.explanation)
    out = {kind: np.zeros(n, bool) for kind in KINDS}
    if data.explanation is None or n == 0:
        return out
    p = data.prediction
    if p is not None:
        out["borderline"] = _borderline(p)
        out["wrong"] = _wrong(p, data.truth)
        if p.familiarity is not None:
            out["unfamiliar"] = np.asarray(p.familiarity, float) < 5
        if p.refused is not None:
            out["refused"] = np.asarray(p.refused, bool)
    ordinary = ~(out["borderline"] | out["wrong"] | out["unfamiliar"] | out["refused"])
    out["typical"] = _typical(data.explanation, p, ordinary)
    return out


def _borderline(p: Prediction) -> BoolArray:
    if p.set is not None:
        return np.array([len(s) != 1 for s in p.set], bool)
    if p.low is not None and p.high is not None and p.low.ndim == 1:
        width = p.high - p.low
        return np.asarray((width >= np.quantile(width, 0.9)) & (np.ptp(width) > 1e-9 * max(1.0, float(np.abs(width).max()))))
    return np.zeros(len(p), bool)


def _wrong(p: Prediction, truth: npt.NDArray[Any] | None) -> BoolArray:
    if truth is None or p.point.ndim > 1:
        return np.zeros(len(p), bool)
    if p.probabilities is not None:
        return np.array([str(a) != str(b) for a, b in zip(p.point, truth)], bool)
    if p.low is None or p.high is None:
        return np.zeros(len(p), bool)
    true = np.asarray(truth, float)
    return np.asarray((true < p.low) | (true > p.high))


def _typical(e: Explanation, p: Prediction | None, ordinary: BoolArray, most: int = 5) -> BoolArray:
    flat = e.cube().reshape(len(e), -1)
    answer: npt.NDArray[Any] = np.zeros(len(e), int)
    if p is not None and p.point.ndim == 1:
        point = p.point
        numeric = p.probabilities is None
        answer = (
            np.digitize(point.astype(float), np.quantile(point.astype(float), [1 / 3, 2 / 3]))
            if numeric
            else np.array([str(v) for v in point])
        )
    chosen = np.zeros(len(e), bool)
    for value in dict.fromkeys(answer.tolist()):
        inside = np.flatnonzero((answer == value) & ordinary)
        if len(inside):
            distance = np.linalg.norm(flat[inside] - np.median(flat[inside], axis=0), axis=1)
            chosen[inside[np.argsort(distance, kind="stable")[:most]]] = True
    return chosen


def _order(kinds: dict[str, BoolArray], n: int) -> npt.NDArray[np.int64]:
    """Rows by kind in the order of KINDS, then the ordinary ones."""
    first = np.full(n, len(KINDS))
    for place, kind in reversed(list(enumerate(KINDS))):
        first[kinds[kind]] = place
    return np.argsort(first, kind="stable")


def payload(data: ReportData) -> dict[str, Any]:
    """Return everything the page needs to list and draw the explained rows, as plain JSON types; empty where nothing was explained.

    Kept small: at most 400 rows, per row and output the 14 largest contributions and the sum of the others, cells of the columns shown.
    """
    e = data.explanation
    if e is None or len(e) == 0:
        return {}
    kinds = row_kinds(data)
    columns = _columns(e)
    room = max(20, _BUDGET // (14 * (len(columns) + 3 * _STEPS * len(e.outputs)) + 2400))
    order = _order(kinds, len(e))[: min(_ROWS, room)]
    named = _named_in_findings(data)
    rows = [_row(data, e, int(i), columns, [k for k in KINDS if kinds[k][i]], named) for i in order]
    place, near, by = {int(i): at for at, i in enumerate(order)}, alike(e), slices(data, kinds["wrong"])
    values = {name: list(dict.fromkeys(sorted(cells))) for name, cells in by.items()}
    for i, row in zip(order, rows):
        row |= beside(data, int(i), place, near) | {"at": int(i), "slices": [values[name].index(by[name][i]) for name in by]}
    return {
        "columns": [clean(c, 80) for c in e.columns],
        "units": [clean(data.unit_of.get(c, ""), 20) for c in e.columns],
        "shown": columns,
        "outputs": [clean(o, 60) for o in e.outputs],
        "scale": clean(e.scale, 40),
        "method": clean(e.record.method, 60),
        "unit": clean(data.target_unit, 20),
        "classes": [clean(c, 60) for c in (data.prediction.classes if data.prediction is not None else ())],
        "level": None if data.prediction is None else data.prediction.level,
        "of": len(e),
        "slices": [{"name": name, "values": values[name]} for name in by],
        "maker": clean(data.neighbours.method, 40) if data.neighbours is not None else "",
        "rows": rows,
    }


def _columns(e: Explanation) -> list[int]:
    """Positions of the columns whose cells are listed: all, or in wide tables the most important ones."""
    if len(e.columns) <= _CELLS:
        return list(range(len(e.columns)))
    importance = np.abs(e.cube()).mean((0, 2))
    return sorted(int(j) for j in np.argsort(-importance, kind="stable")[:_CELLS])


def _named_in_findings(data: ReportData) -> dict[int, list[str]]:
    """Position in the file -> kinds of the findings that name this row."""
    wanted = set() if data.positions is None else {int(v) for v in data.positions}
    out: dict[int, list[str]] = {}
    for f in data.findings:
        for r in wanted.intersection(int(v) for v in f.rows):
            out.setdefault(r, []).append(f"{clean(f.kind, 60).replace('_', ' ')} ({f.severity})")
    return out


def _row(data: ReportData, e: Explanation, i: int, columns: Sequence[int], kinds: list[str], named: dict[int, list[str]]) -> dict[str, Any]:
    known = set(e.data.columns)
    cells = [cell_text(e.data[e.columns[j]].iloc[i]) if e.columns[j] in known else "(group)" for j in columns]
    position = None if data.positions is None else int(data.positions[i])
    out: dict[str, Any] = {
        "id": clean(position if position is not None else e.data.index[i], 40),
        "kinds": kinds,
        "cells": cells,
        "steps": [_steps(e, i, o) for o in range(len(e.outputs))],
        "notes": [],
    }
    if data.truth is not None:
        out["truth"] = _answer(data.truth[i], data.target_unit)
    if data.prediction is not None:
        out |= _certainty(data.prediction, i, data.target_unit)
    out["notes"] = _notes(data, e, i, named.get(-1 if position is None else position, []))
    return out


def _answer(value: Any, unit: str) -> str:
    if np.ndim(value):
        return ", ".join(_answer(v, unit) for v in value)
    return number(value, unit=clean(unit, 20)) if isinstance(value, float | np.floating) else cell_text(value)


def _finite(value: Any) -> float | None:
    x = float(value)
    return float(f"{x:.9g}") if math.isfinite(x) else None


def _steps(e: Explanation, i: int, o: int) -> dict[str, Any]:
    """The waterfall of one row and output: base, answer, the largest contributions with standard errors, the rest as one number."""
    values = e.cube()[i, :, o]
    errors = None if e.error is None else e.error.reshape(e.cube().shape)[i, :, o]
    order = np.argsort(-np.abs(values), kind="stable")
    main, rest = (order, order[:0]) if len(order) <= _STEPS + 1 else (order[:_STEPS], order[_STEPS:])
    at = lambda a: _finite(a[i, o] if np.ndim(a) == 2 else a[i])  # noqa: E731
    return {
        "base": at(e.base_values),
        "answer": at(e.predictions),
        "gap": None if e.gap is None else at(e.gap),
        "column": [int(j) for j in main],
        "value": [_finite(v) for v in values[main]],
        "error": None if errors is None else [_finite(v) for v in errors[main]],
        "rest": _finite(values[rest].sum()),
        "rest_n": len(rest),
        "rest_error": None if errors is None else _finite(np.sqrt((errors[rest] ** 2).sum())),
    }


def _certainty(p: Prediction, i: int, unit: str) -> dict[str, Any]:
    out: dict[str, Any] = {"answer": _answer(p.point[i], unit)}
    if p.probabilities is not None:
        out["chances"] = [_finite(v) for v in p.probabilities[i]]
    if p.set is not None:
        out["set"] = [clean(s, 60) for s in p.set[i]]
    if p.low is not None and p.high is not None and p.low.ndim == 1:
        out["low"], out["high"], out["point"] = _finite(p.low[i]), _finite(p.high[i]), _finite(p.point[i])
    for name in ("aleatoric", "epistemic", "familiarity"):
        value = getattr(p, name)
        if value is not None and value.ndim == 1:
            out[name] = _finite(value[i])
    return out


def _notes(data: ReportData, e: Explanation, i: int, named: list[str]) -> list[str]:
    """What the reader should know before believing this row's answer, gravest first."""
    p, out = data.prediction, []
    if p is not None and p.refused is not None and bool(p.refused[i]):
        reason = clean(p.reason[i], 200) if p.reason else ""
        out.append(f"An answer should be withheld{': ' + reason if reason else ''}.")
    if p is not None and p.familiarity is not None and float(p.familiarity[i]) < 5:
        odd = p.odd_column[i] if p.odd_column else None
        out.append(
            f"Less familiar than {percent(1 - float(p.familiarity[i]) / 100)} of training rows"
            f"{f'; oddest cell: {clean(odd, 60)}' if odd else ''}."
        )
    if p is not None and p.broken_rule is not None and p.broken_rule[i] and p.broken_rule[i] not in (p.reason[i] if p.reason else ""):
        out.append(f"It {clean(p.broken_rule[i], 200)}.")
    if p is not None and p.low is not None and p.low.ndim == 1 and not math.isfinite(float(p.low[i])):
        out.append("The interval has no end: too few certified rows for the promised level.")
    out += [f"Named in a finding: {kind}." for kind in dict.fromkeys(named)]
    blank = [c for c in e.columns if c in e.data.columns and cell_text(e.data[c].iloc[i]) == "missing"]
    if blank:
        out.append(f"{len(blank)} of its cells {'is' if len(blank) == 1 else 'are'} missing: {', '.join(clean(c, 40) for c in blank[:4])}.")
    return out
