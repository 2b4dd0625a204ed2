"""A generalised additive model: one curve per column and a few terms of two columns, all of which add up to the output.

Lou, Caruana, Gehrke, Hooker 2013, doi:10.1145/2487575.2487579 (GA2M, and the fast screen of pairs on residuals); Nori, Jenkins, Koch,
Caruana 2019, arXiv:1909.09223 (the explainable boosting machine); Lengerich and others 2020, arXiv:1911.04974 (pure terms).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from pellucid.errors import RequestError
from pellucid.nn.backbones.additive_doubt import HeightDraws
from pellucid.nn.backbones.additive_start import Heights, Places, fitted_sum, level_places, number_places
from pellucid.nn.backbones.curves import Curves, Hats, coarser, directions
from pellucid.nn.backbones.pairs import screen_pairs
from pellucid.nn.beside import DRAWS
from pellucid.nn.cells import Cells, CellSizes
from pellucid.nn.embeddings.levels import LevelTable

__all__ = ["Additive"]

MOST_PAIRS = 2000
SCREENED = 200
"""Most pairs that the screen picks where the user names no number: all of twenty columns."""
CELLS = ((2000, 8), (5000, 12), (float("inf"), 16))
"""(rows up to, cells of a pair's table along a number)."""
START_ROWS, START_SIZE, START_OUTPUTS = 50_000, 3000, 20
"""What the start reads at most: rows, heights of all columns together, outputs. Larger fits begin at 0."""
MOST_LEVELS = 500
DENSE = 8
"""Pairs that the paired columns could form, times two, for each pair there is: up to here one matrix holds all tables."""
AFTER_START = 0.05
"""Length of the steps of training after the start, as a share of what they are without one."""
MOMENTUM = 0.02
SHRINK, SHRINK_PAIRS = 80.0, 1600.0
"""Rows for which the penalties on terms stand; measured on small tables (benchmarks/versus_ebm)."""


class Additive(nn.Module):
    """Tokens (N, C, D) to outputs (N, 1, O), the sum of a bias, one term per column and one per chosen pair of columns.

    A pair's term is bilinear in the two columns' bases (the weights of coarse knots for numbers, the token for everything else): a
    small table with straight lines between its cells. Training begins where :meth:`start_from` puts the terms. In the parts every term has
    mean 0 over the training rows, and what a pair's term says of one column alone is moved to that column, both by running means that
    training keeps; the sum is the output either way.

    # NOTE[DIFF] GA2M and EBM boost trees on bins; here the same family of functions, continuous, is learned by gradient steps. Terms
    # are pure under independent columns, not under their joint distribution, which a batch cannot hold.

    Cost: C * (T + D) * O + P * B**2 * O multiply-adds a row.

    Parameters
    ----------
    n_tokens, d_token, sizes, n_outputs : C, D, what the cells look like, O.
    pair_bins : B, most cells of a pair's table along a number.
    pairs : the column pairs; None for all (at most 2,000). An estimator names the strongest ``n_pairs`` by a screen of its training rows.
    n_pairs : how many pairs the screen picks; None for all, but at most 200.
    smooth, ridge : weights of the penalties on changes of the curves' slopes and on the pairs' tables, for terms that begin at 0.
    shrink, shrink_pairs : weights of the penalties on the squared terms of a row, as neural additive models have (arXiv:2004.13912); also
        for terms that begin at 0.
    monotone : column index -> +1 (the output never falls along it) or -1; as a mapping or pairs. Such columns are in no pair.

    Attributes
    ----------
    pairs : (P, 2) the column pairs, in the order of the part ``"pairs"``.
    unexplained : the share of the target's variance that the start left, once it was made for numbers; else None.
    doubt : where the start puts draws of the heights, for a network whose terms stay there; None: nowhere.
    """

    additive = False
    stackable = True
    listed = True
    penalised = True
    members = 1
    wants = ("sizes", "n_outputs")

    left: torch.Tensor
    right: torch.Tensor
    paired: torch.Tensor
    place_left: torch.Tensor
    place_right: torch.Tensor
    numeric: torch.Tensor
    mean_token: torch.Tensor
    mean_curve: torch.Tensor
    mean_basis: torch.Tensor
    held: torch.Tensor

    def __init__(
        self, n_tokens: int, d_token: int, sizes: CellSizes, n_outputs: int, pair_bins: int = 8,
        pairs: Sequence[Sequence[int]] | None = None, n_pairs: int | None = None, smooth: float = 1e-3, ridge: float = 1e-3,
        shrink: float = 1e-3, shrink_pairs: float = 1e-2, monotone: Mapping[int, int] | Sequence[Sequence[int]] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        del n_pairs  # read by the screen
        signs = directions(monotone, n_tokens)
        self.width, self.smooth, self.ridge, self.shrink, self.shrink_pairs = n_outputs, smooth, ridge, shrink, shrink_pairs
        self.curves = Curves(sizes, d_token, n_outputs, signs, clip=True)
        self.pairs = _usable(pairs, n_tokens, signs)
        self.unexplained: float | None = None
        self.doubt: HeightDraws | None = None
        index = torch.tensor(self.pairs, dtype=torch.int64).reshape(-1, 2)
        self.sizes = sizes
        self.edges: list[npt.NDArray[np.floating]] = [np.array([0.0, 1.0])] * n_tokens
        for column, own in zip(sizes.number_columns, sizes.bins):
            self.edges[column] = coarser(own, pair_bins)
        self.hats = Hats(self.edges)
        size = max(d_token - 1, self.hats.size + 1) if self.pairs else 1
        is_number = torch.tensor([c in sizes.number_columns for c in range(n_tokens)])
        self.register_buffer("left", index[:, 0], persistent=False)
        self.register_buffer("right", index[:, 1], persistent=False)
        self.register_buffer("numeric", is_number[:, None], persistent=False)
        self.register_buffer("held", torch.ones(()), persistent=False)
        paired = sorted({c for pair in self.pairs for c in pair}, key=lambda c: (c not in sizes.number_columns, c))
        self.n_paired_numbers = sum(c in sizes.number_columns for c in paired)
        self.register_buffer("paired", torch.tensor(paired, dtype=torch.int64), persistent=False)
        for name, side in (("place_left", 0), ("place_right", 1)):  # where among these the columns of a pair are
            at = torch.tensor([paired.index(pair[side]) for pair in self.pairs], dtype=torch.int64)
            self.register_buffer(name, at, persistent=False)
        self.basis_width = size
        self.tables = nn.Parameter(torch.zeros(len(self.pairs), size, size * n_outputs)) if self.pairs else None
        self.bias = nn.Parameter(torch.zeros(n_outputs))
        steps = self.curves.bins.shape
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
        found: dict[str, Any] = {"pair_bins": next(cells for upto, cells in CELLS if n < upto)}
        found |= {"smooth": 1 / n, "ridge": 1 / n, "shrink": SHRINK / n, "shrink_pairs": SHRINK_PAIRS / n}
        if options.get("pairs") is not None:
            return found
        most = options.get("n_pairs")
        barred = tuple(int(c) for c in dict(options.get("monotone") or ()))
        return {**found, "pairs": screen_pairs(cells, sizes, answers, weights, SCREENED if most is None else int(most), barred)}

    def _features(
        self, tokens: torch.Tensor, masked: torch.Tensor | None, whole: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:  # fmt: skip
        """Return tokens (N, C, D), curve encoding (N, Sn, T) and pair basis (N, C, B); those of masked columns are their means.

        The encoding is None where the curves can do without, unless ``whole``.
        """
        tokens = tokens.float()
        needed = whole or self.training or masked is not None
        encoded = self.curves.encode(tokens) if needed and self.curves.steps is not None else None
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
        """Return the bases (N, C, B): a number's knots and its mark of a missing cell, else the token past its first entry."""
        wider = tokens.shape[-1] > 1
        known, rest = self.hats(tokens[..., 0]), tokens[..., 1:] if wider else tokens
        absent = tokens[..., 1:2] if wider else torch.zeros_like(tokens)
        of_number = torch.cat([known * (1 - absent), absent], -1)
        wide, other = (functional.pad(t, (0, self.basis_width - t.shape[-1])) for t in (of_number, rest))
        return torch.where(self.numeric, wide, other)

    def _pair_terms(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """Return the terms (N, P, O) of the pairs' bases (N, P, B)."""
        assert self.tables is not None
        folded = torch.bmm(left.transpose(0, 1), self.curves.pace * self.tables)
        folded = folded.reshape(len(self.pairs), left.shape[0], self.basis_width, self.width)
        terms: torch.Tensor = (folded * right.transpose(0, 1)[..., None]).sum(2).transpose(0, 1)
        return terms

    def answers(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the outputs (N, O) alone: no term is kept apart, and only columns that are in pairs get a basis. A third of the time.

        Cost: as for the module; see :meth:`coupled_sum`.
        """
        with torch.autocast(tokens.device.type, enabled=False):
            tokens = tokens.float()
            read, steps = self.curves.weights()
            out: torch.Tensor = torch.addmm(self.bias, tokens.flatten(1), read.flatten(0, 1))
            if steps is not None:
                out = out + self.curves.bins(tokens[:, self.curves.order, 0], steps).sum(1)
            if self.tables is None:
                return out
            return out + self.coupled_sum(self.bases(tokens))

    def coupled_sum(self, basis: torch.Tensor) -> torch.Tensor:
        """Return the sum of the pairs' terms (N, O) of rows whose ``paired`` columns have these bases (N, P', B).

        Where pairs are most of all that the paired columns could form, all tables lie in one matrix, added up where a pair is named twice:
        one product in place of two bases a pair, four to eight times as fast.
        """
        if len(self.paired) ** 2 > DENSE * len(self.pairs):
            return self.coupled(basis, basis).sum(1)
        assert self.tables is not None
        size = len(self.paired) * self.basis_width
        whole = basis.new_zeros(len(self.paired), len(self.paired), self.basis_width, self.basis_width * self.width)
        whole = whole.index_put((self.place_left, self.place_right), self.curves.pace * self.tables, accumulate=True)
        folded = (basis.flatten(1) @ whole.transpose(1, 2).reshape(size, size * self.width)).unflatten(1, (size, self.width))
        total: torch.Tensor = (folded * basis.flatten(1)[..., None]).sum(1)
        return total

    def bases(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the bases (N, P', B) of the ``paired`` columns, those of numbers first, from all tokens (N, C, D)."""
        tokens = tokens.float()[:, self.paired]
        n, wider = self.n_paired_numbers, tokens.shape[-1] > 1
        of_number, of_level = tokens[:, :n], tokens[:, n:]
        absent = of_number[..., 1:2] if wider else torch.zeros_like(of_number)
        known = torch.cat([self.hats.of(self.paired[:n], of_number[..., 0]) * (1 - absent), absent], -1)
        rest = of_level[..., 1:] if wider else of_level
        wide = (functional.pad(t, (0, self.basis_width - t.shape[-1])) for t in (known, rest))
        return torch.cat(list(wide), 1)

    def coupled(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """Return the pairs' terms (N, P, O) where left columns have the bases ``left`` and right ones ``right``, (N, P', B) each."""
        # by columns: whole blocks are copied, several times as fast as entries of every row
        by_pair = (
            side.transpose(0, 1).index_select(0, at).transpose(0, 1) for side, at in ((left, self.place_left), (right, self.place_right))
        )
        return self._pair_terms(*by_pair)

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
            return out[:, None], {"penalty": self.held * penalty}

    # -- the start -----------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def start_from(
        self, embedding: Any, cells: Cells, answers: npt.NDArray[np.float64], weights: npt.NDArray[np.float64] | None, classes: bool,
        go_on: Callable[[], bool] = lambda: True, draw: np.random.Generator | None = None, together: int = 1,
    ) -> bool:  # fmt: skip
        """Put the terms where the penalised fit of ``additive_start`` has them; False where these tokens or sizes do not allow it.

        Parameters
        ----------
        embedding : makes the tokens; its levels' vectors are set: what a level adds, then the indicator of its place among the frequent.
        cells : N training rows. answers : (N, O) 0 and 1, or standardised values. weights : (N,) or None.
        go_on : as for ``fitted_sum``. draw : makes the draws of ``doubt``. together : see :meth:`HeightDraws.put`.
        """
        sizes, levels, numbers = self.sizes, getattr(embedding, "levels", None), getattr(embedding, "numbers", None)
        readable = (levels is None or isinstance(levels, LevelTable)) and (numbers is None or getattr(numbers, "marks", False))
        width = self.mean_token.shape[1]
        if not readable or width < 3 or not self.startable(sizes, answers.shape[1]):
            return False
        some = np.linspace(0, len(answers) - 1, min(len(answers), START_ROWS)).astype(int)
        rows, weights = cells.take(torch.from_numpy(some)), None if weights is None else weights[some]
        own, coarse, which = self._places(rows, width - 1)
        columns = list(own)
        at = {c: k for k, c in enumerate(columns)}
        usable = [p for p, pair in enumerate(self.pairs) if pair[0] in at and pair[1] in at]
        pairs = [(at[self.pairs[p][0]], at[self.pairs[p][1]]) for p in usable]
        draws = None if self.doubt is None else (DRAWS, draw or np.random.default_rng(0))
        fit = fitted_sum([own[c] for c in columns], [coarse[c] for c in columns], pairs, answers[some], weights, classes, go_on, draws)
        self.unexplained = None if classes else float(fit.noise.mean())
        self.curves.pace.mul_(AFTER_START)
        self.held.zero_()
        self._put_columns(embedding, fit, columns, which)
        self._put_pairs(fit, usable)
        if self.doubt is not None and fit.moves is not None:
            self.doubt.put(fit.moves, dict(zip(usable, fit.pair_moves)), which, together)
        self._put_means(embedding, rows)
        return True

    @staticmethod
    def startable(sizes: CellSizes, n_outputs: int) -> bool:
        """Return whether heights and outputs are few enough for a start."""
        heights = sum(len(e) + 1 for e in sizes.bins) + sum(min(k, MOST_LEVELS) for k in sizes.cardinalities)
        return 0 < heights <= START_SIZE and n_outputs <= START_OUTPUTS

    def _places(
        self, rows: Cells, groups: int
    ) -> tuple[dict[int, Places], dict[int, Places], dict[int, tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]]:
        """Return each column's places on its own knots and on those of its pairs, and of levels the place of every code in both."""
        own, coarse, which = dict[int, Places](), dict[int, Places](), {}
        values, missing, codes = rows.numbers.double().numpy(), rows.missing.numpy(), rows.codes.numpy()
        for slot, column in enumerate(self.sizes.number_columns):
            edges = np.asarray(self.sizes.bins[slot], np.float64)
            own[column] = number_places(values[:, slot], missing[:, slot], edges)
            knots = np.asarray(self.edges[column], np.float64)
            coarse[column] = number_places(values[:, slot], missing[:, slot], knots, smooth_only=True)
        for slot, column in enumerate(self.sizes.code_columns):
            if column in own:  # an ordered column: its rank has the curve
                continue
            size = self.sizes.cardinalities[slot]
            which[column] = _frequent(codes[:, slot], size, min(size, MOST_LEVELS)), _frequent(codes[:, slot], size, groups)
            own[column] = level_places(which[column][0][codes[:, slot]], min(size, MOST_LEVELS))
            coarse[column] = level_places(which[column][1][codes[:, slot]], groups)
        return own, coarse, which

    def _put_columns(
        self, embedding: Any, fit: Heights, columns: Sequence[int],
        which: Mapping[int, tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]],
    ) -> None:  # fmt: skip
        bias, heights = fit.bias.copy(), dict(zip(columns, fit.columns))
        for slot, column in enumerate(self.sizes.number_columns):
            bias += self.curves.put(slot, column, self.sizes.bins[slot], heights[column])
            gap = float(self.sizes.bins[slot][0]) if self.curves.signs[column, 0, 0] else 0.0
            embedding.numbers.gap[slot] = gap
        levels = embedding.levels
        for slot, column in enumerate(self.sizes.code_columns):
            first = int(levels.offsets[slot])
            table = levels.table[first : first + self.sizes.cardinalities[slot]]
            table.zero_()
            if column in which:
                fine, rough = which[column]
                self._put_levels(table, heights[column][fine], rough, column)
                table[np.arange(len(rough)), 1 + rough] = 1.0
        self.bias.copy_(torch.from_numpy(bias))

    def _put_levels(
        self, table: torch.Tensor, heights: npt.NDArray[np.float64], place: npt.NDArray[np.int64], column: int
    ) -> None:  # fmt: skip
        """Let the first entry of the token say what a level adds.

        Where there are several outputs it says so of rare levels alone, along one direction; the frequent ones have entries of their own.
        """
        read = self.curves.read[column]
        read.zero_()
        if self.width > 1:
            own = place > 0
            read[1 + place[own]] = (torch.from_numpy(heights[own]).float() / self.curves.pace).to(read.dtype)
            heights = np.where(own[:, None], 0.0, heights)
        along = np.linalg.svd(heights, full_matrices=False)[2][0] if self.width > 1 else np.ones(1)
        # a level's vector takes the full steps of training: a larger unit makes them as short as those of the other terms
        table[:, 0] = torch.from_numpy(heights @ along / AFTER_START).float()
        read[0] = torch.from_numpy(along * AFTER_START).float() / self.curves.pace

    def _put_pairs(self, fit: Heights, usable: Sequence[int]) -> None:
        if self.tables is None:
            return
        self.tables.zero_()
        grid = self.tables.view(len(self.pairs), self.basis_width, self.basis_width, self.width)
        for p, heights in zip(usable, fit.pairs):
            a, b = (self._slots(c, size) for c, size in zip(self.pairs[p], heights.shape))
            grid[p, a[:, None], b[None]] = torch.from_numpy(heights).float() / self.curves.pace

    def _slots(self, column: int, size: int) -> npt.NDArray[np.int64]:
        """Return which entries of the basis the knots of a column are; the last one of a number is that of missing cells."""
        slots = np.arange(size)
        if column in self.sizes.number_columns:
            slots[-1] = self.hats.size
        return slots

    def _put_means(self, embedding: Any, rows: Cells) -> None:
        """Set the running means to the means over the training rows."""
        was, n = embedding.training, rows.n_rows
        embedding.eval()
        means = (self.mean_token, self.mean_curve, self.mean_basis)
        for mean in means:
            mean.zero_()
        for first in range(0, n, 4096):
            for mean, new in zip(means, self._features(embedding(rows.take(slice(first, first + 4096))), None, whole=True)):
                if new is not None:
                    mean.add_(new.sum(0) / n)
        embedding.train(was)

    # -- what is shown -------------------------------------------------------------------------------------------------------

    def explained(self, tokens: torch.Tensor, masked: torch.Tensor | None = None) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Return the outputs with ``contributions`` (N, C, O), ``pairs`` (N, P, O) and ``bias`` (N, O), whose total they are.

        With centred bases b' = b - m a pair's term is b'K b' + b'K m + m K b' + m K m: the first is the pair's own, the next two belong to
        one column each, the last to the bias.
        """
        tokens, encoded, basis = self._features(tokens, masked)
        means = self.curves(self.mean_token[None], None if self.curves.steps is None else self.mean_curve[None])
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


def _frequent(codes: npt.NDArray[np.int64], size: int, places: int) -> npt.NDArray[np.int64]:
    """Return the place (size,) of every code: 1 to ``places - 1`` for the most frequent ones, 0 for the rest."""
    count = np.bincount(codes, minlength=size)
    place = np.zeros(size, np.int64)
    most = min(places - 1, size)
    place[np.argsort(-count, kind="stable")[:most]] = np.arange(1, 1 + most)
    return place
