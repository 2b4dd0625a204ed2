"""Indices of interaction: what a set of columns does together, in exact weights and by fast transforms of whole games.

Every index but the joint one is a sum over the game's Moebius terms m(R) = sum over S in R of (-1)^(|R| - |S|) v(S):
I(T) = sum over R that hold T of c(|T|, |R|) m(R). Letters: t = |T|, s = |S|, d active players of one game, P players in all, k the order.
"""

from __future__ import annotations

import functools
import itertools
from fractions import Fraction
from math import comb

import numpy as np
import numpy.typing as npt

from pellucid.protocols import FloatArray

__all__ = [
    "EFFICIENT",
    "INDICES",
    "coalition_weights",
    "coefficient",
    "local_terms",
    "monomial_weights",
    "of_game",
    "of_one_worth",
    "sets_up_to",
]

INDICES = ("k-sii", "sii", "stii", "fsii", "fbii", "mobius", "banzhaf")
EFFICIENT = ("k-sii", "stii", "fsii", "joint")
"""The indices whose values over all sets add up to v(all) - v(none)."""

BoolArray = npt.NDArray[np.bool_]


@functools.lru_cache(maxsize=64)
def _bernoulli(n: int) -> Fraction:
    """Return the Bernoulli number B_n with B_1 = -1/2."""
    if n == 0:
        return Fraction(1)
    return Fraction(-sum((comb(n + 1, k) * _bernoulli(k) for k in range(n)), Fraction(0)) / (n + 1))


@functools.lru_cache(maxsize=65536)
def coefficient(index: str, order: int, t: int, r: int) -> Fraction:
    """Return c(t, r): what a Moebius term of r columns gives to each of its subsets of t columns.

    Sources: sii, k-sii: Grabisch and Roubens 1999, doi:10.1007/s001820050125, Bordt and von Luxburg 2023, arXiv:2209.04012; stii:
    Sundararajan, Dhamdhere and Agarwal 2020, arXiv:1902.05622; fsii, fbii: Tsai, Yeh and Ravikumar 2023, arXiv:2203.00870; banzhaf:
    Grabisch and Roubens 1999. t = 0 is the constant of the index.

    Examples
    --------
    >>> coefficient("sii", 2, 2, 3), coefficient("stii", 2, 2, 3), coefficient("fsii", 2, 1, 3)
    (Fraction(1, 2), Fraction(1, 3), Fraction(-1, 6))
    """
    if r < t or t > order:
        return Fraction(0)
    if r == t:
        return Fraction(1)
    if index == "mobius" or (t == 0 and index != "fbii"):
        return Fraction(0)
    if index == "sii":
        return Fraction(1, r - t + 1)
    if index == "banzhaf":
        return Fraction(1, 2 ** (r - t))
    if index == "k-sii":
        return sum((_bernoulli(j) * comb(r - t, j) / Fraction(r - t - j + 1) for j in range(min(order - t, r - t) + 1)), Fraction(0))
    if index == "stii":
        return Fraction(1, comb(r, order)) if t == order else Fraction(0)
    if r <= order:  # the two faithful indices are the Moebius terms themselves where the order reaches
        return Fraction(0)
    sign = -1 if (order - t) % 2 else 1
    if index == "fsii":
        return sign * Fraction(t, order + t) * comb(order, t) * Fraction(comb(r - 1, order), comb(r + order - 1, order + t))
    return sign * Fraction(comb(r - t - 1, order - t), 2 ** (r - t))


@functools.lru_cache(maxsize=256)
def _joint_shares(order: int, players: int) -> tuple[Fraction, ...]:
    """Return q_0 .. q_(P - 1): how likely a set of s players has arrived, and the next arrival is any set in particular.

    Harris, Pymar and Rowat 2022, arXiv:2107.11357.
    """
    q = [Fraction(1, sum(comb(players, s) for s in range(1, order + 1)))]
    for r in range(1, players):
        reached = sum((comb(r, s) * q[s] for s in range(max(r - order, 0), r)), Fraction(0))
        q.append(reached / sum(comb(players - r, s) for s in range(1, min(order, players - r) + 1)))
    return tuple(q)


