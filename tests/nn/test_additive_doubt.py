"""Draws of what an additive model does not know of its terms: against the posterior by brute force, and through networks of every kind."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.linalg import block_diag

import pellucid as pld
from pellucid.nn.backbones.additive_start import _design, _Fit, fitted_sum, level_places, number_places
from pellucid.nn.beside import DRAWS, beside
from pellucid.nn.dropout_net import DropoutNet
from pellucid.nn.stack import StackedNet
from pellucid.nn.table_net import TableNet
from pellucid.testing.checks_backbone import some_cells, some_sizes


def _places(n: int, rng: np.random.Generator) -> tuple[list, np.ndarray]:
    numbers = [number_places(rng.normal(size=n), rng.random(n) < 0.1, np.linspace(-2, 2, 9)) for _ in range(2)]
    places = [*numbers, level_places(rng.integers(0, 4, n), 5)]  # the fifth level is in no row
    design = []
    for p in places:
        design.append((1 - p.share)[:, None] * np.eye(p.size)[p.low] + p.share[:, None] * np.eye(p.size)[p.high])
    return places, np.column_stack([*design, np.ones(n)])


@pytest.mark.parametrize("classes", [False, True])
def test_draws_are_of_the_posterior(classes: bool) -> None:
    rng = np.random.default_rng(0)
    places, x = _places(120, rng)
    y = x[:, 3:4] + 0.5 * rng.normal(size=(120, 1))
    weights = rng.exponential(size=120)
    fit = _Fit(places, (y > 0.3).astype(float) if classes else y, weights, classes)
    for _ in range(3):
        fit.columns_of(0)
    moves, _ = fit.moves_of(0, 20_000, np.random.default_rng(1))
    prior = np.zeros((x.shape[1],) * 2)
    prior[:-1, :-1], prior[-1, -1] = block_diag(*fit.priors(0)), 1e5  # nearly flat for the bias
    known = x @ prior @ x.T
    told = known - known @ np.linalg.solve(known + np.diag(1 / fit.working(0)[0]), known)
    drawn = np.cov(x @ moves)
    np.testing.assert_allclose(np.diag(drawn), np.diag(told), rtol=0.06)
    assert np.abs(drawn - told).max() < 0.06 * np.diag(told).max()
    unseen = moves[int(fit.starts[3]) - 1]
    at = int(fit.starts[3]) - 1
    assert unseen.var() == pytest.approx(prior[at, at], rel=0.06), "of a level that no row has the rows tell nothing"


def test_draws_of_columns_and_pairs_are_of_one_posterior() -> None:
    rng = np.random.default_rng(0)
    n = 150
    numbers, missing, levels = rng.normal(size=(2, n)), np.zeros(n, bool), rng.integers(0, 3, n)
    own = [number_places(x, missing, np.linspace(-2, 2, 7)) for x in numbers]
    coarse = [number_places(x, missing, np.linspace(-2, 2, 4), smooth_only=True) for x in numbers]
    own, coarse, pairs = [*own, level_places(levels, 3)], [*coarse, level_places(levels, 3)], [(0, 1), (0, 2)]
    y = (numbers[0] * numbers[1] + numbers[0] + 0.5 * rng.normal(size=n))[:, None]
    fit = _Fit(own, y, np.ones(n), classes=False)
    fit.columns_of(0)
    fit.add(coarse, pairs)
    for _ in range(4):
        fit.pairs_of(0)
        fit.columns_of(0)
    moves, of_pairs = fit.moves_of(0, 4000, rng)
    x = np.column_stack([fit.x.toarray(), np.ones(n)])
    known, drawn = np.full((n, n), 1e4), x @ moves
    known += x[:, :-1] @ block_diag(*fit.priors(0)) @ x[:, :-1].T
    for pair, (i, j), move in zip(fit.pairs[0], pairs, of_pairs):
        at, value, factor = fit.table_of(i, j)
        table = _design(at, value, len(factor)).toarray()
        known += pair.tau * table @ factor @ factor.T @ table.T
        drawn = drawn + table @ move
    told = known - known @ np.linalg.solve(known + fit.noise[0] * np.eye(n), known)
    np.testing.assert_allclose(drawn.var(1), np.diag(told), rtol=0.15)
    assert drawn.var(1).mean() == pytest.approx(np.diag(told).mean(), rel=0.03)


def test_classes_drawn_apart_differ_as_the_multinomial_says() -> None:
    rng = np.random.default_rng(0)
    y = np.eye(3)[rng.choice(3, 2000, p=[0.6, 0.3, 0.1])]
    fit = _Fit([level_places(np.zeros(2000, int), 1)], y, np.ones(2000), classes=True)
    fit.tau = [[np.full(1, 1e-6)] for _ in range(3)]  # the biases alone
    moves = np.stack([fit.moves_of(k, 4000, rng)[0][-1] for k in range(3)])
    p = y.mean(0)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert (moves[a] - moves[b]).var() == pytest.approx((1 / p[a] + 1 / p[b]) / 2000, rel=0.12)


def test_draws_change_nothing_of_the_fit_and_tell_its_error() -> None:
    """Over tables of one law the mean squared distance from the truth is the mean variance of the draws; more rows leave less of both."""
    rng, off, told = np.random.default_rng(0), {200: [], 400: []}, {200: [], 400: []}
    for n in (200, 400) * 12:
        places, x = _places(n, rng)
        truth = np.sin(2 * (x[:, :9] @ np.linspace(-2, 2, 9)))[:, None] + x[:, 20:21]
        y = truth + 0.5 * rng.normal(size=truth.shape)
        plain, drawn = (fitted_sum(places, places, [], y, None, False, draws=d) for d in (None, (DRAWS, rng)))
        without, heights = (np.concatenate([*f.columns, f.bias[None]]) for f in (plain, drawn))
        np.testing.assert_array_equal(without, heights)
        off[n].append(np.mean((x @ heights - truth) ** 2))
        told[n].append((x @ drawn.moves[:, 0]).var(1).mean())
    for n in told:
        assert np.mean(told[n]) / np.mean(off[n]) == pytest.approx(1, abs=0.35)
    assert 0.4 < np.mean(told[400]) / np.mean(told[200]) < 0.75


def test_the_network_moves_as_the_heights_do() -> None:
    cells = some_cells(500, 5)
    y = torch.sin(cells.numbers[:, :1]) + cells.codes[:, :1]
    nets = []
    for seed in (0, 1):
        options = {"members": 4, "width": 16}
        net = TableNet(some_sizes(5), "tabm_additive", 1, d_token=8, head="blend", options=options, embedding={"category_dropout": 0.0})
        net.backbone.start_from(net.embedding, cells, y.double().numpy(), None, False, draw=np.random.default_rng(seed))
        net.head.share.fill_(0.5)
        nets.append(net.eval())
    net = nets[0]
    half = net.backbone.own
    own, coarse, _ = half._places(cells, net.backbone.front - 1)
    every, of_pairs = half.doubt.moves.numpy(), half.doubt.pair_moves.numpy()
    start, expected = 0, np.tile(every[-1], (500, 1))
    for place in own.values():
        expected += (1 - place.share)[:, None] * every[start + place.low] + place.share[:, None] * every[start + place.high]
        start += place.size
    start = 0
    assert len(half.pairs) == 10
    for i, j in half.pairs:
        for x, v in coarse[i].sides():
            for z, w in coarse[j].sides():
                expected += (v * w)[:, None] * of_pairs[start + x * coarse[j].size + z]
        start += coarse[i].size * coarse[j].size
    assert start == len(of_pairs)
    with torch.no_grad():
        moves = net.moves(cells)
        np.testing.assert_allclose(moves[..., 0].numpy(), 0.5 * expected, atol=1e-4)
        for k in range(4):
            assert float(moves[:, k::4].mean(1).abs().max()) < 2e-3, "no member's draws have a mean"
        told = StackedNet(nets).moves(cells)
        torch.testing.assert_close(told, torch.stack([n.moves(cells) for n in nets], 1))
        assert not torch.equal(told[:, 0], told[:, 1])
        wide = beside(net(cells), moves[:, None])
        assert wide.shape == (500, DRAWS, 1)
        torch.testing.assert_close(wide[:, 5], net(cells)[:, 1] + moves[:, 5])
    late = {k: v for k, v in net.state_dict().items() if ".doubt." not in k and k not in ("head.turns", "head.sways")}
    old = net.fresh(0)
    old.load_state_dict(late)  # a network of an earlier version
    assert not old.drawn


def _frame(n: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4))
    y = np.sin(2 * x[:, 0]) + 0.5 * x[:, 1] ** 2 - x[:, 2] + 0.5 * rng.normal(size=n)
    return pd.DataFrame(x, columns=list("abcd")).assign(y=y)


KWARGS = {"backbone": "tabm_additive", "random_state": 0, "verbose": 0, "threads": 1, "max_steps": 2}


def test_both_kinds_of_doubt_add_up_to_the_error_and_rise_where_rows_are_few() -> None:
    model = pld.TabularRegressor(**KWARGS).fit(_frame(2500), target="y")
    model.engine_.net.head.share.fill_(1.0)
    new = _frame(1000, seed=1)
    truth, new = new.y, new.drop(columns="y")
    told = model.uncertainty(new)
    assert told.aleatoric.mean() + told.epistemic.mean() == pytest.approx(np.mean((told.point - truth) ** 2), rel=0.15)
    assert model.uncertainty(new.assign(a=3.0)).epistemic.mean() > 1.5 * told.epistemic.mean()


@pytest.mark.parametrize("kind", [{}, {"members": {"networks": 2}}, {"bayes": {"laplace": {"samples": 8}}}, {"rows": 300}])
def test_points_are_the_models_own_and_doubt_comes_back_from_a_file(kind: dict, tmp_path) -> None:
    kind = dict(kind)
    frame = _frame(kind.pop("rows", 2000))
    target = (frame.y > 0).astype(int) if "bayes" in kind else frame.y
    make = pld.TabularClassifier if "bayes" in kind else pld.TabularRegressor
    model = make(**KWARGS, **kind).fit(frame.drop(columns="y"), target)
    new = _frame(40, seed=1).drop(columns="y")
    told = model.uncertainty(new)
    plain = model.predict(new) if make is pld.TabularRegressor else model.predict_proba(new)
    answers = told.point if make is pld.TabularRegressor else told.probabilities
    np.testing.assert_array_equal(answers, plain)
    intervals = None if make is pld.TabularClassifier else (told.low, told.high)
    core = model.engine_.core
    assert float(core.head.share.max()) > 0
    assert (told.epistemic > 0).all()
    np.testing.assert_allclose(model.predictor(of="epistemic").raw(model._table(new))[:, 0], told.epistemic)
    model.save(tmp_path / "model")
    again = pld.load(tmp_path / "model").uncertainty(new)
    np.testing.assert_array_equal(again.epistemic, told.epistemic)
    core.backbone.own.doubt.moves.zero_()  # as in files of earlier versions
    without = model.uncertainty(new)
    np.testing.assert_array_equal(without.point if intervals else without.probabilities, answers)
    if intervals:
        np.testing.assert_array_equal((without.low, without.high), intervals)
    if without.epistemic is not None:
        assert without.epistemic.mean() < told.epistemic.mean()


def test_dropout_as_a_source_has_the_draws_as_well() -> None:
    model = pld.TabularRegressor(**KWARGS, dropout=0.1).fit(_frame(2000), target="y")
    new = _frame(40, seed=1).drop(columns="y")
    model.engine_.net.head.share.fill_(1.0)
    own, masks = model.uncertainty(new), model.uncertainty(new, source="mc_dropout")
    np.testing.assert_array_equal(masks.point, own.point)
    np.testing.assert_allclose(masks.epistemic, own.epistemic, rtol=1e-4)


def test_an_additive_half_without_a_share_has_no_moves() -> None:
    net = TableNet(some_sizes(4), "tabm_additive", 1, d_token=8, head="blend", seed=0).eval()
    net.head.turns.normal_()
    net.head.sways.fill_(0.1)
    assert DropoutNet(net, 4, 0).drawn
    net.leave_out_silent()
    assert net.drawn
    assert torch.isfinite(net.doubting(some_cells(3, 4))).all()
    assert not DropoutNet(net, 4, 0).drawn
    assert not DropoutNet(StackedNet([net, net]), 4, 0).drawn
    net.head.turns.zero_()
    assert not net.drawn


def test_draws_beyond_half_precision_stay_finite() -> None:
    cells = some_cells(50, 5)
    net = TableNet(some_sizes(5), "tabm_additive", 1, d_token=8, head="blend", options={"members": 2, "width": 8}).eval()
    doubt, draw = net.backbone.own.doubt, np.random.default_rng(0)
    size = doubt.pair_starts[1]
    doubt.put(np.zeros((len(doubt.moves), 1, DRAWS)), {0: 1e7 * draw.standard_normal((size, 1, DRAWS))}, {}, 1)
    assert np.isfinite(doubt.pair_moves.numpy()).all()
    with torch.no_grad():
        assert torch.isfinite(net.moves(cells)).all()
