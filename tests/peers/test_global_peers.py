"""Our curves, importances and copies beside scikit-learn and shapiq on the same questions."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.explain import explain
from pellucid.testing.predictors import made_frame

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def forest():
    from sklearn.ensemble import RandomForestRegressor

    frame = made_frame(300, 3, ())
    frame["n"] = np.random.default_rng(0).integers(0, 6, 300)
    y = frame.x1 * frame.x2 + frame.n + np.random.default_rng(1).normal(size=300)
    return RandomForestRegressor(20, random_state=0).fit(frame, y), frame, y.to_numpy()


def test_partial_dependence(forest):
    from sklearn.inspection import partial_dependence

    model, frame, _ = forest
    # newer scikit-learn takes no whole numbers: theirs reads the same numbers as fractions, the forest does not tell them apart
    theirs = partial_dependence(model, frame.astype({"n": float}), ["n"], method="brute", kind="both", grid_resolution=20)
    ours = explain(model.predict, frame, method="pdp", options={"columns": "n"}, random_state=0)
    np.testing.assert_array_equal(ours.points["n"].astype(float), theirs["grid_values"][0])
    np.testing.assert_allclose(ours.values["n"][:, 0], theirs["average"][0], atol=1e-6)
    single = explain(model.predict, frame, method="ice", options={"columns": "n", "rows": 300}, random_state=0)
    np.testing.assert_allclose(single.lines["n"][:, :, 0], theirs["individual"][0], atol=1e-6)


def test_partial_dependence_at_quantiles(forest):
    from sklearn.inspection import partial_dependence

    model, frame, _ = forest
    ours = explain(model.predict, frame, method="pdp", options={"columns": "x1"}, random_state=0)
    grid = ours.points["x1"].astype(float)
    theirs = partial_dependence(model, frame, ["x1"], method="brute", custom_values={"x1": grid})
    np.testing.assert_allclose(ours.values["x1"][:, 0], theirs["average"][0], atol=1e-6)


def test_importances_rank_alike(forest):
    from sklearn.inspection import permutation_importance

    model, frame, y = forest
    theirs = permutation_importance(model, frame, y, scoring="neg_mean_squared_error", n_repeats=10, random_state=0).importances_mean
    sage = explain(model.predict, frame, method="sage", y=y, random_state=0, precision=0.1, background=frame.head(50))
    assert sage.columns[int(np.argmax(sage.values))] == frame.columns[int(np.argmax(theirs))]
    assert set(np.argsort(-sage.values)[:3]) == set(np.argsort(-theirs)[:3])


def test_equal_weights_are_shapiq_banzhaf(forest):
    shapiq = pytest.importorskip("shapiq")
    model, frame, _ = forest
    row, base = frame.iloc[[0]], frame.iloc[[1]]

    def game(z):
        rows = np.where(z, row.to_numpy(), base.to_numpy())
        return model.predict(type(frame)(rows, columns=frame.columns))

    theirs = shapiq.ExactComputer(game, 4)("BV").get_n_order_values(1)
    made = explain(model.predict, row, background=base, method="lime", options={"kernel_width": 1e6, "samples": 2000}, random_state=0)
    assert (np.abs(made.values[0] - theirs) <= 4.5 * made.error[0] + 1e-9).all()
    assert made.error.max() < 0.1 * np.abs(theirs).max()
