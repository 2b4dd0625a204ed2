"""Objects and networks that go to other libraries and back: shap's explanations, captum on our modules."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from pellucid import TabularClassifier, TabularRegressor
from pellucid.errors import RequestError
from pellucid.explain import explain
from pellucid.report.charts import chart
from pellucid.results import Explanation
from pellucid.testing.predictors import TinyNetwork, made_frame, made_table

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return made_frame(260, 4, (3,))


@pytest.fixture(scope="module", params=["mlp", "ft_transformer", "tabm"])
def model(request, frame):
    return TabularRegressor(backbone=request.param, max_steps=30, verbose=0, random_state=0).fit(frame, frame.x1 * frame.x2 + frame.x3)


def test_shap_objects_come_back(frame):
    pytest.importorskip("shap")
    y = np.array(["a", "b", "c"])[np.arange(260) % 3]
    linear = TabularClassifier(backbone="linear", verbose=0, random_state=0).fit(frame, y)
    for ours in (linear.explain(frame[:6], random_state=0), linear.explain(frame[:6], output="b", random_state=0)):
        back = Explanation.of_shap(ours.to_shap(), scale=ours.scale)
        assert np.array_equal(back.values, ours.values)
        assert np.array_equal(back.base_values, ours.base_values)
        assert back.columns == ours.columns
        assert back.outputs == ours.outputs
        assert back.data["c1"].tolist() == ours.data["c1"].tolist()
        assert np.allclose(back.predictions, ours.predictions, atol=1e-9)
        assert chart(back, row=2).layout.title.text


def test_shap_reads_what_it_made_itself(frame):
    shap = pytest.importorskip("shap")
    numbers = frame[["x1", "x2", "x3"]]
    theirs = shap.ExactExplainer(lambda X: X[:, 0] * X[:, 1], shap.maskers.Independent(numbers.to_numpy()[:20]))(numbers.to_numpy()[:5])
    made = Explanation.of_shap(theirs, data=numbers[:5])
    assert made.columns == ("x1", "x2", "x3")
    assert np.allclose(made.predictions, numbers["x1"][:5] * numbers["x2"][:5], atol=1e-9)
    single = Explanation.of_shap(theirs[0])
    assert single.values.shape == (1, 3)
    assert single.columns == ("Feature 0", "Feature 1", "Feature 2")
    with pytest.raises(RequestError, match="do not belong"):
        Explanation.of_shap(theirs, data=numbers[:4])


@pytest.mark.parametrize("plot", ["waterfall", "beeswarm", "bar", "scatter"])
def test_shap_draws_ours(frame, plot):
    shap = pytest.importorskip("shap")
    plt = pytest.importorskip("matplotlib.pyplot")
    numbers = frame[["x1", "x2"]]
    ours = explain(lambda X: X["x1"] - 2 * X["x2"], numbers[:30], background=numbers[100:150], random_state=0).to_shap()
    ours.data = ours.data.astype(float)
    shown = {"waterfall": ours[0], "scatter": ours[:, "x1"]}.get(plot, ours)
    getattr(shap.plots, plot)(shown, show=False)
    assert plt.gcf().axes
    plt.close("all")


def test_a_model_is_a_module(model, frame):
    module = model.module()
    tokens = module.tokens(frame[:7])
    assert isinstance(module, torch.nn.Module)
    assert np.allclose(module(tokens).detach().numpy()[:, 0], model.predict(frame[:7]), atol=1e-4)
    assert sum(p.numel() for p in module.parameters()) == sum(p.numel() for p in model.engine_.net.parameters())
    linear = TabularRegressor(backbone="linear", verbose=0).fit(frame, frame.x1.rename("goal"))
    with pytest.raises(RequestError, match="not a network"):
        linear.module()


def test_captum_integrated_gradients_on_our_modules(model, frame):
    attr = pytest.importorskip("captum.attr")
    module = model.module()
    rows, other = frame[:5], frame[100:101]
    tokens, base = module.tokens(rows), module.tokens(other)
    theirs = attr.IntegratedGradients(module).attribute(tokens, base.expand_as(tokens), target=0, n_steps=300, method="gausslegendre")
    ours = explain(model, rows, method="integrated_gradients", background=other, fill="baseline")
    spread = np.abs(ours.values).max()
    # both walk the same line; ours adds steps until the sum agrees to 0.1 %, theirs takes 300: kinks of ReLUs leave each column off by as
    # much as that, also where the sum over columns happens to agree better
    assert np.abs(theirs.sum(-1).detach().numpy() - ours.values).max() <= 3e-3 * spread
    again = attr.IntegratedGradients(module).attribute(tokens, base.expand_as(tokens), target=0, n_steps=600, method="gausslegendre")
    assert np.abs((again - theirs).sum(-1).detach().numpy()).max() <= 3e-3 * spread, "the peer's own steps do not agree with each other"


def test_captum_ablation_on_our_modules(model, frame):
    attr = pytest.importorskip("captum.attr")
    module = model.module()
    rows, other = frame[:5], frame[100:101]
    tokens, base = module.tokens(rows), module.tokens(other)
    mask = torch.arange(tokens.shape[1])[None, :, None].expand(1, *tokens.shape[1:])
    window = (1, tokens.shape[2])
    ours = explain(model, rows, method="occlusion", background=other, fill="baseline").values
    with torch.no_grad():
        ablated = attr.FeatureAblation(module).attribute(tokens, base.expand_as(tokens).clone(), target=0, feature_mask=mask)
        occluded = attr.Occlusion(module).attribute(tokens, window, baselines=base.expand_as(tokens).clone(), target=0)
    for theirs in (ablated, occluded):
        assert np.abs(theirs[..., 0].numpy() - ours).max() <= 1e-4 * max(1.0, np.abs(ours).max())


class Rectified(TinyNetwork):
    """The small network with its ReLUs as modules: captum's DeepLift replaces the gradients of modules, not of functions."""

    def __init__(self, *a, **k):
        super().__init__(*a, **k)
        self.first, self.second = torch.nn.ReLU(), torch.nn.ReLU()

    def _members_from_parts(self, parts):
        total = parts.sum(1) if parts.ndim == 3 else parts
        hidden = self.second(self.first(total) @ self.stages.hidden)
        return torch.einsum("nw,kwo->nko", hidden, self.stages.output)


