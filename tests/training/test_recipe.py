"""The recipe's rules, and what it promises on small tables."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs, make_regression

from pellucid.encode.numeric import NumberEncoder
from pellucid.nn.cells import Cells, CellSizes
from pellucid.training.loop import fit_network
from pellucid.training.objectives import classification, regression
from pellucid.training.predict import predict_in_chunks
from pellucid.training.recipe import TrainSettings, builder, recipe


def _fit(x, y, objective, settings):
    encoder = NumberEncoder(settings.bins, settings.bin_kind, settings.bin_leaf).fit(x, y, task=objective.task)
    scaled, missing = encoder.transform(x)
    n, c = x.shape
    cells = Cells(torch.from_numpy(scaled), torch.from_numpy(missing), torch.zeros(n, 0, dtype=torch.int64), torch.zeros(n, 0, 0))
    sizes = CellSizes(c, encoder.bins, (), 0, tuple(range(c)), (), ())
    at = np.random.default_rng(0).permutation(np.arange(n) % 5)
    folds = [(np.flatnonzero(at != g), np.flatnonzero(at == g)) for g in range(5)]
    fitted = fit_network(builder(sizes, settings, objective.n_outputs), cells, y, None, folds, objective, settings, threads=1)
    return objective.answers(predict_in_chunks(fitted.net, cells)).mean(1).numpy(), fitted


def test_three_hundred_rows_of_three_classes() -> None:
    x, y = make_blobs(300, centers=3, random_state=0, cluster_std=1.0)
    started = time.process_time()
    answers, _ = _fit(x, y, classification(3), recipe(300, 10, "classification"))
    assert (answers.argmax(1) == y).mean() > 0.9
    assert time.process_time() - started < 6.0  # about half a second on a quiet core


def test_two_hundred_rows_of_a_line() -> None:
    x, y = make_regression(200, 10, noise=1.0, random_state=42)
    answers, fitted = _fit(x, y, regression(y), recipe(200, 10, "regression"))
    assert 1 - ((answers[:, 0] - y) ** 2).mean() / y.var() > 0.8
    assert np.isfinite(fitted.fold_outputs).all()


@pytest.mark.parametrize("n", [7, 20, 40])
def test_very_small_tables_train(n: int) -> None:
    x, y = make_blobs(n, centers=2, random_state=1)
    answers, _ = _fit(x, y, classification(2), recipe(n, 10, "classification"))
    assert (answers.argmax(1) == y).mean() > 0.8


def test_the_rules_read_sizes_only() -> None:
    rows = [recipe(n, 10, "regression") for n in (100, 1999, 2000, 50_000, 200_000, 10**6)]
    assert [s.batch for s in rows] == [32, 199, 256, 512, 1024, 2048]
    assert [s.members for s in rows] == [2, 2, 8, 4, 4, 4]
    large = [s.epochs for s in rows[2:]]
    assert large == sorted(large, reverse=True)
    assert large[0] > recipe(2000, 10, "classification").epochs
    assert recipe(5000, 300, "regression").d_token < recipe(5000, 10, "regression").d_token
    assert recipe(5000, 10, "classification", "ft_transformer").d_token % 8 == 0


@pytest.mark.parametrize("backbone", ["tabm", "tabm_mini", "mlp", "ft_transformer"])
@pytest.mark.parametrize("n", [500, 5000])
def test_every_backbone_is_built_from_its_recipe(backbone: str, n: int) -> None:
    settings = recipe(n, 10, "regression", backbone)
    sizes = CellSizes(2, (np.array([-1, 0, 1], np.float32),) * 2, (), 0, (0, 1), (), ())
    net = builder(sizes, settings, 2)(0)
    assert net.n_outputs == 2
    assert settings.describe()["backbone"] == backbone
    own = builder(sizes, replace(settings, backbone=_factory, options=(("width", 5),)), 1)(0)
    assert own.n_members == 1
    assert replace(settings, backbone=_factory).describe()["backbone"] == "_factory"


def _factory(n_tokens: int, d_token: int, width: int = 3) -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Flatten(1), torch.nn.Linear(n_tokens * d_token, width))


def test_settings_are_plain() -> None:
    assert all(isinstance(v, str | int | float | bool | tuple | None) for v in TrainSettings().describe().values())
