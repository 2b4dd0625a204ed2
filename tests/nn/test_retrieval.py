"""A network that looks rows up: what it reads, and that other rows change its answers without training."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from pellucid import TabularRegressor
from pellucid.nn.backbones.retrieval import Retrieval
from pellucid.nn.bank import Memory
from pellucid.table import apply_schema


def _made(k: int = 6) -> tuple[Retrieval, Memory, torch.Tensor]:
    torch.manual_seed(0)
    backbone = Retrieval(3, 2, 1, width=8, neighbours=k).eval()
    tokens = torch.randn(40, 3, 2)
    return backbone, Memory(backbone.remember(tokens).detach(), torch.randn(40, 1), False), torch.randn(9, 3, 2)


def test_the_nearest_rows_and_no_others_have_weights() -> None:
    backbone, memory, tokens = _made()
    weights = backbone(tokens, memory=memory)[1]["weights"]
    f = backbone.encoder(tokens)
    nearest = torch.cdist(f, memory.encoded).topk(6, largest=False).indices
    assert (weights > 0).sum(1).tolist() == [6] * 9
    assert (weights.gather(1, nearest) > 0).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(9))
    scores = -(f[:, None] - memory.encoded[nearest]).square().sum(2) / 8**0.5
    torch.testing.assert_close(weights.gather(1, nearest), scores.softmax(1), rtol=1e-4, atol=1e-5)


def test_the_context_equals_its_definition() -> None:
    backbone, memory, tokens = _made()
    f = backbone.encoder(tokens)
    weights = backbone(tokens, memory=memory)[1]["weights"]
    apart = f[:, None] - memory.encoded
    says = memory.answers @ backbone.answer.weight.T + torch.relu(backbone.difference(apart)) @ backbone.said
    x = f + (weights[..., None] * says).sum(1) + backbone.answer.bias
    hidden = x + backbone.down(torch.relu(backbone.up(backbone.norm(x))))
    torch.testing.assert_close(backbone(tokens, memory=memory)[0], hidden, rtol=1e-4, atol=1e-5)


def test_rows_that_are_the_same_are_not_retrieved() -> None:
    backbone, memory, tokens = _made()
    same = torch.rand(9, 40, generator=torch.Generator().manual_seed(0)) < 0.5
    assert backbone(tokens, memory=memory, same=same)[1]["weights"][same].max() == 0
    few = torch.ones(9, 40, dtype=torch.bool)
    few[:, :2] = False
    assert backbone(tokens, memory=memory, same=few)[1]["weights"][:, 2:].max() == 0


def test_gradients_reach_the_rows_vectors() -> None:
    backbone, memory, tokens = _made()
    encoded = memory.encoded.clone().requires_grad_()
    backbone(tokens, memory=Memory(encoded, memory.answers, False))[0].square().sum().backward()
    assert encoded.grad.abs().sum() > 0


def test_other_rows_in_the_memory_change_answers_without_training() -> None:
    """The same law with the answers of another period, one higher: the model follows its memory."""
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(size=(300, 2)), columns=["a", "b"])
    y = np.sin(2 * frame["a"]) + frame["b"]
    model = TabularRegressor(backbone="retrieval", max_steps=40, random_state=0, verbose=0, threads=1).fit(frame[:200], y[:200])
    before = model.predict(frame[200:])
    shown = model.engine_.net.named_parts(model.engine_.cells(apply_schema(frame[200:205], model.schema_)))
    assert shown["weights"].shape[:2] == (5, 5)  # networks of the folds, rows
    weights = {n: v.clone() for n, v in model.engine_.net.named_parameters()}
    model.engine_.remember(apply_schema(frame[:200], model.schema_), y[:200].to_numpy() + 1.0)
    after = model.predict(frame[200:])
    assert all(torch.equal(v, weights[n]) for n, v in model.engine_.net.named_parameters())
    assert 0.3 < float(np.mean(after - before)) < 1.7
