"""Neighbours' support, column by column: equal to counting by hand, and awake where a model's own confidence is saturated."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pellucid as pld
from pellucid.errors import RequestError


@pytest.fixture(scope="module")
def made():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(rng.normal(size=(500, 3)), columns=["a", "b", "c"]).round(2)
    chance = np.where(frame.b > 0, np.where(frame.a > 0, 0.98, 0.65), 0.02)
    return frame.assign(y=np.where(rng.random(500) < chance, "yes", "no"))


class Sure:
    """A model that is sure of itself everywhere, and looks at b alone."""

    classes_ = np.array(["no", "yes"])

    def predict_proba(self, frame):
        p = np.where(frame["b"] > 0, 1.0, 0.0)
        return np.stack([1 - p, p], 1)


sure = Sure()


def asked(made, rows, **options):
    known = pld.read_table(made.iloc[:400], target="y")
    chosen = {"k": 15} | options
    return pld.explain(sure, rows, background=known, method="conformity", options=chosen, random_state=0)


def test_values_are_those_of_counting_by_hand(made):
    rows = made.iloc[400:404].drop(columns="y")
    model = pld.TabularClassifier(backbone="mlp", max_steps=5, random_state=0, verbose=0).fit(pld.read_table(made.iloc[:400], target="y"))
    table = pld.read_table(made.iloc[:30], target="y")
    got = model.explain(rows, method="conformity", background=table, options={"k": 7, "draws": 30}, random_state=0)
    network, labels = model.predictor(), made.y.iloc[:30].to_numpy() == "yes"
    near = {name: network.hidden(network.read(table), name) for name in network.hidden_layers()}

    def support(frame):
        shares = []
        for name, kept in near.items():
            states = network.hidden(network.read(frame), name)
            apart = np.square(states[:, None] - kept[None]).sum(2)
            shares.append(labels[np.argsort(apart, 1, kind="stable")[:, :7]].mean(1))
        return np.mean(shares, 0)

    full = support(rows)
    np.testing.assert_allclose(np.ravel(got.record.settings["support"]), full, atol=1e-9)
    for j, name in enumerate(got.columns):
        moved = [support(rows.assign(**{name: cell})) for cell in made[name].iloc[:30]]
        np.testing.assert_allclose(got.values[:, j], full - np.mean(moved, 0), atol=0.005)  # ties of distance in float32
        np.testing.assert_allclose(got.error[:, j], np.std(moved, 0, ddof=1) / np.sqrt(30), atol=0.005)


def test_it_sees_a_column_that_a_saturated_confidence_hides(made):
    rows = made.iloc[400:].drop(columns="y")
    rows = rows[(rows.b > 0.5) & (rows.a > 0.5)]
    got = asked(made, rows, draws=40)
    assert got.columns == ("a", "b", "c")
    occlusion = pld.explain(sure, rows, background=made.iloc[:100].drop(columns="y"), method="occlusion", random_state=0)
    assert np.abs(occlusion.cube()[:, 0]).max() == 0
    assert got.outputs == ("yes",)
    a, b, c = got.values.mean(0)
    assert b > a > 0.05  # what known rows with a below 0 were: .65 against .98, for half of the draws
    assert abs(c) < a / 2


def test_rows_that_have_a_share_say_so(made):
    got = asked(made, made.iloc[400:410].drop(columns="y"))
    assert got.scale == "share of the neighbours"
    assert "share of the neighbours" in str(got.words(0))
    support = np.array(got.record.settings["support"])
    assert np.all((support >= 0) & (support <= 1))
    assert set(np.ravel(got.predictions)) <= {0.0, 1.0}  # the model's own


def test_known_labels_for_a_model_without_classes_are_refused(made):
    known = pld.read_table(made.iloc[:400], target="y")
    for method in ("conformity", "nearest_rows"):
        with pytest.raises(RequestError, match="names no classes"):
            pld.explain(lambda f: f["b"].to_numpy(), made.iloc[400:403].drop(columns="y"), background=known, method=method)


def test_fills_of_several_rows_and_too_small_budgets_are_refused(made):
    rows = made.iloc[400:410].drop(columns="y")
    known = pld.read_table(made.iloc[:400], target="y")
    with pytest.raises(RequestError, match="one row's cells at a time"):
        pld.explain(sure, rows, background=known, method="conformity", fill="conditional")
    with pytest.raises(RequestError, match="the budget is too small"):
        pld.explain(sure, rows, background=known, method="conformity", budget=30)
