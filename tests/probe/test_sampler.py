"""Cells drawn anew: right moments where the law is normal, right shares where it is a table of levels, known cells untouched."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pellucid.errors import EmptyTableError, RequestError
from pellucid.probe.sampler import Conditionals
from pellucid.table import read_table
from pellucid.testing.predictors import made_frame, made_table, matrix
from pellucid.testing.samplers import GaussianRows

COVARIANCE = np.array([[1.0, 0.8, 0.3], [0.8, 2.0, 0.5], [0.3, 0.5, 1.0]])


@pytest.mark.parametrize("known", [(True, False, True), (True, False, False), (False, False, False)])
@pytest.mark.parametrize("kind", ["exact", "learned"])
def test_moments_of_a_normal_law(known, kind):
    oracle = GaussianRows(COVARIANCE)
    table, known = oracle.rows(4000, 0), np.array(known)
    sampler = oracle if kind == "exact" else Conditionals(table)
    row = made_table({"x1": [0.7], "x2": [0.5], "x3": [-0.9]}).take(np.zeros(3000, int))
    (drawn,) = sampler.sample(row, np.tile(known, (3000, 1)), 1, 3)
    weights, covariance = oracle.moments(known)
    x = matrix(drawn, oracle.columns)[:, ~known]
    mean = weights @ np.array([0.7, 0.5, -0.9])[known]
    # 4 standard errors of a mean of 3,000; the learned one adds that of 4,000 rows, and its five rounds
    slack = 4 * np.sqrt(np.diag(covariance).max() / 3000) * (1 if kind == "exact" else 2.5)
    np.testing.assert_allclose(x.mean(0), mean, atol=slack)
    np.testing.assert_allclose(
        np.cov(x.T).reshape(covariance.shape), covariance, atol=0.08 * covariance.max() * (1 if kind == "exact" else 2)
    )


def test_levels_are_drawn_by_their_conditional_share():
    draw = np.random.default_rng(0)
    a = draw.choice(["u", "v"], 3000)
    b = np.where(draw.random(3000) < np.where(a == "u", 0.9, 0.2), "yes", "no")
    table = read_table(pd.DataFrame({"a": a, "b": b}))
    (drawn,) = Conditionals(table).sample(table, np.tile([True, False], (3000, 1)), 1, 0)
    texts = drawn.texts("b")
    for level, share in (("u", 0.9), ("v", 0.2)):
        assert (texts[a == level] == "yes").mean() == pytest.approx(share, abs=0.05)
    assert (drawn.texts("a") == a).all()


def test_whole_numbers_dates_text_and_gaps_keep_their_kind():
    draw = np.random.default_rng(1)
    n = 200
    frame = pd.DataFrame(
        {
            "count": draw.integers(0, 30, n),
            "size": np.where(draw.random(n) < 0.2, np.nan, draw.normal(size=n)),
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(draw.integers(0, 300, n), unit="D"),
            "ok": draw.random(n) < 0.5,
        }
    )
    table = read_table(frame)
    drawn = Conditionals(table).sample(table, np.zeros((n, 4), bool), 2, 0)
    for one in drawn:
        assert (one.frame.dtypes == table.frame.dtypes).all()
        assert set(one.frame["count"]) <= set(frame["count"])
        assert set(one.frame["day"]) <= set(frame["day"])
        assert 0.1 < one.missing("size").mean() < 0.32
    assert not drawn[0].frame.equals(drawn[1].frame)


def test_known_cells_and_the_callers_rows_are_untouched():
    table = made_table(made_frame(80, 3, (3,), 0, missing=0.1))
    before = table.frame.copy(deep=True)
    known = np.random.default_rng(0).random((80, 4)) < 0.5
    (drawn,) = Conditionals(table).sample(table, known, 1, 0)
    assert table.frame.equals(before)
    for j, name in enumerate(table.columns):
        assert drawn.frame[name][known[:, j]].equals(before[name][known[:, j]])
    assert drawn.frame.equals(Conditionals(table).sample(table, known, 1, 0)[0].frame)


def test_wrong_calls_are_refused():
    table = made_table(made_frame(50, 3, ()))
    with pytest.raises(EmptyTableError):
        Conditionals(table.take(slice(0, 5)))
    with pytest.raises(RequestError, match="do not fit"):
        Conditionals(table).sample(table.select(["x1", "x2"]), np.ones((50, 2), bool), 1, 0)
