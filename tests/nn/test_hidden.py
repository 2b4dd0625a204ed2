"""Hidden states by layer, of single networks and of stacks, through the estimator and back from disk."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pellucid as pld
from pellucid.errors import RequestError
from pellucid.nn.cells import Cells, CellSizes
from pellucid.nn.hidden import layer_names, layer_state
from pellucid.nn.table_net import TableNet
from pellucid.protocols import HiddenPredictor
from pellucid.testing.mixed import FEATURES, mixed


def net(backbone: str, **options) -> tuple[TableNet, Cells]:
    sizes = CellSizes(3, [np.linspace(-1, 1, 5)] * 2, (4,), 0, [0, 1], [2], [], ("a", "b", "c"))
    made = TableNet(sizes, backbone, 2, d_token=8, options=options).eval()
    rng = torch.Generator().manual_seed(0)
    numbers = torch.randn(6, 2, generator=rng)
    return made, Cells(numbers, torch.zeros(6, 2, dtype=torch.bool), torch.randint(0, 4, (6, 1), generator=rng), torch.zeros(6, 0))


@pytest.mark.parametrize("backbone", ["mlp", "tabm", "resnet", "ft_transformer", "tabm_additive", "autoint"])
def test_every_layer_has_a_state_per_row(backbone):
    made, cells = net(backbone)
    names = layer_names(made)
    assert names[0] == "tokens"
    assert names[-1] == "last"
    assert len(names) >= 3
    with torch.no_grad():
        for name in names:
            whole = layer_state(made, cells, name)
            assert whole.shape[0] == 6
            assert torch.allclose(layer_state(made, cells.take(slice(1, 3)), name), whole[1:3], atol=1e-5)
        out = made.head(layer_state(made, cells, "last").unflatten(1, (made.n_members, -1)))
        assert torch.allclose(out, made(cells), atol=1e-5)
    with pytest.raises(RequestError, match="last"):
        layer_state(made, cells, "nowhere")
    assert not any(m._forward_hooks for m in made.modules())


def test_what_stands_beside_the_hidden_state_is_a_layer_too():
    sizes = CellSizes(2, [np.linspace(-1, 1, 5)] * 2, (), 0, [0, 1], [], [], ("a", "b"))
    made = TableNet(sizes, "tabm_additive", 2, d_token=20, head="blend").eval()
    cells = Cells(torch.randn(6, 2), torch.zeros(6, 2, dtype=torch.bool), torch.zeros(6, 0, dtype=torch.int64), torch.zeros(6, 0))
    names = layer_names(made)
    assert names[-2:] == ("additive", "last")
    with torch.no_grad():
        made.head.share.fill_(1.0)  # all of the answer is the additive model's
        assert torch.allclose(layer_state(made, cells, "additive")[:, None].expand(-1, made.n_members, -1), made(cells), atol=1e-5)
        made.head.share.fill_(0.0)
        made.leave_out_silent()
        assert "additive" not in layer_names(made)
        with pytest.raises(RequestError, match="no layer 'additive'"):
            layer_state(made, cells, "additive")


@pytest.fixture(scope="module")
def fitted():
    frame = mixed(260)
    model = pld.TabularClassifier(backbone="mlp", max_steps=20, verbose=0, random_state=0, keep_rows=100)
    return model.fit(frame[FEATURES], frame["label"]), frame


def test_an_estimator_shows_its_layers_and_keeps_its_labels(fitted, tmp_path):
    model, frame = fitted
    predictor = model.predictor()
    assert isinstance(predictor, HiddenPredictor)
    table = predictor.read(frame.head(30)[FEATURES])
    last = predictor.hidden(table)
    assert last.shape[0] == 30
    assert np.array_equal(last, predictor.hidden(table, "last"))
    kept = predictor.background()
    truth = frame["label"].to_numpy()[kept.index]
    assert list(predictor.background_labels()) == list(truth)
    assert np.allclose(predictor.hidden(table.take(slice(3, 9)), "last"), last[3:9], atol=1e-5)
    model.save(tmp_path / "m.pellucid")
    again = pld.load(tmp_path / "m.pellucid").predictor()
    assert list(again.background_labels()) == list(truth)
    assert np.allclose(again.hidden(table), last, atol=1e-6)


@pytest.mark.parametrize("method", ["nearest_rows", "representer", "influence", "tracin"])
def test_an_estimator_names_its_training_rows(fitted, method):
    model, frame = fitted
    made = model.explain(frame.head(12)[FEATURES], method=method, options={"k": 4}, random_state=0)
    assert made.positions.shape == (12, 4)
    assert set(made.data["target"]) == {"yes", "no"}
    assert not any("not known" in c for c in made.record.caveats)


def test_models_saved_without_labels_still_answer():
    from pathlib import Path

    golden = pld.load(Path(__file__).parent.parent / "golden" / "format1" / "model.pellucid")
    assert golden.predictor().background_labels() is None


def test_numbers_keep_their_unit():
    frame = mixed(260)
    model = pld.TabularRegressor(backbone="mlp", max_steps=20, verbose=0, random_state=0).fit(frame[FEATURES], frame["y"])
    predictor = model.predictor()
    assert np.allclose(predictor.background_labels()[:, 0], frame["y"].to_numpy()[predictor.background().index])
    made = model.explain(frame.head(5)[FEATURES], method="representer", random_state=0)
    assert np.allclose(made.data["target"], predictor.background_labels()[:, 0])
