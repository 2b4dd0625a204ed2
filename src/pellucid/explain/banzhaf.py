"""Banzhaf values: what a column adds on average over all coalitions of the others, each coalition as likely as any other."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from pellucid.explain import games as solve
from pellucid.explain.games import Games
from pellucid.explain.question import Question
from pellucid.explain.row_games import answer
from pellucid.explain.sampling import Solver
from pellucid.explain.tree_values import of_trees
from pellucid.probe.hashing import uniforms
from pellucid.protocols import FloatArray
from pellucid.results import Explanation

__all__ = ["BANZHAF", "banzhaf_weights", "explain", "flips"]

Ints = npt.NDArray[np.int64]


def explain(question: Question) -> Explanation:
    """Return Banzhaf values, exact where affordable, else sampled with standard errors until precise.

    Banzhaf 1965; as values of a model Wang and Jia 2023, arXiv:2205.15466. They do not add up to the prediction, and they are the slopes of
    the least-squares line through all coalitions (Hammer and Holzman 1992, ZOR 36). Of sums of trees they are exact and ask no coalition;
    otherwise the cost is 2^d B model rows per row where
    exact, else 2 (d + 1) B a pass; d = columns in which two rows differ.
    """
    found = of_trees(question, lambda t, away, joins, stays: (-1.0) ** away * 0.5 ** (joins + stays - 1), complete=False)
    return found or answer(question, BANZHAF, complete=False)


@functools.lru_cache(maxsize=32)
def banzhaf_weights(d: int) -> FloatArray:
    """Return W (d, 2^d) with beta = W v: 2^(1-d) where the player is in, minus that where it is not.

    Examples
    --------
    >>> v = np.array([0, 400, 560, 740, 720, 780, 980, 1000])
    >>> (banzhaf_weights(3) @ v).tolist()
    [165.0, 345.0, 445.0]
    """
    return np.asarray(np.where(solve.subsets(d).T, 2.0, -2.0) / 2**d)


def flip_cost(d: npt.ArrayLike) -> FloatArray:
    """Return the evaluations of one pass, 2 (d + 1)."""
    return np.asarray(2 * (np.asarray(d, float) + 1))


def flips(games: Games, which: Ints, step: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Return one unbiased estimate (len(which), P, O) per game from a random coalition and its complement, and half their difference.

    In each of the two, every player is turned over once. Exact where no more than two players interact: what the coalition leaves out of a
    pair, its complement holds. Cost 2 (d + 1) evaluations each.
    """
    place = np.full(len(games.active), -1)
    place[which] = np.arange(len(which))
    out = np.zeros((len(which), games.active.shape[1], games.start.shape[1]))
    half = np.zeros_like(out)
    for d, g, players in solve.by_size(games, which, lambda d: 2 * (d + 1)):
        draws = np.take_along_axis(uniforms(seed, games.counters[g], games.players, step), players, 1)
        inside = (draws >> np.uint64(63)).astype(bool)  # the first bit is a fair coin
        turned = inside[:, None] ^ np.concatenate([np.zeros((1, d), bool), np.eye(d, dtype=bool)])
        v = solve.ask(games, g, solve.coalitions(games, players, np.concatenate([turned, ~turned], axis=1)))
        sign = np.where(inside, 1.0, -1.0)[:, :, None]
        forward = sign * (v[:, :1] - v[:, 1 : d + 1])
        backward = sign * (v[:, d + 2 :] - v[:, d + 1 : d + 2])
        out[place[g][:, None], players] = (forward + backward) / 2
        half[place[g][:, None], players] = (forward - backward) / 2
    return out, half


BANZHAF = Solver(functools.partial(solve.exact, weights=banzhaf_weights), flips, flip_cost)
