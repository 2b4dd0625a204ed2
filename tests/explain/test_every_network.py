"""Contributions that promise to add up do so on every network there is, and no method of the inside gives what is not finite."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from pellucid import registry
from pellucid.explain import explain
from pellucid.nn.gradients.relevance import derivative
from pellucid.nn.gradients.tape import back, record

NETWORKS = tuple(e.name for e in registry.entries("backbone") if e.takes != "matrix")
IN_SHORT = ("mlp", "ft_transformer", "tabnet", "senn", "retrieval")
SUMS = ("additive", "leurn", "kan", "senn")


@pytest.fixture(scope="module")
def fitted(small_fits):
    def get(name, classes=False):
        model, frame = small_fits(name, classes)
        return model, frame.head(6)

    return get


def check_it_closes(model, rows, method, limit, **options):
    made = explain(model, rows, method=method, random_state=0, **options)
    answers = np.asarray(model.predictor().raw(model._table(rows)))[:, 0]
    span = np.ptp(model.predictor().raw(model.predictor().background()))
    off = np.abs(answers - made.base_values - made.values.sum(1)).max() / span
    assert off <= limit, f"{off:.1e} of the output's range is missing"
    assert np.abs(made.values).max() > 1e-3 * span
    return made


@pytest.mark.parametrize("name", NETWORKS)
def test_deeplift_closes_to_rounding(fitted, name):
    check_it_closes(*fitted(name), "deeplift", 1e-5)


@pytest.mark.parametrize("name", ["tabm", "ft_transformer", "tabnet"])
def test_deeplift_closes_on_the_log_odds_of_averaged_probabilities(fitted, name):
    check_it_closes(*fitted(name, True), "deeplift", 1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_integrated_gradients_close(fitted, name):
    made = check_it_closes(*fitted(name), "integrated_gradients", 1e-3)
    assert ("jumps" in " ".join(made.record.caveats)) >= (name in ("leurn", "retrieval"))


@pytest.mark.parametrize("name", ["tabnet", "armnet"])
def test_a_tape_without_a_rule_of_its_own_gives_the_gradient(fitted, name):
    """Functions that a tape keeps whole, sparsemax and entmax, are differentiated there too."""
    model, rows = fitted(name)
    predictor = model.predictor()
    tokens = predictor.tokens(model._table(rows))
    tape = record(predictor.from_tokens, tokens)
    assert {"sparsemax", "entmax15"} & {step.name for step in tape.steps}
    found = back(tape, torch.ones_like(tape.output), lambda k, came: derivative(tape.steps[k], came))
    leaf = tokens.clone().requires_grad_()
    (expected,) = torch.autograd.grad(predictor.from_tokens(leaf).sum(), leaf)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("name", ["leurn", "retrieval", "mlp", "tabnet"])
def test_readers_of_slopes_tell_of_jumps_and_of_nothing_else(fitted, name):
    model, rows = fitted(name)
    guided = () if name == "leurn" else ("guided_backprop",)  # it has no ReLU
    for method in ("gradient", "gradient_x_input", "slope", "smoothgrad", "expected_gradients", "lrp", *guided):
        said = " ".join(explain(model, rows, method=method, random_state=0).record.caveats)
        assert ("jumps" in said) == (name in ("leurn", "retrieval")), method
    said = " ".join(explain(model, rows, method="occlusion", random_state=0).record.caveats)
    assert "jumps" not in said


@pytest.mark.parametrize(
    "name", [n if n in ("mlp", "tabnet", "leurn", "retrieval") else pytest.param(n, marks=pytest.mark.long) for n in NETWORKS]
)
def test_a_network_without_words_on_jumps_has_none(fitted, name):
    """On a line between rows a smooth network moves a quarter as far in a step of a quarter; a jump keeps its height."""
    predictor = fitted(name)[0].predictor()
    ends = predictor.tokens(predictor.background())[:5]
    height = []
    for n in (500, 2000):
        t = torch.linspace(0, 1, n + 1)[:, None, None]
        with torch.inference_mode():
            lines = torch.stack([predictor.from_tokens(torch.lerp(a, b, t)) for a, b in itertools.pairwise(ends)])
        height.append(float(lines.diff(dim=1).abs().amax()))
    assert (height[1] > 0.5 * height[0]) == bool(predictor.jumps), height


@pytest.mark.parametrize("name", [n if n in IN_SHORT else pytest.param(n, marks=pytest.mark.long) for n in NETWORKS])
def test_relevance_and_parts_are_finite_and_use_the_row(fitted, name):
    model, rows = fitted(name)
    for method in ("lrp", "contextual_decomposition"):
        made = explain(model, rows, method=method, random_state=0)
        assert np.isfinite(made.values).all()
        assert np.ptp(made.values, axis=0).max() > 0


@pytest.mark.parametrize("name", SUMS)
def test_the_own_sum_closes(fitted, name):
    model, rows = fitted(name)
    made = check_it_closes(model, rows, "native", 1e-5)
    assert not any("normalised" in c for c in made.record.caveats)
    parts = model.predictor().named_parts(model._table(rows))
    assert set(parts) >= {"contributions", "bias"}
    if name == "additive":  # terms of two columns go half to each
        i, j = parts["pair_columns"][0, 0].astype(int)
        alone = parts["contributions"][:, i, 0]
        with_pairs = alone + parts["pairs"][:, (parts["pair_columns"][0] == i).any(1), 0].sum(1) / 2
        np.testing.assert_allclose(made.values[:, i], with_pairs, atol=1e-9)
        assert j != i


def test_the_own_sum_of_two_classes_is_in_log_odds(fitted):
    model, rows = fitted("additive", True)
    made = explain(model, rows, method="native")
    assert made.scale == "log-odds"
    other = explain(model, rows, method="native", output="no")
    np.testing.assert_allclose(other.values, -made.values, atol=1e-9)
    # several networks average probabilities: the sum is of scores, and it is said
    assert (np.abs(made.gap).max() < 1e-4) or any("normalised" in c for c in made.record.caveats)
