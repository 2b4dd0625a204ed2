"""Distances between rows: straight ones of their points, or Gower's of their cells. Letters: N rows of the map, M rows, C columns."""

from __future__ import annotations

import numpy as np

from pellucid.errors import RequestError
from pellucid.maps.ask import Ask
from pellucid.maps.neighbours import squares
from pellucid.protocols import FloatArray
from pellucid.table import ColumnType, Table

__all__ = ["between", "gower"]


def between(ask: Ask, points: FloatArray, table: Table) -> FloatArray:
    """Return distances (M, N) from rows with points (M, F) to the rows of the map, as ``options["distance"]`` says."""
    kind = ask.options.get("distance", "mixed")
    if kind == "mixed":
        out = np.sqrt(squares(points, ask.points))
        if points is ask.points:  # rounding leaves crumbs where there is nothing
            np.fill_diagonal(out, 0.0)
        return out
    if kind == "gower":
        if not ask.of_cells:
            raise RequestError("Gower's distance reads cells, and this map is of a layer", do="leave distance out")
        return gower(table, ask.table, ask.columns)
    raise RequestError(f"unknown distance {kind!r}", expected="'mixed' or 'gower'")


def gower(a: Table, b: Table, columns: tuple[str, ...]) -> FloatArray:
    """Return Gower's distance (M, N): the mean over columns known in both rows of |x - y| / range, or of 1 for different levels.

    Gower 1971, doi:10.2307/2528823. Rows that share no known column lie at distance 1. The range is that of ``b``. Cost: M N C.

    Examples
    --------
    >>> import pandas as pd
    >>> from pellucid.table import read_table
    >>> t = read_table(pd.DataFrame({"sex": ["F", "M"], "age": [20.0, 60.0]}), types={"sex": "category"})
    >>> gower(t, t, ("sex", "age")).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    total, known = np.zeros((len(a), len(b))), np.zeros((len(a), len(b)))
    for name in columns:
        kind = b.schema[name].type
        if kind in (ColumnType.NUMBER, ColumnType.DATE):
            x, y = (t.numbers(name) if kind is ColumnType.NUMBER else t.seconds(name) for t in (a, b))
            spread = float(np.nanmax(y) - np.nanmin(y)) if np.isfinite(y).any() else 0.0
            apart = np.abs(x[:, None] - y[None]) / (spread or 1.0)
            there = np.isfinite(apart)
            total += np.where(there, np.minimum(apart, 1.0), 0.0)
        else:
            (left, texts), (right, other) = a.levels(name), b.levels(name)
            at = {t: k for k, t in enumerate(other)}
            left = np.array([*(at.get(t, len(other)) for t in texts), -1], np.int64)[left]
            there = (left >= 0)[:, None] & (right >= 0)[None]
            total += there & (left[:, None] != right[None])
        known += there
    return np.asarray(np.where(known > 0, total / np.maximum(known, 1), 1.0))
