"""Reasons without recourse, on a score whose reasons are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pellucid.act import act
from pellucid.act.reasons import compare
from pellucid.errors import ArgumentError, RequestError
from pellucid.testing.predictors import LinearPredictor, made_table


def people(n: int = 60, seed: int = 0):
    rng = np.random.default_rng(seed)
    return made_table(pd.DataFrame({"age": rng.normal(size=n), "debt": rng.normal(size=n), "income": 0.1 * rng.normal(size=n)}))


def test_people_whose_reasons_cannot_change_are_counted():
    table = people()
    model = LinearPredictor([5.0, 0.0, 1.0], table)
    made = act(
        model, table, want=">= 0", rules={"age": "never", "income": (-20, 20)}, method="reason_codes", random_state=0, options={"top": 1}
    )  # fmt: skip
    reasons = made.reasons
    assert len(reasons) == (~made.reached).sum()
    said_age = reasons["reasons"] == "age"
    assert said_age.mean() > 0.9
    assert (reasons["without_recourse"][said_age]).all()
    assert reasons["responsive"].str.startswith("income").all()
    assert made.record.settings["without_recourse"] == pytest.approx(reasons["without_recourse"].mean())
    more = act(
        model, table, want=">= 0", rules={"age": "never", "income": (-20, 20)}, method="reason_codes", random_state=0, options={"top": 3}
    )  # fmt: skip
    assert more.record.settings["without_recourse"] < made.record.settings["without_recourse"]


def test_a_smaller_answer_turns_the_reasons():
    table = people()
    model = LinearPredictor([1.0, 2.0, 0.0], table)
    made = act(model, table, want="<= 0", method="reason_codes", random_state=0, options={"top": 1})
    x = table.frame
    push = np.stack([x["age"] - x["age"].mean(), 2 * (x["debt"] - x["debt"].mean())], 1)[~made.reached]
    assert list(made.reasons["reasons"]) == list(np.array(["age", "debt"])[push.argmax(1)])


def test_models_from_elsewhere_and_row_labels():
    table = people()
    frame = table.frame.set_axis([f"p{i}" for i in range(60)])
    made = act(lambda rows: rows["age"] + rows["income"], frame, want=">= 0", background=frame, method="reason_codes", random_state=0)
    assert set(made.reasons["row"]) == set(frame.index[~made.reached])


def test_what_does_not_fit_is_refused():
    from pellucid.explain import explain

    table = people()
    model = LinearPredictor([1.0, 1.0, 1.0], table)
    made = act(model, table, want=">= 0", method="responsiveness", random_state=0)
    with pytest.raises(ArgumentError):
        compare("age", made)
    with pytest.raises(RequestError, match="different rows"):
        compare(explain(model, table.take(slice(0, 5)), random_state=0), made)
