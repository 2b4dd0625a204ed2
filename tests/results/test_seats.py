"""Importance as a parliament."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.errors import RequestError
from pellucid.results import Importance, RunRecord


def votes(values, columns=None):
    columns = columns or tuple("abcdefgh"[: len(values)])
    return Importance(np.array(values, float), np.full((len(values), 2), np.nan), columns, "votes", "poll", RunRecord("poll"))


def test_the_rule():
    assert votes([100_000, 75_000, 50_000, 25_000]).seats(10).values.tolist() == [4, 3, 2, 1]
    assert votes([100_000, 80_000, 30_000, 20_000]).seats(8).values.tolist() == [4, 3, 1, 0]


@pytest.mark.parametrize("n", [1, 7, 100])
def test_seats_add_up_and_are_the_largest_quotients(n):
    draw = np.random.default_rng(n).random(6)
    made = votes(draw).seats(n)
    assert made.values.sum() == n
    quotients = np.sort((draw[:, None] / np.arange(1, n + 1)).ravel())[::-1]
    held = [draw[j] / (s + 1) for j, k in enumerate(made.values.astype(int)) for s in range(k)]
    np.testing.assert_allclose(np.sort(held)[::-1], quotients[:n])


def test_ties_go_to_the_larger_vote_then_to_the_earlier_column():
    assert votes([1.0, 2.0]).seats(2).values.tolist() == [0, 2]  # the second seat: 1/1 against 2/2
    assert votes([1.0, 1.0]).seats(1).values.tolist() == [1, 0]


def test_alliances_and_thresholds():
    alone, together = votes([5, 3, 3]).seats(3), votes([5, 3, 3]).seats(3, groups={"bloc": ["b", "c"]})
    assert alone.columns == ("a", "b", "c")
    assert (together.columns, together.values.tolist()) == (("a", "bloc"), [1.0, 2.0])
    assert votes([90, 6, 4]).seats(50, threshold=0.05).values[2] == 0
    assert votes([3, -2]).seats(4).values.tolist() == [4, 0]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda v: v.seats(0), "number of seats"), (lambda v: v.seats(3, threshold=1), "threshold"),
        (lambda v: v.seats(3, groups={"g": ["z"]}), "cannot hold"), (lambda v: votes([0, -1]).seats(3), "no votes"),
    ],
)  # fmt: skip
def test_wrong_requests_are_named(call, words):
    with pytest.raises(RequestError, match=words):
        call(votes([2, 1]))
