"""Outputs, contrasts and the count of rows."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.errors import RequestError
from pellucid.probe.view import View
from pellucid.testing.predictors import FunctionPredictor, fit_network, made_frame, made_table


@pytest.fixture
def table():
    return made_table(made_frame(30, 2, (3,)))


def three(table):
    return FunctionPredictor(
        lambda m: np.column_stack([m[:, 0], m[:, 1], m[:, 2]]),
        table,
        outputs=("low", "mid", "high"),
        classes=("low", "mid", "high"),
        scale="log-odds",
    )


def test_one_output_and_a_contrast(table):
    every = View(three(table)).raw(table)
    assert every.shape == (30, 3)
    np.testing.assert_array_equal(View(three(table), "mid").raw(table)[:, 0], every[:, 1])
    np.testing.assert_array_equal(View(three(table), 2).raw(table)[:, 0], every[:, 2])
    contrast = View(three(table), "high", "low")
    assert contrast.outputs == ("high versus low",)
    np.testing.assert_allclose(contrast.raw(table)[:, 0], every[:, 2] - every[:, 0])
    assert contrast.n_calls == 30


@pytest.mark.parametrize(("scale", "other"), [("log-odds", lambda v: -v), ("probability", lambda v: 1 - v)])
def test_the_other_class_of_two(table, scale, other):
    model = FunctionPredictor(lambda m: m[:, 0], table, outputs=("yes",), classes=("no", "yes"), scale=scale)
    np.testing.assert_allclose(View(model, "no").raw(table), other(View(model, "yes").raw(table)))
    np.testing.assert_allclose(View(model, 0).raw(table), View(model, "no").raw(table))


def test_integer_classes_are_labels_before_they_are_places(table):
    model = FunctionPredictor(lambda m: m, table, outputs=("2", "0", "1"), classes=(2, 0, 1))
    np.testing.assert_array_equal(View(model, 0).raw(table)[:, 0], View(model).raw(table)[:, 1])


def test_unknown_outputs_are_named(table):
    with pytest.raises(RequestError, match="Did you mean 'high"):
        View(three(table), "hihg")
    with pytest.raises(RequestError, match="needs output"):
        View(three(table), versus="low")
    with pytest.raises(RequestError, match="needs gradients"):
        _ = View(three(table)).network


def test_a_network_is_entered_through_the_same_outputs(table):
    import torch

    y = np.array(["a", "b", "c"])[np.arange(30) % 3]
    view = View(fit_network(table, y, steps=5), "c", "a")
    with torch.no_grad():
        np.testing.assert_allclose(view.from_tokens(view.tokens(table)).numpy(), view.raw(table), atol=1e-6)
