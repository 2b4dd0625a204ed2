"""How the learning rates go over a fit."""

from __future__ import annotations

import math

__all__ = ["warm_cosine"]


def warm_cosine(step: int, steps: int, warmup: int) -> float:
    """Return the factor on all learning rates at ``step`` (from 0): a straight rise over ``warmup`` steps, then half a cosine to 0.

    The rise does not depend on ``steps``, so that a fit may settle how long it will run while it warms up.

    Examples
    --------
    >>> [round(warm_cosine(s, 10, 2), 3) for s in (0, 1, 2, 6, 10)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * min((step - warmup) / max(steps - warmup, 1), 1.0)))
