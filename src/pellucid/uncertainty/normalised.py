"""Intervals as wide as the error is expected to be here: conformal prediction of |y - f(x)| / s(x).

Letters: N rows, K members, O targets.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid.protocols import FloatArray
from pellucid.table import Table
from pellucid.uncertainty.certainty import Certainty
from pellucid.uncertainty.scores import Asked, local_answers

__all__ = ["intervals"]


def intervals(certainty: Certainty, promises: Any, table: Table, members: FloatArray, asked: Asked) -> tuple[FloatArray, FloatArray]:
    """Return (low, high), each (N, O): the answer, give or take q times the spread that a forest tells of the row.

    Lei, G'Sell, Rinaldo, Tibshirani and Wasserman 2018, arXiv:1604.04173 (section 5.2). The promise is that of the plain intervals,
    whatever the spread: it holds on average over rows, and the rows that are left out are no longer all in the noisy regions.
    Cost: N x 40 trees.
    """
    ends = []
    for j, conformal in enumerate(promises.conformals["normalised"]):
        point, told = local_answers(certainty, promises, table, members, conformal, j)
        ends.append(conformal.band(point, point, asked.level, size=told[0], **asked.parts))
    return np.column_stack([low for low, _ in ends]), np.column_stack([high for _, high in ends])
