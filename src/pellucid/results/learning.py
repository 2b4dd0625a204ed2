"""How much better models get with more rows, and how much worse with wrong labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pellucid.results.base import Result, RunRecord

__all__ = ["LearningCurve"]


@dataclass(frozen=True)
class LearningCurve(Result):
    """Scores of models by number of rows and share of wrong labels, all on the same test rows.

    Attributes
    ----------
    rows : one mapping per model, size and noise: ``model``, ``rows``, ``noise``, ``score``, ``low``, ``high`` (95 %), ``repeats``, and
    against
        the reference ``gain``, ``gain_low``, ``gain_high`` (paired; positive = better).
    metric : name of the score, larger is better. reference : the model the others are compared with.
    overtakes : by (model, noise) the size from which on the model is better than the reference beyond the interval, or None.
    words : what the curves say, in plain words.
    """

    rows: tuple[Mapping[str, Any], ...]
    metric: str
    reference: str
    overtakes: Mapping[tuple[str, float], int | None]
    words: str
    record: RunRecord

    def to_frame(self) -> pd.DataFrame:
        """Return one line per model, size and noise."""
        return pd.DataFrame([dict(r) for r in self.rows])