class _Module(torch.nn.Module):
    def __init__(self, network):
        super().__init__()
        self.stages, self.first, self.second, self._network = network.stages, network.first, network.second, network

    def forward(self, tokens):
        return self._network.from_tokens(tokens)


def test_captum_deeplift_agrees_where_it_sees_the_activations():
    attr = pytest.importorskip("captum.attr")
    table = made_table(made_frame(40, 3, (3,)))
    background, rows, other = table.take(slice(0, 20)), table.take(slice(20, 28)), table.take(slice(30, 31))
    network = Rectified(background, seed=1)
    tokens, base = network.tokens(rows), network.tokens(other)
    theirs = attr.DeepLift(_Module(network)).attribute(tokens.clone(), base.expand_as(tokens).clone(), target=0)
    ours = explain(network, rows, method="deeplift", background=other, fill="baseline")
    assert np.abs(ours.values).max() > 0.1
    np.testing.assert_allclose(theirs.sum(-1).detach().numpy(), ours.values, atol=1e-4)
    simple = attr.InputXGradient(_Module(network)).attribute(tokens.clone(), target=0)
    assert np.abs(simple.sum(-1).detach().numpy() - ours.values).max() > 1e-2  # the comparison can fail


def test_captum_deeplift_runs_on_our_modules(model, frame):
    attr = pytest.importorskip("captum.attr")
    module = model.module()
    tokens = module.tokens(frame[:3])
    made = attr.DeepLift(module).attribute(tokens.clone(), module.tokens(frame[50:51]).expand_as(tokens).clone(), target=0)
    assert made.shape == tokens.shape
    assert torch.isfinite(made).all()
