"""Solvers of many cooperative games at once: exact enumeration, paired permutations, paired kernel regression.

A game has P players of whom the active ones count; everything is batched over games. Letters: G games, P players, d active players of
one game, O outputs.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.probe.hashing import uniforms
from pellucid.protocols import FloatArray

__all__ = [
    "Asked",
    "Games",
    "ask",
    "ask_all",
    "by_size",
    "coalitions",
    "exact",
    "exact_cost",
    "kernel",
    "permutation_cost",
    "permutations",
    "places",
    "shapley_weights",
    "subsets",
]

Ints = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Asked = tuple[Ints, Ints, BoolArray]
CHUNK = 2**17  # coalitions laid out at a time
ROUND = 2**20  # coalitions asked about at a time
ROUNDING = 2.0**-49  # of a game's largest value: what is below it is what rounding leaves


@dataclass(frozen=True)
class Games:
    """G games.

    Attributes
    ----------
    active : (G, P) bool, the players that can change the outcome.
    start, end : (G, O) v of nobody and v of everybody.
    evaluate : (game (n,), coalitions (n, P)) -> (n, O).
    counters, players : (G,) and (P,) hashes of contents, from which draws are made.
    play : several (games (g,), players (g, d), coalitions of those (g, m, d) or (m, d)) -> their worths (g, m, O); by ``evaluate`` if None.
    """

    active: BoolArray
    start: FloatArray
    end: FloatArray
    evaluate: Callable[[Ints, BoolArray], FloatArray]
    counters: npt.NDArray[np.uint64]
    players: npt.NDArray[np.uint64]
    play: Callable[[list[Asked]], list[FloatArray]] | None = None

    @functools.cached_property
    def sizes(self) -> Ints:
        """d of each game, (G,)."""
        return np.asarray(self.active.sum(1), np.int64)


def exact_cost(d: npt.ArrayLike) -> FloatArray:
    """Return the evaluations of exact enumeration, 2^d - 2 (nobody and everybody are known)."""
    return np.asarray(np.maximum(np.exp2(np.asarray(d, float)) - 2, 0))


def permutation_cost(d: npt.ArrayLike) -> FloatArray:
    """Return the evaluations of one paired permutation pass, 2 (d - 1)."""
    return np.asarray(np.maximum(2 * (np.asarray(d, float) - 1), 0))


@functools.lru_cache(maxsize=32)
def subsets(d: int) -> BoolArray:
    """Return all coalitions of d players, (2^d, d); line k holds the bits of k."""
    return np.asarray((np.arange(2**d)[:, None] >> np.arange(d)) & 1, bool)


@functools.lru_cache(maxsize=32)
def shapley_weights(d: int) -> FloatArray:
    """Return W (d, 2^d) with phi = W v: (s-1)!(d-s)!/d! where the player is in, -s!(d-s-1)!/d! where it is not (Shapley 1953).

    Examples
    --------
    >>> v = np.array([0, 400, 560, 740, 720, 780, 980, 1000])
    >>> (shapley_weights(3) @ v).round(6).tolist()
    [180.0, 360.0, 460.0]
    """
    inside = subsets(d)
    size = inside.sum(1)
    plus = np.array([1 / (d * math.comb(d - 1, s - 1)) if s else 0.0 for s in range(d + 1)])
    minus = np.array([1 / (d * math.comb(d - 1, s)) if s < d else 0.0 for s in range(d + 1)])
    return np.asarray(np.where(inside.T, plus[size], -minus[size]))


def by_size(games: Games, which: Ints, per_game: Callable[[int], int]) -> Iterator[tuple[int, Ints, Ints]]:
    """Yield (d, games, their active players (g, d)) in chunks of equal d, about ``CHUNK`` coalitions each."""
    sizes = games.sizes[which]
    for d in np.unique(sizes[sizes > 0]).tolist():
        mine = which[sizes == d]
        step = max(1, CHUNK // max(1, per_game(d)))
        for s in range(0, len(mine), step):
            g = mine[s : s + step]
            yield d, g, np.nonzero(games.active[g])[1].reshape(len(g), d)


def coalitions(games: Games, players: Ints, local: BoolArray) -> BoolArray:
    """Return (g, m, P) coalitions from ``local`` (g, m, d) ones over each game's own active players."""
    out = np.zeros((*local.shape[:2], games.active.shape[1]), bool)
    np.put_along_axis(out, np.broadcast_to(players[:, None], local.shape), local, 2)
    return out


def ask(games: Games, g: Ints, coalitions: BoolArray) -> FloatArray:
    """Return v (g, m, O) of coalitions (g, m, P)."""
    m = coalitions.shape[1]
    return games.evaluate(np.repeat(g, m), coalitions.reshape(len(g) * m, coalitions.shape[2])).reshape(len(g), m, games.start.shape[1])


