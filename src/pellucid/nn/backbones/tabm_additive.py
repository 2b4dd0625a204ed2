"""TabM beside an additive model: two views of a table in one network, and how much each counts.

Trees and networks gain from each other because they err on different rows. Here the other view is a generalised additive model, fitted by
penalised least squares in a second or two; it is right where few rows tell much about single columns, and the perceptrons where columns
act together. Sources: Gorishniy, Kotelnikov, Babenko 2024, arXiv:2410.24210; Lou, Caruana, Gehrke, Hooker 2013,
doi:10.1145/2487575.2487579; the choice of the share on held-out rows is that of stacking (Wolpert 1992, doi:10.1016/S0893-6080(05)80023-1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from pellucid.nn.backbones.additive import MOST_LEVELS, Additive
from pellucid.nn.backbones.additive_doubt import HeightDraws
from pellucid.nn.backbones.curves import coarser
from pellucid.nn.backbones.tabm import TabM
from pellucid.nn.cells import Cells, CellSizes
from pellucid.nn.coupling import Couplings
from pellucid.nn.folding import InTurn, unwatched
from pellucid.nn.layers import only_answers

__all__ = ["TabMAdditive"]

KNOTS = (1500, 16, 100)
"""Knots of all curves together, and the fewest and most of one."""
QUIET = 0.05
"""Share of a numeric target's variance that the additive model leaves, below which dropout would be the largest noise there is."""
FEW_ROWS, PAIRS = 2000, (200, 12)
"""Pairs of columns that have a term: below these rows, and from there on, where the members find what pairs do."""


