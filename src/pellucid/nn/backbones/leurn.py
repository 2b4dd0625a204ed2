"""LEURN: layer after layer compares every column with a threshold that what was found before decides; the output is a sum of the findings.

Aluja, Ozdemir, Aydin 2023, arXiv:2303.14937 (learning explainable univariate rules with neural networks).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.nn import functional

from pellucid.nn.backbones.curves import directions
from pellucid.nn.layers import dropout, uniform

__all__ = ["LEURN", "intervals", "levels_inside", "quantised", "staircase"]


def quantised(x: torch.Tensor, levels: int) -> torch.Tensor:
    """Return tanh(x) rounded to ``levels`` equal steps from -1 to 1, with the gradient of tanh; 2 is the sign, 0 the smooth tanh itself.

    A step is taken where tanh crosses the middle between two levels; 0 goes up.
    """
    smooth = torch.tanh(x)
    if levels < 2:
        return smooth
    gaps = levels - 1
    hard = torch.floor((smooth + 1) / 2 * gaps + 0.5) * 2 / gaps - 1
    return smooth + (hard - smooth).detach()


def staircase(levels: int) -> torch.Tensor:
    """Return the numbers (levels - 1,) at which :func:`quantised` steps, the middle 0 alone where it is smooth."""
    gaps = max(levels - 1, 1)
    return torch.atanh((2 * torch.arange(gaps) + 1) / gaps - 1)


class LEURN(nn.Module):
    """Tokens (N, C, D) to outputs (N, 1, O).

    Layer l: ``s_l = q(x + tau_l)`` for each of the C * D scaled numbers, with q a staircase from -1 to 1, then
    ``tau_{l+1} = W_l [s_1 .. s_l] + b_l``; the output is ``V [s_1 .. s_L] + b``, a sum of one finding per number and layer. The
    threshold of a column is ``-tau``. With D above 1 and the encoder ``stack`` a column has D thresholds a layer.

    # NOTE[DIFF] The staircase is there from the first step. The paper mixes it in over the first tenth of the epochs, which needs a
    # clock inside the network; what that is worth was not measured. Dropout hides findings, one by one: the public code hides whole rows.

    Cost: (C * D)**2 * L * (L - 1) / 2 multiply-adds a row.

    Parameters
    ----------
    n_tokens, d_token, n_outputs : C, D, O.
    layers : L.
    levels : steps of the staircase: 2 is like a tree, more are smoother, 0 is a network of tanh.
    dropout : share of the findings hidden from the following layers and the output while training.
    sharpness : the staircase reads ``sharpness * (x + tau)``.
    monotone : column index -> +1 (the output never falls along it) or -1. Findings of such a column move no threshold of a free column.
    """

    additive = False
    stackable = True
    listed = True
    members = 1
    wants = ("n_outputs",)

    signs: torch.Tensor
    steps: torch.Tensor

    def __init__(
        self, n_tokens: int, d_token: int, n_outputs: int, layers: int = 8, levels: int = 9, dropout: float = 0.1, sharpness: float = 1.0,
        monotone: Mapping[int, int] | Sequence[Sequence[int]] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.n_tokens, self.d_token, self.width = n_tokens, d_token, n_outputs
        self.layers, self.levels, self.dropout, self.sharpness = layers, levels, dropout, sharpness
        flat = n_tokens * d_token
        self.register_buffer("signs", directions(monotone, n_tokens).repeat_interleave(d_token), persistent=False)
        self.constrained = bool(self.signs.any())
        self.first = nn.Parameter(uniform((flat,), 1.0))  # NOTE[DIFF] spread, not 0: copies of one number need thresholds of their own
        self.moves = nn.ModuleList(nn.Linear(flat * (i + 1), flat) for i in range(layers - 1))
        for i, move in enumerate(self.moves):
            nn.init.uniform_(move.weight, -1 / (flat * (i + 1)), 1 / (flat * (i + 1)))  # type: ignore[arg-type]
            nn.init.uniform_(move.bias, -1.0, 1.0)  # type: ignore[arg-type]
        self.out = nn.Linear(flat * layers, n_outputs)
        self.register_buffer("steps", staircase(levels) / sharpness, persistent=False)

    @property
    def jumps(self) -> str:
        """What slopes of this network are, in words; empty where it is smooth."""
        if self.levels < 2:
            return ""
        return "it jumps at its thresholds and is level between two of them; its slopes are those of smooth curves in place of the steps"

    def _between(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the weights (F, l * F) of a threshold map as monotone columns allow them."""
        if not self.constrained:
            return weight
        source, goal = self.signs.repeat(weight.shape[1] // len(self.signs))[None], self.signs[:, None]
        bound = source * goal * functional.softplus(weight - 3)
        return torch.where(source == 0, weight, bound)  # to a free column: bound is 0

    def _read(self) -> torch.Tensor:
        weight = self.out.weight
        if not self.constrained:
            return weight
        sign = self.signs.repeat(self.layers)[None]
        return torch.where(sign == 0, weight, sign * functional.softplus(weight - 3))

    def _findings(self, tokens: torch.Tensor, masked: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what every layer found and the thresholds it checked, (N, L, F) each; masked columns are found to be 0."""
        x = tokens.float().flatten(1)
        shown = None if masked is None else (~masked).repeat_interleave(self.d_token, 1).to(x.dtype)
        found: list[torch.Tensor] = []
        taus = [self.first.expand_as(x)]
        for i in range(self.layers):
            if i:
                move = self.moves[i - 1]
                taus.append(functional.linear(torch.cat(found, 1), self._between(move.weight), move.bias))  # type: ignore[arg-type]
            step = quantised(self.sharpness * (x + taus[i]), self.levels)
            found.append(dropout(step if shown is None else step * shown, self.dropout, self.training))
        return torch.stack(found, 1), -torch.stack(taus, 1)

    def forward(self, tokens: torch.Tensor, masked: torch.Tensor | None = None) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Return (outputs (N, 1, O), no parts). Columns ``masked`` (N, C) have exactly no influence."""
        with torch.autocast(tokens.device.type, enabled=False):
            found, _ = self._findings(tokens, masked)
            return functional.linear(found.flatten(1), self._read(), self.out.bias)[:, None], {}

    def explained(self, tokens: torch.Tensor, masked: torch.Tensor | None = None) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Return the outputs with the listed sum and the rules.

        Parts: ``contributions`` (N, C, O) and ``bias`` (N, O), whose total the outputs are; ``rules`` (N, C, L, O), the sum taken apart by
        layer; ``thresholds`` (N, C, L, D * (levels - 1)), every number at which a staircase steps (without a staircase its middle,
        (N, C, L, D)); ``findings`` (N, C, L, D).

        # NOTE[DIFF] The bias is listed by itself, not spread over the columns.
        """
        found, thresholds = self._findings(tokens, masked)
        shape = (self.layers, self.n_tokens, self.d_token)
        found, thresholds = (t.view(-1, *shape).transpose(1, 2) for t in (found, thresholds))
        rules = torch.einsum("ncld,olcd->nclo", found, self._read().view(-1, *shape))
        thresholds = (thresholds[..., None] + self.steps).flatten(3)
        contributions = rules.sum(2)
        bias = self.out.bias.expand(tokens.shape[0], -1)
        parts = {"contributions": contributions, "bias": bias, "rules": rules, "thresholds": thresholds, "findings": found}
        return (contributions.sum(1) + bias)[:, None], parts


def intervals(numbers: torch.Tensor, thresholds: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the tightest bounds (low (N, C), high (N, C)) that the thresholds checked put around scaled numbers: low <= x < high.

    With a staircase (levels of 2 or more) the thresholds a row is checked against depend on its findings alone, so every row of all the
    intervals of a row has its findings and its output. Without a threshold on a side the bound is infinite.

    Parameters
    ----------
    numbers : (N, C). thresholds : (N, C, L, D), the part of that name, or (N, C, S).
    """
    x, t = numbers[..., None], thresholds.flatten(2)
    low = torch.where(t <= x, t, -torch.inf).amax(2)
    high = torch.where(t > x, t, torch.inf).amin(2)
    return low, high


def levels_inside(levels: torch.Tensor, token: torch.Tensor, thresholds: torch.Tensor) -> torch.Tensor:
    """Return (N, S): which of a column's S levels are on the side of every threshold on which the row's own level is.

    Parameters
    ----------
    levels : (S, D) the levels' tokens. token : (N, D) the rows' own. thresholds : (N, L, D') of that column.
    """
    steps = thresholds.unflatten(-1, (levels.shape[1], -1))[:, None]  # (N, 1, L, D, steps)
    sides: torch.Tensor = (levels[None, :, None, :, None] >= steps) == (token[:, None, None, :, None] >= steps)
    return sides.all((2, 3, 4))
