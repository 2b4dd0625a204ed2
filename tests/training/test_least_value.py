"""Where a target ends at 0, and what that makes of intervals."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

import pellucid as pld
from pellucid.training.least_value import LeastValue
from pellucid.training.risk_control import control

DRAW = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        (DRAW.poisson(3, 200), True), (1 + DRAW.poisson(3, 200), True), (DRAW.lognormal(size=200), True), (DRAW.poisson(3, 80), False),
        (np.r_[-0.01, DRAW.exponential(size=200)], False), (15 + 3 * DRAW.normal(size=200).clip(-3), False), (np.zeros(200), False),
        (5 + DRAW.poisson(3, 200), False), (np.where(DRAW.random(200) < 0.5, 0, 50 + DRAW.random(200)), True),
    ],
)  # fmt: skip
def test_a_target_ends_at_0_where_its_values_come_close_and_none_is_below(values, ends: bool) -> None:
    assert (LeastValue.found(values[:, None]) is not None) == ends


def test_each_target_is_cut_at_its_own_end_and_ends_at_infinity_stay() -> None:
    least = LeastValue.found(np.column_stack([DRAW.poisson(2, 200), DRAW.normal(size=200)]))
    low, high, cut = least.cut(
        np.array([[-2.0, -2.0], [1.0, -1.0], [-3.0, 0.0], [-np.inf, 0.0]]), np.array([[2.0, 2], [3, 1], [-1, 1], [np.inf, 1]])
    )
    assert low.tolist() == [[0, -2], [1, -1], [0, 0], [-np.inf, 0]]
    assert high.tolist() == [[2, 2], [3, 1], [0, 1], [np.inf, 1]]
    assert cut.tolist() == [True, False, True, False]
    back = LeastValue.from_state(least.state())
    assert back.rows == 200
    assert back.least.tolist() == least.least.tolist()


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(1400, 3)), columns=list("abc"))
    frame["visits"] = rng.poisson(np.exp(0.3 + 0.6 * frame["a"]))
    model = pld.TabularRegressor(backbone="linear", max_steps=100, random_state=0, verbose=0, threads=1)
    return model.fit(frame[:600], target="visits"), frame[600:]


@pytest.mark.parametrize("score", ["absolute", "normalised", "quantile"])
def test_intervals_of_counts_begin_at_0_and_say_so_and_cover_as_before(counts, score: str, tmp_path) -> None:
    model, new = counts
    cut = model.uncertainty(new, score=score, familiarity=None)
    whole = model.certainty_
    model.certainty_ = dataclasses.replace(whole, least=None)  # a model saved before
    try:
        plain = model.uncertainty(new, score=score, familiarity=None)
    finally:
        model.certainty_ = whole
    assert (plain.low < 0).mean() > 0.3
    np.testing.assert_array_equal(cut.low, np.maximum(plain.low, 0))
    np.testing.assert_array_equal(cut.high, np.maximum(plain.high, 0))
    np.testing.assert_array_equal(cut.point, plain.point)
    truth = new["visits"].to_numpy()
    assert ((cut.low <= truth) & (truth <= cut.high)).sum() >= ((plain.low <= truth) & (truth <= plain.high)).sum()
    (words,) = (g for g in cut.guarantee if "below 0" in g)
    assert words.startswith(f"none of 600 training rows has a target below 0, so {(plain.low < 0).sum()} of 800 intervals")
    assert f"{(cut.point < 0).sum()} answers are below 0" in words
    assert not any("below 0" in g for g in plain.guarantee)
    if score == "normalised":
        model.save(tmp_path / "visits.pellucid")
        np.testing.assert_array_equal(pld.load(tmp_path / "visits.pellucid").uncertainty(new, score=score, familiarity=None).low, cut.low)


def test_reasons_for_a_width_are_of_the_interval_that_is_shown(counts) -> None:
    model, new = counts
    answer, why = model.uncertainty(new[:3]), model.explain(new[:3], of="width", background=new[-10:])
    np.testing.assert_allclose(np.ravel(why.base_values) + why.values.reshape(3, -1).sum(1), answer.high - answer.low, atol=1e-6)


def test_a_refusal_names_its_limit_in_the_unit_of_the_target(counts) -> None:
    model, new = counts
    reasons = set(model.uncertainty(new, refuse_above=1.25, familiarity=None).reason) - {""}
    assert reasons == {"the size of the error to expect is above 1.25 in the target's unit"}
    target = model.target_
    model.target_ = dataclasses.replace(target, unit="visits")
    try:
        reasons = set(model.uncertainty(new, refuse_above=1.25, familiarity=None).reason) - {""}
    finally:
        model.target_ = target
    assert reasons == {"the size of the error to expect is above 1.25 visits"}


def test_where_every_answer_may_be_given_it_is_not_said_that_none_may() -> None:
    found = control(np.arange(100.0), np.zeros(100), [np.inf], 0.2)
    assert found.words.startswith("of 100 held-out rows 100 are answered, 0 of them wrongly")
