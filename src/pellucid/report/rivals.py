"""Our model against the others on the same rows: better, worse, or as good as far as these rows can tell."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pellucid.report.facts import ReportData, Score
from pellucid.report.words import clean, label, number, ranged

__all__ = ["Paired", "beats_null", "best_trees", "paired", "rival_words"]


@dataclass(frozen=True)
class Paired:
    """Our model minus a rival on the same rows; positive = ours is better."""

    rival: str
    difference: float
    low: float
    high: float

    @property
    def outcome(self) -> str:
        """``"better"``, ``"worse"``, ``"as good"`` (the interval holds 0) or ``"unknown"`` (no interval)."""
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            return "unknown"
        return "better" if self.low > 0 else "worse" if self.high < 0 else "as good"


def paired(data: ReportData, rival: str) -> Paired | None:
    """Return our model against a rival, whichever of the two is the reference of the comparison; None where they were not paired."""
    board = data.leaderboard
    if board is None or rival == data.model:
        return None
    rows = {str(r.get("model")): r for r in board.rows}
    if rival not in rows or data.model not in rows:
        return None
    row, sign = (rows[data.model], 1) if board.reference == rival else (rows[rival], -1)
    if board.reference not in (rival, data.model):
        return None
    ends = sorted(sign * float(_none(row.get(k))) for k in ("difference_low", "difference_high"))
    return Paired(rival, sign * float(_none(row.get("difference"))), ends[0], ends[1])


def _none(value: Any) -> float:
    return math.nan if value is None else float(value)


def best_trees(data: ReportData) -> str | None:
    """Return the name of the boosted trees that come closest to, or furthest above, our model."""
    pairs = [p for p in (paired(data, t) for t in data.trees) if p is not None and math.isfinite(p.difference)]
    return min(pairs, key=lambda p: p.difference).rival if pairs else None


def rival_words(data: ReportData, pair: Paired, kind: str) -> str:
    """Return one sentence on our model against a rival, from the paired difference."""
    metric = label(data.leaderboard.metric) if data.leaderboard else "score"
    figure = f"paired difference in {metric} {ranged(pair.difference, pair.low, pair.high)}, positive = ours better"
    who = f"{kind} ({clean(pair.rival)})"
    if pair.outcome == "better":
        return f"Better than {who}: {figure}."
    if pair.outcome == "worse":
        return f"Worse than {who}: {figure}."
    if pair.outcome == "unknown":
        return f"Not told apart from {who}: the difference in {metric} is {number(pair.difference)}, its interval unknown."
    return f"No better than {who} as far as these rows can tell: {figure}."


def beats_null(score: Score) -> bool | None:
    """True where the whole interval is on the good side of the null; None where that cannot be told."""
    if not all(map(math.isfinite, (score.low, score.high, score.null))):
        return None
    return score.low > score.null if score.higher_is_better else score.high < score.null
