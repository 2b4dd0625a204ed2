"""Factors of columns in layers: closed forms of linearity and orthogonality, and what they say of combinations never seen."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

import pellucid as pld
from pellucid.errors import EmptyTableError, RequestError
from pellucid.explain import explain
from pellucid.testing.predictors import FunctionPredictor, TinyNetwork, made_frame, made_table

METHOD = "factor_geometry"


class Layered(FunctionPredictor):
    """A predictor whose one layer is a given function of the cells."""

    def __init__(self, state, table):
        super().__init__(lambda x: state(x)[:, 0], table)
        self.state = state

    def hidden_layers(self):
        return ("last",)

    def hidden(self, table, layer=None):
        return self.state(np.column_stack([table.numbers(c) for c in self.columns]))


@pytest.fixture(scope="module")
def table():
    return made_table(made_frame(400, 3, (), 0))


def geometry(state, table, **options):
    return explain(Layered(state, table), table, method=METHOD, random_state=0, options={"rows": 200, "levels": 8, **options})


def test_a_sum_of_columns_is_linear_and_its_axes_are_orthogonal(table):
    made = geometry(lambda x: x * np.array([3.0, 2.0, 1.0]), table)
    assert made.linearity[0] == pytest.approx([1, 1, 1], abs=1e-9)
    assert made.orthogonality[0] == pytest.approx([1, 1, 1], abs=1e-9)
    assert made.score[0] == pytest.approx(1, abs=1e-9)
    # standard normal columns swept over the same quantiles: sizes are the squares of the factors
    assert made.size[0] == pytest.approx(np.array([9, 4, 1]) / 14, abs=0.05)


def test_columns_on_one_direction_are_not_orthogonal(table):
    made = geometry(lambda x: np.column_stack([x[:, 0] + x[:, 1], x[:, 2]]), table)
    assert made.linearity[0] == pytest.approx([1, 1, 1], abs=1e-9)
    assert made.overlap[0, 1] == pytest.approx(1, abs=1e-9)
    assert made.overlap[0, 2] == pytest.approx(0, abs=1e-9)
    assert made.orthogonality[0, 2] == pytest.approx(1, abs=1e-9)
    assert "x1 and x2 share directions" in made.words


def test_one_answer_needs_a_sum_and_several_need_right_angles(table):
    """Columns on one direction serve one answer as well as any; two answers cannot be read off it."""
    one = geometry(lambda x: np.column_stack([x[:, 0] + x[:, 1], x[:, 2]]), table)
    assert one.answers == 1
    assert one.score[0] == pytest.approx(1, abs=1e-9)
    assert "as they may where there is one answer" in one.words
    several = dataclasses.replace(one, answers=2)
    assert several.score[0] < 0.7


def test_linearity_is_the_main_effect_by_the_total_effect(table):
    """The vectors of x1 in ``x1 + b x1 x2`` are x1's times ``1 + b x2``: the share is (1 + b m)^2 / E (1 + b x2)^2."""
    b = 0.8
    made = geometry(lambda x: np.column_stack([x[:, 0] * (1 + b * x[:, 1]), x[:, 1], x[:, 2]]), table, rows=400)
    factor = 1 + b * table.numbers("x2")
    expected = (factor.mean() ** 2 - factor.var(ddof=1) / 400) / np.square(factor).mean()
    assert made.linearity[0, 0] == pytest.approx(expected, abs=1e-9)
    assert 0 < made.linearity_error[0, 0] < 0.1
    assert made.linearity[0, 2] == pytest.approx(1, abs=1e-9)


def test_a_product_of_signs_has_no_part_of_its_own(table):
    """Of ``s1 s2`` the mean vectors are 0: what is left is chance, of which the bias is removed."""
    found = []
    for seed in range(20):
        made = explain(
            Layered(lambda x: (np.sign(x[:, 0]) * np.sign(x[:, 1]))[:, None] + 0 * x, table), table.take(range(seed * 20, seed * 20 + 20)),
            method=METHOD, random_state=seed, options={"rows": 20, "levels": 6, "columns": ["x1", "x2"]},
        )  # fmt: skip
        found.append(made.linearity[0, 0])
    assert np.mean(found) < 0.08  # without the removal the mean is 1 / 20 and more, of unsigned figures


