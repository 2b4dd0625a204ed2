"""A user's own backbone, loss and metric work like ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import pellucid as pld
from pellucid import TabularClassifier, TabularRegressor
from pellucid.testing.mixed import FEATURES

QUICK: dict[str, Any] = {"verbose": 0, "threads": 1, "random_state": 0, "max_steps": 60}


class MeanPool(nn.Module):
    """A backbone as a user would write it: tokens (N, C, D) to (N, H)."""

    def __init__(self, n_tokens: int, d_token: int, width: int = 32) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Flatten(), nn.Linear(n_tokens * d_token, width), nn.ReLU())

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.inner(tokens)


def test_own_backbone_learns_explains_and_is_handed_over_again(frame: pd.DataFrame, tmp_path: Path) -> None:
    model = TabularClassifier(**QUICK, backbone=MeanPool, backbone_options={"width": 16}).fit(frame[FEATURES], frame["label"])
    assert model.score(frame[FEATURES], frame["label"]) > 0.75
    explanation = model.explain(frame[FEATURES].head(3), random_state=0, budget=6000)
    assert np.abs(explanation.gap).max() < 1e-5
    model.save(tmp_path / "m")
    with pytest.raises(pld.ArgumentError, match="Hand it over again"):
        pld.load(tmp_path / "m")
    loaded = pld.load(tmp_path / "m", backbone=MeanPool)
    assert np.array_equal(loaded.predict_proba(frame[FEATURES]), model.predict_proba(frame[FEATURES]))


def test_entry_in_our_form_is_accepted(frame: pd.DataFrame) -> None:
    entry = pld.Entry("mean_pool", "backbone", MeanPool, "Mean of nothing, for a test.", takes="tokens")
    model = TabularRegressor(**QUICK, backbone=entry).fit(frame[FEATURES], frame["y"])
    assert model.record_["backbone"] == "mean_pool"
    assert model.score(frame[FEATURES], frame["y"]) > 0.3


def test_own_loss_is_used(frame: pd.DataFrame) -> None:
    def absolute(raw: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return (raw - target).abs().mean(1)

    model = TabularRegressor(**QUICK, loss=absolute).fit(frame[FEATURES], frame["y"])
    plain = TabularRegressor(**QUICK).fit(frame[FEATURES], frame["y"])
    assert model.score(frame[FEATURES], frame["y"]) > 0.3
    assert not np.array_equal(model.predict(frame[FEATURES]), plain.predict(frame[FEATURES]))


def test_own_metric_decides_stopping_and_is_recorded(frame: pd.DataFrame) -> None:
    def hit_rate(truth: np.ndarray, p: np.ndarray) -> float:
        return float((p.argmax(1) == truth).mean())

    model = TabularClassifier(**QUICK, metric=hit_rate).fit(frame[FEATURES], frame["label"])
    assert model.record_["training"]["stop_metric"] == "hit_rate"
    assert 0 <= model.history_[-1]["stop_score"] <= 1
