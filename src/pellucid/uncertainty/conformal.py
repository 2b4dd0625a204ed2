"""Intervals and sets with a promise, from the scores a model keeps. Letters: N rows, K members, O classes or numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError
from pellucid.protocols import FloatArray
from pellucid.training.conformal import Conformal, conformal_rank
from pellucid.uncertainty.certainty import Certainty

__all__ = ["class_sets", "fold_answers", "intervals", "promises", "residual_variance"]

BoolArray = npt.NDArray[np.bool_]


def fold_answers(members: FloatArray, conformal: Conformal) -> FloatArray:
    """Return the answers of the fold models (N, folds, O) from those of their members (N, K, O), fold 0's members first."""
    folds = 1 + int(conformal.fold.max()) if conformal.fold is not None else 1
    n, k, o = members.shape
    if k % folds:
        raise RequestError(f"{k} members cannot be shared out among {folds} fold models")
    return np.asarray(members.reshape(n, folds, k // folds, o).mean(axis=2))


def intervals(
    certainty: Certainty, members: FloatArray, level: float, group: str | None = None, labels: npt.NDArray[Any] | None = None
) -> tuple[FloatArray, FloatArray]:
    """Return (low, high), each (N, O), around member values (N, K, O); CV+ where the members are those of fold models."""
    ends = []
    for j, conformal in enumerate(certainty.conformals):
        point = fold_answers(members, conformal)[:, :, j] if certainty.by_folds else members.mean(axis=1)[:, j]
        ends.append(conformal.interval(point, level, group=group, labels=labels))
    return np.column_stack([low for low, _ in ends]), np.column_stack([high for _, high in ends])


def class_sets(
    certainty: Certainty,
    members: FloatArray,
    calibrated: FloatArray,
    level: float,
    group: str | None = None,
    labels: npt.NDArray[Any] | None = None,
) -> BoolArray:
    """Return which classes are in each row's set, (N, O), from member probabilities (N, K, O) and the calibrated ones (N, O)."""
    conformal = certainty.conformals[0]
    if not certainty.by_folds:
        return conformal.sets(calibrated, level, group=group, labels=labels)
    answers = fold_answers(members, conformal)
    if certainty.calibrator is not None:  # the scores are those of calibrated answers
        answers = certainty.calibrator.apply(answers.reshape(-1, answers.shape[2])).reshape(answers.shape)
    return conformal.sets(answers, level, group=group, labels=labels)


def residual_variance(certainty: Certainty) -> FloatArray | None:
    """Return the mean squared residual of held-out rows, (O,), or None where it is not known."""
    if not certainty.conformals or any(c.kind != "absolute" or not len(c) for c in certainty.conformals):
        return None
    return np.array([float((c.scores**2).mean()) for c in certainty.conformals])


def promises(certainty: Certainty, level: float, group: str | None = None) -> list[str]:
    """Return what is promised at ``level``, and for whom it is not, in words."""
    if not certainty.conformals:
        return ["no rows were held out, so there are no intervals or sets with a promise"]
    first = certainty.conformals[0]
    words = [f"{'set' if first.kind == 'lac' else 'interval'}: {first.promise(level, by_folds=certainty.by_folds)}"]
    if group is not None:
        words.append(f"coverage is asked in each group of '{group}'")
        short = first.fallback(level, group)
        if short:
            named = ", ".join(f"'{g}'" for g in short)
            words.append(f"too few held-out rows for a promise of their own, so the quantile of all rows is used: {named}")
    return words


def is_unbounded(certainty: Certainty, level: float) -> bool:
    """Return whether there are too few scores for ``level``, so that nothing is excluded."""
    return any(conformal_rank(len(c), level) > len(c) for c in certainty.conformals)
