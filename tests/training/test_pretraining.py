"""Filling in hidden cells: what is hidden, what it costs, and that it learns what columns tell of each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from pellucid import TabularClassifier, TabularRegressor
from pellucid.errors import RequestError
from pellucid.nn.cells import Cells, CellSizes
from pellucid.nn.stack import StackedNet
from pellucid.nn.table_net import TableNet
from pellucid.training.loop import fit_network
from pellucid.training.objectives import regression
from pellucid.training.pretraining import Decoder, Pretraining, hide, pretrain
from pellucid.training.recipe import TrainSettings, builder

SETTINGS = TrainSettings(backbone="mlp", width=32, blocks=2, d_token=8, batch=64, muon_lr=0.0, lr=5e-3, precision="fp32", compile=False)
SIZES = CellSizes(4, (np.linspace(-2, 2, 9, dtype=np.float32),) * 2, (5, 4), 0, (0, 2), (1, 3), ())


def related(n: int = 500, seed: int = 0) -> Cells:
    """Two numbers that are nearly one, and two columns of levels that follow their sign and each other."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, generator=g)
    numbers = torch.stack([x, -x + 0.1 * torch.randn(n, generator=g)], 1)
    codes = torch.stack([torch.where(x > 0, 2, 3) + (x > 1).long(), torch.where(x > 0, 2, 3)], 1)
    missing = torch.rand(n, 2, generator=g) < 0.1
    return Cells(numbers.masked_fill(missing, 0), missing, codes, torch.zeros(n, 0, 0))


def net(seed: int = 0, backbone: str = "mlp") -> TableNet:
    return TableNet(SIZES, backbone, 1, d_token=8, options={"width": 32}, seed=seed)


def test_hidden_cells_look_missing_whatever_they_hold() -> None:
    cells = related()
    torch.manual_seed(0)
    shown = hide(cells, SIZES, 0.3)
    hidden = shown.missing & ~cells.missing
    assert float(hidden.float().mean()) == pytest.approx(0.3 * 0.9, abs=0.04)
    assert (shown.numbers[shown.missing] == 0).all()
    assert set(shown.codes[shown.codes != cells.codes].tolist()) == {0}
    assert float((shown.codes == 0).float().mean()) == pytest.approx(0.3, abs=0.04)


def test_the_error_is_that_of_its_definition_and_counts_hidden_known_cells_alone() -> None:
    cells = related(7)
    cells = cells._replace(codes=cells.codes.index_fill(0, torch.tensor([0]), 1))  # an unseen level cannot be filled in
    decoder = Decoder(6, SIZES).requires_grad_(False)
    torch.manual_seed(0)
    hidden, shown = torch.randn(7, 2, 6), hide(cells, SIZES, 0.5)
    error, asked = decoder.errors(hidden, cells, shown)
    assert not asked[0, 2:].any()
    assert not asked[:, :2][cells.missing].any()
    numbers, levels = decoder(hidden)
    row = next(i for i in range(1, 7) if asked[i, 2])
    p = levels[row, :, 0].softmax(-1)[:, cells.codes[row, 0]]
    assert float(error[row, 2]) == pytest.approx(float(-p.log().mean() / np.log(3)), rel=1e-5)
    assert float(error[row, 0]) == pytest.approx(float((numbers[row, :, 0] - cells.numbers[row, 0]).square().mean()), rel=1e-5)
    assert (levels.softmax(-1)[..., :2] == 0).all()
    assert (levels.softmax(-1)[:, :, 1, 4:] == 0).all()


def test_the_trivial_error_is_variance_and_entropy() -> None:
    cells = related(4000)
    cells = cells._replace(missing=torch.zeros_like(cells.missing))
    torch.manual_seed(0)
    shown = hide(cells, SIZES, 0.5)
    share = [np.bincount(c, minlength=5)[2:] / 4000 for c in cells.codes.T.numpy()]
    entropy = [-(s[s > 0] * np.log(s[s > 0])).sum() / unit for s, unit in zip(share, (np.log(3), np.log(2)))]
    variance = cells.numbers.var(0).tolist()
    assert float(Decoder(4, SIZES).trivial(cells, shown)) == pytest.approx(np.mean([*variance, *entropy]), rel=0.03)


@pytest.mark.parametrize("backbone", ["mlp", "stack"])
def test_it_fills_in_better_than_means_and_level_shares(backbone: str) -> None:
    cells = related()
    made = StackedNet([net(0), net(1)]) if backbone == "stack" else net()
    before = {n: p.clone() for n, p in made.named_parameters()}
    parts = [np.arange(400), np.arange(100, 500)][: 2 if backbone == "stack" else 1]
    found = pretrain(made, cells, parts, Pretraining(SIZES, steps=150), SETTINGS, 0, 99)
    assert found["steps"] == [150] * len(parts)
    assert all(loss < 0.6 * trivial for loss, trivial in zip(found["loss"], found["trivial"]))
    for name, value in made.named_parameters():
        assert torch.equal(value, before[name]) == ("head" in name), name
    if backbone == "mlp":
        again = net()
        pretrain(again, cells, parts, Pretraining(SIZES, steps=150), SETTINGS, 0, 99)
        assert all(torch.equal(a, b) for a, b in zip(again.parameters(), made.parameters()))


