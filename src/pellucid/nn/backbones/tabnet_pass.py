"""The steps of a TabNet while it trains, forward and back, written out by hand.

A TabNet's step has few operations and many passes: some 20 norms, each followed by gates, on tensors of a few thousand numbers. What such a
pass costs is the call, not the arithmetic, so here each is one call into the framework, on whole runs of memory, and nothing is recorded
for automatic differentiation. Derivation: the equations of :class:`pellucid.nn.backbones.tabnet.TabNet`, read backwards.

All tensors are (columns, rows). Rows are filled up so that all groups of the norms have one size; places that are filled up hold 0
wherever they are summed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch.autograd.function import once_differentiable

from pellucid.nn.norms import Blocks

__all__ = ["TINY", "Layer", "Places", "Walk", "walked"]

HALF = 0.5**0.5
TINY = 1e-15  # inside the logarithm of the masks' entropy


class Layer(NamedTuple):
    """A matrix (F, n_in) and its norm's scale and shift (F,): what a layer is, or the gradients of it."""

    matrix: torch.Tensor
    scale: torch.Tensor
    shift: torch.Tensor


class Places:
    """Where the rows of a batch lie: G groups of P places, (F, G * P).

    Parameters
    ----------
    blocks : the groups, as ``GhostNorm.blocks`` gives them.
    device : of the rows.
    """

    def __init__(self, blocks: Blocks, device: torch.device) -> None:
        self.sizes = tuple(size for _, n, size in blocks for _ in range(n))
        self.groups, self.size, self.rows = len(self.sizes), max(self.sizes), sum(self.sizes)
        self.total = self.groups * self.size
        with torch.inference_mode(False):
            self.share = torch.tensor([[1 / s] for s in self.sizes], device=device)
        self.short = min(self.sizes)
        self.long_tail = self.sizes[-1] > self.short  # the rows left over joined the last group

    @staticmethod
    @lru_cache(maxsize=16)
    def of(blocks: Blocks, device: torch.device) -> Places:
        """Return the places of these groups."""
        return Places(blocks, device)

    def grouped(self, x: torch.Tensor) -> torch.Tensor:
        """Return (F, total) as (F, G, P)."""
        return x.view(-1, self.groups, self.size)

    def clear(self, x: torch.Tensor) -> torch.Tensor:
        """Set the places that are filled up to 0, in place."""
        if self.long_tail:
            self.grouped(x)[:, :-1, self.short :].zero_()
        elif self.total > self.rows:
            x.narrow(1, self.rows, self.total - self.rows).zero_()
        return x

    def fill(self, x: torch.Tensor) -> torch.Tensor:
        """Return rows (N, F) as (F, total)."""
        if self.total == self.rows:
            return x.T.contiguous()
        out = x.new_zeros(x.shape[1], self.total)
        if not self.long_tail:
            out[:, : self.rows] = x.T
            return out
        whole, groups = (self.groups - 1) * self.short, self.grouped(out)
        groups[:, :-1, : self.short] = x[:whole].T.reshape(x.shape[1], -1, self.short)
        groups[:, -1] = x[whole:].T
        return out

    def rows_of(self, x: torch.Tensor) -> torch.Tensor:
        """Return (F, total) as rows (N, F)."""
        if not self.long_tail:
            return x[:, : self.rows].T
        groups = self.grouped(x)
        return torch.cat([groups[:, :-1, : self.short].flatten(1), groups[:, -1]], 1).T


class _Done(NamedTuple):
    """What the way back needs of a layer: its input, its rows less their mean, 1 / deviation, and the halves (u, sigmoid v)."""

    x: torch.Tensor
    centred: torch.Tensor
    inverse: torch.Tensor
    u: torch.Tensor
    gate: torch.Tensor


