"""Shapley values from coalitions of every size alike: all stretches of one random circle of the columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pellucid.explain import games as solve
from pellucid.explain.games import Games
from pellucid.explain.question import Question
from pellucid.explain.row_games import answer
from pellucid.explain.sampling import Solver
from pellucid.probe.hashing import uniforms
from pellucid.protocols import FloatArray
from pellucid.results import Explanation

__all__ = ["STRATIFIED", "arcs", "explain"]

Ints = npt.NDArray[np.int64]


def explain(question: Question) -> Explanation:
    """Return Shapley values from passes in which each column meets a coalition of every size, with standard errors, until precise.

    Maleki, Tran-Thanh, Hines, Rahwan and Rogers 2013, arXiv:1306.4265; Castro, Gomez, Molina and Tejada 2017,
    doi:10.1016/j.cor.2017.01.019. Cost d (d - 1) B model rows a pass; d = columns in which two rows differ.

    # NOTE[DIFF] The sources draw the coalition of each column and size by itself, 2 d^2 evaluations. Here the columns are put in a random
    # circle: its d (d - 1) stretches hold, before and after each column, two coalitions of every size, and each is used by both its ends.
    """
    return answer(question, STRATIFIED, "passes")


def arc_cost(d: npt.ArrayLike) -> FloatArray:
    """Return the evaluations of one pass, d (d - 1)."""
    d = np.asarray(d, float)
    return np.asarray(np.maximum(d * (d - 1), 0))


def arcs(games: Games, which: Ints, step: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Return one unbiased estimate (len(which), P, O) per game from one random circle, and half the difference of its two directions.

    With the stretch that begins at place a and has s members: the player at place a + s joins it behind, the one at a - 1 in front. The
    values of each game sum to v(all) - v(none). Exact where no more than two players interact. Cost d (d - 1) evaluations each.
    """
    place = np.full(len(games.active), -1)
    place[which] = np.arange(len(which))
    out = np.zeros((len(which), games.active.shape[1], games.start.shape[1]))
    half = np.zeros_like(out)
    for d, g, players in solve.by_size(games, which, lambda d: d * d):
        draws = np.take_along_axis(uniforms(seed, games.counters[g], games.players, step), players, 1)
        rank = np.argsort(np.argsort(draws, axis=1), axis=1)
        begin, size = np.repeat(np.arange(d), d - 1), np.tile(np.arange(1, d), d)
        local = (rank[:, None] - begin[:, None]) % d < size[:, None]
        inner = solve.ask(games, g, solve.coalitions(games, players, local)).reshape(len(g), d, d - 1, games.start.shape[1])
        ends = [np.broadcast_to(a[g][:, None, None], (len(g), d, 1, a.shape[1])) for a in (games.start, games.end)]
        longer, shorter = np.concatenate([inner, ends[1]], axis=2), np.concatenate([ends[0], inner], axis=2)  # (g, begin, size, O)
        around = np.arange(d)
        behind, front = np.zeros((2, len(g), d, inner.shape[3]))
        for s in range(d):  # what the player at each place adds to the stretch of s members before it, and to the one after it
            behind += (longer[:, (around - s) % d, s] - shorter[:, (around - s) % d, s]) / d
            front += (longer[:, around, s] - shorter[:, (around + 1) % d, s]) / d
        forward, backward = (np.take_along_axis(a, rank[:, :, None], 1) for a in (behind, front))
        out[place[g][:, None], players] = (forward + backward) / 2
        half[place[g][:, None], players] = (forward - backward) / 2
    return out, half


STRATIFIED = Solver(solve.exact, arcs, arc_cost)
