"""Accumulated local effects: how does the answer run along a column, moving each row only to its neighbouring values?"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pellucid.explain import asked
from pellucid.explain.grid import Places, curve, grid_table, on_line, places
from pellucid.explain.question import Question
from pellucid.intervals import error_of_mean, widening
from pellucid.probe.coalition import CoalitionEngine
from pellucid.probe.masker import Players
from pellucid.protocols import FloatArray
from pellucid.results import Curve
from pellucid.table import ColumnType, Table

__all__ = ["explain"]

Ints = npt.NDArray[np.int64]
ROWS_PER_STEP = 5
"""Fewest rows behind one step of a number column: with fewer, a step is mostly chance."""


def explain(question: Question) -> Curve:
    """Return one curve per column: local differences, averaged over the rows near each place and added up; the mean over rows is 0.

    Apley and Zhu 2020, doi:10.1111/rssb.12377. Rows move only between neighbouring places, so columns that go together do not lead to rows
    that never occur. Numbers and dates step between quantiles from 1 to 99 % (rows outside take no part); ordered levels in their order;
    other levels in the order of likeness of their rows in the other columns (first axis of a classical scaling of summed distances).
    Intervals (95 %) come from the influence of each row on the curve. Cost: up to 4 n model rows per column, n = ``rows`` at most.

    # NOTE[DIFF] a missing cell has no neighbours: its place shows how far the answers of the other rows move when the cell is emptied.
    """
    asked.no_groups(question)
    table = question.table.select(question.view.columns)
    names = asked.columns(question, table.columns) or table.columns
    points = asked.whole(question, "points", 2, 500)
    n = asked.affordable(question, min(asked.whole(question, "rows", 2, 10**7), len(table)), 1 + 5 * len(names), points + 2)
    rows = asked.sample(question, n)
    table = table.take(rows)
    found = {name: _ordered(table, name, places(table, name, _steps(table, name, points))) for name in names}
    engine = CoalitionEngine(question.view, table, grid_table(table, found), Players.of(table.columns))
    values, error = {}, {}
    for name, p in found.items():
        values[name], error[name] = _curve(engine, table, name, p)
        engine.forget()
    caveats = [f"means over {n} of {len(question.table)} rows"] if n < len(question.table) else []
    caveats += [f"{p.hidden} rare levels of {name!r} are not drawn" for name, p in found.items() if p.hidden]
    own = {c for c in found if table.schema[c].type is ColumnType.ORDERED}
    free = [c for c, p in found.items() if not p.is_line and c not in own and p.size > 2]
    if free:
        caveats.append(f"levels without an order of their own stand beside levels whose rows are alike elsewhere: {', '.join(free)}")
    return curve(question, found, values, error, {"rows_used": n}, caveats)


def _steps(table: Table, name: str, points: int) -> int:
    """Return the number of places: fewer than asked for where a step would have too few rows."""
    line = on_line(table, name)
    return points if line is None else max(2, min(points, int((~np.isnan(line)).sum()) // ROWS_PER_STEP))


@dataclass(frozen=True)
class _Moves:
    """Rows that step from place ``step`` to place ``step + 1``, and how the curve is centred: values = weights @ step means."""

    row: Ints
    step: Ints
    weights: FloatArray


def _curve(engine: CoalitionEngine, table: Table, name: str, p: Places) -> tuple[FloatArray, FloatArray]:
    """Return the curve and its standard errors, each (G, O)."""
    j, o = table.columns.index(name), engine.n_outputs
    values, error = np.zeros((len(p.cells), o)), np.zeros((len(p.cells), o))

    def at(row: Ints, place: Ints) -> FloatArray:
        return engine.evaluate(row, place, np.broadcast_to(np.arange(len(table.columns)) != j, (len(row), len(table.columns))))

    if p.size > 1:
        moves = _line_moves(on_line(table, name), p) if p.is_line else _level_moves(p)
        change = at(moves.row, moves.step + 1) - at(moves.row, moves.step)
        values[: p.size], error[: p.size] = _accumulate(change, moves, len(table))
    if p.missing:
        known = np.flatnonzero(~table.missing(name))
        emptied = at(known, np.full(len(known), p.size)) - engine.full[known]
        values[-1] = emptied.mean(0) if len(known) else 0.0
        error[-1] = error_of_mean(emptied)
    return values, error


def _accumulate(change: FloatArray, moves: _Moves, n: int) -> tuple[FloatArray, FloatArray]:
    """Return values and standard errors (G, O) from the changes (m, O) of all moves."""
    steps = moves.weights.shape[1]
    count = np.bincount(moves.step, minlength=steps)
    mean = np.zeros((steps, change.shape[1]))
    np.add.at(mean, moves.step, change)
    mean /= np.maximum(count, 1)[:, None]
    rest = (change - mean[moves.step]) / np.maximum(count, 1)[moves.step][:, None]
    rest *= np.sqrt(count / np.maximum(count - 1, 1))[moves.step][:, None]
    influence = np.zeros((n, steps, change.shape[1]))
    np.add.at(influence, (moves.row, moves.step), rest)
    error = np.sqrt(np.square(np.einsum("gk,nko->ngo", moves.weights, influence, optimize=True)).sum(0))
    # a few rows a step know their spread badly: the freedom of a sum of such variances is Satterthwaite's
    own, square = np.zeros_like(mean), moves.weights**2
    np.add.at(own, moves.step, rest**2)
    lost = square**2 @ (own**2 / np.maximum(count - 1, 1)[:, None])
    error *= np.sqrt(widening(np.divide((square @ own) ** 2, lost, out=np.full(lost.shape, 1e9), where=lost > 1e-300)))
    error[:, :] = np.where((count == 1).any(), np.nan, error)  # a step of one row has no spread to learn from
    return moves.weights @ mean, error


def _line_moves(line: FloatArray | None, p: Places) -> _Moves:
    """Return the moves of a number or date: each row between the two places around it."""
    assert line is not None
    edges = p.values[: p.size]
    row = np.flatnonzero((line >= edges[0]) & (line <= edges[-1]))
    step = np.maximum(np.searchsorted(edges, line[row]) - 1, 0)
    share = np.bincount(step, minlength=p.size - 1) / max(1, len(row))
    below = np.arange(p.size)[:, None] > np.arange(p.size - 1)
    centre = share[::-1].cumsum()[::-1] - share / 2
    return _Moves(row, step, below - centre)


def _level_moves(p: Places) -> _Moves:
    """Return the moves of levels: each row to the level before and the level after its own."""
    known = np.flatnonzero((p.nearest >= 0) & (p.nearest < p.size))
    place = p.nearest[known]
    up, down = place < p.size - 1, place > 0
    share = np.bincount(place, minlength=p.size) / max(1, len(place))
    below = np.arange(p.size)[:, None] > np.arange(p.size - 1)
    return _Moves(np.concatenate([known[up], known[down]]), np.concatenate([place[up], place[down] - 1]), below - share @ below)


def _ordered(table: Table, name: str, p: Places) -> Places:
    """Return the places with levels without an order of their own arranged by likeness."""
    if p.is_line or table.schema[name].type is ColumnType.ORDERED or p.size <= 2:
        return p
    order = _likeness(table, name, p)
    place = np.append(np.argsort(order), p.size)  # the missing cell stays the last
    full = np.append(order, p.size) if p.missing else order
    nearest = np.where(p.nearest >= 0, place[p.nearest], -1)
    return replace(p, cells=p.cells[full], source=p.source[full], values=p.values[full], nearest=nearest)


def _likeness(table: Table, name: str, p: Places) -> Ints:
    """Return the order of the levels along the first axis of their distances in the other columns; the first text leads."""
    member = (p.nearest[:, None] == np.arange(p.size)).astype(float)  # (N, G)
    member /= np.maximum(member.sum(0), 1)
    distance = np.zeros((p.size, p.size))
    for other in table.columns:
        if other == name:
            continue
        line = on_line(table, other)
        if line is not None:  # largest difference of the distribution functions
            known = np.isfinite(line)
            cuts = np.unique(np.quantile(line[known], np.linspace(0, 1, 21))) if known.any() else np.zeros(1)
            below = member.T @ np.nan_to_num(line[:, None] <= cuts)
            distance += np.abs(below[:, None] - below[None]).max(-1)
        else:  # half the sum of the differences of the shares
            codes = table.levels(other)[0]
            shares = np.zeros((p.size, codes.max(initial=-1) + 2))
            for g in range(p.size):
                shares[g] = np.bincount(codes + 1, member[:, g], minlength=shares.shape[1])
            distance += np.abs(shares[:, None] - shares[None]).sum(-1) / 2
    centre = np.eye(p.size) - 1 / p.size
    axis = np.linalg.eigh(-centre @ np.square(distance) @ centre)[1][:, -1]
    first = min(range(p.size), key=lambda g: str(p.cells[g]))
    axis = axis * (-1.0 if axis[first] > np.median(axis) else 1.0)
    return np.argsort(axis, kind="stable")
