"""What an additive model does not know of its own terms: draws of their heights, and what these make of rows.

A penalised fit is the mean of a normal law of the heights (Wahba 1983, doi:10.1111/j.2517-6161.1983.tb01239.x; for the logistic loss the
law around its peak, Wood 2017, doi:10.1201/9781315370279, ch. 6.10). Answers are read at the mean; doubt asks the draws as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from pellucid.nn.beside import DRAWS, centred
from pellucid.nn.cells import Cells, CellSizes

__all__ = ["HeightDraws"]

F64 = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]

MOST_OF_PAIRS = 1 << 22
"""Numbers that the draws of all pairs together may be; beyond, pairs are taken as found."""
LARGEST = 6e4
"""Largest number that the draws of pairs are kept as; half precision ends at 65,504."""
Sides = list[tuple[torch.Tensor, torch.Tensor | None]]
"""Where rows stand on a term: heights (N,) and their weights (N,), None for 1."""


class HeightDraws(nn.Module):
    """R draws of how far the heights of all terms, and the bias, lie from the fitted ones; rows to moves of their outputs (N, R, O).

    Beyond its outer knots a number stands at the outer knot, as it does in the curves themselves: draws do not widen there.

    Parameters
    ----------
    sizes : what the cells look like; the bins are the knots of the columns' own terms. n_outputs : O.
    most_levels, groups : heights at most of a column of levels, alone and in a pair.
    pairs : index pairs of columns that have a term together. coarse : the knots of every column in pairs.

    Attributes
    ----------
    moves : (M + 1, R * O) draws of the columns' heights, the bias last; zeros where nothing was fitted.
    pair_moves : (P', R * O) those of the pairs', one pair after the other, in half precision; none where they would be too many.
    fine, rough : the height of every level of every column, alone and in a pair.

    Cost: memory 4 (M + 1) R O + 2 P' R O bytes; for each row 2 R O multiply-adds for each column and 4 R O for each pair.
    """

    moves: torch.Tensor
    pair_moves: torch.Tensor
    fine: torch.Tensor
    rough: torch.Tensor
    KEPT = ("moves", "pair_moves", "fine", "rough")

    def __init__(
        self, sizes: CellSizes, n_outputs: int, most_levels: int, groups: int, pairs: Sequence[tuple[int, int]], coarse: Sequence[F64]
    ) -> None:
        super().__init__()
        self.n_outputs, self.slots, self.pairs = n_outputs, {c: s for s, c in enumerate(sizes.number_columns)}, tuple(pairs)
        self.codes = {c: s for s, c in enumerate(sizes.code_columns) if c not in self.slots}
        self.offsets = _starts(sizes.cardinalities)
        self.columns = (*self.slots, *self.codes)
        self.heights = [len(e) + 1 for e in sizes.bins] + [min(sizes.cardinalities[s], most_levels) for s in self.codes.values()]
        self.starts = _starts(self.heights)
        self.knots = {c: len(coarse[c]) if c in self.slots else groups - 1 for c in {c for pair in pairs for c in pair}}
        tables = [(self.knots[i] + 1) * (self.knots[j] + 1) if self._readable(i, j) else 0 for i, j in pairs]
        self.pair_starts = _starts(tables)
        self.with_pairs = bool(pairs) and self.pair_starts[-1] * DRAWS * n_outputs <= MOST_OF_PAIRS
        # all columns' knots in one tensor: a stack of networks takes every tensor of each in hand at every call
        self.edges_at = {c: slice(*ends) for c, *ends in zip(self.slots, *_ends(sizes.bins))}
        self.coarse_at = {c: slice(*ends) for c, *ends in zip(self.slots, *_ends([coarse[c] for c in self.slots]))}
        for name, every in (("edges", sizes.bins), ("coarse", [coarse[c] for c in self.slots])):
            joined = np.concatenate([np.zeros(0), *(np.asarray(own, np.float64) for own in every)])
            self.register_buffer(name, torch.tensor(joined, dtype=torch.float32), persistent=False)
        self.register_buffer("moves", torch.zeros(self.starts[-1] + 1, DRAWS * n_outputs))
        shape = (self.pair_starts[-1] if self.with_pairs else 0, DRAWS * n_outputs)
        self.register_buffer("pair_moves", torch.zeros(shape, dtype=torch.float16))
        self.register_buffer("fine", torch.zeros(self.offsets[-1], dtype=torch.int64))
        self.register_buffer("rough", torch.zeros(self.offsets[-1], dtype=torch.int64))

    def _readable(self, *columns: int) -> bool:
        return all(c in self.columns for c in columns)

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        for name in self.KEPT:  # networks of earlier versions had no draws
            state.setdefault(prefix + name, getattr(self, name))
        super()._load_from_state_dict(state, prefix, *rest)

    @torch.no_grad()
    def put(self, moves: F64, pairs: Mapping[int, F64], places: Mapping[int, tuple[Ints, Ints]], together: int) -> None:
        """Take draws of the columns' heights and the bias (M + 1, O, R) and, by number of the pair, of pairs' (P', O, R); and by column of
        levels the heights (cardinality,) of every level, alone and in a pair.

        Draws have no mean, and none beside each of ``together`` members where these are few: so what members and draws say adds up.
        """
        self.moves.copy_(torch.from_numpy(centred(moves, together)))
        for p, own in pairs.items() if self.with_pairs else ():
            # far beyond the rows that were learned from, at a code of 999 say, a draw may be larger than half precision holds
            kept = torch.from_numpy(centred(own, together)).clamp(-LARGEST, LARGEST)
            self.pair_moves[self.pair_starts[p] : self.pair_starts[p + 1]] = kept.half()
        for column, rows in places.items():
            first = self.offsets[self.codes[column]]
            for kept, own in zip((self.fine, self.rough), rows):
                kept[first : first + len(own)] = torch.from_numpy(own)

    def forward(self, cells: Cells) -> torch.Tensor:
        total = self.moves[-1].expand(cells.n_rows, -1).clone()
        for column, start in zip(self.columns, self.starts):
            for at, weight in self._sides(cells, column, "edges", self.fine):
                _add(total, self.moves[start + at], weight)
        if self.with_pairs:
            known = {c: self._sides(cells, c, "coarse", self.rough) for c in self.knots if self._readable(c)}
            for (i, j), start in zip(self.pairs, self.pair_starts):
                for at, weight in _crossed(known[i], known[j], self.knots[j] + 1) if self._readable(i, j) else ():
                    _add(total, self.pair_moves[start + at], weight)
        out: torch.Tensor = total.unflatten(1, (DRAWS, self.n_outputs))
        return out

    def _sides(self, cells: Cells, column: int, name: str, levels: torch.Tensor) -> Sides:
        """Return where rows stand on the knots or levels of a column."""
        if column not in self.slots:
            return [(levels[self.offsets[self.codes[column]] + cells.codes[:, self.codes[column]].long()], None)]
        edges, slot = getattr(self, name)[getattr(self, f"{name}_at")[column]], self.slots[column]
        x, missing, last = cells.numbers[:, slot].float().contiguous(), cells.missing[:, slot].bool(), len(edges) - 1
        at = (torch.searchsorted(edges, x, right=True) - 1).clamp(0, last - 1)
        share = ((x - edges[at]) / (edges[at + 1] - edges[at])).clamp(0, 1).masked_fill(missing, 0)
        at = at.masked_fill(missing, last + 1)
        return [(at, 1 - share), ((at + 1).clamp(max=last + 1), share)]


def _starts(sizes: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.cumsum([0, *sizes]))


def _ends(knots: Sequence[F64]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return where each column's knots begin and end in all of them together."""
    starts = _starts([len(k) for k in knots])
    return starts[:-1], starts[1:]


def _add(total: torch.Tensor, moves: torch.Tensor, weight: torch.Tensor | None) -> None:
    if weight is None:
        total += moves
    else:
        total.addcmul_(moves.to(total.dtype), weight[:, None])


def _crossed(left: Sides, right: Sides, width: int) -> Sides:
    """Return where rows stand on a pair's table, from where they stand on each side."""
    out: Sides = []
    for at, weight in left:
        for across, other in right:
            both = weight if other is None else other if weight is None else weight * other
            out.append((at * width + across, both))
    return out
