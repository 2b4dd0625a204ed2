"""Weighted averages of training rows' answers, votes for and against, and a radius that cannot be broken."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from pellucid import TabularClassifier, TabularRegressor
from pellucid.errors import RequestError
from pellucid.nn.backbones.prototype import SHARE, Prototype, certified_radius, distances, votes
from pellucid.nn.bank import Memory
from pellucid.nn.table_net import TableNet


def _made(n_outputs: int, classes: int = 0, mode: str = "rows", seed: int = 0) -> tuple[Prototype, Memory, torch.Tensor]:
    torch.manual_seed(seed)
    backbone = Prototype(3, 2, n_outputs, width=16, d_row=5, mode=mode).eval()
    tokens = torch.randn(40, 3, 2)
    answers = torch.eye(classes)[torch.arange(40) % classes] if classes else torch.randn(40, n_outputs)
    return backbone, Memory(backbone.remember(tokens).detach(), answers, bool(classes)), torch.randn(9, 3, 2)


def test_weights_equal_their_definition() -> None:
    backbone, memory, tokens = _made(1)
    backbone.log_tau.data.fill_(-0.7)
    raw, parts = backbone(tokens, memory=memory)
    apart = torch.cdist(backbone.encoder(tokens), memory.encoded)
    torch.testing.assert_close(parts["weights"], torch.softmax(-apart / np.exp(-0.7), 1), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(raw[:, 0], parts["weights"] @ memory.answers)


@pytest.mark.parametrize("mode", ["rows", "means"])
@pytest.mark.parametrize("classes", [2, 3])
def test_the_prediction_is_the_sum_of_weights_times_answers(classes: int, mode: str) -> None:
    backbone, memory, tokens = _made(1 if classes == 2 else 3, classes, mode)
    raw, parts = backbone(tokens, memory=memory)
    raw = raw[:, 0]
    p = torch.cat([1 - raw.sigmoid(), raw.sigmoid()], 1) if classes == 2 else raw.softmax(1)
    assert (parts["weights"].sum(1) - 1).abs().max() < 1e-6
    assert (parts["weights"] @ memory.answers - p).abs().max() < 1e-6
    assert parts["weights"].min() >= SHARE / 40 * 0.99


def test_class_means_decide_by_the_nearest_mean() -> None:
    backbone, memory, tokens = _made(3, 3, "means")
    f = backbone.encoder(tokens)
    means = torch.stack([memory.encoded[memory.answers[:, c] > 0].mean(0) for c in range(3)])
    expected = torch.softmax(-torch.cdist(f, means).square(), 1)
    found = backbone(tokens, memory=memory)[0][:, 0].softmax(1)
    torch.testing.assert_close(found, (1 - SHARE) * expected + SHARE * memory.answers.mean(0), rtol=1e-4, atol=1e-5)


def test_a_row_left_out_of_a_class_mean_is_left_out() -> None:
    backbone, memory, tokens = _made(3, 3, "means")
    same = torch.zeros(9, 40, dtype=torch.bool)
    same[:, 7] = True
    _, parts = backbone(tokens, memory=memory, same=same)
    rest = [i for i in range(40) if i != 7]
    _, without = backbone(tokens, memory=Memory(memory.encoded[rest], memory.answers[rest], True))
    torch.testing.assert_close(
        parts["weights"][:, rest] @ memory.answers[rest], without["weights"] @ memory.answers[rest], rtol=1e-3, atol=1e-4
    )


def test_numbers_stay_in_the_range_of_the_kept_answers() -> None:
    backbone, memory, tokens = _made(1)
    raw = backbone(100 * tokens, memory=memory)[0]
    assert memory.answers.min() <= raw.min()
    assert raw.max() <= memory.answers.max()


def test_without_a_row_the_prediction_moves_by_its_weight() -> None:
    """Deleting row i changes the answer by a_i / (1 - a_i) times (answer - its answer)."""
    backbone, memory, tokens = _made(1)
    raw, parts = backbone(tokens, memory=memory)
    a, i = parts["weights"][:, :1], [j for j in range(40) if j]
    without = backbone(tokens, memory=Memory(memory.encoded[i], memory.answers[i], False))[0][:, 0]
    torch.testing.assert_close(without - raw[:, 0], a / (1 - a) * (raw[:, 0] - memory.answers[0]), rtol=1e-3, atol=1e-5)


def test_distances_have_a_gradient_at_zero() -> None:
    f = torch.randn(3, 4, requires_grad=True)
    distances(f, f.detach()).sum().backward()
    assert torch.isfinite(f.grad).all()
    torch.testing.assert_close(distances(f, torch.zeros(1, 4))[:, 0], f.norm(dim=1), rtol=1e-3, atol=1e-3)


def test_no_row_votes_for_and_against_and_the_votes_sum_to_the_lead() -> None:
    backbone, memory, tokens = _made(3, 3)
    weights = backbone(tokens, memory=memory)[1]["weights"]
    p = weights @ memory.answers
    first, second = p.topk(2, 1).indices.T
    found = votes(weights, memory.answers, first, second)
    assert (found.support * found.against).max() == 0
    lead = (found.support - found.against).sum(1)
    torch.testing.assert_close(lead, (p.gather(1, first[:, None]) - p.gather(1, second[:, None]))[:, 0])


@pytest.mark.parametrize("counts", [(20, 20), (36, 4), (18, 18, 4)])
def test_the_certified_radius_is_never_broken_by_a_thousand_attacks(counts: tuple[int, ...]) -> None:
    k = len(counts)
    backbone, memory, tokens = _made(1 if k == 2 else k, k)
    memory = Memory(memory.encoded, torch.eye(k)[torch.repeat_interleave(torch.arange(k), torch.tensor(counts))], True)
    for log_tau in (-3.0, 0.0):
        backbone.log_tau.data.fill_(log_tau)
        weights = backbone(tokens, memory=memory)[1]["weights"]
        own, broken = (weights @ memory.answers).argmax(1), 0
        radius = certified_radius(backbone, weights, memory.answers).float()
        assert (radius > 0).sum() >= 5
        generator = torch.Generator().manual_seed(1)
        for _ in range(1000):
            push = torch.randn(9, 6, generator=generator)
            moved = tokens + (push / push.norm(dim=1, keepdim=True) * radius[:, None]).view(9, 3, 2)
            broken += int(((backbone(moved, memory=memory)[1]["weights"] @ memory.answers).argmax(1) != own).sum())
        assert broken == 0


def test_attacks_along_the_gradient_break_no_radius_of_the_vector_and_some_beyond() -> None:
    """In the vectors' space: steps of the certified length against the decision never turn it, steps of twenty times that turn some."""
    backbone, memory, tokens = _made(1, 2, seed=3)
    f = backbone.encoder(tokens).detach()

    def lead(g: torch.Tensor) -> torch.Tensor:
        weights = (1 - SHARE) * torch.softmax(-distances(g, memory.encoded) / backbone.tau, 1) + SHARE / 40
        p = weights @ memory.answers
        return p[:, 1] - p[:, 0]

    weights = backbone(tokens, memory=memory)[1]["weights"]
    radius = certified_radius(backbone, weights, memory.answers, tokens=False).float()
    turned = []
    for factor in (1.0, 20.0):
        g = f.clone()
        for _ in range(50):
            g.requires_grad_()
            (slope,) = torch.autograd.grad((lead(g) * lead(f).sign()).sum(), g)
            g = (g - 0.1 * factor * radius[:, None] * slope / slope.norm(dim=1, keepdim=True).clamp(min=1e-12)).detach()
            away = g - f
            g = f + away * (factor * radius[:, None] / away.norm(dim=1, keepdim=True).clamp(min=1e-12)).clamp(max=1)
        turned.append(int((lead(g).sign() != lead(f).sign()).sum()))
    assert turned[0] == 0
    assert turned[1] > 0