@functools.lru_cache(maxsize=64)
def coalition_weights(index: str, order: int, players: int) -> dict[int, list[list[Fraction]]]:
    """Return w with I(T) = sum over S of w[t][s][|S and T|] v(S), exact; t runs from 0 (the constant) to the order.

    Sums of alternating binomials would lose every digit in floating point beyond some thirty columns: these are fractions.
    """
    out = {}
    for t in range(min(order, players) + 1):
        table = [[Fraction(0)] * (t + 1) for _ in range(players + 1)]
        for s, a in itertools.product(range(players + 1), range(t + 1)):
            if a <= s and s - a <= players - t:
                table[s][a] = _weight(index, order, players, t, s, a)
        out[t] = table
    return out


def _weight(index: str, order: int, players: int, t: int, s: int, a: int) -> Fraction:
    if index == "joint":
        if t == 0:
            return Fraction(int(s == 0))
        q = _joint_shares(order, players)
        return q[s - t] if a == t else (-q[s] if a == 0 else Fraction(0))
    both = s + t - a  # size of the union of S and T
    free = players - both
    return sum(
        ((-1) ** (both + j - s) * comb(free, j) * coefficient(index, order, t, both + j) for j in range(free + 1)), Fraction(0)
    )  # fmt: skip


def monomial_weights(index: str, order: int, players: int, sets: BoolArray, monomials: BoolArray) -> FloatArray:
    """Return G (S, R): what a game that is the product of the players in monomial R gives to set T."""
    t, r = sets.sum(1), monomials.sum(1)
    a = (sets.astype(float) @ monomials.T.astype(float)).astype(int)  # products of whole numbers are slow
    table = np.zeros((order + 1, int(r.max(initial=0)) + 1, order + 1))
    for i, j, b in itertools.product(range(order + 1), range(table.shape[1]), range(order + 1)):
        if b <= min(i, j):
            table[i, j, b] = _of_monomial(index, order, players, i, j, b)
    return np.asarray(table[t[:, None], r[None, :], np.minimum(a, order)])


def _of_monomial(index: str, order: int, players: int, t: int, r: int, a: int) -> float:
    if index != "joint":
        return float(coefficient(index, order, t, r)) if a == t else 0.0
    if t == 0 or a == 0 or t + r - a > players:
        return float(t == r == 0)
    q, rest, free = _joint_shares(order, players), r - a, players - t - (r - a)
    return float(sum((comb(free, j) * q[rest + j] for j in range(free + 1)), Fraction(0)))


@functools.lru_cache(maxsize=65536)
def of_one_worth(index: str, order: int, t: int, away: int, joins: int, stays: int) -> float:
    """Return the index of a set of ``t`` players in the game that is worth 1 where all of ``joins`` players have joined and none of
    ``stays``; ``away`` of the set are among the latter.

    Its Moebius terms are 1 for the former and every even number of the latter, -1 for every odd one, and 0 for all other sets.

    Examples
    --------
    >>> of_one_worth("sii", 2, 2, 0, 2, 0), of_one_worth("sii", 2, 2, 1, 1, 1)
    (1.0, -1.0)
    """
    more = stays - away
    terms = (comb(more, f) * (-1) ** (away + f) * coefficient(index, order, t, joins + away + f) for f in range(more + 1))
    return float(sum(terms, Fraction(0)))


def sets_up_to(players: int, order: int) -> BoolArray:
    """Return all sets of 1 to ``order`` players, (S, P), small ones first.

    Examples
    --------
    >>> sets_up_to(3, 2).astype(int).tolist()
    [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]]
    """
    chosen = [c for k in range(1, min(order, players) + 1) for c in itertools.combinations(range(players), k)]
    out = np.zeros((len(chosen), players), bool)
    out[np.repeat(np.arange(len(chosen)), [len(c) for c in chosen]), list(itertools.chain.from_iterable(chosen))] = True
    return out


