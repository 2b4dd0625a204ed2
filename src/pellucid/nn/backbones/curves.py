"""Curves of single columns: one function per column, with slopes of one sign where asked for, and the coarse bases of their products."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from pellucid.errors import RequestError
from pellucid.nn.cells import CellSizes
from pellucid.nn.embeddings.piecewise import Bins
from pellucid.nn.layers import uniform

__all__ = ["Curves", "Hats", "coarser", "directions"]


def directions(monotone: Mapping[int, int] | Sequence[Sequence[int]] | None, n_columns: int) -> torch.Tensor:
    """Return (C,) with +1 for columns along which the output must not fall, -1 for those along which it must not rise, else 0."""
    out = torch.zeros(n_columns)
    pairs: Iterable[Sequence[int]] = monotone.items() if isinstance(monotone, Mapping) else monotone or ()
    for column, sign in pairs:
        if int(sign) not in (-1, 1) or not 0 <= int(column) < n_columns:
            raise RequestError("monotone cannot be used", expected=f"columns 0 to {n_columns - 1} with 1 or -1", got=f"{column}: {sign}")
        out[int(column)] = int(sign)
    return out


def coarser(edges: npt.NDArray[np.floating], most: int) -> npt.NDArray[np.floating]:
    """Return at most ``most + 1`` of the edges, the outer ones kept, evenly by their order."""
    keep = np.unique(np.linspace(0, len(edges) - 1, min(most, len(edges) - 1) + 1).round().astype(int))
    kept: npt.NDArray[np.floating] = np.asarray(edges)[keep]
    return kept


class Curves(nn.Module):
    """One function per column: tokens (N, C, D) to (N, C, O), a linear read-out and, for columns of numbers, a piecewise-linear curve.

    The number of a column is the first entry of its token, as the encoder ``plain`` gives it. Curves start at 0.

    Parameters
    ----------
    sizes : what the cells look like; the bins of its number slots are the knots.
    d_token, n_outputs : D, O.
    signs : (C,), see :func:`directions`. Columns with a sign have a slope and steps of that sign alone.
    clip : level curves outside the knots; a last bin that is narrow may be steep.
    """

    signs: torch.Tensor
    order: torch.Tensor
    pace: torch.Tensor

    def __init__(self, sizes: CellSizes, d_token: int, n_outputs: int, signs: torch.Tensor, clip: bool = False) -> None:
        super().__init__()
        self.constrained = bool(signs.any())
        # every step of Adam moves all columns at once: many columns take shorter steps
        self.register_buffer("pace", torch.tensor(min(1.0, 8 / sizes.n_columns)))
        self.register_buffer("signs", signs[:, None, None], persistent=False)
        self.register_buffer("order", torch.tensor(sizes.number_columns, dtype=torch.int64), persistent=False)
        self.bins = Bins(sizes.bins, clip)
        self.read = nn.Parameter(uniform((sizes.n_columns, d_token, n_outputs), d_token**-0.5))
        shape = (len(sizes.bins), self.bins.shape[1], n_outputs)
        self.steps = nn.Parameter(torch.zeros(shape)) if sizes.bins else None
        self.knots = nn.Parameter(torch.zeros(shape)) if sizes.bins else None

    def _bumps(self) -> torch.Tensor:
        """Return what the heights of single knots add to the steps: up at the knot, down after it.

        The same family of curves, but a sharp bump is one weight and not a sum of many, which Adam reaches in far fewer steps.
        """
        assert self.knots is not None
        return self.knots - functional.pad(self.knots, (0, 0, 1, 0))[:, :-1]

    def encode(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the piecewise-linear encoding (N, Sn, T) of the columns of numbers."""
        return self.bins.encode(tokens[:, self.order, 0])

    def weights(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the read-out (C, D, O) and the steps (Sn, T, O) as they act."""
        read, steps = self.pace * self.read, None if self.steps is None else self.pace * (self.steps + self._bumps())
        if not self.constrained:
            return read, steps
        read = torch.where(self.signs == 0, read, self.signs * functional.softplus(self.read - 3))
        if steps is None or self.steps is None:
            return read, None
        signs = self.signs[self.order]
        return read, torch.where(signs == 0, steps, signs * functional.softplus(self.steps - 3))

    @torch.no_grad()
    def put(self, slot: int, column: int, edges: npt.NDArray[np.floating], heights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Give a column of numbers the curve through ``heights`` (T + 2, O), the last of missing cells, less its value at the first knot.

        Missing cells stand at the number 0, those of a column with a sign at its first knot, and have the second entry of the token.
        Returns that value at the first knot, (O,).
        """
        assert self.steps is not None
        assert self.knots is not None
        curve, own = heights[:-1], heights[-1]
        sign = int(self.signs[column, 0, 0])
        if sign:  # the nearest curves that never turn back, from either side
            up = sign * curve
            curve = sign * 0.5 * (np.maximum.accumulate(up) + np.minimum.accumulate(up[::-1])[::-1])
        rises, base = np.diff(curve, axis=0), curve[0]
        stands = base if sign else np.stack([np.interp(0.0, edges, c) for c in curve.T])
        self.steps[slot], self.knots[slot] = -8.0 if sign else 0.0, 0.0
        slots = [*range(len(rises) - 1), self.steps.shape[1] - 1]
        self.steps[slot, slots] = _raw(torch.from_numpy(rises).float(), sign, self.pace)
        self.read[column] = _raw(torch.zeros_like(self.read[column]), sign, self.pace)
        self.read[column, 1] = _raw(torch.from_numpy(own - stands).float(), sign, self.pace)
        return np.asarray(base)

    def forward(self, tokens: torch.Tensor, encoded: torch.Tensor | None = None) -> torch.Tensor:
        """Return the columns' values (N, C, O); ``encoded`` (N, Sn, T) in place of what the tokens say."""
        read, steps = self.weights()
        out = torch.bmm(tokens.transpose(0, 1), read).transpose(0, 1)
        if steps is None:
            return out
        if encoded is None:
            return out.index_add(1, self.order, self.bins(tokens[:, self.order, 0], steps))
        return out.index_add(1, self.order, torch.bmm(encoded.transpose(0, 1), steps).transpose(0, 1))


def _raw(value: torch.Tensor, sign: int, pace: torch.Tensor) -> torch.Tensor:
    """Return the weights that act as ``value``, or as the nearest value of that sign."""
    return torch.log(torch.expm1((sign * value).clamp(min=1e-4))) + 3 if sign else value / pace


class Hats(nn.Module):
    """Numbers (N, C) to weights (N, C, S) of their knots, which sum to 1: straight lines between knots, level outside them."""

    up: torch.Tensor
    up_shift: torch.Tensor
    down: torch.Tensor
    down_shift: torch.Tensor

    def __init__(self, edges: Sequence[npt.NDArray[np.floating]]) -> None:
        super().__init__()
        self.size = max(len(e) for e in edges)
        maps = np.zeros((4, len(edges), self.size))
        for c, knots in enumerate(edges):
            k, gap, n = np.asarray(knots, np.float64), np.diff(knots).astype(np.float64), len(knots)
            maps[0, c, 1:n], maps[1, c, 1:n] = 1 / gap, -k[:-1] / gap
            maps[2, c, : n - 1], maps[3, c, : n - 1] = -1 / gap, k[1:] / gap
            maps[1, c, 0] = maps[3, c, n - 1] = 1.0
        for name, values in zip(("up", "up_shift", "down", "down_shift"), maps):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32), persistent=False)

    def of(self, columns: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Return the weights (N, P, S) of some columns' knots at x (N, P)."""
        up, up_shift, down, down_shift = (t[columns] for t in (self.up, self.up_shift, self.down, self.down_shift))
        x = x[..., None]
        return torch.minimum(torch.addcmul(up_shift, up, x), torch.addcmul(down_shift, down, x)).clamp(0, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x[..., None]
        return torch.minimum(torch.addcmul(self.up_shift, self.up, x), torch.addcmul(self.down_shift, self.down, x)).clamp(0, 1)
