"""Cells to tokens: every source column becomes one vector, all columns at once.

Numbers and levels go through the encoders that the registry names, vectors (hashed text, calendar parts) through one linear map a slot.
On the columns' tokens may then act: what the column is called, its place, and gates that learn how wide it needs to be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from pellucid import registry
from pellucid.errors import RequestError
from pellucid.nn.cells import Cells, CellSizes
from pellucid.nn.embeddings.identity import NAMED, ColumnIdentity, Positions
from pellucid.nn.embeddings.soft_width import SoftWidth
from pellucid.nn.layers import uniform

__all__ = ["CellEmbedding"]

Factory = Callable[..., nn.Module]


class CellEmbedding(nn.Module):
    """All cells of a row to tokens (N, C, D), in float32 whatever the surrounding precision.

    The slots of one column are added up, so that column j of the table is token j.

    Parameters
    ----------
    sizes : what the cells look like.
    d_token : D.
    number, category : registered encoders of number slots and of code slots, or module factories: ``(bins, d_token, **options)`` whose
        module maps numbers (N, Sn) and missing (N, Sn) to (N, Sn, D), and ``(cardinalities, d_token, dropout, **options)`` whose module
        maps codes (N, Sc) to (N, Sc, D).
    number_options, category_options : their keyword arguments.
    category_dropout : share of the codes shown as unseen while training.
    identity : None; ``"names"``, so that a token also says what its column is called; or a control, ``"shuffled"``, ``"words"``
        (``sizes.name_vectors`` are then those of other columns, or of words that mean nothing) or ``"random"`` vectors.
    positions : None, or the columns that stand in an order, by name or index, first to last.
    soft_width : learn how many dimensions each column needs: True, or keyword arguments of :class:`SoftWidth`.
    front : how many further entries each token begins with, for an additive model beside the network: numbers as they are, levels by a
        table that is not trained.

    Attributes
    ----------
    width : the :class:`SoftWidth`, or None.
    front : what makes those entries, or None. apart : while True they are left out.
    """

    order: torch.Tensor

    def __init__(
        self, sizes: CellSizes, d_token: int, number: str | Factory = "ple", category: str | Factory = "lookup",
        number_options: Mapping[str, Any] | None = None, category_options: Mapping[str, Any] | None = None, category_dropout: float = 0.02,
        identity: str | None = None, positions: Sequence[str | int] | None = None, soft_width: bool | Mapping[str, Any] = False,
        front: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.n_columns, self.d_token = sizes.n_columns, d_token
        self.numbers = _factory(number)(sizes.bins, d_token, **(number_options or {})) if sizes.bins else None
        self.levels = None
        if sizes.cardinalities:
            self.levels = _factory(category)(sizes.cardinalities, d_token, category_dropout, **(category_options or {}))
        n_vectors = len(sizes.vector_columns)
        if n_vectors:
            bound = max(sizes.vector_width, 1) ** -0.5
            self.vector_map = nn.Parameter(uniform((n_vectors, sizes.vector_width, d_token), bound))
            self.vector_bias = nn.Parameter(uniform((n_vectors, d_token), d_token**-0.5))
        self.n_vectors = n_vectors
        columns = [*sizes.number_columns, *sizes.code_columns, *sizes.vector_columns]
        self.one_each = sorted(columns) == list(range(sizes.n_columns))
        self.in_order = columns == list(range(sizes.n_columns))
        # one slot a column: where to find column j; else: which column slot i belongs to
        self.register_buffer("order", torch.tensor(np.argsort(columns) if self.one_each else columns, dtype=torch.int64), persistent=False)
        self.identity = None if identity is None else ColumnIdentity(_names(sizes, identity), d_token)
        self.positions = None if positions is None else Positions(sizes.n_columns, d_token, _indices(sizes, positions))
        gated = dict(soft_width) if isinstance(soft_width, Mapping) else {}
        self.width = SoftWidth(sizes.n_columns, d_token, **gated) if soft_width else None
        self.front = CellEmbedding(sizes, front, "flagged", category_dropout=0.0).requires_grad_(False) if front else None
        self.apart = False

    def forward(self, cells: Cells) -> torch.Tensor:
        with torch.autocast(cells.numbers.device.type, enabled=False):
            tokens = self._columns(self._slots(cells))
            for layer in (self.identity, self.positions, self.width):
                if layer is not None:
                    tokens = layer(tokens)
            return tokens if self.front is None or self.apart else torch.cat([self.front(cells), tokens], -1)

    def _slots(self, cells: Cells) -> torch.Tensor:
        slots = []
        if self.numbers is not None:
            slots.append(self.numbers(cells.numbers, cells.missing))
        if self.levels is not None:
            slots.append(self.levels(cells.codes))
        if self.n_vectors:
            slots.append(torch.baddbmm(self.vector_bias[:, None], cells.vectors.transpose(0, 1), self.vector_map).transpose(0, 1))
        if not slots:
            raise RequestError("a network needs at least one column")
        return slots[0] if len(slots) == 1 else torch.cat(slots, 1)

    def _columns(self, slots: torch.Tensor) -> torch.Tensor:
        if self.in_order:
            return slots
        if self.one_each:
            return slots.index_select(1, self.order)
        empty = slots.new_zeros(slots.shape[0], self.n_columns, self.d_token)
        return empty.index_add(1, self.order, slots)


def _factory(encoder: str | Factory) -> Factory:
    return registry.resolve(registry.get("encoder", encoder)) if isinstance(encoder, str) else encoder


def _names(sizes: CellSizes, identity: str) -> torch.Tensor:
    """Return the vectors (C, V) that stand for the columns."""
    if identity == "random":
        return ColumnIdentity.control(sizes.n_columns)
    if identity not in NAMED:
        raise RequestError(f"unknown identity {identity!r} of columns", expected="'names', or a control: 'shuffled', 'words' or 'random'")
    if sizes.name_vectors is None:
        raise RequestError("the columns' names are not known to the network", do="give CellSizes their name_vectors (C, V)")
    return torch.from_numpy(np.array(sizes.name_vectors, np.float32))


def _indices(sizes: CellSizes, columns: Sequence[str | int]) -> list[int]:
    unknown = [c for c in columns if isinstance(c, str) and c not in sizes.names]
    if unknown:
        raise RequestError(f"there is no column {unknown[0]!r} to give a place", expected=f"some of {', '.join(sizes.names) or 'none'}")
    return [sizes.names.index(c) if isinstance(c, str) else int(c) for c in columns]
