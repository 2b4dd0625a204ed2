"""Answers to why beyond one number per column: how columns act together, how the answer runs along a column, rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import RequestError
from pellucid.intervals import error_of_mean
from pellucid.results.base import FloatArray, Result, RunRecord, output_at, row_at
from pellucid.results.owed import Tried

if TYPE_CHECKING:
    from pellucid.results.verdicts import Trial

__all__ = ["Curve", "Heads", "Interactions", "Rule", "Rules", "Words"]


@dataclass(frozen=True)
class Interactions(Tried, Result):
    """How columns act together.

    Attributes
    ----------
    sets : the S sets of columns that have a value, by name, in the order of ``by_set``; single columns are main effects of the index.
    by_set : (N, S, O) values per explained row; N = 1 where the answer speaks of a whole table.
    columns, outputs, scale : names of the P players and the O outputs, unit of the values.
    index : which index: ``"k-sii"``, ``"sii"``, ``"stii"``, ``"fsii"``, ``"fbii"``, ``"joint"``, ...
    error : (N, S, O) standard errors; None where exact.
    base_values, predictions : (N, O) where the values add up to their difference, else None; for ``"fbii"`` the constant of the index.
    gap : (N, O) predictions minus base minus the sum of the values; None where the index makes no such promise.
    data : the explained cells as the user wrote them; None for a whole table.
    low, high : (N, S, O) smallest and largest value over all models that are nearly as good as this one; None where one model is asked.
    swarm : one line per pair and nearly equal model, behind ``low`` and ``high``; None where one model is asked.
    trials : verdicts that are kept with it (``with_trials``); text and charts tell them.
    """

    sets: tuple[tuple[str, ...], ...]
    by_set: FloatArray
    columns: tuple[str, ...]
    outputs: tuple[str, ...]
    scale: str
    index: str
    method: str
    record: RunRecord
    error: FloatArray | None = None
    base_values: FloatArray | None = None
    predictions: FloatArray | None = None
    gap: FloatArray | None = None
    data: pd.DataFrame | None = None
    low: FloatArray | None = None
    high: FloatArray | None = None
    swarm: pd.DataFrame | None = None
    trials: tuple[Trial, ...] = ()

    def __post_init__(self) -> None:
        if self.by_set.ndim != 3 or self.by_set.shape[1:] != (len(self.sets), len(self.outputs)):
            raise RequestError(
                "the parts of the interactions do not fit together",
                expected=f"values of shape (N, {len(self.sets)}, {len(self.outputs)})",
                got=str(self.by_set.shape),
            )

    @property
    def values(self) -> FloatArray:
        """(P, P, O), symmetric: the mean over rows of each pair's value, of single columns on the diagonal; 0 where a set has no value."""
        return self.matrix(self.by_set.mean(0))

    def matrix(self, by_set: FloatArray) -> FloatArray:
        """Return (P, P, O) from one value per set (S, O); sets of more than two columns have no place in it."""
        place = {c: j for j, c in enumerate(self.columns)}
        out = np.zeros((len(self.columns), len(self.columns), len(self.outputs)))
        for k, names in enumerate(self.sets):
            if 1 <= len(names) <= 2:
                i, j = place[names[0]], place[names[-1]]
                out[i, j] = out[j, i] = by_set[k]
        return out

    def of_row(self, row: int) -> FloatArray:
        """Return (P, P, O) of one explained row."""
        return self.matrix(self.by_set[row_at(row, len(self.by_set))])

    def mean_abs(self) -> FloatArray:
        """Return (P, P, O): means over rows of absolute values."""
        return self.matrix(np.abs(self.by_set).mean(0))

    def top(self, k: int = 5, least: int = 2, output: int | str | None = None) -> list[tuple[tuple[str, ...], float]]:
        """Return the k sets of at least ``least`` columns with the largest mean absolute value, as (columns, mean over rows).

        ``output`` : name or place of the output to speak of. Where there are several and none is named, the sets are those that are largest
        over all, and each has its mean absolute value: what raises one class lowers another, so that their mean says nothing.
        """
        several = output is None and len(self.outputs) > 1
        values = self.by_set if several else self.by_set[:, :, [output_at(self.outputs, output or 0)]]
        size = np.abs(values).mean((0, 2))
        order = [s for s in np.argsort(-size, kind="stable") if len(self.sets[s]) >= least]
        return [(self.sets[s], float(size[s] if several else values[:, s].mean())) for s in order[:k]]

    def to_frame(self) -> pd.DataFrame:
        """Return one line per row, set and output: row, columns, size, output, value, error; also low and high where there is a range."""
        n, s, o = self.by_set.shape
        ends = (("low", self.low), ("high", self.high))
        index = np.arange(n) if self.data is None else np.asarray(self.data.index)
        return pd.DataFrame(
            {
                "row": np.repeat(index, s * o),
                "columns": np.tile(np.repeat([" x ".join(names) for names in self.sets], o), n),
                "size": np.tile(np.repeat([len(names) for names in self.sets], o), n),
                "output": np.tile(np.asarray(self.outputs, object), n * s),
                "value": self.by_set.reshape(-1),
                "error": np.zeros(n * s * o) if self.error is None else self.error.reshape(-1),
                **{name: end.reshape(-1) for name, end in ends if end is not None},
            }
        )


