"""Cells to tokens: one file an encoder of columns."""

from __future__ import annotations

from pellucid.nn.embeddings.cell_embedding import CellEmbedding
from pellucid.nn.embeddings.levels import LevelTable
from pellucid.nn.embeddings.piecewise import PiecewiseLinear, piecewise_linear

__all__ = ["CellEmbedding", "LevelTable", "PiecewiseLinear", "piecewise_linear"]
