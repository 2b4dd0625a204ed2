"""Data minimisation against the closed form of a linear score of Gaussian columns."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from pellucid.act import act
from pellucid.act.minimize import expected_entropy
from pellucid.errors import ColumnError, RequestError
from pellucid.testing.predictors import FunctionPredictor, LinearPredictor, made_frame, made_table, matrix

WEIGHTS = np.array([3.0, 2.0, 1.0, 0.5, 0.25])


def gaussian(n: int, seed: int = 0):
    return made_table(pd.DataFrame(np.random.default_rng(seed).normal(size=(n, 5)), columns=list("abcde")))


@pytest.fixture(scope="module")
def made():
    table = gaussian(1000)
    return act(
        LinearPredictor(WEIGHTS, table), gaussian(150, 1), want=">= 0", method="minimize", random_state=0,
        options={"fill": "marginal", "draws": 500},
    )  # fmt: skip


def test_the_share_is_that_of_the_closed_form(made):
    """score | x_S is normal with mean w_S x_S and variance |w_R|^2, so the decision is sure with probability Phi(|m| / s)."""
    x = gaussian(150, 1).frame.to_numpy()
    for step in range(4):
        rows = np.flatnonzero(~np.isnan(made.sure[:, step]))
        asked = np.zeros((150, 5), bool)
        for i in rows:
            asked[i, made.order[i, :step]] = True
        mean = (x * WEIGHTS * asked).sum(1)[rows]
        spread = np.sqrt((WEIGHTS**2 * ~asked).sum(1))[rows]
        truth = norm.cdf(np.abs(mean) / spread)
        off = made.sure[rows, step] - truth
        # one set of draws serves all rows, so their gaps hang together: Kolmogorov's bound holds for all at once
        assert np.abs(off).max() < 1.95 / np.sqrt(500) + 0.002


def test_the_column_that_says_most_is_asked_first(made):
    assert (made.order[:, 0] == 0).mean() == 1
    asked_second = made.order[made.n_asked > 1, 1]
    assert (asked_second == 1).mean() > 0.9


def test_the_promise_is_kept_and_fewer_cells_are_asked(made):
    n = len(made)
    assert made.agreement > 0.95 - 3 * np.sqrt(0.05 * 0.95 / n)
    assert np.median(made.n_asked) <= 3
    known = made.checked[~np.isnan(made.checked)]
    assert len(known) == n
    assert abs(known.mean() - np.mean(made.sure[np.arange(n), made.n_asked])) < 0.03
    assert made.curve["agreement"].iloc[-1] == made.agreement
    assert made.curve["agreement"].iloc[0] < 0.8


def test_with_no_doubt_allowed_everything_is_asked_and_the_decision_is_the_same():
    table = gaussian(300)
    model = LinearPredictor(WEIGHTS, table, outputs=("yes",), classes=("no", "yes"), scale="log-odds")
    rows = gaussian(30, 1)
    made = act(model, rows, method="minimize", options={"delta": 0.0}, random_state=0)
    assert (made.n_asked == 5).all()
    assert (made.decision == made.whole).all()
    assert (made.whole == np.where(model.raw(rows)[:, 0] > 0, "yes", "no")).all()
    assert (np.sort(made.order, axis=1) == np.arange(5)).all()


def test_a_copy_of_a_known_column_is_not_asked():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=600), "b": rng.normal(size=600)})
    frame["copy"] = frame["a"]
    table = made_table(frame)
    model = FunctionPredictor(lambda x: x[:, 0] + x[:, 2] + 0.05 * x[:, 1], table)
    made = act(model, table.take(slice(0, 80)), want=">= 0", method="minimize", random_state=0)
    assert (made.n_asked[np.abs(frame["a"][:80]) > 0.3] == 1).all()
    assert made.agreement > 0.9


def test_known_columns_are_not_asked():
    table = gaussian(300)
    model = LinearPredictor(WEIGHTS, table)
    made = act(model, table.take(slice(0, 40)), want=">= 0", method="minimize", options={"known": ["a"]}, random_state=0)
    assert not (made.order == 0).any()
    assert (made.n_asked == 0).any()
    with pytest.raises(ColumnError, match="zz"):
        act(model, table, want=">= 0", method="minimize", options={"known": "zz"})


def test_entropy_by_hand():
    rng = np.random.default_rng(0)
    groups, decisions = rng.integers(0, 3, (2, 400, 2)), rng.integers(0, 2, (2, 400))
    decisions[:, :] = np.where(groups[:, :, 0] == 0, 1, decisions)
    found = expected_entropy(groups, decisions, 2)
    for i in range(2):
        for j in range(2):
            total = 0.0
            for g in range(3):
                mine = decisions[i][groups[i, :, j] == g]
                p = np.bincount(mine, minlength=2) / len(mine)
                total += len(mine) / 400 * (-(p[p > 0] * np.log(p[p > 0])).sum() + ((p > 0).sum() - 1) / (2 * len(mine)))
            assert abs(found[i, j] - total) < 1e-12


def test_levels_and_three_classes():
    table = made_table(made_frame(400, 2, (3, 4), 0))
    model = FunctionPredictor(
        lambda x: np.stack([x[:, 2] == 0, x[:, 2] == 1, x[:, 2] == 2], 1) * 2.0 + 0.1 * x[:, :1], table,
        outputs=("p", "q", "r"), classes=("p", "q", "r"), scale="log-odds",
    )  # fmt: skip
    made = act(model, table.take(slice(0, 50)), method="minimize", random_state=0)
    assert (made.n_asked == 1).all()
    assert (made.order[:, 0] == list(table.columns).index("c1")).all()
    assert made.agreement == 1


@pytest.mark.parametrize("options", [{"delta": 0.7}, {"draws": 3}, {"fill": "baseline"}])
def test_options_out_of_range_are_refused(options):
    table = gaussian(100)
    with pytest.raises(RequestError, match="options"):
        act(LinearPredictor(WEIGHTS, table), table, want=">= 0", method="minimize", options=options)


def test_a_number_needs_a_goal():
    table = gaussian(100)
    with pytest.raises(RequestError, match="want"):
        act(LinearPredictor(WEIGHTS, table), table, method="minimize")
    assert matrix(table, table.columns).shape == (100, 5)


@pytest.mark.parametrize("fill", ["conditional", "marginal"])
def test_the_order_of_the_kept_rows_decides_nothing(fill):
    """All rows are alike where nothing is known yet; drawn from the top of a sorted table they would settle everything."""
    kept = gaussian(300)
    kept = kept.take(np.argsort(kept.frame["a"].to_numpy(), kind="stable"))
    made = act(
        LinearPredictor(np.array([3.0, 0.1, 0.1, 0.1, 0.1]), kept), gaussian(60, 1), want=">= 0", method="minimize", random_state=0,
        options={"fill": fill, "draws": 50},
    )  # fmt: skip
    assert (made.n_asked > 0).all()
    assert made.agreement > 0.9
