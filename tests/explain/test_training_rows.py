"""Representer values, influence and TracIn against closed forms, refits and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Lasso, LogisticRegression

from pellucid.errors import RequestError
from pellucid.explain import explain
from pellucid.explain.influence import left_out
from pellucid.explain.last_layer import LastLayer
from pellucid.testing.predictors import FunctionPredictor, fit_network, made_frame, made_table, matrix


def layer(task: str = "numbers", n: int = 60, h: int = 5, seed: int = 0) -> LastLayer:
    rng = np.random.default_rng(seed)
    kept, rows, w = rng.normal(size=(n, h)), rng.normal(size=(20, h)), rng.normal(size=(h, 3))
    z = kept @ w + rng.normal(size=(n, 3))
    if task == "numbers":
        return LastLayer(rows, kept, z[:, :1], task, np.zeros(1), np.ones(1))
    if task == "binary":
        return LastLayer(rows, kept, (z[:, :1] > 0) * 1.0, task, np.zeros(1), np.ones(1))
    return LastLayer(rows, kept, np.eye(3)[z.argmax(1)], task, np.zeros(3), np.ones(3))


TASKS = ("numbers", "binary", "classes")


@pytest.fixture(scope="module")
def fitted():
    table = made_table(made_frame(200, 4, (3,), 0))
    x = matrix(table, table.features)
    noisy = x[:, 0] + 0.5 * np.random.default_rng(0).normal(size=200)
    return {
        "binary": fit_network(table, np.where(noisy + (x[:, 4] == 1) > 0.4, "yes", "no"), steps=60),
        "classes": fit_network(table, np.array(["p", "q", "r"])[np.digitize(noisy, [-0.5, 0.5])], steps=60),
        "numbers": fit_network(table, 5 + 3 * x[:, 0] * x[:, 1], steps=150),
    }, table


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("penalty", ["l2", "l1"])
def test_the_fit_is_stationary_and_its_parts_add_up(task, penalty):
    here = layer(task, 80, 20)
    fit = here.fit_l2(0.01) if penalty == "l2" else here.fit_l1(0.4 if task == "numbers" else 0.05)
    assert fit.gap < 1e-7
    assert np.abs(fit.shares(here.rows, here.kept).sum(1) - here.rows @ fit.theta).max() < 1e-6
    if penalty == "l1":
        assert 0 < (fit.theta == 0).mean() < 1


def test_numbers_are_those_of_kernel_ridge():
    here, l2 = layer(), 0.03
    fit = here.fit_l2(l2)
    kernel = here.kept @ here.kept.T
    alpha = np.linalg.solve(kernel + l2 * len(kernel) * np.eye(len(kernel)), here.target)
    assert np.allclose(fit.alpha, alpha, atol=1e-8)


def test_the_fits_are_those_of_scikit_learn():
    here = layer("binary")
    theirs = LogisticRegression(C=1 / (2 * 0.02 * 60), fit_intercept=False, tol=1e-10, max_iter=1000).fit(here.kept, here.target[:, 0])
    assert np.allclose(here.fit_l2(0.02).theta[:, 0], theirs.coef_[0], atol=1e-5)
    three = layer("classes")
    theirs = LogisticRegression(C=1 / (2 * 0.02 * 60), fit_intercept=False, tol=1e-10, max_iter=1000).fit(
        three.kept, three.target.argmax(1)
    )
    assert np.allclose(three.fit_l2(0.02).theta, theirs.coef_.T, atol=1e-5)
    numbers = layer()
    lasso = Lasso(alpha=0.1 / 2, fit_intercept=False, tol=1e-12, max_iter=10_000).fit(numbers.kept, numbers.target[:, 0])
    assert np.allclose(numbers.fit_l1(0.1).theta[:, 0], lasso.coef_, atol=1e-6)


def test_leaving_out_is_the_closed_form_of_linear_regression():
    here = layer()
    x, y = here.kept, here.target[:, 0]
    beta = np.linalg.lstsq(x, y, rcond=None)[0]
    inverse = np.linalg.inv(x.T @ x)
    leverage = np.einsum("ij,jk,ik->i", x, inverse, x)
    closed = here.rows @ (inverse @ x.T * ((y - x @ beta) / (1 - leverage)))  # beta - beta without i
    found = left_out(here, beta[:, None], 0.0)(here.rows)[:, :, 0]
    assert np.allclose(found, closed, atol=1e-9)
    refit = np.stack([here.rows @ (beta - np.linalg.lstsq(np.delete(x, i, 0), np.delete(y, i), rcond=None)[0]) for i in range(60)], 1)
    assert np.allclose(found, refit, atol=1e-9)


@pytest.mark.parametrize("task", ["binary", "classes"])
def test_leaving_out_is_near_the_refit_of_classes(task):
    here, l2 = layer(task, 80), 0.02
    fit = here.fit_l2(l2)
    found = left_out(here, fit.theta, l2)(here.rows)
    truth = np.empty_like(found)
    for i in range(80):
        rest = LastLayer(here.rows, np.delete(here.kept, i, 0), np.delete(here.target, i, 0), task, here.center, here.scale)
        truth[:, i] = here.rows @ (fit.theta - rest.fit_l2(l2 * 80 / 79).theta)
    assert np.corrcoef(found.ravel(), truth.ravel())[0, 1] > 0.999
    assert np.abs(found - truth).max() < 0.1 * np.abs(truth).max()


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("penalty", ["l2", "l1"])
def test_parts_and_rest_add_up_to_the_answer(fitted, task, penalty):
    nets, table = fitted
    net, rows = nets[task], table.take(slice(0, 15))
    every = explain(net, rows, method="representer", options={"k": 200, "penalty": penalty}, random_state=0)
    few = explain(net, rows, method="representer", options={"k": 5, "penalty": penalty}, random_state=0)
    whole = every.weight.sum(1) + every.rest
    assert np.allclose(few.weight.sum(1) + few.rest, whole, atol=1e-9)
    offset = np.asarray(every.record.settings["offset"])
    assert np.abs(every.rest - offset).max() < 1e-4 * np.abs(whole).max()
    assert every.record.settings["fidelity"] > (0.95 if penalty == "l2" else 0.9)
    assert (np.abs(few.weight).sum(2)[:, 0] >= np.abs(few.weight).sum(2)[:, -1]).all()
    assert few.to_frame().shape[0] == 75
    if task == "numbers":  # how far the sum is from the model's own answer is told
        off = np.abs(whole[:, 0] - explain(net, rows, method="inclusion", random_state=0).predictions).mean()
        assert every.record.settings["off"] == pytest.approx(off, rel=1e-6)
        assert any("off the model's own by" in c for c in every.record.caveats)


def test_one_class_against_another(fitted):
    nets, table = fitted
    rows = table.take(slice(0, 10))
    options = {"k": 200}
    each = explain(nets["classes"], rows, method="representer", options=options, random_state=0)
    pair = explain(nets["classes"], rows, method="representer", options=options, output="p", versus="q", random_state=0)
    order = np.argsort(each.positions, 1)
    by_place = np.take_along_axis(each.weight, order[:, :, None], 1)
    mine = np.take_along_axis(pair.weight, np.argsort(pair.positions, 1)[:, :, None], 1)
    assert np.allclose(mine[:, :, 0], by_place[:, :, 0] - by_place[:, :, 1], atol=1e-9)


def test_tracin_is_one_step_of_gradient_descent(fitted):
    """Features, labels and answers to the change of the output, by autograd through a step on one row."""
    nets, table = fitted
    net, rows = nets["binary"], table.take(slice(0, 8))
    made = explain(net, rows, method="tracin", options={"k": 200}, random_state=0)
    kept = net.hidden(table)
    size = np.sqrt(np.square(kept).sum(1).mean())
    h, t = (torch.tensor(np.column_stack([net.hidden(x) / size, np.ones(len(x))])) for x in (table, rows))
    y = torch.tensor((np.asarray(net.kept_labels) == "yes") * 1.0)
    logit = torch.tensor(net.raw(table)[:, 0])
    for i in (0, 17, 99):
        theta = torch.zeros(h.shape[1], dtype=torch.float64, requires_grad=True)
        shift = logit[i] - h[i] @ theta.detach()  # the layer at the trained answer
        loss = torch.nn.functional.binary_cross_entropy_with_logits(h[i] @ theta + shift, y[i])
        step = -torch.autograd.grad(loss, theta)[0] / 200
        place = (made.positions == i).argmax(1)
        assert np.allclose(made.weight[np.arange(8), place, 0], (t @ step).numpy(), atol=1e-9)


@pytest.mark.parametrize("method", ["representer", "influence", "tracin"])
def test_rows_of_the_same_class_raise_its_output(fitted, method):
    nets, table = fitted
    net = nets["binary"]
    made = explain(net, table.take(slice(0, 40)), method=method, options={"k": 5}, random_state=0)
    raises = made.weight[:, :, 0] > 0
    of_class = np.asarray(net.kept_labels)[made.positions] == "yes"
    assert (raises == of_class).mean() > 0.95


@pytest.mark.parametrize("method", ["representer", "influence", "tracin"])
def test_a_black_box_is_refused_with_a_way_out(method):
    table = made_table(made_frame(30, 2, (), 0))
    with pytest.raises(RequestError, match="nearest_rows"):
        explain(FunctionPredictor(lambda x: x[:, 0], table), table, method=method)


@pytest.mark.long
@pytest.mark.parametrize("method", ["representer", "influence"])
def test_removing_the_rows_that_help_lowers_the_answer_after_refit(method):
    table = made_table(made_frame(300, 4, (3,), 0))
    x = matrix(table, table.features)
    y = np.where(x[:, 0] + (x[:, 4] == 1) + 0.5 * np.random.default_rng(0).normal(size=300) > 0.4, "yes", "no")
    net = fit_network(table, y, steps=150)
    target = table.take(np.flatnonzero((y == "yes") & (np.abs(net.raw(table)[:, 0]) < 2))[:12])
    made = explain(net, target, method=method, options={"k": 300}, random_state=0)
    lowered, by_chance = [], []
    rng = np.random.default_rng(1)
    for i in range(len(target)):
        order = made.positions[i][np.argsort(-made.weight[i, :, 0])]
        for gone, out in ((order[:20], lowered), (rng.permutation(300)[:20], by_chance)):
            keep = np.setdiff1d(np.arange(300), gone)
            again = fit_network(table.take(keep), y[keep], steps=150)
            one = target.take(slice(i, i + 1))
            out.append(float(net.raw(one)[0, 0] - again.raw(one)[0, 0]))
    gap = np.array(lowered) - np.array(by_chance)
    assert gap.mean() > 3 * gap.std(ddof=1) / np.sqrt(len(gap))
    assert np.mean(lowered) > 0
