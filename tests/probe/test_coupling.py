"""Terms of two columns stand beside the parts of an additive network: the same answers, and parts that do not grow with the pairs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

import pellucid as pld
from pellucid.errors import PellucidWarning
from pellucid.explain import row_games
from pellucid.nn.backbones import additive
from pellucid.nn.coupling import added_up
from pellucid.probe.coalition import CoalitionEngine, Lot
from pellucid.probe.masker import Players
from pellucid.probe.view import View

SMALL = {"members": 2, "width": 16}


@pytest.fixture(scope="module")
def fitted():
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(size=(400, 5)), columns=list("abcde")).assign(f=draw.choice(list("xyz"), 400))
    frame.loc[draw.random(400) < 0.1, "b"] = np.nan
    y = frame["a"] * frame["c"] + (frame["f"] == "x") * frame["d"] + np.sin(frame["e"])
    model = pld.TabularRegressor(
        backbone="tabm_additive", backbone_options=SMALL, keep_rows=50, max_steps=10, random_state=0, verbose=0, threads=1
    ).fit(frame, y)
    return model, frame


def with_share(model, share):
    """Return the predictor of the model, the additive half's share set."""
    model.engine_.core.head.share.fill_(share)
    model.engine_.core.leave_out_silent()
    return model.predictor()


def by_hand(net, table, row, back, z):
    known = {c: table.frame[c].to_numpy(object) for c in net.columns}
    frame = pd.DataFrame({c: np.where(z[:, j], known[c][row], known[c][back]) for j, c in enumerate(net.columns)})
    frame = frame.astype({c: table.frame[c].dtype for c in net.columns})
    return net.raw(net.read(frame))


@pytest.mark.parametrize("groups", [None, {"g": ["a", "c"], "h": ["d", "f"]}])
@pytest.mark.parametrize("memory", [256 * 2**20, 4 * 2**10])  # parts kept; made for each game
@pytest.mark.parametrize("share", [0.5, 1.0])
def test_composed_rows_are_answered_as_rows_with_those_cells(fitted, groups, memory, share):
    model, frame = fitted
    net = with_share(model, share)
    table, players = net.read(frame.head(12)), Players.of(net.columns, groups)
    rows, background = table.take(slice(0, 4)), table.take(slice(4, 12))
    engine, draw, p = CoalitionEngine(View(net), rows, background, players, memory), np.random.default_rng(1), len(players)
    row, back = np.repeat([0, 1, 3], 9), np.repeat([2, 7, 4], 9)
    z = draw.random((27, p)) < 0.5
    truth = by_hand(net, table, row, back + 4, z[:, players.of_column])
    size = np.abs(truth).max()
    np.testing.assert_allclose(engine.evaluate(row, back, z), truth, atol=2e-5 * size)
    alone = np.arange(27) % 4, np.arange(27) % 8  # many pairs of one coalition each
    np.testing.assert_allclose(
        engine.evaluate(*alone, z), by_hand(net, table, alone[0], alone[1] + 4, z[:, players.of_column]), atol=2e-5 * size
    )
    lot = Lot(np.array([0, 1, 3]), np.array([2, 7, 4]), np.tile(np.arange(p), (3, 1)), z.reshape(3, 9, p))
    np.testing.assert_allclose(engine.play([lot])[0].reshape(27, -1), truth, atol=2e-5 * size)


def test_slopes_at_both_ends_tell_what_an_additive_model_gives_each_column(fitted):
    model, frame = fitted
    net = with_share(model, 1.0)
    table = net.read(frame.head(6))
    players = Players.of(net.columns, None)
    engine = CoalitionEngine(View(net), table.take([0, 1]), table.take([2, 3, 4, 5]), players)
    of_row, of_back = engine.rises(np.arange(2), np.arange(4))
    p = len(players)
    for r in range(2):
        for b in range(4):
            first = engine.evaluate(np.full(p, r), np.full(p, b), np.eye(p, dtype=bool))[:, 0] - engine.empty[b, 0]
            last = engine.full[r, 0] - engine.evaluate(np.full(p, r), np.full(p, b), ~np.eye(p, dtype=bool))[:, 0]
            # two columns act together at most: the mean of what a column adds first and last is its value
            np.testing.assert_allclose((of_row[r, b, :, 0] + of_back[r, b, :, 0]) / 2, (first + last) / 2, atol=1e-4)


def test_parts_do_not_grow_with_the_pairs_and_a_half_without_a_share_is_left_out(fitted):
    model, frame = fitted
    core, rows = model.engine_.core, frame.head(30)
    net, table = with_share(model, 0.5), model.predictor().read(rows)
    deep = SMALL["members"] * SMALL["width"]
    assert len(core.backbone.own.pairs) > 5
    assert core.part_width == deep + 1
    assert net.parts(net.tokens(table)).shape == (30, 6, model.engine_.n_folds * (deep + 1))
    core.head.share.fill_(0.0)
    before, wide = model.predict(rows), net.tokens(table).shape[2]
    net = with_share(model, 0.0)
    tokens = net.tokens(table)
    assert net.couplings is None
    assert tokens.shape[2] == wide - model.engine_.n_folds * core.backbone.front
    assert net.parts(tokens).shape == (30, 6, model.engine_.n_folds * deep)
    np.testing.assert_allclose(model.predict(rows), before, rtol=1e-6, atol=1e-6)
    with_share(model, 0.5)


