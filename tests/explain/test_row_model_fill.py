"""Columns drawn from a row model: conditional games against their closed form, with stated errors that hold."""

from __future__ import annotations

from itertools import combinations
from math import factorial

import numpy as np
import pytest

from pellucid import RowModel, TabularRegressor, load
from pellucid.errors import ArgumentError, RequestError
from pellucid.explain import explain
from pellucid.probe.masker import Drawer
from pellucid.table import Table
from pellucid.testing.predictors import FunctionPredictor, LinearPredictor, made_table

SIGMA = np.array([[1.0, 0.8, 0.0], [0.8, 1.0, 0.0], [0.0, 0.0, 1.0]])
WEIGHTS = np.array([1.0, 0.0, 0.5])


def normal(n: int, seed: int) -> Table:
    x = np.random.default_rng(seed).multivariate_normal(np.zeros(3), SIGMA, n)
    return made_table({f"x{j}": x[:, j] for j in range(3)})


class Exact:
    """A row model that knows the normal law it draws from."""

    columns_ = ("x0", "x1", "x2")

    def sample(self, table, known, n, seed):
        x = table.frame.to_numpy().copy()
        z = np.stack([np.random.default_rng(int(s)).normal(size=3) for s in seed])
        for i, flags in enumerate(known):
            k, u = np.flatnonzero(flags), np.flatnonzero(~flags)
            if len(u):
                slope = SIGMA[np.ix_(u, k)] @ np.linalg.inv(SIGMA[np.ix_(k, k)]) if len(k) else np.zeros((len(u), 0))
                law = SIGMA[np.ix_(u, u)] - slope @ SIGMA[np.ix_(k, u)]
                x[i, u] = slope @ x[i, k] + np.linalg.cholesky(law) @ z[i, u]
        return [table.with_cells({f"x{j}": x[:, j] for j in range(3)})]

    def score(self, table):
        return {}


def closed_form(x: np.ndarray) -> np.ndarray:
    """Return the Shapley values (N, 3) of v(S) = E[w x | x_S] by going through all coalitions."""

    def v(s: tuple[int, ...]) -> np.ndarray:
        k, u = list(s), [j for j in range(3) if j not in s]
        mean = np.zeros((len(x), 3))
        mean[:, k] = x[:, k]
        if k and u:
            mean[:, u] = x[:, k] @ (SIGMA[np.ix_(u, k)] @ np.linalg.inv(SIGMA[np.ix_(k, k)])).T
        return mean @ WEIGHTS

    out = np.zeros(x.shape)
    for j in range(3):
        rest = [i for i in range(3) if i != j]
        for size in range(3):
            for s in combinations(rest, size):
                share = factorial(size) * factorial(2 - size) / 6
                out[:, j] += share * (v(tuple(sorted((*s, j)))) - v(s))
    return out


@pytest.fixture(scope="module")
def rows() -> Table:
    return normal(12, 5)


@pytest.mark.parametrize("method", ["shapley", "shapley_permutation"])
def test_with_the_true_law_the_values_are_the_closed_form_within_their_errors(rows, method):
    model = LinearPredictor(WEIGHTS, normal(20, 1))
    made = explain(model, rows, method=method, fill="row_model", row_model=Exact(), random_state=0)
    truth = closed_form(rows.frame.to_numpy())
    assert made.error is not None
    assert (made.error[:, :2] > 0).all()
    assert (np.abs(made.values - truth) <= 4.5 * made.error + 1e-9).all()
    assert np.abs(made.values[:, 1]).max() > 0.1, "a column that is not read is credited for what it tells of one that is"
    assert np.abs(made.gap).max() < 1e-9


def test_stated_errors_cover_over_seeds(rows):
    model, truth = LinearPredictor(WEIGHTS, normal(20, 1)), closed_form(rows.frame.to_numpy())[:4]
    inside = []
    for seed in range(25):
        made = explain(model, rows.take(slice(0, 4)), fill="row_model", row_model=Exact(), random_state=seed)
        inside.append(np.abs(made.values - truth) <= 1.96 * made.error + 1e-12)
    assert np.mean(inside) > 0.85  # rows and columns of one seed share their draws: 25 independent trials, 95 % wanted


