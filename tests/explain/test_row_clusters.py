"""Rows grouped by what decided them: planted regimes come apart, unstructured rows stay together, wrong rows are found where they sit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from pellucid.errors import ArgumentError, EmptyTableError, RequestError
from pellucid.explain import explain
from pellucid.explain.row_graph import communities, graph_of, modularity, profiles
from pellucid.results import Clusters
from pellucid.testing.predictors import FunctionPredictor, made_frame, made_table

N = 400


def _regimes(x):
    return np.where(x[:, 3] < 0, 2 * x[:, 0] + 2 * x[:, 1], 3 * x[:, 2] * x[:, 4])


def _planted(function, seed: int = 1, n: int = N):
    frame = made_frame(n + 100, 5, (), seed)
    frame["x4"] = frame["x4"].where(frame["x4"].abs() > 0.02, 0.5)
    table = made_table(frame)
    background, rows = table.take(slice(0, 100)), table.take(slice(100, None))
    return FunctionPredictor(function, background), rows, background, (frame["x4"].to_numpy()[100:] < 0).astype(int)


@pytest.fixture(scope="module")
def found():
    model, rows, background, regime = _planted(_regimes)
    truth = model.raw(rows)[:, 0] + np.random.default_rng(0).normal(0, 5, N) * (regime == 1)
    made = explain(model, rows, method="row_clusters", background=background, y=truth, random_state=0)
    return made, regime, rows


def test_two_planted_regimes_come_apart(found):
    made, regime, _ = found
    assert isinstance(made, Clusters)
    assert len(made.summary) == 2
    assert adjusted_rand_score(regime, made.labels) > 0.9
    assert made.modularity > made.null.max()
    additive = int(pd.Series(made.labels[regime == 1]).mode()[0])
    leads = [{made.columns[j] for j in np.argsort(-made.shares[g - 1])[:3]} for g in (additive, 3 - additive)]
    assert {"x1", "x2"} < leads[0]
    assert {"x3", "x5"} < leads[1]
    assert np.allclose(made.shares.sum(1), 1)


def test_a_rule_tells_the_clusters_by_their_cells(found):
    made, *_ = found
    assert all("x4" in rule for rule in made.summary["rule"])
    assert (made.summary["precision"] > 0.9).all()
    assert (made.summary["covers"] > 0.8).all()


def test_the_wrong_rows_are_found_in_their_cluster(found):
    made, regime, _ = found
    assert made.wrong.sum() == N // 10
    assert regime[made.wrong].all()  # planted: only one regime is answered badly
    bad = int(pd.Series(made.labels[regime == 1]).mode()[0])
    line, other = (made.summary.set_index("cluster").loc[g] for g in (bad, 3 - bad))
    assert line["wrong"] >= 0.95 * made.wrong.sum()
    assert line["p_value"] < 1e-6
    assert line["low"] > line["null"] > other["high"]
    assert other["p_value"] == 1
    assert f"lie in cluster {bad}" in made.words


def test_rows_without_structure_are_one_cluster_and_say_so():
    model, rows, background, _ = _planted(lambda x: x[:, 0] + x[:, 1] + x[:, 2], n=200)
    chance = []
    for seed in range(3):
        made = explain(model, rows, method="row_clusters", background=background, random_state=seed)
        chance.append(len(made.summary))
    assert chance.count(1) >= 2  # one shuffled table in twenty is beaten by chance
    asked = explain(model, rows, method="row_clusters", background=background, options={"clusters": 3}, random_state=0)
    assert len(asked.summary) == 3
    assert asked.wrong is None
    assert "rate" not in asked.summary


def test_wrong_rows_dealt_out_at_random_lie_in_no_cluster():
    model, rows, background, _ = _planted(_regimes, n=200)
    low = 0
    for seed in range(6):
        y = model.raw(rows)[:, 0] + np.random.default_rng(seed).normal(size=200)
        reasons = explain(model, rows, method="occlusion", background=background.take(slice(0, 20)))
        options = {"reasons": reasons, "clusters": 2}
        made = explain(model, rows, method="row_clusters", background=background, y=y, options=options, random_state=0)
        low += bool((made.summary["p_value"] < 0.05).any())
    assert low <= 2  # six draws at a level of at most 0.05: three or more have a chance of 0.002


def test_the_direction_divides_where_columns_push_both_ways():
    model, rows, background, _ = _planted(lambda x: 3 * np.sign(x[:, 0]) + 0.1 * x[:, 1], n=200)
    one = explain(model, rows, method="row_clusters", background=background, random_state=0)
    options = {"direction": True, "clusters": 2}
    two = explain(model, rows, method="row_clusters", background=background, options=options, random_state=0)
    assert len(one.summary) == 1
    assert adjusted_rand_score(rows.frame["x1"] > 0, two.labels) == 1


def test_classes_are_judged_by_their_labels_and_a_third_output_by_its_own_class():
    frame = made_frame(160, 3, (), 2)
    table = made_table(frame)
    model = FunctionPredictor(
        lambda x: np.column_stack([3 * x[:, 0], 3 * x[:, 1], np.zeros(len(x))]), table,
        outputs=("a", "b", "c"), classes=("a", "b", "c"), scale="log-odds",
    )  # fmt: skip
    answered = np.array(["a", "b", "c"])[model.raw(table).argmax(1)]
    truth = np.where(np.arange(160) % 8 == 0, "none", answered)
    made = explain(model, table, method="row_clusters", y=truth, options={"clusters": 2}, random_state=0)
    assert made.wrong.tolist() == (np.arange(160) % 8 == 0).tolist()
    lead = made.shares.argmax(1)
    assert set(lead.tolist()) == {0, 1}  # class a is decided by x1, class b by x2
    sure = answered != "c"
    assert adjusted_rand_score(answered[sure], made.labels[sure]) > 0.9


def test_the_graph_and_its_parts_equal_the_definition():
    points = profiles(np.random.default_rng(0).normal(size=(12, 4)), False)
    weights = graph_of(points, 3)
    alike = points @ points.T - 2 * np.eye(12)
    chosen = np.zeros((12, 12))
    for i in range(12):
        for j in np.argsort(-alike[i], kind="stable")[:3]:
            chosen[i, j] = alike[i, j]
    assert np.allclose(weights, (chosen + chosen.T) / 2)
    labels = np.arange(12) % 3
    total, degree = weights.sum(), weights.sum(1)
    brute = sum(weights[i, j] / total - degree[i] * degree[j] / total**2 for i in range(12) for j in range(12) if labels[i] == labels[j])
    assert modularity(weights, labels) == pytest.approx(brute)
    blocks = np.kron(np.eye(3), np.ones((5, 5))) + 0.01
    assert adjusted_rand_score(np.repeat(np.arange(3), 5), communities(blocks, 4)[1]) == 1


def test_given_reasons_ask_the_model_nothing_more_and_are_named(found):
    _, _, rows = found
    model, _, background, _ = _planted(_regimes)
    reasons = explain(model, rows, method="occlusion", background=background)
    model.rows_asked = 0
    made = explain(model, rows, method="row_clusters", background=background, options={"reasons": reasons}, random_state=0)
    assert model.rows_asked == N
    assert (made.labels == found[0].labels).all()
    assert made.record.settings["options"]["reasons"].startswith("occlusion of ")
    assert len(made.to_json()) < 200_000


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"by": "sobol"}, RequestError),
        ({"by": "nonsense"}, RequestError),
        ({"reasons": "all"}, ArgumentError),
        ({"clusters": 1000}, RequestError),
        ({"direction": 1}, RequestError),
    ],
)
def test_what_cannot_be_grouped_is_refused(options, error):
    model, rows, background, _ = _planted(_regimes, n=60)
    with pytest.raises(error):
        explain(model, rows, method="row_clusters", background=background, options=options)


def test_too_few_rows_and_parts_that_do_not_fit_are_refused(found):
    model, rows, background, _ = _planted(_regimes, n=30)
    with pytest.raises(EmptyTableError, match="too few rows"):
        explain(model, rows.take(slice(0, 10)), method="row_clusters", background=background)
    with pytest.raises(RequestError, match="do not fit"):
        dataclasses.replace(found[0], labels=found[0].labels[:5])
    with pytest.raises(RequestError, match="no cluster 7"):
        found[0].rows(7)
