"""SAGE: how much does each column lower the model's loss, shared fairly among the columns?"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.explain import asked
from pellucid.explain.question import Question
from pellucid.explain.row_games import RowGames, jackknife
from pellucid.intervals import error_of_mean
from pellucid.probe.truth import row_losses
from pellucid.protocols import FloatArray
from pellucid.random import stream
from pellucid.results import Importance

__all__ = ["explain"]

MOST_ROWS = 2_000_000
"""Model rows at which sampling ends where no budget was given."""
PRECISION = 0.025
BLOCK = 2**21
AGAIN = 32
"""Rows visited again before the scatter within rows is trusted."""

Ints = npt.NDArray[np.int64]


def explain(question: Question) -> Importance:
    """Return Shapley values (P,) of the expected fall of the loss as columns become known, with 95 % intervals over rows.

        Covert, Lundberg and Lee 2020, arXiv:2004.00668, permutation estimator. The game: loss of the mean answer over the background, minus
        the loss of the mean answer with the columns S known. Passes go through the rows in random order, each row with a random order of
        the players and its reverse, until the drawing's standard error is below ``precision`` (0.025) times the range of the values, or the
        budget ends. From the second pass on, drawing is the scatter within rows alone: how much rows differ is in the interval, and more
    visits of the same rows do not lower it. Under the conditional fill the interval also counts what other background rows would
        change; under the others it is about the background in use. The values add up to ``record.settings["total"]`` where every row is
        visited equally often.
        Cost: up to 2 (P - 1) B model rows per row visited.
    """
    loss, unit = row_losses(question.view, question.y, len(question.table))
    n, p, b = len(question.table), len(question.players), len(question.background)
    per_row = max(1, 2 * (p - 1) * b)
    least = min(n, 8)
    most = asked.affordable(question, max(least, MOST_ROWS // per_row), per_row, n + b, least)
    game = _Game(RowGames(question), loss)
    total, square, seen = np.zeros((n, p, game.k)), np.zeros((n, p)), np.zeros(n)
    draw, visited, ratio = stream(question.seed, "sage"), 0, np.inf
    block = max(1, min(n, AGAIN, BLOCK // (per_row * max(1, p // 8))))
    precision = question.precision or PRECISION
    while ratio > precision and (visited == 0 or (visited < most and not asked.late(question))):
        order = draw.permutation(n)
        for s in range(0, n, block):
            rows = order[s : s + block][: most - visited]
            if len(rows) == 0 or (visited and asked.late(question)):
                break
            made = game.walk(rows, draw)
            total[rows] += made
            square[rows] += np.square(made[..., 0])
            seen[rows] += 1
            visited += len(rows)
            ratio = _drawing(total[..., 0], square, seen)
            if ratio <= precision:
                break
    return _importance(question, unit, total, seen, ratio, precision, game)


def _drawing(total: FloatArray, square: FloatArray, seen: FloatArray) -> float:
    """Return the largest standard error of the drawing as a share of the values' range; infinite before ``AGAIN`` rows are visited.

    Sums (n, P) over the visits ``seen`` (n,). Rows visited once are draws themselves. Where all rows were visited, and ``AGAIN`` of them
    again, the rows are given and the orders alone were drawn: the variance is that within rows, pooled.
    """
    visited, n, again = seen.sum(), len(seen), np.maximum(seen - 1, 0).sum()
    if visited < max(2, min(n, AGAIN)):
        return float("inf")
    values = total.sum(0) / visited
    if seen.min() < 1 or again < min(n, AGAIN):
        variance = np.maximum(square.sum(0) / visited - values**2, 0) / (visited - 1)
    else:
        within = np.maximum(square - np.square(total) / seen[:, None], 0).sum(0) / again
        variance = within * (1 / seen).sum() / n**2
    span = float(np.ptp(np.append(values, 0.0)))
    return float(np.sqrt(variance.max()) / span) if span > 0 else 0.0


def _importance(
    question: Question, unit: str, total: FloatArray, seen: FloatArray, ratio: float, precision: float, game: _Game
) -> Importance:
    """Return the result: means over the rows visited, intervals from the spread between rows, and of their fills where it is known."""
    visited = np.flatnonzero(seen)
    per_row = total[visited] / seen[visited, None, None]
    m = len(visited)
    values, other_rows = (a[:, 0] for a in jackknife(per_row.mean(0), game.rows.left_out, 1))
    spread = np.square(error_of_mean(per_row[..., 0]))
    half = 1.96 * np.sqrt(spread + other_rows)
    settings = {
        "loss": unit,
        "rows_visited": m,
        "passes": float(seen.sum() / max(1, m)),
        "convergence": ratio,
        "converged": bool(ratio <= precision),
        "total": float((game.before[:, 0] - game.after)[visited].mean()),
    }
    caveats = ["use rows that were held out from training", *game.rows.about_errors]
    if ratio > precision:
        short = f"the largest standard error of the drawing is {ratio:.3f} of the range"
        caveats.append(f"stopped before the asked precision: {short}, asked was {precision:g}")
    interval = np.column_stack([values - half, values + half])
    return Importance(values, interval, question.players.names, unit, question.method, question.record(settings, caveats))


class _Game:
    """The loss of the mean answer as players become known, walked along orders of arrival: for K choices of background rows side by side.

    Attributes
    ----------
    before : (N, K), the loss where nothing is known. after : (N,), where everything is.
    """

    def __init__(self, rows: RowGames, loss: Any) -> None:
        self.rows, self.loss, self.p, self.k = rows, loss, len(rows.q.players), len(rows.left_out)
        n = len(rows.q.table)
        self.before = self._losses(np.broadcast_to(rows.nobody, (n, len(rows.nobody))), np.arange(n))
        self.after = loss(rows.engine.full)

    def _losses(self, answers: FloatArray, at: Ints) -> FloatArray:
        """Return (n, K) from answers (n, K O) to the rows ``at``."""
        return np.stack([self.loss(each, at) for each in np.split(answers, self.k, axis=1)], 1)

    def walk(self, rows: Ints, draw: np.random.Generator) -> FloatArray:
        """Return falls of the loss (n, P, K): the mean of one order and its reverse per row."""
        n, p = len(rows), self.p
        order = draw.permuted(np.tile(np.arange(p), (n, 1)), axis=1)
        arrival = np.argsort(np.stack([order, order[:, ::-1]], 1), axis=2)  # (n, 2, P): when each player arrives
        known = arrival[:, :, None, :] < np.arange(1, p)[:, None]  # (n, 2, P - 1, P)
        at = np.repeat(rows, 2 * (p - 1))
        z = known.reshape(-1, p)
        middle = self._losses(self.rows.values(at, z), at).reshape(n, 2, p - 1, self.k)
        first, last = (
            np.broadcast_to(e, (n, 2, 1, self.k)) for e in (self.before[rows][:, None, None], self.after[rows][:, None, None, None])
        )
        falls = -np.diff(np.concatenate([first, middle, last], 2), axis=2)  # (n, 2, P, K) by place of arrival
        return np.asarray(np.take_along_axis(falls, arrival[..., None], 2).mean(1))
