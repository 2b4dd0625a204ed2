"""A network in two parts: one that knows a person's attributes, and one that should not, which alone answers.

Wu, Wu, Wang, Huang, Xie 2021, "Fairness-aware News Recommendation with Decomposed Adversarial Learning", AAAI (arXiv:2006.16742).
The hidden state, narrowed to a few numbers, is the bias-free part: an adversary that reads the attributes from it is trained, and the
state is trained against it. A branch of its own, the bias-aware part, is taught the attributes and takes over what they say of the
target. The cosine of the two parts is pressed to 0. Answers are made of the bias-free part alone, so the branch and the adversary are
there for learning only.

# NOTE[DIFF] The source learns from the sum of both parts and answers by one of them, so nothing asks the free part to answer well alone.
Here half the loss is that of the sum, half that of the free part. The aware part is centred over the batch, so that leaving it out
moves no answer on average. The free part moves in as few directions as the classes need, one for two of them, and adversaries read it
whitened: among many numbers faint traces of an attribute stay that no adversary finds while it trains and every later one does. (Four
directions for numbers and for few rows: a short fit loses a single one.) The adversary's share grows along the first quarter of the fit
(Ganin and others 2016, arXiv:1505.07818), and its loss counts every level alike, so that the largest group does not hide
the others. A batch's free parts are also pressed to have the same distribution in every level, by the criterion that the best adversary
among smooth functions would reach (Gretton and others 2005, doi:10.1007/11564089_7): a trained adversary lags behind a state that runs
away from it, this one does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from pellucid.nn.coupling import CouplingsOf

__all__ = ["NARROW", "Decomposition", "Narrowed", "cosine"]


TINY = 1e-6
WIDTH = 64
NARROW = 4
SCALES = (0.25, 1.0, 4.0)


class Parted(NamedTuple):
    """What learning reads of a batch: aware (N, 1, H), the centred bias-aware part; penalty (N,)."""

    aware: torch.Tensor
    penalty: torch.Tensor


class Narrowed(CouplingsOf, nn.Module):
    """A backbone whose hidden state (N, K, H) is narrowed to a few numbers (N, 1, M), the mean of what its members have to say.

    Members apart would each keep traces of their own, which tell together what none tells alone. The M numbers move in R directions only,
    so that the rest of their space is left to the bias-aware part.

    Parameters
    ----------
    inner : the backbone. members, width : K, H. narrow : R.
    """

    def __init__(self, inner: nn.Module, members: int, width: int, narrow: int = NARROW) -> None:
        super().__init__()
        self.inner, self.members, self.width = inner, 1, max(NARROW, narrow + 1)
        self.matrix = nn.Parameter(torch.empty(members, width, narrow).uniform_(-(width**-0.5), width**-0.5))
        self.turn = nn.Parameter(torch.empty(narrow, self.width).normal_(0.0, self.width**-0.5))
        self.additive, self.stackable = (bool(getattr(inner, name, False)) for name in ("additive", "stackable"))
        self.penalised, self.jumps = bool(getattr(inner, "penalised", False)), str(getattr(inner, "jumps", ""))

    def forward(self, tokens: torch.Tensor, **given: Any) -> Any:
        return self._narrow(self.inner(tokens, **given))

    def explained(self, tokens: torch.Tensor) -> Any:
        """Return what the backbone shows of its inside, its hidden state narrowed."""
        return self._narrow(getattr(self.inner, "explained", self.inner)(tokens))

    def parts(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the backbone's parts of the columns (N, C, W)."""
        return self.inner.parts(tokens)  # type: ignore[operator,no-any-return]

    @property
    def _behind(self) -> nn.Module:
        return self.inner

    def from_sum(self, total: torch.Tensor) -> Any:
        """Return the hidden state of the sum (N, W) of the columns' parts, and the named parts."""
        return self._narrow(self.inner.from_sum(total))  # type: ignore[operator]

    def _narrow(self, out: Any) -> Any:
        hidden, *parts = out if isinstance(out, tuple) else (out,)
        wide = hidden if hidden.ndim == 3 else hidden[:, None]
        # in full precision: what half precision rounds off leaves the few directions, and an adversary that reads whitened states learns it
        with torch.autocast(wide.device.type, enabled=False):
            few = torch.einsum("nkh,khr->nr", wide.float(), self.matrix) / wide.shape[1]
            narrow = (few @ self.turn)[:, None]
        return (narrow, *parts) if parts else narrow


