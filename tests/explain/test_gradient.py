"""Slopes in tokens and in original units."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pellucid.errors import RequestError
from pellucid.explain import explain, gradient
from pellucid.testing.predictors import FunctionPredictor, fit_network, made_frame, made_table


@pytest.fixture(scope="module")
def setting():
    frame = made_frame(80, 3, (3,))
    frame["x1"] = frame.x1 * 1000 + 40_000
    frame["x2"] = frame.x2 * 1e-3
    table = made_table(frame)
    y = np.array(["a", "b", "c"])[(np.abs(frame.x3) * 2).astype(int) % 3]
    return fit_network(table, y, steps=60), table


def test_slopes_match_finite_differences_in_original_units(setting):
    net, table = setting
    answer = explain(net, table, method="slope", random_state=0)
    assert answer.columns == ("x1", "x2", "x3")
    assert answer.scale == "log-odds per unit"
    for j, name in enumerate(answer.columns):
        cells, step = table.frame[name].to_numpy(), 1e-6 * table.frame[name].std()
        up, down = (net.raw(table.with_cells({name: cells + s})) for s in (step, -step))
        slope = (up - down) / (2 * step)
        close = np.abs(answer.values[:, j] - slope) <= 1e-3 * np.abs(slope).max()
        assert close.mean() > 0.97  # a kink between the two points is another matter


@pytest.mark.parametrize("steps", [gradient.STEPS, gradient.STEPS[:1]])
def test_slopes_of_close_bins_do_not_reach_across_a_border(steps, monkeypatch):
    """A long tail puts most borders of bins nearer to each other than the longest step; with that step alone half the slopes are wrong."""
    monkeypatch.setattr(gradient, "STEPS", steps)
    x = np.random.default_rng(0).lognormal(10, 2, 2000)
    edges = np.quantile(x, np.linspace(0, 1, 65))
    width = np.diff(edges)

    def tokens(cells):
        return torch.from_numpy(np.clip((cells[:, :, None] - edges[:-1]) / width, 0, 1)).float()

    cells = np.random.default_rng(1).lognormal(10, 2, (1000, 1))
    cells = cells[(np.abs(cells - edges).min(1) > 1e-5 * x.std()) & (cells[:, 0] < edges[-1]) & (cells[:, 0] > edges[0])]
    made = gradient._token_slopes(tokens, cells, np.array([x.std()]))[:, 0]
    inside = (cells >= edges[:-1]) & (cells < edges[1:])
    close = np.abs(made - inside / width).max(1) <= 1e-3 / width[inside.argmax(1)]
    assert (close.mean() > 0.99) if len(steps) > 1 else (close.mean() < 0.6)


def test_sensitivity_is_the_norm_times_the_spread(setting):
    net, table = setting
    answer = explain(net, table, method="gradient", background=table)
    tokens = net.tokens(table)
    leaf = tokens.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(net.from_tokens(leaf)[:, 1].sum(), leaf)
    spread = (tokens - tokens.mean(0)).square().sum(-1).mean(0).sqrt()
    np.testing.assert_allclose(answer.values[:, :, 1], (slope.norm(dim=-1) * spread).numpy(), atol=1e-9)
    assert (answer.values >= 0).all()
    grouped = explain(net, table, method="gradient", background=table, groups={"g": ["x1", "x3"]})
    np.testing.assert_allclose(grouped.values[:, 0], np.sqrt(answer.values[:, 0] ** 2 + answer.values[:, 2] ** 2), atol=1e-9)


def test_gradient_times_input_is_exact_for_a_linear_network():
    class Linear:
        columns, outputs, classes, task, scale, additive = ("a", "b"), ("y",), (), "regression", "target", True

        def __init__(self, table):
            self._table = table

        def background(self):
            return self._table

        def tokens(self, table):
            return torch.tensor(table.frame[["a", "b"]].to_numpy().copy())[:, :, None]

        def parts(self, tokens):
            return tokens * torch.tensor([2.0, -3.0], dtype=torch.float64)[:, None]

        def from_parts(self, parts):
            return parts.sum(1) if parts.ndim == 3 else parts

        def from_tokens(self, tokens):
            return self.from_parts(self.parts(tokens))

        def raw(self, table):
            return self.from_tokens(self.tokens(table)).numpy()

        def layers(self):
            return ()

        def randomised(self, layers, seed):
            return self

    table = made_table({"a": [1.0, 2.0, 5.0], "b": [0.0, 4.0, 4.0]})
    answer = explain(Linear(table), table, method="gradient_x_input", background=table.take([0]))
    np.testing.assert_allclose(answer.values, [[0, 0], [2, -12], [8, -12]])
    np.testing.assert_allclose(explain(Linear(table), table, method="slope").values, [[2, -3]] * 3, rtol=1e-9)


def test_black_boxes_and_groups_of_slopes_are_refused(setting):
    net, table = setting
    with pytest.raises(RequestError, match="needs gradients"):
        explain(FunctionPredictor(lambda m: m.sum(1), table), table, method="gradient")
    with pytest.raises(RequestError, match="group"):
        explain(net, table, method="slope", groups={"g": ["x1", "x2"]})
