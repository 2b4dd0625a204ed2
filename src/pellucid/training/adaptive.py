"""Scores of sets that grow where the model is less sure: the probability mass up to a class, and the same with a penalty for late ranks.

Source: Romano, Sesia and Candes 2020, arXiv:2006.02544 (APS); Angelopoulos, Bates, Malik and Jordan 2021, arXiv:2009.14193 (RAPS).
Letters: N rows, O classes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["FREE", "PENALTY", "adaptive_scores", "own_scores"]

FloatArray = npt.NDArray[np.float64]
PENALTY, FREE = 0.01, 2
"""What each class beyond the first ``FREE`` costs in RAPS. # NOTE[DIFF] the paper tunes both on further rows; small tables have none to
spare, and the promise holds for any values fixed beforehand."""


def adaptive_scores(probabilities: npt.ArrayLike, uniform: npt.ArrayLike | float, penalty: float = 0.0, free: int = 0) -> FloatArray:
    """Return the score that each class would have, in the shape of ``probabilities`` (..., O).

    Score of a class: the probability of all classes before it, most probable first, plus the share ``uniform`` of its own, plus
    ``penalty`` for each rank beyond ``free``. Equal probabilities rank in the order of the classes.

    Parameters
    ----------
    uniform : (...) random numbers from 0 to 1, one a row; 1 takes the whole class in, and gives wider sets without chance.

    Examples
    --------
    >>> adaptive_scores([[0.2, 0.5, 0.3]], 1.0).round(3).tolist()
    [[1.0, 0.5, 0.8]]
    >>> adaptive_scores([[0.2, 0.5, 0.3]], [0.5], penalty=0.1, free=1).round(3).tolist()
    [[1.1, 0.25, 0.75]]
    """
    p = np.asarray(probabilities, np.float64)
    order = np.argsort(-p, axis=-1, kind="stable")
    rank = np.argsort(order, axis=-1, kind="stable")
    through = np.take_along_axis(np.cumsum(np.take_along_axis(p, order, -1), -1), rank, -1)
    u = np.asarray(uniform, np.float64)[..., None]
    return np.asarray(through - (1 - u) * p + penalty * np.maximum(rank + 1 - free, 0))


def own_scores(
    probabilities: npt.ArrayLike, truth: npt.ArrayLike, uniform: npt.ArrayLike | float, penalty: float = 0.0, free: int = 0
) -> FloatArray:
    """Return the score of each row's true class, (N,), from probabilities (N, O) and class numbers (N,)."""
    scores = adaptive_scores(probabilities, uniform, penalty, free)
    return np.asarray(scores[np.arange(len(scores)), np.asarray(truth, np.int64)])
