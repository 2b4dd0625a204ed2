"""What has changed between two tables, what it cost, and the weights that make one look like the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import RequestError
from pellucid.results.base import FloatArray, Result, RunRecord
from pellucid.results.verdicts import Finding

__all__ = ["CostOfShift", "Shift", "Weights"]


@dataclass(frozen=True)
class CostOfShift(Result):
    """Which change cost how much of the score: Shapley values over the distributions that changed.

    Attributes
    ----------
    players : columns, groups of columns, and, last, the relation of the target to the columns.
    shares : (P,) change of the mean loss put on each; positive made it worse. They add up to ``after - before``.
    error : (P,) standard error by resampling rows, of the shares as they are estimated (the ratios are not estimated anew).
    before, after : mean loss on the old and the new rows. loss, unit : its name and unit.
    effective : smallest effective sample size of any reweighting it rests on. clipped : largest share of clipped weights.
    words : the shares in plain words.
    """

    players: tuple[str, ...]
    shares: FloatArray
    error: FloatArray
    before: float
    after: float
    loss: str
    unit: str
    effective: float
    clipped: float
    words: str
    record: RunRecord

    def to_frame(self) -> pd.DataFrame:
        """Return one line per player: change, share, error, and its part of the whole change."""
        whole = self.after - self.before
        part = self.shares / whole if whole else np.full(len(self.shares), np.nan)
        return pd.DataFrame({"change": self.players, "share": self.shares, "error": self.error, "part": part})


@dataclass(frozen=True)
class Shift(Result):
    """What has changed from an old table to a new one.

    Attributes
    ----------
    drift : one line per column: column, type, test, statistic, p, q (Benjamini-Hochberg over columns), effect, effect_unit, by_chance (95 %
        of the effects between tables that do not differ), psi, psi_by_chance (its mean where nothing changed), missing_old, missing_new,
        changed.
    joint : ``auc`` by which a classifier tells old rows from new ones, out of fold; ``by_chance`` and ``by_chance_sd`` of it under shuffled
        origins; ``z``.
    findings : what should be looked at, gravest first: new levels, other units, gaps, shifted columns, shifted labels.
    cost : which change cost how much of the score, or None (no model, or no labels in the new table, or no overlap: ``words`` say).
    words : what was found, in plain words.
    """

    drift: pd.DataFrame
    joint: Mapping[str, float]
    findings: tuple[Finding, ...]
    cost: CostOfShift | None
    words: str
    record: RunRecord

    @property
    def changed(self) -> tuple[str, ...]:
        """Columns whose cells are distributed otherwise, by effect and beyond chance."""
        return tuple(self.drift["column"][self.drift["changed"].to_numpy(bool)])

    def to_frame(self) -> pd.DataFrame:
        """Return the drift table, largest effect beyond chance first."""
        excess = (self.drift["effect"] / self.drift["by_chance"].clip(lower=1e-12)).to_numpy()
        return self.drift.iloc[np.argsort(-excess, kind="stable")].reset_index(drop=True)


@dataclass(frozen=True)
class Weights(Result):
    """Weights (N,) of the rows of one table under which it looks like another one; mean 1.

    Attributes
    ----------
    values : (N,) weights. method : ``"classifier"`` or ``"hashed"``.
    effective : effective sample size, (sum w)^2 / sum w^2. clipped : share of weights at the limits.
    auc : by which a classifier tells the tables apart: near 0.5 there is nothing to weigh, near 1 nothing that could be.
    gap_before, gap_after : mean distance between the tables' columns (standard deviations, or total variation) without and with weights.
    words : what they do, in plain words.
    """

    values: FloatArray
    method: str
    effective: float
    clipped: float
    auc: float
    gap_before: float
    gap_after: float
    words: str
    record: RunRecord
    index: npt.NDArray[np.generic] | None = None

    def __post_init__(self) -> None:
        if self.values.ndim != 1 or (self.values < 0).any():
            raise RequestError("weights are one number at least 0 per row", got=f"shape {self.values.shape}")

    def __len__(self) -> int:
        return len(self.values)

    def to_frame(self) -> pd.DataFrame:
        """Return one line per row."""
        return pd.DataFrame({"weight": self.values}, index=self.index)
