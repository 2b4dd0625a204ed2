"""Where the additive model begins: its fit against closed forms, and the network against the fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import block_diag

from pellucid.nn.backbones import additive_start
from pellucid.nn.backbones.additive_start import _centred_gram, _Fit, _solved_by_rows, _Solver, fitted_sum, level_places, number_places
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


@pytest.mark.parametrize("dense", [0, 1000])
def test_what_rows_tell_is_the_product_of_the_whole_design(monkeypatch, dense: int) -> None:
    monkeypatch.setattr(additive_start, "DENSE_KNOTS", dense)
    monkeypatch.setattr(additive_start, "ROWS_AT_ONCE", 70)
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(2, 200)), rng.exponential(size=200)
    places = [number_places(c, rng.random(200) < m, np.linspace(-2, 2, t)) for c, m, t in zip(x, (0.2, 0.0), (7, 4))]
    places += [level_places(rng.integers(0, 3, 200), 4), level_places(rng.integers(0, 5, 200), 5)]
    gram, mass = _centred_gram(places, np.cumsum([0, *(p.size for p in places)]), weight)
    whole = np.hstack([(1 - p.share)[:, None] * np.eye(p.size)[p.low] + p.share[:, None] * np.eye(p.size)[p.high] for p in places])
    told = whole - np.average(whole, 0, weight)
    np.testing.assert_allclose(mass, whole.T @ weight, atol=1e-10)
    np.testing.assert_allclose(gram, told.T @ (weight[:, None] * told), atol=1e-10)


def test_a_solve_by_heights_and_one_by_rows_are_that_of_the_whole_matrix() -> None:
    draw = np.random.default_rng(0)
    x, wanted, blocks = draw.normal(size=(20, 40)), draw.normal(size=20), [slice(i, i + 10) for i in range(0, 40, 10)]
    kernels = [root @ root.T for root in draw.normal(size=(4, 10, 9))]  # of rank 9: centred kernels have a direction of no variance
    prior, whole = block_diag(*kernels), x.T @ x
    both = np.linalg.solve(np.eye(40) + whole @ prior, np.column_stack([x.T @ wanted, whole]))
    pull, told = _solved_by_rows(x, wanted, kernels, blocks)
    np.testing.assert_allclose(pull, both[:, 0], atol=1e-10)
    solver = _Solver(whole, kernels, blocks)
    pulled, heights = solver.solve(x.T @ wanted)
    np.testing.assert_allclose(heights, prior @ both[:, 0], atol=1e-10)
    for i, (block, own, (some, seen)) in enumerate(zip(blocks, told, solver.told(pulled))):
        expected = both[block, 1:][:, block]
        np.testing.assert_allclose(own, expected, atol=1e-10)
        (kernel,) = solver.seen(i, [kernels[i]])
        np.testing.assert_allclose(some @ kernel @ some, both[block, 0] @ kernels[i] @ both[block, 0])
        np.testing.assert_allclose((seen * kernel).sum(), (expected * kernels[i]).sum())


@pytest.mark.parametrize(("classes", "counts"), [(False, 1), (True, 12)])
def test_weights_that_stay_are_counted_once(monkeypatch, classes: bool, counts: int) -> None:
    calls, inner = [], additive_start._centred_gram
    monkeypatch.setattr(additive_start, "_centred_gram", lambda *given: calls.append(1) or inner(*given))
    started(1, classes)
    assert len(calls) == counts


def test_time_is_asked_before_the_first_solve_of_every_output_but_one() -> None:
    rng = np.random.default_rng(0)
    codes, none = rng.integers(0, 3, 300), [level_places(rng.integers(0, 3, 300), 3)]
    answers = np.eye(3)[codes]
    fit = fitted_sum([level_places(codes, 3)], none, [], answers, None, True, lambda: False)
    assert np.abs(fit.columns[0][:, 0]).max() > 0.1
    assert not fit.columns[0][:, 1:].any()
    np.testing.assert_allclose(fit.bias[1:], np.log(answers.mean(0))[1:])