def test_a_fitted_row_model_comes_near_the_closed_form(rows):
    fitted = RowModel(random_state=0, threads=1, max_steps=300).fit(normal(4000, 0))
    made = explain(LinearPredictor(WEIGHTS, normal(20, 1)), rows, fill="row_model", row_model=fitted, random_state=0)
    truth = closed_form(rows.frame.to_numpy())
    off = np.abs(made.values - truth)
    assert (off <= 4.5 * made.error + 0.2).all()
    assert off.mean() < 0.15 * np.abs(truth).mean() + 2 * made.error.mean()


def test_order_of_rows_repeats_and_seeds(rows):
    model = FunctionPredictor(lambda x: x[:, 0] * x[:, 1] + x[:, 2], normal(20, 1))
    asked = {"fill": "row_model", "row_model": Exact(), "random_state": 3}
    one = explain(model, rows, **asked).values
    order = np.random.default_rng(0).permutation(len(rows))
    np.testing.assert_allclose(explain(model, rows.take(order), **asked).values, one[order], atol=1e-9)
    np.testing.assert_array_equal(explain(model, rows, **asked).values, one)
    assert not np.allclose(explain(model, rows, **asked | {"random_state": 4}).values, one)


def test_model_rows_are_counted_and_a_budget_is_kept(rows):
    model = FunctionPredictor(lambda x: x[:, 0] * x[:, 1] + x[:, 2], normal(20, 1))
    made = explain(model, rows, fill="row_model", row_model=Exact(), random_state=0)
    assert made.record.n_calls == model.rows_asked
    model.rows_asked = 0
    explain(model, rows, fill="row_model", row_model=Exact(), random_state=0, budget=8000)
    assert model.rows_asked <= 8000
    with pytest.raises(RequestError, match="budget"):
        explain(model, rows, fill="row_model", row_model=Exact(), random_state=0, budget=500)


def test_occlusion_and_inclusion_state_the_error_of_their_draws(rows):
    model = LinearPredictor(WEIGHTS, normal(20, 1))
    asked = {"fill": "row_model", "row_model": Exact(), "random_state": 0}
    x = rows.frame.to_numpy()
    without = explain(model, rows, method="occlusion", **asked)
    truth = np.stack([x[:, 0] - 0.8 * x[:, 1], np.zeros(len(x)), 0.5 * x[:, 2]], 1)
    assert (np.abs(without.values - truth) <= 4.5 * without.error + 1e-9).all()
    alone = explain(model, rows, method="inclusion", **asked)
    truth = np.stack([x[:, 0], 0.8 * x[:, 1], 0.5 * x[:, 2]], 1)
    assert (np.abs(alone.values - truth) <= 4.5 * alone.error + 1e-9).all()


def test_groups_enter_together(rows):
    model = LinearPredictor(WEIGHTS, normal(20, 1))
    made = explain(model, rows, fill="row_model", row_model=Exact(), groups={"pair": ["x0", "x1"]}, random_state=0)
    assert made.columns == ("pair", "x2")
    x = rows.frame.to_numpy()
    assert (np.abs(made.values - np.stack([x[:, 0], 0.5 * x[:, 2]], 1)) <= 4.5 * made.error + 1e-9).all()


def test_a_model_keeps_its_row_model_and_saves_it(tmp_path):
    table = normal(300, 0)
    frame = table.frame.assign(y=table.frame.to_numpy() @ WEIGHTS)
    model = TabularRegressor(verbose=0, threads=1, random_state=0, max_steps=20).fit(frame, target="y")
    new = frame.head(3).drop(columns="y")
    with pytest.raises(RequestError, match="fit_row_model"):
        model.explain(new, fill="row_model")
    model.fit_row_model(max_steps=20)
    one = model.explain(new, fill="row_model", random_state=0)
    model.save(tmp_path / "m.pellucid")
    two = load(tmp_path / "m.pellucid").explain(new, fill="row_model", random_state=0)
    np.testing.assert_allclose(one.values, two.values, atol=1e-5)
    model.fit(frame, target="y")
    assert model.row_model_ is None, "a row model of the fit before is gone"


def test_what_cannot_be_is_refused(rows):
    model = LinearPredictor(WEIGHTS, normal(20, 1))
    with pytest.raises(RequestError, match="row_model="):
        explain(model, rows, fill="row_model")
    with pytest.raises(ArgumentError, match="row_model"):
        explain(model, rows, fill="row_model", row_model="mine")
    with pytest.raises(RequestError, match="x9"):
        Drawer(Exact(), ("x0", "x9"), 0)
    y = model.raw(rows)[:, 0]
    with pytest.raises(RequestError, match="does not fill"):
        explain(model, rows, method="permutation_importance", y=y, fill="row_model", row_model=Exact())
