"""Intervals between two predicted quantiles, moved until they keep their promise.

Letters: n held-out rows, N rows, K members, O targets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import ArgumentError
from pellucid.protocols import FloatArray
from pellucid.table import Table
from pellucid.training.conformal import Conformal
from pellucid.uncertainty.certainty import Certainty
from pellucid.uncertainty.scores import Asked, local_answers

__all__ = ["conformalise", "intervals"]


def conformalise(
    truth: npt.ArrayLike, low: npt.ArrayLike, high: npt.ArrayLike, *, groups: Mapping[str, npt.ArrayLike] | None = None
) -> Conformal:
    """Return the fit of any predicted pair on held-out rows; ``fit.band(low, high, level)`` then gives intervals of new rows.

    Romano, Patterson and Candes 2019, arXiv:1905.03222: the score is max(low - y, y - high), and its bound Q moves both ends outwards;
    where the pair is too wide Q is negative and the intervals shrink. Ends that cross are put in order first.

    Parameters
    ----------
    truth, low, high : (n,) of rows that the pair was not learned from. groups : by name, (n,) labels.

    Examples
    --------
    >>> import numpy as np
    >>> fit = conformalise(np.zeros(9), np.full(9, -2.0), np.full(9, 2.0))
    >>> [end.tolist() for end in fit.band([-2.0], [2.0], 0.9)]
    [[0.0], [0.0]]
    """
    y, a, b = (np.asarray(v, np.float64) for v in (truth, low, high))
    if not y.ndim == 1 or not y.shape == a.shape == b.shape:
        raise ArgumentError(
            "truth and quantiles do not fit each other", expected="three numbers a row", got=f"{y.shape}, {a.shape}, {b.shape}"
        )
    return Conformal.fit_scores("quantile", np.maximum(np.minimum(a, b) - y, y - np.maximum(a, b)), groups=groups)


def intervals(certainty: Certainty, promises: Any, table: Table, members: FloatArray, asked: Asked) -> tuple[FloatArray, FloatArray]:
    """Return (low, high), each (N, O): the answer plus the 5 % and the 95 % quantile of its error here, moved by Q.

    The pair is that of a forest of errors (Meinshausen 2006); it may lie unevenly about the answer. Ends never cross: where Q shrinks a
    pair beyond its middle both ends are the middle. Cost: N x 40 trees.
    """
    lows, highs = [], []
    for j, conformal in enumerate(promises.conformals["quantile"]):
        point, told = local_answers(certainty, promises, table, members, conformal, j)
        low, high = conformal.band(point + told[1], point + told[2], asked.level, **asked.parts)
        crossed = low > high
        middle = np.where(crossed, np.where(crossed, low + high, 0.0) / 2, 0.0)
        lows.append(np.where(crossed, middle, low))
        highs.append(np.where(crossed, middle, high))
    return np.column_stack(lows), np.column_stack(highs)
