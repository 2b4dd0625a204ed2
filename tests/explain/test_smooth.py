"""Noisy gradients against the closed forms of a quadratic, and expected gradients against theirs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pellucid.errors import RequestError
from pellucid.explain import explain
from pellucid.explain.expected_gradients import draws
from pellucid.explain.smooth import noisy_gradients
from pellucid.nn.gradients import token_gradients
from pellucid.probe.view import View
from pellucid.testing.predictors import fit_network, made_frame, made_table


class Quadratic:
    """f = x'Hx / 2 + b'x on three numbers, one token entry each."""

    columns, outputs, classes, task, scale, additive = ("a", "b", "c"), ("y",), (), "regression", "target", False
    matrix = torch.tensor([[2.0, 1.0, 0.0], [1.0, -1.0, 0.5], [0.0, 0.5, 0.0]], dtype=torch.float64)
    line = torch.tensor([1.0, 0.0, -2.0], dtype=torch.float64)

    def __init__(self, table):
        self._table = table

    def background(self):
        return self._table

    def tokens(self, table):
        return torch.tensor(table.frame[list(self.columns)].to_numpy().copy())[:, :, None]

    def parts(self, tokens):
        return tokens

    def from_parts(self, parts):
        return self.from_tokens(parts)

    def from_tokens(self, tokens):
        x = tokens[:, :, 0]
        return (torch.einsum("ni,ij,nj->n", x, self.matrix, x) / 2 + x @ self.line)[:, None]

    def raw(self, table):
        return self.from_tokens(self.tokens(table)).detach().numpy()

    def layers(self):
        return ()

    def randomised(self, layers, seed):
        return self


@pytest.fixture(scope="module")
def quadratic():
    draw = np.random.default_rng(0)
    table = made_table({c: draw.normal(0, s, 60) for c, s in zip("abc", (1.0, 2.0, 0.5))})
    return Quadratic(table), table


def test_mean_square_and_variance_of_noisy_gradients_of_a_quadratic():
    h = Quadratic.matrix
    at, spread, n = torch.tensor([1.0, -1.0, 2.0], dtype=torch.float64), torch.tensor([0.3, 0.1, 0.5], dtype=torch.float64), 40_000
    noise = torch.randn(n, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    _, gradient = token_gradients(Quadratic(None).from_tokens, (at + noise * spread)[:, :, None], 4096)
    moments, _ = noisy_gradients(gradient)
    clean, added = h @ at + Quadratic.line, (h.square() * spread.square()).sum(1)
    for name, truth, error in (
        ("mean", clean, (added / n).sqrt()),
        ("variance", added, added * (2 / n) ** 0.5),
        ("square", clean.square() + added, ((4 * clean.square() * added + 2 * added.square()) / n).sqrt()),
    ):
        off = (moments[name][0, :, 0] - truth).abs()
        assert (off <= 4.5 * error + 1e-12).all(), name


def test_values_are_the_readings_times_the_spread_with_errors_that_shrink(quadratic):
    model, table = quadratic
    rows = table.take(slice(0, 5))
    clean = torch.einsum("ij,nj->ni", model.matrix, model.tokens(rows)[:, :, 0]) + model.line
    spread = model.tokens(table)[:, :, 0].std(0, correction=0)
    small, large = (explain(model, rows, method="smoothgrad", random_state=1, options={"samples": t}) for t in (50, 5000))
    truth = (clean.abs() * spread).numpy()
    assert (np.abs(large.values - truth) <= 4.5 * large.error + 1e-9).all()
    assert large.error.mean() < 0.2 * small.error.mean()
    varied = explain(model, rows, method="vargrad", random_state=1, options={"samples": 5000})
    noise = 0.15 * spread
    known = ((model.matrix.square() * noise.square()).sum(1).sqrt() * spread).numpy()
    assert (np.abs(varied.values - known) <= 4.5 * varied.error + 1e-9).all()
    squared = explain(model, rows, method="smoothgrad_squared", random_state=1, options={"samples": 5000})
    both = np.sqrt(truth**2 + known**2)
    assert (np.abs(squared.values - both) <= 4.5 * squared.error + 1e-9).all()


def test_smooth_gradients_vary_less_than_gradients_on_a_kinked_network():
    table = made_table(made_frame(80, 3, (3,)))
    net = fit_network(table, np.sin(3 * table.frame.x1.to_numpy()), steps=80)
    rows = table.take(slice(0, 30))
    tokens = net.tokens(rows)
    view = View(net)
    # the same rows a little aside: how far does each reading move?
    aside = tokens + 0.02 * torch.randn(tokens.shape, generator=torch.Generator().manual_seed(0), dtype=tokens.dtype)
    noise = 0.3 * torch.randn(64, *tokens.shape[1:], generator=torch.Generator().manual_seed(1), dtype=tokens.dtype)

    def smooth(at):
        _, g = token_gradients(view.from_tokens, (at + noise[:, None]).flatten(0, 1))
        return noisy_gradients(g.unflatten(0, (64, len(at))))[0]["mean"]

    plain = (token_gradients(view.from_tokens, aside)[1] - token_gradients(view.from_tokens, tokens)[1]).square().mean()
    assert (smooth(aside) - smooth(tokens)).square().mean() < 0.5 * plain


@pytest.mark.parametrize("options", [{"samples": 1}, {"noise": -1.0}, {"samples": 2.5}])
def test_noise_that_cannot_be_made_is_refused(quadratic, options):
    with pytest.raises(RequestError, match="noise"):
        explain(*quadratic, method="smoothgrad", options=options)


def test_expected_gradients_are_shapley_values_of_pairwise_models_within_their_errors(quadratic):
    model, table = quadratic
    rows = table.take(slice(0, 6))
    made = explain(model, rows, method="expected_gradients", random_state=0, options={"samples": 2000})
    x, b, h = model.tokens(rows)[:, :, 0].numpy(), model.tokens(table)[:, :, 0].numpy(), model.matrix.numpy()
    # of a quadratic the path average is the middle: (x - b) (H (x + b) / 2 + line), in the mean over b
    middle = (x[:, None] + b) / 2
    truth = ((x[:, None] - b) * (middle @ h + model.line.numpy())).mean(1)
    assert (np.abs(made.values - truth) <= 4.5 * made.error).all()
    assert np.abs(made.values - truth).mean() > 0.1 * made.error.mean()  # the errors are not many times too large
    assert np.abs(made.gap).max() <= 4.5 * made.error.sum(1).max()
    exact = explain(model, rows, method="shapley_exact", background=table)
    np.testing.assert_allclose(truth, exact.values, atol=1e-9)


def test_rows_come_without_repetition_and_places_one_to_a_stratum():
    rows, places = draws(10, 25, 0)
    assert sorted(rows[:10]) == list(range(10))
    assert sorted(rows[10:20]) == list(range(10))
    assert (np.floor(places * 25) == np.arange(25)).all()


def test_too_few_samples_are_refused(quadratic):
    with pytest.raises(RequestError, match="samples"):
        explain(*quadratic, method="expected_gradients", options={"samples": 2})
