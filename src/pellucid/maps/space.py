"""Rows of mixed cells as points whose straight distance is a fair distance between rows.

Numbers, dates and ordered levels are put on the normal quantiles of their places; a level is a corner of its own, so that two different
levels lie at distance 1; a text is 16 numbers of total variance 1. A missing cell lies as far from a random present one as two random
cells lie from each other, and two missing cells lie together. Letters: N rows, F slots, V text width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.encode.categories import MISSING
from pellucid.encode.table_encoder import TableEncoder
from pellucid.protocols import FloatArray
from pellucid.table import ColumnType, Table

__all__ = ["Space"]

MOST_LEVELS = 64
"""Levels of a column that get a corner of their own; the rarer ones share one."""
TEXT_WIDTH = 16
TEXT_ROWS = 5000


@dataclass
class _Part:
    """What one tensor slot becomes: ``names`` of its F_j columns, and how they are made."""

    column: str
    kind: str
    position: int
    names: tuple[str, ...]
    corner: npt.NDArray[np.int64] | None = None
    axes: FloatArray | None = None
    gap: bool = False


class Space:
    """Points of a table's rows, and of new rows of the same columns.

    Parameters
    ----------
    table : the N rows that fix scales, levels and text axes; its feature columns are read.
    text : a sentence encoder of the user's own, M strings to vectors (M, V); hashed character n-grams where None.

    Attributes
    ----------
    columns : names of the source columns. source : (F,) which of them each slot comes from. parts : (F,) what each slot says.

    Notes
    -----
    Cost: one sort per number column, one pass per level column, a singular value decomposition (5000, V) per text column.
    # NOTE[DIFF] rare levels beyond 64 share one corner, so that two of them lie together: a table of names stays a small matrix.

    Examples
    --------
    >>> from pellucid.table import read_table
    >>> import pandas as pd
    >>> table = read_table(pd.DataFrame({"sex": ["F", "M", "F", "M"], "age": [30.0, 30.0, 40.0, 50.0]}), types={"sex": "category"})
    >>> space = Space(table)
    >>> points = space(table)
    >>> round(float(((points[0] - points[1]) ** 2).sum()), 6)  # they differ in one level
    1.0
    """

    def __init__(self, table: Table, text: Callable[[list[str]], Any] | None = None) -> None:
        self._encoder = TableEncoder(text).fit(table, np.zeros(len(table)), task="regression", bins={"n_bins": 1})
        self.columns = self._encoder.columns
        encoded = self._encoder.transform(table)
        self._parts = [
            made for slot in self._encoder.slots if (made := self._part(slot, table.schema[slot.column].type, encoded)) is not None
        ]
        at = {c: i for i, c in enumerate(self.columns)}
        self.source = np.array([at[p.column] for p in self._parts for _ in p.names], np.int64)
        self.parts = tuple(n for p in self._parts for n in p.names)

    def _part(self, slot: Any, kind: ColumnType, encoded: Any) -> _Part | None:
        """Return what a slot becomes; None for calendar parts, and for the level of an ordered column, whose rank says it."""
        if slot.kind == "number":
            gap = bool(encoded.missing[:, slot.position].any())
            return _Part(slot.column, "number", slot.position, ("", "is missing") if gap else ("",), gap=gap)
        if slot.kind == "code" and kind is not ColumnType.ORDERED:
            return self._corners(slot, encoded.codes[:, slot.position])
        if slot.kind == "vector" and slot.transform == "n-grams":
            return self._axes(slot, encoded)
        return None

    def _corners(self, slot: Any, codes: npt.NDArray[np.int64]) -> _Part:
        levels = self._encoder.levels[slot.column]
        count = np.bincount(codes, minlength=levels.cardinality)
        kept = np.sort(np.argsort(-count, kind="stable")[:MOST_LEVELS])
        kept = kept[count[kept] > 0]
        corner = np.full(levels.cardinality, len(kept))
        corner[kept] = np.arange(len(kept))
        names = tuple("is missing" if k == MISSING else f"= {levels.text(int(k))}" for k in kept)
        return _Part(slot.column, "code", slot.position, (*names, "another level"), corner=corner)

    def _axes(self, slot: Any, encoded: Any) -> _Part:
        words = encoded.vectors[:TEXT_ROWS, slot.position].astype(np.float64)
        centred = words - words.mean(0)
        _, size, axes = np.linalg.svd(centred, full_matrices=False)
        kept = axes[:TEXT_WIDTH] / max(float(np.sqrt((size[:TEXT_WIDTH] ** 2).sum() / len(words))), 1e-12)
        gap = bool(encoded.absent[:, self.columns.index(slot.column)].any())
        names = tuple(f"words {k + 1}" for k in range(len(kept)))
        return _Part(slot.column, "vector", slot.position, (*names, "is missing") if gap else names, axes=kept, gap=gap)

    def __call__(self, table: Table) -> FloatArray:
        """Return the points (M, F) of rows of the same columns.

        A level that was never seen lies at the corner of the rare ones; a cell missing in a column that had no gap lies in the middle.
        """
        encoded = self._encoder.transform(table.select(self.columns))
        out = np.zeros((len(table), len(self.parts)))
        start = 0
        for part in self._parts:
            cut = slice(start, start + len(part.names))
            start = cut.stop
            self._write(part, encoded, out[:, cut])
        return out

    def _write(self, part: _Part, encoded: Any, out: FloatArray) -> None:
        absent = encoded.absent[:, self.columns.index(part.column)]
        if part.kind == "number":
            out[:, 0] = encoded.numbers[:, part.position]
        elif part.corner is not None:
            out[np.arange(len(out)), part.corner[encoded.codes[:, part.position]]] = np.sqrt(0.5)
        elif part.axes is not None:
            out[:, : len(part.axes)] = np.where(absent[:, None], 0.0, encoded.vectors[:, part.position] @ part.axes.T)
        if part.gap:
            out[:, -1] = absent
