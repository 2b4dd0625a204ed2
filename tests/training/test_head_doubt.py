"""Draws of last layers and of the share: against the law by hand, through networks of every kind, and under a clock."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import pellucid as pld
from pellucid.nn.beside import DRAWS
from pellucid.nn.heads import BlendHead
from pellucid.training.head_doubt import Halves, share_draws, share_losses, weight_draws
from pellucid.training.objectives import classification, regression


def _halves(n: int, k: int = 2, o: int = 1, seed: int = 0, classes: bool = False) -> Halves:
    draw = torch.Generator().manual_seed(seed)
    phi = torch.cat([torch.randn(n, k, 5, generator=draw, dtype=torch.float64), torch.ones(n, k, 1, dtype=torch.float64)], 2)
    deep = torch.randn(n, k, o, generator=draw, dtype=torch.float64)
    target = torch.randint(0, max(o, 2), (n,), generator=draw) if classes else torch.randn(n, o, generator=draw)
    return Halves(phi, deep, deep.mean(1), torch.rand(n, generator=draw, dtype=torch.float64) * 2, target, 4 * n)


@pytest.mark.parametrize(("classes", "o"), [(False, 2), (True, 1), (True, 3)])
def test_draws_of_weights_are_of_the_law_by_hand(classes: bool, o: int, monkeypatch) -> None:
    monkeypatch.setattr("pellucid.training.head_doubt.DRAWS", 4000)
    known = _halves(60, o=o, classes=classes)
    objective = classification(max(o, 2)) if classes else regression(np.random.default_rng(0).normal(size=(9, o)))
    turns = weight_draws(known, None, objective, 0).unflatten(2, (2000, o)).double()
    assert turns.shape == (2, 6, 2000, o)
    assert float(turns.mean(2).abs().max()) < 1e-5
    for k in range(2):
        for j in range(o):
            if classes:
                p = known.deep[:, k].softmax(1)[:, j] if o > 1 else known.deep[:, k, 0].sigmoid()
                told = p if o > 1 else p * (1 - p)
            else:
                off = (known.deep.mean(1)[:, j] - known.target[:, j]).square()
                told = (known.weights.sum() / (known.weights * off).sum()).expand(60)
            law = (known.phi[:, k] * (4 * told * known.weights)[:, None]).T @ known.phi[:, k] + torch.eye(6, dtype=torch.float64)
            seen = torch.cov(turns[k, :, :, j])
            scale = law.inverse().diag().sqrt()
            torch.testing.assert_close(seen / scale / scale[:, None], law.inverse() / scale / scale[:, None], atol=0.1, rtol=0)


def test_draws_of_the_share_are_as_wide_as_the_held_out_rows_leave_open() -> None:
    draw, n = torch.Generator().manual_seed(0), 100
    deep, additive = torch.randn(2, n, generator=draw, dtype=torch.float64)
    y = 0.6 * deep + 0.4 * additive + torch.randn(n, generator=draw, dtype=torch.float64)
    away = Halves(torch.ones(n, 1, 2), deep[:, None, None], additive[:, None], torch.ones(n).double(), y[:, None], n)
    objective = regression(np.array([-1.0, 1.0]))
    losses = share_losses(away, objective)
    draws = share_draws([losses], [n], objective, 4, 0)
    assert float(draws.mean()) == pytest.approx(0, abs=1e-6)
    by_squares = losses.min() ** 0.5 / float((deep - additive).square().sum().sqrt())
    assert float(draws.std(correction=0)) == pytest.approx(by_squares, rel=0.15)
    more = share_draws([losses, losses], [n, n], objective, 4, 0)
    assert float(more.std() / draws.std()) == pytest.approx(0.5**0.5, rel=0.15)
    rows = torch.tensor([[0.3, -1.0], [2.0, 0.5]])
    two = Halves(torch.ones(2, 1, 2), rows[:, :1, None], rows[:, 1:], torch.ones(2).double(), torch.tensor([1, 0]), 2)
    by_hand = np.log1p(np.exp([-0.3, 2.0])).mean()
    assert share_losses(two, classification(2))[0] == pytest.approx(by_hand, rel=1e-6)


@pytest.mark.parametrize("k", [3, 4, 40])
def test_a_head_puts_its_draws_beside_its_members(k: int) -> None:
    torch.manual_seed(0)
    head = BlendHead(k, 5, 2)
    hidden, own, moves = torch.randn(7, k, 5), torch.randn(7, 1), torch.randn(7, DRAWS, 1)
    head.share.fill_(0.3)
    assert not head.turned
    head.turns.normal_()
    head.sways.normal_()
    with torch.no_grad():
        plain, wide = head(hidden, {"additive": own}), head.doubted(hidden, own, moves)
        each = -(-DRAWS // k)
        assert wide.shape == (7, each * k, 2)
        deep = head.linear(hidden)
        for j in (0, 1, k - 1, each * k - 1):
            turn = head.turns.unflatten(2, (each, 2))[j % k, :, j // k]
            expected = plain[:, j % k] + 0.7 * (hidden[:, j % k] @ turn[:-1] + turn[-1])
            expected[:, 0] += 0.3 * moves[:, j % DRAWS, 0] + head.sways[j % DRAWS] * (own[:, 0] - deep[..., 0].mean(1))
            torch.testing.assert_close(wide[:, j], expected, atol=1e-5, rtol=1e-5)


def _table(n: int, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    return pd.DataFrame(x, columns=list("abc")), np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.5 * rng.normal(size=n)


KWARGS = {"backbone": "tabm_additive", "random_state": 0, "verbose": 0, "threads": 1, "max_steps": 30}


@pytest.mark.parametrize("rows", [2000, 300])
def test_answers_do_not_read_the_draws_and_doubt_does(rows: int, tmp_path) -> None:
    (x, y), (new, _) = _table(rows), _table(40, 1)
    model = pld.TabularRegressor(**KWARGS).fit(x, y)
    head = model.engine_.core.head
    head.share.fill_(0.4)
    assert head.turned
    told = model.uncertainty(new)
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(pld.load(tmp_path / "model").uncertainty(new).epistemic, told.epistemic)
    head.turns.zero_()
    head.sways.zero_()
    without = model.uncertainty(new)
    left_out = "what the members' last layers do not know is left out"
    assert left_out in " ".join(without.record.caveats)
    assert left_out not in " ".join(told.record.caveats)
    for name in ("point", "low", "high"):
        np.testing.assert_array_equal(getattr(without, name), getattr(told, name))
    assert without.epistemic.mean() < told.epistemic.mean()


def test_a_clock_that_leaves_no_time_is_told_and_replayed(monkeypatch) -> None:
    x, y = _table(2000)
    monkeypatch.setattr("pellucid.training.loop.time.monotonic", _Late())
    model = pld.TabularRegressor(**KWARGS, time_limit=1000.0).fit(x, y)
    assert not model.engine_.core.head.turned
    assert model.engine_.record["replay"]["tells"] is False
    said = " ".join(model.uncertainty(x.head(5)).record.caveats)
    assert "too small, for the time limit left no time for draws of the last layers" in said
    assert replace(model.engine_.settings, tells=False).tells is False


class _Late:
    """A clock of the loop that has passed every limit once training is over."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> float:
        import sys

        caller = sys._getframe(1)
        return 1e9 if caller.f_code.co_name == "fit_network" and "outputs" not in caller.f_locals and "net" in caller.f_locals else 0.0
