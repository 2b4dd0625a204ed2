"""Scores of all training rows, to prune, to weigh or to look at."""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid.audit import el2n, grand, vog
from pellucid.audit.training_rows import watched
from pellucid.audit.view import FloatArray
from pellucid.errors import RequestError

__all__ = ["row_scores"]

SCORES = {"el2n": el2n.scores, "grand": grand.scores, "vog": vog.scores}


def row_scores(refit: Any, kind: str = "el2n", *, seed: int = 0) -> FloatArray:
    """Return a score (N,) of each training row, high for hard rows.

    Parameters
    ----------
    refit : ``model.refitter()`` of a fitted network: it is trained twice more. kind : ``"el2n"``, ``"grand"`` or ``"vog"``.
    seed : of the two fits.

    Notes
    -----
    Hard rows are wrong, odd, or rare and right; what to do with them is a matter of trial: scores tell wrong labels well early in
    training, and less well the noisier the rule. Sources: see the modules of that name. Cost: two fits.
    """
    if kind not in SCORES:
        raise RequestError(f"unknown score {kind!r}", expected=", ".join(SCORES))
    return np.asarray(SCORES[kind](watched(refit, seed)))
