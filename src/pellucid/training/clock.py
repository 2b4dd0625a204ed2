"""How many steps fit into the time there is, and how long a fit still takes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

__all__ = ["Clock"]

SHARE, LATE_SHARE = 0.93, 0.98
"""Of the time left that is planned for, at the first plan and later: what a pace may be wrong by grows with the way ahead."""
SCORES = 0.2
"""Most of the time that goes to scores on the stop rows."""


class Clock:
    """Time used and left, and the pace of the steps.

    Steps and scores are timed apart: a plan that counts the one as the other ends too early or too late. The pace is the mean of that of
    the whole fit and that of the last window, so that it follows a machine that others begin to use.

    Parameters
    ----------
    started : when the fit began. deadline : when all must be done; None for no limit. Both in seconds of ``now``.
    after : what is still to do when the last step is done, as a multiple of one scoring.
    now : the clock, ``time.monotonic`` unless given.

    Attributes
    ----------
    at : when the present window began. scoring : seconds of the last score.

    Examples
    --------
    >>> times = iter([0.0, 0.0, 1.0, 1.0])
    >>> clock = Clock(0.0, 10.0, now=lambda: next(times))
    >>> clock.begin(0)
    >>> clock.mark(10, 0.0)  # ten steps in a second
    >>> clock.steps(10)  # in 93 % of the 9 seconds left
    83
    """

    def __init__(self, started: float, deadline: float | None, after: float = 0.0, now: Callable[[], float] | None = None) -> None:
        self.started, self.deadline, self.after, self.now = started, deadline, after, now or time.monotonic
        self.scoring = 0.0
        self.at = self.now()
        self._spent, self._steps, self._last, self._step, self._plans = 0.0, 0, 0.0, 0, 0

    @property
    def used(self) -> float:
        """Seconds since the fit began."""
        return self.now() - self.started

    def left(self) -> float:
        """Return the seconds until the last step must be done, infinity without a limit."""
        return math.inf if self.deadline is None else self.deadline - self.now() - self.after * self.scoring

    @property
    def pace(self) -> float:
        """Seconds a step, 0 before the first."""
        return 0.0 if not self._steps else 0.5 * (self._spent / self._steps + self._last)

    def begin(self, step: int) -> None:
        """Start a window at ``step``."""
        self.at, self._step = self.now(), step

    def mark(self, step: int, scoring: float) -> None:
        """End a window at ``step``, of which ``scoring`` seconds went to scores; the next one begins here."""
        now, steps = self.now(), step - self._step
        if steps > 0:
            window = max(now - self.at - scoring, 0.0)
            self._spent, self._steps, self._last = self._spent + window, self._steps + steps, window / steps
        if scoring:
            self.scoring = scoring
        self.at, self._step = now, step

    def steps(self, evaluations: float) -> int:
        """Return how many steps fit into the time left, with so many scores still to come."""
        share = LATE_SHARE if self._plans else SHARE
        self._plans += 1
        left = self.left()
        time_left = left * share - min(evaluations * self.scoring, SCORES * left)
        return max(0, int(time_left / self.pace + 1e-9)) if self.pace > 0 else 0

    def apart(self, every: int) -> int:
        """Return how many steps must at least lie between scores, so that scoring takes no more than its share; about ``every``."""
        return every if not self.pace else max(every, math.ceil(self.scoring / (SCORES * self.pace)))

    def over(self) -> bool:
        """Tell whether the next step, and the score after it, would end too late."""
        return self.left() < self.scoring + self.pace

    def to_come(self, steps: int, evaluations: float) -> float:
        """Return the seconds that so many steps and scores, and what comes after them, still take; never more than there are."""
        seconds = steps * self.pace + (evaluations + self.after) * self.scoring
        return max(0.0, min(seconds, math.inf if self.deadline is None else self.deadline - self.now()))
