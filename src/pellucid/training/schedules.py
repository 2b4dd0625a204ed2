"""How the learning rates go over a fit."""

from __future__ import annotations

import math

__all__ = ["cycle_length", "cyclic_cosine", "progress", "warm_cosine"]


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


def cycle_length(steps: int, cycles: int) -> int:
    """Return the steps of one fall of the rates; the last one may be shorter."""
    return -(-steps // cycles)


def cyclic_cosine(step: int, steps: int, warmup: int, cycles: int) -> float:
    """Return the factor on all learning rates where they fall to 0 ``cycles`` times, rising for ``warmup`` steps before each fall.

    Huang, Li, Pleiss, Liu, Hopcroft, Weinberger 2017, arXiv:1704.00109.

    Examples
    --------
    >>> [round(cyclic_cosine(s, 12, 1, 3), 2) for s in range(6)]
    [1.0, 1.0, 0.75, 0.25, 1.0, 1.0]
    """
    length = cycle_length(steps, cycles)
    return warm_cosine(step % length, length, max(1, min(warmup, length // 4)))
