"""One kind of model on several sets of columns or windows of time, judged on the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from pellucid.results.base import Result, RunRecord
from pellucid.results.groups import GroupTable
from pellucid.results.verdicts import Leaderboard

__all__ = ["FeatureSets"]


@dataclass(frozen=True)
class FeatureSets(Result):
    """What each set of columns is worth.

    Attributes
    ----------
    board : one line per set: score with its 95 % interval, paired difference to the first set, calibration error (classes), and more.
    columns : by set the columns it reads.
    ages : by dated column how many months before the latest one it was seen.
    groups : by set how the answers fall out for the groups of ``by``: errors, calibration slope and intercept, with intervals; empty
        without ``by``.
    words : what the comparison says, in plain words.
    """

    board: Leaderboard
    columns: Mapping[str, tuple[str, ...]]
    ages: Mapping[str, float]
    groups: Mapping[str, GroupTable]
    words: str
    record: RunRecord

    def to_frame(self) -> pd.DataFrame:
        """Return one line per set, with the number of its columns."""
        frame = self.board.to_frame().rename(columns={"model": "set"})
        frame.insert(1, "columns", [len(self.columns[str(name)]) for name in frame["set"]])
        return frame

    def groups_frame(self) -> pd.DataFrame:
        """Return one line per set and group: rows, and each measure with its interval."""
        lines = [table.to_frame().assign(set=name) for name, table in self.groups.items()]
        if not lines:
            return pd.DataFrame(columns=["set", "group", "rows"])
        frame = pd.concat(lines, ignore_index=True)
        return frame[["set", *(c for c in frame.columns if c != "set")]]
