"""Intervals and sets with a promise, from the scores a model keeps. Letters: N rows, K members, O classes or numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import RequestError, quote
from pellucid.protocols import FloatArray
from pellucid.results.text import percent
from pellucid.training.conformal import Conformal, conformal_rank
from pellucid.training.shifted import effective_rows
from pellucid.uncertainty.certainty import Certainty

__all__ = [
    "LEAST_NOISE", "calibrated_folds", "class_sets", "empty_sets", "fold_answers", "ground", "intervals", "noise_variance", "promises",
]  # fmt: skip

BoolArray = npt.NDArray[np.bool_]
LEAST_NOISE = 0.1
"""Share of the held-out squared residual that is noise, whatever the spread of the members."""


def fold_answers(members: FloatArray, conformal: Conformal) -> FloatArray:
    """Return the answers of the fold models (N, folds, O) from those of their members (N, K, O), fold 0's members first."""
    folds = 1 + int(conformal.fold.max()) if conformal.fold is not None else 1
    n, k, o = members.shape
    if k % folds:
        raise RequestError(f"{k} members cannot be shared out among {folds} fold models")
    return np.asarray(members.reshape(n, folds, k // folds, o).mean(axis=2))


def intervals(
    certainty: Certainty,
    members: FloatArray,
    level: float,
    group: str | None = None,
    labels: npt.NDArray[Any] | None = None,
    shares: Mapping[str, float] | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Return (low, high), each (N, O), around member values (N, K, O); CV+ where the members are those of fold models."""
    ends = []
    for j, conformal in enumerate(certainty.conformals):
        point = fold_answers(members, conformal)[:, :, j] if certainty.by_folds else members.mean(axis=1)[:, j]
        ends.append(conformal.band(point, point, level, group=group, labels=labels, shares=shares))
    return np.column_stack([low for low, _ in ends]), np.column_stack([high for _, high in ends])


def class_sets(
    certainty: Certainty,
    members: FloatArray,
    calibrated: FloatArray,
    level: float,
    group: str | None = None,
    labels: npt.NDArray[Any] | None = None,
    shares: Mapping[str, float] | None = None,
) -> BoolArray:
    """Return which classes are in each row's set, (N, O), from member probabilities (N, K, O) and the calibrated ones (N, O)."""
    conformal = certainty.conformals[0]
    if not certainty.by_folds:
        return conformal.sets_of(1 - calibrated, level, group=group, labels=labels, shares=shares)
    return conformal.sets_of(1 - calibrated_folds(certainty, members, conformal), level, group=group, labels=labels, shares=shares)


def calibrated_folds(certainty: Certainty, members: FloatArray, conformal: Conformal) -> FloatArray:
    """Return the calibrated answers of the fold models, (N, folds, O): the scores are those of calibrated answers."""
    answers = fold_answers(members, conformal)
    if certainty.calibrator is None:
        return answers
    return np.asarray(certainty.calibrator.apply(answers.reshape(-1, answers.shape[2])).reshape(answers.shape))


def noise_variance(certainty: Certainty, spread: FloatArray | None = None) -> FloatArray | None:
    """Return the variance of the noise, (O,): the mean squared residual of held-out rows less the members' mean ``spread`` (O,) on them.

    The error of an answer is noise and what the model does not know. The second part is what the spread of the members stands for, so it
    is counted once: noise and spread add up to the residual. Never below ``LEAST_NOISE`` of the residual. None where it is not known.
    """
    if not certainty.conformals or any(c.kind != "absolute" or not len(c) for c in certainty.conformals):
        return None
    residual = np.array([float((c.scores**2).mean()) for c in certainty.conformals])
    return residual if spread is None else np.maximum(residual - spread, LEAST_NOISE * residual)


def ground(certainty: Certainty, fit: Conformal) -> dict[str, Any]:
    """Return what the promise of these scores rests on, as ``Conformal.promise`` and ``promised`` take it: ``by_folds``, ``why_not``."""
    halves = fit.fold is not None and certainty.conformals[0].fold is None  # only the sizes of errors were learned in turn
    sized = fit.kind in ("normalised", "quantile") and fit.fold is not None and not halves
    why_not = "the sizes of errors are learned from answers of all fold models, so it is not proven" if sized else ""
    return {"by_folds": certainty.by_folds or halves, "why_not": why_not}


def promises(
    certainty: Certainty,
    level: float,
    group: str | None = None,
    fits: Sequence[Conformal] = (),
    shares: Mapping[str, float] | None = None,
    labels: npt.NDArray[Any] | None = None,
    classes: Sequence[Any] = (),
) -> list[str]:
    """Return what is promised at ``level``, and for whom it is not, in words; ``fits`` are those of the score in use.

    ``labels``: the groups of the rows asked about. ``classes``: the names of the O classes.
    """
    if not certainty.conformals:
        return ["no rows were held out, so there are no intervals or sets with a promise"]
    first = fits[0] if fits else certainty.conformals[0]
    what = "set" if first.kind in ("lac", "aps", "raps") else "interval"
    words = [f"{what}: {first.promise(level, **ground(certainty, first))}"]
    if group is not None and shares is not None:
        effective = effective_rows(first.shifted(group, [], shares)[0])
        told = ", ".join(f"{k} {100 * v / sum(shares.values()):.3g} %" for k, v in shares.items())
        words.append(f"for rows among which '{group}' is {told}: the held-out rows count as {effective:.0f} of {len(first)}")
    elif group is not None:
        words.append(f"coverage is asked in each group of '{group}'")
        short = first.fallback(level, group)
        if short:
            words.append(f"too few held-out rows for a promise of their own, so the quantile of all rows is used: {quote(short, 12)}")
        unmet = sorted(set(() if labels is None else map(str, np.unique(labels))) - set(first.groups[group][1]))
        if unmet:
            words.append(f"no held-out row is of these groups, so the quantile of all rows is used: {quote(unmet, 12)}")
    return [*words, *_unmet_classes(certainty, classes)]


def _unmet_classes(certainty: Certainty, classes: Sequence[Any]) -> list[str]:
    """Return what has to be said of classes without a held-out row; nothing where not all of these rows were kept."""
    held = getattr(certainty, "held", None)
    if held is None or not classes or len(held) != len(certainty.conformals[0]):
        return []
    met = np.bincount(held.truth, minlength=len(classes)).tolist()
    unmet = [name for name, count in zip(classes, met) if not count]
    return [f"no held-out row is of class {quote(unmet, 12)}: how often sets hold it where it is the truth is not known"] if unmet else []


def empty_sets(sets: BoolArray | None, level: float) -> list[str]:
    """Return why some of the sets (N, O) are empty, in words; nothing where none is."""
    if sets is None or sets.any(1).all():
        return []
    k, n = int((~sets.any(1)).sum()), len(sets)
    return [
        f"{k:,} of {n:,} sets {'is' if k == 1 else 'are'} empty: a model that is right more often than {percent(level, None)} keeps the "
        "promise without them; ask a higher level for fewer"
    ]


def is_unbounded(certainty: Certainty, level: float) -> bool:
    """Return whether there are too few scores for ``level``, so that nothing is excluded."""
    return any(conformal_rank(len(c), level) > len(c) for c in certainty.conformals)
