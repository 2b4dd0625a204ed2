"""The common checks of kind ``act``: green on the honest double, red on the fault each is there for."""

from __future__ import annotations

import pytest

from pellucid.testing import saboteurs_act
from pellucid.testing.checks_act import CHECKS, Actor, check_every_option_holds_when_it_is_tried

BY_NAME = {check.name: check for check in CHECKS}


def test_every_check_has_a_saboteur():
    assert set(saboteurs_act.FAULTS) == set(BY_NAME)


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_the_check_goes_red_on_its_saboteur(name):
    gives = "Inquiry" if name == "asking_ends_with_the_decision" else "Actions"
    with pytest.raises(AssertionError):
        BY_NAME[name].function(Actor(saboteurs_act.FAULTS[name], gives))


@pytest.mark.parametrize("name", sorted(set(BY_NAME) - {"asking_ends_with_the_decision"}))
def test_the_check_stays_green_on_the_honest_double(name):
    BY_NAME[name].function(Actor(saboteurs_act.honest))


def test_silence_is_found_too():
    with pytest.raises(AssertionError, match="nothing is said"):
        check_every_option_holds_when_it_is_tried(Actor(saboteurs_act.says_nothing_of_the_rest))
