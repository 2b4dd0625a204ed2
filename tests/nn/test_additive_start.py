"""Where the additive model begins: its fit against closed forms, and the network against the fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pellucid.nn.backbones import additive_start
from pellucid.nn.backbones.additive_start import _Fit, fitted_sum, level_places, number_places
from pellucid.nn.table_net import TableNet
from pellucid.testing.checks_backbone import some_cells, some_sizes


def started(outputs: int, classes: bool = False, **options):
    cells = some_cells(500, 5)
    x = cells.numbers
    y = torch.stack([torch.sin(x[:, 0]) + x[:, 1] * x[:, 2] + cells.missing[:, 1] + 0.5 * cells.codes[:, 0], x[:, 2] - x[:, 0]], 1)
    answers = ((y - y.mean(0)) / y.std(0)).double().numpy()[:, :outputs]
    answers = (answers > 0).astype(float) if classes else answers
    embedding = {"number": "flagged", "category_dropout": 0.0}
    net = TableNet(some_sizes(5), "additive", outputs, d_token=8, head="identity", embedding=embedding, options=options)
    assert net.backbone.start_from(net.embedding, cells, answers, None, classes)
    return net.eval(), cells, answers


@pytest.mark.parametrize(("outputs", "classes"), [(1, False), (2, False), (1, True)])
def test_the_network_begins_at_the_fit(outputs: int, classes: bool) -> None:
    net, cells, answers = started(outputs, classes)
    b = net.backbone
    own, coarse, _ = b._places(cells, 7)
    columns = list(own)
    at = {c: k for k, c in enumerate(columns)}
    fit = fitted_sum([own[c] for c in columns], [coarse[c] for c in columns], [(at[i], at[j]) for i, j in b.pairs], answers, None, classes)
    total = fit.bias + sum(
        (1 - p.share)[:, None] * h[p.low] + p.share[:, None] * h[p.high] for p, h in zip((own[c] for c in columns), fit.columns)
    )
    for (i, j), h in zip(b.pairs, fit.pairs):
        for left, a in ((coarse[i].low, 1 - coarse[i].share), (coarse[i].high, coarse[i].share)):
            for right, c in ((coarse[j].low, 1 - coarse[j].share), (coarse[j].high, coarse[j].share)):
                total = total + (a * c)[:, None] * h[left, right]
    with torch.no_grad():
        np.testing.assert_allclose(net(cells)[:, 0].numpy(), total, atol=1e-4)
        parts = net.named_parts(cells)
    assert float(parts["contributions"].mean(0).abs().max()) < 1e-4  # the means are those of the training rows
    assert np.mean((total > 0) == (answers > 0.5)) > 0.9 if classes else np.mean((total - answers) ** 2) < 0.1


def test_one_column_of_levels_is_ridge_regression() -> None:
    rng = np.random.default_rng(0)
    codes, y = rng.integers(0, 4, 200), rng.normal(size=(200, 1))
    fit = _Fit([level_places(codes, 4)], y, np.ones(200), classes=False)
    tau, noise = float(fit.tau[0][0][0]), float(fit.noise[0])
    fit.columns_of(0)
    z = np.eye(4)[codes]
    design = np.column_stack([np.ones(200), z])
    expected = np.linalg.solve(design.T @ design / noise + np.diag([0, *[1 / tau] * 4]), design.T @ y[:, 0] / noise)
    np.testing.assert_allclose([fit.bias[0], *fit.heights[:, 0]], expected, atol=1e-8)


def test_terms_of_noise_shrink_to_nothing_and_terms_that_are_there_stay() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(6000, 3))
    y = (x[:, 0] * x[:, 1] + rng.normal(size=6000))[:, None]
    none, edges = np.zeros(6000, bool), np.linspace(-4, 4, 9)
    own = [number_places(x[:, c], none, edges) for c in range(3)]
    coarse = [number_places(x[:, c], none, edges, smooth_only=True) for c in range(3)]
    fit = fitted_sum(own, coarse, [(0, 1), (0, 2)], y / y.std(), None, classes=False)
    there, noise = (float(np.abs(h[2:7, 2:7]).max()) for h in fit.pairs)
    assert there > 1.0
    assert noise < 0.1 * there


def test_tokens_that_cannot_be_read_are_left_alone() -> None:
    net = TableNet(some_sizes(5), "additive", 1, d_token=8, head="identity")
    before = {n: t.clone() for n, t in net.state_dict().items()}
    assert not net.backbone.start_from(net.embedding, some_cells(50, 5), np.zeros((50, 1)), None, False)
    assert all(torch.equal(before[n], t) for n, t in net.state_dict().items())


def test_a_monotone_column_begins_with_the_right_sign() -> None:
    from listed_sums import check_the_direction

    for sign in (1, -1):
        net, _, _ = started(1, monotone=((0, sign),))
        check_the_direction(net, 0, sign)


@pytest.mark.parametrize(("slack", "safe"), [(additive_start.SLACK, True), (1e9, False)])
def test_a_rare_class_that_is_nearly_separate_does_not_run_away(monkeypatch, slack: float, safe: bool) -> None:
    monkeypatch.setattr(additive_start, "SLACK", slack)  # without the guard the same fit ends above the loss of the base rate
    rng, n = np.random.default_rng(0), 1500
    x = rng.normal(size=(n, 4)) * (rng.random((n, 4)) < 0.5)
    score = 4 * x[:, 0] + 3 * x[:, 1]
    y = ((score > np.quantile(score, 0.98)) ^ (rng.random(n) < 0.002)).astype(float)[:, None]
    edges = [np.unique(np.quantile(c, np.linspace(0, 1, 33))) for c in x.T]
    none = np.zeros(n, bool)
    fine = [number_places(c, none, e) for c, e in zip(x.T, edges)]
    coarse = [number_places(c, none, np.unique(np.r_[e[::4], e[-1]]), smooth_only=True) for c, e in zip(x.T, edges)]
    fit = _Fit(fine, y, np.ones(n), True)
    for _ in range(8):
        fit.columns_of(0)
    fit.add(coarse, [(0, 1), (0, 2), (1, 2), (2, 3), (0, 3), (1, 3)])
    for _ in range(4):
        fit.pairs_of(0)
        fit.columns_of(0)
    rate = y.mean()
    base = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
    assert (fit._loss(fit.bias + fit.own + fit.both) < 0.5 * base) == safe