def test_unrelated_columns_cannot_be_filled_in() -> None:
    g = torch.Generator().manual_seed(0)
    known, codes = torch.zeros(500, 2, dtype=torch.bool), torch.randint(2, 4, (500, 2), generator=g)
    cells = related(500)._replace(numbers=torch.randn(500, 2, generator=g), codes=codes, missing=known)
    held = Cells(*(t[:250] for t in cells))
    found = pretrain(net(), held, [np.arange(250)], Pretraining(SIZES, steps=60), SETTINGS, 0, 99)
    assert found["loss"][0] > 0.7 * found["trivial"][0]


def test_unlabelled_rows_are_read_and_the_clock_is_kept() -> None:
    few, many = related(20), related(800, 1)
    alone = pretrain(net(), few, [np.arange(20)], Pretraining(SIZES, steps=100), SETTINGS, 0, 99)
    helped = net()
    found = pretrain(helped, few, [np.arange(20)], Pretraining(SIZES, many, steps=100), SETTINGS, 0, 99)
    assert (alone["unlabelled"], found["unlabelled"]) == (0, 800)
    passes = pretrain(net(), few, [np.arange(20)], Pretraining(SIZES, many), SETTINGS, 0, 5)
    assert passes["steps"] == [4 * 13], "many rows are passed over four times, however short the fit: 13 batches of 64"
    assert pretrain(net(), few, [np.arange(20)], Pretraining(SIZES, many), SETTINGS, 0, 70)["steps"] == [70]
    assert pretrain(net(), few, [np.arange(20)], Pretraining(SIZES), SETTINGS, 0, 99, deadline=0.0)["steps"] == [0]


def test_a_checkpoint_belongs_to_its_pretraining(tmp_path) -> None:
    cells, every = related(200), np.arange(200)
    y = cells.numbers[:, 0].double().numpy()
    settings = replace(SETTINGS, steps=30, checkpoint_seconds=0.0)

    def fit(given: Pretraining | None, folder, resume: bool = True, **more):
        parts, kind = [(every[:150], every[150:])], regression(y)
        build = builder(SIZES, settings, 1)
        return fit_network(
            build, cells, y, None, parts, kind, settings, threads=1, device="cpu", checkpoint=folder, resume=resume,
            pretraining=given, **more,
        )  # fmt: skip

    asked = Pretraining(SIZES, related(50, 1), steps=5)
    first = fit(asked, tmp_path / "a")
    again = fit(asked, tmp_path / "a")
    assert all(torch.equal(a, b) for a, b in zip(first.net.parameters(), again.net.parameters()))
    assert again.record["pretraining"]["unlabelled"] == 50, "a fit that goes on tells of its pretraining"
    others = [
        None, Pretraining(SIZES), Pretraining(SIZES, related(50, 1), steps=6), Pretraining(SIZES, related(50, 2), steps=5),
        Pretraining(SIZES, related(50, 1), steps=5, rate=0.5),
    ]  # fmt: skip
    for other in others:
        with pytest.raises(RequestError, match="another fit"):
            fit(other, tmp_path / "a")
    anew = fit(None, tmp_path / "a", resume=False)
    assert "pretraining" not in anew.record
    assert not all(torch.equal(a, b) for a, b in zip(first.net.parameters(), anew.net.parameters()))


def frame(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    return pd.DataFrame({"a": x, "b": -x + 0.1 * rng.normal(size=n), "c": np.where(x > 0, "up", "down"), "y": (x > 0.2).astype(float)})


def test_estimators_take_true_steps_a_table_and_rows_without_a_target(tmp_path) -> None:
    quick = {"backbone": "mlp", "verbose": 0, "threads": 1, "random_state": 0, "max_steps": 40}
    whole, more = frame(150, 0), frame(300, 1)
    found = TabularClassifier(pretrain=True, **quick).fit(whole, target="y").record_["training"]["pretraining"]
    assert found["unlabelled"] == 0
    assert len(found["steps"]) == 5
    asked = TabularClassifier(pretrain=7, **quick).fit(whole, target="y")
    assert asked.record_["training"]["pretraining"]["steps"] == [7] * 5
    given = TabularClassifier(pretrain=more.drop(columns="y"), **quick).fit(whole, target="y")
    assert given.record_["training"]["pretraining"]["unlabelled"] == 300
    given.save(tmp_path / "m")
    more["y"] = np.nan
    both = TabularRegressor(pretrain=True, **quick).fit(pd.concat([whole, more], ignore_index=True), target="y")
    assert both.record_["training"]["pretraining"]["unlabelled"] == 300
    assert "300 rows without a target were left out" in both.record_["caveats"]
    with pytest.raises(RequestError, match="pretrain"):
        TabularClassifier(pretrain="yes", **quick).fit(whole, target="y")
    with pytest.raises(RequestError, match="for networks"):
        TabularClassifier(pretrain=True, **{**quick, "backbone": "linear"}).fit(whole, target="y")
