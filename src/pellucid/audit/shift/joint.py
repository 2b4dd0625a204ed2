"""The tables as wholes: can a classifier tell a new row from an old one, better than it tells rows of shuffled origin?"""

from __future__ import annotations

import numpy as np

from pellucid.audit.scores import auc, fit_out_of_fold
from pellucid.audit.shift.pair import Pair
from pellucid.audit.view import ALPHA, IntArray
from pellucid.random import stream
from pellucid.results import Finding

__all__ = ["find", "measure"]

ROWS = 1500
DRAWS = 19


def measure(pair: Pair) -> dict[str, float]:
    """Return ``auc``, ``by_chance``, ``by_chance_sd`` and ``z``. Cost: 20 times 2 fits of small boosted trees on at most 3,000 rows."""
    if "joint" not in pair.kept:
        pair.kept["joint"] = _measured(pair)
    made: dict[str, float] = pair.kept["joint"]
    return made


def _measured(pair: Pair) -> dict[str, float]:
    if not pair.usable:
        return {"auc": float("nan"), "by_chance": 0.5, "by_chance_sd": float("nan"), "z": 0.0}
    draw = stream(pair.seed, "joint")
    rows: tuple[IntArray, IntArray] = tuple(  # type: ignore[assignment]
        r if len(r) <= ROWS else np.sort(draw.choice(r, ROWS, replace=False)) for r in pair.rows
    )
    matrix, is_level = pair.design(pair.usable, rows)
    new = np.arange(len(matrix)) >= len(rows[0])
    fold = draw.permutation(len(matrix)) % 2

    def told(origin: np.ndarray) -> float:
        p = fit_out_of_fold(matrix, is_level, origin.astype(np.int64), fold, pair.seed, iterations=20, leaves=8)[:, 1]
        return float(np.mean([auc(p[fold == k], origin[fold == k]) for k in (0, 1)]))

    own, null = told(new), np.array([told(draw.permutation(new)) for _ in range(DRAWS)])
    spread = float(null.std(ddof=1))
    return {"auc": own, "by_chance": float(null.mean()), "by_chance_sd": spread, "z": (own - float(null.mean())) / max(spread, 1e-9)}


def find(pair: Pair) -> list[Finding]:
    """Return a finding where the tables can be told apart: beyond chance, and with an area under the curve above 0.55."""
    from scipy.stats import t

    made = measure(pair)
    # the null's spread is estimated from 19 shuffles
    if not made["auc"] > 0.55 or made["z"] < t.isf(ALPHA, DRAWS - 1) * np.sqrt(1 + 1 / DRAWS):
        return []
    words = f"a classifier tells new rows from old ones with AUC {made['auc']:.3f}, where shuffled origins give {made['by_chance']:.3f} "
    words += f"(standard deviation {made['by_chance_sd']:.3f})"
    remedy = "see which columns have changed; where none has by itself, their relations have: look at how the rows were chosen"
    severity = "high" if made["auc"] > 0.9 else "medium" if made["auc"] > 0.65 else "low"
    return [pair.new.finding("shift: joint", severity, pair.usable[:20], words, remedy, figures=made)]
