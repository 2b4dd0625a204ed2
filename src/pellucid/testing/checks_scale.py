"""Common checks of scales. A subject is the function: distinct values and their shares to reference points and their places."""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid import registry
from pellucid.registry import Entry
from pellucid.testing.checks import Check

__all__ = ["CHECKS", "subject"]


def subject(entry: Entry) -> Any:
    """Return the function of a scale."""
    return registry.resolve(entry)


def _distribution(seed: int) -> tuple[Any, Any]:
    x = np.random.default_rng(seed).lognormal(2, 1, 500).round(2)
    values, count = np.unique(x, return_counts=True)
    return values, count / count.sum()


def check_it_rises_and_comes_back(rule: Any) -> None:
    """The scale keeps the order of numbers, and in range its inverse gives them back to 1e-9 of the range."""
    for seed in range(3):
        values, mass = _distribution(seed)
        x, z = rule(values, mass)
        assert (np.diff(x) > 0).all(), "the reference points do not rise"
        assert (np.diff(z) > 0).all(), "their places do not rise"
        back = np.interp(np.interp(values, x, z), z, x)
        assert np.allclose(back, values, rtol=0, atol=1e-9 * (values[-1] - values[0])), "numbers do not come back"


def check_one_value_and_none_are_safe(rule: Any) -> None:
    """A column of one value goes to a finite place, an empty one to none."""
    x, z = rule(np.array([7.0]), np.array([1.0]))
    assert len(x) == 1, "one value has one reference point"
    assert np.isfinite(z).all(), "a column of one value is not scaled to a number"
    assert len(rule(np.zeros(0), np.zeros(0))[0]) == 0, "an empty column has reference points"


def check_another_unit_changes_nothing(rule: Any) -> None:
    """Kilograms or grams, Celsius or Fahrenheit: the scaled numbers are the same."""
    values, mass = _distribution(0)
    x, z = rule(values, mass)
    other_x, other_z = rule(values * 1.8 + 32, mass)
    a, b = np.interp(values, x, z), np.interp(values * 1.8 + 32, other_x, other_z)
    assert np.allclose(a, b, atol=1e-9), "another unit changes the scaled numbers"


CHECKS: tuple[Check, ...] = tuple(
    Check(c, lambda e: True) for c in (check_it_rises_and_comes_back, check_one_value_and_none_are_safe, check_another_unit_changes_nothing)
)
