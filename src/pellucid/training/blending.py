"""How much of a blended answer is the additive model's: found on the stop rows, anew with every score."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

__all__ = ["SHARES", "best_share"]

SHARES = tuple(float(w) for w in np.linspace(0.0, 1.0, 11))


def best_share(
    deep: torch.Tensor, additive: torch.Tensor, scores: Callable[[torch.Tensor], list[float]]
) -> tuple[float, list[float]]:  # fmt: skip
    """Return the share with the least mean score over the folds, and the folds' scores at it.

    One share for all folds: the held-out rows of one fold of a small table are too few to choose by.

    Parameters
    ----------
    deep, additive : raw outputs (G, R, K, O) of the members and (G, R, 1, O) of the additive model on each fold's stop rows.
    scores : raw outputs to one score per fold, less is better.

    Cost: one score for each of eleven shares.
    """
    place = additive.shape[3]  # outputs beyond those of the additive model stay the members'

    def blended(w: float) -> torch.Tensor:
        return torch.cat([torch.lerp(deep[..., :place], additive, w), deep[..., place:]], 3)

    found = [(w, scores(blended(w))) for w in SHARES]
    return min(found, key=lambda one: float(np.mean(one[1])))
