"""Linear probes of layers: what is readable equals least squares, withheld columns are told from noise, variance is set beside effect."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

import pellucid as pld
from pellucid.errors import ArgumentError, EmptyTableError, RequestError
from pellucid.explain import explain
from pellucid.explain.layer_probes import variance_share
from pellucid.explain.reading import predicted
from pellucid.results import LayerProbes
from pellucid.testing.predictors import FunctionPredictor, TinyNetwork, made_frame, made_table

N = 1500


@pytest.fixture(scope="module")
def planted():
    """Return a network of two features of equal part, one simple and one not, with fresh rows and both features' values."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(N + 600, 4)), columns=["a", "b", "c", "idle"])
    frame["kind"] = rng.choice(["p", "q", "r"], N + 600)
    easy, hard = np.sign(frame["a"]), np.sign(frame["b"]) * np.sign(frame["c"])
    y = (easy + hard + 0.1 * rng.normal(size=N + 600)).to_numpy()
    model = pld.TabularRegressor(backbone="mlp", max_steps=500, random_state=0, verbose=0).fit(frame[:N], y[:N])
    rows = slice(N, None)
    features = {"easy": ("a", easy[rows].to_numpy()), "hard": (("b", "c"), hard[rows].to_numpy())}
    withheld = {"kin": frame["a"][rows].to_numpy() + rng.normal(size=600), "noise": rng.normal(size=600)}
    options = {"features": features, "withheld": withheld}
    made = model.explain(frame[rows], method="layer_probes", y=y[rows], options=options, random_state=0)
    return made, model, frame[rows], y[rows]


def _at(made: LayerProbes, name: str) -> int:
    return made.quantities.index(name)


def test_the_target_is_read_better_from_layer_to_layer(planted):
    made, model, rows, y = planted
    target = made.readable[:, _at(made, "(target)")]
    assert made.layers[-1] == "last"
    assert target[0] < 0.6 < target[-1]  # one of two features is no sum of columns: linear in the last layer, not in the tokens
    assert model.score(rows, y) > 0.85
    hard = made.readable[:, _at(made, "hard")]
    assert hard[0] < 0.1
    assert hard[-1] > 0.7
    assert made.accuracy[-1, _at(made, "hard")] > 0.95
    assert (made.null < 0.05).all()


def test_columns_stand_in_the_tokens_and_withheld_ones_are_told_from_noise(planted):
    made, *_ = planted
    for name in ("a", "b", "idle", "kind"):
        assert made.readable[0, _at(made, name)] > 0.95
    assert made.accuracy[0, _at(made, "kind")] == 1
    idle = _at(made, "idle")
    assert made.variance[-1, idle] < min(0.01, made.variance[0, idle])  # what the answer does not need shrinks on the way
    kin, noise = _at(made, "kin"), _at(made, "noise")
    assert made.readable[0, kin] == pytest.approx(0.48, abs=0.1)  # R^2 of ranks of a + e on a: correlation of ranks 0.69
    assert (made.readable[:, noise] < 0.05).all()
    assert "kin, which the model was not given, can be read" in made.words
    assert "noise, which the model was not given, cannot be read" in made.words


def test_equal_parts_differ_in_variance_and_both_are_stated(planted):
    made, *_ = planted
    bias = made.bias().set_index("quantity")
    easy, hard = bias.loc["easy"], bias.loc["hard"]
    assert abs(easy["effect"] - hard["effect"]) < 0.15  # planted: half of the answer's variance each
    assert 0.35 < hard["effect"] < 0.6
    assert easy["variance"] > 1.4 * hard["variance"]
    assert easy["ratio"] > hard["ratio"]
    assert np.isnan(bias.loc["idle", "ratio"])
    assert "easy takes up" in made.words


def test_readable_is_cross_validated_least_squares_on_the_state(planted):
    from sklearn.linear_model import LinearRegression
    from sklearn.model_selection import cross_val_predict

    made, model, rows, _ = planted
    predictor = model.predictor()
    state = predictor.hidden(predictor.read(rows), "first")
    rank = rows["b"].rank().to_numpy()
    told = cross_val_predict(LinearRegression(), state, rank, cv=5)
    r2 = 1 - np.square(rank - told).mean() / rank.var()
    assert made.readable[made.layers.index("first"), _at(made, "b")] == pytest.approx(r2, abs=0.03)


def test_a_cell_known_in_one_fold_alone_leaves_nothing_to_learn_from_in_its_turn():
    x, fold = np.random.default_rng(0).normal(size=(50, 2)), np.arange(50) % 5
    goal = np.full((50, 1), np.nan)
    goal[5] = 2.0
    assert predicted(x, goal, fold)[fold == 0] == pytest.approx(0.0)
    assert predicted(x, goal, fold)[fold == 1] == pytest.approx(2.0)


def test_the_share_of_variance_is_the_definition_and_0_for_chance():
    draw = np.random.default_rng(0)
    codes = draw.integers(0, 4, 400)
    states = draw.normal(size=(4, 3))[codes] + draw.normal(size=(400, 3))
    means = np.stack([states[codes == k].mean(0) for k in range(4)])
    between = np.square(means[codes] - states.mean(0)).sum() / np.square(states - states.mean(0)).sum()
    assert variance_share(states, codes) == pytest.approx(1 - (1 - between) * 399 / 396)
    assert np.mean([variance_share(states, draw.permutation(codes)) for _ in range(50)]) < 0.01


def test_the_effect_is_the_share_of_variance_of_a_sum():
    table = made_table(made_frame(400, 3, (), 0))

    class Known(FunctionPredictor):
        def hidden_layers(self):
            return ("last",)

        def hidden(self, table, layer=None):
            return self.raw(table)

    made = explain(Known(lambda x: 2 * x[:, 0] + x[:, 1], table), table, method="layer_probes", random_state=0)
    effect = dict(zip(made.quantities, made.effect))
    error = dict(zip(made.quantities, made.effect_error))
    assert abs(effect["x1"] - 0.8) < 4 * error["x1"]
    assert abs(effect["x2"] - 0.2) < 4 * error["x2"]
    assert effect["x3"] == 0


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"withheld": {"w": [1, 2]}}, RequestError),
        ({"withheld": 3}, ArgumentError),
        ({"features": {"f": 3}}, ArgumentError),
        ({"features": {"f": ("nobody", np.zeros(100))}}, RequestError),
        ({"rows": 3}, RequestError),
    ],
)
def test_what_cannot_be_read_is_refused(options, error):
    table = made_table(made_frame(100, 3, (), 0))
    with pytest.raises(error):
        explain(TinyNetwork(table), table, method="layer_probes", options=options)


def test_models_without_layers_and_few_rows_are_refused(planted):
    table = made_table(made_frame(100, 3, (), 0))
    with pytest.raises(RequestError, match="no layers"):
        explain(FunctionPredictor(lambda x: x[:, 0], table), table, method="layer_probes")
    with pytest.raises(EmptyTableError, match="too few rows"):
        explain(TinyNetwork(table), table.take(slice(0, 15)), method="layer_probes")
    with pytest.raises(RequestError, match="do not fit"):
        dataclasses.replace(planted[0], layers=("one",))


def test_a_table_of_text_alone_has_nothing_to_look_for() -> None:
    frame = pd.DataFrame({"note": [f"a note of {k} words about {'good' if k % 2 else 'bad'} things" for k in range(60)]})
    model = pld.TabularClassifier(backbone="mlp", max_steps=2, random_state=0, verbose=0).fit(frame, np.arange(60) % 2)
    with pytest.raises(RequestError, match="nothing to look for"):
        model.explain(frame, method="layer_probes")
