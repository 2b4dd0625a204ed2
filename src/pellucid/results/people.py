"""Answers that name other rows: neighbours and training rows, and what a person can change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import RequestError
from pellucid.results.base import FloatArray, Result, RunRecord, row_at

__all__ = ["Actions", "FoundRows", "Inquiry", "Neighbours"]


@dataclass(frozen=True)
class Neighbours(Result):
    """The known rows behind an answer.

    Attributes
    ----------
    index : (N,) labels of the explained rows.
    positions : (N, k) places of the named rows in ``data``, most important first.
    data : the named rows as the user wrote them, with their target where it is known.
    distance : (N, k) distance in the space the method speaks of; None where it has none.
    weight : (N, k, O) part of each named row in the answer, on ``scale``; None where it has none.
    credibility : (N,) share of known rows whose own answer their neighbours contest at least as much as they contest this one (a p-value);
        None where it is not defined.
    agreement : (N,) share of the neighbours, over all layers, whose answer is this row's; None for numbers.
    rest : (N, O) part of the answer that the named rows leave to all others, where the weights add up; else None.
    outputs, scale, method, record : names, unit, how they were made.
    """

    index: npt.NDArray[Any]
    positions: npt.NDArray[np.int64]
    data: pd.DataFrame
    outputs: tuple[str, ...]
    scale: str
    method: str
    record: RunRecord
    distance: FloatArray | None = None
    weight: FloatArray | None = None
    credibility: FloatArray | None = None
    agreement: FloatArray | None = None
    rest: FloatArray | None = None

    def __post_init__(self) -> None:
        if self.positions.shape[0] != len(self.index):
            raise RequestError("the parts of the neighbours do not fit", expected=f"{len(self.index)} rows", got=str(len(self.positions)))

    def __len__(self) -> int:
        return len(self.index)

    def rows(self, i: int) -> pd.DataFrame:
        """Return the rows named for the i-th explained row."""
        return pd.DataFrame(self.data.iloc[self.positions[row_at(i, len(self))]])

    def to_frame(self) -> pd.DataFrame:
        """Return one line per explained row and named row: row, rank, neighbour, distance, ``weight_<output>``, then its cells."""
        n, k = self.positions.shape
        head: dict[str, Any] = {"row": np.repeat(self.index, k), "rank": np.tile(np.arange(1, k + 1), n)}
        head["neighbour"] = np.asarray(self.data.index)[self.positions.reshape(-1)]
        if self.distance is not None:
            head["distance"] = self.distance.reshape(-1)
        if self.weight is not None:
            head |= {f"weight_{name}": self.weight[:, :, o].reshape(-1) for o, name in enumerate(self.outputs)}
        cells = self.data.iloc[self.positions.reshape(-1)].reset_index(drop=True)
        return pd.concat([pd.DataFrame(head), cells.rename(columns={c: f"{c}_cell" for c in cells.columns if c in head})], axis=1)


@dataclass(frozen=True)
class Actions(Result):
    """What a person can change, and what that would do.

    Attributes
    ----------
    index : (N,) labels of the rows asked about.
    columns : the C columns that may change under the rules.
    responsiveness : (N, C) share of the allowed changes of one column that reach the wanted answer; NaN where the column may not change.
    interval : (N, C, 2) its 95 % interval (both ends equal where all changes were gone through).
    reached : (N,) whether the row has the wanted answer already. fixed : (N,) whether no single-column change reaches it.
    options : one line per proposed joint change: row, option, prediction, changes, distance, plausible, valid, and what changes as text.
    changes : one line per changed cell: row, option, column, before, after.
    want : the wanted answer in words. rules : the rules of change in words, per column.
    unreached : one line per row without the wanted answer and without an option: row, and why none was found.
    reasons : one line per row without the wanted answer: row, the columns named first as reasons, the most responsive columns, and whether
        no reason is responsive; None where reasons were not asked for.
    """

    index: npt.NDArray[Any]
    columns: tuple[str, ...]
    responsiveness: FloatArray
    interval: FloatArray
    reached: npt.NDArray[np.bool_]
    fixed: npt.NDArray[np.bool_]
    options: pd.DataFrame
    changes: pd.DataFrame
    want: str
    rules: dict[str, str]
    method: str
    record: RunRecord
    unreached: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"row": [], "why": []}))
    reasons: pd.DataFrame | None = None

    def __len__(self) -> int:
        return len(self.index)

    def to_frame(self) -> pd.DataFrame:
        """Return one line per row and column that may change: row, column, responsiveness, low, high, reached, fixed."""
        n, c = self.responsiveness.shape
        return pd.DataFrame(
            {
                "row": np.repeat(self.index, c),
                "column": np.tile(np.asarray(self.columns, object), n),
                "responsiveness": self.responsiveness.reshape(-1),
                "low": self.interval[..., 0].reshape(-1),
                "high": self.interval[..., 1].reshape(-1),
                "reached": np.repeat(self.reached, c),
                "fixed": np.repeat(self.fixed, c),
            }
        )


@dataclass(frozen=True)
class FoundRows(Result):
    """Rows that no one entered: found because a model answers them highest.

    Attributes
    ----------
    data : the R rows as a user would write them, all valid cells.
    nearest : (R) the known row nearest to each, as the user wrote it.
    output : (R,) name of the output each row was searched for; the best first.
    activation : (R,) the model's answer to it, through the whole pipeline. nearest_activation : (R,) its answer to the nearest known row.
    best_known : (R,) its highest answer to a known row.
    percentile : (R,) share of known rows, in percent, that lie nearer to another known row than this row lies to one.
    representative : (R,) False where the percentile is above 99.
    outputs, scale, method, record : names, unit, how they were made.
    """

    data: pd.DataFrame
    nearest: pd.DataFrame
    output: npt.NDArray[np.object_]
    activation: FloatArray
    nearest_activation: FloatArray
    best_known: FloatArray
    percentile: FloatArray
    representative: npt.NDArray[np.bool_]
    outputs: tuple[str, ...]
    scale: str
    method: str
    record: RunRecord

    def __post_init__(self) -> None:
        if not len(self.data) == len(self.nearest) == len(self.activation) == len(self.output):
            raise RequestError("the parts of the rows found do not fit", expected=f"{len(self.data)} rows", got=str(len(self.activation)))

    def __len__(self) -> int:
        return len(self.data)

    def to_frame(self) -> pd.DataFrame:
        """Return one line per row found: output, activation, nearest_activation, best_known, percentile, representative, then its cells."""
        names = ("output", "activation", "nearest_activation", "best_known", "percentile", "representative")
        head = pd.DataFrame({name: getattr(self, name) for name in names})
        cells = self.data.reset_index(drop=True)
        return pd.concat([head, cells.rename(columns={c: f"{c}_cell" for c in cells.columns if c in head})], axis=1)


@dataclass(frozen=True)
class Inquiry(Result):
    """Which cells of a row must be asked before the decision is settled, one at a time.

    Attributes
    ----------
    index : (N,) labels of the rows.
    columns : the C columns.
    order : (N, C) places in ``columns`` in the order of asking, -1 after the last.
    n_asked : (N,) how many were asked.
    decision : (N,) the decision on the asked cells alone. whole : (N,) the decision on the whole row.
    sure : (N, C + 1) share of draws of the unasked cells that give the decision, after 0, 1, ... cells; NaN after the last.
    checked : (N,) the same share at the end, on draws that the choice has not seen; NaN where there are too few rows for it.
    curve : one line per number of cells: asked, the share of rows whose decision is that on the whole row, and its standard error.
    method, record : how it was made.
    """

    index: npt.NDArray[Any]
    columns: tuple[str, ...]
    order: npt.NDArray[np.int64]
    n_asked: npt.NDArray[np.int64]
    decision: npt.NDArray[Any]
    whole: npt.NDArray[Any]
    sure: FloatArray
    checked: FloatArray
    curve: pd.DataFrame
    method: str
    record: RunRecord

    def __len__(self) -> int:
        return len(self.index)

    @property
    def agreement(self) -> float:
        """Share of rows whose decision on the asked cells is that on the whole row."""
        return float((self.decision == self.whole).mean())

    def asked(self, i: int) -> tuple[str, ...]:
        """Return the columns asked of the i-th row, in order."""
        return tuple(self.columns[j] for j in self.order[row_at(i, len(self))] if j >= 0)

    def to_frame(self) -> pd.DataFrame:
        """Return one line per row: row, n_asked, asked, decision, whole, sure, checked."""
        last = self.sure[np.arange(len(self)), self.n_asked]
        return pd.DataFrame(
            {
                "row": self.index,
                "n_asked": self.n_asked,
                "asked": [", ".join(self.asked(i)) for i in range(len(self))],
                "decision": self.decision,
                "whole": self.whole,
                "sure": last,
                "checked": self.checked,
            }
        )
