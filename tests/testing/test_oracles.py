"""The oracles are right: against definitions, published figures and each other."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from pellucid.protocols import DifferentiablePredictor, MemberPredictor, Predictor
from pellucid.testing import oracles
from pellucid.testing.predictors import LinearPredictor, TinyNetwork, fit_network, made_frame, made_table


def test_restaurant_shapley_by_definition_and_by_brute_force():
    predictor, row, background = oracles.restaurant()
    values = oracles.brute_shapley(predictor, row, background)[0, :, 0]
    np.testing.assert_allclose(values, [180, 360, 460], atol=1e-9)
    assert dict(zip("ABC", values.round(6))) == oracles.RESTAURANT_INDICES["Shapley"]


def test_restaurant_moebius_and_banzhaf_follow_from_the_game():
    game, subsets = oracles.RESTAURANT, ["".join(c) for r in range(1, 4) for c in itertools.combinations("ABC", r)]
    for s in subsets:
        inside = ["".join(c) for r in range(len(s) + 1) for c in itertools.combinations(s, r)]
        assert sum((-1) ** (len(s) - len(t)) * game[t] for t in inside) == oracles.RESTAURANT_INDICES["Moebius"][s]
    for j in "ABC":
        others = [k for k in "ABC" if k != j]
        gains = [game["".join(sorted((*s, j)))] - game["".join(s)] for r in range(3) for s in itertools.combinations(others, r)]
        assert np.mean(gains) == oracles.RESTAURANT_INDICES["Banzhaf"][j]


@pytest.mark.parametrize("index", ["joint Shapley 2", "joint Shapley 3"])
def test_restaurant_joint_shapley_adds_up(index):
    assert sum(oracles.RESTAURANT_INDICES[index].values()) == pytest.approx(1000)


def test_linear_truth_and_product_truth_equal_brute_force():
    frame = made_frame(30, numbers=4, levels=())
    background, rows = made_table(frame.iloc[:10]), made_table(frame.iloc[10:15])
    linear = LinearPredictor([1.0, -2.0, 0.0, 3.0], background, intercept=5.0)
    np.testing.assert_allclose(oracles.brute_shapley(linear, rows, background)[:, :, 0], linear.truth(rows), atol=1e-10)
    predictor, rows, base, values = oracles.product_pair()
    np.testing.assert_allclose(oracles.brute_shapley(predictor, rows, base)[:, :, 0], values, atol=1e-10)


@pytest.mark.parametrize("variant", ["code", "l2x", "docstring"])
def test_syn_tables_reach_the_published_best_auc(variant):
    for number, auc in enumerate(oracles.SYN_AUC[variant], 1):
        made = oracles.syn(number, n=40_000, variant=variant)
        assert roc_auc_score(made.target == "1", made.signal) == pytest.approx(auc, abs=0.01)  # 3 standard errors of an AUC at this size
        assert made.used.sum(1).min() >= 2


def test_syn_truth_masks_name_what_the_law_reads():
    """As many columns as the row's branch reads; the switch counts wherever there is one."""
    for number, counts in {1: {2}, 2: {4}, 3: {4}, 4: {3, 5}, 5: {3, 5}, 6: {5}}.items():
        used = oracles.syn(number, n=200).used
        assert set(used.sum(1)) == counts
        assert used[:, 10].all() == (number > 3)


@pytest.mark.parametrize("law", ["linear", "additive", "step", "xor", "nothing"])
def test_planted_noise_has_the_stated_size(law):
    made = oracles.planted(law, n=4000, noise=0.5)
    assert np.std(made.target - made.signal) == pytest.approx(0.5, rel=4 / np.sqrt(2 * 4000))
    assert made.table.target == "y"
    assert "y" not in made.features.columns


@pytest.mark.parametrize("classes", [(), ("a", "b"), ("a", "b", "c")])
def test_tiny_network_keeps_its_protocols(classes):
    table = made_table(made_frame(40, numbers=2, levels=(3, 2), missing=0.1))
    net = TinyNetwork(table, classes=classes)
    assert isinstance(net, Predictor)
    assert isinstance(net, DifferentiablePredictor)
    assert isinstance(net, MemberPredictor)
    raw, tokens = net.raw(table), net.tokens(table)
    with torch.no_grad():
        np.testing.assert_allclose(net.from_tokens(tokens), raw, atol=1e-12)
        np.testing.assert_allclose(net.from_parts(net.parts(tokens)), raw, atol=1e-12)
        np.testing.assert_allclose(net.from_parts(net.parts(tokens).sum(1)), raw, atol=1e-12)
    single = net.members_raw(table)
    if not classes:
        np.testing.assert_allclose(single.mean(1), raw)
        np.testing.assert_allclose(net.member(1).raw(table), single[:, 1])
    else:
        np.testing.assert_allclose(single.sum(2), 1)
    assert np.abs(net.randomised(net.layers(), 1).raw(table) - raw).max() > 0.01
    np.testing.assert_array_equal(net.raw(table), raw)  # the original is untouched


def test_fitted_network_learns_a_planted_rule():
    made = oracles.planted("additive", n=400, columns=4, noise=0.1)
    net = fit_network(made.features, made.target)
    assert np.mean((net.raw(made.features)[:, 0] - made.signal) ** 2) < 0.1 * np.var(made.signal)
