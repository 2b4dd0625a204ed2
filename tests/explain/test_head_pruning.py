"""Attention heads taken out: equal to a network whose head passes nothing on, ranked by the estimate, grouped by where they look."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr

import pellucid as pld
from pellucid.errors import RequestError
from pellucid.explain import explain
from pellucid.explain.head_pruning import patterns_of
from pellucid.nn.attention import Attention
from pellucid.nn.gradients.mixing import without_heads
from pellucid.testing.predictors import TellingNetwork, TinyNetwork, made_frame, made_table

N = 2300


@pytest.fixture(scope="module")
def planted():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(N, 6)), columns=list("abcdef"))
    y = (frame.a * frame.b + np.sign(frame.c) * frame.d + frame.e + 0.1 * rng.normal(size=N)).to_numpy()
    model = pld.TabularRegressor(backbone="ft_transformer", max_steps=120, random_state=0, verbose=0).fit(frame[:2000], y[:2000])
    made = model.explain(frame[2000:], method="head_pruning", y=y[2000:], random_state=0)
    return made, model, frame[2000:], y[2000:]


def _emptied(model, layer: int, head: int):
    """Return the predictor with one head's values at 0: what it mixes is nothing."""
    predictor = copy.copy(model.predictor())
    predictor.engine = copy.copy(predictor.engine)
    predictor.engine.net = copy.deepcopy(predictor.engine.net)
    attention = [m for m in predictor.engine.net.modules() if isinstance(m, Attention)][layer]
    d = attention.out.weight.shape[0]
    each = d // attention.heads
    rows = slice(2 * d + head * each, 2 * d + (head + 1) * each)
    with torch.no_grad():
        attention.joint.weight[rows] = 0.0
        attention.joint.bias[rows] = 0.0
    return predictor


def test_taking_out_equals_a_network_whose_head_passes_nothing_on(planted):
    made, model, frame, y = planted
    predictor = model.predictor()
    table = predictor.read(frame)
    before = np.square(predictor.raw(table)[:, 0] - y)
    for layer, head in ((0, 0), (0, 5), (1, 2)):
        net = _emptied(model, layer, head)
        tokens = predictor.tokens(table)
        with torch.no_grad():
            direct = net.from_tokens(tokens).double().numpy()[:, 0]
        taken = without_heads(predictor.from_tokens, tokens, *made.values.shape[1:], len(made.tokens))[layer, head, :, 0].double().numpy()
        np.testing.assert_allclose(taken, direct, atol=2e-4 * np.ptp(direct))
        rise = np.square(direct - y) - before
        assert made.values[layer, head] == pytest.approx(rise.mean(), abs=1e-3 * before.mean() + 1e-3 * abs(rise.mean()))
        assert made.error[layer, head] == pytest.approx(rise.std(ddof=1) / np.sqrt(len(y)), rel=0.01)


def test_the_estimate_ranks_the_heads_as_taking_them_out_does(planted):
    made, *_ = planted
    assert made.agreement > 0.8
    assert made.agreement == pytest.approx(spearmanr(made.values.ravel(), made.estimate.ravel()).statistic)
    top = made.to_frame().iloc[0]
    assert made.values[top["layer"], top["head"]] == made.values.max()
    assert made.estimate.ravel().argsort()[::-1].tolist().index(int(made.values.argmax())) < 3
    assert "hurts most" in made.words


def test_where_the_heads_look_are_shares_of_their_attention(planted):
    made, model, frame, _ = planted
    assert made.tokens == ("(answer)", *"abcdef")
    maps = model.predictor().named_parts(model.predictor().read(frame))["attention"]
    np.testing.assert_allclose(made.looks[0], maps[:, 0].mean((0, 2)), atol=1e-4)
    np.testing.assert_allclose(made.looks.sum(2), 1, atol=1e-5)
    entropy = -(maps[:, 0] * np.log(np.maximum(maps[:, 0], 1e-30))).sum(-1)
    np.testing.assert_allclose(made.strength[0], np.exp(entropy.mean((0, 2))), rtol=1e-3)
    assert (made.strength >= 1).all()
    assert (made.strength <= 7 + 1e-6).all()
    found = made.patterns()
    assert found["heads"].sum() == made.values.size
    assert found["loss"].sum() == pytest.approx(made.values.sum())


def test_planted_patterns_are_found_and_one_cloud_stays_whole():
    draw = np.random.default_rng(0)
    kinds = np.eye(3)[[0, 0, 0, 0, 1, 1, 1, 2, 2]] * 20 + 1
    looks = np.stack([draw.dirichlet(k) for k in kinds])
    assert patterns_of(looks).tolist() == [1, 1, 1, 1, 2, 2, 2, 3, 3]
    assert patterns_of(np.full((5, 4), 0.25)).max() == 1
    assert patterns_of(looks[:2]).max() == 1


def test_classes_are_judged_by_their_log_loss():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(300, 3)), columns=list("abc"))
    y = np.where(frame.a * frame.b > 0, "yes", "no")
    model = pld.TabularClassifier(backbone="autoint", max_steps=40, random_state=0, verbose=0).fit(frame, y)
    made = model.explain(frame, method="head_pruning", y=y, options={"rows": 100}, random_state=0)
    assert made.unit == "log loss"
    assert np.isfinite(made.estimate).all()
    assert made.values.shape[1] == 2


def test_models_without_heads_or_labels_are_refused(planted):
    table = made_table(made_frame(40, 3, (), 0))
    with pytest.raises(RequestError):
        explain(TinyNetwork(table), table, method="head_pruning", y=np.zeros(40))
    with pytest.raises(RequestError, match="compares with the truth"):
        explain(TellingNetwork(table), table, method="head_pruning")
    with pytest.raises(RequestError, match="do not fit"):
        dataclasses.replace(planted[0], tokens=("a",))