def test_reasons_are_those_of_the_model_as_a_black_box(fitted):
    model, frame = fitted
    with_share(model, 0.5)
    own = model.explain(frame.head(3), background=frame.tail(20), method="shapley_exact")
    foreign = pld.explain(model.predict, frame.head(3), background=frame.tail(20), method="shapley_exact")
    np.testing.assert_allclose(own.values, foreign.values, atol=1e-4)


@pytest.fixture(scope="module")
def wide():
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(size=(120, 40)), columns=[f"c{i}" for i in range(40)])
    model = pld.TabularRegressor(backbone="mlp", keep_rows=40, max_steps=10, random_state=0, verbose=0, threads=1)
    return model.fit(frame, frame["c0"] * frame["c1"]), frame


def test_a_long_wait_is_told_before_it_begins(wide, monkeypatch):
    model, frame = wide
    monkeypatch.setattr(row_games, "LONG", 0.0)
    monkeypatch.setattr(row_games, "FORETOLD", 0)
    with pytest.warns(PellucidWarning, match=r"2 rows of 40 columns cost up to [\d,]+ model rows, about .*budget='60s'"):
        first = model.explain(frame.head(2), random_state=0)
    monkeypatch.undo()
    again = model.explain(frame.head(2), random_state=0)
    np.testing.assert_array_equal(first.values, again.values)
    assert first.n_calls == again.n_calls


def test_wide_rows_are_answered_from_part_of_their_games_and_say_so(wide, monkeypatch):
    model, frame = wide
    usual = model.explain(frame.head(1), random_state=0, precision=0.02, background=frame.tail(24))
    monkeypatch.setattr(row_games, "WIDE", 1.0)
    monkeypatch.setattr(row_games, "MOST_ROWS", 100)
    monkeypatch.setattr(row_games, "KNOWN_ROWS", 100)
    monkeypatch.setattr(row_games, "PRECISION", 1e-6)
    few = model.explain(frame.head(1), random_state=0, background=frame.tail(24))
    assert few.n_calls < 0.7 * usual.n_calls
    assert any("precision=" in c for c in few.record.caveats)
    off = np.abs(few.values - usual.values) / np.sqrt(few.error**2 + usual.error**2 + 1e-12)
    assert np.quantile(off, 0.9) < 3


def test_seconds_that_are_far_from_enough_are_refused_at_once(wide, monkeypatch):
    model, frame = wide
    monkeypatch.setattr(row_games, "FORETOLD", 0)
    monkeypatch.setattr(row_games, "FIRST", 10**9)
    monkeypatch.setattr(row_games.RowGames, "pace", 1.0)
    with pytest.raises(pld.PellucidError, match=r"expected about \d+ s for 2 rows of 40 columns, got 1 s"):
        model.explain(frame.head(2), budget="1s", random_state=0)


def test_what_users_of_other_libraries_look_for_is_named():
    model = pld.TabularRegressor()
    assert not hasattr(model, "feature_importances_")
    with pytest.raises(pld.NotOfferedError, match="permutation_importance"):
        _ = model.feature_importances_
    with pytest.raises(AttributeError, match="no attribute 'importance'"):
        _ = model.importance


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_slopes_do_not_depend_on_what_is_kept(fitted, share):
    model, frame = fitted
    net = with_share(model, share)
    table, players = net.read(frame.head(9)), Players.of(net.columns, {"g": ["a", "d"]})
    engines = [CoalitionEngine(View(net), table.take([0, 1]), table.take(range(2, 9)), players, m) for m in (256 * 2**20, 4 * 2**10)]
    kept, made = (engine.rises(np.arange(2), np.arange(7)) for engine in engines)
    for one, other in zip(kept, made):
        np.testing.assert_allclose(one, other, atol=1e-4 * np.abs(one).max())
    with_share(model, 0.5)


def test_the_sum_of_all_terms_is_that_of_the_terms_whichever_way_it_is_made(fitted):
    model, frame = fitted
    net = with_share(model, 0.5)
    own = model.engine_.core.backbone.own
    bases = net.bases(net.tokens(net.read(frame.head(20)))).detach()
    dense = net.coupled_sum(bases)
    assert len(own.paired) ** 2 <= additive.DENSE * len(own.pairs)  # one matrix holds all tables
    torch.testing.assert_close(dense, net.coupled(bases, bases).sum(1), atol=1e-5, rtol=1e-5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(additive, "DENSE", 0)
        torch.testing.assert_close(net.coupled_sum(bases), dense, atol=1e-5, rtol=1e-5)

    class Plain:  # a network of others need not offer the sum
        coupled = staticmethod(net.coupled)

    torch.testing.assert_close(added_up(Plain(), bases), dense, atol=1e-5, rtol=1e-5)