def ask_all(games: Games, asked: Iterable[Asked]) -> Iterator[tuple[Ints, Ints, BoolArray, FloatArray]]:
    """Yield (games (g,), their players (g, d), coalitions among those, their worths (g, m, O)): many at a time, in the order asked."""
    waiting: list[Asked] = []
    size = 0
    for one in asked:
        waiting.append(one)
        size += len(one[0]) * one[2].shape[-2]
        if size >= ROUND:
            yield from _answered(games, waiting)
            waiting, size = [], 0
    yield from _answered(games, waiting)


def _answered(games: Games, asked: list[Asked]) -> Iterator[tuple[Ints, Ints, BoolArray, FloatArray]]:
    if games.play is None:
        for g, players, local in asked:
            z = np.broadcast_to(local, (len(g), *local.shape[-2:]))
            yield g, players, local, ask(games, g, coalitions(games, players, z))
    elif asked:
        yield from ((*one, v) for one, v in zip(asked, games.play(asked), strict=True))


def exact(games: Games, which: Ints, weights: Callable[[int], FloatArray] = shapley_weights) -> FloatArray:
    """Return the values (len(which), P, O) by going through all coalitions of the active players. Cost 2^d - 2 each.

    ``weights`` gives the matrix (d, 2^d) that takes the worths of all coalitions to the players' values.
    """
    place = np.full(len(games.active), -1)
    place[which] = np.arange(len(which))
    out = np.zeros((len(which), games.active.shape[1], games.start.shape[1]))
    for g, players, _, inner in ask_all(games, ((g, players, subsets(d)[1:-1]) for d, g, players in by_size(games, which, lambda d: 2**d))):
        w = weights(players.shape[1])
        phi = np.einsum("ds,gso->gdo", w[:, 1:-1], inner, optimize=True)
        start, end = games.start[g], games.end[g]
        phi += w[:, :1] * start[:, None] + w[:, -1:] * end[:, None]
        size = np.maximum(np.abs(inner).max(1, initial=0.0), np.maximum(np.abs(start), np.abs(end)))
        phi[np.abs(phi) <= ROUNDING * size[:, None]] = 0.0  # a player that adds nothing anywhere has exactly 0
        out[place[g][:, None], players] = phi
    return out


def permutations(
    games: Games, which: Ints, step: int, seed: int, draw: Callable[[Ints], npt.NDArray[Any]] | None = None
) -> tuple[FloatArray, FloatArray]:
    """Return one unbiased estimate (len(which), P, O) per game from one random order and its reverse, and half the difference of the two.

    Exact where no more than two players interact (Castro, Gomez and Tejada 2009, doi:10.1016/j.cor.2008.04.004; antithetic form: Mitchell,
    Cooper, Frank and Holmes 2022, arXiv:2104.12199). The values of each game sum to v(all) - v(none). Cost 2 (d - 1) evaluations each.
    ``step`` numbers the draw. ``draw`` gives for some games (g,) the numbers (g, P) by which their players are put in order; without it
    all orders are equally likely.
    """
    place = np.full(len(games.active), -1)
    place[which] = np.arange(len(which))
    out = np.zeros((len(which), games.active.shape[1], games.start.shape[1]))
    half = np.zeros_like(out)

    def asked() -> Iterator[Asked]:
        for d, g, players in by_size(games, which, lambda d: 2 * d):
            draws = uniforms(seed, games.counters[g], games.players, step) if draw is None else draw(g)
            rank = places(np.take_along_axis(draws, players, 1))
            steps = np.arange(1, d)[:, None]
            yield g, players, np.concatenate([rank[:, None] < steps, rank[:, None] >= d - steps], axis=1)

    for g, players, local, inner in ask_all(games, asked()):
        d = players.shape[1]
        rank = (d - 1 - local[:, : d - 1].sum(1)).astype(np.int64)  # a player that comes t-th is in all but t of the first d - 1
        rise = np.empty((len(g), 2, d, inner.shape[2]))  # what the t-th arrival adds, forward and backward
        inner = inner.reshape(len(g), 2, d - 1, -1)
        first, last = games.start[g][:, None], games.end[g][:, None]
        if d == 1:
            rise[:, :, 0] = last - first
        else:
            np.subtract(inner[:, :, 1:], inner[:, :, :-1], out=rise[:, :, 1:-1])
            rise[:, :, 0], rise[:, :, -1] = inner[:, :, 0] - first, last - inner[:, :, -1]
        forward = np.take_along_axis(rise[:, 0], rank[:, :, None], 1)
        backward = np.take_along_axis(rise[:, 1], (d - 1 - rank)[:, :, None], 1)
        out[place[g][:, None], players] = (forward + backward) / 2
        half[place[g][:, None], players] = (forward - backward) / 2
    return out, half


