"""Occlusion and inclusion of a linear model are its weights times distances."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.explain import explain
from pellucid.testing.predictors import FunctionPredictor, LinearPredictor, made_frame, made_table


@pytest.mark.parametrize("method", ["occlusion", "inclusion"])
@pytest.mark.parametrize("fill", ["marginal", "baseline"])
def test_a_linear_model(method, fill):
    table = made_table(made_frame(31, 4, ()))
    model = LinearPredictor([1, -2, 0, 3], table)
    answer = explain(model, table, method=method, fill=fill)
    centre = table.frame.mean() if fill == "marginal" else table.frame.median()
    np.testing.assert_allclose(answer.values, (table.frame - centre) * [1, -2, 0, 3], atol=1e-6)
    assert answer.gap is None
    assert answer.error is None


def test_groups_leave_together():
    table = made_table(made_frame(20, 4, ()))
    model = FunctionPredictor(lambda m: m[:, 0] * m[:, 1] + m[:, 2], table)
    row = table.take([0])
    answer = explain(model, table, method="occlusion", background=row, groups={"pair": ["x1", "x2"]})
    x = table.frame.to_numpy()
    np.testing.assert_allclose(answer.values[:, 0], x[:, 0] * x[:, 1] - x[0, 0] * x[0, 1], atol=1e-12)


def test_the_conditional_fill_finds_a_copy_and_says_so():
    x = np.repeat(np.random.default_rng(0).normal(size=30), 2)
    table = made_table({"x": x, "copy": x})
    model = FunctionPredictor(lambda m: m[:, 0], table)
    answer = explain(model, table.take(slice(0, 8)), background=table, method="occlusion", fill="conditional")
    assert any("other background rows give other values" in c for c in answer.record.caveats)
    np.testing.assert_allclose(answer.values, 0, atol=0.05)  # either column stands in for the other
