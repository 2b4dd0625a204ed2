"""Models compared: as a table, and on one scale for the first screen. Each printed number keeps its exact value for machines."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pellucid.report import words as w
from pellucid.report.facts import ReportData
from pellucid.report.rivals import best_trees

__all__ = ["Number", "board_of", "ladder", "number_of"]


@dataclass(frozen=True)
class Number:
    """One printed number: its text, the exact value for machines, and the word whose definition explains it."""

    text: str
    value: float | None
    term: str = ""


def number_of(value: Any, step: float | None = None, unit: str = "", term: str = "") -> Number:
    """Return a number as the page shows it and as its twin keeps it; None and infinities have words alone."""
    finite = value is not None and math.isfinite(float(value))
    return Number(w.number(value, step, unit), float(value) if finite else None, term)


def board_of(data: ReportData) -> dict[str, Any] | None:
    """The comparison as a table, and as dots on one scale for the first screen."""
    board = data.leaderboard
    if board is None or not board.rows:
        return None
    known = (
        "model",
        "score",
        "low",
        "high",
        "difference",
        "difference_low",
        "difference_high",
        "fit_seconds",
        "predict_seconds",
        "size",
        "explanation_size",
    )
    extra = [
        k for k in dict.fromkeys(k for r in board.rows for k in r) if k not in known and isinstance(board.rows[0].get(k), int | float)
    ][:5]
    lines = []
    for r in board.rows:
        half = ((r.get("high") or math.nan) - (r.get("low") or math.nan)) / 2
        lines.append(
            {
                "model": w.clean(r["model"], 60),
                "ours": r["model"] == data.model,
                "reference": r["model"] == board.reference,
                **{
                    k: number_of(r.get(k), half if k in ("score", "low", "high") else None)
                    for k in ("score", "low", "high", "fit_seconds", "predict_seconds", "size", "explanation_size")
                },
                "difference": "reference" if r["model"] == board.reference else _difference(r),
                "extra": [number_of(r.get(k)) for k in extra],
            }
        )
    return {
        "metric": w.label(board.metric),
        "term": board.metric,
        "words": w.clean(board.words, 400),
        "reference": w.clean(board.reference),
        "lines": lines,
        "extra": [w.label(k) for k in extra],
        "sized": any(line["explanation_size"].value is not None for line in lines),
    }


def _difference(row: Mapping[str, Any]) -> str:
    value, low, high = (_float(row.get(k)) for k in ("difference", "difference_low", "difference_high"))
    return w.ranged(value, low, high, brackets="")


def _float(value: Any) -> float:
    return math.nan if value is None else float(value)


def ladder(data: ReportData) -> list[dict[str, Any]]:
    """Ours, the linear model, the best boosted trees and the null on one scale from 0 to 100 %, for the first screen."""
    if not data.scores:
        return []
    main, board = data.scores[0], data.leaderboard
    rows: list[tuple[str, float, float, float]] = [(f"{w.clean(data.model, 24)} (ours)", main.value, main.low, main.high)]
    rivals = {data.linear: "linear model", best_trees(data): "boosted trees"}
    for r in board.rows if board is not None and board.metric == main.metric else ():
        if r["model"] in rivals and r["model"] != data.model:
            name = f"{rivals[r['model']]} ({w.clean(r['model'], 20)})"
            rows.append((name, _float(r.get("score")), _float(r.get("low")), _float(r.get("high"))))
    if math.isfinite(main.null):
        rows.append((w.clean(main.null_words, 40) or "guessing", main.null, math.nan, math.nan))
    ends = [v for row in rows for v in row[1:] if math.isfinite(v)]
    low, span = min(ends), (max(ends) - min(ends)) or 1.0
    place = lambda v: 2 + 96 * (v - low) / span  # noqa: E731
    step = (main.high - main.low) / 2
    return [
        {
            "name": n,
            "value": number_of(v, step),
            "at": round(place(v), 2),
            "from": round(place(lo), 2) if math.isfinite(lo) else None,
            "to": round(place(hi), 2) if math.isfinite(hi) else None,
            "ours": i == 0,
        }
        for i, (n, v, lo, hi) in enumerate(rows)
        if math.isfinite(v)
    ]
