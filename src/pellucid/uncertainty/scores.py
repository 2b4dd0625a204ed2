"""By which score a promise is made, and the rule that chooses one. Letters: N rows, K members, O classes or targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError, did_you_mean, quote
from pellucid.protocols import FloatArray
from pellucid.table import Table
from pellucid.training.conformal import Conformal
from pellucid.training.local_error import GAIN
from pellucid.uncertainty.certainty import Certainty

__all__ = ["CLASS_SCORES", "NUMBER_SCORES", "Asked", "choose", "conformals_of"]

NUMBER_SCORES = ("absolute", "normalised", "quantile")
CLASS_SCORES = ("lac", "aps", "raps")


@dataclass(frozen=True)
class Asked:
    """A promise as it was asked for.

    Attributes
    ----------
    level : promised share. score : name of the score. group : a grouping, or None. labels : (N,) the rows' groups.
    shares : the share of each group where the rows come from; the promise is then for that mixture, not for each group.
    """

    level: float
    score: str
    group: str | None = None
    labels: npt.NDArray[Any] | None = None
    shares: Mapping[str, float] | None = None

    @property
    def parts(self) -> dict[str, Any]:
        """The arguments that all conformal fits take."""
        return {"group": self.group, "labels": self.labels, "shares": self.shares}


def choose(score: str, task: str, certainty: Certainty, promises: Any, shifted: bool = False) -> str:
    """Return the score to use; ``"auto"`` chooses.

    Classes: ``"lac"``, the smallest sets. Numbers: ``"normalised"`` where, on the rows that taught the sizes of the errors, its intervals
    at 90 % are typically (geometric mean) at least 2 % narrower than those of one width; else ``"absolute"``. No held-out row is looked
    at. ``shifted``, a promise for a stated mixture: ``"absolute"`` where the sizes of errors were learned in folds.

    Raises
    ------
    RequestError : a score that is not for this task, or whose state the model does not hold.
    """
    known = CLASS_SCORES if task == "classification" else NUMBER_SCORES
    if score == "auto":
        local = getattr(promises, "local", None)
        plain = task == "classification" or local is None or local.width > GAIN
        return known[0] if plain or (shifted and promises.conformals["normalised"][0].fold is not None) else "normalised"
    if score not in known:
        raise RequestError(
            f"there is no score {score!r} for this model", expected=f"'auto' or one of {quote(known)}", do=did_you_mean(score, known)
        )
    if score != known[0] and score not in promises.conformals:
        raise RequestError(
            f"the model holds no scores {score!r}",
            expected=f"one of {quote([known[0], *promises.conformals])}",
            do="fit it on more rows, or in this session instead of loading it from an earlier version",
        )
    return score


def noise_of_rows(noise: FloatArray | None, size: FloatArray | None, promises: Any) -> FloatArray | None:
    """Return the variance of the noise row by row, (N, 1), from the mean one (1,) and the ``size`` (N,) of the error to expect.

    Held-out rows tell the mean; the squared sizes share it out, so that the mean stays. Where intervals of one width are the default
    (:func:`choose`), sizes tell rows apart too poorly: the noise stays the same for all, as it does for several targets.
    """
    if noise is None or size is None or promises.ranked is None or promises.local.width > GAIN:
        return noise
    usual = float(np.square(promises.ranked.doubt).mean())
    return noise * (np.square(size) / usual)[:, None] if usual > 0 else noise


def conformals_of(certainty: Certainty, promises: Any, score: str) -> tuple[Conformal, ...]:
    """Return the conformal fits of a score, one per target."""
    return certainty.conformals if score in ("absolute", "lac") else promises.conformals[score]


def grouped_by_fold(members: FloatArray, conformal: Conformal, by_folds: bool) -> FloatArray:
    """Return (N, folds, k) answers of one target by the fold model they come from; (N, K) where there are none.

    The members of one model stand for every fold where only the scores were made in folds.
    """
    if conformal.fold is None:
        return members
    folds = 1 + int(conformal.fold.max())
    if not by_folds:
        return np.repeat(members[:, None], folds, axis=1)
    n, k = members.shape
    if k % folds:
        raise RequestError(f"{k} members cannot be shared out among {folds} fold models")
    return members.reshape(n, folds, k // folds)


def local_answers(
    certainty: Certainty, promises: Any, table: Table, members: FloatArray, conformal: Conformal, j: int
) -> tuple[FloatArray, FloatArray]:
    """Return (point (N,) or (N, folds), (3, ...) spread, low and high of the error) of target j; members (N, K, O)."""
    shared = grouped_by_fold(members[:, :, j], conformal, certainty.by_folds)
    return shared.mean(axis=-1), promises.local.answers(table, shared, j)