# ---------------------------------------------------------------- whole games


def _sum_over(x: FloatArray, d: int, *, above: bool) -> FloatArray:
    """Return sums over supersets (``above``) or subsets along axis 1 of (G, 2^d, O), in d steps (Yates 1937)."""
    x = x.copy()
    for i in range(d):
        pair = x.reshape(len(x), 2 ** (d - 1 - i), 2, 2**i, x.shape[2])
        if above:
            pair[:, :, 0] += pair[:, :, 1]
        else:
            pair[:, :, 1] += pair[:, :, 0]
    return x


def moebius(v: FloatArray, d: int) -> FloatArray:
    """Return the Moebius terms (G, 2^d, O) of games (G, 2^d, O), in d steps."""
    m = v.copy()
    for i in range(d):
        pair = m.reshape(len(m), 2 ** (d - 1 - i), 2, 2**i, m.shape[2])
        pair[:, :, 1] -= pair[:, :, 0]
    return m


@functools.lru_cache(maxsize=64)
def local_terms(index: str, order: int, d: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return (codes, t) of the values that a game of d active players has: subsets as bit codes, and the size of the whole set.

    A joint value depends on the size of the set beyond its active players; all other indices are 0 where the set holds an idle one.
    """
    sizes = np.array([bin(c).count("1") for c in range(2**d)])
    codes = np.flatnonzero((sizes >= 1) & (sizes <= order))
    if index != "joint":
        return codes, sizes[codes]
    pairs = [(c, t) for t in range(1, order + 1) for c in codes if sizes[c] <= t]
    return np.array([c for c, _ in pairs], np.int64).reshape(-1), np.array([t for _, t in pairs], np.int64).reshape(-1)


def of_game(v: FloatArray, index: str, order: int, d: int, players: int) -> tuple[FloatArray, FloatArray]:
    """Return (constants (G, O), values (G, terms, O)) of games (G, 2^d, O); terms as :func:`local_terms` lists them.

    Cost: about ``order`` + 2 transforms of d 2^d additions.
    """
    codes, t = local_terms(index, order, d)
    sizes = np.array([bin(c).count("1") for c in range(2**d)])
    if index == "joint":
        return v[:, 0], _joint(v, order, d, players, codes, t, sizes)
    m = moebius(v, d)
    values = np.empty((len(v), len(codes), v.shape[2]))
    constant = v[:, 0]
    for k in range(min(order, d) + 1):
        if k == 0 and index != "fbii":
            continue
        c = np.array([float(coefficient(index, order, k, r)) for r in range(d + 1)])
        summed = _sum_over(m * c[sizes][None, :, None], d, above=True)
        if k == 0:
            constant = summed[:, 0]
        else:
            values[:, t == k] = summed[:, codes[t == k]]
    return constant, values


def _joint(
    v: FloatArray, order: int, d: int, players: int, codes: npt.NDArray[np.int64], t: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]
) -> FloatArray:
    """Return joint Shapley values: the mean rise when the set arrives together, idle players among those before it summed out."""
    q = _joint_shares(order, players)
    out = np.zeros((len(v), len(codes), v.shape[2]))
    for whole in range(1, order + 1):
        for a in range(1, min(whole, d) + 1):
            idle = players - d - (whole - a)  # players beyond the game and beyond the set
            here = (t == whole) & (sizes[codes] == a)
            if idle < 0 or not here.any():
                continue
            share = [float(sum((comb(idle, r) * q[s + r] for r in range(idle + 1)), Fraction(0))) for s in range(d - a + 1)]
            weight = np.array(share + [0.0] * a)  # by the number of active players before
            with_set = np.where(sizes >= a, weight[np.maximum(sizes - a, 0)], 0.0)
            rise = _sum_over(v * with_set[None, :, None], d, above=True)[:, codes[here]]
            out[:, here] = rise - _sum_over(v * weight[sizes][None, :, None], d, above=False)[:, (2**d - 1) ^ codes[here]]
    return out
