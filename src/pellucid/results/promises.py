"""Whether promises were kept, and what is won by keeping silent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.results.base import FloatArray, Result, RunRecord

__all__ = ["Coverage", "NextRows", "RiskCoverage", "Watch"]


@dataclass(frozen=True)
class Coverage(Result):
    """How often sets or intervals held the truth.

    Attributes
    ----------
    table : one line per level and group: level, group (``"all rows"`` or the group's name), n, covered, share, promised (the least share
        that the model promises; NaN where it promises none), low and high (the share's 95 % Wilson interval), expected_low and
        expected_high (where 95 of 100 such shares lie if the promise is kept, by the law of the coverage given the number of held-out rows;
        NaN where unknown), held_out (rows behind the promise), size (mean number of labels, or mean width in the target's unit), verdict
        (``"kept"``, ``"broken"``, ``"short"``: below the level and within what is promised, ``"more than promised"``, ``"cannot tell"``).
    grouping : the column of the groups, or empty. by_group : whether the promise was asked in each group.
    score : the score of the promise. unit : of ``size``. words : what was found, in a sentence or two.
    """

    table: pd.DataFrame
    grouping: str
    by_group: bool
    score: str
    unit: str
    words: str
    record: RunRecord

    def __len__(self) -> int:
        return len(self.table)

    def to_frame(self) -> pd.DataFrame:
        """Return the lines of ``table``."""
        return self.table.copy()


@dataclass(frozen=True)
class RiskCoverage(Result):
    """The error among the answers given, as fewer and fewer are given.

    Attributes
    ----------
    coverage : (G,) share of rows answered, those of least doubt first. risk : (G,) their mean loss, with low, high its 95 % band.
    area : mean risk over all coverages (AURC), with its 95 % ``interval``. best : the least possible. excess : area - best (E-AURC).
    joint : mean of the loss both answered and suffered (AUGRC). overall : risk when every row is answered; also the area of random doubt.
    gain, gain_interval : overall - area, what the doubt is worth, and its 95 % interval.
    loss : what is counted, such as ``"share of wrong answers"``. unit : of the risk. doubt : what rows are ranked by.
    groups : one line per group and coverage of 50, 80, 90, 100 %: group, n, coverage, accepted (share of the group that is answered), risk,
        low, high (95 %); empty where no groups were asked.
    n : rows. words : what was found.
    """

    coverage: FloatArray
    risk: FloatArray
    low: FloatArray
    high: FloatArray
    area: float
    interval: tuple[float, float]
    best: float
    excess: float
    joint: float
    overall: float
    gain: float
    gain_interval: tuple[float, float]
    loss: str
    unit: str
    doubt: str
    n: int
    words: str
    record: RunRecord
    groups: pd.DataFrame = field(default_factory=pd.DataFrame)

    def __len__(self) -> int:
        return len(self.coverage)

    def at(self, risk: float) -> float:
        """Return the largest share of rows that can be answered with a mean loss of at most ``risk`` on these rows; 0 where none can."""
        good = np.flatnonzero(self.risk <= risk + 1e-12 * abs(risk))  # means of the same rows, added in two orders, differ in the last bit
        return float(self.coverage[good[-1]]) if len(good) else 0.0

    def to_frame(self) -> pd.DataFrame:
        """Return one line per point: coverage, risk, low, high."""
        return pd.DataFrame({"coverage": self.coverage, "risk": self.risk, "low": self.low, "high": self.high})


@dataclass(frozen=True)
class Watch(Result):
    """Whether a promise still holds for rows that came in later.

    Attributes
    ----------
    covered : (T,) whether each row's truth lay inside, in the order given.
    below, above : (T,) wealth after each row of bets against "coverage is not below" and "not above" the band.
    band : coverages that count as kept. level : as promised. limit : wealth at which the alarm is raised.
    broken : ``"below"``, ``"above"`` or empty. since : number of rows seen when the alarm was raised first; None where it was not.
    groups : by group, the same verdict: group, n, share, wealth, limit, broken, since; empty where no groups were asked.
    words : what was found.
    """

    covered: npt.NDArray[np.bool_]
    below: FloatArray
    above: FloatArray
    band: tuple[float, float]
    level: float
    limit: float
    broken: str
    since: int | None
    words: str
    record: RunRecord
    groups: pd.DataFrame = field(default_factory=pd.DataFrame)

    def __len__(self) -> int:
        return len(self.covered)

    def to_frame(self) -> pd.DataFrame:
        """Return one line per row: covered, the share covered so far, and both wealths."""
        seen = np.arange(1, len(self) + 1)
        return pd.DataFrame(
            {"covered": self.covered, "share": np.cumsum(self.covered) / seen, "wealth_below": self.below, "wealth_above": self.above}
        )


@dataclass(frozen=True)
class NextRows(Result):
    """Rows whose label would teach the model most, in the order to ask for them.

    Attributes
    ----------
    positions : (n,) places in the rows that were handed over. index : (n,) their labels.
    doubt : (n,) what they were chosen by; kind : ``"epistemic"`` or ``"total"``, unit : its unit.
    apart : (n,) distance of each row to the nearest one chosen before it, infinite for the first.
    data : the rows, as the user wrote them.
    """

    positions: npt.NDArray[np.int64]
    index: npt.NDArray[Any]
    doubt: FloatArray
    apart: FloatArray
    kind: str
    unit: str
    data: pd.DataFrame
    record: RunRecord

    def __len__(self) -> int:
        return len(self.positions)

    def to_frame(self) -> pd.DataFrame:
        """Return one line per row: position, doubt, apart, then its cells."""
        head: Mapping[str, Any] = {"position": self.positions, "doubt": self.doubt, "apart": self.apart}
        cells = self.data.rename(columns={c: f"{c}_cell" for c in self.data.columns if c in head})
        return pd.concat([pd.DataFrame(head, index=self.data.index), cells], axis=1)
