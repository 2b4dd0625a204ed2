"""Attention, relations, heads, masks and own sums: what is shown, and that none of it is shown without its caveat."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pellucid import TabularRegressor
from pellucid.errors import RequestError
from pellucid.explain import explain
from pellucid.explain.attention import rollout
from pellucid.report.charts import chart
from pellucid.results import RunRecord, Trial
from pellucid.testing.predictors import FunctionPredictor, TellingNetwork, TinyNetwork, made_frame, made_table

PARTS_METHODS = ("attention", "masks", "column_relations")


@pytest.fixture(scope="module")
def telling():
    table = made_table(made_frame(40, 3, (3,)))
    return TellingNetwork(table), table.take(slice(0, 8))


@pytest.fixture(scope="module")
def models():
    frame = made_frame(160, 2, (4, 3))
    y = frame.x1 + (frame.c1 == "level 1") * frame.x2
    made: dict = {}

    def get(name):
        if name not in made:
            made[name] = TabularRegressor(backbone=name, max_steps=10, random_state=0, verbose=0, threads=1).fit(frame, y)
        return made[name], frame.head(5)

    return get


class ZeroValue(TellingNetwork):
    """Every column listens to the first one almost alone, whose value is zero: it draws all attention and adds nothing."""

    def _attend(self, tokens):
        parts = torch.einsum("ncd,cdw->ncw", tokens, self.stages.parts)
        parts = torch.cat([torch.zeros_like(parts[:, :1]), parts[:, 1:]], 1)
        scores = torch.zeros(*parts.shape[:2], parts.shape[1], dtype=parts.dtype)
        scores[:, :, 0] = 6.0
        weights = (scores + 0.0 * tokens.sum()).softmax(-1)
        hidden = torch.relu(torch.relu(weights @ parts) @ self.stages.hidden)
        return weights, torch.einsum("ncw,kwo->ncko", hidden, self.stages.output)


def test_a_column_of_zero_value_draws_all_attention_and_moves_nothing(telling):
    _, rows = telling
    net = ZeroValue(rows)
    looked = explain(net, rows, method="attention")
    assert (looked.values[:, 0] > 0.9).all()
    moved = explain(net, rows, method="deeplift")
    assert np.abs(moved.values[:, 0]).max() <= 1e-9 * np.abs(moved.values).max()
    by_slope = explain(net, rows, method="attention", options={"how": "gradient"})
    assert np.abs(by_slope.values[:, 0]).max() <= 1e-9 * by_slope.values.max()
    assert any("trials" in c for c in looked.record.caveats)


@pytest.mark.parametrize("method", PARTS_METHODS)
def test_nothing_is_shown_without_saying_that_it_is_untested(telling, method):
    net, rows = telling
    made = explain(net, rows, method=method)
    assert any("trial" in c for c in made.record.caveats)
    shown = [str(made), made._repr_html_(), chart(made).layout.title.text]
    if method != "column_relations":
        whole = made.mean_abs()
        shown += [str(whole), chart(whole).layout.title.text]
        assert "not tested" in str(made.words(0))
    assert all("NOT TESTED" in text and "weight randomisation" in text and "roar" in text for text in shown)
    record = RunRecord("roar")
    tried = Trial("roar", -0.1, (-0.2, -0.05), 0.0, "fail", "the order is not shown to be better than chance.", record, method)
    kept = made.with_trials([tried])
    assert "FAIL, roar: the order" in str(kept)
    assert "NOT TESTED, weight randomisation" in str(kept)
    assert "FAIL: roar" in chart(kept).layout.title.text


@pytest.mark.parametrize("method", [*PARTS_METHODS, "native", "head_contributions"])
def test_models_that_show_nothing_are_refused(telling, method):
    _, rows = telling
    with pytest.raises(RequestError, match="inside of a network"):
        explain(FunctionPredictor(lambda x: x.sum(1), rows), rows, method=method)
    with pytest.raises(RequestError, match="inside of a network"):
        explain(TinyNetwork(rows), rows, method=method)


def test_rollout_of_two_layers_by_hand():
    maps = np.random.default_rng(0).dirichlet(np.ones(3), (2, 2, 1, 3))
    layers = [(maps[:, k, 0] + np.eye(3)) / 2 for k in range(2)]
    np.testing.assert_allclose(rollout(maps), layers[1] @ layers[0])
    np.testing.assert_allclose(rollout(maps).sum(-1), 1)


def test_maps_of_a_transformer_are_the_answer_tokens_weights(models):
    model, rows = models("ft_transformer")
    maps = model.predictor().named_parts(model._table(rows))["attention"]  # (N, L, heads, 5, 5)
    made = explain(model, rows, method="attention")
    np.testing.assert_allclose(made.values, maps.mean((1, 2))[:, 0, 1:], atol=1e-9)
    assert (made.values.sum(1) < 1).all()
    one = explain(model, rows, method="attention", options={"layer": 1, "head": 3})
    np.testing.assert_allclose(one.values, maps[:, 1, 3, 0, 1:], atol=1e-9)
    rolled = explain(model, rows, method="attention", options={"how": "rollout"})
    np.testing.assert_allclose(rolled.values, rollout(maps)[:, 0, 1:], atol=1e-9)
    grouped = explain(model, rows, method="attention", groups={"x": ["x1", "x2"]})
    np.testing.assert_allclose(grouped.values[:, 0], made.values[:, :2].sum(1))
    with pytest.raises(RequestError, match="layer"):
        explain(model, rows, method="attention", options={"layer": 9})
    with pytest.raises(RequestError, match="reading"):
        explain(model, rows, method="attention", options={"how": "most"})


def test_columns_that_pass_by_get_nothing_and_are_named(models):
    model, rows = models("tabtransformer")
    made = explain(model, rows, method="attention")
    assert (made.values[:, :2] == 0).all()
    assert (made.values[:, 2:] > 0).all()
    assert any("x1, x2" in c for c in made.record.caveats)


@pytest.mark.parametrize(("name", "source"), [("autoint", "attention"), ("armnet", "powers"), ("tabnet", "masks")])
def test_relations_are_symmetric_and_say_where_they_come_from(models, name, source):
    model, rows = models(name)
    made = explain(model, rows, method="column_relations")
    assert made.index == source
    assert made.by_set.shape == (5, 6, 1)
    assert (made.by_set >= 0).all()
    parts = model.predictor().named_parts(model._table(rows))[source]
    pair = made.sets.index(("x1", "c2"))
    if source == "attention":
        mean = parts.mean((1, 2))
        truth = (mean[:, 0, 3] + mean[:, 3, 0]) / 2
    else:
        truth = (np.abs(parts[:, :, 0]) * np.abs(parts[:, :, 3])).sum(1)
    np.testing.assert_allclose(made.by_set[:, pair, 0], truth, atol=1e-9)


@pytest.mark.parametrize("name", ["ft_transformer", "autoint"])
def test_heads_are_listed_and_a_head_without_values_adds_nothing(models, name):
    model, rows = models(name)
    made = explain(model, rows, method="head_contributions")
    assert made.values.shape[0] == 5
    assert made.importance().max() > 0
    frame = made.to_frame()
    assert frame["size"].is_monotonic_decreasing


def test_masks_of_tabnet_sum_to_one_and_each_step_can_be_asked(models):
    model, rows = models("tabnet")
    made = explain(model, rows, method="masks")
    np.testing.assert_allclose(made.values.sum(1), 1, atol=1e-5)
    parts = model.predictor().named_parts(model._table(rows))
    np.testing.assert_allclose(explain(model, rows, method="masks", options={"step": 1}).values, parts["masks"][:, 1], atol=1e-9)
    with pytest.raises(RequestError, match="step"):
        explain(model, rows, method="masks", options={"step": 99})


def test_the_layers_of_leurn_add_up_to_its_own_sum(models):
    model, rows = models("leurn")
    whole = explain(model, rows, method="native")
    layers = model.predictor().named_parts(model._table(rows))["rules"].shape[2]
    made = [explain(model, rows, method="masks", options={"step": k}) for k in range(layers)]
    assert {m.says for m in made} == {"moves"}
    each = [m.values for m in made]
    np.testing.assert_allclose(np.sum(each, 0), whole.values, atol=1e-5)


def test_own_sums_and_masks_are_refused_where_there_are_none(models):
    model, rows = models("ft_transformer")
    for method, words in (("native", "listed sum"), ("masks", "no masks")):
        with pytest.raises(RequestError, match=words):
            explain(model, rows, method=method)
    with pytest.raises(RequestError, match="no attention"):
        explain(models("tabnet")[0], rows, method="attention")
