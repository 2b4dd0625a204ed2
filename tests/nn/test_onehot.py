"""Levels one-hot."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from pellucid import TabularClassifier
from pellucid.errors import RequestError
from pellucid.nn.embeddings.onehot import OneHot


def test_each_block_sums_to_one_and_an_unseen_level_to_zero() -> None:
    codes = torch.tensor([[0, 0], [1, 1], [2, 2], [3, 4]])
    out = OneHot((4, 5), 4, 0.0)(codes)
    assert out.sum(2).tolist() == [[1, 1], [0, 0], [1, 1], [1, 1]]
    assert len({tuple(v) for v in out[:, 1].tolist()}) == 4
    assert OneHot((4, 5), 5, 0.0, unseen="own")(codes).sum(2).eq(1).all()


def test_all_levels_are_apart() -> None:
    every = torch.arange(9)[:, None]
    out = OneHot((9,), 10, 0.0, unseen="own")(every)[:, 0]
    assert torch.equal(out @ out.T, torch.eye(9))


def test_too_narrow_tokens_are_refused() -> None:
    with pytest.raises(RequestError, match="too narrow for one-hot"):
        OneHot((4, 30), 8)


def test_levels_are_hidden_while_training_only() -> None:
    layer, codes = OneHot((4,), 4, dropout=0.5), torch.full((2000, 1), 3)
    torch.manual_seed(0)
    shown = layer.train()(codes).sum((1, 2)).mean()
    assert abs(float(shown) - 0.5) < 0.056
    assert layer.eval()(codes).sum() == 2000


def test_the_recipe_widens_the_tokens_to_the_widest_column() -> None:
    frame = pd.DataFrame({"level": [f"l{i % 40}" for i in range(400)], "y": ["ab"[i % 2] for i in range(400)]})
    model = TabularClassifier(backbone="mlp", category="onehot", max_steps=5, verbose=0, random_state=0).fit(frame, target="y")
    assert model.engine_.net.net.d_token == 41
    assert model.predict(frame).shape == (400,)
