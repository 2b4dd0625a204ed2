"""Rules between columns that the training rows keep: does a new row keep them too?

Arithmetic and fitted state only; the rules are found by ``pellucid.audit.rules``, and said of answers by ``pellucid.uncertainty``. Letters:
N rows, M columns that make another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.table import ColumnType, Table

__all__ = ["MISSING", "Rule", "broken_rules"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
MISSING = ""
"""The key of a missing cell: it keeps every rule."""
SLACK, RATIO_SLACK = 1e-9, 1e-6
"""What doubles may be off by, relative to what is made."""
SHOWN = 3


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes
    ----------
    kind : ``"sum"``: the first column is the weighted sum of the others and ``constant``; ``"product"``: of the two others;
        ``"order"``: the first is at most the second; ``"ratio"``: first over second is what the level of the third says; ``"decides"``:
        the first column's cell says what stands in the second.
    columns : of the rule. words : as a reader writes it. holds : share of the ``support`` training rows that keep it.
    weights : (M,) of a sum. constant, width : of a sum or product; what is made may be off by the width.
    said : by key of the deciding cell, the text of a decided cell, or (ratio, width).
    """

    kind: str
    columns: tuple[str, ...]
    words: str
    support: int
    holds: float
    weights: tuple[float, ...] = ()
    constant: float = 0.0
    width: float = 0.0
    said: Mapping[str, Any] = field(default_factory=dict)

    def broken(self, table: Table) -> BoolArray:
        """Return which rows break the rule (N,); a row with a missing cell, or a level that was never seen, breaks none."""
        if self.kind == "decides":
            found = keys(table, self.columns[1])
            wanted = self._said(table, self.columns[0], MISSING)
            return np.asarray((wanted != MISSING) & (found != MISSING) & (wanted != found), bool)
        x = [_numbers(table, c) for c in self.columns[: 2 if self.kind == "ratio" else None]]
        with np.errstate(invalid="ignore", over="ignore"):
            if self.kind == "order":
                return np.asarray(x[0] > x[1])
            if self.kind == "product":
                return _off(x[0], x[1] * x[2], self.width)
            if self.kind == "sum":
                return _off(x[0], np.sum([w * part for w, part in zip(self.weights, x[1:])], 0) + self.constant, self.width)
            ratio, width = self._said(table, self.columns[2], (np.nan, np.nan)).reshape(-1, 2).T
            return np.asarray((np.abs(x[0] - ratio * x[1]) > width + RATIO_SLACK * np.abs(x[0])) & (x[1] != 0))

    def _said(self, table: Table, name: str, unknown: Any) -> npt.NDArray[Any]:
        """Return what the cells of a column say (N, ...), ``unknown`` where training had no such cell."""
        at, texts = _coded(table, name)
        return np.array([self.said.get(text, unknown) for text in texts], object if isinstance(unknown, str) else np.float64)[at]

    def state(self) -> dict[str, Any]:
        """Return what :meth:`from_state` needs: text and numbers."""
        return {**vars(self), "columns": list(self.columns), "weights": list(self.weights), "said": dict(self.said)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Rule:
        """Return the rule that :meth:`state` described."""
        return cls(**{**state, "columns": tuple(state["columns"]), "weights": tuple(float(w) for w in state["weights"])})


def _numbers(table: Table, name: str) -> FloatArray:
    return table.seconds(name) if table.schema[name].type is ColumnType.DATE else table.numbers(name)


def _coded(table: Table, name: str) -> tuple[Ints, list[str]]:
    """Return (the number of each cell's text (N,), the texts): the same for a number however it is written, ``MISSING`` for no cell."""
    if table.schema[name].type in (ColumnType.NUMBER, ColumnType.DATE):
        values, at = np.unique(_numbers(table, name), return_inverse=True)
        return at.reshape(-1), [MISSING if np.isnan(v) else f"{v:.15g}" for v in values]
    at, levels = table.levels(name)
    return at.reshape(-1), [*levels, MISSING]


def keys(table: Table, name: str) -> npt.NDArray[np.object_]:
    """Return the text of each cell (N,), ``MISSING`` where there is none."""
    at, texts = _coded(table, name)
    return np.array(texts, object)[at]


def _off(found: FloatArray, made: FloatArray, width: float) -> BoolArray:
    return np.asarray(np.abs(found - made) > width + SLACK * np.abs(made))


def broken_rules(rules: Sequence[Rule], table: Table, strict: float = 1.0) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return (N texts that name the rules each row breaks, with its own cells; N texts of those that ``strict`` of the rows keep).

    Texts are empty where a row breaks nothing. Rules of a column that the table has not are left out.
    """
    texts: tuple[list[list[str]], ...] = ([[] for _ in range(len(table))], [[] for _ in range(len(table))])
    for rule in rules:
        if not set(rule.columns) <= set(table.columns):
            continue
        rows, breaks = np.flatnonzero(rule.broken(table)), f"breaks '{rule.words}', which {_share(rule)} keep: here "
        shown = [table.frame[c].iloc[rows].tolist() for c in rule.columns]
        for row, *cells in zip(rows.tolist(), *shown):
            text = breaks + ", ".join(f"{c} {cell}" for c, cell in zip(rule.columns, cells))
            texts[0][row].append(text)
            if rule.holds >= strict:
                texts[1][row].append(text)
    every, sure = (tuple(_joined(t) for t in each) for each in texts)
    return every, sure


def _joined(texts: list[str]) -> str:
    return "; ".join(texts[:SHOWN]) + (f"; and {len(texts) - SHOWN} rules more" if len(texts) > SHOWN else "")


def _share(rule: Rule) -> str:
    percent = f"{100 * rule.holds:.2f}"
    return f"{'all' if rule.holds >= 1 else 'over 99.99 %' if percent == '100.00' else percent + ' %'} of {rule.support:,} training rows"