@dataclass(frozen=True)
class Curve(Result):
    """How the answer runs along columns, one panel per column.

    Attributes
    ----------
    columns, outputs, scale : the panels, the O outputs, unit of the values.
    points : per column its G places, as the user would write the cells.
    values : per column (G, O).
    interval : per column (G, O, 2) at 95 %, NaN where unknown.
    share : per column (G,) share of the rows at or near each place: where it is small the curve speaks of few rows.
    lines : per column (N, G, O) curves of single rows, where the method has them.
    """

    columns: tuple[str, ...]
    outputs: tuple[str, ...]
    points: Mapping[str, npt.NDArray[np.object_]]
    values: Mapping[str, FloatArray]
    interval: Mapping[str, FloatArray]
    share: Mapping[str, FloatArray]
    scale: str
    method: str
    record: RunRecord
    lines: Mapping[str, FloatArray] = field(default_factory=dict)

    def to_frame(self) -> pd.DataFrame:
        """Return one line per column, place and output: column, at, output, value, low, high, share."""
        o, parts = len(self.outputs), []
        for c in self.columns:
            g = len(self.points[c])
            parts.append(
                pd.DataFrame(
                    {
                        "column": c,
                        "at": np.repeat(np.asarray(self.points[c], object), o),
                        "output": np.tile(np.asarray(self.outputs, object), g),
                        "value": self.values[c].reshape(-1),
                        "low": self.interval[c][..., 0].reshape(-1),
                        "high": self.interval[c][..., 1].reshape(-1),
                        "share": np.repeat(self.share[c], o),
                    }
                )
            )
        return pd.concat(parts, ignore_index=True)


@dataclass(frozen=True)
class Rule:
    """If all conditions hold, the model answers so.

    Attributes
    ----------
    conditions : texts such as ``"age <= 40"``, in the user's units and names; empty = always.
    columns : the columns they read, in the same order.
    outcome : what the model answers where the rule holds, as text.
    precision, interval : share of held-out rows under the rule with that answer (for numbers: see ``Rules.scale``), its 95 % interval.
    coverage : share of held-out rows the rule holds for.
    row : label of the explained row; None for rules of the whole table.
    value : the rule's part in a sum, where the answer is a sum of rules.
    """

    conditions: tuple[str, ...]
    columns: tuple[str, ...]
    outcome: str
    precision: float
    interval: tuple[float, float]
    coverage: float
    row: object = None
    value: float | None = None

    def __str__(self) -> str:
        return f"{' and '.join(self.conditions) or 'always'}: {self.outcome}"


@dataclass(frozen=True)
class Rules(Result):
    """A model, or its answer to single rows, in rules.

    Attributes
    ----------
    rules : the rules. columns : the columns they may read.
    fidelity, fidelity_interval : how well the rules copy the model on held-out rows (share of equal labels, or R^2), with 95 % interval.
    scale : what precision and fidelity count. words : what can be said of them, in plain words.
    """

    rules: tuple[Rule, ...]
    columns: tuple[str, ...]
    fidelity: float
    fidelity_interval: tuple[float, float]
    scale: str
    words: str
    method: str
    record: RunRecord

    def to_frame(self) -> pd.DataFrame:
        """Return one line per rule: row, rule, outcome, precision, low, high, coverage."""
        names = ("row", "rule", "outcome", "precision", "low", "high", "coverage", "value")
        lines = [
            (r.row, " and ".join(r.conditions) or "always", r.outcome, r.precision, *r.interval, r.coverage, r.value) for r in self.rules
        ]
        return pd.DataFrame(lines, columns=list(names))