class Walk:
    """One pass through the steps, and back.

    Parameters
    ----------
    places : of the rows.
    chains : S + 1 lists of layers, the feature transformers. choosers : S layers.
    n_d, gamma, eps : as in the network.
    mask, mask_back : scores (M, C) to weights; (weights, their gradient) to the scores' gradient.

    Attributes
    ----------
    statistics : of the norms in the order in which they were met: (mean, variance), (F, G) each.
    """

    def __init__(
        self, places: Places, chains: Sequence[Sequence[Layer]], choosers: Sequence[Layer], n_d: int, gamma: float, eps: float,
        mask: Callable[[torch.Tensor], torch.Tensor], mask_back: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    ) -> None:  # fmt: skip
        self.places, self.chains, self.choosers, self.n_d, self.gamma, self.eps = places, chains, choosers, n_d, gamma, eps
        self.mask, self.mask_back = mask, mask_back
        self.statistics: list[tuple[torch.Tensor, torch.Tensor]] = []

    # -- forward -------------------------------------------------------------------------------------------------------------

    def forward(self, f: torch.Tensor, n_tokens: int, entropy: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (the decisions' sum (n_d, M), the masks' summed entropy (M,)) from features (C * D, M)."""
        self.f, self.by_token = f, (n_tokens, -1, f.shape[1])
        self.done: list[list[_Done]] = []
        self.priors: list[torch.Tensor | None] = []
        self.chosen, self.masks, self.scores, self.decided = [], [], [], []
        _, information = self._chain(0, f)
        total, prior = None, None
        for i, chooser in enumerate(self.choosers, 1):
            score, kept = self._normed(chooser, information)
            self.chosen.append(kept)
            mask = self.mask((score if prior is None else prior * score).T).T
            decision, information = self._chain(i, (f.view(self.by_token) * mask[:, None]).view(f.shape))
            self.priors.append(prior)
            self.masks.append(mask)
            self.scores.append(score)
            self.decided.append(decision)
            total = decision.relu() if total is None else total.add_(decision.relu())
            prior = self.gamma - mask if prior is None else prior * (self.gamma - mask)
        assert total is not None
        self.logs = [mask.add(TINY).log_() for mask in self.masks] if entropy else []
        spread = f.new_zeros(f.shape[1])
        for mask, log in zip(self.masks, self.logs):
            spread.sub_((mask * log).sum(0))
        return total, spread

    def _chain(self, i: int, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Go through transformer ``i``; returns its output in two parts, (n_d, M) and (n_a, M)."""
        done: list[_Done] = []
        for layer in self.chains[i]:
            a, (_, centred, inverse) = self._normed(layer, x)
            half = len(a) // 2
            u, gate = a.narrow(0, 0, half), a.narrow(0, half, half).sigmoid_()
            before, x = x, torch.addcmul(x, u, gate).mul_(HALF) if done else u * gate
            self.places.clear(x)
            done.append(_Done(before, centred, inverse, u, gate))
        self.done.append(done)
        return x.narrow(0, 0, self.n_d), x.narrow(0, self.n_d, len(x) - self.n_d)

    def _normed(self, layer: Layer, x: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Return norm(W x) with (x, its rows less their mean, 1 / deviation)."""
        share = self.places.share
        z = layer.matrix @ x
        grouped = self.places.grouped(z)
        mean = grouped.sum(2, True).mul_(share)
        grouped.sub_(mean)
        self.places.clear(z)
        var = (grouped * grouped).sum(2, True).mul_(share)
        inverse = (var + self.eps).rsqrt_()
        self.statistics.append((mean.view(-1, len(share)), var.view(-1, len(share))))
        out = (grouped * (inverse * layer.scale.view(-1, 1, 1))).add_(layer.shift.view(-1, 1, 1))
        return out.view(z.shape), (x, z, inverse)

    # -- back ----------------------------------------------------------------------------------------------------------------

    def back(self, to_total: torch.Tensor, to_entropy: torch.Tensor | None) -> tuple[torch.Tensor, list[list[Layer]], list[Layer]]:
        """Return the gradients of the features, of the transformers' layers and of the choosers, from those of the two results."""
        f = self.f.view(self.by_token)
        to_f, to_prior, to_information = torch.zeros_like(f), None, None
        chains, choosers = [], []
        for i in reversed(range(len(self.masks))):
            mask, prior = self.masks[i], self.priors[i]
            to_decision = to_total * (self.decided[i] > 0)
            to_x, layers = self._chain_back(i + 1, to_decision, to_information)
            chains.append(layers)
            by_token = to_x.view(self.by_token)
            to_mask = (by_token * f).sum(1)
            to_f.add_(by_token.mul_(mask[:, None]))
            if to_entropy is not None:
                to_mask.sub_((self.logs[i] + mask / (mask + TINY)).mul_(to_entropy))
            if to_prior is not None:
                to_mask.sub_(to_prior if prior is None else to_prior * prior)
            to_score = self.mask_back(mask.T, to_mask.T).T
            if prior is not None:
                through = to_score * self.scores[i]
                to_prior = through if to_prior is None else through.addcmul_(to_prior, self.gamma - mask)
                to_score = to_score * prior
            to_information, layer = self._normed_back(self.choosers[i], self.chosen[i], to_score)
            choosers.append(layer)
        to_x, layers = self._chain_back(0, None, to_information)
        chains.append(layers)
        return to_f.view(self.f.shape).add_(to_x), chains[::-1], choosers[::-1]

    def _chain_back(
        self, i: int, to_decision: torch.Tensor | None, to_information: torch.Tensor | None
    ) -> tuple[torch.Tensor, list[Layer]]:
        done = self.done[i]
        g = done[0].u.new_zeros(done[0].u.shape)
        if to_decision is not None:
            g[: self.n_d] = to_decision
        if to_information is not None:
            g[self.n_d :] = to_information
        found = []
        for j in reversed(range(len(done))):
            (x, centred, inverse, u, gate) = done[j]
            if j > 0:
                g.mul_(HALF)
            change, half = torch.empty_like(centred), len(u)
            torch.mul(g, gate, out=change.narrow(0, 0, half))
            torch.mul(g, u, out=change.narrow(0, half, half)).mul_(torch.addcmul(gate, gate, gate, value=-1))
            back, layer = self._normed_back(self.chains[i][j], (x, centred, inverse), change)
            g = back.add_(g) if j > 0 else back
            found.append(layer)
        return g, found[::-1]

    def _normed_back(
        self, layer: Layer, kept: tuple[torch.Tensor, torch.Tensor, torch.Tensor], change: torch.Tensor
    ) -> tuple[torch.Tensor, Layer]:
        """Return the gradients of x (n_in, M) and of the layer from that of norm(W x) (F, M), which is overwritten."""
        x, centred, inverse = kept
        g, c, share = self.places.grouped(change), self.places.grouped(centred), self.places.share
        product = g * c
        shift, scale = g.sum(2, True), product.sum(2, True).mul_(inverse)
        torch.mul(c, (scale * inverse).mul_(share), out=product)
        g.sub_(product).sub_(shift * share).mul_(inverse * layer.scale.view(-1, 1, 1))
        self.places.clear(change)
        return layer.matrix.T @ change, Layer(change @ x.T, scale.sum((1, 2)), shift.sum((1, 2)))


def walked(walk: Walk, f: torch.Tensor, n_tokens: int, entropy: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (the decisions' sum (N, n_d), the masks' summed entropy (N,), or zeros) from features (N, C * D).

    Differentiable once in the features and in the walk's layers.
    """
    layers = [layer for chain in (*walk.chains, walk.choosers) for layer in chain]
    found: tuple[torch.Tensor, torch.Tensor] = _Walked.apply(walk, n_tokens, entropy, f, *(t for layer in layers for t in layer))
    return found


class _Walked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, walk: Walk, n_tokens: int, entropy: bool, f: torch.Tensor, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        ctx.walk, ctx.entropy = walk, entropy
        ctx.save_for_backward(*tensors)  # the walk holds them itself; this lets autograd see that nobody changes them before the way back
        total, spread = walk.forward(walk.places.fill(f), n_tokens, entropy)
        return walk.places.rows_of(total), walk.places.rows_of(spread[None])[:, 0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        assert ctx.saved_tensors
        walk: Walk = ctx.walk
        to_total, to_spread = walk.places.fill(gradients[0]), walk.places.fill(gradients[1][:, None])[0]
        to_f, chains, choosers = walk.back(to_total, to_spread if ctx.entropy else None)
        layers = [layer for chain in (*chains, choosers) for layer in chain]
        return None, None, None, walk.places.rows_of(to_f), *(t for layer in layers for t in layer)
