"""Cells to tokens: every source column becomes one vector, all columns at once.

Numbers go through piecewise-linear embeddings (Gorishniy, Rubachev, Babenko 2022, arXiv:2203.05556; version B of Gorishniy,
Kotelnikov, Babenko 2024, arXiv:2410.24210), levels through one look-up table with offsets, vectors through one linear map per slot.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from pellucid.errors import RequestError
from pellucid.nn.cells import Cells, CellSizes

__all__ = ["CellEmbedding", "LevelTable", "PiecewiseLinear", "piecewise_linear"]

UNSEEN = 1  # the slot of a level that training did not show; 0 is a missing cell (nn/cells.py)


class BinGeometry:
    """Affine maps and bounds that turn a number into its piecewise-linear encoding.

    ``e = clamp(shift + slope * x, low, high)`` with arrays of shape (Sn, T); T is the widest column's number of bins. A column's last
    bin sits in slot T - 1, so that columns of unequal resolution share one clamp; slots between are padding and stay 0.
    """

    def __init__(self, bins: Sequence[npt.NDArray[np.floating]], clip: bool = False) -> None:
        widest = max((len(edges) - 1 for edges in bins), default=1)
        shape = (len(bins), widest)
        slope, shift, low, high = np.zeros(shape), np.zeros(shape), np.zeros(shape), np.ones(shape)
        for j, edges in enumerate(bins):
            left = np.asarray(edges, np.float64)
            gap = np.diff(left)
            if len(left) < 2 or (gap <= 0).any() or not np.isfinite(left).all():
                raise RequestError(f"the bin edges of number slot {j} are unusable", expected="at least two finite, increasing edges")
            slots = np.r_[np.arange(len(gap) - 1), widest - 1]
            slope[j, slots], shift[j, slots] = 1 / gap, -left[:-1] / gap
            if not clip:
                low[j, slots[0]], high[j, widest - 1] = -np.inf, np.inf
        self.slope, self.shift, self.low, self.high = (torch.tensor(a, dtype=torch.float32) for a in (slope, shift, low, high))


def piecewise_linear(numbers: torch.Tensor, bins: Sequence[npt.NDArray[np.floating]], clip: bool = False) -> torch.Tensor:
    """Return the piecewise-linear encoding (N, Sn, T) of numbers (N, Sn).

    Component t of a column is 0 below bin t, 1 above it and rises linearly inside. With ``clip=False`` the first bin goes on below
    the smallest edge and the last one above the largest.

    Examples
    --------
    >>> piecewise_linear(torch.tensor([[1.25]]), [np.array([0.0, 1.0, 2.0, 3.0])])[0, 0].tolist()
    [1.0, 0.25, 0.0]
    """
    g = BinGeometry(bins, clip)
    return torch.clamp(torch.addcmul(g.shift, g.slope, numbers.float()[..., None]), g.low, g.high)


class PiecewiseLinear(nn.Module):
    """Numbers (N, Sn) to embeddings (N, Sn, D).

    Version B is ``w x + b + sum_t e_t(x) v_t`` with v = 0 at the start, so that each column begins as a line; version A is
    ``sum_t e_t(x) v_t + b``; version L is the line alone. A missing number has a vector of its own.

    Parameters
    ----------
    bins : Sn arrays of increasing edges.
    d_token : D.
    version : ``"B"``, ``"A"`` or ``"L"``.
    activation : apply ReLU (customary with version A).
    """

    slope: torch.Tensor
    shift: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor

    def __init__(self, bins: Sequence[npt.NDArray[np.floating]], d_token: int, version: str = "B", activation: bool = False) -> None:
        super().__init__()
        if version not in ("A", "B", "L"):
            raise RequestError(f"unknown version {version!r} of the number embedding", expected="'B', 'A' or 'L'")
        self.version, self.activation = version, activation
        geometry = BinGeometry(bins)
        for name in ("slope", "shift", "low", "high"):
            self.register_buffer(name, getattr(geometry, name), persistent=False)
        n, widest = geometry.slope.shape
        if version != "A":
            self.line = nn.Parameter(_uniform((n, d_token), d_token**-0.5))
            if version == "B":
                self.curve = nn.Parameter(torch.zeros(n, widest, d_token))
            self.bias = nn.Parameter(_uniform((n, d_token), d_token**-0.5))
        else:
            # the bound is each column's own number of bins, as in the reference
            own = torch.tensor([(len(e) - 1) ** -0.5 for e in bins])[:, None]
            used = (geometry.slope != 0).float()[..., None]
            self.curve = nn.Parameter(_uniform((n, widest, d_token), 1.0) * own[..., None] * used)
            self.bias = nn.Parameter(_uniform((n, d_token), 1.0) * own)
        self.gap = nn.Parameter(_uniform((n, d_token), d_token**-0.5))

    def encode(self, numbers: torch.Tensor) -> torch.Tensor:
        """Return the encoding (N, Sn, T) of numbers (N, Sn), float32."""
        return torch.clamp(torch.addcmul(self.shift, self.slope, numbers[..., None]), self.low, self.high)

    def forward(self, numbers: torch.Tensor, missing: torch.Tensor) -> torch.Tensor:
        if self.version == "L":
            out = torch.addcmul(self.bias, self.line, numbers[..., None])
        else:
            out = torch.baddbmm(self.bias[:, None], self.encode(numbers).transpose(0, 1), self.curve).transpose(0, 1)
            if self.version == "B":
                out = torch.addcmul(out, self.line, numbers[..., None])
        if self.activation:
            out = torch.relu(out)
        return torch.where(missing[..., None], self.gap, out)


class LevelTable(nn.Module):
    """Codes (N, Sc) to embeddings (N, Sc, D) by one table with an offset per slot.

    While training, a fraction ``dropout`` of the codes is shown as unseen, which is what trains the unseen vectors.
    """

    offsets: torch.Tensor

    def __init__(self, cardinalities: Sequence[int], d_token: int, dropout: float = 0.02) -> None:
        super().__init__()
        self.dropout = dropout
        self.register_buffer("offsets", torch.tensor([0, *accumulate(cardinalities)][:-1], dtype=torch.int64), persistent=False)
        self.table = nn.Parameter(_uniform((sum(cardinalities), d_token), d_token**-0.5))

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        if self.training and self.dropout > 0:
            hidden = torch.rand(codes.shape, device=codes.device) < self.dropout
            codes = torch.where(hidden & (codes > UNSEEN), UNSEEN, codes)
        return nn.functional.embedding(codes + self.offsets, self.table)


class CellEmbedding(nn.Module):
    """All cells of a row to tokens (N, C, D), in float32 whatever the surrounding precision.

    The slots of one column are added up, so that column j of the table is token j.

    Parameters
    ----------
    sizes : what the cells look like.
    d_token : D.
    version, activation : of :class:`PiecewiseLinear`; ``version="L"`` is the linear tokenizer of FT-Transformer.
    category_dropout : share of the codes shown as unseen while training.
    """

    order: torch.Tensor

    def __init__(
        self, sizes: CellSizes, d_token: int, version: str = "B", activation: bool = False, category_dropout: float = 0.02
    ) -> None:
        super().__init__()
        self.n_columns, self.d_token = sizes.n_columns, d_token
        self.numbers = PiecewiseLinear(sizes.bins, d_token, version, activation) if sizes.bins else None
        self.levels = LevelTable(sizes.cardinalities, d_token, category_dropout) if sizes.cardinalities else None
        n_vectors = len(sizes.vector_columns)
        if n_vectors:
            bound = max(sizes.vector_width, 1) ** -0.5
            self.vector_map = nn.Parameter(_uniform((n_vectors, sizes.vector_width, d_token), bound))
            self.vector_bias = nn.Parameter(_uniform((n_vectors, d_token), d_token**-0.5))
        self.n_vectors = n_vectors
        columns = [*sizes.number_columns, *sizes.code_columns, *sizes.vector_columns]
        self.one_each = sorted(columns) == list(range(sizes.n_columns))
        self.in_order = columns == list(range(sizes.n_columns))
        # one slot a column: where to find column j; else: which column slot i belongs to
        self.register_buffer("order", torch.tensor(np.argsort(columns) if self.one_each else columns, dtype=torch.int64), persistent=False)

    def forward(self, cells: Cells) -> torch.Tensor:
        with torch.autocast(cells.numbers.device.type, enabled=False):
            return self._columns(self._slots(cells))

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


def _uniform(shape: tuple[int, ...], bound: float) -> torch.Tensor:
    return torch.empty(shape).uniform_(-bound, bound)
