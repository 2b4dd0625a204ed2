"""Three ways of evaluating composed rows give one answer; nothing is evaluated twice."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from pellucid.errors import RequestError
from pellucid.probe.coalition import CoalitionEngine
from pellucid.probe.composing import Lot
from pellucid.probe.masker import Players
from pellucid.probe.view import View
from pellucid.testing.predictors import FunctionPredictor, fit_network, made_frame, made_table

GROUPS = (None, {"g": ["x2", "c1"]})


@pytest.fixture(scope="module")
def setting():
    table = made_table(made_frame(40, 3, (3, 2), missing=0.1))
    return fit_network(table, np.arange(40.0) % 7, steps=20), table.take(slice(0, 6)), table.take(slice(6, 16))


class Tokens:
    """The same network, but one whose later stages read every part."""

    def __init__(self, net):
        vars(self).update({n: getattr(net, n) for n in dir(net) if not n.startswith("__")})  # protocols look at what an object holds
        self.additive = False


class Box:
    """The same network as a black box."""

    def __init__(self, net):
        self.columns, self.outputs, self.classes, self.task, self.scale = net.columns, net.outputs, net.classes, net.task, net.scale
        self.raw, self.background = net.raw, net.background


def composed(net, rows, background, players, row, back, z):
    """Compose the rows one cell at a time."""
    mixed = background.take(back)
    for j, name in enumerate(net.columns):
        own = rows.frame[name].iloc[row].to_numpy(object)
        cells = mixed.frame[name].to_numpy(object).copy()
        here = z[:, players.of_column[j]]
        cells[here] = own[here]
        mixed = mixed.with_cells({name: cells})
    return net.raw(mixed)


@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize("kind", [lambda n: n, Tokens, Box])
def test_all_paths_agree_with_rows_composed_by_hand(setting, kind, groups):
    net, rows, background = setting
    view, players = View(kind(net)), Players.of(net.columns, groups)
    assert view.differentiable == (kind is not Box)
    engine = CoalitionEngine(view, rows, background, players)
    draw = np.random.default_rng(0)
    row, back = draw.integers(0, 6, 300), draw.integers(0, 10, 300)
    z = draw.random((300, len(players))) < 0.5
    np.testing.assert_allclose(engine.evaluate(row, back, z), composed(net, rows, background, players, row, back, z), atol=1e-9)
    np.testing.assert_allclose(engine.full, net.raw(rows))
    np.testing.assert_allclose(engine.empty, net.raw(background))


@pytest.mark.parametrize("kind", [lambda n: n, Tokens, Box])
@pytest.mark.parametrize("memory", [2**14, 2**28])
def test_the_memory_bound_changes_nothing(setting, kind, memory):
    net, rows, background = setting
    players = Players.of(net.columns)
    z = np.random.default_rng(1).random((500, len(players))) < 0.5
    row, back = np.arange(500) % 6, np.arange(500) % 10
    bounded = CoalitionEngine(View(kind(net)), rows, background, players, memory=memory).evaluate(row, back, z)
    np.testing.assert_allclose(bounded, CoalitionEngine(View(kind(net)), rows, background, players).evaluate(row, back, z), atol=1e-9)


def test_equal_rows_are_evaluated_once_and_counted():
    table = made_table({"a": [1.0, 2.0], "b": [5.0, 5.0]})
    model = FunctionPredictor(lambda m: m.sum(1), table)
    view = View(model)
    engine = CoalitionEngine(view, table.take([0]), table.take([1]), Players.of(("a", "b")))
    assert view.n_calls == model.rows_asked == 2
    assert engine.differ(np.array([0]), np.array([0])).tolist() == [[True, False]]
    z = np.array([[True, False], [True, True], [False, True], [False, False]])
    zeros = np.zeros(4, int)
    assert engine.evaluate(zeros, zeros, z)[:, 0].tolist() == [6, 6, 7, 7]
    assert view.n_calls == 2  # the row and the background row are known already


def test_the_cache_spans_calls_until_forgotten(setting):
    net, rows, background = setting
    view = View(net)
    engine = CoalitionEngine(view, rows, background, Players.of(net.columns))
    z = np.eye(len(net.columns), dtype=bool)
    row = back = np.zeros(len(z), int)
    first = engine.evaluate(row, back, z)
    calls = view.n_calls
    np.testing.assert_array_equal(engine.evaluate(row, back, z), first)
    assert view.n_calls == calls
    engine.forget()
    engine.evaluate(row, back, z)
    assert view.n_calls > calls


def test_means_over_the_background(setting):
    net, rows, background = setting
    engine = CoalitionEngine(View(net), rows, background, Players.of(net.columns))
    z = np.zeros((3, len(net.columns)), bool)
    row = np.array([0, 1, 2])
    np.testing.assert_allclose(engine.mean_over_background(row, z), np.tile(engine.empty.mean(0), (3, 1)))
    weights = np.eye(10)[[4, 5, 6]]
    np.testing.assert_allclose(engine.mean_over_background(row, z, weights), engine.empty[[4, 5, 6]])


def some_lots(draw, p, pairs=23):
    """Two lots: coalitions of each pair's own, and the same coalitions in all pairs."""
    row, back = draw.integers(0, 6, pairs), draw.integers(0, 10, pairs)
    few = np.sort(np.argsort(draw.random((pairs, p)), axis=1)[:, : p - 1], axis=1)
    return [Lot(row, back, few, draw.random((pairs, 5, p - 1)) < 0.5), Lot(row, back, few[:, :2], np.eye(2, dtype=bool))]


