"""A weight of 2 is the row twice: what replaces scikit-learn's equivalence check, which batches cannot keep."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from pellucid import TabularClassifier, read_table
from pellucid.encode.table_encoder import TableEncoder
from pellucid.estimators.network import as_cells, cell_sizes
from pellucid.nn.table_net import TableNet
from pellucid.testing.mixed import FEATURES, mixed
from pellucid.training import objectives


def weighted_and_repeated() -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray]:
    frame = mixed(400, 3)
    weights = np.random.default_rng(0).integers(1, 4, len(frame)).astype(float)
    return frame, weights, np.repeat(np.arange(len(frame)), weights.astype(int)), (frame["label"] == "yes").to_numpy(np.int64)


def test_encoder_statistics_of_a_weighted_table_are_those_of_the_repeated_one() -> None:
    frame, weights, rows, y = weighted_and_repeated()
    table = read_table(frame[FEATURES])
    for kind in ("quantile", "tree"):
        bins = {"kind": kind, "n_bins": 16}
        one = TableEncoder().fit(table, y, task="classification", weights=weights, bins=bins)
        two = TableEncoder().fit(table.take(rows), y[rows], task="classification", bins=bins)
        assert np.allclose(one.transform(table).numbers, two.transform(table).numbers, atol=1e-6)
        assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(one.numeric.bins, two.numeric.bins))


def test_full_batch_gradient_of_a_weighted_table_is_that_of_the_repeated_one() -> None:
    frame, weights, rows, y = weighted_and_repeated()
    table = read_table(frame[FEATURES])
    encoder = TableEncoder().fit(table, y, task="classification")
    cells = as_cells(encoder.transform(table))
    objective = objectives.classification(2)
    net = TableNet(cell_sizes(encoder), "tabm", 1, d_token=8, options={"members": 2, "width": 16}).eval()
    target = objective.prepare(y)

    def gradient(at: np.ndarray, w: np.ndarray) -> torch.Tensor:
        net.zero_grad()
        part = cells.take(torch.from_numpy(at))
        losses = objective.losses(net(part), target[torch.from_numpy(at)])
        w_ = torch.from_numpy(w).float()
        ((losses * w_).sum() / w_.sum()).backward()
        return torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])

    every = np.arange(len(frame))
    assert torch.allclose(gradient(every, weights), gradient(rows, np.ones(len(rows))), atol=1e-6)
    assert not torch.allclose(gradient(every, np.ones(len(frame))), gradient(rows, np.ones(len(rows))), atol=1e-6)


def test_rows_of_weight_zero_are_as_if_absent() -> None:
    frame = mixed(200, 4)
    weights = (np.arange(200) % 4 > 0).astype(float)
    options = {"verbose": 0, "threads": 1, "random_state": 0, "max_steps": 10}
    one = TabularClassifier(**options).fit(frame[FEATURES], frame["label"], sample_weight=weights)
    kept = frame[weights > 0]
    two = TabularClassifier(**options, schema=one.schema_).fit(kept[FEATURES], kept["label"], sample_weight=np.ones(len(kept)))
    assert np.array_equal(one.predict_proba(frame[FEATURES]), two.predict_proba(frame[FEATURES]))
