"""The clock of a fit, by a clock that the test turns."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.training.clock import Clock
from pellucid.training.schedules import progress, warm_cosine


class Turned:
    """Seconds that pass only where a test says so."""

    def __init__(self):
        self.at = 0.0

    def __call__(self):
        return self.at


def test_steps_and_scores_are_timed_apart():
    now = Turned()
    clock = Clock(0.0, 100.0, now=now)
    clock.begin(0)
    now.at = 10.0
    clock.mark(20, 4.0)
    assert clock.pace == pytest.approx(0.3)
    assert clock.scoring == 4.0
    assert clock.left() == 90
    # five scores are 20 seconds, of which a fifth of the time left is allowed
    assert clock.steps(5) == int((0.93 * 90 - 18) / 0.3)
    assert clock.steps(1) == int((0.98 * 90 - 4) / 0.3)
    assert clock.apart(1) == int(np.ceil(4 / (0.2 * 0.3)))


def test_the_pace_follows_a_machine_that_becomes_slower():
    now = Turned()
    clock = Clock(0.0, 100.0, now=now)
    clock.begin(0)
    for step, second in ((10, 1.0), (20, 5.0)):
        now.at = second
        clock.mark(step, 0.0)
    assert clock.pace == pytest.approx(0.5 * (5 / 20 + 0.4))
    assert clock.to_come(100, 0) == pytest.approx(100 * clock.pace)
    assert clock.to_come(10_000, 0) == 95  # never more than there is


def test_what_comes_after_the_last_step_is_kept_free():
    now = Turned()
    clock = Clock(0.0, 20.0, after=3.0, now=now)
    clock.begin(0)
    now.at = 10.0
    clock.mark(8, 2.0)
    assert clock.left() == 4
    assert not clock.over()
    now.at = 11.5
    assert clock.over()  # a step of 1 and a score of 2 would end after 14


def test_without_a_limit_nothing_is_over():
    clock = Clock(0.0, None, now=Turned())
    assert clock.left() == np.inf
    assert not clock.over()
    assert clock.to_come(5, 0) == 0


def test_the_rates_fall_to_their_end_whatever_the_turns():
    assert progress(3, 10, 5, 0.0) == 0
    # planned for 100 steps; at step 40 the clock says 60, at 50 it says 80
    done = progress(40, 100, 10, 0.0)
    again = progress(50, 60, 40, done)
    factors = [warm_cosine(s, 100, 10, 10, 0.0) for s in range(10, 40)]
    factors += [warm_cosine(s, 60, 10, 40, done) for s in range(40, 50)]
    factors += [warm_cosine(s, 80, 10, 50, again) for s in range(50, 81)]
    assert factors[0] == 1
    assert factors[-1] == pytest.approx(0)
    assert (np.diff(factors) <= 1e-12).all()
    assert max(abs(np.diff(factors))) < 0.12
