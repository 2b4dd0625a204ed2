"""Draws of what a network does not know, beside its members: how many there are, and how members and draws go together.

Letters: N rows, K members, O outputs, G networks, R draws.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

__all__ = ["DRAWS", "beside", "centred"]

DRAWS = 32
FEWEST = 4
"""Draws beside each member that may have no mean of their own; where members are more, only all draws together have none."""


def beside(outputs: torch.Tensor, moves: torch.Tensor) -> torch.Tensor:
    """Return the outputs (N, G * K', O) of K members of G networks with moves (N, G, R, O') of their first O' outputs.

    Draw r stands beside member r mod K; K' is the least multiple of K that is not below R.
    """
    each = outputs.unflatten(1, (moves.shape[1], -1))
    k, r = each.shape[2], moves.shape[2]
    wide = each.repeat(1, 1, -(-r // k), 1)
    wide[..., : moves.shape[3]] += moves[:, :, torch.arange(wide.shape[2], device=moves.device) % r]
    out: torch.Tensor = wide.flatten(1, 2)
    return out


def centred(moves: npt.NDArray[Any], together: int) -> npt.NDArray[np.float32]:
    """Return draws (M, O, R) as (M, R * O), less their mean, or that of those beside one member of ``together``, their variance kept."""
    k = together if DRAWS % together == 0 and FEWEST * together <= DRAWS else 1
    each = moves.reshape(*moves.shape[:2], DRAWS // k, k)
    each = (each - each.mean(2, keepdims=True)) * np.sqrt(DRAWS / (DRAWS - k))
    return np.asarray(each.reshape(moves.shape).transpose(0, 2, 1).reshape(len(moves), -1), np.float32)
