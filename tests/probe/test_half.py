"""Half precision: asked for where it is faster and far below the error asked for, and what it adds is stated."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from pellucid.explain import explain
from pellucid.probe import network_paths
from pellucid.probe.coalition import CoalitionEngine
from pellucid.probe.composing import Lot
from pellucid.probe.masker import Players
from pellucid.probe.view import View
from pellucid.testing.predictors import fit_network, made_frame, made_table


class Single:
    """A made network in single precision, whose later stages read the sum of the parts, or every part."""

    def __init__(self, net, additive=True):
        vars(self).update({n: getattr(net, n) for n in dir(net) if not n.startswith("__")})  # protocols look at what an object holds
        single = copy.copy(net)
        single.stages = copy.deepcopy(net.stages).float()
        self.additive, self.parts, self.from_parts, self.from_tokens = additive, single.parts, single.from_parts, single.from_tokens
        self.tokens = lambda table: net.tokens(table).float()
        self.raw = lambda table: single.from_tokens(self.tokens(table)).detach().double().numpy()


@pytest.fixture(scope="module")
def setting():
    """A network with interactions, 12 rows, 64 background rows, the exact values."""
    table = made_table(made_frame(400, 6, (4, 3)))
    x = np.stack([table.numbers(f"x{j + 1}") for j in range(6)], 1)
    net = fit_network(table, 2 * np.sin(2 * x[:, 0]) * x[:, 1] + x[:, 2] * x[:, 3] * x[:, 4] + x[:, 5], steps=200)
    rows, background = table.take(slice(0, 12)), table.take(slice(100, 164))
    net = Single(net)
    return net, rows, background, explain(net, rows, background=background, method="shapley_exact").values


@pytest.fixture
def faster(monkeypatch):
    """A machine on which half precision is the faster one, or not."""

    def be(so):
        monkeypatch.setattr(network_paths, "pays", lambda device: so)

    be(True)
    return be


def asked(setting, precision, seed=0, **options):
    net, rows, background, _ = setting
    return explain(net, rows, background=background, precision=precision, random_state=seed, **options)


@pytest.mark.parametrize("additive", [True, False])
def test_marked_pairs_alone_are_answered_in_half_precision(setting, faster, additive):
    net, rows, background, _ = setting
    rounding = CoalitionEngine(View(net), rows, background, Players.of(net.columns)).rounding
    net = copy.copy(net)
    net.additive = additive
    engine = CoalitionEngine(View(net), rows, background, Players.of(net.columns))
    draw = np.random.default_rng(0)
    row, back = draw.integers(0, 12, 50), draw.integers(0, 64, 50)
    players, local = np.tile(np.arange(8), (50, 1)), draw.random((50, 5, 8)) < 0.5
    half = np.arange(50) % 3 == 0
    (full,), (mixed,) = (engine.play([Lot(row, back, players, local, marks)]) for marks in (None, half))
    assert rounding is not None
    assert (engine.rounding is None) == (not additive)  # on a processor networks of narrow tokens gain nothing
    size = np.sqrt(np.mean([np.square(r).mean() for r in rounding]))
    off = np.abs(mixed - full)[..., 0]
    assert off[~half].max() < 0.01 * size
    assert 0.3 * size < np.sqrt(np.square(off[half]).mean()) < 3 * size


def test_networks_of_wide_tokens_are_answered_in_half_precision_on_a_processor(setting, faster, monkeypatch):
    net, rows, background, _ = setting
    net = copy.copy(net)
    net.additive = False
    for width, so in ((network_paths.HALF_WIDTH, False), (1, True)):
        monkeypatch.setattr(network_paths, "HALF_WIDTH", width)
        assert (CoalitionEngine(View(net), rows, background, Players.of(net.columns)).rounding is not None) == so


@pytest.mark.parametrize("pairs", [4, 8, 16])
def test_marked_pairs_filled_up_to_all_pairs_keep_their_places(setting, faster, pairs):
    net, rows, background, _ = setting
    engine = CoalitionEngine(View(net), rows, background, Players.of(net.columns))
    row, back = np.arange(pairs) % 12, np.arange(pairs) + 20
    players, local = np.tile(np.arange(8), (pairs, 1)), np.random.default_rng(0).random((6, 8)) < 0.5
    half = np.arange(pairs) >= pairs // 4  # three quarters: filled up to a power of 2 they are as many as all
    (full,), (mixed,) = (engine.play([Lot(row, back, players, local, marks)]) for marks in (None, half))
    size = np.sqrt(np.mean([np.square(r).mean() for r in engine.rounding]))
    assert np.sqrt(np.square(mixed - full).mean()) < 3 * size
    assert np.sqrt(np.square(full - np.roll(full, 1, 0)).mean()) > 30 * size  # answers of other pairs are far off


def by_budget(setting):
    """Return answers whose games are the same in either precision."""
    return [asked(setting, None, seed, budget=12 * 300) for seed in range(4)]


def test_what_rounding_adds_is_small_and_the_gap_stays(setting, faster):
    half = by_budget(setting)
    faster(False)
    full = by_budget(setting)
    apart = np.stack([h.values - f.values for h, f in zip(half, full)])
    rows = (apart != 0).any((0, 2))
    assert rows.any()  # it was used
    stated = np.stack([f.error for f in full])[:, rows]
    assert np.square(apart[:, rows]).mean() < 0.1**2 * np.square(stated).mean()
    for made in half:
        np.testing.assert_allclose(made.gap, 0, atol=1e-6)


def test_half_precision_that_is_far_off_is_not_used(setting, faster, monkeypatch):
    rounding = CoalitionEngine.rounding.func
    monkeypatch.setattr(CoalitionEngine, "rounding", property(lambda engine: tuple(100 * off for off in rounding(engine))))
    far = by_budget(setting)
    monkeypatch.undo()
    faster(False)
    assert all(np.array_equal(a.values, b.values) for a, b in zip(far, by_budget(setting)))


def test_the_error_asked_for_holds_with_rounding(setting, faster):
    for precision in (0.3, 0.1):
        made = asked(setting, precision)
        assert (np.sqrt((made.error**2).mean(1)) <= precision * np.abs(made.values).mean(1) * 1.01).all()


def test_errors_of_answers_in_half_precision_cover(setting, faster):
    made = [asked(setting, 0.15, seed) for seed in range(12)]
    z = np.stack([(m.values - setting[3]) / m.error for m in made])
    # 1152 values; those of a row share their draws, so as if 144: two and a half errors of a share of 95 % are .045
    assert (np.abs(z) < 1.96).mean() >= 0.905
    assert 0.5 < np.sqrt((z**2).mean()) < 1.25


def test_equal_seeds_give_equal_bits(setting, faster):
    one, two = asked(setting, 0.1), asked(setting, 0.1)
    assert np.array_equal(one.values, two.values)
    assert np.array_equal(one.error, two.error)


def test_a_precise_answer_uses_full_precision(setting, faster):
    made = {}
    for so in (False, True):
        faster(so)
        made[so] = asked(setting, 0.001).values
    assert np.array_equal(made[False], made[True])


def test_a_network_that_fails_in_half_precision_is_asked_in_full(setting, faster):
    net, rows, background, _ = setting

    def strict(parts):
        if parts.element_size() != 4:
            raise RuntimeError("expected m1 and m2 to have the same dtype")
        return net.from_parts(parts)

    other = copy.copy(net)
    other.from_parts = strict
    made = explain(other, rows, background=background, precision=0.1, random_state=0)
    faster(False)
    assert np.array_equal(made.values, asked(setting, 0.1).values)


def test_pieces_have_few_sizes_and_every_row_is_counted_once(setting, faster):
    sizes = {network_paths._round_size(games, 18, 8192) % 455 for games in range(1, 3000)}
    assert len(sizes) <= 16
    assert all(games <= network_paths._round_size(games, 18, 8192) < 2 * games + 57 for games in range(1, 3000))
    net, rows, background, _ = setting
    view = View(net)
    engine = CoalitionEngine(view, rows, background, Players.of(net.columns))
    local, before = np.random.default_rng(0).random((13, 4, 8)) < 0.5, view.n_calls
    engine.play([Lot(np.arange(13) % 12, np.arange(13), np.tile(np.arange(8), (13, 1)), local, np.ones(13, bool))])
    assert view.n_calls == before + 13 * 4
