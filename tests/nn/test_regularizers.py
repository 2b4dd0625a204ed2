"""What regularizers do to the rows that are learned from, to weights, and to a trained network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pellucid.errors import RequestError
from pellucid.nn.cells import Cells, CellSizes
from pellucid.nn.regularizers.augment import Adversarial, CutMix, MaskColumns, Mixup, Noise, Shares
from pellucid.nn.regularizers.averaging import WeightAveraging
from pellucid.nn.regularizers.base import Mixed
from pellucid.nn.stack import StackedNet
from pellucid.nn.table_net import TableNet
from pellucid.training.averaging import Average
from pellucid.training.loop import fit_network
from pellucid.training.objectives import classification, regression
from pellucid.training.recipe import TrainSettings, builder

STILL = {"category_dropout": 0.0}
EDGES = np.linspace(-2, 2, 5, dtype=np.float32)


def make(sizes, *regularizers: str, **options) -> TableNet:
    given = tuple((name, tuple(options.items())) for name in regularizers)
    own = {"width": 16, "dropout": 0.0}
    return TableNet(sizes, "mlp", 1, d_token=4, options=own, embedding=STILL, regularizers=given).train()


def planted(n: int = 600, columns: int = 4, seed: int = 0) -> tuple[Cells, CellSizes, np.ndarray]:
    x = np.random.default_rng(seed).normal(size=(n, columns))
    t = torch.tensor(x, dtype=torch.float32)
    cells = Cells(t, torch.zeros_like(t, dtype=torch.bool), torch.zeros(n, 0, dtype=torch.int64), torch.zeros(n, 0, 0))
    return cells, CellSizes(columns, (EDGES,) * columns, (), 0, tuple(range(columns)), (), ()), x


def fitted(cells, sizes, y, regularizers=(), **changes):
    settings = TrainSettings(**{
        "backbone": "mlp", "width": 32, "blocks": 2, "d_token": 4, "dropout": 0.0, "batch": 64, "steps": 200, "patience": 99,
        "muon_lr": 0.0, "lr": 5e-3, "regularizers": regularizers, "precision": "fp32", "compile": False, **changes,
    })  # fmt: skip
    every = np.arange(len(y))
    kind = classification(2) if y.dtype == bool else regression(y)
    part = [(every[: len(y) * 4 // 5], every[len(y) * 4 // 5 :])]
    return fit_network(builder(sizes, settings, 1), cells, y.astype(np.int64) if y.dtype == bool else y, None, part, kind, settings,
                       threads=1, device="cpu")  # fmt: skip


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_are_drawn_from_the_beta_distribution(alpha: float) -> None:
    torch.manual_seed(0)
    drawn = Shares(alpha).draw(torch.zeros(200_000)).double()
    assert float(drawn.mean()) == pytest.approx(0.5, abs=0.005)
    assert float(drawn.var()) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.02)
    with pytest.raises(RequestError, match="cannot be drawn"):
        Shares(0.0)


def test_mixup_lies_between_the_two_rows(sizes, cells) -> None:
    net = make(sizes)
    tokens = net.tokens(cells)
    mixed = Mixup(1.0).mix(net, tokens)
    expected = mixed.share[:, None, None] * tokens + (1 - mixed.share[:, None, None]) * tokens[mixed.partner]
    torch.testing.assert_close(mixed.tokens, expected)
    assert sorted(mixed.partner.tolist()) == list(range(23))


def test_cutmix_takes_whole_columns_and_shares_by_their_number(sizes, cells) -> None:
    net = make(sizes)
    tokens = net.tokens(cells)
    mixed = CutMix(1.0).mix(net, tokens)
    own, others = (mixed.tokens == tokens).all(2), (mixed.tokens == tokens[mixed.partner]).all(2)
    assert (own | others).all()
    assert ((own & ~others).float().mean(1) <= mixed.share + 1e-6).all()
    assert (own.float().mean(1) >= mixed.share - 1e-6).all()


def test_hidden_columns_look_missing_whatever_they_hold(sizes, cells) -> None:
    net = make(sizes)
    torch.manual_seed(0)
    many = Cells(*(t.repeat(100, *[1] * (t.ndim - 1)) for t in cells))
    shown = MaskColumns(0.8, share=0.5).change(net, many, None)
    hidden = shown.missing & ~many.missing
    assert float(hidden.float().sum() / (~many.missing).float().sum()) == pytest.approx(0.2, abs=0.03)
    assert (shown.numbers[shown.missing] == 0).all()
    assert set(shown.codes[shown.codes != many.codes].tolist()) == {0}
    whole = (shown.missing == many.missing).all(1) & (shown.codes == many.codes).all(1)
    assert 0.5 <= float(whole.float().mean()) < 0.75, "at least half of the rows are whole"
    columns = torch.zeros(2300, 5, dtype=torch.bool)
    columns[:, 2] = True
    moved = net.tokens(many.without(columns, sizes)) != net.tokens(many)
    assert not moved[:, [0, 1, 3, 4]].any()


@pytest.mark.parametrize("fill", ["rows", "zero"])
def test_masked_columns_hold_cells_of_their_own_column(sizes, fill) -> None:
    net, tokens = make(sizes), torch.arange(400 * 5.0).view(400, 5, 1)
    torch.manual_seed(0)
    changed = MaskColumns(0.8, fill, share=1.0).mix(net, tokens)
    hidden = (changed != tokens)[..., 0]
    assert float(hidden.float().mean()) == pytest.approx(0.4, abs=0.04)
    assert hidden.sum(1).max() >= 4
    if fill == "rows":
        assert (changed.long() % 5 == torch.arange(5)[:, None]).all()
    else:
        assert (changed[hidden] == 0).all()
    with pytest.raises(RequestError, match="cannot be masked"):
        MaskColumns(0.5, "mean")


def test_noise_moves_present_numbers_only(sizes, cells) -> None:
    changed = Noise(0.1).change(make(sizes), cells, None)
    assert (changed.numbers[cells.missing] == 0).all()
    assert (changed.numbers != cells.numbers)[~cells.missing].all()
    assert changed.codes is cells.codes


def test_adversarial_rows_lose_more_and_move_no_further_than_allowed(sizes, cells) -> None:
    net, y = make(sizes), torch.randint(0, 2, (23,))
    net.losses = classification(2).losses
    changed = Adversarial(0.05, share=1.0).change(net, cells, y)
    assert float((changed.numbers - cells.numbers).abs().max()) == pytest.approx(0.05, rel=1e-4)
    assert (changed.numbers == cells.numbers)[cells.missing].all()
    assert net.training
    before, after = (net.losses(net.eval()(c), y).detach() for c in (cells, changed))
    assert float((after - before).mean()) > 0
    assert ((after - before) > -1e-4).float().mean() > 0.9
    leaf = cells.numbers.clone().requires_grad_(True)
    slopes = torch.autograd.grad(net.losses(net(cells._replace(numbers=leaf)), y).sum(), leaf)[0]
    torch.testing.assert_close(Adversarial.slopes(net, cells, y), slopes)
    assert torch.equal((changed.numbers - cells.numbers).sign()[~cells.missing], slopes.sign()[~cells.missing])


@pytest.mark.parametrize("name", ["mixup", "cutmix", "noise", "mask_columns", "adversarial", "orthogonal"])
def test_it_works_for_networks_side_by_side(sizes, cells, name) -> None:
    nets = [make(sizes, name) for _ in range(2)]
    for net in nets:
        net.losses = classification(2).losses
    stack = StackedNet(nets)
    target = torch.randint(0, 2, (2, 23))
    learned = stack.learn(Cells(*(t.expand(2, *t.shape) for t in cells)), target)
    assert learned.outputs.shape == (2, 23, 1, 1)
    (learned.outputs.sum() + learned.penalty.sum()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in stack.parameters())
    if name in ("mixup", "cutmix"):
        assert not torch.equal(learned.partner[0], learned.partner[1])


def test_noise_after_mixup_keeps_the_mixed_answers_and_two_mixes_are_refused(sizes, cells) -> None:
    net = make(sizes, "mixup", "mask_columns")
    made = net._mixed(net.tokens(cells))
    assert isinstance(made, Mixed)
    assert (made.share < 1).any()
    with pytest.raises(RequestError, match="two regularizers mix"):
        make(sizes, "mixup", "cutmix").learn(cells)


def test_orthogonal_is_zero_for_an_isometry_and_brings_singular_values_to_one() -> None:
    cells, sizes, x = planted()
    net = make(sizes, "orthogonal")
    with torch.no_grad():
        for name in net.matrices():
            torch.nn.init.orthogonal_(net.get_parameter(name))
    assert float(net.learn(cells).penalty.max()) < 1e-8
    y = x[:, 0] * x[:, 1]
    free, held = (fitted(cells, sizes, y, given, lr=1e-2) for given in ((), (("orthogonal", (("weight", 10.0),)),)))

    def far(net: TableNet) -> float:
        return max(float((torch.linalg.svdvals(net.get_parameter(n).detach()) - 1).abs().max()) for n in net.matrices())

    assert far(held.net) < 0.1 < far(free.net)


def test_column_masking_makes_removed_columns_nothing_new() -> None:
    cells, sizes, x = planted(1500)
    y = (x[:, 0] + x[:, 1] + 0.5 * x[:, 2]) > 0

    def loss_without_first(fit) -> float:
        other = cells.numbers[torch.randperm(1500, generator=torch.Generator().manual_seed(0)), 0]
        shown = cells._replace(numbers=torch.cat([other[:, None], cells.numbers[:, 1:]], 1))
        with torch.no_grad():
            return float(classification(2).losses(fit.net(shown), torch.from_numpy(y.astype(np.int64)))[1200:].mean())

    masking = (("mask_columns", (("rate", 0.6), ("fill", "rows"), ("share", 1.0))),)
    plain, masked = fitted(cells, sizes, y), fitted(cells, sizes, y, masking)
    assert loss_without_first(masked) < 0.8 * loss_without_first(plain)


def test_averaging_is_the_mean_of_the_last_states() -> None:
    value = torch.zeros(3)
    average = Average({"w": value, "n": torch.zeros((), dtype=torch.int64)}, 0.5)
    for step in range(1, 11):
        value.fill_(float(step))
        average.take(step, 10)
    assert int(average.count) == 5
    with average.shown():
        assert value.tolist() == pytest.approx([8.0] * 3)
    assert value.tolist() == [10.0] * 3


def test_swa_keeps_an_average_resumes_to_the_same_bits_and_costs_no_pass(tmp_path) -> None:
    cells, sizes, x = planted(300)
    y, swa = x[:, 0] * x[:, 1], (("swa", (("share", 0.5),)),)
    plain, averaged = fitted(cells, sizes, y), fitted(cells, sizes, y, swa)
    assert averaged.net.plain, "rows are learned from as without it"
    assert any(not torch.equal(a, b) for a, b in zip(plain.net.parameters(), averaged.net.parameters()))
    again = fitted(cells, sizes, y, swa)
    assert all(torch.equal(a, b) for a, b in zip(again.net.parameters(), averaged.net.parameters()))
    with pytest.raises(RequestError, match="cannot average"):
        WeightAveraging(0.0)


def test_an_interrupted_average_goes_on_to_the_same_bits(tmp_path) -> None:
    from dataclasses import replace

    cells, sizes, x = planted(200)
    y, every = x[:, 0], np.arange(200)
    settings = TrainSettings(
        backbone="mlp", width=16, blocks=2, d_token=4, batch=64, steps=40, patience=99, precision="fp32", compile=False,
        regularizers=(("swa", (("share", 0.8),)),), checkpoint_seconds=0.0,
    )  # fmt: skip

    def fit(settings: TrainSettings, **more):
        given = builder(sizes, settings, 1), cells, y, None, [(every[:150], every[150:])], regression(y), settings
        return fit_network(*given, threads=1, device="cpu", **more)

    whole = fit(settings)

    class Stop(Exception):
        pass

    def stop(step: int, *_: object) -> None:
        if step >= 20:
            raise Stop

    with pytest.raises(Stop):
        fit(settings, checkpoint=tmp_path, progress=stop)
    resumed = fit(replace(settings), checkpoint=tmp_path, resume=True)
    assert all(torch.equal(a, b) for a, b in zip(whole.net.parameters(), resumed.net.parameters()))
