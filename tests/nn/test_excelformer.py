"""ExcelFormer: the order of the columns, the quiet start, the mixes, and the information they need."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch

import pellucid
from pellucid.errors import RequestError
from pellucid.estimators import TabularClassifier, TabularRegressor
from pellucid.estimators.information import column_information
from pellucid.nn.backbones.excelformer import ExcelFormer
from pellucid.nn.cells import Cells, CellSizes
from pellucid.nn.regularizers.mixes import FeatMix, HidMix


def made(rank: tuple[int, ...] | None = None, columns: int = 4, **options) -> ExcelFormer:
    torch.manual_seed(0)
    return ExcelFormer(columns, 8, rank, **{"layers": 2, "heads": 2, **options}).eval()


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


# -- attention along the order -----------------------------------------------------------------------------------------------


def test_a_column_hears_only_columns_at_least_as_informative() -> None:
    rank = (2, 0, 3, 1)
    net, tokens = made(rank), draw(6, 4, 8)
    maps = net.explained(tokens)[1]["attention"]
    assert maps.shape == (6, 2, 2, 4, 4)
    for i in range(4):
        for j in range(4):
            assert bool(maps[..., i, j].any()) == (rank[j] <= rank[i])
    torch.testing.assert_close(maps.sum(-1), torch.ones(6, 2, 2, 4))
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.3 * torch.randn(p.shape))  # away from the quiet start
    moved = tokens.clone()
    moved[:, 0] += 1.0  # place 2: heard by itself and by column 2 (place 3) alone
    seen = []
    net.over_columns.register_forward_hook(lambda module, given, out: seen.append(given[0].mT))
    net(tokens)
    net(moved)
    assert (seen[0] - seen[1]).abs().amax((0, 2)).gt(1e-6).tolist() == [True, False, True, False]


def test_no_order_means_the_declared_one_and_a_wrong_one_is_refused() -> None:
    assert torch.equal(made().forbidden, made((0, 1, 2, 3)).forbidden)
    assert made().forbidden.tolist() == [[j > i for j in range(4)] for i in range(4)]
    with pytest.raises(RequestError, match="one place per column"):
        made((0, 1))
    with pytest.raises(RequestError, match="no multiple of heads"):
        made(heads=3)


def test_the_blocks_start_near_the_identity() -> None:
    net, x = made(layers=3), draw(16, 4, 8)
    out = x
    for layer in net.layers:
        out = layer(out, net.forbidden)[0]
    assert float(((out - x).norm() / x.norm()).detach()) < 0.05
    loud = made(layers=3)
    for layer in loud.layers:
        for part in (layer.joint, layer.gate):
            part.weight.data.mul_(100)  # the usual start
    out = x
    for layer in loud.layers:
        out = layer(out, loud.forbidden)[0]
    assert float(((out - x).norm() / x.norm()).detach()) > 0.3


def test_the_gated_token_is_the_papers_with_a_linear_encoder() -> None:
    x, w, b, v, c = (draw(5, 4, 8)[i] for i in range(5))
    net = made(layers=0)
    net.gate_scale.data, net.gate_shift.data = v / w, c - v / w * b  # tanh(a (w x + b) + d) = tanh(v x + c)
    seen = []
    net.over_columns.register_forward_hook(lambda module, given, out: seen.append(given[0].mT))
    number = x[:, :1]
    net((number * w + b)[None])
    torch.testing.assert_close(seen[0][0], (number * w + b) * torch.tanh(v * number + c), rtol=1e-3, atol=1e-4)


def test_a_masked_column_has_no_influence_and_both_paths_agree() -> None:
    net, tokens = made((2, 0, 3, 1)), draw(6, 4, 8)
    for column in range(4):
        masked = torch.zeros(6, 4, dtype=torch.bool)
        masked[:, column] = True
        given = tokens.clone().requires_grad_()
        hidden, parts = net.explained(given, masked)
        torch.testing.assert_close(hidden, net(given, masked)[0])
        hidden.square().sum().backward()
        assert not given.grad[:, column].any()
        others = [j for j in range(4) if j != column]
        assert given.grad[:, others].abs().amax((0, 2)).gt(0).all()
        assert not parts["attention"][..., others, :][..., column].any()


# -- mixes -------------------------------------------------------------------------------------------------------------------


def test_hid_mix_takes_the_same_entries_of_all_columns_and_shares_as_many() -> None:
    torch.manual_seed(0)
    tokens = draw(400, 3, 64)
    mixed = HidMix(0.5).mix(None, tokens)
    own = mixed.tokens == tokens
    assert torch.equal(own[:, 0], own[:, 1])
    torch.testing.assert_close(mixed.tokens, torch.where(own, tokens, tokens[mixed.partner]))
    other = mixed.partner != torch.arange(400)
    assert float((own[:, 0].float().mean(1) - mixed.share)[other].abs().mean()) < 0.06
    # Beta(.5, .5): mean .5, variance .125
    assert float(mixed.share.mean()) == pytest.approx(0.5, abs=0.06)
    assert float(mixed.share.var()) == pytest.approx(0.125, abs=0.02)


def test_feat_mix_takes_whole_columns_and_weighs_them_by_their_information() -> None:
    torch.manual_seed(0)
    tokens, information = draw(400, 4, 5), (3.0, 1.0, 0.0, 2.0)
    mixed = FeatMix(1.0, information).mix(None, tokens)
    own = (mixed.tokens == tokens).all(2)
    assert torch.equal(own, (mixed.tokens == tokens).any(2))
    other = mixed.partner != torch.arange(400)
    expected = (own * torch.tensor(information)).sum(1) / 6
    torch.testing.assert_close(mixed.share[other], expected[other])
    for none in (None, (0.0, 0.0, 0.0, 0.0)):
        mixed = FeatMix(1.0, none).mix(None, tokens)
        own = (mixed.tokens == tokens).all(2).float().mean(1)
        torch.testing.assert_close(mixed.share[mixed.partner != torch.arange(400)], own[mixed.partner != torch.arange(400)])
    with pytest.raises(RequestError, match="beta"):
        HidMix(0.0)


# -- the estimators tell the order -------------------------------------------------------------------------------------------


def table(n: int = 1000) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"noise": rng.normal(size=n), "strong": rng.normal(size=n), "level": rng.choice(["a", "b", "c"], n)})
    return frame, 3 * frame["strong"].to_numpy() + 3 * (frame["level"] == "a").to_numpy() + 0.1 * rng.normal(size=n)


@pytest.mark.parametrize("task", ["numbers", "classes"])
def test_the_order_is_found_on_the_training_rows_and_kept_with_the_model(task: str, tmp_path) -> None:
    frame, y = table()
    kind, y = (TabularRegressor, y) if task == "numbers" else (TabularClassifier, np.where(y > 1, "high", "low"))
    model = kind(backbone="excelformer", max_steps=5, random_state=0, verbose=0, threads=1, regularizers={"feat_mix": {}}).fit(frame, y)
    settings = model.engine_.settings
    rank = dict(settings.options)["rank"]
    assert rank[1] == 0
    assert rank[0] == 2
    ((name, given),) = settings.regularizers
    information = dict(given)["information"]
    assert name == "feat_mix"
    assert information[1] > information[2] > information[0] >= 0
    json.dumps(settings.describe())
    model.save(tmp_path / "m")
    again = pellucid.load(tmp_path / "m")
    np.testing.assert_array_equal(again.predict(frame), model.predict(frame))


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_information_is_that_of_the_closed_form_and_names_without_repeats_tell_nothing(task: str) -> None:
    rng, n = np.random.default_rng(0), 4000
    x = rng.normal(size=n)
    y = x + rng.normal(size=n)
    level, names = rng.integers(2, 4, n), rng.permutation(n) + 2
    y = y if task == "regression" else np.where(rng.random(n) < 0.9, level - 2, 3 - level)
    codes = torch.from_numpy(np.stack([level, names], 1))
    cells = Cells(torch.from_numpy(x[:, None].astype(np.float32)), torch.zeros(n, 1, dtype=torch.bool), codes, torch.zeros(n, 0, 0))
    sizes = CellSizes(3, (np.array([-1.0, 1.0], np.float32),), (4, n + 2), 0, (1,), (0, 2), ())
    found = column_information(cells, sizes, y, np.arange(n), task, 0)
    if task == "regression":  # two normals of correlation sqrt(1/2)
        np.testing.assert_allclose(found, [0, np.log(2) / 2, 0], atol=0.03)
    else:  # a symmetric channel that errs one time in ten
        np.testing.assert_allclose(found, [np.log(2) + 0.9 * np.log(0.9) + 0.1 * np.log(0.1), 0, 0], atol=0.03)


def test_an_order_of_the_users_own_stays() -> None:
    frame, y = table()
    model = TabularRegressor(
        backbone="excelformer", max_steps=2, random_state=0, verbose=0, threads=1, backbone_options={"rank": (0, 1, 2)},
        regularizers={"hid_mix": {"beta": 1.0}},
    ).fit(frame, y)  # fmt: skip
    assert dict(model.engine_.settings.options)["rank"] == (0, 1, 2)
