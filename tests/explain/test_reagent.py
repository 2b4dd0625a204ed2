"""Recursive replacement: exact on a sum in the limit, and better with cells drawn given the rest where columns go together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pellucid as pld
from pellucid.errors import RequestError


def test_on_a_single_column_of_signs_the_value_is_half_the_distance():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.choice([-1.0, 1.0], 400), "b": rng.normal(size=400), "c": rng.normal(size=400)})
    got = pld.explain(
        lambda f: f["a"].to_numpy(), frame.head(60), background=frame.tail(200), method="reagent", options={"rounds": 2000, "hold": 0.9},
        random_state=0,
    )  # fmt: skip
    # a drawn anew keeps its sign in half of the draws and moves the answer by 2 in the others
    half = np.abs(frame.a.tail(100).mean()) + 0.1
    assert np.abs(got.values[:, 0].mean() - 1) < half
    within = np.abs(got.values[:, 1:]) <= 3.5 * got.error[:, 1:] + 1e-12
    assert within.mean() > 0.98
    assert got.says == "sizes"


def test_cells_drawn_given_the_rest_find_the_column_that_counts_where_two_go_together():
    rng = np.random.default_rng(0)
    a = rng.normal(size=1500)
    frame = pd.DataFrame({"a": a, "b": a + 0.1 * rng.normal(size=1500), "c": rng.normal(size=1500), "d": rng.normal(size=1500)})

    def law(f):  # on rows that can be, a and b are nearly equal and c decides
        return (f["c"] + 3 * np.square(f["a"] - f["b"])).to_numpy()

    rows = pld.RowModel(random_state=0, max_steps=400).fit(frame)
    first = {}
    for fill in ("marginal", "row_model"):
        got = pld.explain(law, frame.head(60), background=frame.tail(300), method="reagent", fill=fill, row_model=rows, random_state=0)
        first[fill] = float((got.values.argmax(1) == 2).mean())
        assert any("drawn from other rows" in c for c in got.record.caveats) == (fill == "marginal")
    assert first["marginal"] < 0.3
    assert first["row_model"] > 0.7


def test_easy_rows_end_early_and_a_budget_is_kept():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(rng.normal(size=(300, 4)), columns=list("abcd"))
    law = lambda f: np.stack([(f["a"] <= 0), (f["a"] > 0)], 1).astype(float)  # noqa: E731
    ask = {"background": frame.tail(100), "method": "reagent", "random_state": 0}
    got = pld.explain(law, frame.head(40), **ask)
    assert got.record.settings["held"] == 40
    assert got.record.settings["rounds"] < 512
    few = pld.explain(law, frame.head(40), budget=3000, **ask)
    assert few.n_calls <= 3000
    with pytest.raises(RequestError, match="the budget is too small"):
        pld.explain(law, frame.head(40), budget=500, **ask)
    with pytest.raises(RequestError, match="'share' cannot be used"):
        pld.explain(law, frame.head(40), options={"share": 1.0}, **ask)
