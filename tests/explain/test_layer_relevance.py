"""Relevance at every layer: a closed form, conservation where constants are counted, and layers ranked by what their weights handle."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pellucid as pld
from pellucid.errors import RequestError
from pellucid.explain import explain
from pellucid.explain.layer_relevance import shares
from pellucid.nn.gradients import relevance_layers
from pellucid.nn.gradients.relevance_layers import layer_relevance
from pellucid.testing.predictors import FunctionPredictor, TinyNetwork, made_frame, made_table

CONSERVED = 1e-4


@pytest.fixture(scope="module")
def fitted(small_fits):
    def get(name, classes=False):
        model, frame = small_fits(name, classes)
        return model, frame.head(20)

    return get


def check_it_is_conserved(made, answers, columns):
    """Columns and constants are the answer, layer by layer, and neither is read off the other."""
    size = np.abs(answers).mean()
    assert np.abs(made.reaching[-1] - answers).max() < CONSERVED * size
    assert np.abs(made.reaching[0] - columns).max() < CONSERVED * size
    assert np.abs(made.reaching[1:] - made.reaching[:-1] - made.constants[1:]).max() < CONSERVED * size
    assert np.abs(made.reaching[0] + made.constants.sum(0) - answers).max() < CONSERVED * size


# ---------------------------------------------------------------- closed form

FIRST = torch.tensor([[1.0, -2.0], [0.5, 1.0], [3.0, 1.0]], dtype=torch.float64)
BIAS = torch.tensor([0.7, -1.5], dtype=torch.float64)
SECOND = torch.tensor([[2.0, 0.0], [-1.0, 4.0]], dtype=torch.float64)


def two_layers(tokens):
    return (tokens.flatten(1) @ FIRST + BIAS) @ SECOND + 5


def test_two_linear_layers_by_hand():
    """a W V: units of the first layer have (a W + b)_j V_jk, of which b_j V_jk is the bias's; the second adds 5."""
    a = torch.randn(7, 3, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    made = layer_relevance(two_layers, a)
    assert made.layers == ("tokens", "matrix 1", "matrix 2", "(answer)")
    first = a.flatten(1) @ FIRST
    before = (first[:, :, None] * SECOND).sum(1)
    bias = BIAS @ SECOND
    near = {"rtol": 1e-4, "atol": 1e-4}
    for k, expected in enumerate((before, before, before + bias, before + bias + 5)):
        torch.testing.assert_close(made.reaching[k], expected, **near)
    for k, expected in enumerate((0, 0, bias, 5)):
        torch.testing.assert_close(made.constants[k], torch.zeros(7, 2, dtype=torch.float64) + expected, **near)
    assert float(made.rest.abs().max()) < 1e-4
    torch.testing.assert_close(made.worked[1], (first[:, :, None] * SECOND).abs().sum(1), **near)
    torch.testing.assert_close(made.worked[2], ((first + BIAS) @ SECOND).abs(), **near)
    torch.testing.assert_close(made.gross[0], (a.flatten(1)[:, :, None] * (FIRST @ SECOND)).abs().sum(1), **near)


def test_what_a_shortcut_carries_past_a_layer_reaches_it_too():
    a = torch.randn(5, 3, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    square = torch.randn(3, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    made = layer_relevance(lambda t: (t.flatten(1) + torch.relu(t.flatten(1) @ square)) @ FIRST[:, :1], a)
    for k in range(len(made.layers)):
        torch.testing.assert_close(made.reaching[k], made.reaching[-1], rtol=1e-4, atol=1e-4)
    own = torch.relu(a.flatten(1) @ square) * FIRST[:, 0]
    torch.testing.assert_close(made.worked[1][:, 0], own.abs().sum(1), rtol=1e-4, atol=1e-4)


def test_rows_are_told_apart_wherever_they_stand():
    """Entries of a row are found by asking, not by their place: rows turned to the last axis, and folded with another."""

    def turned(tokens):
        folded = torch.relu(tokens.flatten(1).T.contiguous().reshape(1, -1) * 2)  # (1, 3 N)
        return folded.reshape(3, -1).T @ FIRST

    a = torch.randn(6, 3, 1, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    together = layer_relevance(turned, a)
    for i in range(6):
        alone = layer_relevance(turned, a[i : i + 1])
        for name in ("reaching", "constants", "gross", "worked"):
            torch.testing.assert_close(getattr(together, name)[:, i], getattr(alone, name)[:, 0], rtol=1e-4, atol=1e-4)


# ---------------------------------------------------------------- networks


@pytest.mark.parametrize("name", ["mlp", "tabm", "ft_transformer", "resnet"])
def test_relevance_is_conserved_at_every_layer(fitted, name):
    model, rows = fitted(name)
    made = explain(model, rows, method="layer_relevance", random_state=0)
    columns = explain(model, rows, method="lrp", random_state=0).values.sum(1)[..., None]
    check_it_is_conserved(made, model.predictor().raw(model._table(rows)), columns)
    assert made.lost().max() < CONSERVED
    assert not any("exact rule" in c for c in made.record.caveats)
    assert np.nansum(made.values) == pytest.approx(1)
    assert {"tokens", "head", "(answer)"} < set(made.layers)
    assert made.to_frame()["rank"].max() == np.isfinite(made.values).sum() > 1


def test_what_averaging_probabilities_keeps_is_said(fitted):
    model, rows = fitted("tabm", True)
    made = explain(model, rows, method="layer_relevance", random_state=0)
    lost = dict(zip(made.layers, made.lost()))
    assert lost.pop("(answer)") > CONSERVED > max(lost.values())
    assert any("(answer)" in c and "exact rule" in c for c in made.record.caveats)
    np.testing.assert_allclose(made.reaching[0] + (made.constants + made.rest).sum(0), made.reaching[-1], atol=1e-4)


def test_a_rule_that_drops_relevance_is_caught(fitted, monkeypatch):
    """The saboteur: every matrix hands on nine tenths."""
    honest = relevance_layers.way_back

    def dropping(tape, *how):
        rule = honest(tape, *how)

        def some(k, came):
            part = 0.9 if tape.steps[k].name in relevance_layers.MATRICES else 1.0
            return [None if s is None else part * s for s in rule(k, came)]

        return some

    monkeypatch.setattr(relevance_layers, "way_back", dropping)
    model, rows = fitted("mlp")
    made = explain(model, rows, method="layer_relevance", random_state=0)
    with pytest.raises(AssertionError):
        check_it_is_conserved(made, model.predictor().raw(model._table(rows)), made.reaching[0])
    assert made.lost().max() > CONSERVED
    assert any("exact rule" in c for c in made.record.caveats)


def test_a_network_without_stages_and_what_cannot_be_asked():
    table = made_table(made_frame(60, 3, (3,)))
    net = TinyNetwork(table)
    made = explain(net, table, method="layer_relevance", random_state=0, options={"rows": 20})
    assert made.layers[1] == "matrix 1"
    assert len(made.index) == 20
    check_it_is_conserved(made, net.raw(table.take(made.index.astype(int))), made.reaching[0])
    assert list(made.to_frame()["layer"]) == list(made.layers)
    three = TinyNetwork(table, classes=("a", "b", "c"))
    frame = explain(three, table, method="layer_relevance").to_frame()
    assert list(frame.columns[:2]) == ["layer", "output"]
    np.testing.assert_allclose(frame["reaching"].tail(3), three.raw(table).mean(0), rtol=1e-6)
    one = explain(net, table.take([4]), method="layer_relevance")
    assert np.isnan(one.error).all()
    for options, words in (({"rule": "zplus"}, "rule"), ({"rows": 0}, "rows")):
        with pytest.raises(RequestError, match=words):
            explain(net, table, method="layer_relevance", options=options)
    with pytest.raises(RequestError, match="gradients"):
        explain(FunctionPredictor(lambda x: x[:, 0], table), table, method="layer_relevance")


def test_the_errors_of_shares_are_those_of_draws():
    draw = np.random.default_rng(0)
    sizes = draw.gamma(2, 1, (3, 100_000)) * np.array([[1], [2], [5]]) + draw.gamma(1, 1, 100_000)
    truth = shares(sizes)[0]
    many = [shares(sizes[:, i : i + 100]) for i in range(0, 100_000, 100)]
    off = np.array([v - truth for v, _ in many])
    covered = (np.abs(off) < 1.96 * np.array([e for _, e in many])).mean(0)
    assert ((covered > 0.92) & (covered < 0.97)).all()


@pytest.mark.long
def test_with_shortcuts_the_ranking_goes_with_what_noise_in_the_weights_does():
    frame = made_frame(2400, 4, (4, 3))
    y = 2 * frame.x1 + frame.x2 * frame.x3 + (frame.c1 == "level 1") + np.sin(2 * frame.x4)
    options = {"blocks": 5, "width": 64}
    model = pld.TabularRegressor(backbone="resnet", backbone_options=options, max_steps=200, random_state=0, verbose=0).fit(frame, y)
    made = model.explain(frame.head(100), method="layer_relevance", random_state=0)
    predictor, table, moved = model.predictor(), model._table(frame.head(100)), {}
    before, weights = predictor.raw(table), dict(predictor.engine.net.named_parameters())
    for layer in ("first", *(f"blocks.{k}" for k in range(5)), "head"):
        changes = []
        for seed in range(3):
            generator = torch.Generator().manual_seed(seed)
            with torch.no_grad():
                own = {n: w.clone() for n, w in weights.items() if f"{layer}." in n}
                for n, w in own.items():
                    weights[n].add_(0.1 * w.square().mean().sqrt() * torch.randn(w.shape, generator=generator))
                changes.append(float(np.square(predictor.raw(table) - before).mean()) ** 0.5)
                for n, w in own.items():
                    weights[n].copy_(w)
        moved[layer] = np.mean(changes)
    frame = made.to_frame().set_index("layer").loc[list(moved)]
    assert frame["value"].corr(frame.index.to_series().map(moved), method="spearman") > 0.8
