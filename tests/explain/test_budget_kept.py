"""A budget of model rows is kept by every method, or refused with the number that would do."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

import pellucid as pld
from pellucid.errors import ArgumentError, RequestError


@pytest.fixture(scope="module")
def net():
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.integers(0, 3, size=(220, 6)).astype(float), columns=list("abcdef"))  # rows share cells: games of all sizes
    frame["y"] = frame["a"] * frame["b"] - frame["c"] + draw.normal(size=220)
    return pld.TabularRegressor(backbone="mlp", max_steps=15, random_state=0, verbose=0).fit(frame, target="y"), frame


SOME_ROWS = ("shapley", "shapley_permutation", "shapley_kernel", "owen", "banzhaf")
FIXED = ("gradient", "vargrad", "integrated_gradients", "expected_gradients")


def told(model, frame, method, budget):
    """Return (model rows asked, None), or (None, the numbers in the refusal)."""
    try:
        return model.explain(frame.head(4), method=method, budget=budget, random_state=0).n_calls, None
    except RequestError as refused:
        return None, re.search(r"at least (\d+) model rows, got (\d+)", str(refused))


@pytest.mark.parametrize("method", [*SOME_ROWS, *FIXED])
@pytest.mark.parametrize("budget", [900, 5000])
def test_no_more_rows_are_asked_than_the_budget_allows(net, method, budget):
    asked, refusal = told(*net, method, budget)
    if asked is None:
        assert int(refusal[2]) == budget < int(refusal[1])
    else:
        assert asked <= budget


@pytest.mark.parametrize("method", SOME_ROWS)
def test_the_number_that_is_asked_for_is_enough(net, method):
    model, frame = net
    needed = int(told(model, frame, method, 10)[1][1])
    assert model.explain(frame.head(4), method=method, budget=needed, random_state=0).n_calls <= needed


def test_methods_of_the_whole_table_keep_it_too(net):
    model, frame = net
    made = pld.explain(model, frame.head(100), method="permutation_importance", budget=1500, random_state=0)
    assert made.record.n_calls <= 1500
    assert made.record.settings["repeats"] == 2
    for method in ("permutation_importance", "layer_probes"):
        with pytest.raises(RequestError, match="at least"):
            pld.explain(model, frame.head(100), method=method, budget=90, random_state=0)


def test_a_kernel_regression_is_never_refused_where_no_budget_was_set():
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(1502, 6)), columns=list("abcdef"))
    made = pld.explain(
        lambda x: np.asarray(x) @ np.arange(6.0), rows.head(2), background=rows.tail(1500), method="shapley_kernel", random_state=0
    )
    assert np.allclose(made.values, np.arange(6.0) * (rows.head(2) - rows.tail(1500).mean()))


def test_a_model_from_elsewhere_is_asked_for_many_sizes_of_game_at_once():
    calls = []

    def model(x):
        calls.append(len(x))
        return np.asarray(x).prod(1)

    rows = pd.DataFrame(np.random.default_rng(0).integers(0, 2, size=(40, 12)).astype(float), columns=list("abcdefghijkl"))
    pld.explain(model, rows.head(3), background=rows.tail(30), method="shapley_exact", random_state=0)
    assert len(calls) < 12  # not one call for each size


def test_what_is_not_a_model_or_a_group_is_named(net):
    model, frame = net
    with pytest.raises(ArgumentError, match="the class TabularRegressor"):
        pld.explain(pld.TabularRegressor, frame, background=frame)
    with pytest.raises(RequestError, match="twice in group"):
        model.explain(frame.head(2), groups={"one": ["a", "a"]})
    with pytest.raises(RequestError, match="group 'one' cannot be read"):
        model.explain(frame.head(2), groups={"one": None})


def test_the_rows_compared_with_are_told_as_they_are(net):
    model, frame = net
    near = model.explain(frame.head(2), method="nearest_rows", random_state=0).record.caveats
    slope = model.explain(frame.head(2), method="integrated_gradients").record.caveats
    assert near[0] == "the known rows are 220 rows kept at fit"
    assert not any("background is" in one for one in (*near, *slope))
    assert any("background is a sample of 100 rows" in one for one in model.explain(frame.head(2), method="occlusion").record.caveats)


def test_a_fit_is_told_in_a_line_and_its_settings_are_checked(net):
    model, frame = net
    for wrong in ({"steps": -1}, {"rows": 0}, {"width": 2.5}, {"test_precision": 0}, {"pairs": True}):
        with pytest.raises(RequestError, match=f"{next(iter(wrong))!r} cannot be used"):
            pld.fit_explainer(model, frame, random_state=0, **wrong)
    fitted = pld.fit_explainer(model, frame, random_state=0, steps=5, rows=60, test_rows=4, width=8)
    assert "relative" in repr(fitted)
    assert len(repr(fitted)) < 400
    with pytest.raises(RequestError, match="expected no groups, got a with b"):
        model.explain(frame.head(2), method="amortised", groups={"one": ["a", "b"]})
