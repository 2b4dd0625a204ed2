"""Our engines beside shap, captum and scikit-learn on the same questions."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.explain import explain
from pellucid.nn.gradients import integrated, token_gradients
from pellucid.testing.predictors import LinearPredictor, fit_network, made_frame, made_table

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def smooth():
    draw = np.random.default_rng(0)
    weights, rows, background = draw.normal(size=(6, 10)), draw.normal(size=(8, 6)), draw.normal(size=(30, 6))
    return (lambda X: np.sin(X @ weights).sum(1) + X.prod(1)), rows, background


def test_shap_exact(smooth):
    shap = pytest.importorskip("shap")
    model, rows, background = smooth
    theirs = shap.ExactExplainer(model, shap.maskers.Independent(background, 100))(rows)
    ours = explain(model, rows, background=background, method="shapley_exact")
    np.testing.assert_allclose(ours.values, theirs.values, atol=1e-8)
    np.testing.assert_allclose(ours.base_values, theirs.base_values, atol=1e-8)


def test_shap_permutation_within_three_errors(smooth):
    shap = pytest.importorskip("shap")
    model, rows, background = smooth
    ours = explain(model, rows, background=background, method="shapley_permutation", random_state=0)
    explainer = shap.PermutationExplainer(model, shap.maskers.Independent(background, 100), seed=0)
    theirs = np.stack([explainer(rows, max_evals=2000, silent=True).values for _ in range(4)])
    error = np.sqrt(theirs.var(0, ddof=1) / 4 + ours.error**2)
    assert (np.abs(theirs.mean(0) - ours.values) <= 3 * error).mean() > 0.95


def test_shap_kernel_by_enumeration(smooth):
    shap = pytest.importorskip("shap")
    model, rows, background = smooth
    theirs = shap.KernelExplainer(model, background).shap_values(rows, nsamples=2**6, l1_reg=False, silent=True)
    np.testing.assert_allclose(explain(model, rows, background=background, method="shapley_exact").values, theirs, atol=1e-8)


def test_shap_trees():
    shap = pytest.importorskip("shap")
    from sklearn.ensemble import GradientBoostingRegressor

    frame = made_frame(300, 7, ())
    model = GradientBoostingRegressor(n_estimators=30, random_state=0).fit(frame, frame.x1 * frame.x2 + frame.x3)
    rows, background = frame[:10], frame[100:150]
    theirs = shap.TreeExplainer(model, background, feature_perturbation="interventional").shap_values(rows)
    ours = explain(lambda f: model.predict(f), rows, background=background, method="shapley_exact")
    np.testing.assert_allclose(ours.values, theirs, atol=1e-4)


@pytest.fixture(scope="module")
def network():
    table = made_table(made_frame(40, 3, (3,)))
    net = fit_network(table, np.array(["a", "b", "c"])[np.arange(40) % 3], steps=30)
    return net, net.tokens(table)


@pytest.mark.parametrize("output", [0, 2])
def test_captum_saliency_and_input_x_gradient(network, output):
    attr = pytest.importorskip("captum.attr")
    net, tokens = network
    _, gradient = token_gradients(net.from_tokens, tokens)
    theirs = attr.Saliency(net.from_tokens).attribute(tokens.clone(), target=output, abs=False)
    np.testing.assert_allclose(gradient[:, output], theirs.detach(), atol=1e-5)
    times = attr.InputXGradient(net.from_tokens).attribute(tokens.clone(), target=output)
    np.testing.assert_allclose(gradient[:, output] * tokens, times.detach(), atol=1e-5)


@pytest.mark.parametrize("steps", [5, 50])
def test_captum_integrated_gradients(network, steps):
    attr = pytest.importorskip("captum.attr")
    net, tokens = network
    reference = tokens[:1].expand_as(tokens)
    theirs = attr.IntegratedGradients(net.from_tokens).attribute(tokens, reference.clone(), target=1, n_steps=steps, method="gausslegendre")
    np.testing.assert_allclose(integrated(net.from_tokens, tokens, reference, steps)[0][:, 1], theirs.sum(-1).detach(), atol=1e-5)


def test_captum_feature_ablation():
    attr = pytest.importorskip("captum.attr")
    import torch

    table = made_table(made_frame(20, 4, ()))
    model = LinearPredictor([1, -2, 0, 3], table)
    x = torch.tensor(table.frame.to_numpy().copy())
    theirs = attr.FeatureAblation(lambda t: t @ torch.tensor([1.0, -2.0, 0.0, 3.0], dtype=torch.float64)).attribute(x, x[:1])
    ours = explain(model, table, method="occlusion", background=table.take([0]))
    np.testing.assert_allclose(ours.values, theirs, atol=1e-9)


def test_sklearn_permutation_importance_within_three_errors():
    from sklearn.inspection import permutation_importance
    from sklearn.linear_model import LinearRegression

    frame = made_frame(1000, 4, ())
    y = frame.x1 - 2 * frame.x2 + np.random.default_rng(0).normal(size=1000)
    model = LinearRegression().fit(frame, y)
    theirs = permutation_importance(model, frame, y, scoring="neg_mean_squared_error", n_repeats=30, random_state=0)
    ours = explain(lambda f: model.predict(f), frame, method="permutation_importance", y=y, random_state=0)
    error = theirs.importances_std * np.sqrt(1 / 5 + 1 / 30)
    assert (np.abs(ours.values - theirs.importances_mean) <= 3 * error + 1e-9).all()