def test_the_error_is_the_spread_over_samples(table):
    big = made_table(made_frame(4000, 3, (), 1))
    state = lambda x: np.column_stack([x[:, 0] * (1 + x[:, 1]), x[:, 1]])  # noqa: E731
    made = [
        explain(Layered(state, big), big.take(range(100 * k, 100 * k + 100)), method=METHOD, random_state=0, options={"levels": 4})
        for k in range(40)
    ]
    spread = np.std([m.linearity[0, 0] for m in made], ddof=1)
    stated = np.sqrt(np.mean([m.linearity_error[0, 0] ** 2 for m in made]))
    assert 0.6 < stated / spread < 1.6  # 40 samples tell a spread to 11 %; the jackknife of ten parts to 24 %


def test_tokens_of_a_network_are_one_slot_per_column_and_an_unread_column_is_not_told(table):
    made = explain(TinyNetwork(table), table, method=METHOD, random_state=0)
    assert made.columns == table.columns
    assert made.to_frame().shape == (len(made.layers) * len(made.columns), 7)
    still = geometry(lambda x: x[:, :2], table)
    assert np.isnan(still.linearity[0, 2])
    assert still.size[0, 2] < 1e-20


@pytest.mark.parametrize("options", [{"rows": 3}, {"levels": 1}, {"columns": ["x1"]}, {"columns": ["nobody", "x1"]}])
def test_what_cannot_be_compared_is_refused(table, options):
    with pytest.raises(RequestError):
        geometry(lambda x: x, table, **options)


def test_models_without_layers_and_few_rows_are_refused(table):
    with pytest.raises(RequestError, match="no layers"):
        explain(FunctionPredictor(lambda x: x[:, 0], table), table, method=METHOD)
    with pytest.raises(EmptyTableError, match="too few rows"):
        geometry(lambda x: x, table.take(range(5)))
    with pytest.raises(RequestError, match="do not fit"):
        dataclasses.replace(geometry(lambda x: x, table), layers=("one", "two"))


def combinations(seed: int, seen: float, together: float, answers: int, n: int = 1500):
    """Return rows of seen combinations of three columns of five levels, their answers, and the combinations never seen with theirs.

    One answer sums the columns; of three each follows one column. A share ``together`` of the variance hangs on the combination alone.
    """
    draw = np.random.default_rng(seed)
    every = np.array(list(itertools.product(range(5), repeat=3)))
    effect = draw.normal(size=(3, 5))
    effect = (effect - effect.mean(1, keepdims=True)) / effect.std(1, keepdims=True)
    own = effect[np.arange(3), every]
    own = own if answers == 3 else own.sum(1, keepdims=True) / np.sqrt(3)
    y = np.sqrt(1 - together) * own + np.sqrt(together) * draw.normal(size=own.shape)
    known = draw.permutation(len(every)) < seen * len(every)
    rows = draw.choice(np.flatnonzero(known), n)
    frame = lambda at: pd.DataFrame(np.array(list("abcde"))[every[at]], columns=["p", "q", "s"])  # noqa: E731
    return frame(rows), y[rows] + 0.1 * draw.normal(size=(n, answers)), frame(np.flatnonzero(~known)), y[~known]


@pytest.mark.long
@pytest.mark.parametrize("answers", [1, 3])
def test_the_score_goes_with_accuracy_on_combinations_never_seen(answers):
    """Twelve networks: two shares of combinations seen, three shares of the answer that no sum of columns holds, two seeds."""
    accuracy, linear, apart, score = [], [], [], []
    for seed, seen, together in itertools.product((0, 1), (0.4, 0.7), (0.0, 0.3, 0.7)):
        X, y, new, truth = combinations(seed, seen, together, answers)
        model = pld.TabularRegressor(backbone="mlp", max_steps=150, random_state=seed, verbose=0).fit(X, y if answers > 1 else y[:, 0])
        made = model.explain(new, method=METHOD, random_state=0, options={"rows": min(40, len(new))})
        told = np.asarray(model.predict(new)).reshape(truth.shape)
        accuracy.append(((told > np.median(y, 0)) == (truth > np.median(y, 0))).mean())
        linear.append((made.linearity[-1] * made.size[-1]).sum())
        apart.append((made.orthogonality[-1] * made.size[-1]).sum())
        score.append(made.score[-1])
    print(
        answers,
        np.round(np.c_[accuracy, linear, apart], 3),
        [spearmanr(accuracy, v)[0] for v in (linear, apart, np.multiply(linear, apart))],
    )
    assert spearmanr(accuracy, score)[0] > 0.7
    assert spearmanr(accuracy, linear)[0] > 0.7  # of 12 pairs without a relation, 1 in 200 would reach it
    if answers == 3:  # answers that each follow another column need them at right angles; one answer lays all columns on one line
        assert spearmanr(accuracy, np.multiply(linear, apart))[0] > 0.7
