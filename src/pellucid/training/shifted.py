"""A conformal promise for rows from elsewhere: scores weighted by how much more often their kind of row is met there.

The weights must be right: they are stated by the user (shares of groups), or the ratio of two densities that somebody has estimated.

Source: Tibshirani, Barber, Candes and Ramdas 2019, arXiv:1904.06019. Letters: n held-out rows, N new rows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pellucid.errors import ArgumentError, RequestError
from pellucid.training.coverage_law import conformal_rank

__all__ = ["FEWEST_EFFECTIVE", "effective_rows", "weighted_quantile"]

FloatArray = npt.NDArray[np.float64]
FEWEST_EFFECTIVE = 50.0


def effective_rows(weights: npt.ArrayLike) -> float:
    """Return how many equal rows tell as much as the weighted ones: (sum w)^2 / sum w^2 (Kish 1965).

    Examples
    --------
    >>> effective_rows([1.0, 1.0, 1.0, 1.0]), round(effective_rows([3.0, 1.0]), 6)
    (4.0, 1.6)
    """
    w = np.asarray(weights, np.float64)
    square = float((w**2).sum())
    return float(w.sum()) ** 2 / square if square > 0 else 0.0


def weighted_quantile(sorted_scores: FloatArray, weights: npt.ArrayLike, new: npt.ArrayLike, level: float) -> FloatArray:
    """Return the bound of the score for each new row, (N,), infinite where the row itself weighs more than the level leaves over.

    Parameters
    ----------
    sorted_scores : (n,) ascending. weights : (n,) how much more often such a row is met where the new rows come from.
    new : (N,) the same figure of the new rows; infinite for a row unlike any held-out one.
    level : promised share.

    Raises
    ------
    RequestError : fewer than 50 effective rows; such a bound would rest on a handful of rows.

    Examples
    --------
    >>> weighted_quantile(np.arange(99.0), np.ones(99), np.ones(1), 0.9).tolist()
    [89.0]
    """
    conformal_rank(1, level)
    w, v = np.asarray(weights, np.float64), np.asarray(new, np.float64)
    if w.shape != sorted_scores.shape or not (np.isfinite(w).all() and (w >= 0).all()) or np.isnan(v).any() or (v < 0).any():
        raise ArgumentError("weights cannot be used", expected=f"{len(sorted_scores)} finite weights of 0 or more", got=f"shape {w.shape}")
    effective = effective_rows(w)
    if effective < FEWEST_EFFECTIVE:
        raise RequestError(
            "too few held-out rows are like those that the promise is asked for",
            expected=f"at least {FEWEST_EFFECTIVE:.0f} effective rows",
            got=f"{effective:.1f} of {len(w)}",
            do="state a smaller shift, or certify on labelled rows from there",
        )
    cumulated = np.cumsum(w)
    need = level * (cumulated[-1] + v)
    at = np.searchsorted(cumulated, need * (1 - 1e-12), side="left")  # equal weights must give the plain rank
    return np.asarray(np.append(sorted_scores, np.inf)[np.minimum(at, len(sorted_scores))])
