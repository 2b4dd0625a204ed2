"""Rows that a network keeps: they are part of its state, nobody sees himself, and what is cached is never old."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from pellucid import TabularClassifier, TabularRegressor, load
from pellucid.errors import RequestError
from pellucid.nn.bank import Bank
from pellucid.nn.cells import Cells
from pellucid.nn.hashing import hashed_rows
from pellucid.nn.stack import StackedNet
from pellucid.nn.table_net import TableNet
from pellucid.training.memory import chosen_rows


def _net(sizes, seed: int = 0, **options) -> TableNet:
    return TableNet(sizes, "prototype", 1, d_token=6, head="identity", options={"width": 16, "d_row": 8, **options}, seed=seed)


def _filled(sizes, cells, seed: int = 0, **options) -> TableNet:
    net = _net(sizes, seed, **options).eval()
    net.set_bank(cells, torch.arange(23.0)[:, None], of_classes=False)
    return net


def test_rows_are_the_same_exactly_when_every_cell_is(cells) -> None:
    twice = Cells(*(torch.cat([t, t]) for t in cells))
    assert torch.equal(hashed_rows(twice)[:23], hashed_rows(twice)[23:])
    assert len(set(hashed_rows(cells).tolist())) == 23
    for i, change in enumerate((1e-6, None, 1, 1e-6)):
        moved = [t.clone() for t in cells]
        at = moved[i].view(23, -1)
        at[4, 1] = ~at[4, 1] if change is None else at[4, 1] + change
        differs = hashed_rows(Cells(*moved)) != hashed_rows(cells)
        assert differs.tolist() == [j == 4 for j in range(23)]


def test_equal_values_in_other_columns_are_another_row() -> None:
    empty = torch.zeros(2, 0, 0)
    numbers = torch.tensor([[1.0, 2.0], [2.0, 1.0]])
    cells = Cells(numbers, torch.zeros(2, 2, dtype=torch.bool), torch.zeros(2, 0, dtype=torch.int64), empty)
    assert hashed_rows(cells)[0] != hashed_rows(cells)[1]


def test_a_network_built_anew_takes_over_rows_of_any_number(sizes, cells) -> None:
    net = _filled(sizes, cells)
    other = _net(sizes, seed=5).eval()
    assert other.bank.n_rows != 23
    other.load_state_dict(net.state_dict())
    assert torch.equal(other(cells), net(cells))
    assert other.bank.rows.tolist() == list(range(23))


def test_while_training_a_row_and_its_copies_have_no_weight(sizes, cells) -> None:
    net = _filled(sizes, cells).train()
    twice = Cells(*(torch.cat([t, t]) for t in cells))
    net.set_bank(twice, torch.randn(46, 1), of_classes=False)
    net.backbone.encoder.dropout = 0.0
    net.embedding.levels.dropout = 0.0
    weights = net.named_parts(cells)["weights"]
    own = torch.cat([torch.eye(23), torch.eye(23)], 1).bool()
    assert weights[own].max() == 0
    torch.testing.assert_close(weights.sum(1), torch.ones(23))
    # in evaluation it has the largest one
    assert net.eval().named_parts(cells)["weights"].argmax(1).remainder(23).tolist() == list(range(23))


def test_a_partner_in_a_mixed_row_has_no_weight_either(sizes, cells) -> None:
    net = _filled(sizes, cells).train()
    given = net._remembered(cells, partner=torch.arange(23).roll(1))
    assert torch.equal(given["same"], (torch.eye(23) + torch.eye(23).roll(1, 0)).bool())


def test_a_step_reads_a_sample_without_repetition(sizes, cells) -> None:
    net = _filled(sizes, cells, sampled=10).train()
    torch.manual_seed(0)
    seen = [tuple(net.bank.draw()[1][:, 0].tolist()) for _ in range(5)]
    assert all(len(set(s)) == 10 for s in seen)
    assert len(set(seen)) == 5
    assert net.eval().named_parts(cells)["weights"].shape == (23, 23)


def test_encoded_rows_are_computed_once_and_never_old(sizes, cells) -> None:
    net, count = _filled(sizes, cells), 0
    real = net.encoded_bank

    def counted() -> torch.Tensor:
        nonlocal count
        count += 1
        return real()

    net.encoded_bank = counted
    first = net(cells)
    assert torch.equal(net(cells), first)
    assert count == 1
    with torch.no_grad():
        next(net.backbone.parameters()).add_(0.5)
    changed = net(cells)
    assert count == 2
    assert not torch.equal(changed, first)
    other = _net(sizes).eval()
    other.load_state_dict(net.state_dict())
    assert torch.equal(other(cells), changed)
    net.set_bank(cells, torch.zeros(23, 1), of_classes=False)
    assert net(cells).abs().max() == 0
    assert count == 3


def test_a_gradient_can_be_taken_after_an_answer_in_inference_mode(sizes, cells) -> None:
    net = _filled(sizes, cells)
    with torch.inference_mode():
        net(cells)
    tokens = net.tokens(cells).detach().requires_grad_()
    net.outputs_from_tokens(tokens).sum().backward()
    assert tokens.grad.abs().sum() > 0


def test_a_stack_answers_as_its_networks_alone(sizes, cells) -> None:
    nets = [_filled(sizes, cells, seed=s) for s in (0, 1)]
    nets[1].set_bank(cells, torch.randn(23, 1), of_classes=False)
    alone = torch.cat([n(cells) for n in nets], 1)
    stack = StackedNet(nets).eval()
    torch.testing.assert_close(stack(cells), alone)
    torch.testing.assert_close(stack.single(1)(cells), alone[:, 1:])
    with torch.no_grad():
        for p in stack.parameters():
            p.add_(0.1)
    assert not torch.allclose(stack(cells), alone)
    stack.set_bank(cells, torch.ones(23, 1), of_classes=False)
    torch.testing.assert_close(stack(cells), torch.ones(23, 2, 1))


@pytest.mark.parametrize("backbone", ["prototype", "retrieval"])
@pytest.mark.parametrize("regularizer", ["tangos", "adversarial"])
def test_what_else_is_asked_while_learning_reads_the_kept_rows_too(sizes, cells, backbone, regularizer) -> None:
    nets = [TableNet(sizes, backbone, 1, d_token=6, seed=s, regularizers=((regularizer, ()),)).train() for s in (0, 1)]
    for net in nets:
        net.set_bank(cells, torch.randn(23, 1), of_classes=False)
        net.losses = lambda outputs, target: (outputs[:, 0, 0] - target[:, 0]).square()
    twice = Cells(*(t.expand(2, *t.shape) for t in cells))
    for learned in (nets[0].learn(cells, torch.randn(23, 1)), StackedNet(nets).learn(twice, torch.randn(2, 23, 1))):
        assert torch.isfinite(learned.outputs).all()
        assert torch.isfinite(learned.penalty).all()


def test_unusable_rows_are_refused(sizes, cells) -> None:
    net = _net(sizes)
    with pytest.raises(RequestError, match="rows to keep"):
        net.set_bank(cells, torch.zeros(23), of_classes=False)
    with pytest.raises(RequestError, match="keeps no rows"):
        TableNet(sizes, "mlp").set_bank(cells, torch.zeros(23, 1), of_classes=False)


def test_chosen_rows_have_equal_shares_of_the_classes_as_far_as_they_go() -> None:
    rows = np.arange(100, 1100)
    labels = np.repeat([0, 1, 2], [900, 90, 10])
    chosen = chosen_rows(rows, labels, 100, np.random.default_rng(0))
    assert len(set(chosen)) == 100
    assert np.bincount(labels[chosen - 100]).tolist() == [45, 45, 10]
    assert len(chosen_rows(rows, None, 50, np.random.default_rng(0))) == 50
    assert np.array_equal(chosen_rows(rows, labels, 1000, np.random.default_rng(0)), rows)


def test_the_untrained_network_has_rows_to_read(sizes, cells) -> None:
    bank = Bank(sizes, 2, 10)
    assert bank.codes.max(0).values.lt(torch.tensor(sizes.cardinalities)).all()
    assert bank.rows.eq(-1).all()


def _table(n: int, seed: int = 0) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame({"a": draw.normal(size=n), "b": draw.normal(size=n), "c": draw.choice(list("xyz"), n)})
    frame.loc[draw.random(n) < 0.1, "b"] = np.nan
    return frame


@pytest.mark.parametrize("backbone", ["prototype", "retrieval"])
@pytest.mark.parametrize("task", ["two classes", "three classes", "two numbers"])
def test_models_are_saved_with_their_rows(backbone: str, task: str, tmp_path) -> None:
    frame = _table(300)
    score = frame["a"].to_numpy() + (frame["c"] == "x")
    y = {
        "two classes": np.where(score > 0.3, "yes", "no"),
        "three classes": np.digitize(score, [0.0, 0.7]),
        "two numbers": np.stack([score, -2 * score], 1),
    }[task]
    kind = TabularRegressor if task == "two numbers" else TabularClassifier
    model = kind(backbone=backbone, max_steps=6, random_state=0, verbose=0, threads=1).fit(
        frame, y, sample_weight=np.linspace(0.5, 1.5, 300)
    )
    model.save(tmp_path / "m")
    again = load(tmp_path / "m")
    answer = "predict" if task == "two numbers" else "predict_proba"
    assert np.array_equal(getattr(again, answer)(frame), getattr(model, answer)(frame))
    banks = again.engine_.net.net.bank.rows
    folds = model.plan_.folds
    for g, rows in enumerate(banks):
        assert (folds[rows.numpy()] != g).all()  # a fold's network keeps no row that it is asked about
