"""Every line of ``pellucid selfcheck`` is seen to go red on an estimator with that fault, and to stay green on one without."""

from __future__ import annotations

import pytest

from pellucid.cli import selfcheck
from pellucid.testing.saboteurs_estimators import ESTIMATORS, Honest


def _outcome(name, make):
    figure, limit, words = selfcheck.CHECKS[name](selfcheck._Bench(make, 0))
    return selfcheck.Check(name, figure, limit, words).passed


def test_every_line_has_a_saboteur():
    assert set(ESTIMATORS) == set(selfcheck.CHECKS)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_line_goes_red_on_its_saboteur(name):
    assert not _outcome(name, ESTIMATORS[name])


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_line_stays_green_without_the_fault(name):
    assert _outcome(name, Honest)
