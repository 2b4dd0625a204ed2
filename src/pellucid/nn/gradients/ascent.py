"""Explanation by optimisation: what the tokens would have to be, and how much of each token is needed.

``climb``: choices of cells that raise the output (activation maximisation). ``bits``: how much of each column's token must be let through
so that the output stays (information bottleneck).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from pellucid.nn.gradients.tape import Function

__all__ = ["Cloud", "Ladder", "bits", "climb"]

LEAST_SPREAD = 0.01  # of a direction, as a share of the column's widest: directions that never vary are no free channel
MOST_OPEN = 1 - 1e-4


class Ladder(NamedTuple):
    """The cells that columns may hold.

    Shape
    -----
    tokens : (C, G, D) tokens of G candidate cells of each column. counts : (C,) how many there are, at least 1.
    ordered : (C,) bool, columns whose cells stand on a line (numbers): between neighbours tokens are mixed in proportion.
    """

    tokens: torch.Tensor
    counts: torch.Tensor
    ordered: torch.Tensor


def climb(
    function: Function, ladder: Ladder, start: torch.Tensor, kept: torch.Tensor, spread: torch.Tensor, plausible: float, ridge: float,
    steps: int = 200, rate: float = 0.05, apart: float = 0.0, group: torch.Tensor | None = None,
) -> torch.Tensor:  # fmt: skip
    """Return places (R, C) on the ladder, whole numbers for columns without an order, that raise ``function``.

    ``max f(E) - plausible * distance(E, nearest kept row) - ridge * squared places - apart * cosine between solutions``, by Adam
    from R starts. A number's place is free between its first and last candidate; a column without order has weights over its candidates,
    softmax with a temperature that falls from 1 to 0.1, and ends at the heaviest.

    Parameters
    ----------
    function : tokens (R, C, D) -> values (R,), in units of their spread over known rows.
    start : (R, C) places to begin with. kept : (B, C, D) tokens of known rows. spread : (C,) of tokens.
    group : (R,) numbers; solutions of one number are to differ, None for all.

    Notes
    -----
    Cost: ``steps`` forward and backward passes of R rows.
    """
    with torch.inference_mode(False), torch.enable_grad():
        tokens, known = ladder.tokens.detach().clone(), _Known.of(kept.detach().clone(), spread)
        counts, ordered, start = ladder.counts.to(tokens.device), ladder.ordered.to(tokens.device), start.to(tokens)
        top = (counts - 1).clamp(min=1).to(tokens)
        line = torch.logit((start / top).clamp(0.01, 0.99)).requires_grad_(True)
        allowed = torch.arange(tokens.shape[1], device=tokens.device) < counts[:, None]
        votes = torch.nn.functional.one_hot(start.long().clamp(max=tokens.shape[1] - 1), tokens.shape[1]).to(tokens)
        votes = (2 * votes).detach().clone().requires_grad_(True)
        group = torch.zeros(len(start), dtype=torch.long) if group is None else group
        alike = (group[:, None] == group).triu(1).to(tokens)
        optimiser = torch.optim.Adam([line, votes], rate)
        for k in range(steps):
            heat = 10.0 ** (-k / max(steps - 1, 1))
            here = _tokens(Ladder(tokens, counts, ordered), torch.sigmoid(line) * top, votes, allowed, heat)
            worth = function(here) - plausible * known.distance(here)
            middle = (torch.sigmoid(line) - 0.5) * ordered
            loss = -(worth - ridge * (4 * middle.square()).sum(1)).sum() + apart * (known.likeness(here) * alike).sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    best = votes.masked_fill(~allowed, -torch.inf).argmax(-1)
    return torch.where(ordered, torch.sigmoid(line.detach()) * top, best.to(line))


def _tokens(ladder: Ladder, place: torch.Tensor, votes: torch.Tensor, allowed: torch.Tensor, heat: float) -> torch.Tensor:
    """Return tokens (R, C, D): mixed between neighbours on a line, by weights elsewhere."""
    low = place.detach().floor().long().clamp(max=int(ladder.tokens.shape[1]) - 1)
    high = torch.minimum(low + 1, (ladder.counts - 1).clamp(min=0))
    column = torch.arange(ladder.tokens.shape[0], device=place.device)
    share = (place - low)[..., None]
    on_line = ladder.tokens[column, low] * (1 - share) + ladder.tokens[column, high] * share
    weights = (votes / heat).masked_fill(~allowed, -torch.inf).softmax(-1)
    return torch.where(ladder.ordered[:, None], on_line, torch.einsum("rcg,cgd->rcd", weights, ladder.tokens))


class _Known(NamedTuple):
    """The known rows that found ones should lie near.

    Shape
    -----
    rows : (B, C * D) tokens, every column in units of its spread. half_sizes : (B,) half their squared lengths. unit : (C, 1) one over the
    spread, 0 where a column does not vary. middle : (C, D) their mean as it is.
    """

    rows: torch.Tensor
    half_sizes: torch.Tensor
    unit: torch.Tensor
    middle: torch.Tensor

    @classmethod
    def of(cls, kept: torch.Tensor, spread: torch.Tensor) -> _Known:
        """Return the known rows of tokens (B, C, D)."""
        unit = torch.where(spread > 0, 1 / torch.where(spread > 0, spread, 1.0), 0.0)[:, None]
        rows = (kept * unit).flatten(1)
        return cls(rows, rows.square().sum(1) / 2, unit, kept.mean(0))

    def distance(self, here: torch.Tensor) -> torch.Tensor:
        """Return the distance (R,) to the nearest known row, over the root of C."""
        flat = (here * self.unit).flatten(1)
        with torch.no_grad():  # a product finds the nearest; differences to all rows would be B times the tokens
            nearest = (self.half_sizes - flat @ self.rows.T).argmin(1)
        return ((flat - self.rows[nearest]).square().sum(1) / here.shape[1] + 1e-12).sqrt()

    def likeness(self, here: torch.Tensor) -> torch.Tensor:
        """Return the cosines (R, R) between solutions, seen from the middle of the known rows."""
        away = torch.nn.functional.normalize((here - self.middle).flatten(1), dim=1)
        return away @ away.T


class Cloud(NamedTuple):
    """How the tokens of known rows lie, column by column.

    Shape
    -----
    middle : (C, D) means. factor : (C, D, D) from independent standard normals to deviations with the tokens' covariance.
    inverse : (C, D, D) from deviations to standard ones; directions in which known tokens do not vary count a hundredfold.
    rank : (C,) in how many directions they vary.
    """

    middle: torch.Tensor
    factor: torch.Tensor
    inverse: torch.Tensor
    rank: torch.Tensor

    @classmethod
    def of(cls, kept: torch.Tensor) -> Cloud:
        """Return the cloud of tokens (B, C, D)."""
        middle = kept.mean(0)
        deviations = (kept - middle).transpose(0, 1)
        values, vectors = torch.linalg.eigh(deviations.mT @ deviations / len(kept))
        size = values.clamp(min=0).sqrt()
        least = (LEAST_SPREAD * size.amax(-1, keepdim=True)).clamp(min=1e-9)
        varies = size > least
        factor = vectors * torch.where(varies, size, 0.0)[:, None]
        return cls(middle, factor, vectors.mT / torch.maximum(size, least)[..., None], varies.sum(-1).to(kept.dtype))


def bits(
    function: Function, tokens: torch.Tensor, cloud: Cloud, noise: torch.Tensor, beta: float, scale: float, steps: int = 60
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the information that each column lets through, in bits (N, C), and by how much the output moves without the rest (N,).

    Schulz, Sixt, Tombari, Landgraf 2020, arXiv:2001.00396. The token becomes ``z = l t + (1 - l) e`` with normal noise e of the known rows'
    mean and covariance; the l of a row's columns are found by Adam from nearly open, so that the output stays and little comes through:
    half the squared change of the output over ``scale`` squared, plus ``beta`` times the information over the number of directions.

    Parameters
    ----------
    function : tokens (M, C, D) -> values (M,).
    cloud : of known rows' tokens. noise : (S, C, D) standard normal draws, the same for all rows.

    Notes
    -----
    Cost: ``steps`` times S forward and backward passes per row.

    # NOTE[DIFF] The authors' loss is the cross entropy of one class; the squared change serves numbers and log-odds alike.
    # NOTE[DIFF] The authors take the entries of a layer for independent. The entries of one cell's token are not: a number's token runs
    along a line, and noise beside the line is none that a row could have. So noise and information follow the covariance.
    # NOTE[DIFF] One l per column, not per entry, and a step of 0.5 that shrinks: with their step of 1 single numbers overshoot.
    """
    with torch.inference_mode(False), torch.enable_grad():
        tokens = tokens.detach().clone()
        middle, factor, inverse, rank = (t.detach().clone() for t in cloud)
        drawn = middle + torch.einsum("cde,sce->scd", factor, noise)
        away = torch.einsum("ced,ncd->nce", inverse, tokens - middle).square().sum(-1)
        with torch.no_grad():
            goal = function(tokens)
        open_by = torch.full_like(tokens[..., 0], 5.0).requires_grad_(True)
        optimiser = torch.optim.Adam([open_by], 0.5)
        for k in range(steps):
            for group in optimiser.param_groups:
                group["lr"] = 0.05 + 0.45 * (1 + math.cos(math.pi * k / steps))
            let = torch.sigmoid(open_by).clamp(max=MOST_OPEN)
            moved = _through(function, tokens, drawn, let) - goal[:, None]
            told = _information(away, let, rank).sum(1) / rank.sum().clamp(min=1)
            loss = (0.5 * (moved / scale).square().mean(1) + beta * told).sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        with torch.no_grad():
            let = torch.sigmoid(open_by).clamp(max=MOST_OPEN)
            moved = (_through(function, tokens, drawn, let) - goal[:, None]).square().mean(1).sqrt()
            return _information(away, let, rank).clamp(min=0) / math.log(2), moved


def _through(function: Function, tokens: torch.Tensor, drawn: torch.Tensor, let: torch.Tensor) -> torch.Tensor:
    let = let[:, None, :, None]
    mixed = let * tokens[:, None] + (1 - let) * drawn
    return function(mixed.flatten(0, 1)).view(len(tokens), len(drawn))


def _information(away: torch.Tensor, let: torch.Tensor, rank: torch.Tensor) -> torch.Tensor:
    """Return the divergence (N, C), in nats, of what comes through from noise alone; away: squared distance in deviations."""
    nats: torch.Tensor = 0.5 * (let.square() * away + rank * ((1 - let).square() - 1)) - rank * torch.log1p(-let)
    return nats
