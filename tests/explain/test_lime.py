"""LIME against its closed forms: additive models, products, Banzhaf values at equal weights."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pellucid.errors import RequestError
from pellucid.explain import explain
from pellucid.testing import oracles
from pellucid.testing.predictors import FunctionPredictor, LinearPredictor, made_frame, made_table


def test_a_model_that_adds_up_gets_its_contributions_exactly_against_one_row():
    table = made_table(made_frame(40, 3, (3,)))
    model = FunctionPredictor(lambda x: 2 * x[:, 0] - np.exp(x[:, 1]) + x[:, 3] ** 2, table)
    one = table.take(slice(0, 1))
    made = explain(model, table, background=one, method="lime", random_state=0)
    terms = np.column_stack([2 * table.numbers("x1"), -np.exp(table.numbers("x2")), np.zeros(40), 0 * table.numbers("x1")])
    codes = np.array([table.schema["c1"].levels.index(c) for c in table.texts("c1")], float)
    terms[:, 3] = codes**2
    np.testing.assert_allclose(made.values, terms - terms[0], atol=1e-9)
    np.testing.assert_allclose(made.error, 0, atol=1e-9)
    settings = made.record.settings
    np.testing.assert_allclose(settings["r2"], 1, atol=1e-9)
    np.testing.assert_allclose(settings["local_gap"], 0, atol=1e-9)
    np.testing.assert_allclose(settings["stability"], 1)


def test_signs_and_order_of_a_linear_model_against_many_rows():
    table = made_table(made_frame(120, 5, ()))
    model = LinearPredictor([3, -2, 1, 0.5, 0], table.take(slice(0, 60)))
    rows = table.take(slice(60, 120))
    made = explain(model, rows, background=table.take(slice(0, 60)), method="lime", random_state=0)
    truth = model.truth(rows)
    off = np.abs(made.values - truth)
    assert (off <= 4.5 * made.error + 1e-9).all()
    inside = (off <= 1.96 * made.error + 1e-12).mean()
    assert inside >= 0.9  # 300 values, nearly independent: a 95 % error falls below 0.9 with a chance under 1e-4
    clear = np.abs(truth) > 5 * made.error + 1e-9
    assert clear.mean() > 0.4
    assert (np.sign(made.values) == np.sign(truth))[clear].all()
    assert np.median(made.record.settings["r2"]) > 0.97  # a straight line, whatever background rows were drawn
    assert not any("fits badly" in c for c in made.record.caveats)


def test_equal_weights_give_banzhaf_values():
    model, row, background = oracles.restaurant()
    made = explain(model, row, background=background, method="lime", options={"kernel_width": 1e6, "samples": 4000}, random_state=0)
    truth = [oracles.RESTAURANT_INDICES["Banzhaf"][c] for c in "ABC"]
    assert (np.abs(made.values[0] - truth) <= 4.5 * made.error[0]).all()
    assert made.error.max() < 5


def test_the_weights_are_those_of_the_kernel():
    """Over all coalitions of three players, weighted by the kernel, the line is computed by hand."""
    model, row, background = oracles.restaurant()
    width = 0.8
    z = np.array(list(itertools.product([0.0, 1.0], repeat=3)))
    v = np.array([oracles.RESTAURANT["".join(c for c, here in zip("ABC", bits) if here)] for bits in z])
    root = np.sqrt(np.sqrt(np.exp(-(3 - z.sum(1)) / width**2)))
    truth = np.linalg.lstsq(np.column_stack([np.ones(8), z]) * root[:, None], v * root, rcond=None)[0][1:]
    made = explain(model, row, background=background, method="lime", options={"kernel_width": width, "samples": 4000}, random_state=0)
    assert (np.abs(made.values[0] - truth) <= 4.5 * made.error[0]).all()
    assert np.abs(truth - [165, 345, 445]).max() > 20  # not the equal weights


def test_a_bad_fit_is_said_and_reseeds_disagree():
    table = made_table(made_frame(60, 6, ()))
    model = FunctionPredictor(lambda x: np.sign(x).prod(1) * 5, table)
    made = explain(model, table.take(slice(0, 20)), background=table.take([30]), method="lime", options={"samples": 60}, random_state=0)
    assert np.median(made.record.settings["r2"]) < 0.5
    assert any("fits badly" in c for c in made.record.caveats)
    assert min(made.record.settings["stability"]) < 0.6
    assert made.gap is None


def test_groups_ridge_and_refusals():
    table = made_table(made_frame(50, 4, ()))
    model = LinearPredictor([1, 2, 3, 4], table)
    made = explain(model, table.take(slice(0, 5)), background=table.take([7]), groups={"g": ["x1", "x2"]}, method="lime", random_state=0)
    x, b = (table.frame.to_numpy()[r] for r in (slice(0, 5), 7))
    np.testing.assert_allclose(made.values[:, 0], ((x - b) * [1, 2, 3, 4])[:, :2].sum(1), atol=1e-9)
    shrunk = explain(model, table.take(slice(0, 5)), background=table.take([7]), method="lime", options={"ridge": 1e4}, random_state=0)
    assert np.abs(shrunk.values).max() < 0.2 < np.abs(made.values).max()
    for bad in ({"samples": 1}, {"reseeds": 1}, {"kernel_width": -1}, {"ridge": -1}):
        with pytest.raises(RequestError, match=next(iter(bad))):
            explain(model, table, background=table, method="lime", options=bad)
    with pytest.raises(RequestError, match="at least"):
        explain(model, table, background=table, method="lime", budget=200)