class Decomposition(nn.Module):
    """The bias-aware branch, the reader that teaches it, and the adversary of the bias-free part.

    Parameters
    ----------
    tokens : C * D, numbers of an embedded row. width : M of the hidden state.
    levels : number of levels of each of the A attributes.
    adversary : weight of the adversary against the hidden state. orthogonal : weight of the cosine of the parts.
    dependence : weight of what the hidden state and the attributes have in common, between 0 and 1 of a batch.

    Notes
    -----
    Cost while learning: two small perceptrons, and ``N**2 * (M + sum of levels)`` multiply-adds a batch of N rows. Nothing afterwards.
    """

    def __init__(
        self, tokens: int, width: int, levels: Sequence[int], *, adversary: float = 0.3, orthogonal: float = 1.0,
        dependence: float = 2.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.levels, self.weights = tuple(levels), (adversary, orthogonal, dependence)
        self.branch = nn.Sequential(nn.Linear(tokens, WIDTH), nn.ReLU(), nn.Linear(WIDTH, width))
        self.reader = nn.Linear(width, sum(levels))
        self.against = nn.Sequential(nn.Linear(width, WIDTH), nn.ReLU(), nn.Linear(WIDTH, sum(levels)))

    def aware(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the bias-aware part (N, 1, H) of embedded rows (N, C, D)."""
        part: torch.Tensor = self.branch(tokens.flatten(1))
        return part[:, None]

    def learn(self, tokens: torch.Tensor, hidden: torch.Tensor, attributes: torch.Tensor, done: float) -> Parted:
        """Return what a batch's loss reads: hidden (N, 1, M), attributes (N, A) int64 with -1 where unknown, the share of the fit done."""
        with torch.autocast(tokens.device.type, enabled=False):  # kernels are differences of nearly equal numbers
            return self._learn(tokens.float(), hidden.float(), attributes, done)

    def _learn(self, tokens: torch.Tensor, free: torch.Tensor, attributes: torch.Tensor, done: float) -> Parted:
        against, orthogonal, dependence = self.weights
        aware, grown = self.aware(tokens), min(1.0, 4 * done)
        plain = whitened(free.flatten(1))
        # the adversary's own weights see its loss as it is, the hidden state sees it turned round
        force = against * grown
        turned = plain.detach() * (1 + force) - plain * force
        known = self._wrong(self.reader(aware[:, 0]), attributes)
        told = self._wrong(self.against(turned), attributes)
        penalty = known + told + orthogonal * cosine(free, aware).abs().mean(1)
        if dependence:
            penalty = penalty + dependence * grown * in_common(plain, self._hot(attributes))
        return Parted(aware - aware.mean(0, keepdim=True), penalty)

    def _wrong(self, scores: torch.Tensor, attributes: torch.Tensor) -> torch.Tensor:
        """Return each row's cross entropy (N,), summed over attributes, levels weighted alike; 0 where an attribute is unknown."""
        total = scores.new_zeros(len(scores))
        for a, part in enumerate(scores.split(self.levels, 1)):
            hot = _one_hot(attributes[:, a], self.levels[a])
            rows = hot.sum(0)
            weight = 1 / (rows.clamp(min=1.0) * (rows > 0).sum().clamp(min=1))
            loss = -(hot * torch.log_softmax(part, 1) * weight).sum(1)
            total = total + loss * len(scores)
        return total

    def _hot(self, attributes: torch.Tensor) -> torch.Tensor:
        """Return (N, sum of levels), every level scaled to count alike."""
        hot = torch.cat([_one_hot(attributes[:, a], n) for a, n in enumerate(self.levels)], 1)
        return hot / hot.sum(0, keepdim=True).clamp(min=1.0).sqrt()


def _one_hot(codes: torch.Tensor, n: int) -> torch.Tensor:
    return (codes[:, None] == torch.arange(n, device=codes.device)).float()


def cosine(free: torch.Tensor, aware: torch.Tensor) -> torch.Tensor:
    """Return the cosine (N, K) of hidden states (N, K, H) and the bias-aware part (N, 1, H)."""
    product = (free * aware).sum(2)
    size = torch.linalg.vector_norm(free, dim=2) * torch.linalg.vector_norm(aware, dim=2)
    found: torch.Tensor = product / (size + TINY)
    return found


def whitened(free: torch.Tensor) -> torch.Tensor:
    """Return states (N, M) centred, turned and stretched so that they have no correlations and variance 1 in the batch.

    The turn itself is taken as given: no gradient asks it to hide an attribute in the scale.
    """
    centred = free - free.mean(0, keepdim=True)
    with torch.no_grad():
        spread = centred.mT @ centred / max(len(free) - 1, 1)
        size = torch.diagonal(spread).mean() + TINY
        values, vectors = torch.linalg.eigh(spread + 1e-4 * size * torch.eye(free.shape[1], device=free.device))
        turn = vectors * values.clamp(min=1e-12).rsqrt()
    found: torch.Tensor = centred @ turn
    return found


def in_common(free: torch.Tensor, hot: torch.Tensor) -> torch.Tensor:
    """Return how far states (N, M) and levels (N, L) depend on each other in a batch: kernel alignment, 0 for none, a scalar.

    The kernel of the states is the mean of Gaussian ones of three widths around the mean squared distance, and their inner product; both
    kernels are centred without their diagonal, so that independent ones give 0 on average.
    """
    n = len(free)
    inner = free @ free.mT
    size = torch.diagonal(inner)
    apart = size[:, None] + size[None] - 2 * inner
    mean = apart.detach().mean() + TINY
    levels = hot @ hot.mT
    kernels = [torch.exp(-apart / (scale * mean)) for scale in SCALES]
    return _alignment(inner, levels, n) + _alignment(sum(kernels[1:], kernels[0]), levels, n)


def _alignment(one: torch.Tensor, other: torch.Tensor, n: int) -> torch.Tensor:
    off = 1 - torch.eye(n, device=one.device)
    a, b = _centred(one * off, n) * off, _centred(other * off, n) * off
    size = ((a * a).sum() * (b * b).sum()).clamp(min=TINY).sqrt()
    return (a * b).sum() / size


def _centred(kernel: torch.Tensor, n: int) -> torch.Tensor:
    """Return a kernel of zero diagonal, centred so that the sum of products with an independent one is 0 on average."""
    rows = kernel.sum(1, keepdim=True) / max(n - 2, 1)
    return kernel - rows - rows.mT + kernel.sum() / max((n - 1) * (n - 2), 1)
