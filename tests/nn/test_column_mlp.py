"""A network per column."""

from __future__ import annotations

import numpy as np
import torch

from pellucid.nn.embeddings.column_mlp import ColumnMLP
from pellucid.nn.embeddings.piecewise import Linear


def test_each_column_has_its_own_network() -> None:
    layer = ColumnMLP([np.array([0.0, 1.0])] * 3, 4, hidden=5, layers=3)
    x = torch.randn(6, 3)
    out = layer(x, torch.zeros(6, 3, dtype=torch.bool))
    for j in range(3):
        own = x[:, [j]] * layer.first[j] + layer.shift[j]
        for weight, bias in zip(layer.weights, layer.biases):
            own = torch.relu(own) @ weight[j] + bias[j]
        torch.testing.assert_close(out[:, j], own)


def test_it_separates_the_sign_of_a_sine_where_a_line_cannot() -> None:
    torch.manual_seed(0)
    x = torch.linspace(-2, 2, 400)[:, None]
    y = (torch.sin(torch.pi * x[:, 0]) > 0).float()
    none = torch.zeros(400, 1, dtype=torch.bool)
    right = []
    for kind in (ColumnMLP, Linear):
        layer = kind([np.array([-2.0, 2.0])], 8)
        head = torch.nn.Linear(8, 1)
        optimizer = torch.optim.Adam([*layer.parameters(), *head.parameters()], 0.02)
        for _ in range(400):
            optimizer.zero_grad()
            torch.nn.functional.binary_cross_entropy_with_logits(head(layer(x, none)[:, 0])[:, 0], y).backward()
            optimizer.step()
        right.append(float(((head(layer(x, none)[:, 0])[:, 0] > 0) == (y > 0.5)).float().mean()))
    assert right[0] > 0.95
    assert right[1] < 0.8