@dataclass(frozen=True)
class Words(Result):
    """What single words of text cells do to the answer.

    Attributes
    ----------
    columns, outputs, scale : the text columns, the O outputs, unit of the values.
    words : per column one tuple per row: the words (or runs of words) of the cell in order, as written; empty where it is missing.
    values : per column one array per row, (words, O).
    error : the same for standard errors; None where exact.
    kind : ``"occlusion"`` (the word alone is left out) or ``"shapley"`` (a cell's values add up to its answer less that without the cell).
    data : the explained cells as the user wrote them.
    """

    columns: tuple[str, ...]
    outputs: tuple[str, ...]
    words: Mapping[str, tuple[tuple[str, ...], ...]]
    values: Mapping[str, tuple[FloatArray, ...]]
    scale: str
    kind: str
    method: str
    record: RunRecord
    data: pd.DataFrame
    error: Mapping[str, tuple[FloatArray, ...]] | None = None

    def __len__(self) -> int:
        return len(self.data)

    def to_frame(self) -> pd.DataFrame:
        """Return one line per row, column, word and output: row, column, position, word, output, value, error."""
        o, names = len(self.outputs), ("row", "column", "position", "word", "output", "value", "error")
        index, parts = np.asarray(self.data.index), []
        for c in self.columns:
            size = np.array([len(words) for words in self.words[c]], np.int64)
            total, start = int(size.sum()), np.cumsum(size) - size
            values = np.concatenate([np.zeros((0, o)), *self.values[c]])
            error = np.zeros((total, o)) if self.error is None else np.concatenate([np.zeros((0, o)), *self.error[c]])
            cells = (
                np.repeat(index, size * o),
                np.full(total * o, c, object),
                np.repeat(np.arange(total) - np.repeat(start, size), o),
                np.repeat(np.array([w for words in self.words[c] for w in words], object), o),
                np.tile(np.asarray(self.outputs, object), total),
                values.reshape(-1),
                error.reshape(-1),
            )
            parts.append(pd.DataFrame(dict(zip(names, cells))))
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(names))

    def top(self, row: int, k: int = 5, output: int | str = 0) -> list[tuple[str, str, float]]:
        """Return the k words of a row with the largest values for one output (its name or place), as (column, word, value)."""
        row, o = row_at(row, len(self)), output_at(self.outputs, output)
        found = [(c, w, float(v[o])) for c in self.columns for w, v in zip(self.words[c][row], self.values[c][row])]
        return sorted(found, key=lambda f: -abs(f[2]))[:k]


@dataclass(frozen=True)
class Heads(Result):
    """What the attention heads of a network add to its answers.

    Attributes
    ----------
    values : (N, L, heads, O) by row, layer (of several networks one after the other), head and output.
    index : (N,) labels of the rows. outputs, scale, method, record : names, unit, how they were made.
    """

    values: FloatArray
    outputs: tuple[str, ...]
    scale: str
    method: str
    record: RunRecord
    index: npt.NDArray[np.object_]

    def importance(self) -> FloatArray:
        """Return (L, heads): mean over rows and outputs of the absolute values."""
        return np.asarray(np.abs(self.values).mean((0, 3)))

    def to_frame(self) -> pd.DataFrame:
        """Return one line per layer, head and output, largest first: layer, head, output, value, size (mean absolute value), error."""
        layers, heads, o = self.values.shape[1:]
        size = np.abs(self.values)
        layer, head, output = np.indices((layers, heads, o)).reshape(3, -1)
        frame = pd.DataFrame(
            {
                "layer": layer,
                "head": head,
                "output": np.asarray(self.outputs, object)[output],
                "value": self.values.mean(0).reshape(-1),
                "size": size.mean(0).reshape(-1),
                "error": error_of_mean(size).reshape(-1),
            }
        )
        return frame.sort_values("size", ascending=False, kind="stable", ignore_index=True)
