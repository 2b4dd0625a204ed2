"""Complexity of features: a sign of a column takes less of the network than an exclusive or, is learned earlier, and both are seen."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

import pellucid as pld
from pellucid.errors import ArgumentError, EmptyTableError, RequestError
from pellucid.explain import explain
from pellucid.report.charts import chart
from pellucid.testing.predictors import FunctionPredictor, TinyNetwork, made_frame, made_table

METHOD = "feature_complexity"
N = 1200


@pytest.fixture(scope="module")
def planted():
    """Return the answer about a network of two features of equal part, one linear and one an exclusive or of signs, watched in training."""
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(size=(N + 500, 4)), columns=["a", "b", "c", "idle"])
    line, either = frame["a"].to_numpy(), (np.sign(frame["b"]) * np.sign(frame["c"])).to_numpy()
    y = line + either + 0.1 * draw.normal(size=N + 500)
    model = pld.TabularRegressor(backbone="mlp", max_steps=300, random_state=0, verbose=0).fit(frame[:N], y[:N])
    features = {"line": ("a", line[N:]), "either": (("b", "c"), either[N:]), "noise": ("idle", draw.normal(size=500))}
    options = {"features": features, "refit": model.refitter(), "checkpoints": 10, "k": 4, "rows": 500}
    return model.explain(frame[N:], method=METHOD, options=options, random_state=0)


def _of(made, name: str) -> int:
    return made.features.index(name)


def test_a_linear_feature_is_simpler_than_an_exclusive_or(planted):
    line, either = _of(planted, "line"), _of(planted, "either")
    gap = planted.complexity[either] - planted.complexity[line]
    assert gap > 4 * np.hypot(planted.complexity_error[line], planted.complexity_error[either])
    assert planted.complexity[line] < 0.1  # the tokens hold it
    assert planted.readable[0, either] < 0.05
    assert planted.readable[-1, either] > 0.6
    order = [planted.features[q] for q in planted.order()]
    assert order.index("line") < order.index("either")


def test_the_linear_feature_is_learned_first(planted):
    line, either = _of(planted, "line"), _of(planted, "either")
    assert planted.over_time.shape == (len(planted.steps), len(planted.features))
    assert planted.learned[line] < planted.learned[either]
    assert planted.over_time[-1] == pytest.approx(planted.readable[-1], abs=0.2)  # the same training, watched
    assert np.isnan(planted.learned[_of(planted, "noise")])


def test_what_the_answers_follow_is_important_and_noise_is_not(planted):
    line, either, noise = (_of(planted, n) for n in ("line", "either", "noise"))
    assert planted.importance[line] == pytest.approx(0.5, abs=0.12)  # half of the answer's variance each
    assert planted.importance[either] == pytest.approx(0.5, abs=0.12)
    assert planted.importance[noise] < 0.03
    assert planted.complexity[noise] > 0.95
    assert planted.words.endswith("no layer tells noise")  # it is not complex: it is not there
    assert "noise (" not in planted.words


def test_directions_are_the_principal_ones_and_the_last_layer_holds_them(planted):
    at = [q for q, kind in enumerate(planted.kinds) if kind == "direction"]
    assert len(at) == 4
    assert (planted.readable[-1, at] > 0.95).all()
    assert (np.diff(planted.share[at]) < 0).all()
    assert planted.share[at].sum() < 1


def test_both_figures_are_drawn(planted):
    bars = chart(planted)
    assert list(bars.data[0].x) == pytest.approx(planted.complexity[planted.order()])
    lines = chart(planted, "over_time")
    assert list(lines.data[0].x) == pytest.approx(100 * planted.steps)
    with pytest.raises(RequestError, match="not watched"):
        chart(dataclasses.replace(planted, steps=np.zeros(0), over_time=np.zeros((0, len(planted.features)))), "over_time")


def test_complexity_is_the_mean_of_what_layers_cannot_tell():
    """Layers that are the columns, then a product of signs: it is told by one of two layers, a column by both."""
    table = made_table(made_frame(600, 3, (), 0))
    cells = np.column_stack([table.numbers(c) for c in table.columns])
    product = np.sign(cells[:, 0]) * np.sign(cells[:, 1])

    class Known(FunctionPredictor):
        def hidden_layers(self):
            return ("tokens", "last")

        def hidden(self, asked, layer=None):
            x = np.column_stack([asked.numbers(c) for c in asked.columns])
            return x if layer == "tokens" else np.column_stack([x, np.sign(x[:, 0]) * np.sign(x[:, 1])])

    options = {"features": {"product": (("x1", "x2"), product), "third": ("x3", cells[:, 2])}, "k": 0, "rows": 600}
    made = explain(Known(lambda x: x[:, 2], table), table, method=METHOD, options=options, random_state=0)
    assert made.complexity[0] == pytest.approx(0.5, abs=0.01)
    assert made.complexity[1] == pytest.approx(1 - 3 / np.pi, abs=0.04)  # read by rank: of normal numbers a line tells 3 / pi of it
    assert made.importance[1] == pytest.approx(3 / np.pi, abs=0.03)
    assert not len(made.steps)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"k": 0}, RequestError),
        ({"refit": 3}, ArgumentError),
        ({"rows": 3}, RequestError),
        ({"features": {"f": 3}}, ArgumentError),
        ({"refit": lambda checkpoints: object()}, RequestError),
    ],
)
def test_what_cannot_be_told_is_refused(options, error):
    table = made_table(made_frame(100, 3, (), 0))
    with pytest.raises(error):
        explain(TinyNetwork(table), table, method=METHOD, options=options)


def test_models_without_layers_and_few_rows_are_refused(planted):
    table = made_table(made_frame(100, 3, (), 0))
    with pytest.raises(RequestError, match="no layers"):
        explain(FunctionPredictor(lambda x: x[:, 0], table), table, method=METHOD)
    with pytest.raises(EmptyTableError, match="too few rows"):
        explain(TinyNetwork(table), table.take(range(15)), method=METHOD)
    with pytest.raises(RequestError, match="do not fit"):
        dataclasses.replace(planted, layers=("one",))
