"""Sets that grow where the model is less sure (APS), and the same with a penalty for late ranks (RAPS).

Letters: N rows, K members, O classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.probe.hashing import cell_hashes
from pellucid.protocols import FloatArray
from pellucid.random import mix
from pellucid.table import Table
from pellucid.training.adaptive import FREE, PENALTY, adaptive_scores
from pellucid.uncertainty.certainty import Certainty
from pellucid.uncertainty.conformal import calibrated_folds
from pellucid.uncertainty.scores import Asked

__all__ = ["penalised_sets", "sets", "uniforms_of"]

BoolArray = npt.NDArray[np.bool_]


def uniforms_of(table: Table) -> FloatArray:
    """Return a random number from 0 to 1 for each row, (N,), made of its cells: neither row order nor batch changes it.

    Copies of a row share their number, and so their set.
    """
    hashes = cell_hashes(table, tuple(sorted(table.features)), canonical=True)
    return np.asarray((mix(hashes.sum(axis=1, dtype=np.uint64)) >> np.uint64(11)) / 2.0**53)


def sets(certainty: Certainty, promises: Any, table: Table, members: FloatArray, calibrated: FloatArray, asked: Asked) -> BoolArray:
    """Return which classes are in each row's set, (N, O): the most probable ones up to a mass, the last by chance.

    Romano, Sesia and Candes 2020, arXiv:2006.02544. Sets are larger than those of ``"lac"`` and closer to the promise in easy and in hard
    regions alike. Without chance the sets would hold the truth more often than promised. Cost: a sort of O numbers a row.
    """
    return _sets("aps", 0.0, 0, certainty, promises, table, members, calibrated, asked)


def penalised_sets(
    certainty: Certainty, promises: Any, table: Table, members: FloatArray, calibrated: FloatArray, asked: Asked
) -> BoolArray:
    """Return the same sets where each class after the second costs 0.01 of mass: few sets are very large, with many classes.

    Angelopoulos, Bates, Malik and Jordan 2021, arXiv:2009.14193. Cost: a sort of O numbers a row.
    """
    return _sets("raps", PENALTY, FREE, certainty, promises, table, members, calibrated, asked)


def _sets(
    name: str, penalty: float, free: int, certainty: Certainty, promises: Any, table: Table, members: FloatArray, calibrated: FloatArray,
    asked: Asked,
) -> BoolArray:  # fmt: skip
    conformal, uniform = promises.conformals[name][0], uniforms_of(table)
    if not certainty.by_folds:
        return np.asarray(conformal.sets_of(adaptive_scores(calibrated, uniform, penalty, free), asked.level, **asked.parts))
    answers = calibrated_folds(certainty, members, conformal)
    return np.asarray(conformal.sets_of(adaptive_scores(answers, uniform[:, None], penalty, free), asked.level, **asked.parts))