class TabMAdditive(nn.Module):
    """Tokens (N, C, D) to hidden states (N, K, h) of K members of TabM, and the output of an additive model as the part ``additive``.

    The first ``front`` entries of a token are the additive model's, the rest are the members'. Its terms are put where
    :meth:`start_from` finds them and stay there; the members learn as they would alone. The head ``blend`` mixes the two.
    Doubt asks draws of these terms as well (:meth:`moves`), which answers do not read.

    Parameters
    ----------
    n_tokens, d_token : C, and the members' part of D.
    sizes, n_outputs : what the cells look like, O.
    members, width, blocks, dropout : K, h, and the rest of :class:`~pellucid.nn.backbones.tabm.TabM`.
    free_dropout : whether dropout may be left out where it would be the largest noise there is.
    pair_bins, pairs, n_pairs : as for :class:`~pellucid.nn.backbones.additive.Additive`.

    Attributes
    ----------
    quiet : whether it would be, known once the additive model is fitted.
    apart : while True only the members are computed: in training, which has no use for terms that stay, and where they have no share.

    Cost: that of both. In parts the additive model adds O entries; its pairs stand beside them (``nn.coupling``).
    """

    additive = True
    stackable = True
    wants = ("sizes", "n_outputs")
    front = 12

    def __init__(
        self, n_tokens: int, d_token: int, sizes: CellSizes, n_outputs: int, members: int = 4, width: int = 256, blocks: int = 2,
        dropout: float = 0.1, free_dropout: bool = True, pair_bins: int = 8, pairs: Sequence[Sequence[int]] | None = None,
        n_pairs: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        del n_pairs  # read by the screen
        self.free_dropout, self.quiet = free_dropout, False
        self.deep = TabM(n_tokens, d_token, members, width, blocks, dropout)
        fewer = _fewer(sizes)
        self.own = Additive(n_tokens, self.front, fewer, n_outputs, pair_bins, pairs).requires_grad_(False).eval()
        self.own.doubt = HeightDraws(fewer, n_outputs, MOST_LEVELS, self.front - 1, self.own.pairs, self.own.edges)
        self.members, self.width, self.n_outputs, self.apart = members, width, n_outputs, False

    @classmethod
    def from_rows(
        cls, cells: Cells, sizes: CellSizes, answers: npt.NDArray[np.float64], weights: npt.NDArray[np.float64] | None,
        options: Mapping[str, Any],
    ) -> dict[str, Any]:  # fmt: skip
        """Return what the training rows decide of the additive model: its pairs, and how finely they are cut."""
        if options.get("pairs") is None and not Additive.startable(_fewer(sizes), answers.shape[1]):
            return {"pairs": ()}  # the additive model is not fitted, and has no share
        most = options.get("n_pairs", PAIRS[len(answers) >= FEW_ROWS])
        found = Additive.from_rows(cells, sizes, answers, weights, {**options, "n_pairs": most})
        return {name: found[name] for name in ("pair_bins", "pairs") if name in found}

    def train(self, mode: bool = True) -> TabMAdditive:
        super().train(mode)
        self.own.eval()  # its running means stay those of the start
        return self

    @torch.no_grad()
    def start_from(
        self, embedding: Any, cells: Cells, answers: npt.NDArray[np.float64], weights: npt.NDArray[np.float64] | None, classes: bool,
        go_on: Callable[[], bool] = lambda: True, draw: np.random.Generator | None = None,
    ) -> bool:  # fmt: skip
        """Fit the additive model; see :meth:`Additive.start_from`."""
        started = self.own.start_from(embedding.front, cells, answers, weights, classes, go_on, draw, self.members)
        sizes = self.own.sizes
        other = sorted(set(range(sizes.n_columns)) - set(sizes.number_columns) - set(sizes.code_columns))
        self.own.curves.read[other] = 0.0  # columns that only the members read: texts, parts of dates
        self.quiet = self.free_dropout and self.own.unexplained is not None and self.own.unexplained < QUIET
        return started

    @property
    def linear_parts(self) -> bool:
        """Whether parts are linear in tokens, and a constant: those of the members are, those of curves are not."""
        return self.apart

    @property
    def unread(self) -> tuple[str, ...]:
        """Beginnings of the names of weights that answers do not read: draws serve doubt alone."""
        return ("own.",) if self.apart else ("own.doubt.",)

    @property
    def drawn(self) -> bool:
        """Whether draws of what the additive model does not know of its terms were made."""
        return self.own.doubt is not None and bool(self.own.doubt.moves.any())

    def moves(self, cells: Cells) -> torch.Tensor:
        """Return how far the additive model's outputs may lie from what it answers, (N, R, O) draws with no mean."""
        assert self.own.doubt is not None
        out: torch.Tensor = self.own.doubt(cells)
        return out

    def leave_out_dropout(self) -> None:
        """Train the members without dropout from here on."""
        self.deep.dropout = 0.0

    def parts(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the columns' parts (N, C, W): of the members' first stage, and the columns' own terms; see :meth:`couplings`."""
        mine, rest = self._split(tokens)
        deep = self.deep.parts(rest)
        if self.apart:
            return deep
        with torch.autocast(tokens.device.type, enabled=False):
            return torch.cat([deep.float(), self.own.curves(mine.float())], 2)

    @property
    def couplings(self) -> Couplings | None:
        """Which pairs of columns add something to the sum of the parts that no part holds."""
        if self.apart or self.own.tables is None:
            return None
        slots = self.members * self.deep.width + torch.arange(self.n_outputs)
        return Couplings(self.own.paired, self.own.place_left, self.own.place_right, slots)

    def bases(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return what the pairs' terms read of the coupled columns, (N, P', B)."""
        with torch.autocast(tokens.device.type, enabled=False):
            return self.own.bases(self._split(tokens)[0])

    def coupled(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """Return the pairs' terms (N, P, O); see :meth:`Additive.coupled`."""
        with torch.autocast(left.device.type, enabled=False):
            return self.own.coupled(left, right)

    def coupled_sum(self, bases: torch.Tensor) -> torch.Tensor:
        """Return the sum of the pairs' terms of whole rows, (N, O); see :meth:`Additive.coupled_sum`."""
        with torch.autocast(bases.device.type, enabled=False):
            return self.own.coupled_sum(bases)

    def from_sum(self, total: torch.Tensor) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Return (hidden (N, K, h), parts) from the summed parts (N, W), the couplings added."""
        deep, parts = self._of_sum(total)
        return self.deep.from_sum(deep)[0], parts

    def _of_sum(self, total: torch.Tensor) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Return (the members' sum (N, K * h), the part ``additive`` (N, O) unless it is left out) from such a sum (N, W)."""
        k = self.members * self.deep.width
        return total[:, :k], {} if self.apart else {"additive": self.own.bias + total[:, k:]}

    def in_turn(self, given: torch.Tensor, summed: bool = False) -> tuple[InTurn, Mapping[str, torch.Tensor]] | None:
        """Return (the members' hidden states one after the other, parts); see :meth:`FlatBackbone.in_turn`."""
        if not unwatched(self) or not only_answers(self, given):
            return None
        if summed:
            deep, parts = self._of_sum(given)
            found = self.deep.in_turn(deep, summed)
            return None if found is None else (found[0], parts)
        mine, rest = self._split(given)
        found = self.deep.in_turn(rest)
        return None if found is None else (found[0], {} if self.apart else {"additive": self.own.answers(mine)})

    def forward(self, tokens: torch.Tensor, masked: torch.Tensor | None = None) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Return (hidden (N, K, h), parts); parts hold the output of the additive model, ``additive`` (N, O), unless it is left out."""
        mine, rest = self._split(tokens)
        hidden, _ = self.deep(rest, masked)
        if self.apart:
            return hidden, {}
        own = self.own.answers(mine) if masked is None and only_answers(self, tokens) else self.own(mine, masked)[0][:, 0]
        return hidden, {"additive": own}

    def _split(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        front = tokens.shape[-1] - self.deep.first.d_token  # 0 where the embedding leaves them out
        return tokens[..., :front], tokens[..., front:]


def _fewer(sizes: CellSizes) -> CellSizes:
    """Return the sizes with the additive model's knots in place of the bins."""
    total, least, most = KNOTS
    knots = int(np.clip(total // max(len(sizes.bins), 1), least, most))
    return replace(sizes, bins=tuple(coarser(edges, knots) for edges in sizes.bins))
