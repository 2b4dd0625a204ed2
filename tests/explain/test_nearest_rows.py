"""Neighbours by layer, and credibility that falls where neighbours contest an answer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

import pellucid as pld
from pellucid.errors import RequestError
from pellucid.explain import explain
from pellucid.explain.nearest_rows import nearest
from pellucid.testing.predictors import FunctionPredictor, fit_network, made_frame, made_table, matrix


@pytest.fixture(scope="module")
def fitted():
    table = made_table(made_frame(400, 4, (3,), 0))
    x = matrix(table, table.features)
    return fit_network(table, np.where(x[:, 0] + (x[:, 4] == 1) > 0.4, "yes", "no")), table


@pytest.mark.parametrize("itself", [True, False])
def test_places_and_distances_are_those_of_scikit_learn(itself):
    rng = np.random.default_rng(0)
    kept = rng.normal(size=(80, 6))
    rows = rng.normal(size=(30, 6)) if itself else kept
    at, distance = nearest(rows, kept, 5, itself=itself)
    found = NearestNeighbors(n_neighbors=5 if itself else 6, algorithm="brute").fit(kept)
    truth, places = found.kneighbors(rows)
    assert np.allclose(distance, truth[:, -5:], atol=1e-6)
    assert (at == places[:, -5:]).all()


def test_the_layer_asked_for_is_shown(fitted):
    net, table = fitted
    rows = table.take(slice(0, 20))
    for layer in net.hidden_layers():
        made = explain(net, rows, method="nearest_rows", options={"layer": layer, "k": 3}, random_state=0)
        h, kept = net.hidden(rows, layer), net.hidden(table, layer)
        truth = np.sort(np.linalg.norm(h[:, None] - kept[None], axis=2), 1)[:, :3]
        assert np.allclose(made.distance, truth, atol=1e-5)  # states are single precision: sums in another order
        assert made.scale == f"distance in {layer}"
    assert (made.positions[:, 0] == np.arange(20)).all()  # rows of training are their own nearest
    assert made.rows(0)["target"].iloc[0] == net.kept_labels[0]
    assert "target" in made.to_frame().columns


def test_credibility_is_the_share_of_rows_contested_as_much(fitted):
    net, table = fitted
    rows = made_table(made_frame(60, 4, (3,), 1)).with_schema(table.schema)
    made = explain(net, rows, method="nearest_rows", options={"k": 7, "layers": ["first", "last"]}, random_state=0)
    answers = np.where(net.raw(rows)[:, 0] > 0, "yes", "no")
    labels, contested, usual = np.asarray(net.kept_labels), np.zeros(60), np.zeros(400)
    for layer in ("first", "last"):
        h, kept = net.hidden(rows, layer), net.hidden(table, layer)
        near = np.argsort(np.linalg.norm(h[:, None] - kept[None], axis=2), 1)[:, :7]
        own = np.linalg.norm(kept[:, None] - kept[None], axis=2)
        np.fill_diagonal(own, np.inf)
        contested += (labels[near] != answers[:, None]).mean(1) / 2
        usual += (labels[np.argsort(own, 1)[:, :7]] != labels[:, None]).mean(1) / 2
    truth = [(1 + (usual >= c - 1e-9).sum()) / 401 for c in contested]
    assert np.allclose(made.credibility, truth)
    assert np.allclose(made.agreement, 1 - contested)


def test_shifted_rows_are_less_credible_than_test_rows(fitted):
    """The catalogue's criterion: AUC above 0.8. Shifted rows lie where training rows of both classes are their neighbours."""
    net, table = fitted
    same = made_table(made_frame(150, 4, (3,), 2)).with_schema(table.schema)
    frame = made_frame(150, 4, (3,), 3)
    frame["c1"] = "level 0"
    frame["x1"] = 0.4 + 0.05 * np.random.default_rng(0).normal(size=150)
    odd = made_table(frame).with_schema(table.schema)
    one, two = (explain(net, t, method="nearest_rows", random_state=0).credibility for t in (same, odd))
    assert roc_auc_score(np.repeat([1, 0], 150), np.concatenate([one, two])) > 0.8


def test_a_black_box_has_neighbours_by_its_cells():
    frame = made_frame(100, 2, (3,), 0)
    table = made_table(frame)
    model = FunctionPredictor(lambda x: x[:, 0], table)
    made = explain(model, table.take(slice(0, 10)), method="nearest_rows", options={"k": 2}, random_state=0)
    assert (made.positions[:, 0] == np.arange(10)).all()
    assert (made.distance[:, 0] == 0).all()
    assert made.scale == "distance in cells"
    assert made.agreement is None
    assert ((made.credibility > 0) & (made.credibility <= 1)).all()
    assert any("not known" in c for c in made.record.caveats)


def test_labels_come_with_a_background_of_ones_own():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=80), "b": rng.normal(size=80)})
    table = pld.read_table(frame.assign(y=np.where(frame["a"] > 0, "yes", "no")), target="y")
    model = pld.TabularClassifier(backbone="linear", verbose=0, random_state=0).fit(table)
    made = model.explain(frame.head(5), method="nearest_rows", background=table.take(slice(20, 70)), random_state=0)
    assert list(made.data["target"]) == list(table.frame["y"][20:70])
    assert not any("not known" in c for c in made.record.caveats)


@pytest.mark.parametrize("options", [{"k": 0}, {"k": 400}, {"layer": "deepest"}, {"layers": []}])
def test_bad_options_are_refused(fitted, options):
    net, table = fitted
    with pytest.raises(RequestError):
        explain(net, table.take(slice(0, 5)), method="nearest_rows", options=options)
