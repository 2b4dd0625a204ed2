"""Conditions on single cells, in the user's units, names, dates and words: what rules are made of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.explain.decisions import number_text
from pellucid.explain.grid import on_line
from pellucid.protocols import FloatArray
from pellucid.table import ColumnType, Table

__all__ = ["Condition", "common_words", "merged", "outcomes", "place_text", "round_between", "thresholds"]

BoolArray = npt.NDArray[np.bool_]
MOST_NAMED = 8
"""Levels that are left out, at most, before those that stay are named instead."""
RARE = 0.02
"""Least share of the rows with a word, and without it, for the word to make a condition."""


@dataclass(frozen=True)
class Condition:
    """A condition on one column.

    Attributes
    ----------
    column : the column read.
    kind : ``"<="`` or ``">"`` (numbers and dates; ``limit`` in the column's unit, or seconds), ``"in"`` or ``"not in"`` (``levels``),
        ``"has"`` or ``"lacks"`` (``levels`` are words of a text: it has all of them, or none), ``"missing"`` or ``"known"``.
    or_missing : True where missing cells fulfil it too.
    """

    column: str
    kind: str
    limit: float = 0.0
    levels: tuple[str, ...] = ()
    or_missing: bool = False

    def holds(self, table: Table) -> BoolArray:
        """Return which rows fulfil it, (N,)."""
        gone = table.missing(self.column)
        if self.kind in ("missing", "known"):
            return gone if self.kind == "missing" else ~gone
        if self.kind in ("in", "not in"):
            codes, texts = table.levels(self.column)
            member = np.array([(t in self.levels) == (self.kind == "in") for t in texts] + [False])[codes]
        elif self.kind in ("has", "lacks"):
            member = np.ones(len(table), bool)
            for word in self.levels:
                member &= has_word(table, self.column, word) == (self.kind == "has")
        else:
            line = on_line(table, self.column)
            assert line is not None
            with np.errstate(invalid="ignore"):
                member = line <= self.limit if self.kind == "<=" else line > self.limit
        return np.asarray((member & ~gone) | (gone & self.or_missing))

    def text(self, table: Table) -> str:
        """Return it in words, with units, names of levels and dates."""
        tail = " (or missing)" if self.or_missing else ""
        if self.kind in ("missing", "known"):
            return f"{self.column} is {self.kind}"
        if self.kind in ("in", "not in"):
            if len(self.levels) == 1:
                return f"{self.column} {'is' if self.kind == 'in' else 'is not'} {self.levels[0]}{tail}"
            others = [t for t in table.levels(self.column)[1] if t not in self.levels] if len(self.levels) > MOST_NAMED else []
            if self.kind == "not in" and 0 < len(others) < len(self.levels):  # the few that are left say it shorter
                return f"{self.column} is {'one of ' if len(others) > 1 else ''}{', '.join(others)} (or a level not in these rows){tail}"
            return f"{self.column} is {'one' if self.kind == 'in' else 'none'} of {', '.join(self.levels)}{tail}"
        if self.kind in ("has", "lacks"):
            words = (" and " if self.kind == "has" else " or ").join(f"'{word}'" for word in self.levels)
            return f"{self.column} {self.kind} the word{'s' if len(self.levels) > 1 else ''} {words}{tail}"
        return f"{self.column} {self.kind} {place_text(table, self.column, self.limit)}{tail}"


def has_word(table: Table, name: str, word: str) -> BoolArray:
    """Return which cells of a text column have a word, (N,), whatever its capitals; missing cells have none."""
    codes, texts = table.levels(name)
    found = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", re.IGNORECASE)
    return np.array([found.search(t) is not None for t in texts] + [False])[codes]


def common_words(table: Table, name: str, most: int) -> tuple[str, ...]:
    """Return the ``most`` commonest words of a text column in small letters, without those that tell too few or nearly all rows apart.

    Examples
    --------
    >>> from pellucid.table import read_table
    >>> calls = [f"{title} {'xyzuvw'[k % 6] * (2 + k // 6)}" for k, title in enumerate(["Mr.", "Mrs.", "Miss"] * 20)]
    >>> common_words(read_table({"name": calls}), "name", 5)
    ('miss', 'mr', 'mrs')
    """
    codes, texts = table.levels(name)
    words = pd.Series(texts, dtype=object).str.casefold().str.findall(r"\w+").map(lambda found: list(dict.fromkeys(found)))
    rows = np.bincount(codes[codes >= 0], minlength=len(texts))
    count = pd.Series(np.repeat(rows, words.map(len)), index=words.explode().dropna()).groupby(level=0).sum()
    least = max(3.0, RARE * rows.sum())
    count = count[(count >= least) & (count <= rows.sum() - least)]
    return tuple(str(word) for word in count.sort_values(ascending=False, kind="stable").index[:most])


def place_text(table: Table, name: str, value: float) -> str:
    """Return a place on a number or date column as text: a number with its unit, or a date.

    Examples
    --------
    >>> from pellucid.table import Column, ColumnType, Schema
    >>> import pandas as pd
    >>> schema = Schema((Column("age", ColumnType.NUMBER, unit="years"), Column("day", ColumnType.DATE)))
    >>> table = Table(pd.DataFrame({"age": [40.0], "day": [pd.Timestamp("2020-03-05")]}), schema)
    >>> place_text(table, "age", 40.0), place_text(table, "day", 1583366400.0)
    ('40 years', '2020-03-05')
    """
    column = table.schema[name]
    if column.type is ColumnType.DATE:
        moment = pd.Timestamp(round(value), unit="s")
        return moment.strftime("%Y-%m-%d") if moment == moment.normalize() else moment.strftime("%Y-%m-%d %H:%M")
    return number_text(value) + (f" {column.unit}" if column.unit else "")


def round_between(low: float, high: float) -> float:
    """Return the shortest number that is at least ``low`` and below ``high``: a threshold that separates the two.

    Examples
    --------
    >>> round_between(38.7, 41.2), round_between(0.1234, 0.1239), round_between(2.0, 3.0)
    (40.0, 0.1236, 2.5)
    """
    middle = (low + high) / 2
    for digits in range(1, 16):
        value = float(f"{middle:.{digits}g}")
        if low <= value < high and (low < value or digits > 12):
            return value
    return middle


def thresholds(table: Table, name: str, cuts: int) -> FloatArray:
    """Return ``cuts`` thresholds near quantiles of a number or date column, each between two observed values; all where they are few."""
    line = on_line(table, name)
    assert line is not None
    known = np.unique(line[~np.isnan(line)])
    if len(known) < 2:
        return np.zeros(0)
    at = np.arange(len(known) - 1)
    if len(at) > 2 * cuts:  # fewer values than that are all told apart
        wanted = np.quantile(line[~np.isnan(line)], np.arange(1, cuts + 1) / (cuts + 1), method="inverted_cdf")
        at = np.unique(np.minimum(np.searchsorted(known, wanted), len(known) - 2))
    if table.schema[name].type is ColumnType.DATE:
        return np.asarray(known[at])  # a day that occurs, not a moment between two
    return np.array([round_between(float(known[k]), float(known[k + 1])) for k in at])


def merged(conditions: Sequence[Condition]) -> tuple[Condition, ...]:
    """Return the conditions without those that others of the same column imply: the tightest bounds, the shared levels."""
    out: dict[tuple[str, str], Condition] = {}
    for c in conditions:
        old = out.get((c.column, c.kind))
        if old is None:
            out[c.column, c.kind] = c
            continue
        both = old.or_missing and c.or_missing
        if c.kind in ("<=", ">"):
            limit = min(old.limit, c.limit) if c.kind == "<=" else max(old.limit, c.limit)
            out[c.column, c.kind] = Condition(c.column, c.kind, limit, (), both)
        elif c.kind == "in":
            out[c.column, c.kind] = Condition(c.column, "in", 0.0, tuple(t for t in old.levels if t in c.levels), both)
        elif c.kind in ("not in", "has", "lacks"):
            out[c.column, c.kind] = Condition(c.column, c.kind, 0.0, tuple(dict.fromkeys(old.levels + c.levels)), both)
    for (column, kind), c in list(out.items()):
        known = [d for d in out.values() if d.column == column and d is not c and not d.or_missing and d.kind != "missing"]
        implied = kind == "known" and known  # another condition of the column already asks for a cell
        if implied or (c.or_missing and (column, "missing") in out):
            del out[column, kind]
        elif c.or_missing and known:
            out[column, kind] = Condition(column, kind, c.limit, c.levels, False)
        elif kind == "not in" and (column, "in") in out:
            inside = out[column, "in"]
            out[column, "in"] = Condition(column, "in", 0.0, tuple(t for t in inside.levels if t not in c.levels), inside.or_missing)
            del out[column, kind]
    return tuple(out.values())


def outcomes(conditions: Sequence[Condition], table: Table) -> BoolArray:
    """Return which rows fulfil all conditions, (N,)."""
    held = np.ones(len(table), bool)
    for c in conditions:
        held &= c.holds(table)
    return held
