"""Two tables side by side: the same columns, read under the same types, with levels that mean the same.

Letters: n rows of the old table, m of the new one, C shared columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.audit.view import FloatArray, IntArray, View
from pellucid.errors import ColumnError, EmptyTableError, quote
from pellucid.random import as_seed, stream
from pellucid.table import ColumnType, Table, read_table

__all__ = ["LEAST", "Pair", "pair"]

LEAST = 30
ROWS = 20_000
LEVELS = 250


@dataclass(eq=False)
class Pair:
    """An old and a new table.

    Attributes
    ----------
    old, new : views of the tables. names : the C shared columns a model would read. target : name of a target both have, or None.
    gone, added : columns of only one of them. model : a fitted model, or None. order : as asked, for the cost. seed : of the call.
    """

    old: View
    new: View
    names: tuple[str, ...]
    target: str | None
    gone: tuple[str, ...]
    added: tuple[str, ...]
    model: Any = None
    order: Any = None
    seed: int = 0
    kept: dict[str, Any] = field(default_factory=dict)

    def numbers(self, name: str) -> tuple[FloatArray, FloatArray]:
        """Return a number or date column of both tables, NaN where missing."""
        return self.old.numbers(name), self.new.numbers(name)

    def is_number(self, name: str) -> bool:
        """True for numbers and dates."""
        return self.old.is_number(name)

    def levels(self, name: str) -> tuple[IntArray, IntArray, tuple[str, ...], int]:
        """Return (codes of the old rows, of the new rows, levels, how many of these the old table knows); -1 where missing."""
        if ("levels " + name) not in self.kept:
            a, known = self.old.levels(name)
            b, texts = self.new.levels(name)
            place = {t: k for k, t in enumerate(known)}
            added = [t for t in texts if t not in place]
            place |= {t: len(known) + k for k, t in enumerate(added)}
            to = np.array([*(place[t] for t in texts), -1], np.int64)
            self.kept["levels " + name] = a, to[b], (*known, *added), len(known)
        out: tuple[IntArray, IntArray, tuple[str, ...], int] = self.kept["levels " + name]
        return out

    @cached_property
    def rows(self) -> tuple[IntArray, IntArray]:
        """Positions of at most 20,000 rows of each table, ascending: what fits use."""
        return tuple(  # type: ignore[return-value]
            np.arange(n) if n <= ROWS else np.sort(stream(self.seed, "shift", side).choice(n, ROWS, replace=False))
            for side, n in (("old", len(self.old)), ("new", len(self.new)))
        )

    @cached_property
    def usable(self) -> tuple[str, ...]:
        """Shared columns a classifier can read: no texts or identifiers."""
        return tuple(n for n in self.names if self.old.kind(n) not in (ColumnType.TEXT, ColumnType.IDENTIFIER))

    def design(self, names: tuple[str, ...], rows: tuple[IntArray, IntArray]) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """Return (matrix (n + m, C) old rows first, which columns are levels): numbers with NaN, level numbers by frequency."""
        a, b = rows
        out, is_level = np.empty((len(a) + len(b), len(names))), np.zeros(len(names), bool)
        for j, name in enumerate(names):
            if self.is_number(name):
                x, y = self.numbers(name)
                out[:, j] = np.concatenate([x[a], y[b]])
                continue
            one, two, texts, _ = self.levels(name)
            codes = np.concatenate([one[a], two[b]])
            count = np.bincount(codes[codes >= 0], minlength=len(texts))
            rank = np.empty(len(texts))
            rank[np.argsort(-count, kind="stable")] = np.minimum(np.arange(len(texts)), LEVELS - 1)
            out[:, j], is_level[j] = np.where(codes >= 0, rank[np.maximum(codes, 0)] if len(texts) else np.nan, np.nan), True
        return out, is_level


def pair(old: Any, new: Any, *, model: Any = None, target: str | None = None, order: Any = None, random_state: Any = 0) -> Pair:
    """Return the two tables side by side, or an error that says why they cannot be compared."""
    seed = as_seed(random_state)
    a = old if isinstance(old, Table) else read_table(old, target=target)
    a = a.with_roles(target=target) if target is not None and isinstance(old, Table) else a
    b = new if isinstance(new, Table) else read_table(new)
    shared = [n for n in a.columns if n in b.columns]
    names = tuple(n for n in a.features if n in b.columns and n != a.target)
    if not names:
        raise ColumnError("the tables have no column in common", expected=quote(a.features, 12), got=quote(b.columns, 12))
    for what, table in (("old", a), ("new", b)):
        if len(table) < LEAST:
            raise EmptyTableError(f"the {what} table has too few rows to compare", expected=f"at least {LEAST}", got=str(len(table)))
    gone = tuple(n for n in a.columns if n not in b.columns and n != a.target)
    added = tuple(n for n in b.columns if n not in a.columns)
    goal = a.target if a.target in b.columns else None
    under = b.select(shared).with_schema(a.schema.select(shared))
    return Pair(View(a, seed=seed), View(under, seed=seed), names, goal, gone, added, model, order, seed)
