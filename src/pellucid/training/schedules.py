"""How the learning rates go over a fit."""

from __future__ import annotations

import math

__all__ = ["progress", "warm_cosine"]


def progress(step: int, steps: int, since: int, done: float) -> float:
    """Return how much of the fall of the rates lies behind ``step``: ``done`` at step ``since``, from there straight to 1 at ``steps``.

    Examples
    --------
    >>> progress(6, 10, 2, 0.0), progress(6, 7, 5, 0.5)
    (0.5, 0.75)
    """
    return done + (1 - done) * min(max(step - since, 0) / max(steps - since, 1), 1.0)


def warm_cosine(step: int, steps: int, warmup: int, since: int | None = None, done: float = 0.0) -> float:
    """Return the factor on all learning rates at ``step`` (from 0): a straight rise over ``warmup`` steps, then half a cosine to 0.

    The rise does not depend on ``steps``, so that a fit may settle how long it will run while it warms up. Later changes of the plan go on
    from where the fall stands: ``done`` of it at step ``since``, which is the end of the rise unless given.

    Examples
    --------
    >>> [round(warm_cosine(s, 10, 2), 3) for s in (0, 1, 2, 6, 10)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * progress(step, steps, warmup if since is None else since, done)))