@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize("kind", [lambda n: n, Tokens, Box])
@pytest.mark.parametrize("memory", [2**14, 2**28])
def test_what_is_played_is_what_is_evaluated(setting, kind, groups, memory):
    net, rows, background = setting
    players = Players.of(net.columns, groups)
    lots = some_lots(np.random.default_rng(3), len(players))
    view = View(kind(net))
    engine, other = (CoalitionEngine(v, rows, background, players, memory=memory) for v in (view, View(kind(net))))
    before = view.n_calls
    for lot, values in zip(lots, engine.play(lots), strict=True):
        z = lot.coalitions(len(players))
        m = z.shape[1]
        flat = other.evaluate(np.repeat(lot.row, m), np.repeat(lot.back, m), z.reshape(-1, len(players)))
        np.testing.assert_allclose(values, flat.reshape(len(z), m, -1), atol=1e-6)
    assert view.n_calls > before
    assert engine.play([]) == []


@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize("kind", [lambda n: n, Tokens])
def test_rises_are_slopes_times_differences(setting, kind, groups):
    net, rows, background = setting
    players = Players.of(net.columns, groups)
    view = View(kind(net))
    at_row, at_back = CoalitionEngine(view, rows, background, players).rises(np.arange(6), np.array([1, 4]))
    parts, other = (view.parts(view.tokens(t)).detach() for t in (rows, background))
    for p in range(len(players)):
        mine = torch.as_tensor(players.of_column == p)[None, :, None]
        for k, b in enumerate((1, 4)):
            step = 1e-3 * mine * (parts - other[b])
            for made, point in ((at_row[:, k, p], parts), (at_back[:, k, p], other[b].expand_as(parts))):
                slope = (view.from_parts(point + step) - view.from_parts(point - step)) / 2e-3
                np.testing.assert_allclose(made, slope.detach().numpy(), atol=2e-2 * float(np.abs(at_row).max()))
    assert CoalitionEngine(View(Box(net)), rows, background, players).rises(np.arange(2), np.arange(2)) is None


@pytest.mark.parametrize("kind", [lambda n: n, Tokens])
def test_rows_that_lend_each_other_cells_are_asked_for_their_slopes_once(setting, kind):
    net, rows, _ = setting
    players, ends, calls = Players.of(net.columns, None), [], []
    for background in (rows, rows.take(np.arange(len(rows)))):
        view = View(kind(net))
        engine = CoalitionEngine(view, rows, background, players)
        before = view.n_calls
        ends.append(engine.rises(np.array([2, 0]), np.array([1, 3, 4])))
        engine.rises(np.array([1]), np.array([0]))
        calls.append(view.n_calls - before)
    assert calls == [len(rows), len(rows) + 3]
    for one, other in zip(*ends):
        np.testing.assert_allclose(one, other, atol=1e-5 * float(np.abs(other).max()))


def test_what_cannot_end_in_its_seconds_is_refused_before_it_begins(setting):
    net = setting[0]

    class Slow(Box):
        def __init__(self, net):
            super().__init__(net)
            self.raw = lambda table: time.sleep(2e-4 * len(table)) or net.raw(table)

    table, view = made_table(made_frame(60, 3, (3, 2))), View(Slow(net))
    engine = CoalitionEngine(view, table, table.take(slice(0, 50)), Players.of(net.columns, None))
    draw = np.random.default_rng(0)
    row, z = draw.integers(0, 60, 12_000), draw.random((12_000, 5)) < 0.5
    for ask in (lambda: engine.evaluate(row, draw.integers(0, 50, 12_000), z), lambda: engine.mean_over_background(row[:600], z[:600])):
        view.until, before = time.perf_counter() + 0.3, view.n_calls
        with pytest.raises(RequestError, match="time budget does not reach"):
            ask()
        assert view.n_calls - before < 3000
        engine.forget()
    view.until = time.perf_counter() + 600.0  # what fits is answered as without seconds
    within = engine.mean_over_background(row[:250], z[:250])
    view.until = np.inf
    np.testing.assert_array_equal(within, engine.mean_over_background(row[:250], z[:250]))
