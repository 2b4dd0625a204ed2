"""How much each column alone tells of the target, for networks and regularizers whose registry line needs it (``"column rank"``)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid import registry
from pellucid.nn.cells import Cells, CellSizes
from pellucid.random import integer
from pellucid.training.recipe import TrainSettings

__all__ = ["column_information", "informed"]

ROWS = 5000  # an order of columns needs no more, and nearest neighbours are slow
NEED = "column rank"


def informed(
    settings: TrainSettings, backbone: Any, cells: Cells, sizes: CellSizes, target: npt.NDArray[Any], rows: npt.NDArray[np.int64],
    task: str, seed: int,
) -> TrainSettings:  # fmt: skip
    """Return the settings with the columns' order and information given to what needs them; what the user gave stays.

    The backbone gets ``rank``, each column's place (0: tells most); regularizers get ``information``. Only ``rows`` are looked at,
    the training rows. Where folds are trained these are the rows of all folds: the order alone is shared.
    """
    entry = backbone if isinstance(backbone, registry.Entry) else None
    mixing = [name for name, _ in settings.regularizers if NEED in registry.get("regularizer", name).needs]
    ordered = entry is not None and NEED in entry.needs and "rank" not in dict(settings.options)
    if not ordered and not mixing:
        return settings
    found = column_information(cells, sizes, target, rows, task, seed)
    if ordered:
        place = np.argsort(np.argsort(-found, kind="stable"), kind="stable")
        settings = replace(settings, options=(("rank", tuple(int(p) for p in place)), *settings.options))
    told = ("information", tuple(round(float(f), 6) for f in found))
    return replace(
        settings,
        regularizers=tuple(
            (name, (told, *given) if name in mixing and "information" not in dict(given) else given)
            for name, given in settings.regularizers
        ),
    )


def column_information(
    cells: Cells, sizes: CellSizes, target: npt.NDArray[Any], rows: npt.NDArray[np.int64], task: str, seed: int
) -> npt.NDArray[np.float64]:
    """Return the mutual information (C,) in nats of each column with the target, on at most 5,000 of the rows.

    A column of several slots has that of its best one; several targets are added up; what levels tell of a shuffled target is taken
    off, down to 0. Below 8 rows nothing is known: 0. Cost: a search of three nearest neighbours in two dimensions per slot and target.
    Kraskov, Stögbauer, Grassberger 2004, doi:10.1103/PhysRevE.69.066138; Ross 2014, doi:10.1371/journal.pone.0087357.
    """
    from sklearn.feature_selection import mutual_info_classif, mutual_info_regression

    if len(rows) < 8:
        return np.zeros(sizes.n_columns)
    if len(rows) > ROWS:
        rows = np.sort(np.random.default_rng(integer(seed, "information")).choice(rows, ROWS, replace=False))
    numbers, missing, codes, vectors = (t[rows].cpu().numpy() for t in cells)
    # a missing number is a value of its own, apart from all others
    numbers = np.where(missing, numbers.min(initial=0.0) - 1.0, numbers)
    width = vectors.shape[2]
    if codes.shape[1]:
        codes = np.stack([_repeated(c) for c in codes.T], 1)
    slots = np.concatenate([numbers, codes, vectors.reshape(len(rows), -1)], 1)
    columns = np.array([*sizes.number_columns, *sizes.code_columns, *np.repeat(sizes.vector_columns, width)], np.int64)
    levels = np.zeros(len(columns), bool)
    levels[numbers.shape[1] : numbers.shape[1] + codes.shape[1]] = True
    measure = mutual_info_classif if task == "classification" else mutual_info_regression
    goals = np.asarray(target)[rows].reshape(len(rows), -1).T
    rng = np.random.default_rng(integer(seed, "chance"))
    each = np.zeros(len(columns))
    for goal in goals:
        each += measure(slots, goal, discrete_features=levels, random_state=0)
        if levels.any():  # many levels agree with any target by chance: what they tell of a shuffled one is no information
            each[levels] -= measure(slots[:, levels], rng.permutation(goal), discrete_features=True, random_state=0)
    found = np.zeros(sizes.n_columns)
    np.maximum.at(found, columns, each)
    return found


def _repeated(codes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the codes (N,) with those that occur once made one: nothing can be told of them apart."""
    _, at, counts = np.unique(codes, return_inverse=True, return_counts=True)
    return np.where(counts[at] > 1, codes, -1)
