"""The matrix with levels as indicators, for fills that add and multiply."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from pellucid.encode.fills.base import Columns, FloatArray, Ints

__all__ = ["indicators", "places", "scaled"]

MOST_LEVELS = 30
"""Levels of a column with an indicator of their own; later ones in its order have none."""


def scaled(values: FloatArray, mean: FloatArray, scale: FloatArray) -> FloatArray:
    """Return numbers in standard deviations from the mean; levels have mean 0 and scale 1 and stay."""
    return np.asarray((values - mean) / scale)


def places(columns: Columns) -> list[Ints]:
    """Return per column where its indicators, or its number, stand."""
    sizes = [max(1, min(len(levels), MOST_LEVELS)) if is_level else 1 for levels, is_level in zip(columns.levels, columns.is_level)]
    starts = np.cumsum([0, *sizes])
    return [np.arange(a, b) for a, b in itertools.pairwise(starts)]


def indicators(values: FloatArray, columns: Columns) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return (matrix (N, F) with 0 for gaps, which entries are known (N, F))."""
    parts, known = [np.zeros((len(values), 0))], [np.zeros((len(values), 0), bool)]
    for j, at in enumerate(places(columns)):
        there = ~np.isnan(values[:, j])
        part = (values[:, j, None] == np.arange(len(at))).astype(float) if columns.is_level[j] else np.nan_to_num(values[:, j, None])
        parts.append(part)
        known.append(np.repeat(there[:, None], len(at), axis=1))
    return np.hstack(parts), np.hstack(known)
