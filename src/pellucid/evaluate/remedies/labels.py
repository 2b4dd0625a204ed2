"""Learn without the doubted labels, or with the likely ones: where they were wrong, the model then answers the other rows better."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.evaluate.case import NotTestable
from pellucid.evaluate.effect import Ground, Remedy

__all__ = ["remedy"]

MOST = 0.4


def remedy(ground: Ground) -> Remedy:
    """Return the remedy: the finding's rows are not learned from; beside it, they are learned with the labels that the finding names.

    All rows are judged by the labels they have, the doubted ones too, so that nothing flatters.
    """
    rows = ground.finding.rows
    if not len(rows):
        raise NotTestable("the finding names no rows")
    if len(rows) > MOST * len(ground.table):
        raise NotTestable(f"{len(rows):,} of {len(ground.table):,} rows are doubted, too many to learn without them")
    words = f"learning without the {len(rows):,} doubted rows"
    found, none = "they taught the model wrong; look at them", "no gain is shown; they may be right, or too few to matter"
    target = _relabelled(ground)
    beside = None
    if target is not None:
        likely = "the likely label" if ground.classes else "the expected number"
        beside = Remedy(f"giving them {likely}", "that teaches the model better", "no gain is shown", True, target=target)
    return Remedy(words, found, none, True, without=rows, beside=beside)


def _relabelled(ground: Ground) -> npt.NDArray[Any] | None:
    """Return the target (N,) with what the finding holds likely in its rows, as the refit counts; None where it does not say."""
    of, rows, target = ground.finding, ground.finding.rows, np.array(ground.target, copy=True)
    likely = of.figures.get("likely" if ground.classes else "expected")
    if likely is None or len(likely) != len(rows):
        return None
    if not ground.classes:
        target[rows] = np.asarray(likely, np.float64).reshape(-1, *[1] * (target.ndim - 1))
        return target
    # a refit of a fitted model has numbers of its own for the classes: any row of a class tells its number
    number = {c: target[at[0]] for k, c in enumerate(ground.classes) if len(at := np.flatnonzero(ground.truth == k))}
    if not set(likely) <= set(number):
        return None
    target[rows] = [number[c] for c in likely]
    return target