def test_the_stretch_bounds_how_far_vectors_part() -> None:
    backbone, _, tokens = _made(1)
    a, b = tokens, tokens + 0.01 * torch.randn(9, 3, 2)
    moved = (backbone.encoder(a) - backbone.encoder(b)).norm(dim=1) / (a - b).flatten(1).norm(dim=1)
    assert 0 < float(moved.detach().max()) <= backbone.encoder.lipschitz()


def test_a_class_of_five_rows_is_added_without_training_again(sizes, cells) -> None:
    """Three groups of rows in the plane; the network learns two of them, and tells the third by five rows it keeps."""
    torch.manual_seed(0)
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(300, 2)) * 0.4, columns=["a", "b"])
    place = np.arange(300) % 3
    frame["a"] += np.array([-2.0, 0.0, 2.0])[place]
    frame["b"] += np.array([0.0, 2.0, 0.0])[place]
    known = place < 2
    options = {"mode": "means", "d_row": 8}
    model = TabularClassifier(backbone="prototype", backbone_options=options, max_steps=60, random_state=0, verbose=0, number="linear")
    model.fit(frame[known], place[known])
    engine = model.engine_
    from pellucid.table import apply_schema

    every = engine.cells(apply_schema(frame, model.schema_))
    kept = np.r_[np.flatnonzero(known)[:100], np.flatnonzero(place == 2)[:5]]
    engine.net.set_bank(every.take(torch.from_numpy(kept)), torch.eye(3)[place[kept]], of_classes=True)
    new = np.flatnonzero(place == 2)[5:]
    found = engine.net(every.take(torch.from_numpy(new))).softmax(2).mean(1).argmax(1)
    assert float((found == 2).float().mean()) > 0.6


def test_class_means_of_numbers_are_refused() -> None:
    backbone, memory, tokens = _made(1, mode="means")
    with pytest.raises(RequestError, match="class means need classes"):
        backbone(tokens, memory=memory)
    with pytest.raises(RequestError, match="unknown mode"):
        Prototype(3, 2, 1, mode="medians")
    with pytest.raises(RequestError, match="kept rows alone"):
        certified_radius(backbone, torch.ones(1, 40) / 40, memory.answers)


def test_a_fitted_model_shows_the_rows_it_answers_by() -> None:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(size=(300, 2)), columns=["a", "b"])
    y = (frame["a"] * 3).to_numpy()
    model = TabularRegressor(backbone="prototype", max_steps=60, random_state=0, verbose=0).fit(frame, y)
    from pellucid.table import apply_schema

    net, objective = model.engine_.net, model.engine_.objective
    parts = net.named_parts(model.engine_.cells(apply_schema(frame.iloc[:20], model.schema_)))
    rows = net.net.bank.rows
    named = torch.stack([w.detach().double() @ torch.tensor(y)[r] for w, r in zip(parts["weights"], rows)]).mean(0)
    assert np.abs(named.numpy() - model.predict(frame.iloc[:20])).max() < 1e-5 * objective.scale[0] + 1e-5
    assert isinstance(net.net, TableNet)
    assert np.corrcoef(model.predict(frame), y)[0, 1] > 0.9
