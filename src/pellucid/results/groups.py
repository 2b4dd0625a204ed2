"""How answers fall out for groups of rows: rates with intervals, and gaps beside what chance alone would show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from pellucid.results.base import Result, RunRecord

__all__ = ["Gap", "GroupTable", "Rate"]


@dataclass(frozen=True)
class Rate:
    """One figure of one group.

    Attributes
    ----------
    value, low, high : the figure and its 95 % interval; NaN where there are no rows to tell it from.
    rows : the rows it rests on (of a true-positive rate: the rows that have the event; of a calibration slope: the fewer of those that
        have it and those that do not).
    told : False where these are too few to say anything ("cannot tell").
    """

    value: float
    low: float
    high: float
    rows: int
    told: bool


@dataclass(frozen=True)
class Gap:
    """The largest figure minus the smallest, among groups with enough rows.

    Attributes
    ----------
    value, low, high : the gap and its 95 % interval (resampling within groups).
    by_chance, by_chance_95 : mean and 95 % quantile of the gap where all groups are alike; a gap of many small groups is never 0.
    p : chance of groups that lie as far apart as these (weighed by their rows) where all are alike.
    highest, lowest : the groups at the ends.
    unit : of the figures.
    left_out : by name the groups that were not compared, with the rows that their figure rests on (of a true-positive rate: those that
        have the event), which are too few.
    shares : whether the figures are shares, and the gap is told in percentage points; a target's unit may be called points as well.
    """

    value: float
    low: float
    high: float
    by_chance: float
    by_chance_95: float
    p: float
    highest: str
    lowest: str
    unit: str = ""
    left_out: Mapping[str, int] = field(default_factory=dict)
    shares: bool = False

    @property
    def beyond_chance(self) -> bool:
        """True where equal groups of these sizes would differ as much in fewer than 1 of 100 tables."""
        return self.p < 0.01


@dataclass(frozen=True)
class GroupTable(Result):
    """One line per group: how many rows, and how the answers fall out for them.

    Attributes
    ----------
    by : the column that makes the groups. event : what counts as positive; empty for numbers.
    rows : rows of each group, by name.
    rates : by measure, then group. Classes: ``prevalence``, ``selection_rate``, ``tpr``, ``fpr``, ``fnr``, ``ppv``, ``accuracy``, with
        scores ``calibration_slope`` and ``calibration_intercept`` (1 and 0 where claims hold), with a level ``coverage``,
        ``abstain_rate`` and ``width`` (mean length of the interval, or classes in the set). Numbers: ``bias``, ``mae``, ``rmse``.
    gaps : by measure. words : what was found, in plain words.
    """

    by: str
    event: str
    rows: Mapping[str, int]
    rates: Mapping[str, Mapping[str, Rate]]
    gaps: Mapping[str, Gap]
    words: str
    record: RunRecord

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups, largest first."""
        return tuple(self.rows)

    def to_frame(self) -> pd.DataFrame:
        """Return one line per group: group, rows, and for each measure its value and ``<measure>_low``, ``<measure>_high``.

        ``remark`` names the measures that rest on too few rows of a group, and how many these are.
        """
        lines = []
        for group, n in self.rows.items():
            line: dict[str, object] = {"group": group, "rows": n}
            for measure, of in self.rates.items():
                rate = of[group]
                line |= {measure: rate.value, f"{measure}_low": rate.low, f"{measure}_high": rate.high}
            few = [f"{measure} ({of[group].rows:,})" for measure, of in self.rates.items() if not of[group].told]
            lines.append(line | {"remark": f"too few rows: {', '.join(few)}" if few else ""})
        return pd.DataFrame(lines)
