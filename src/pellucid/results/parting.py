"""What it cost, and what it brought, that answers do not tell an attribute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from pellucid.results.base import Result, RunRecord
from pellucid.results.groups import GroupTable
from pellucid.results.verdicts import Leaderboard

__all__ = ["Parting"]


@dataclass(frozen=True)
class Parting(Result):
    """A model as it is beside one whose answers come from a bias-free part alone, on the same held-out rows.

    Attributes
    ----------
    columns : the sensitive columns.
    board : both models, ``"as it is"`` (the reference) and ``"bias-free"``: scores and their paired difference, with 95 % intervals.
    told : by model, then column: ``auc`` of probes from outside that read the column from the state the answers are made of, with ``low``,
        ``high`` (95 %), ``null`` (the better of two probes stays below it in 95 of 100 tables without a tie) and ``rows``; 0.5 is chance.
    cosine : mean absolute cosine of the bias-free and the bias-aware part.
    groups : by model, then column: how the answers fall out by group.
    words : what that comes to, in plain words.
    """

    columns: tuple[str, ...]
    board: Leaderboard
    told: Mapping[str, Mapping[str, Mapping[str, float]]]
    cosine: float
    groups: Mapping[str, Mapping[str, GroupTable]]
    words: str
    record: RunRecord

    def to_frame(self) -> pd.DataFrame:
        """Return one line per model and column: score, what probes tell, the gaps between groups, and who was left out of one of them."""
        lines = []
        for row in self.board.rows:
            name = str(row["model"])
            for column in self.columns:
                line = {"model": name, "column": column, self.board.metric: row["score"], "low": row["low"], "high": row["high"]}
                line |= {f"probe_{k}": v for k, v in self.told[name][column].items()}
                gaps = self.groups[name][column].gaps
                line |= {f"gap_{measure}": gap.value for measure, gap in gaps.items()}
                lines.append(line | {"left_out": ", ".join(sorted({group for gap in gaps.values() for group in gap.left_out}))})
        return pd.DataFrame(lines)
