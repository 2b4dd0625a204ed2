"""Numbers and cells in words: one way to print a figure with its interval, one way to make text from data safe to show."""

from __future__ import annotations

import math
from collections.abc import Iterable

from pellucid.report.facts import Score
from pellucid.results.text import METRICS, cell, cell_text, clean, join, number, percent, shorten

__all__ = [
    "capital",
    "cell",
    "cell_text",
    "clean",
    "join",
    "label",
    "number",
    "percent",
    "position_list",
    "ranged",
    "score_text",
    "shorten",
]

LOWER_IS_BETTER = frozenset({"rmse", "mae", "mse", "log_loss", "logloss", "brier", "ece", "crps", "pinball", "error", "width", "set_size"})
SHARES = frozenset({"accuracy", "balanced_accuracy", "coverage", "f1", "precision", "recall", "ece"})


def ranged(value: float, low: float, high: float, unit: str = "", brackets: str = "95 % interval ") -> str:
    """Return ``0.8671 (95 % interval 0.8602 to 0.8737)``; an unknown interval is said to be unknown."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return f"{number(value, unit=unit)} ({brackets}unknown)"
    step = (high - low) / 2
    return f"{number(value, step, unit)} ({brackets}{number(low, step)} to {number(high, step)})"


def score_text(score: Score) -> str:
    """Return a score with its interval and its null: ``0.867 (95 % interval 0.860 to 0.874; always answering 'no' gives 0.761)``."""
    step = (score.high - score.low) / 2
    text = ranged(score.value, score.low, score.high, score.unit)
    if not math.isfinite(score.null):
        return text
    kind = "promised" if score.metric == "coverage" else f"{clean(score.null_words) or 'guessing'} gives"
    return text[:-1] + f"; {kind} {number(score.null, step if math.isfinite(step) else None)})"


def label(metric: str) -> str:
    """Return a metric's name for people: ``roc_auc`` becomes ``ROC AUC``."""
    return METRICS.get(metric, clean(metric).replace("_", " "))


def capital(text: str) -> str:
    """Return text with its first letter in upper case, the others as they are."""
    return text[:1].upper() + text[1:]


def position_list(rows: Iterable[int], most: int = 20) -> str:
    """Return positions as text, the first ``most`` of them: ``4, 17, 23 and 210 more``."""
    every = [int(r) for r in rows]
    shown = ", ".join(map(str, every[:most]))
    return shown if len(every) <= most else f"{shown} and {len(every) - most:,} more"
