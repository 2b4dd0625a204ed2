"""Reading quantities off the states of a layer: numbers by rank, levels by marks, ridge regression by cross-validation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pellucid.errors import ArgumentError, RequestError, did_you_mean, quote
from pellucid.explain.question import Question
from pellucid.intervals import error_of_mean
from pellucid.protocols import FloatArray
from pellucid.table.cells import level_text

__all__ = ["FOLDS", "Quantity", "cells_of", "components", "levels_of", "mapping", "numbers_of", "of_any", "planted", "predicted", "r2"]

Ints = npt.NDArray[np.int64]
FOLDS = 5
WIDTH = 256
"""Leading components of a layer that a probe reads: more than rows could settle."""
LEVELS = 30
BINS = 10
ALPHAS = tuple(10.0**k for k in range(-2, 5))


@dataclass(frozen=True)
class Quantity:
    """Something to be read: marks (N, W) with NaN where unknown, levels or None, codes (N,) of its values or bins, its columns."""

    name: str
    kind: str
    marks: FloatArray
    levels: bool
    codes: Ints
    columns: tuple[str, ...] = ()


def mapping(question: Question, option: str) -> Mapping[Any, Any]:
    """Return an option that maps names to values; empty where it was not set."""
    given: Any = question.options[option]
    if given is not None and not hasattr(given, "items"):
        raise ArgumentError(f"the option {option!r} cannot be used", expected="a mapping of names", got=type(given).__name__)
    return given or {}


def cells_of(values: Any, n: int, name: Any) -> npt.NDArray[Any]:
    """Return the N cells given under a name."""
    cells = np.asarray(values)
    if cells.shape != (n,):
        raise RequestError(f"{name!r} does not fit the rows", expected=f"{n} cells", got=f"shape {cells.shape}")
    return cells


def of_any(name: str, kind: str, cells: npt.NDArray[Any], columns: tuple[str, ...] = ()) -> Quantity:
    """Return cells as a number where they are more than two numbers, else as levels."""
    is_number = cells.dtype.kind in "iuf" and len(np.unique(cells)) > 2
    return numbers_of(name, kind, cells.astype(float), columns) if is_number else levels_of(name, kind, cells, columns)


def numbers_of(name: str, kind: str, values: FloatArray, columns: tuple[str, ...] = ()) -> Quantity:
    """Return a number by its ranks on the line from -1 to 1: a probe is not led by a few large ones. Its codes are bins."""
    known = ~np.isnan(values)
    rank = pd.Series(values).rank().to_numpy()
    scaled = 2 * (rank - 0.5) / max(int(known.sum()), 1) - 1
    bins = np.floor((np.nan_to_num(scaled) + 1) / 2 * BINS).clip(0, BINS - 1)
    codes = np.unique(np.where(known, bins, -1), return_inverse=True)[1]
    return Quantity(name, kind, scaled[:, None], False, codes.astype(np.int64), columns)


def levels_of(name: str, kind: str, cells: npt.NDArray[Any], columns: tuple[str, ...] = ()) -> Quantity:
    """Return levels by their marks; beyond 30 the rarer ones share one."""
    texts = np.array([level_text(v) for v in cells.tolist()], object).astype(str)
    names, codes, count = np.unique(texts, return_inverse=True, return_counts=True)
    order = np.argsort(-count, kind="stable")
    place = np.full(len(names), min(LEVELS, len(names) - 1))
    place[order[:LEVELS]] = np.arange(min(LEVELS, len(names)))
    codes = place[codes]
    return Quantity(name, kind, np.eye(int(codes.max()) + 1)[codes], True, codes.astype(np.int64), columns)


def planted(question: Question, at: Ints) -> list[Quantity]:
    """Return the option ``features`` as quantities of the rows ``at``: functions of columns, name -> (columns, N values)."""
    out = []
    for name, given in mapping(question, "features").items():
        if not isinstance(given, tuple | list) or len(given) != 2:
            raise ArgumentError("the option 'features' cannot be used", expected="name -> (columns, N values)", got=type(given).__name__)
        columns = (given[0],) if isinstance(given[0], str) else tuple(given[0])
        if unknown := [c for c in columns if c not in question.view.columns]:
            raise RequestError(
                f"the feature {name!r} names a column {unknown[0]!r} that the model does not read",
                expected=f"one of {quote(question.view.columns, 12)}",
                do=did_you_mean(unknown[0], question.view.columns),
            )
        out.append(of_any(str(name), "feature", cells_of(given[1], len(question.table), name)[at], columns))
    return out


def components(states: FloatArray) -> FloatArray:
    """Return the leading components of a layer, (N, F), scaled together."""
    x = states - states.mean(0)
    if x.shape[1] > WIDTH:
        u, s, _ = np.linalg.svd(x, full_matrices=False)
        x = u[:, :WIDTH] * s[:WIDTH]
    spread = x.std(0)
    return np.asarray(x / max(float(np.sqrt(np.square(spread).mean())), 1e-12))


def predicted(x: FloatArray, goal: FloatArray, fold: Ints) -> FloatArray:
    """Return what linear models of the other folds say of each row, (N, W); unknown cells are learned as the mean."""
    from sklearn.linear_model import RidgeCV

    out = np.empty_like(goal)
    for k in range(FOLDS):
        train = fold != k
        part = goal[train]
        known = ~np.isnan(part)
        filled = np.where(known, part, np.where(known, part, 0.0).sum(0) / np.maximum(known.sum(0), 1))
        model = RidgeCV(alphas=ALPHAS, alpha_per_target=filled.shape[1] > 1).fit(x[train], filled)
        out[~train] = model.predict(x[~train]).reshape(-1, goal.shape[1])
    return out


def r2(truth: FloatArray, told: FloatArray) -> tuple[float, float]:
    """Return (R^2 over all marks together, standard error over rows), rows that are not known left out."""
    known = ~np.isnan(truth).any(1)
    miss = np.square(truth[known] - told[known]).sum(1)
    total = np.square(truth[known] - truth[known].mean(0)).sum(1)
    r2 = 1 - miss.mean() / max(total.mean(), 1e-300)
    return float(r2), float(error_of_mean(miss - (1 - r2) * total)) / max(float(total.mean()), 1e-300)
