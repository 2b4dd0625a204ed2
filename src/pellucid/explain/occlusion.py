"""Occlusion and inclusion: what one column is worth with all others present, and by itself."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pellucid.explain.question import Question
from pellucid.explain.row_games import RowGames
from pellucid.explain.tree_values import of_trees
from pellucid.intervals import error_of_mean
from pellucid.probe.budget import too_small
from pellucid.probe.coalition import CoalitionEngine
from pellucid.protocols import FloatArray
from pellucid.results import Explanation

__all__ = ["explain", "explain_inclusion", "without_each"]


def explain(question: Question) -> Explanation:
    """Return v(N) - v(N without j): how far the answer moves when column j alone is filled in. Cost at most P B model rows per row.

    Zeiler and Fergus 2014, arXiv:1311.2901. The values do not add up to the prediction: where columns share an effect, each looks idle. Of
    sums of trees no coalition is asked (:mod:`pellucid.explain.tree_values`).
    """
    if (found := of_trees(question, last, complete=False)) is not None:
        return found
    _afford(question)
    rows, n, p = RowGames(question), len(question.table), len(question.players)
    z = np.tile(~np.eye(p, dtype=bool), (n, 1))
    if rows.engine.drawn:
        return _answer(question, rows, *_drawn(rows.engine.full[:, None, None] - _draws(rows.engine, z, n, p)))
    return _answer(question, rows, *rows.told(rows.everybody[:, None] - _values(rows, z, n, p)))


def explain_inclusion(question: Question) -> Explanation:
    """Return v({j}) - v(nobody): how far the answer moves when column j alone is known. Cost at most P B model rows per row."""
    if (found := of_trees(question, first, complete=False)) is not None:
        return found
    _afford(question)
    rows, n, p = RowGames(question), len(question.table), len(question.players)
    z = np.tile(np.eye(p, dtype=bool), (n, 1))
    if rows.engine.drawn:
        return _answer(question, rows, *_drawn(_draws(rows.engine, z, n, p) - rows.engine.empty))
    return _answer(question, rows, *rows.told(_values(rows, z, n, p) - rows.nobody))


def last(t: int, away: int, joins: int, stays: int) -> float:
    """Return what one player (``t`` is 1) changes as the last to join the game of ``joins`` players who must all be there for a worth of 1,
    while none of ``stays`` others may; ``away`` where it is one of the latter.

    Examples
    --------
    >>> last(1, 0, 2, 0), last(1, 0, 2, 1), last(1, 1, 2, 1), last(1, 1, 2, 2)
    (1.0, 0.0, -1.0, 0.0)
    """
    return (-1.0 if away else 1.0) if stays == away else 0.0


def first(t: int, away: int, joins: int, stays: int) -> float:
    """Return what one player changes as the first to join the same game.

    Examples
    --------
    >>> first(1, 0, 1, 2), first(1, 0, 2, 0), first(1, 1, 0, 1), first(1, 1, 1, 1)
    (1.0, 0.0, -1.0, 0.0)
    """
    return (-1.0 if away else 1.0) if joins == 1 - away else 0.0


def _afford(question: Question) -> None:
    """Refuse a budget of rows below one coalition per row, player and background row."""
    n, size = len(question.table), len(question.background)
    need = n * len(question.players) * size + n + size
    if question.budget.rows is not None and need > question.budget.rows:
        raise too_small("to take every column once", need, question.budget.rows)


def without_each(engine: CoalitionEngine) -> Iterator[FloatArray]:
    """Yield for each player in turn the answers (R, B, O) to all rows with its cells from every background row; keeps none of them."""
    n, size, p = len(engine.full), len(engine.empty), len(engine.players)
    for j in range(p):
        z = np.broadcast_to(np.arange(p) != j, (n * size, p))
        yield engine.evaluate(np.repeat(np.arange(n), size), np.tile(np.arange(size), n), z).reshape(n, size, -1)
        engine.forget()


def _values(rows: RowGames, z: npt.NDArray[np.bool_], n: int, p: int) -> FloatArray:
    """Return v (N, P, K O) of one coalition per row and player, under the question's fill."""
    return rows.values(np.repeat(np.arange(n), p), z).reshape(n, p, -1)


def _draws(engine: CoalitionEngine, z: npt.NDArray[np.bool_], n: int, p: int) -> FloatArray:
    """Return the model's answers (N, P, B, O) to every draw of a coalition per row and player."""
    size = len(engine.empty)
    row, back = np.repeat(np.arange(n), p * size), np.tile(np.arange(size), n * p)
    return engine.evaluate(row, back, np.repeat(z, size, axis=0)).reshape(n, p, size, -1)


def _drawn(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return mean and standard error (N, P, O) over draws of (N, P, B, O)."""
    return values.mean(2), error_of_mean(np.moveaxis(values, 2, 0))


def _answer(question: Question, rows: RowGames, values: FloatArray, error: FloatArray | None) -> Explanation:
    return question.answer(values, rows.base, rows.engine.full, error=error, complete=False, caveats=rows.about_errors)
