"""The wanted answer: classes, probabilities, conditions on numbers."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.act.goal import Goal
from pellucid.errors import RequestError
from pellucid.probe.view import View
from pellucid.testing.predictors import FunctionPredictor, made_frame, made_table

TABLE = made_table(made_frame(5, 3, ()))


def view(outputs=("yes",), classes=("no", "yes"), scale="log-odds") -> View:
    return View(FunctionPredictor(lambda x: x[:, : len(outputs)], TABLE, outputs=outputs, classes=classes, scale=scale))


BINARY, PROBABILITY, THREE = view(), view(scale="probability"), view(("a", "b", "c"), ("a", "b", "c"))
NUMBER, SEVERAL = view(("y",), (), "target"), view(("u", "v"), (), "target")


@pytest.mark.parametrize(
    ("asked", "want", "raw", "met"),
    [
        (BINARY, "yes", [[-1.0], [0.0], [1.0]], [False, False, True]),
        (BINARY, "no", [[-1.0], [0.0], [1.0]], [True, True, False]),  # a tie goes to the first class, as in predict
        (PROBABILITY, "yes", [[0.4], [0.5], [0.6]], [False, False, True]),
        (BINARY, {"yes": 0.75}, [[1.0], [1.2]], [False, True]),  # logit(0.75) = 1.0986
        (BINARY, {"no": 0.75}, [[-1.0], [-1.2]], [False, True]),
        (PROBABILITY, {"no": 0.75}, [[0.3], [0.2]], [False, True]),
        (THREE, "b", [[0.0, 1.0, 0.5], [2.0, 1.0, 0.5]], [True, False]),
        (THREE, {"c": 0.5}, [[0.0, 0.0, 0.1], [0.0, 0.0, -0.1]], [True, False]),
        (NUMBER, ">= 3.5", [[3.4], [3.5]], [False, True]),
        (NUMBER, "> 3.5", [[3.5], [3.6]], [False, True]),
        (NUMBER, " <-1e1 ", [[-10.0], [-10.1]], [False, True]),
        (NUMBER, (1, 2), [[0.9], [1.0], [2.0], [2.1]], [False, True, True, False]),
        (SEVERAL, {"v": "< 0"}, [[-1.0, 1.0], [1.0, -1.0]], [False, True]),
    ],
)
def test_a_goal_is_met_where_it_says(asked, want, raw, met):
    goal = Goal.of(asked, want)
    assert goal.met(np.array(raw)).tolist() == met
    assert goal.words


@pytest.mark.parametrize(
    ("asked", "want", "words"),
    [
        (BINARY, "yess", "Did you mean .yes"),
        (BINARY, None, "want='no'"),
        (NUMBER, "tall", ">= 3.5"),
        (NUMBER, (2, 1), "low, high"),
        (NUMBER, None, ">= 3.5"),
        (SEVERAL, "> 1", "several outputs"),
        (BINARY, {"yes": 1.5}, "between 0 and 1"),
        (BINARY, {"yes": 0.6, "no": 0.6}, "one item"),
        (SEVERAL, {"w": "> 1"}, "no output"),
    ],
)
def test_what_cannot_be_wanted_is_refused(asked, want, words):
    with pytest.raises(RequestError, match=words):
        Goal.of(asked, want)
