"""Why a row resembles a known one: equal to re-scoring by hand, the planted column is named, prototypes are asked where they compare."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

import pellucid as pld
from pellucid.errors import RequestError
from pellucid.explain import explain
from pellucid.results import Resemblance
from pellucid.testing.predictors import FunctionPredictor, TinyNetwork, made_frame, made_table


class Weighed(FunctionPredictor):
    """A model whose one layer is the columns times known weights."""

    weights = np.array([5.0, 1.0, 0.2, 0.0])

    def hidden_layers(self):
        return ("last",)

    def hidden(self, table, layer=None):
        return table.frame[["x1", "x2", "x3", "x4"]].to_numpy() * self.weights


@pytest.fixture(scope="module")
def planted():
    table = made_table(made_frame(230, 4, (), 0))
    kept, rows = table.take(slice(0, 200)), table.take(slice(200, None))
    model = Weighed(lambda x: x[:, 0], kept)
    return model, rows, kept, explain(model, rows, method="resemblance", background=kept, options={"draws": 40}, random_state=0)


def test_the_values_equal_re_scoring_by_hand(planted):
    model, rows, kept, made = planted
    draws, state = np.random.default_rng(5).permutation(200), model.hidden(kept)
    usual = float(made.scale.split("/ ")[1].rstrip(")"))
    apart = np.linalg.norm(state[:, None] - state[None], axis=2)[np.triu_indices(200, 1)]
    assert usual == pytest.approx(np.median(apart), rel=0.1)
    near = state[made.positions[:, 0]]
    similar = np.exp(-np.linalg.norm(model.hidden(rows) - near, axis=1) / usual)
    assert np.allclose(similar, made.similarity[:, 0], atol=1e-3)
    off = []
    for j, name in enumerate(made.columns):
        fall = np.zeros(len(rows))
        for b in draws:
            frame = rows.frame.assign(**{name: kept.frame[name].iloc[b]})
            fall += (similar - np.exp(-np.linalg.norm(model.hidden(made_table(frame)) - near, axis=1) / usual)) / len(draws)
        off.append((made.falls[:, 0, j] - fall) / np.maximum(made.error[:, 0, j], 1e-3))
    off = np.stack(off)
    assert np.sqrt(np.square(off).mean()) < 1.5  # in standard errors: the 40 draws are rows of the 200


def test_removing_the_named_column_lowers_the_similarity_most(planted):
    model, rows, kept, made = planted
    named = made.falls[:, 0].argmax(1)
    assert (named == 0).mean() > 0.9  # planted: x1 makes up most of the distance
    assert (made.falls[:, :, 3] == 0).all()  # x4 is not in the layer
    usual = float(made.scale.split("/ ")[1].rstrip(")"))
    near = model.hidden(kept)[made.positions[:, 0]]
    fresh = made_frame(100, 4, (), 9)
    after = np.zeros((4, len(rows)))
    for j, name in enumerate(made.columns):
        for value in fresh[name]:
            state = model.hidden(made_table(rows.frame.assign(**{name: value})))
            after[j] += np.exp(-np.linalg.norm(state - near, axis=1) / usual) / 100
    assert (after.argmin(0) == named).mean() > 0.9
    share, low, high = made.checked
    assert low <= share <= high
    assert low > 0.25  # by chance one in four


def test_cells_are_compared_where_a_model_has_no_layers():
    table = made_table(made_frame(120, 2, (3,), 0))
    model = FunctionPredictor(lambda x: x[:, 0], table)
    made = explain(model, table.take(slice(0, 6)), method="resemblance", background=table, random_state=0)
    assert made.scale.startswith("exp(-distance in cells")
    assert np.allclose(made.similarity[:, 0], 1)  # each row is among the known ones
    assert (made.falls[:, 0] > 0).all()
    column, cell, other, fall = made.top(0)[0]
    assert cell == other == table.frame[column].iloc[0]
    assert fall == made.falls[0, 0].max()
    assert len(made.to_frame()) == 6 * 3 * 3


def test_prototypes_are_asked_where_they_are_compared():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(2050, 3)), columns=["a", "b", "idle"])
    y = np.where(frame["a"] + 0.3 * frame["b"] > 0, "yes", "no")
    model = pld.TabularClassifier(backbone="prototype", max_steps=120, random_state=0, verbose=0).fit(frame[:2000], y[:2000])
    made = model.explain(frame[2000:2020], method="resemblance", options={"draws": 10}, random_state=0)
    assert isinstance(made, Resemblance)
    assert "encoder.last" in made.scale
    assert made.falls[:, 0].mean(0).argmax() == 0  # what decides the classes decides who is like whom
    assert made.falls[:, 0, 2].mean() < made.falls[:, 0, 0].mean()
    state = model.predictor().hidden(model.predictor().background(), "encoder.last")
    own = model.predictor().hidden(model.predictor().read(frame[2000:2020]), "encoder.last")
    assert (np.linalg.norm(own[:, None] - state[None], axis=2).argmin(1) == made.positions[:, 0]).all()


@pytest.mark.parametrize("options", [{"k": 0}, {"layer": "nonsense"}, {"draws": 1}])
def test_what_cannot_be_asked_is_refused(options):
    table = made_table(made_frame(60, 3, (), 0))
    with pytest.raises(RequestError):
        explain(TinyNetwork(table), table, method="resemblance", options=options)


def test_a_short_budget_and_parts_that_do_not_fit_are_refused(planted):
    model, rows, kept, made = planted
    with pytest.raises(RequestError, match="budget is too small"):
        explain(model, rows, method="resemblance", background=kept, budget=100)
    with pytest.raises(RequestError, match="do not fit"):
        dataclasses.replace(made, columns=("x1",))
