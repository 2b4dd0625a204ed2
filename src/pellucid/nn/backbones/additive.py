"""A generalised additive model: one curve per column and a few terms of two columns, all of which add up to the output.

Lou, Caruana, Gehrke, Hooker 2013, doi:10.1145/2487575.2487579 (GA2M, and the fast screen of pairs on residuals); Nori, Jenkins, Koch,
Caruana 2019, arXiv:1909.09223 (the explainable boosting machine); Lengerich and others 2020, arXiv:1911.04974 (pure terms).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from pellucid.errors import RequestError
from pellucid.nn.backbones.pairs import screen_pairs
from pellucid.nn.cells import Cells, CellSizes
from pellucid.nn.embeddings.piecewise import BinGeometry
from pellucid.nn.layers import uniform

__all__ = ["Additive", "Curves", "directions"]

MOST_PAIRS = 2000
MOMENTUM = 0.02
SHRINK, SHRINK_PAIRS = 80.0, 1600.0
"""Rows for which the penalties on terms stand; measured on small tables (benchmarks/versus_ebm)."""


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
    """

    signs: torch.Tensor
    order: torch.Tensor
    slope: torch.Tensor
    shift: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor
    used: torch.Tensor

    def __init__(self, sizes: CellSizes, d_token: int, n_outputs: int, signs: torch.Tensor) -> None:
        super().__init__()
        self.constrained = bool(signs.any())
        self.scale = min(1.0, 8 / sizes.n_columns)  # every step of Adam moves all columns at once: many columns take shorter steps
        self.register_buffer("signs", signs[:, None, None], persistent=False)
        self.register_buffer("order", torch.tensor(sizes.number_columns, dtype=torch.int64), persistent=False)
        geometry = BinGeometry(sizes.bins)
        for name in ("slope", "shift", "low", "high"):
            self.register_buffer(name, getattr(geometry, name), persistent=False)
        self.read = nn.Parameter(uniform((sizes.n_columns, d_token, n_outputs), d_token**-0.5))
        shape = (len(sizes.bins), geometry.slope.shape[1], n_outputs)
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
        x = tokens[:, self.order, 0, None]
        return torch.clamp(torch.addcmul(self.shift, self.slope, x), self.low, self.high)

    def weights(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the read-out (C, D, O) and the steps (Sn, T, O) as they act."""
        if not self.constrained:
            return self.scale * self.read, None if self.steps is None else self.scale * (self.steps + self._bumps())
        read = torch.where(self.signs == 0, self.read, self.signs * functional.softplus(self.read - 3))
        if self.steps is None:
            return read, None
        signs = self.signs[self.order]
        return read, torch.where(signs == 0, self.steps + self._bumps(), signs * functional.softplus(self.steps - 3))

    def forward(self, tokens: torch.Tensor, encoded: torch.Tensor | None) -> torch.Tensor:
        """Return the columns' values (N, C, O)."""
        read, steps = self.weights()
        out = torch.bmm(tokens.transpose(0, 1), read).transpose(0, 1)
        if steps is None or encoded is None:
            return out
        curves = torch.bmm(encoded.transpose(0, 1), steps).transpose(0, 1)
        return out.index_add(1, self.order, curves)


class Additive(nn.Module):
    """Tokens (N, C, D) to outputs (N, 1, O), the sum of a bias, one term per column and one per chosen pair of columns.

    A pair's term is bilinear in the two columns' bases (coarse steps with slopes for numbers, the token for everything else): a
    small table with straight lines between its cells. In the parts every term has mean 0 over the training rows, and what a pair's
    term says of one column alone is moved to that column, both by running means that training keeps; the sum is the output either way.

    # NOTE[DIFF] GA2M and EBM boost trees on bins; here the same family of functions, continuous, is learned by gradient steps. Terms
    # are pure under independent columns, not under their joint distribution, which a batch cannot hold.

    Cost: C * (T + D) * O + P * B**2 * O multiply-adds a row.

    Parameters
    ----------
    n_tokens, d_token, sizes, n_outputs : C, D, what the cells look like, O.
    pair_bins : B, most cells of a pair's table along a number.
    pairs : the column pairs; None for all (at most 2,000). An estimator names the strongest ``n_pairs`` by a screen of its training rows.
    n_pairs : how many pairs the screen picks; None for C.
    smooth, ridge : weights of the penalties on changes of the curves' slopes and on the pairs' tables.
    shrink, shrink_pairs : weights of the penalties on the squared terms of a row, as neural additive models have (arXiv:2004.13912).
    monotone : column index -> +1 (the output never falls along it) or -1; as a mapping or pairs. Such columns are in no pair.

    Attributes
    ----------
    pairs : (P, 2) the column pairs, in the order of the part ``"pairs"``.
    """

    additive = False
    stackable = True
    penalised = True
    members = 1
    wants = ("sizes", "n_outputs")

    left: torch.Tensor
    right: torch.Tensor
    numeric: torch.Tensor
    mean_token: torch.Tensor
    mean_curve: torch.Tensor
    mean_basis: torch.Tensor

    def __init__(
        self, n_tokens: int, d_token: int, sizes: CellSizes, n_outputs: int, pair_bins: int = 8,
        pairs: Sequence[Sequence[int]] | None = None, n_pairs: int | None = None, smooth: float = 1e-3, ridge: float = 1e-3,
        shrink: float = 1e-3, shrink_pairs: float = 1e-2, monotone: Mapping[int, int] | Sequence[Sequence[int]] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        del n_pairs  # read by the screen
        signs = directions(monotone, n_tokens)
        self.width, self.smooth, self.ridge, self.shrink, self.shrink_pairs = n_outputs, smooth, ridge, shrink, shrink_pairs
        self.curves = Curves(sizes, d_token, n_outputs, signs)
        self.pairs = _usable(pairs, n_tokens, signs)
        index = torch.tensor(self.pairs, dtype=torch.int64).reshape(-1, 2)
        edges = [np.array([0.0, 1.0])] * n_tokens
        for column, own in zip(sizes.number_columns, sizes.bins):
            edges[column] = coarser(own, pair_bins)
        grid = BinGeometry(edges, clip=True)
        size = max(d_token, grid.slope.shape[1]) if self.pairs else 1
        is_number = torch.tensor([c in sizes.number_columns for c in range(n_tokens)])
        self.register_buffer("left", index[:, 0], persistent=False)
        self.register_buffer("right", index[:, 1], persistent=False)
        self.register_buffer("numeric", is_number[:, None], persistent=False)
        for name in ("slope", "shift", "low", "high"):
            self.register_buffer(f"pair_{name}", getattr(grid, name), persistent=False)
        self.basis_width, self.scale = size, self.curves.scale
        self.tables = nn.Parameter(torch.zeros(len(self.pairs), size, size * n_outputs)) if self.pairs else None
        self.bias = nn.Parameter(torch.zeros(n_outputs))
        steps = self.curves.slope.shape
        self.register_buffer("mean_token", torch.zeros(n_tokens, d_token))
        self.register_buffer("mean_curve", torch.zeros(steps))
        self.register_buffer("mean_basis", torch.zeros(n_tokens, size))

    @classmethod
    def from_rows(
        cls, cells: Cells, sizes: CellSizes, answers: npt.NDArray[np.float64], weights: npt.NDArray[np.float64] | None,
        options: Mapping[str, Any],
    ) -> dict[str, Any]:  # fmt: skip
        """Return what the training rows decide: the pairs, by a screen on the residuals of an additive fit, and how much terms shrink.

        A penalty that stands for a fixed number of rows is felt where rows are few and fades where they are many.
        """
        n = len(answers)
        found: dict[str, Any] = {"smooth": 1 / n, "ridge": 1 / n, "shrink": SHRINK / n, "shrink_pairs": SHRINK_PAIRS / n}
        if options.get("pairs") is not None:
            return found
        most = options.get("n_pairs")
        barred = tuple(int(c) for c in dict(options.get("monotone") or ()))
        return {**found, "pairs": screen_pairs(cells, sizes, answers, weights, sizes.n_columns if most is None else int(most), barred)}

    def _features(self, tokens: torch.Tensor, masked: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """Return tokens (N, C, D), curve encoding (N, Sn, T) and pair basis (N, C, B); those of masked columns are their means."""
        tokens = tokens.float()
        encoded = self.curves.encode(tokens) if self.curves.steps is not None else None
        basis = self._basis(tokens) if self.tables is not None else None
        if masked is None:
            return tokens, encoded, basis
        hide = masked[..., None]
        if encoded is not None:
            encoded = torch.where(hide[:, self.curves.order], self.mean_curve, encoded)
        if basis is not None:
            basis = torch.where(hide, self.mean_basis, basis)
        return torch.where(hide, self.mean_token, tokens), encoded, basis

    def _basis(self, tokens: torch.Tensor) -> torch.Tensor:
        steps = torch.clamp(torch.addcmul(self.pair_shift, self.pair_slope, tokens[..., :1]), self.pair_low, self.pair_high)  # type: ignore[arg-type]
        wide = functional.pad(steps, (0, self.basis_width - steps.shape[-1]))
        return torch.where(self.numeric, wide, functional.pad(tokens, (0, self.basis_width - tokens.shape[-1])))

    def _pair_terms(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """Return the terms (N, P, O) of the pairs' bases (N, P, B)."""
        assert self.tables is not None
        folded = torch.bmm(left.transpose(0, 1), self.scale * self.tables).reshape(len(self.pairs), len(left), self.basis_width, self.width)
        terms: torch.Tensor = (folded * right.transpose(0, 1)[..., None]).sum(2).transpose(0, 1)
        return terms

    def _penalty(self) -> torch.Tensor:
        total = self.bias.new_zeros(())
        if self.curves.steps is not None:
            bends = (self.curves.steps[:, 1:] - self.curves.steps[:, :-1]).square().sum()
            total = total + self.smooth * bends
        if self.tables is not None:
            total = total + self.ridge * self.tables.square().sum()
        return total

    @torch.no_grad()
    def _follow(self, tokens: torch.Tensor, encoded: torch.Tensor | None, basis: torch.Tensor | None) -> None:
        """Move the running means towards this batch; in place, so that a stack of networks keeps its own."""
        for mean, new in ((self.mean_token, tokens), (self.mean_curve, encoded), (self.mean_basis, basis)):
            if new is not None:
                mean.mul_(1 - MOMENTUM).add_(MOMENTUM * new.mean(0))

    def forward(self, tokens: torch.Tensor, masked: torch.Tensor | None = None) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Return (outputs (N, 1, O), penalty). Columns ``masked`` (N, C) stand at their means."""
        with torch.autocast(tokens.device.type, enabled=False):
            tokens, encoded, basis = self._features(tokens, masked)
            if self.training:
                self._follow(tokens, encoded, basis)
            own = self.curves(tokens, encoded)
            out, penalty = self.bias + own.sum(1), self._penalty() + self.shrink * own.square().sum((1, 2))
            if basis is not None:
                pairs = self._pair_terms(basis[:, self.left], basis[:, self.right])
                out, penalty = out + pairs.sum(1), penalty + self.shrink_pairs * pairs.square().sum((1, 2))
            return out[:, None], {"penalty": penalty}

    def explained(self, tokens: torch.Tensor, masked: torch.Tensor | None = None) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Return the outputs with ``contributions`` (N, C, O), ``pairs`` (N, P, O) and ``bias`` (N, O), whose total they are.

        With centred bases b' = b - m a pair's term is b'K b' + b'K m + m K b' + m K m: the first is the pair's own, the next two belong to
        one column each, the last to the bias.
        """
        tokens, encoded, basis = self._features(tokens, masked)
        means = self.curves(self.mean_token[None], None if encoded is None else self.mean_curve[None])
        own = self.curves(tokens, encoded) - means
        bias = self.bias + means.sum(1)
        pairs = own.new_zeros(len(own), 0, self.width)
        if basis is not None:
            m = self.mean_basis
            away, ml, mr = basis - m, m[None, self.left], m[None, self.right]
            n = len(away)
            pairs = self._pair_terms(away[:, self.left], away[:, self.right])
            own = own.index_add(1, self.left, self._pair_terms(away[:, self.left], mr.expand(n, -1, -1)))
            own = own.index_add(1, self.right, self._pair_terms(ml.expand(n, -1, -1), away[:, self.right]))
            bias = bias + self._pair_terms(ml, mr).sum(1)
        total = bias + own.sum(1) + pairs.sum(1)
        return total[:, None], {"contributions": own, "pairs": pairs, "bias": bias.expand(len(own), -1)}


def _usable(pairs: Sequence[Sequence[int]] | None, n_tokens: int, signs: torch.Tensor) -> tuple[tuple[int, int], ...]:
    """Return the pairs of columns that may have a term together."""
    if pairs is None:
        if n_tokens * (n_tokens - 1) // 2 > MOST_PAIRS:
            raise RequestError("too many pairs of columns", expected=f"at most {MOST_PAIRS}", do="name them: pairs=((0, 3), (1, 2))")
        pairs = list(combinations(range(n_tokens), 2))
    wrong = [p for p in pairs if len(p) != 2 or p[0] == p[1] or not all(0 <= c < n_tokens for c in p)]
    if wrong:
        raise RequestError(f"{tuple(wrong[0])} is no pair of columns", expected=f"two different indexes from 0 to {n_tokens - 1}")
    return tuple((int(i), int(j)) for i, j in pairs if not (signs[int(i)] or signs[int(j)]))
