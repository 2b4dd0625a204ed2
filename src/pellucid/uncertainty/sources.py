"""Where doubt comes from: the members that a source gives, what they say of themselves, and what that makes of a row's doubt.

A source is asked through the model's predictor: the members of the model itself, or others that need nothing from the fit. What had to be
prepared while fitting (``members=``, ``bayes=``, ``head=``) is the model's own source.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid.protocols import FloatArray, MemberPredictor
from pellucid.results.text import percent
from pellucid.table import Table
from pellucid.uncertainty.certainty import Certainty
from pellucid.uncertainty.members import split_classes, split_numbers

__all__ = ["asked_members", "chosen", "common", "doubts", "spread_error", "told"]

DO = "fit the model again, with more time where it had a limit, or with backbone='tabm', which has members throughout"
ENOUGH = 0.05  # relative error of a spread above which a caveat says it


def asked_members(predictor: MemberPredictor, table: Table) -> tuple[FloatArray, FloatArray | None]:
    """Return the answers (N, K, O) of the members that doubt is asked of and what each says of its own, (N, K, ...), or None where they
    say nothing; these need not be the members that answer (``NetworkPredictor.drawn``)."""
    if hasattr(predictor, "members_and_doubt"):
        members, own = predictor.members_and_doubt(table)
        return np.asarray(members, np.float64), own
    return np.asarray(predictor.members_raw(table), np.float64), None


def doubts(task: str, members: FloatArray, own: FloatArray | None, noise: FloatArray | None) -> dict[str, FloatArray | None]:
    """Return ``aleatoric`` and ``epistemic`` doubt, (N,) or for several numbers (N, O).

    Parameters
    ----------
    members, own : as from :func:`asked_members`. noise : (O,) or (N, O) variance of the noise, or None; used where members do not say.
    """
    if task == "classification":
        aleatoric, epistemic = split_classes(members, own)
        return {"aleatoric": aleatoric, "epistemic": epistemic}
    parts = dict(zip(("aleatoric", "epistemic"), split_numbers(members, noise, own)))
    flat = members.shape[2] == 1
    return {k: v[:, 0] if flat and v is not None else v for k, v in parts.items()}


def spread_error(n: int) -> float:
    """Return the relative standard error of a standard deviation over n independent draws: 1 / sqrt(2 (n - 1)).

    Examples
    --------
    >>> round(spread_error(201), 3)
    0.05
    """
    return float("inf") if n < 2 else 1 / float(np.sqrt(2 * (n - 1)))


def common(predictor: MemberPredictor, by_folds: bool) -> tuple[bool, list[str]]:
    """Return (whether all members say the same, what to know of the part that they have in common).

    The default network puts an additive model beside its members. There is one of it, so its own ignorance is in no disagreement: where
    all of the answer is its, members agree whatever they know. Networks know it by draws (``NetworkPredictor.drawn``); those saved by
    earlier versions have none.
    """
    shares = getattr(predictor, "in_common", ())
    if not shares or max(shares) <= 0:
        return False, []
    part = "all" if min(shares) >= 1 else percent(float(np.mean(shares)), 0)
    whose = f"{part} of the answer is an additive model's, of which there is one{' a fold' if by_folds else ''}"
    if min(shares) >= 1 and not by_folds:
        return True, [f"{whose}: lack of knowledge (epistemic) cannot be told; {DO}"]
    return False, [f"{whose}: epistemic doubt leaves out its own and is too small; {DO}"]


def told(members: FloatArray) -> list[str]:
    """Return what to know of the spread of so many members, in words; nothing where there is nothing to say."""
    k = members.shape[1]
    if k < 2 or spread_error(k) <= ENOUGH:
        return []
    return [f"the spread of {k} members is known to {percent(spread_error(k), 0)} of itself at best; 201 draws bring that to 5 %"]


def chosen(certainty: Certainty, calibrated: FloatArray) -> Any:
    """Return the class numbers that the model answers: with class weights they lean towards the heavier classes."""
    pick = getattr(certainty, "chosen", None)
    return calibrated.argmax(axis=1) if pick is None else pick(calibrated)
