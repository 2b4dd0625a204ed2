"""Rows as points, so that one can ask which lie next to each other. Letters: n rows, F coordinates."""

from __future__ import annotations

import numpy as np

from pellucid.audit.view import FloatArray, IntArray, View
from pellucid.table import ColumnType

__all__ = ["coordinates", "nearest"]

MOST_LEVELS = 50


def coordinates(view: View, names: tuple[str, ...], rows: IntArray) -> FloatArray:
    """Return rows as points (n, F): numbers over their interquartile range, levels as corners one apart, a missing cell as a level.

    Columns of more than 50 levels, texts and identifiers are left out: all their levels are equally far apart and would say nothing.
    """
    out = []
    for name in names:
        if view.is_number(name):
            x = view.numbers(name)[rows]
            known = x[~np.isnan(x)]
            if not len(known) or np.ptp(known) == 0:
                continue
            scale = float(np.subtract(*np.quantile(known, [0.75, 0.25]))) or float(known.std())
            out.append(np.nan_to_num((x - np.median(known)) / scale)[:, None])
            if len(known) < len(x):
                out.append(np.isnan(x)[:, None].astype(float))
        elif view.kind(name) not in (ColumnType.TEXT, ColumnType.IDENTIFIER):
            codes, texts = view.levels(name)
            if 2 <= len(texts) <= MOST_LEVELS:
                out.append((codes[rows, None] == np.arange(-1, len(texts))) / np.sqrt(2))
    return np.concatenate(out, 1) if out else np.zeros((len(rows), 0))


def nearest(points: FloatArray, k: int) -> tuple[FloatArray, IntArray]:
    """Return (distances (n, k), positions (n, k)) of each point's nearest others. Cost: n log n in few coordinates, else n² F."""
    from sklearn.neighbors import NearestNeighbors

    found = NearestNeighbors(n_neighbors=min(k + 1, len(points))).fit(points).kneighbors(points)
    distance, at = np.asarray(found[0]), np.asarray(found[1], np.int64)
    # a point is its own nearest one; among copies it may stand in any place, or in none
    own = at == np.arange(len(points))[:, None]
    own[~own.any(1), -1] = True
    return distance[~own].reshape(len(points), -1), at[~own].reshape(len(points), -1)