def places(draws: npt.NDArray[Any]) -> Ints:
    """Return the place of each player (g, d) in the order of its numbers; equal numbers in the order of the players."""
    order = np.argsort(draws, axis=1, kind="stable")
    out = np.empty_like(order)
    np.put_along_axis(out, order, np.broadcast_to(np.arange(draws.shape[1]), order.shape), 1)
    return np.asarray(out, np.int64)


def kernel(games: Games, which: Ints, pairs: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Return (values, variances), each (len(which), P, O), by constrained weighted regression on ``pairs`` d random pairs of complements.

    KernelSHAP (Lundberg and Lee 2017, arXiv:1705.07874) with paired sampling (Covert and Lee 2021, arXiv:2012.01536): sizes are drawn in
    proportion to the kernel, so the regression itself is unweighted; the constraint sum = v(all) - v(none) is eliminated through the last
    player. Variances are those of the least-squares fit under unequal errors. Cost 2 ``pairs`` d evaluations each; games that cost no more
    by enumeration are exact.
    """
    place = np.full(len(games.active), -1)
    place[which] = np.arange(len(which))
    out = np.zeros((len(which), games.active.shape[1], games.start.shape[1]))
    variance = np.zeros_like(out)
    small = exact_cost(games.sizes[which]) <= 2.0 * pairs * games.sizes[which]
    out[small] = exact(games, which[small])

    def asked() -> Iterator[Asked]:
        for d, g, players in by_size(games, which[~small], lambda d: 2 * pairs * d):
            z = _kernel_draws(games, g, players, pairs * d, seed)
            yield g, players, np.concatenate([z, ~z], axis=1)

    for g, players, both, worth in ask_all(games, asked()):
        v, n = worth - games.start[g][:, None], both.shape[1] // 2
        phi, var, solved = _regress(both[:, :n], v[:, :n], v[:, n:], (games.end - games.start)[g])
        out[place[g][:, None], players], variance[place[g][:, None], players] = phi, var
        if not solved.all():  # rarely the coalitions drawn do not tell all players apart: draw more
            at = place[g[~solved]]
            out[at], variance[at] = kernel(games, g[~solved], 2 * pairs, seed)
    return out, variance


def _kernel_draws(games: Games, g: Ints, players: Ints, n: int, seed: int) -> BoolArray:
    """Return n coalitions per game (g, n, d), sizes in proportion to the Shapley kernel."""
    d = players.shape[1]
    sizes = np.arange(1, d)
    share = np.cumsum(1 / (sizes * (d - sizes)))
    out = np.empty((len(g), n, d), bool)
    for k in range(n):
        draws = uniforms(seed, games.counters[g], games.players, 2 * k)
        rank = np.argsort(np.argsort(np.take_along_axis(draws, players, 1), axis=1), axis=1)
        u = uniforms(seed, games.counters[g], games.players[:1], 2 * k + 1)[:, 0] / 2.0**64
        out[:, k] = rank < sizes[np.searchsorted(share / share[-1], u)][:, None]
    return out


def _regress(z: BoolArray, v: FloatArray, v_other: FloatArray, delta: FloatArray) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Solve the paired regression: z (g, n, d), v and v_other (g, n, O) the pair's values, delta (g, O).

    Returns values and variances (g, d, O), and which games (g,) had coalitions of full rank. Variances leave each pair out of its own fit
    (HC3; MacKinnon and White 1985, doi:10.1016/0304-4076(85)90158-7), because few pairs meet many players.
    """
    x = z[..., :-1].astype(float) - z[..., -1:]
    # the mean of a pair's values is the same constant for every additive game: only the difference informs
    y = (v - v_other + delta[:, None]) / 2 - z[..., -1:] * delta[:, None]
    gram = x.transpose(0, 2, 1) @ x
    solved = np.linalg.eigvalsh(gram)[:, 0] > 1e-6
    inverse = np.linalg.pinv(gram, hermitian=True)
    head = inverse @ (x.transpose(0, 2, 1) @ y)
    influence = x @ inverse
    leverage = np.minimum((influence * x).sum(-1, keepdims=True), 1 - 1e-6)
    residual = np.square((y - x @ head) / (1 - leverage))
    influence = np.concatenate([influence, -influence.sum(-1, keepdims=True)], axis=-1)
    phi = np.concatenate([head, delta[:, None] - head.sum(1, keepdims=True)], axis=1)
    return phi, np.einsum("gnd,gno->gdo", np.square(influence), residual, optimize=True), np.asarray(solved)
