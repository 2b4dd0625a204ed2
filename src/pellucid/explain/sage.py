"""SAGE: how much does each column lower the model's loss, shared fairly among the columns?"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.explain import asked
from pellucid.explain.question import Question
from pellucid.probe.coalition import CoalitionEngine
from pellucid.probe.masker import Neighbours
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
    visits of the same rows do not lower it. The values add up to ``record.settings["total"]`` where every row is visited equally often.
    Cost: up to 2 (P - 1) B model rows per row visited.
    """
    loss, unit = row_losses(question.view, question.y, len(question.table))
    engine = question.engine()
    n, p, b = len(question.table), len(question.players), len(question.background)
    per_row = max(1, 2 * (p - 1) * b)
    least = min(n, 8)
    most = asked.affordable(question, max(least, MOST_ROWS // per_row), per_row, n + b, least)
    game = _Game(question, engine, loss)
    total, square, seen = np.zeros((n, p)), np.zeros((n, p)), np.zeros(n)
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
            square[rows] += np.square(made)
            seen[rows] += 1
            visited += len(rows)
            ratio = _drawing(total, square, seen)
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
    """Return the result: means over the rows visited, intervals from the spread between rows."""
    visited = np.flatnonzero(seen)
    per_row = total[visited] / seen[visited, None]
    values, m = per_row.mean(0), len(visited)
    half = 1.96 * per_row.std(0, ddof=1) / np.sqrt(m) if m > 1 else np.full(len(values), np.nan)
    settings = {
        "loss": unit,
        "rows_visited": m,
        "passes": float(seen.sum() / max(1, m)),
        "convergence": ratio,
        "converged": bool(ratio <= precision),
        "total": float((game.before - game.after)[visited].mean()),
    }
    caveats = ["use rows that were held out from training"]
    if ratio > precision:
        short = f"the largest standard error of the drawing is {ratio:.3f} of the range"
        caveats.append(f"stopped before the asked precision: {short}, asked was {precision:g}")
    interval = np.column_stack([values - half, values + half])
    return Importance(values, interval, question.players.names, unit, question.method, question.record(settings, caveats))


class _Game:
    """The loss of the mean answer as players become known, walked along orders of arrival."""

    def __init__(self, question: Question, engine: CoalitionEngine, loss: Any) -> None:
        self.engine, self.loss, self.p = engine, loss, len(question.players)
        n = len(question.table)
        self.neighbours = None
        if question.fill == "conditional":
            self.neighbours = Neighbours(question.table, question.background, question.players)
        self.before = loss(np.broadcast_to(engine.empty.mean(0), (n, engine.n_outputs)))
        self.after = loss(engine.full)

    def walk(self, rows: Ints, draw: np.random.Generator) -> FloatArray:
        """Return falls of the loss (n, P): the mean of one order and its reverse per row."""
        n, p = len(rows), self.p
        order = draw.permuted(np.tile(np.arange(p), (n, 1)), axis=1)
        arrival = np.argsort(np.stack([order, order[:, ::-1]], 1), axis=2)  # (n, 2, P): when each player arrives
        known = arrival[:, :, None, :] < np.arange(1, p)[:, None]  # (n, 2, P - 1, P)
        at = np.repeat(rows, 2 * (p - 1))
        z = known.reshape(-1, p)
        weights = None if self.neighbours is None else self.neighbours.weights(at, z)
        middle = self.loss(self.engine.mean_over_background(at, z, weights), at).reshape(n, 2, p - 1)
        ends = np.broadcast_to(np.stack([self.before[rows], self.after[rows]], 1)[:, None], (n, 2, 2))
        path = np.concatenate([ends[:, :, :1], middle, ends[:, :, 1:]], 2)
        falls = -np.diff(path, axis=2)  # (n, 2, P) by place of arrival
        return np.asarray(np.take_along_axis(falls, arrival, 2).mean(1))
